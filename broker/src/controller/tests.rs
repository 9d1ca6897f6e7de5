//! The controller's decisions, one script per subject; [`script`] says how to read them.

use kafka_protocol::messages::broker_registration_request::Feature;
use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::{BrokerId, BrokerRegistrationRequest, UpdateFeaturesRequest};
use kafka_shared::error::ErrorCode;
use kafka_shared::schema::metadata::{
    FeatureLevelRecord, RegisterControllerRecord, RegisteredFeature,
};
use uuid::Uuid;

use super::config::ControllerConfig;
use super::state::Cx;
use super::testing::CLUSTER_ID;
use crate::metadata::ConfigResource;

pub(crate) mod frames;
mod leaving;
mod moves;
mod script;
mod security;

use script::{Script, check, directory, text};

#[test]
fn mistakes_in_create_topics_get_kafkas_codes_and_words() {
    check(
        "
        broker 1
        create orders partitions=2 rf=1 retention.ms=5
            + topic orders
            + config 2/orders retention.ms=Some(\"5\")
            + partition 0 replicas=[1] isr=[1]
            + partition 1 replicas=[1] isr=[1]
            orders NONE
        create orders
            orders TOPIC_ALREADY_EXISTS: Topic 'orders' already exists.
        create bad+name
            bad name INVALID_TOPIC_EXCEPTION: Topic name is invalid: 'bad name' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'
        create ..
            .. INVALID_TOPIC_EXCEPTION: Topic name is invalid: '..' is not allowed
        create a.b
            + topic a.b
            + partition 0 replicas=[1] isr=[1]
            a.b NONE
        create a_b
            a_b INVALID_TOPIC_EXCEPTION: Topic 'a_b' collides with existing topic: a.b
        create __cluster_metadata
            __cluster_metadata INVALID_REQUEST: Creation of internal topic __cluster_metadata is prohibited.
        create t twice
            t INVALID_REQUEST: Duplicate topic name.
        create t partitions=0
            t INVALID_PARTITIONS: Number of partitions was set to an invalid non-positive value.
        create t rf=0
            t INVALID_REPLICATION_FACTOR: Replication factor must be larger than 0, or -1 to use the default value.
        create t rf=3
            t INVALID_REPLICATION_FACTOR: Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached because only 1 broker(s) are registered or some brokers have all their log directories cordoned.
        create t partitions=10001
            POLICY_VIOLATION: Excessively large number of partitions per request.
        create t no.such=1
            t INVALID_CONFIG: Unknown topic config name: no.such
        create t retention.ms=abc
            t INVALID_CONFIG: Invalid value abc for configuration retention.ms: Not a number of type LONG
        create t assign=7
            t INVALID_REPLICA_ASSIGNMENT: The manual partition assignment includes broker 7, but no such broker is registered.
        create t assign=1,1
            t INVALID_REPLICA_ASSIGNMENT: The manual partition assignment includes the broker 1 more than once.
        create t assign=1 partitions=1
            t INVALID_REQUEST: A manual partition assignment was specified, but numPartitions was not set to -1.
        create t validate
            t NONE
        create t assign=1;1
            + topic t
            + partition 0 replicas=[1] isr=[1]
            + partition 1 replicas=[1] isr=[1]
            t NONE
        ",
    );
}

#[test]
fn without_an_unfenced_broker_nothing_is_created() {
    check(
        "
        create t
            t INVALID_REPLICATION_FACTOR: Unable to replicate the partition 1 time(s): All brokers are currently fenced, or have all their log directories cordoned.
        broker 1
        heartbeat 1 offset=9 fence
            ~ broker 1 fenced=1 shutdown=0 dirs=0
            caught up=true fenced=true stop=false
        create t assign=1
            t INVALID_REPLICA_ASSIGNMENT: All brokers specified in the manual partition assignment for partition 0 are fenced or in controlled shutdown.
        ",
    );
}

#[test]
fn topics_are_deleted_by_name_and_take_their_configs_with_them() {
    check(
        "
        broker 1
        create a retention.ms=5
            + topic a
            + config 2/a retention.ms=Some(\"5\")
            + partition 0 replicas=[1] isr=[1]
            a NONE
        delete a nope a2 a2
            - topic a
            a2 INVALID_REQUEST: Duplicate topic name.
            nope UNKNOWN_TOPIC_OR_PARTITION
            a NONE
        create a
            + topic a
            + partition 0 replicas=[1] isr=[1]
            a NONE
        config topic/a delete retention.ms
            config NONE
        ",
    );
}

#[test]
fn partitions_are_only_ever_added() {
    check(
        "
        broker 1
        create a partitions=2
            + topic a
            + partition 0 replicas=[1] isr=[1]
            + partition 1 replicas=[1] isr=[1]
            a NONE
        grow a 2
            a INVALID_PARTITIONS: Topic already has 2 partition(s).
        grow a 1
            a INVALID_PARTITIONS: The topic a currently has 2 partition(s); 1 would not be an increase.
        grow b 3
            b UNKNOWN_TOPIC_OR_PARTITION
        grow a 4 assign=1
            a INVALID_REPLICA_ASSIGNMENT: Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.
        grow a 4 assign=1;9
            a INVALID_REPLICA_ASSIGNMENT: The manual partition assignment includes broker 9, but no such broker is registered.
        grow a 3
            + partition 2 replicas=[1] isr=[1]
            a NONE
        ",
    );
}

#[test]
fn configs_change_one_resource_as_a_whole() {
    check(
        "
        broker 1
        create a
            + topic a
            + partition 0 replicas=[1] isr=[1]
            a NONE
        config topic/a set retention.ms 7
            + config 2/a retention.ms=Some(\"7\")
            config NONE
        config topic/a set retention.ms 7
            config NONE
        config topic/a append cleanup.policy compact
            + config 2/a cleanup.policy=Some(\"delete,compact\")
            config NONE
        config topic/a subtract cleanup.policy delete
            + config 2/a cleanup.policy=Some(\"compact\")
            config NONE
        config topic/a append retention.ms 1
            config INVALID_CONFIG: Can't APPEND to key retention.ms because its type is not LIST.
        config topic/a set no.such 1
            config INVALID_CONFIG: Unknown topic config name: no.such
        config topic/nope set retention.ms 1
            config UNKNOWN_TOPIC_OR_PARTITION: The topic 'nope' does not exist.
        config broker/77 set log.cleaner.threads 2
            config BROKER_ID_NOT_REGISTERED: No node with id 77 found.
        config broker/x set log.cleaner.threads 2
            config INVALID_REQUEST: Invalid broker name x
        config broker/ set log.cleaner.threads 2
            + config 4/ log.cleaner.threads=Some(\"2\")
            config NONE
        config broker/ set log.cleaner.threads 2
            + config 4/ log.cleaner.threads=Some(\"2\")
            config NONE
        config broker/1 set min.insync.replicas 2
            config INVALID_CONFIG: Broker-level min.insync.replicas cannot be altered while ELR is enabled.
        config broker/ delete min.insync.replicas
            config INVALID_CONFIG: Cluster-level min.insync.replicas cannot be removed while ELR is enabled.
        config topic/a set min.insync.replicas 2
            + config 2/a min.insync.replicas=Some(\"2\")
            - elr of \"a\"
            config NONE
        config 3/a set retention.ms 1
            config UNSUPPORTED_VERSION: Unknown resource type 3.
        config group/g set consumer.heartbeat.interval.ms 6000
            + config 32/g consumer.heartbeat.interval.ms=Some(\"6000\")
            config NONE
        replace topic/a retention.ms=9
            + config 2/a retention.ms=Some(\"9\")
            + config 2/a cleanup.policy=None
            + config 2/a min.insync.replicas=None
            - elr of \"a\"
            config NONE
        ",
    );
}

#[test]
fn leaders_move_when_a_broker_goes_and_come_back_by_preferred_election() {
    check(
        "
        broker 1 2 3
        create a assign=1,2,3;2,3,1
            + topic a
            + partition 0 replicas=[1, 2, 3] isr=[1, 2, 3]
            + partition 1 replicas=[2, 3, 1] isr=[2, 3, 1]
            a NONE
        heartbeat 1 offset=50 stop
            ~ broker 1 fenced=0 shutdown=1 dirs=0
            ~ a-0 isr=[2, 3] leader=2
            ~ a-1 isr=[2, 3]
            caught up=true fenced=false stop=false
        heartbeat 2 offset=50
            caught up=true fenced=false stop=false
        heartbeat 1 offset=50 stop
            caught up=true fenced=false stop=false
        heartbeat 3 offset=50
            caught up=true fenced=false stop=false
        heartbeat 1 offset=50 stop
            ~ broker 1 fenced=1 shutdown=0 dirs=0
            caught up=true fenced=true stop=true
        elect preferred a-0 a-1 b-0
            a-0 PREFERRED_LEADER_NOT_AVAILABLE
            a-1 ELECTION_NOT_NEEDED
            b-0 UNKNOWN_TOPIC_OR_PARTITION: No such topic as b
        restart 1 clean
            + broker 1
        heartbeat 1 offset=99
            ~ broker 1 fenced=-1 shutdown=0 dirs=0
            caught up=true fenced=false stop=false
        isr a-0 by=2 to=2,3,1
            ~ a-0 isr=[2, 3, 1]
            isr NONE
        elect preferred all
            ~ a-0 leader=1
            a-0 NONE
        show a-0
            replicas=[1, 2, 3] isr=[2, 3, 1] elr=[] leader=1 epoch=2 version=3
        ",
    );
}

#[test]
fn a_single_replica_is_eligible_while_its_broker_is_away_unless_it_crashed() {
    check(
        "
        broker 1
        create a
            + topic a
            + partition 0 replicas=[1] isr=[1]
            a NONE
        pass 10000
            ~ a-0 isr=[] elr=[1] lastElr=[1] leader=-1
            ~ broker 1 fenced=1 shutdown=0 dirs=0
        restart 1 clean
            + broker 1
        heartbeat 1 offset=99
            ~ broker 1 fenced=-1 shutdown=0 dirs=0
            ~ a-0 isr=[1] elr=[] lastElr=[] leader=1
            caught up=true fenced=false stop=false
        pass 10000
            ~ a-0 isr=[] elr=[1] lastElr=[1] leader=-1
            ~ broker 1 fenced=1 shutdown=0 dirs=0
        restart 1
            ~ a-0 elr=[]
            + broker 1
        heartbeat 1 offset=99
            ~ broker 1 fenced=-1 shutdown=0 dirs=0
            ~ a-0 isr=[1] lastElr=[] leader=1 recovery=1
            caught up=true fenced=false stop=false
        isr a-0 by=1 to=1
            ~ a-0 recovery=0
            isr NONE
        ",
    );
}

#[test]
fn a_silent_broker_is_fenced_and_a_live_one_keeps_its_id() {
    check(
        "
        broker 1 2
        create a assign=1,2
            + topic a
            + partition 0 replicas=[1, 2] isr=[1, 2]
            a NONE
        restart 1
            DUPLICATE_BROKER_REGISTRATION: Another broker is registered with that broker id. If the broker was recently restarted this should self-resolve once the heartbeat manager expires the broker's session.
        pass 5000
        heartbeat 2 offset=99
            caught up=true fenced=false stop=false
        pass 5000
            ~ a-0 isr=[2] leader=2
            ~ broker 1 fenced=1 shutdown=0 dirs=0
        elect unclean a-0
            a-0 ELECTION_NOT_NEEDED
        unregister 1
            - broker 1
        unregister 1
            BROKER_ID_NOT_REGISTERED: Broker ID 1 is not currently registered
        ",
    );
}

#[test]
fn a_broker_that_lost_its_disk_leads_nothing() {
    check(
        "
        broker 1 2
        create a assign=1,2
            + topic a
            + partition 0 replicas=[1, 2] isr=[1, 2]
            a NONE
        heartbeat 1 offset=99 offline
            ~ a-0 isr=[2] leader=2
            ~ broker 1 fenced=0 shutdown=0 dirs=0
            caught up=true fenced=false stop=false
        ",
    );
}

#[test]
fn leaders_propose_isrs_and_stale_ones_are_refused() {
    check(
        "
        broker 1 2 3
        create a assign=1,2,3
            + topic a
            + partition 0 replicas=[1, 2, 3] isr=[1, 2, 3]
            a NONE
        isr a-0 by=1 to=1,2
            ~ a-0 isr=[1, 2]
            isr NONE
        isr a-0 by=2 to=1,2
            isr INVALID_REQUEST
        isr a-0 by=1 to=2
            isr INVALID_REQUEST
        isr a-0 by=1 to=1,2,4
            isr INVALID_REQUEST
        isr a-0 by=1 to=1 version=0
            isr INVALID_UPDATE_VERSION
        isr a-0 by=1 to=1 version=9
            isr NOT_CONTROLLER
        isr a-0 by=1 to=1 epoch=9
            isr NOT_CONTROLLER
        isr a-0 by=1 to=1 of-earlier-life
            STALE_BROKER_EPOCH: Expected broker epoch 2, but got broker epoch 1
        isr a-0 by=1 to=1,2,3 members-of-earlier-lives
            isr INELIGIBLE_REPLICA
        heartbeat 3 offset=99 fence
            ~ broker 3 fenced=1 shutdown=0 dirs=0
            caught up=true fenced=true stop=false
        isr a-0 by=1 to=1,2,3
            isr INELIGIBLE_REPLICA
        isr a-0 by=1 to=1,2
            isr NONE
        ",
    );
}

#[test]
fn producer_ids_come_in_blocks_that_never_overlap() {
    check(
        "
        broker 1
        ids 1
            + ids up to 1000
            from 0 count 1000
        ids 1
            + ids up to 2000
            from 1000 count 1000
        ids 2
            STALE_BROKER_EPOCH: No broker registration found for broker id 2
        ",
    );
}

#[test]
fn features_go_only_where_all_can_follow() {
    check(
        "
        broker 1
        feature group.version 1
            feature INVALID_UPDATE_VERSION: The update failed for all features since the following feature had an error: Invalid update version 1 for feature group.version. Local controller 1 does not support this feature.
        feature no.such 1
            feature INVALID_UPDATE_VERSION: The update failed for all features since the following feature had an error: Invalid update version 1 for feature no.such. Local controller 1 does not support this feature.
        feature metadata.version 31
            feature INVALID_UPDATE_VERSION: The update failed for all features since the following feature had an error: Invalid update version 31 for feature metadata.version. Local controller 1 only supports versions 7-30
        feature metadata.version 29
            feature INVALID_UPDATE_VERSION: The update failed for all features since the following feature had an error: Invalid update version 29 for feature metadata.version. Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.
        feature metadata.version 29 downgrade
            feature INVALID_UPDATE_VERSION: The update failed for all features since the following feature had an error: Unsupported metadata.version downgrade from 30 to 29. Refusing to perform the requested downgrade because it might delete metadata information.
        feature eligible.leader.replicas.version 0 downgrade
            + eligible.leader.replicas.version=0
            feature NONE
        config broker/1 set min.insync.replicas 2
            + config 4/1 min.insync.replicas=Some(\"2\")
            config NONE
        feature eligible.leader.replicas.version 1
            + config 4/ min.insync.replicas=Some(\"1\")
            + config 4/1 min.insync.replicas=None
            + eligible.leader.replicas.version=1
            feature NONE
        feature no.such 0
            feature INVALID_UPDATE_VERSION: The update failed for all features since the following feature had an error: Invalid update version 0 for feature no.such. Feature no.such not found.
        ",
    );
}

#[test]
fn features_wait_for_a_metadata_version_and_for_all_static_voters() {
    let mut script = Script::new();
    let level = |name: &str, feature_level| FeatureLevelRecord {
        name: name.into(),
        feature_level,
    };
    script.apply(&[
        level("metadata.version", 22).into(),
        level("eligible.leader.replicas.version", 0).into(),
    ]);
    let update = |name: &str, level| {
        FeatureUpdateKey::default()
            .with_feature(text(name))
            .with_max_version_level(level)
            .with_upgrade_type(1)
    };
    let code = |script: &Script, updates: Vec<FeatureUpdateKey>| {
        let cx = Cx {
            now_ms: 0,
            next_offset: 9,
            random: &script.random,
            is_forwarded: true,
            kraft_version: 1,
        };
        let request = UpdateFeaturesRequest::default().with_feature_updates(updates);
        let outcome = script.controller.update_features(&cx, &request);
        ErrorCode(outcome.response.error_code)
    };
    let elr = update("eligible.leader.replicas.version", 1);
    let with_version = vec![elr.clone(), update("metadata.version", 23)];
    assert_eq!(code(&script, vec![elr]), ErrorCode::INVALID_UPDATE_VERSION);
    assert_eq!(code(&script, with_version.clone()), ErrorCode::NONE);
    // Nobody knows yet what the other voter supports.
    let config = ControllerConfig {
        static_voters: vec![1, 2],
        ..(*script.controller.config).clone()
    };
    script.controller.config = config.into();
    assert_eq!(
        code(&script, with_version.clone()),
        ErrorCode::INVALID_UPDATE_VERSION
    );
    let range = |name: &str, max| RegisteredFeature {
        name: name.into(),
        min_supported_version: 0,
        max_supported_version: max,
    };
    let registration = RegisterControllerRecord {
        controller_id: 2,
        features: vec![
            range("metadata.version", 30),
            range("eligible.leader.replicas.version", 1),
        ],
        ..Default::default()
    };
    script.apply(&[registration.into()]);
    assert_eq!(code(&script, with_version.clone()), ErrorCode::NONE);
    // Before 3.7 controllers don't register, and are not waited for.
    script.apply(&[level("metadata.version", 14).into()]);
    let registration_is_not_asked = vec![update("metadata.version", 20)];
    assert_eq!(code(&script, registration_is_not_asked), ErrorCode::NONE);
}

#[test]
fn a_registration_has_to_fit_the_cluster() {
    let mut script = Script::new();
    let base = BrokerRegistrationRequest::default()
        .with_broker_id(BrokerId(1))
        .with_cluster_id(text(CLUSTER_ID))
        .with_incarnation_id(Uuid::from_u128(77))
        .with_log_dirs(vec![directory(1)]);
    let range = |name: &str, min, max| {
        Feature::default()
            .with_name(text(name))
            .with_min_supported_version(min)
            .with_max_supported_version(max)
    };
    let all = vec![
        range("metadata.version", 7, 30),
        range("kraft.version", 0, 1),
        range("eligible.leader.replicas.version", 0, 1),
    ];
    let without = |name: &str| {
        all.iter()
            .filter(|f| &*f.name != name)
            .cloned()
            .collect::<Vec<_>>()
    };
    let mut old = without("metadata.version");
    old.push(range("metadata.version", 7, 29));
    let mut unknown = all.clone();
    unknown.push(range("later.version", 0, 3));
    let reserved = vec![Uuid::from_u128(3)];
    let twice = vec![directory(1), directory(1)];
    // The outcomes are those of a real controller, asked with 23 variants of a registration.
    let cases = [
        (base.clone().with_features(unknown), ErrorCode::NONE),
        (
            base.clone().with_features(without("kraft.version")),
            ErrorCode::UNSUPPORTED_VERSION,
        ),
        (
            base.clone()
                .with_features(without("eligible.leader.replicas.version")),
            ErrorCode::UNSUPPORTED_VERSION,
        ),
        (
            base.clone().with_features(old),
            ErrorCode::UNSUPPORTED_VERSION,
        ),
        (
            base.clone().with_features(without("metadata.version")),
            ErrorCode::INVALID_REGISTRATION,
        ),
        (
            base.clone()
                .with_features(all.clone())
                .with_log_dirs(Vec::new()),
            ErrorCode::INVALID_REGISTRATION,
        ),
        (
            base.clone()
                .with_features(all.clone())
                .with_log_dirs(reserved),
            ErrorCode::INVALID_REGISTRATION,
        ),
        (
            base.clone().with_features(all.clone()).with_log_dirs(twice),
            ErrorCode::INVALID_REGISTRATION,
        ),
        (
            base.clone()
                .with_features(all.clone())
                .with_cluster_id(text("other")),
            ErrorCode::INCONSISTENT_CLUSTER_ID,
        ),
    ];
    for (request, expected) in cases {
        let cx = Cx {
            now_ms: 0,
            next_offset: 9,
            random: &script.random,
            is_forwarded: true,
            kraft_version: 1,
        };
        let outcome = script
            .controller
            .register_broker(&cx, &script.heartbeats, &request);
        let code = outcome.map_or_else(|error| error.code, |_| ErrorCode::NONE);
        assert_eq!(code, expected, "{request:?}");
    }
    script.start_broker(2);
    let taken = base.with_features(all).with_log_dirs(vec![directory(2)]);
    let cx = Cx {
        now_ms: 0,
        next_offset: 9,
        random: &script.random,
        is_forwarded: true,
        kraft_version: 1,
    };
    let error = script
        .controller
        .register_broker(&cx, &script.heartbeats, &taken)
        .unwrap_err();
    assert!(
        error
            .message()
            .starts_with("Broker 2 is already registered"),
        "{error}"
    );
    assert!(
        script
            .controller
            .image()
            .configs
            .get(&ConfigResource::broker(1))
            .is_none()
    );
}
