//! How long a cluster of three is without a leader or a controller when a node is killed or paused,
//! and what a rolling restart costs. All nodes have both roles and Kafka's default settings.
//!
//! The ordinary case runs each event once on ours. `FAILOVER_ROUNDS=N` repeats them; with
//! `FAILOVER_APACHE=1` the same is measured on three nodes of Apache Kafka. Times are printed, and
//! no time is a condition: they are the machine's too.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponsePartition;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    BrokerId, CreateTopicsRequest, DescribeQuorumRequest, ElectLeadersRequest, MetadataRequest,
    ProduceRequest,
};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::client::{Connection, ConnectionConfig, SendOptions};
use kafka_shared::error::ErrorCode;
use kafka_shared::protocol::Request;
use kafka_shared::record::builder::BatchBuilder;
use kafka_shared::time::{Clock as _, SystemClock};
use kafka_shared::types::Endpoint;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::Case;
use crate::load::name;
use crate::node::Kind;
use crate::trio::{IDS, Jvm, Trio};

const TOPIC: &str = "t";
/// Who asks a node that is paused soon asks another one.
const PATIENCE_MS: u64 = 300;
/// How long anything may take before the case fails.
const DEADLINE: Duration = Duration::from_secs(90);

pub fn cases() -> Vec<Case> {
    vec![Case::new(
        "failover: three nodes of ours go on when one is killed or paused, and through a restart of each",
        || run(Kind::Ours),
    )]
    .into_iter()
    .chain(std::env::var_os("FAILOVER_APACHE").map(|_| {
        Case::new("failover: three nodes of Apache Kafka", || run(Kind::Apache))
    }))
    .collect()
}

fn endpoints(trio: &Trio) -> BTreeMap<i32, Endpoint> {
    let endpoint = |id| (id, trio.address(id).parse().expect("an address"));
    IDS.map(endpoint).into()
}

/// Connections to the nodes; one that doesn't answer in time is given up.
struct Asker {
    endpoints: BTreeMap<i32, Endpoint>,
    connections: BTreeMap<i32, Connection>,
}

impl Asker {
    fn new(endpoints: BTreeMap<i32, Endpoint>) -> Self {
        Self {
            endpoints,
            connections: BTreeMap::new(),
        }
    }

    async fn ask<R: Request>(
        &mut self,
        id: i32,
        request: R,
        options: SendOptions,
    ) -> Result<R::Response, String> {
        let known = self.connections.get(&id).filter(|known| known.is_usable());
        let connection = match known.cloned() {
            Some(connection) => connection,
            None => {
                let config = ConnectionConfig {
                    connect_timeout_ms: PATIENCE_MS,
                    request_timeout_ms: PATIENCE_MS,
                    ..ConnectionConfig::default()
                };
                let made = Connection::connect(&self.endpoints[&id], &config).await;
                let made = made.map_err(|_| "can't connect".to_owned())?;
                self.connections.insert(id, made.clone());
                made
            }
        };
        let answer = connection.send_with(request, options).await;
        answer.map_err(|error| {
            self.connections.remove(&id);
            match error {
                kafka_shared::client::ClientError::Timeout { .. } => "no answer".to_owned(),
                kafka_shared::client::ClientError::Closed { .. } => "connection closed".to_owned(),
                other => other.to_string(),
            }
        })
    }

    /// A partition as the node knows it.
    async fn partition(&mut self, id: i32, partition: i32) -> Option<MetadataResponsePartition> {
        let topic = MetadataRequestTopic::default().with_name(Some(name(TOPIC)));
        let request = MetadataRequest::default()
            .with_topics(Some(vec![topic]))
            .with_allow_auto_topic_creation(false);
        let response = self.ask(id, request, SendOptions::default()).await.ok()?;
        let found = response.topics.into_iter().flat_map(|t| t.partitions);
        found
            .into_iter()
            .find(|found| found.partition_index == partition)
    }

