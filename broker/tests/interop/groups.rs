//! Members of a consumer group that stay in it while its coordinator moves between Apache Kafka's
//! brokers and ours, and while what they read is produced: nothing is committed in vain, nothing is
//! read twice or left out, and nobody is made to join again.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, ensure};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::{GroupId, OffsetFetchRequest};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::client::{Client, CoordinatorType, SendOptions};
use kafka_shared::error::ErrorCode;
use parking_lot::Mutex;

use crate::admin::Admin;
use crate::load::{client_config, name};
use crate::mixed::Mixed;
use crate::node::Kind;
use crate::ping_pong::ledger::Ledger;
use crate::ping_pong::producers::produce;
use crate::shell::{self, Stopwatch};
use crate::{Case, apache};

const TOPIC: &str = "t";
const GROUP: &str = "g";
const PARTITIONS: [&[i32]; 4] = [&[1, 2, 3]; 4];
/// Of the topic that keeps the groups.
const N_GROUP_PARTITIONS: i32 = 4;
const MEMBERS: usize = 2;
const SOON: Duration = Duration::from_secs(60);
/// The newest version of OffsetFetch for one group.
const ONE_GROUP: i16 = 7;

pub fn cases() -> Vec<Case> {
    vec![Case::new(
        "groups: members stay and lose nothing while their coordinator moves, between Apache and ours",
        members_stay_while_coordinators_move,
    )]
}

/// What the members have said.
#[derive(Debug, Default)]
struct Said {
    /// How many partitions each member has, by the newest assignment.
    assigned: BTreeMap<usize, usize>,
    n_assignments: usize,
    n_commits: usize,
    n_failed_commits: usize,
    /// By partition, where the group goes on.
    committed: BTreeMap<i32, i64>,
    /// By partition, behind what was read.
    read: BTreeMap<i32, i64>,
    problems: Vec<String>,
}

impl Said {
    fn note(&mut self, member: usize, line: &str) {
        let Ok(event) = serde_json::from_str::<serde_json::Value>(line) else {
            return;
        };
        let list = |key: &str| event[key].as_array().cloned().unwrap_or_default();
        let partition = |of: &serde_json::Value| {
            let number = of["partition"].as_i64().unwrap_or(-1);
            i32::try_from(number).unwrap_or(-1)
        };
        match event["name"].as_str() {
            Some("partitions_assigned") => {
                self.n_assignments += 1;
                self.assigned.insert(member, list("partitions").len());
            }
            Some("records_consumed") => {
                for range in list("partitions") {
                    let least = range["minOffset"].as_i64().unwrap_or(-1);
                    let most = range["maxOffset"].as_i64().unwrap_or(-1);
                    let next = self.read.entry(partition(&range)).or_default();
                    if least != *next {
                        self.problems
                            .push(format!("read from {least}, not from {next}: {line}"));
                    }
                    *next = most + 1;
                }
            }
            Some("offsets_committed") if event["success"] == true => {
                self.n_commits += 1;
                for committed in list("offsets") {
                    let offset = committed["offset"].as_i64().unwrap_or(-1);
                    self.committed.insert(partition(&committed), offset);
                }
            }
            Some("offsets_committed") => self.n_failed_commits += 1,
            _ => {}
        }
    }
}

/// A verifiable consumer of Apache Kafka.
struct Member(Child);

impl Drop for Member {
    fn drop(&mut self) {
        shell::kill(&mut self.0);
    }
}

impl Member {
    fn join(bootstrap: &str, number: usize, said: &Arc<Mutex<Said>>) -> anyhow::Result<Self> {
        let args = [
            "--bootstrap-server",
            bootstrap,
            "--topic",
            TOPIC,
            "--group-id",
            GROUP,
            "--session-timeout",
            "20000",
            "--reset-policy",
            "earliest",
        ];
        let args = args.map(str::to_owned);
        let mut process = apache::tool_command("kafka-verifiable-consumer", &args)?
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let pipe = process.stdout.take().context("the consumer's output")?;
        let said = Arc::clone(said);
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                said.lock().note(number, &line);
            }
        });
        Ok(Self(process))
    }
}

/// What the coordinator says is committed, by partition.
fn committed(admin: &Admin) -> anyhow::Result<BTreeMap<i32, i64>> {
    let topic = OffsetFetchRequestTopic::default()
        .with_name(name(TOPIC))
        .with_partition_indexes((0..).take(PARTITIONS.len()).collect());
    let request = OffsetFetchRequest::default()
        .with_group_id(GroupId(StrBytes::from_static_str(GROUP)))
        .with_topics(Some(vec![topic]))
        .with_require_stable(true);
    let options = SendOptions {
        version_max: Some(ONE_GROUP),
        timeout_ms: None,
    };
    let response = admin.runtime.block_on(async {
        let client = Client::new(admin.client.config().clone());
        let coordinator = client.coordinator(GROUP, CoordinatorType::Group).await?;
        coordinator.send_with(request, options).await
    })?;
    let error = ErrorCode(response.error_code);
    ensure!(error == ErrorCode::NONE, "{}", error.name());
    let partitions = response.topics.iter().flat_map(|t| &t.partitions);
    let offsets = partitions.map(|p| (p.partition_index, p.committed_offset));
    Ok(offsets.collect())
}

