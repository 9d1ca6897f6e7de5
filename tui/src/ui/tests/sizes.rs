//! Every screen in every state at every size: nothing breaks, and what is missing says why.

use std::sync::Arc;

use super::{Driver, fixture};
use crate::model::{
    ClusterMetadata, ConfigResource, Fault, FaultKind, Features, Groups, Reassignments,
    SecurityUpdate, Update,
};

/// The keys that lead to each screen of a cluster from anywhere.
const SCREENS: [&str; 18] = [
    ":overview enter",
    ":brokers enter",
    ":broker space 1 enter",
    ":brokers enter c",
    ":topics enter",
    ":topic space orders enter",
    ":configs space orders enter",
    ":messages space orders enter",
    ":groups enter",
    ":group space billing enter",
    ":group space billing enter t",
    ":reassignments enter",
    ":quorum enter",
    ":changes enter",
    ":acls enter",
    ":users enter",
    ":quotas enter",
    ":transactions enter",
];

/// What is drawn over screens.
const DIALOGS: [&str; 15] = [
    ":topics enter ?",
    ":topics enter n",
    ":topics enter a",
    ":topics enter : t o p",
    ":topics enter ctrl-p",
    ":groups enter o",
    ":acls enter n",
    ":quotas enter n",
    ":brokers enter w",
    ":local enter",
    ":local enter n",
    ":clusters enter n",
    ":connectors enter",
    ":topics enter D",
    ":quorum enter tab +",
];

fn refused() -> Arc<Fault> {
    let why = "CLUSTER_AUTHORIZATION_FAILED: needs DESCRIBE permission";
    let fault = Fault::refused("ask", why).with_hint("ask an administrator for the right");
    Arc::new(fault)
}

/// A cluster that shows this user its brokers and nothing else.
fn without_rights() -> Vec<Update> {
    let metadata = ClusterMetadata {
        topics: Vec::new(),
        may_describe: Some(false),
        ..fixture::metadata()
    };
    vec![
        Update::Metadata(Ok(Arc::new(metadata))),
        Update::Groups(Ok(Arc::new(Groups::default()))),
        Update::LogDirs(Err(refused())),
        Update::Quorum(Err(refused())),
        Update::Features(Ok(Arc::new(Features::default()))),
        Update::Reassignments(Err(refused())),
        Update::Configs(ConfigResource::Broker(1), Err(refused())),
        Update::Configs(ConfigResource::Topic("orders".to_owned()), Err(refused())),
        Update::Security(SecurityUpdate::Acls(Err(refused()))),
        Update::Security(SecurityUpdate::Users(Err(refused()))),
        Update::Security(SecurityUpdate::Quotas(Err(refused()))),
        Update::Transactions(Err(refused())),
    ]
}

