//! Stock clients that go on while nodes are restarted and killed and everything moves: each client
//! produces, and reads in a group of its own what it has produced.
//!
//! What was acknowledged is read, and is in the log (once, where the producer promises it); committed
//! offsets never go back, and in the end they are the ends of the logs.
//!
//! `KAFKA_INTEROP_THROUGH=N` does N rounds of everything on each kind of cluster, also with pauses.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, BrokerId, DescribeQuorumRequest, ElectLeadersRequest,
    GroupId, OffsetFetchRequest,
};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::client::{Client, CoordinatorType, Route, SendOptions};
use kafka_shared::error::ErrorCode;
use kafka_shared::record::batch::batches;
use kafka_shared::record::iter::records;
use kafka_shared::types::METADATA_TOPIC_NAME;
use parking_lot::Mutex;

use crate::Case;
use crate::admin::Admin;
use crate::clients::StockClient;
use crate::load::name;
use crate::mixed::segments;
use crate::node::Kind;
use crate::shell;
use crate::trio::{IDS, Jvm, Trio};

/// Short times, so that the cases need not wait.
const SETTINGS: &str = "broker.session.timeout.ms=6000\nbroker.heartbeat.interval.ms=1000\n\
                        replica.lag.time.max.ms=5000\ngroup.initial.rebalance.delay.ms=0\n\
                        auto.leader.rebalance.enable=false\nlog.cleaner.dedupe.buffer.size=4194304";
const PARTITIONS: i32 = 3;
const OFFSETS_PARTITIONS: i32 = 6;
const MEMBERS: &str = "2";
/// How long a client may take until it has acknowledged and read something new.
const ON_WITHIN: Duration = Duration::from_secs(120);
/// The newest version of OffsetFetch that asks for one group.
const ONE_GROUP: i16 = 7;

/// What happens to the cluster while clients work.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// SIGTERM and a start, all nodes in turn.
    RestartAll,
    Restart(i32),
    Kill(i32),
    /// kill -9 of the active controller.
    KillController,
    /// kill -9 of the node that leads the most, which is where [`Step::MoveAll`] went.
    KillLeader,
    /// The node that leads the most hangs until others lead. Some clients wait for it for minutes, so
    /// it returns before they have to go on.
    PauseLeader,
    /// All partitions, also those of the coordinators, are led by another node.
    MoveAll,
}

pub fn cases() -> Vec<Case> {
    use Kind::{Apache, Ours};
    use Step::{Kill, KillController, KillLeader, MoveAll, PauseLeader, Restart, RestartAll};
    let rounds = rounds();
    let plan = |short: Vec<Step>| match rounds {
        None => short,
        Some(rounds) => {
            let all = [RestartAll, MoveAll, KillLeader, KillController, PauseLeader];
            all.into_iter().cycle().take(rounds * all.len()).collect()
        }
    };
    let case = |name: &str, kinds: [Kind; 3], plan: Vec<Step>| {
        Case::new(
            format!("through: groups of stock clients on {name}"),
            move || groups_go_on(kinds, &plan),
        )
    };
    vec![
        case(
            "three of our nodes, restarted and killed",
            [Ours; 3],
            plan(vec![RestartAll, MoveAll, KillLeader, KillController]),
        ),
        case(
            "two of Apache's nodes and one of ours",
            [Apache, Ours, Apache],
            plan(vec![MoveAll, Kill(2), Restart(1)]),
        ),
        case(
            "one of Apache's nodes and two of ours",
            [Ours, Apache, Ours],
            plan(vec![MoveAll, Restart(3), Kill(2)]),
        ),
    ]
}

/// How many rounds of everything are wanted; `None` is the usual, short run.
pub fn rounds() -> Option<usize> {
    std::env::var("KAFKA_INTEROP_THROUGH").ok()?.parse().ok()
}

/// A client's program and what it has said so far.
struct Running {
    client: StockClient,
    process: Child,
    said: Arc<Mutex<Said>>,
    reader: Option<std::thread::JoinHandle<()>>,
}