fn members_stay_while_coordinators_move() -> anyhow::Result<()> {
    let settings = "broker.session.timeout.ms=6000\nbroker.heartbeat.interval.ms=1000\n\
                    auto.leader.rebalance.enable=false";
    let brokers = [(1, Kind::Apache), (2, Kind::Ours), (3, Kind::Ours)];
    let cluster = Mixed::start(&brokers, settings)?;
    let run = || -> anyhow::Result<()> {
        let admin = Admin::new(&cluster)?;
        admin.create(TOPIC, 2, &PARTITIONS)?;
        let ledger = Arc::new(Ledger::default());
        let mut tasks = Vec::new();
        for partition in (0..).take(PARTITIONS.len()) {
            let _runtime = admin.runtime.enter();
            let client = Client::new(client_config(&cluster.bootstrap()));
            let known = Arc::clone(&ledger);
            let run = produce(client, TOPIC, partition, format!("p{partition}"), known);
            tasks.push(kafka_shared::task::spawn("produce", run));
        }
        let said = Arc::new(Mutex::new(Said::default()));
        let members: Vec<Member> = (0..MEMBERS)
            .map(|number| Member::join(&cluster.bootstrap(), number, &said))
            .collect::<anyhow::Result<_>>()?;
        let has_settled = || {
            let said = said.lock();
            said.assigned.len() == MEMBERS
                && said
                    .assigned
                    .values()
                    .all(|n| *n * MEMBERS == PARTITIONS.len())
        };
        ensure!(shell::wait_until(SOON, has_settled), "{:?}", said.lock());
        let n_assignments = said.lock().n_assignments;
        let (mut n_moves, mut longest) = (0, Duration::ZERO);
        for to in [2, 1, 3, 1, 2, 3, 1, 2] {
            let before = said.lock().committed.clone();
            let n_commits = said.lock().n_commits;
            for partition in 0..N_GROUP_PARTITIONS {
                admin.until_in_sync("__consumer_offsets", partition, 3)?;
                let is_moved = admin.move_leader("__consumer_offsets", partition, to)?;
                ensure!(is_moved, "the coordinator does not move to {to}");
                n_moves += 1;
            }
            let watch = Stopwatch::start();
            let mut now = committed(&admin);
            let is_told = shell::wait_until(SOON, || {
                now.is_ok() || {
                    now = committed(&admin);
                    now.is_ok()
                }
            });
            let now = now.with_context(|| format!("after the move to {to}"))?;
            ensure!(is_told, "the coordinator tells nothing");
            let lost = before.iter().find(|(p, offset)| now.get(p) < Some(offset));
            ensure!(lost.is_none(), "before {before:?}, after the move {now:?}");
            // Both members go on.
            let goes_on = || said.lock().n_commits >= n_commits + 10;
            ensure!(
                shell::wait_until(SOON, goes_on),
                "nothing is committed: {:?}",
                said.lock()
            );
            longest = longest.max(watch.elapsed());
        }
        ledger.stop.store(true, Ordering::Relaxed);
        for task in tasks {
            admin.runtime.block_on(task).context("a producer failed")?;
        }
        ledger.no_problems()?;
        let is_all_read = || {
            let said = said.lock();
            let all: i64 = said.committed.values().sum();
            usize::try_from(all).is_ok_and(|all| all >= ledger.n_acknowledged())
        };
        ensure!(shell::wait_until(SOON, is_all_read), "{:?}", said.lock());
        let is_committed = || committed(&admin).is_ok_and(|now| now == said.lock().committed);
        ensure!(shell::wait_until(SOON, is_committed), "{:?}", said.lock());
        let said = said.lock();
        ensure!(said.problems.is_empty(), "{:?}", said.problems);
        ensure!(
            said.n_assignments == n_assignments,
            "{} assignments more after {n_moves} moves",
            said.n_assignments - n_assignments
        );
        println!(
            "     {n_moves} moves of a coordinator, {} records read once each, {} commits ({} failed), \
             no rebalance, on after {} ms at most",
            ledger.n_acknowledged(),
            said.n_commits,
            said.n_failed_commits,
            longest.as_millis()
        );
        drop(members);
        Ok(())
    };
    run().with_context(|| cluster.logs())
}