fn states() -> [(&'static str, Vec<Update>); 4] {
    let lost = Fault::new(FaultKind::Unreachable, "ask", "no answer within 15000 ms");
    let mut stale = fixture::all();
    stale.push(Update::Metadata(Err(Arc::new(lost))));
    let nothing = vec![
        Update::Metadata(Ok(Arc::new(ClusterMetadata::default()))),
        Update::Groups(Ok(Arc::new(Groups::default()))),
        Update::Reassignments(Ok(Arc::new(Reassignments::new()))),
    ];
    [
        ("all is read", fixture::all()),
        ("nobody answers any more", stale),
        ("there is nothing", nothing),
        ("nothing may be seen", without_rights()),
    ]
}

#[test]
fn no_size_and_no_state_breaks_a_screen() {
    for (state, updates) in states() {
        for keys in SCREENS.iter().chain(&DIALOGS) {
            let mut driver = Driver::with(updates.clone());
            driver.keys(keys);
            for width in [40, 41, 59, 80, 131, 200] {
                for height in (8..16).chain([24, 60]) {
                    let screen = driver.screen(width, height);
                    let n_lines = screen.lines().filter(|line| !line.is_empty()).count();
                    assert!(n_lines >= 3, "{state}, {keys}, {width}x{height}:\n{screen}");
                }
            }
        }
    }
}

#[test]
fn a_form_shows_the_field_that_is_filled_in_whatever_the_size() {
    for (width, height) in [(40, 8), (40, 10), (80, 24)] {
        let mut driver = Driver::with(fixture::all());
        driver.keys(":clusters enter n");
        for label in [
            "name",
            "brokers",
            "properties",
            "login",
            "user",
            "password",
            "TLS",
        ] {
            let screen = driver.screen(width, height);
            let is_shown = screen.contains(&format!("│ {label} "));
            assert!(is_shown, "{label} {width}x{height}:\n{screen}");
            let last = screen.lines().last().unwrap_or_default();
            assert!(
                last.starts_with(" enter go on"),
                "{width}x{height}:\n{screen}"
            );
            driver.keys("tab");
        }
        // The chosen one of many is seen where there is room for one.
        driver.keys("esc n tab tab tab space space space");
        let screen = driver.screen(width, height);
        assert!(
            screen.contains("(•) SCRAM-SHA-512"),
            "{width}x{height}:\n{screen}"
        );
    }
    let mut driver = Driver::with(fixture::all());
    driver.keys(":topics enter G D");
    let screen = driver.screen(40, 10);
    assert!(screen.contains("type orders to confirm:"), "{screen}");
}

#[test]
fn who_may_see_nothing_reads_on_every_screen_why_it_is_empty_and_what_to_do() {
    for keys in SCREENS {
        // What these show is asked for when they are opened.
        if keys.contains("messages") || keys.ends_with('t') || keys.ends_with("brokers enter") {
            continue;
        }
        for (width, height) in [(40, 10), (80, 24), (200, 60)] {
            let mut driver = Driver::with(without_rights());
            driver.keys(keys);
            let screen = driver.screen(width, height);
            let words: Vec<&str> = screen.split_whitespace().collect();
            let text = words.join(" ");
            assert!(
                text.contains("may not describe the clus"),
                "{keys} {width}x{height}:\n{screen}"
            );
            for lie in ["all is well", "reading …", "there are no", "controller 1"] {
                assert!(
                    !text.contains(lie),
                    "{lie}: {keys} {width}x{height}:\n{screen}"
                );
            }
            if height > 10 && !keys.contains("changes") && !keys.contains("group space") {
                assert!(
                    text.contains("administrator"),
                    "{keys} {width}x{height}:\n{screen}"
                );
            }
        }
    }
}

/// Twenty topics and twenty groups.
fn twenty() -> Vec<Update> {
    let topic = |n: usize| {
        let partition = fixture::partition(0, 1, &[1, 2], &[1, 2]);
        fixture::topic(&format!("a-topic-of-some-length-{n:02}"), vec![partition])
    };
    let metadata = ClusterMetadata {
        topics: (0..20).map(topic).collect(),
        ..fixture::metadata()
    };
    vec![Update::Metadata(Ok(Arc::new(metadata)))]
}

#[test]
fn twenty_rows_fit_into_a_terminal_of_eighty_by_twenty_four_and_none_is_broken() {
    let mut driver = Driver::with(twenty());
    driver.keys("3");
    let screen = driver.screen(80, 24);
    let rows = screen
        .lines()
        .filter(|line| line.contains("a-topic-of-some"));
    let rows: Vec<&str> = rows.collect();
    assert_eq!(rows.len(), 20, "{screen}");
    assert!(rows.iter().all(|row| row.contains("  ok")), "{screen}");
    let hints = screen.lines().last().unwrap_or_default();
    assert!(
        hints.starts_with(" ? help") && !hints.contains('…'),
        "{screen}"
    );
}

#[test]
fn no_number_is_cut_while_a_name_has_blanks_beside_it() {
    for width in [80, 100, 160, 200] {
        let mut driver = Driver::with(fixture::all());
        driver.keys("3");
        let screen = driver.screen(width, 24);
        let row = screen.lines().find(|line| line.contains("orders"));
        assert!(row.is_some_and(|row| row.contains("3,000,000")), "{screen}");
        driver.keys("4");
        let screen = driver.screen(width, 24);
        assert!(!screen.contains("1…"), "{screen}");
    }
}

#[test]
fn what_is_drawn_has_one_width_everywhere_and_needs_no_special_font() {
    let is_plain = |c: char| {
        c.is_ascii() && !c.is_ascii_control()
            || ('\u{2500}'..='\u{259f}').contains(&c)
            || "…›≥≤▲▼●•·→←↑↓✓✗█░▐".contains(c)
    };
    for (state, updates) in states() {
        for keys in SCREENS.iter().chain(&DIALOGS) {
            let mut driver = Driver::with(updates.clone());
            driver.keys(keys);
            let screen = driver.screen(120, 40);
            let odd: String = screen
                .chars()
                .filter(|c| *c != '\n' && !is_plain(*c))
                .collect();
            assert_eq!(odd, "", "{state}, {keys}:\n{screen}");
        }
    }
}