#[derive(Debug, Default, Clone)]
struct Said {
    n_acked: usize,
    n_seen: usize,
    last: HashMap<String, Vec<String>>,
    other: Vec<String>,
}

impl Said {
    fn line(&mut self, line: &str) {
        let mut words = line.split_whitespace().map(str::to_owned);
        match words.next().as_deref() {
            Some("at") => {
                let mut number = || words.next()?.parse().ok();
                (self.n_acked, self.n_seen) =
                    (number().unwrap_or_default(), number().unwrap_or_default());
            }
            Some(word @ ("failed" | "acked" | "seen")) => {
                self.last.insert(word.to_owned(), words.collect());
            }
            _ if self.other.len() < 50 => self.other.push(line.to_owned()),
            _ => {}
        }
    }

    fn numbers(&self, word: &str) -> anyhow::Result<BTreeSet<usize>> {
        let words = self.last.get(word).with_context(|| format!("no {word}"))?;
        Ok(words.iter().map(|n| n.parse()).collect::<Result<_, _>>()?)
    }
}

impl Running {
    fn start(client: StockClient, bootstrap: &str) -> anyhow::Result<Self> {
        let mut command = client.command()?;
        command.args([
            "through",
            bootstrap,
            &topic(client),
            &group(client),
            MEMBERS,
        ]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        // Clients complain at length about what is done to them here.
        command.stderr(Stdio::null());
        let mut process = command.spawn().context("start a client")?;
        let stdout = process.stdout.take().context("a pipe")?;
        let said = Arc::new(Mutex::new(Said::default()));
        let sink = Arc::clone(&said);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                sink.lock().line(&line);
            }
        });
        Ok(Self {
            client,
            process,
            said,
            reader: Some(reader),
        })
    }

    /// Ends its standard input, and gives what it says in the end.
    fn end(&mut self) -> anyhow::Result<Said> {
        drop(self.process.stdin.take());
        let mut status = None;
        let ended = shell::wait_until(ON_WITHIN, || {
            status = self.process.try_wait().ok().flatten();
            status.is_some()
        });
        if !ended {
            shell::kill(&mut self.process);
        }
        if let Some(reader) = self.reader.take() {
            drop(reader.join());
        }
        let said = self.said.lock().clone();
        match status {
            Some(status) if status.success() => Ok(said),
            _ => bail!("{:?} ended with {status:?}: {said:?}", self.client),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        shell::kill(&mut self.process);
    }
}

fn topic(client: StockClient) -> String {
    format!("through-{client:?}")
}

fn group(client: StockClient) -> String {
    format!("readers-{client:?}")
}

fn groups_go_on(kinds: [Kind; 3], plan: &[Step]) -> anyhow::Result<()> {
    let mut trio = Trio::start(kinds, Jvm::Small, SETTINGS)?;
    let result = go_on(&mut trio, plan);
    result.with_context(|| trio.logs())
}

fn go_on(trio: &mut Trio, plan: &[Step]) -> anyhow::Result<()> {
    let admin = Admin::at(&trio.bootstrap())?;
    let order: [&[i32]; 3] = [&[1, 2, 3], &[2, 3, 1], &[3, 1, 2]];
    for client in StockClient::ALL {
        admin.create(&topic(client), 2, &order)?;
    }
    let commits = Commits::watch(&admin);
    let started = StockClient::ALL.map(|client| Running::start(client, &trio.bootstrap()));
    let mut running = Vec::new();
    for client in started {
        running.push(client?);
    }
    all_go_on(&mut running).context("at the begin")?;
    for step in plan {
        let watch = shell::Stopwatch::start();
        carry_out(trio, &admin, &mut running, *step).with_context(|| format!("{step:?}"))?;
        println!("     {step:?}: {:.1} s", watch.elapsed().as_secs_f64());
    }
    for client in StockClient::ALL {
        (0..PARTITIONS).try_for_each(|p| admin.until_in_sync(&topic(client), p, IDS.len()))?;
    }
    let mut ended = Vec::new();
    for client in &mut running {
        ended.push((client.client, client.end()?));
    }
    let n_looks = commits.stop(&admin)?;
    println!("     {n_looks} looks at the committed offsets");
    let has_crashes = plan
        .iter()
        .any(|step| !matches!(step, Step::RestartAll | Step::MoveAll));
    for (client, said) in ended {
        check(trio, &admin, client, &said, has_crashes).with_context(|| format!("{client:?}"))?;
    }
    Ok(())
}