    /// The leader of the metadata quorum, as the node knows it.
    async fn quorum_leader(&mut self, id: i32) -> Option<i32> {
        let partition = PartitionData::default().with_partition_index(0);
        let topic = TopicData::default()
            .with_topic_name(name("__cluster_metadata"))
            .with_partitions(vec![partition]);
        let request = DescribeQuorumRequest::default().with_topics(vec![topic]);
        let response = self.ask(id, request, SendOptions::default()).await.ok()?;
        let partition = response.topics.first()?.partitions.first()?;
        (partition.error_code == 0 && partition.leader_id.0 >= 0).then_some(partition.leader_id.0)
    }

    /// Creates a topic through this node; true when that is done.
    async fn create(&mut self, id: i32, topic: CreatableTopic) -> bool {
        let request = CreateTopicsRequest::default()
            .with_timeout_ms(5000)
            .with_topics(vec![topic]);
        let options = SendOptions {
            timeout_ms: Some(5000),
            ..SendOptions::default()
        };
        let created = self.ask(id, request, options).await;
        created.is_ok_and(|response| response.topics[0].error_code == 0)
    }
}

/// What a writer has seen.
#[derive(Debug, Default)]
struct Seen {
    n_acknowledged: usize,
    last_ms: i64,
    longest_gap_ms: i64,
    failures: BTreeMap<String, usize>,
}

impl Seen {
    fn note(&mut self, outcome: Result<(), String>, now_ms: i64) {
        match outcome {
            Ok(()) => {
                self.n_acknowledged += 1;
                self.longest_gap_ms = self.longest_gap_ms.max(now_ms - self.last_ms);
                self.last_ms = now_ms;
            }
            Err(why) => *self.failures.entry(why).or_default() += 1,
        }
    }
}

/// Produces to a partition with acks=all until told to stop; a failed request is sent again, to
/// whom a node names as leader.
async fn write(mut asker: Asker, partition: i32, seen: Arc<Mutex<Seen>>, stop: Arc<AtomicBool>) {
    let clock = SystemClock::new();
    seen.lock().last_ms = clock.monotonic_ms();
    let mut leader = None;
    let mut next = partition;
    while !stop.load(Ordering::Relaxed) {
        let Some(id) = leader else {
            next = (next + 1) % 3;
            let found = asker.partition(IDS[usize::try_from(next).unwrap_or(0)], partition);
            let found = found.await.map(|found| found.leader_id.0);
            leader = found.filter(|id| *id >= 0);
            if leader.is_none() {
                sleep(Duration::from_millis(10)).await;
            }
            continue;
        };
        let outcome = produce(&mut asker, id, partition).await;
        if outcome.is_err() {
            leader = None;
        }
        seen.lock().note(outcome, clock.monotonic_ms());
        sleep(Duration::from_millis(2)).await;
    }
}

async fn produce(asker: &mut Asker, id: i32, partition: i32) -> Result<(), String> {
    let mut batch = BatchBuilder::new();
    let appended = batch.append(0, None, Some(&[b'x'; 200]), &[]);
    appended.expect("a small record");
    let records: Bytes = batch.build();
    let data = PartitionProduceData::default()
        .with_index(partition)
        .with_records(Some(records));
    let topic = TopicProduceData::default()
        .with_name(name(TOPIC))
        .with_partition_data(vec![data]);
    let request = ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(1500)
        .with_topic_data(vec![topic]);
    let options = SendOptions {
        version_max: Some(12),
        timeout_ms: Some(PATIENCE_MS),
    };
    let response = asker.ask(id, request, options).await?;
    match ErrorCode(response.responses[0].partition_responses[0].error_code) {
        ErrorCode::NONE => Ok(()),
        code => Err(code.name().to_owned()),
    }
}

/// A writer for each partition.
struct Load {
    seen: Vec<Arc<Mutex<Seen>>>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(endpoints: &BTreeMap<i32, Endpoint>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen: Vec<Arc<Mutex<Seen>>> = IDS.iter().map(|_| Arc::default()).collect();
        let tasks = (0..)
            .zip(&seen)
            .map(|(partition, seen)| {
                let asker = Asker::new(endpoints.clone());
                let writer = write(asker, partition, Arc::clone(seen), Arc::clone(&stop));
                kafka_shared::task::spawn("writer", writer)
            })
            .collect();
        Self { seen, stop, tasks }
    }

