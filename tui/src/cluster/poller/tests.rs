use kafka_shared::time::MockClock;

use super::*;
use crate::cluster::ConnectOptions;
use crate::model::{FaultKind, GroupKind};

#[test]
fn failures_in_a_row_double_the_pause_up_to_a_limit() {
    let pauses: Vec<u64> = (0..6).map(|n| pause_ms(2_000, n)).collect();
    assert_eq!(pauses, [2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
    assert_eq!(
        pause_ms(30_000, 3),
        30_000,
        "a slow part does not get faster by failing"
    );
    assert_eq!(pause_ms(2_000, u32::MAX), 15_000);
}

#[test]
fn groups_on_the_screen_are_read_first_and_once() {
    let group = |id: String| Group {
        id: Arc::from(id),
        kind: GroupKind::Classic,
        state: None,
        protocol_type: Arc::from("consumer"),
        coordinator: 1,
    };
    let mut groups = Groups::default();
    for n in 0..450 {
        let group = group(format!("g{n:03}"));
        groups.groups.insert(Arc::clone(&group.id), Arc::new(group));
    }
    let mut interest = Interest {
        groups: vec!["g449".into(), "gone".into()],
        ..Interest::default()
    };
    let ids = |interest: &Interest| -> Vec<Vec<String>> {
        let batches = wanted_groups(interest, &groups);
        batches
            .iter()
            .map(|b| b.iter().map(|group| group.id.to_string()).collect())
            .collect()
    };
    assert_eq!(ids(&interest), [["g449"]]);
    interest.all_groups = true;
    let batches = ids(&interest);
    assert_eq!(
        batches.iter().map(Vec::len).collect::<Vec<_>>(),
        [1, 200, 200, 49]
    );
    let mut all: Vec<String> = batches.into_iter().flatten().collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 450);
}

#[test]
fn an_unreachable_cluster_is_told_and_tried_again_until_the_handle_is_dropped() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = free.local_addr().unwrap().to_string().parse().unwrap();
        drop(free);
        let options = ConnectOptions::new(vec![endpoint]);
        let client = ClusterClient::new(options, Arc::new(MockClock::new(0)));
        let intervals = PollIntervals {
            metadata_ms: 1,
            ..PollIntervals::default()
        };
        let (handle, mut updates) = Poller::start(client, intervals, Interest::default());
        let mut n_failures = 0;
        while n_failures < 2 {
            match updates.recv().await.expect("it goes on").0 {
                Update::Metadata(result) => {
                    assert!(result.is_err());
                    n_failures += 1;
                }
                update => assert!(is_failure(&update), "nothing can succeed: {update:?}"),
            }
        }
        drop(handle);
        while updates.recv().await.is_some() {}
    });
}

#[test]
fn what_misses_the_part_of_a_silent_broker_is_no_whole_answer() {
    let whole = LogDirs::default();
    let mut partial = LogDirs::default();
    let silent = Fault::new(FaultKind::Unreachable, "read sizes", "no answer");
    partial.faults.insert(3, Arc::new(silent));
    assert!(!is_partial(&Update::LogDirs(Ok(Arc::new(whole)))));
    let update = Update::LogDirs(Ok(Arc::new(partial)));
    assert!(is_partial(&update) && !is_failure(&update));
}