/// Waits until every client has acknowledged and read something more.
fn all_go_on(running: &mut [Running]) -> anyhow::Result<()> {
    const MORE: usize = 20;
    let before: Vec<Said> = running
        .iter()
        .map(|client| client.said.lock().clone())
        .collect();
    let goes_on = |client: &Running, before: &Said| {
        let said = client.said.lock();
        said.n_acked >= before.n_acked + MORE && said.n_seen >= before.n_seen + MORE
    };
    let went_on = shell::wait_until(ON_WITHIN, || {
        running
            .iter()
            .zip(&before)
            .all(|(client, before)| goes_on(client, before))
    });
    if went_on {
        return Ok(());
    }
    let stuck = running.iter_mut().zip(&before);
    let stuck: Vec<String> = stuck
        .filter(|(client, before)| !goes_on(client, before))
        .map(|(client, before)| {
            let said = client.said.lock();
            format!(
                "{:?} has {} acknowledged and {} read, and had {} and {}; it ended with {:?}; {:?}",
                client.client,
                said.n_acked,
                said.n_seen,
                before.n_acked,
                before.n_seen,
                client.process.try_wait(),
                said.other,
            )
        })
        .collect();
    bail!("{}", stuck.join("\n"))
}

fn carry_out(
    trio: &mut Trio,
    admin: &Admin,
    running: &mut [Running],
    step: Step,
) -> anyhow::Result<()> {
    match step {
        Step::RestartAll => {
            for id in IDS {
                trio.stop(id)?;
                trio.up(id)?;
                until_whole(admin)?;
            }
            all_go_on(running)
        }
        Step::Restart(id) => {
            trio.stop(id)?;
            all_go_on(running)?;
            trio.up(id)?;
            until_whole(admin)
        }
        Step::Kill(id) => kill(trio, admin, running, id),
        Step::KillController => kill(trio, admin, running, controller(admin)?),
        Step::KillLeader => kill(trio, admin, running, busiest(admin)?),
        Step::PauseLeader => {
            let id = busiest(admin)?;
            trio.pause(id)?;
            let is_led_by_others = || {
                let mut leaders = (all_partitions().into_iter())
                    .map(|(topic, partition)| admin.leader(&topic, partition).unwrap_or(id));
                leaders.all(|leader| leader >= 0 && leader != id)
            };
            let moved = shell::wait_until(ON_WITHIN, is_led_by_others);
            trio.resume(id)?;
            ensure!(moved, "node {id} hangs, and still leads");
            all_go_on(running)?;
            until_whole(admin)
        }
        Step::MoveAll => {
            let to = IDS[usize::try_from(busiest(admin)?)? % IDS.len()];
            move_all(admin, to)?;
            all_go_on(running)
        }
    }
}

fn kill(trio: &mut Trio, admin: &Admin, running: &mut [Running], id: i32) -> anyhow::Result<()> {
    trio.kill(id);
    all_go_on(running).with_context(|| format!("node {id} killed"))?;
    trio.up(id)?;
    until_whole(admin)
}

/// The partitions of the clients' topics and of the coordinators.
fn all_partitions() -> Vec<(String, i32)> {
    let of = |topic: &str, n: i32| -> Vec<(String, i32)> {
        (0..n)
            .map(|partition| (topic.to_owned(), partition))
            .collect()
    };
    let mut all = of("__consumer_offsets", OFFSETS_PARTITIONS);
    for client in StockClient::ALL {
        all.extend(of(&topic(client), PARTITIONS));
    }
    all
}

