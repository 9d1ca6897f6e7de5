//! Tests of listeners.

use crate::config::{Listener, listeners::advertised_host, tests::config};

#[test]
fn listeners_are_read_with_hosts_of_every_kind() {
    let parsed = config(&[
        (
            "listeners",
            "plaintext://:9092,IN://[::1]:9095,OUT://0.0.0.0:9096,CONTROLLER://h:9093",
        ),
        (
            "listener.security.protocol.map",
            "PLAINTEXT:PLAINTEXT,In:PLAINTEXT,OUT:plaintext,CONTROLLER:PLAINTEXT",
        ),
        (
            "advertised.listeners",
            "OUT://example.org:19096,IN://in.local:9095",
        ),
        ("inter.broker.listener.name", "in"),
    ])
    .unwrap();
    let show = |listeners: &[Listener]| {
        let one = |l: &Listener| format!("{}|{}|{}", l.name, l.host, l.port);
        listeners.iter().map(one).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        show(&parsed.listeners.bound),
        "PLAINTEXT||9092 IN|::1|9095 OUT|0.0.0.0|9096 CONTROLLER|h|9093"
    );
    assert_eq!(
        show(&parsed.listeners.advertised),
        "OUT|example.org|19096 IN|in.local|9095"
    );
    assert_eq!(parsed.listeners.inter_broker_name, "IN");
    assert!(parsed.listeners.is_controller("CONTROLLER"));
    assert!(!advertised_host("").is_empty());
}

#[test]
fn two_listeners_share_a_port_only_on_two_kinds_of_addresses() {
    let two = |hosts: [&str; 2]| {
        let listeners = format!("PLAINTEXT://{}:1,B://{}:1", hosts[0], hosts[1]);
        let map = "PLAINTEXT:PLAINTEXT,B:PLAINTEXT,CONTROLLER:PLAINTEXT";
        config(&[
            ("listeners", &listeners),
            ("listener.security.protocol.map", map),
        ])
    };
    assert!(two(["127.0.0.1", "[::1]"]).is_ok());
    assert!(two(["127.0.0.1", "127.0.0.2"]).is_err());
    assert!(two(["", "localhost"]).is_err());
}

#[test]
fn listeners_that_cannot_work_are_refused() {
    for (pairs, why) in [
        (
            &[("listeners", "PLAINTEXT:9092")][..],
            "Unable to parse PLAINTEXT:9092 to a broker endpoint",
        ),
        (&[("listeners", "PLAINTEXT://a:99999")], "Unable to parse"),
        (&[("listeners", "PLAINTEXT://::1:9092")], "Unable to parse"),
        (&[("listeners", "PLAINTEXT://a b:9092")], "Unable to parse"),
        (
            &[("listeners", "FOO://a:1")],
            "No security protocol defined for listener FOO",
        ),
        (
            &[("listeners", "PLAINTEXT://a:1,PLAINTEXT://b:2")],
            "Each listener must have a different name",
        ),
        (
            &[("listeners", "PLAINTEXT://a:1,CONTROLLER://a:1")],
            "Each listener must have a different port",
        ),
        (
            &[("listeners", "CONTROLLER://a:1")],
            "There must be at least one broker advertised listener",
        ),
        (
            &[("advertised.listeners", "PLAINTEXT://0.0.0.0:1")],
            "cannot use the nonroutable meta-address",
        ),
        (
            &[("inter.broker.listener.name", "B")],
            "not found in listener.security.protocol.map",
        ),
        (
            &[("inter.broker.listener.name", "SSL")],
            "must be a listener name defined in advertised.listeners",
        ),
        (
            &[
                ("inter.broker.listener.name", "PLAINTEXT"),
                ("security.inter.broker.protocol", "PLAINTEXT"),
            ],
            "Only one of inter.broker.listener.name and security.inter.broker.protocol",
        ),
        (
            &[("listener.security.protocol.map", "PLAINTEXT:TLS")],
            "Invalid security protocol `TLS`",
        ),
        (
            &[
                ("listeners", "SSL://a:1"),
                ("security.inter.broker.protocol", "SSL"),
            ],
            "uses the security protocol SSL",
        ),
        (
            &[
                ("listeners", "PLAINTEXT://a:1"),
                ("process.roles", "controller"),
            ],
            "must only contain KRaft controller listeners",
        ),
        (
            &[
                ("listeners", "CONTROLLER://a:1"),
                ("controller.listener.names", "CONTROLLER,B"),
                (
                    "listener.security.protocol.map",
                    "CONTROLLER:PLAINTEXT,B:PLAINTEXT",
                ),
                ("process.roles", "controller"),
            ],
            "controller.listener.names must only contain values appearing in the 'listeners'",
        ),
        (
            &[
                ("listeners", "CONTROLLER://0.0.0.0:1"),
                ("process.roles", "controller"),
                ("controller.quorum.voters", ""),
                ("controller.quorum.bootstrap.servers", "a:1"),
            ],
            "cannot use the nonroutable meta-address",
        ),
        (
            &[
                ("listeners", "PLAINTEXT://a:1,CONTROLLER://a:2"),
                ("process.roles", "broker"),
                ("controller.quorum.voters", "2@b:1"),
            ],
            "controller.listener.names must not contain a value appearing in the 'listeners'",
        ),
    ] {
        let error = config(pairs).unwrap_err();
        assert!(error.contains(why), "{pairs:?}: {error}");
    }
}

#[test]
fn the_controllers_address_is_the_advertised_one_or_what_the_voters_say() {
    for (pairs, host, port) in [
        (
            &[("listeners", "PLAINTEXT://a:1,CONTROLLER://a:2")][..],
            "a",
            2,
        ),
        (
            &[
                ("listeners", "PLAINTEXT://a:1,CONTROLLER://:2"),
                ("controller.quorum.voters", "1@c:3"),
            ],
            "c",
            3,
        ),
        (
            &[
                ("listeners", "PLAINTEXT://a:1,CONTROLLER://0.0.0.0:2"),
                ("advertised.listeners", "PLAINTEXT://a:1,CONTROLLER://b:4"),
            ],
            "b",
            4,
        ),
    ] {
        let listeners = config(pairs).unwrap().listeners;
        let [controller] = listeners.advertised_controllers.as_slice() else {
            panic!("{pairs:?}")
        };
        assert_eq!((controller.host.as_str(), controller.port), (host, port));
        assert_eq!(listeners.advertised.len(), 1);
    }
}

#[test]
fn a_controller_listener_may_be_missing_where_broker_and_controller_are_one() {
    let config = config(&[("listeners", "PLAINTEXT://127.0.0.1:9092")]).unwrap();
    assert_eq!(config.listeners.bound.len(), 1);
}