    /// Waits until every partition has taken so many more.
    async fn go_on(&self, n_records: usize) -> anyhow::Result<()> {
        let before: Vec<usize> = self.seen.iter().map(|s| s.lock().n_acknowledged).collect();
        let is_done = |()| {
            let now = self.seen.iter().map(|s| s.lock().n_acknowledged);
            now.zip(&before)
                .all(|(now, before)| now >= before + n_records)
        };
        until("writes go on", async || is_done(())).await
    }

    async fn end(self) -> Vec<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("a writer");
        }
        self.seen
            .iter()
            .map(|s| std::mem::take(&mut *s.lock()))
            .collect()
    }
}

async fn until(what: &str, mut is_done: impl AsyncFnMut() -> bool) -> anyhow::Result<()> {
    let started = Instant::now();
    while !is_done().await {
        ensure!(
            started.elapsed() < DEADLINE,
            "{what}: not within {DEADLINE:?}"
        );
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Every node leads the partition of its own and knows all three in sync.
async fn settle(trio: &Trio) -> anyhow::Result<i32> {
    let mut asker = Asker::new(endpoints(trio));
    let mut seen = String::new();
    let mut controller = None;
    let settled = until("all are in sync, each leads one", async || {
        for id in IDS {
            for (partition, leader) in (0..).zip(IDS) {
                let Some(found) = asker.partition(id, partition).await else {
                    return false;
                };
                seen = format!("{id}: {found:?}");
                if found.isr_nodes.len() < 3 {
                    return false;
                }
                if found.leader_id.0 != leader {
                    let elect = ElectLeadersRequest::default()
                        .with_timeout_ms(1000)
                        .with_topic_partitions(None);
                    // It is looked at again, and asked for again.
                    let _asked = asker.ask(leader, elect, SendOptions::default()).await;
                    return false;
                }
            }
        }
        controller = asker.quorum_leader(1).await;
        controller.is_some()
    });
    settled.await.with_context(|| seen.clone())?;
    controller.context("a controller")
}

fn topic_of(topic: String, assignments: &[[i32; 3]], min_isr: usize) -> CreatableTopic {
    let assign = |(idx, replicas): (i32, &[i32; 3])| {
        CreatableReplicaAssignment::default()
            .with_partition_index(idx)
            .with_broker_ids(replicas.iter().copied().map(BrokerId).collect())
    };
    let config = CreatableTopicConfig::default()
        .with_name(StrBytes::from_static_str("min.insync.replicas"))
        .with_value(Some(StrBytes::from_string(min_isr.to_string())));
    CreatableTopic::default()
        .with_name(name(&topic))
        .with_num_partitions(if assignments.is_empty() { 1 } else { -1 })
        .with_replication_factor(if assignments.is_empty() { 1 } else { -1 })
        .with_assignments((0..).zip(assignments).map(assign).collect())
        .with_configs(vec![config])
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Kill,
    Pause,
}

/// How long it took from the event on, in milliseconds.
struct Figures {
    /// The longest time without an acknowledged write, of all partitions.
    writes: i64,
    /// Until a new controller was known, and until it had created a topic.
    controller: Option<(u128, u128)>,
    /// From the node's return until all replicas are in sync and led as before.
    back: u128,
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "writes went on after {} ms", self.writes)?;
        if let Some((elected, created)) = self.controller {
            write!(f, ", new controller after {elected} ms")?;
            write!(f, ", topic created after {created} ms")?;
        }
        write!(f, "; back in sync {} ms after its return", self.back)
    }
}

