//! The manager's cluster layer against a running cluster: one that this test starts in its own
//! process, or the one that `KAFKA_BOOTSTRAP` names; and the real program in a pseudo-terminal.

mod asking;
mod browse;
mod cluster;
mod connectors;
mod declared;
mod front;
mod groups;
mod local_cluster;
mod messages;
mod metrics;
mod offsets;
mod produce;
mod quorum;
mod recording;
mod rolling;
mod screens;
mod security;
#[allow(dead_code, reason = "the interoperability tests use the rest")]
mod terminal;
mod top;
#[allow(dead_code, reason = "the interoperability tests use the rest")]
mod transaction;
mod worker;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use kafka_broker::testing::TestBroker;
use kafka_shared::time::SystemClock;
use kafka_shared::types::{Endpoint, random_uuid, uuid_to_base64};
use kafka_tui::cluster::{ClusterClient, ConnectOptions};
use kafka_tui::model::{ClusterSnapshot, Update};
use kafka_tui::ops::{self, Action, Report, Verification};

/// Nothing here takes longer than this on a sound cluster.
const DEADLINE: Duration = Duration::from_secs(60);

/// Groups form at once, and their topic is small.
const SETTINGS: [&str; 2] = [
    "group.initial.rebalance.delay.ms=100",
    "offsets.topic.num.partitions=2",
];

/// Runs a test against a cluster.
fn with_cluster<F: Future<Output = ()>>(test: impl FnOnce(Vec<Endpoint>) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be made");
    runtime.block_on(async {
        let Ok(named) = std::env::var("KAFKA_BOOTSTRAP") else {
            let broker = TestBroker::start(&SETTINGS)
                .await
                .expect("the broker starts");
            let bootstrap = vec![broker.bootstrap().parse().expect("host:port")];
            tokio::time::timeout(DEADLINE, test(bootstrap))
                .await
                .expect("the test ends in time");
            return broker.stop().await.expect("the broker stops in order");
        };
        let bootstrap = named
            .split(',')
            .map(|each| each.parse().expect("host:port"))
            .collect();
        tokio::time::timeout(DEADLINE, test(bootstrap))
            .await
            .expect("the test ends in time");
    });
}

fn client(bootstrap: &[Endpoint]) -> ClusterClient {
    let options = ConnectOptions::new(bootstrap.to_vec());
    ClusterClient::new(options, Arc::new(SystemClock::new()))
}

/// A name that no other test uses.
fn unique(prefix: &str) -> String {
    let id = uuid_to_base64(random_uuid());
    format!("{prefix}-{}", &id[..8])
}

/// What is known of a cluster: as much as planning needs.
async fn snapshot(client: &ClusterClient) -> ClusterSnapshot {
    let mut snapshot = ClusterSnapshot::default();
    let metadata = Arc::new(client.metadata().await.expect("metadata"));
    let groups = client.groups().await.expect("groups");
    snapshot.apply(Update::Metadata(Ok(metadata)), client.now());
    snapshot.apply(Update::Groups(Ok(Arc::new(groups))), client.now());
    let running = client.reassignments().await.map(Arc::new).map_err(Arc::new);
    snapshot.apply(Update::Reassignments(running), client.now());
    snapshot
}

/// Plans, checks, executes and verifies an action, which must succeed.
async fn make(client: &ClusterClient, action: Action) -> Report {
    let plan = ops::plan(action, &snapshot(client).await).expect("it can be planned");
    let check = ops::check(client, &plan).await.expect("it can be checked");
    assert!(check.is_success(), "{check:?}");
    let report = ops::execute(client, &plan)
        .await
        .expect("it can be executed");
    assert!(report.is_success(), "{report:?}");
    eventually("it is as planned", || async {
        matches!(ops::verify(client, &plan).await, Ok(Verification::Done))
    })
    .await;
    report
}

/// Waits for a condition; the test's deadline is the limit.
async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    for _ in 0..400 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not in time: {what}");
}