fn until_whole(admin: &Admin) -> anyhow::Result<()> {
    (all_partitions().iter())
        .try_for_each(|(topic, partition)| admin.until_in_sync(topic, *partition, IDS.len()))
}

/// Makes a node the first replica of all partitions, and has it elected.
fn move_all(admin: &Admin, to: i32) -> anyhow::Result<()> {
    let mut order = vec![BrokerId(to)];
    order.extend(IDS.into_iter().filter(|id| *id != to).map(BrokerId));
    let mut reassigned: BTreeMap<String, Vec<ReassignablePartition>> = BTreeMap::new();
    for (topic, partition) in all_partitions() {
        let partition = ReassignablePartition::default()
            .with_partition_index(partition)
            .with_replicas(Some(order.clone()));
        reassigned.entry(topic).or_default().push(partition);
    }
    let topics = reassigned.into_iter().map(|(topic, partitions)| {
        ReassignableTopic::default()
            .with_name(name(&topic))
            .with_partitions(partitions)
    });
    let reassign = AlterPartitionReassignmentsRequest::default()
        .with_timeout_ms(10_000)
        .with_topics(topics.collect());
    let elect = ElectLeadersRequest::default()
        .with_timeout_ms(10_000)
        .with_election_type(0)
        .with_topic_partitions(None);
    let mut seen = None;
    let moved = shell::wait_until(ON_WITHIN, || {
        let asked = admin.runtime.block_on(async {
            let any = admin.client.any().await?;
            any.send(reassign.clone()).await?;
            any.send(elect.clone()).await
        });
        let others = all_partitions()
            .into_iter()
            .find(|(topic, partition)| admin.leader(topic, *partition).ok() != Some(to));
        let is_moved = others.is_none();
        seen = Some((asked, others));
        is_moved
    });
    ensure!(moved, "not everything is led by {to}: {seen:?}");
    Ok(())
}

/// The node that leads the most partitions.
fn busiest(admin: &Admin) -> anyhow::Result<i32> {
    let mut led: BTreeMap<i32, usize> = BTreeMap::new();
    for (topic, partition) in all_partitions() {
        *led.entry(admin.leader(&topic, partition)?).or_default() += 1;
    }
    let most = led.into_iter().max_by_key(|(_, n)| *n);
    Ok(most.context("somebody leads")?.0)
}

fn controller(admin: &Admin) -> anyhow::Result<i32> {
    let topic = TopicData::default()
        .with_topic_name(name(METADATA_TOPIC_NAME))
        .with_partitions(vec![PartitionData::default()]);
    let request = DescribeQuorumRequest::default().with_topics(vec![topic]);
    let response = admin.runtime.block_on(async {
        let any = admin.client.any().await?;
        any.send(request).await
    })?;
    let partition = response
        .topics
        .first()
        .and_then(|topic| topic.partitions.first());
    Ok(partition.context("a quorum")?.leader_id.0)
}

type Offsets = BTreeMap<i32, i64>;

/// Looks at the groups' committed offsets all the time: none may go back.
struct Commits {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<anyhow::Result<usize>>,
}