/// One event that befalls the node with the active controller, or another one.
async fn befall(
    trio: &mut Trio,
    event: Event,
    on_controller: bool,
    number: usize,
) -> anyhow::Result<Figures> {
    let controller = settle(trio).await?;
    let other = IDS[(usize::try_from(controller).unwrap_or(0)) % 3];
    let victim = if on_controller { controller } else { other };
    let load = Load::start(&endpoints(trio));
    load.go_on(50).await?;
    for seen in &load.seen {
        seen.lock().longest_gap_ms = 0;
    }
    let started = Instant::now();
    match event {
        Event::Kill => trio.kill(victim),
        Event::Pause => trio.pause(victim)?,
    }
    let alive: Vec<i32> = IDS.into_iter().filter(|id| *id != victim).collect();
    let mut times = None;
    if on_controller {
        let mut asker = Asker::new(endpoints(trio));
        until("a new controller", async || {
            let leader = asker.quorum_leader(alive[0]).await;
            leader.is_some_and(|leader| leader != victim)
        })
        .await?;
        let elected = started.elapsed().as_millis();
        let mut attempt = 0;
        until("a topic is created", async || {
            attempt += 1;
            let topic = topic_of(format!("c-{number}-{attempt}"), &[], 1);
            asker.create(alive[attempt % 2], topic).await
        })
        .await?;
        times = Some((elected, started.elapsed().as_millis()));
    }
    load.go_on(20).await?;
    let seen = load.end().await;
    let writes = seen.iter().map(|seen| seen.longest_gap_ms).max();
    match event {
        Event::Kill => trio.spawn(victim)?,
        Event::Pause => trio.resume(victim)?,
    }
    let returned = Instant::now();
    trio.wait_up(victim)?;
    settle(trio).await?;
    Ok(Figures {
        writes: writes.unwrap_or(0),
        controller: times,
        back: returned.elapsed().as_millis(),
    })
}

async fn rolling_restart(trio: &mut Trio) -> anyhow::Result<String> {
    settle(trio).await?;
    let load = Load::start(&endpoints(trio));
    load.go_on(100).await?;
    let mut stops = Vec::new();
    for id in IDS {
        let started = Instant::now();
        trio.stop(id)?;
        stops.push(started.elapsed().as_millis());
        load.go_on(20).await?;
        trio.spawn(id)?;
        trio.wait_up(id)?;
        settle(trio).await?;
        load.go_on(100).await?;
    }
    let seen = load.end().await;
    let mut failures: BTreeMap<String, usize> = BTreeMap::new();
    for (why, n) in seen.iter().flat_map(|seen| &seen.failures) {
        *failures.entry(why.clone()).or_default() += n;
    }
    let n: usize = seen.iter().map(|seen| seen.n_acknowledged).sum();
    let gap = seen.iter().map(|seen| seen.longest_gap_ms).max();
    Ok(format!(
        "{n} acknowledged, failed {failures:?}, longest gap {} ms, stops took {stops:?} ms",
        gap.unwrap_or(0)
    ))
}

async fn measure(trio: &mut Trio, rounds: usize) -> anyhow::Result<()> {
    let mut asker = Asker::new(endpoints(trio));
    let topic = topic_of(TOPIC.into(), &[[1, 2, 3], [2, 3, 1], [3, 1, 2]], 2);
    until("the topic is there", async || {
        asker.create(1, topic.clone()).await || asker.partition(1, 2).await.is_some()
    })
    .await?;
    let kind = trio.kind(1);
    for round in 0..rounds {
        for (idx, (event, on_controller)) in [
            (Event::Kill, false),
            (Event::Kill, true),
            (Event::Pause, false),
            (Event::Pause, true),
        ]
        .into_iter()
        .enumerate()
        {
            let figures = befall(trio, event, on_controller, round * 4 + idx).await?;
            let whom = if on_controller {
                "the active controller"
            } else {
                "another node"
            };
            println!("     {kind:?} {event:?} of {whom}: {figures}");
        }
    }
    let restarted = rolling_restart(trio).await?;
    println!("     {kind:?} rolling restart: {restarted}");
    Ok(())
}

fn run(kind: Kind) -> anyhow::Result<()> {
    let rounds = std::env::var("FAILOVER_ROUNDS").ok();
    let rounds = rounds.and_then(|n| n.parse().ok()).unwrap_or(1);
    let mut trio = Trio::start([kind; 3], Jvm::Small, "")?;
    let runtime = tokio::runtime::Runtime::new()?;
    let measured = runtime.block_on(measure(&mut trio, rounds));
    measured.with_context(|| trio.logs())
}