impl Commits {
    fn watch(admin: &Admin) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let is_stopped = Arc::clone(&stop);
        let client = Client::new(admin.client.config().clone());
        let watching = async move {
            let mut highest: BTreeMap<String, Offsets> = BTreeMap::new();
            let mut n_looks = 0;
            while !is_stopped.load(Ordering::Relaxed) {
                for stock in StockClient::ALL {
                    // Nobody may be able to answer just now.
                    let Ok(offsets) = committed(&client, stock).await else {
                        continue;
                    };
                    n_looks += 1;
                    let highest = highest.entry(group(stock)).or_default();
                    for (partition, offset) in offsets {
                        let before = highest.insert(partition, offset).unwrap_or(-1);
                        ensure!(
                            offset >= before,
                            "{stock:?}: the offset of partition {partition} went from {before} to {offset}"
                        );
                    }
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Ok(n_looks)
        };
        let _runtime = admin.runtime.enter();
        let task = kafka_shared::task::spawn("watch commits", watching);
        Self { stop, task }
    }

    /// How often it has looked.
    fn stop(self, admin: &Admin) -> anyhow::Result<usize> {
        self.stop.store(true, Ordering::Relaxed);
        admin.runtime.block_on(self.task)?
    }
}

/// The offsets that a client's group has committed; −1 for none. The answer waits until everything
/// that the coordinator has is committed: without that, one that has just begun to lead does not yet
/// know of the last commits that they are (in Apache Kafka neither).
async fn committed(client: &Client, stock: StockClient) -> anyhow::Result<Offsets> {
    let group_id = StrBytes::from_string(group(stock));
    let route = Route::Coordinator(CoordinatorType::Group, group_id.to_string());
    let request = OffsetFetchRequest::default()
        .with_group_id(GroupId(group_id))
        .with_require_stable(true)
        .with_topics(None);
    let options = SendOptions {
        version_max: Some(ONE_GROUP),
        ..SendOptions::default()
    };
    let asked = async {
        let coordinator = client.route(&route).await?;
        anyhow::Ok(coordinator.send_with(request, options).await?)
    };
    let response = asked.await;
    let is_answered = response.as_ref().is_ok_and(|r| r.error_code == 0);
    if !is_answered {
        client.forget(&route);
    }
    let response = response?;
    ensure!(is_answered, "{}", ErrorCode(response.error_code).name());
    let topics = response
        .topics
        .into_iter()
        .filter(|t| t.name.0.as_str() == topic(stock));
    let partitions = topics.flat_map(|topic| topic.partitions);
    let mut offsets = Offsets::new();
    for partition in partitions {
        ensure!(partition.error_code == 0, "{partition:?}");
        offsets.insert(partition.partition_index, partition.committed_offset);
    }
    Ok(offsets)
}

/// Whether what a client said in the end fits with what the cluster has.
fn check(
    trio: &Trio,
    admin: &Admin,
    client: StockClient,
    said: &Said,
    has_crashes: bool,
) -> anyhow::Result<()> {
    let (acked, seen) = (said.numbers("acked")?, said.numbers("seen")?);
    let failed = said.last.get("failed").context("no failed")?;
    let unread: Vec<_> = acked.difference(&seen).take(5).collect();
    ensure!(unread.is_empty(), "acknowledged, but not read: {unread:?}");
    let (mut stored, mut ends): (BTreeMap<usize, usize>, Offsets) = Default::default();
    for partition in 0..PARTITIONS {
        let leader = admin.leader(&topic(client), partition)?;
        let folder = trio.replica(leader, &format!("{}-{partition}", topic(client)));
        let mut end = 0;
        for path in segments(&folder)? {
            for batch in batches(&std::fs::read(path)?) {
                let batch = batch?;
                end = batch.next_offset();
                for record in records(&batch, 1 << 24)?.iter() {
                    let value = String::from_utf8_lossy(record?.value.unwrap_or_default());
                    *stored.entry(value.parse()?).or_default() += 1;
                }
            }
        }
        ends.insert(partition, end);
    }
    let lost: Vec<_> = acked
        .iter()
        .filter(|n| !stored.contains_key(n))
        .take(5)
        .collect();
    ensure!(lost.is_empty(), "acknowledged, but not stored: {lost:?}");
    let twice: Vec<_> = stored.iter().filter(|(_, times)| **times > 1).collect();
    ensure!(
        twice.is_empty() || !client.is_idempotent(),
        "an idempotent producer's records are there twice: {twice:?}"
    );
    let committed = admin.runtime.block_on(committed(&admin.client, client))?;
    ensure!(
        committed == ends,
        "committed {committed:?}, the logs end at {ends:?}"
    );
    ensure!(
        failed.is_empty() || has_crashes,
        "requests failed although no node crashed: {failed:?}"
    );
    println!(
        "     {client:?}: {} acknowledged, {} failed, {} twice",
        acked.len(),
        failed.len(),
        twice.len()
    );
    Ok(())
}
