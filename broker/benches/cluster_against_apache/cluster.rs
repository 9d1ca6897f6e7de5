//! A cluster under test, and a client that writes to all its leaders at once.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{DescribeQuorumRequest, ElectLeadersRequest, MetadataRequest};
use kafka_shared::types::METADATA_TOPIC_NAME;

use crate::load::{Connection, IN_FLIGHT, Load, batch, produce_frame, topic_name};
use crate::node::Kind;
use crate::process::{CpuTime, resident_mib};
use crate::shell;
use crate::trio::{IDS, Jvm, Trio};

const METADATA: i16 = 9;
const DESCRIBE_QUORUM: i16 = 0;
const ELECT_LEADERS: i16 = 1;
/// How long a cluster may take to be whole again.
const WHOLE_WITHIN: Duration = Duration::from_secs(120);

/// One of the two clusters under test.
pub struct Cluster {
    name: &'static str,
    pub trio: Trio,
}

/// A partition as a broker sees it.
#[derive(Debug, Clone)]
pub struct Partition {
    pub index: i32,
    /// −1 while nobody leads.
    pub leader: i32,
    pub n_in_sync: usize,
}

impl Cluster {
    pub fn start(name: &'static str, kind: Kind, settings: &str) -> anyhow::Result<Self> {
        let trio = Trio::start([kind; 3], Jvm::Server, settings)?;
        Ok(Self { name, trio })
    }

    /// Runs `work` on this cluster; an error carries the ends of its logs.
    pub fn run<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        work(self).with_context(|| format!("{}\n{}", self.name, self.trio.logs()))
    }

    /// Of the nodes that run, together.
    pub fn cpu(&self) -> anyhow::Result<CpuTime> {
        CpuTime::of_all(IDS.iter().filter_map(|id| self.trio.process_id(*id).ok()))
    }

    /// Of all nodes together.
    pub fn resident_mib(&self) -> anyhow::Result<f64> {
        let resident = IDS
            .iter()
            .map(|id| resident_mib(self.trio.process_id(*id)?));
        resident.sum()
    }

    fn connect(&self) -> anyhow::Result<Connection> {
        Connection::open(&self.trio.address(IDS[0]))
    }

    /// Creates a topic with three replicas and writes a record to each of its partitions, when all of
    /// them are in sync.
    pub fn create_topic(&self, topic: &str, partitions: i32) -> anyhow::Result<()> {
        let created = self
            .connect()?
            .create_replicated_topic(topic, partitions, 3);
        created?;
        self.wait_until_whole(topic)?;
        for partition in self.partitions(topic)? {
            let address = self.trio.address(partition.leader);
            Connection::open(&address)?.produce_until_acknowledged(topic, partition.index)?;
        }
        Ok(())
    }

    pub fn delete_topic(&self, topic: &str) -> anyhow::Result<()> {
        self.connect()?.delete_topic(topic)
    }

    /// The partitions of a topic, as the first node sees them.
    pub fn partitions(&self, topic: &str) -> anyhow::Result<Vec<Partition>> {
        partitions(&mut self.connect()?, topic)
    }

    /// Waits until every replica of every partition is in sync, for every node.
    pub fn wait_until_whole(&self, topic: &str) -> anyhow::Result<()> {
        let mut seen = None;
        let is_whole = shell::wait_until(WHOLE_WITHIN, || {
            let all = IDS.iter().map(|id| {
                let mut connection = Connection::open(&self.trio.address(*id))?;
                partitions(&mut connection, topic)
            });
            let all: anyhow::Result<Vec<Vec<Partition>>> = all.collect();
            let is_whole = all.as_ref().is_ok_and(|nodes| {
                nodes
                    .iter()
                    .flatten()
                    .all(|p| p.n_in_sync == IDS.len() && p.leader >= 0)
            });
            seen = Some(all);
            is_whole
        });
        ensure!(is_whole, "{topic} is not in sync: {seen:?}");
        Ok(())
    }

    /// Has every partition led by the first of its replicas.
    pub fn elect_preferred_leaders(&self, topic: &str) -> anyhow::Result<()> {
        let request = ElectLeadersRequest::default()
            .with_election_type(0)
            .with_topic_partitions(None)
            .with_timeout_ms(30_000);
        self.connect()?.ask(&request, ELECT_LEADERS)?;
        let mut seen = None;
        let is_even = shell::wait_until(WHOLE_WITHIN, || {
            let partitions = self.partitions(topic);
            let is_even = partitions.as_ref().is_ok_and(|partitions| {
                let led = |id: &i32| partitions.iter().any(|p| p.leader == *id);
                IDS.iter().all(led)
            });
            seen = Some(partitions);
            is_even
        });
        ensure!(is_even, "not every node leads: {seen:?}");
        Ok(())
    }

    /// The active controller.
    pub fn controller(&self) -> anyhow::Result<i32> {
        let topic = TopicData::default()
            .with_topic_name(topic_name(METADATA_TOPIC_NAME))
            .with_partitions(vec![PartitionData::default()]);
        let request = DescribeQuorumRequest::default().with_topics(vec![topic]);
        let response = self.connect()?.ask(&request, DESCRIBE_QUORUM)?;
        let topic = response.topics.first().context("no quorum")?;
        let partition = topic.partitions.first().context("no quorum")?;
        ensure!(partition.error_code == 0, "{partition:?}");
        Ok(partition.leader_id.0)
    }
}

/// The partitions of a topic, as the node at the other end sees them.
pub fn partitions(connection: &mut Connection, topic: &str) -> anyhow::Result<Vec<Partition>> {
    let wanted = MetadataRequestTopic::default().with_name(Some(topic_name(topic)));
    let request = MetadataRequest::default()
        .with_topics(Some(vec![wanted]))
        .with_allow_auto_topic_creation(false);
    let response = connection.ask(&request, METADATA)?;
    let topic = response.topics.into_iter().next().context("no topic")?;
    ensure!(topic.error_code == 0, "error {}", topic.error_code);
    let mut partitions: Vec<Partition> = topic
        .partitions
        .into_iter()
        .map(|partition| Partition {
            index: partition.partition_index,
            leader: partition.leader_id.0,
            n_in_sync: partition.isr_nodes.len(),
        })
        .collect();
    partitions.sort_by_key(|partition| partition.index);
    Ok(partitions)
}

/// A connection to each leader. A request carries a batch of 16 KiB for each partition that is led
/// there, and five of them are in flight, as with the Java producer.
pub struct Lanes {
    lanes: Vec<Lane>,
    n_requests: u64,
    batch_bytes: u64,
}

struct Lane {
    connection: Connection,
    frame: Bytes,
    n_partitions: usize,
}

impl Lanes {
    pub fn open(cluster: &Cluster, load: &Load) -> anyhow::Result<Self> {
        Self::open_at(cluster, load, &cluster.trio.address(IDS[0]))
    }

    /// Asks the node at `address` who leads.
    pub fn open_at(cluster: &Cluster, load: &Load, address: &str) -> anyhow::Result<Self> {
        let mut led: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for partition in partitions(&mut Connection::open(address)?, &load.topic)? {
            ensure!(partition.leader >= 0, "{partition:?}");
            led.entry(partition.leader)
                .or_default()
                .push(partition.index);
        }
        let records = batch(load.record_bytes, load.records_per_batch())?;
        let lane = |(leader, indexes): (&i32, &Vec<i32>)| {
            Ok(Lane {
                connection: Connection::open(&cluster.trio.address(*leader))?,
                frame: produce_frame(&load.topic, indexes, &records)?,
                n_partitions: indexes.len(),
            })
        };
        let lanes: anyhow::Result<Vec<Lane>> = led.iter().map(lane).collect();
        let batch_bytes = (load.records_per_batch() * load.record_bytes) as u64;
        let all_partitions = batch_bytes * u64::try_from(load.partitions)?;
        Ok(Self {
            lanes: lanes?,
            n_requests: load.bytes().div_ceil(all_partitions),
            batch_bytes,
        })
    }

    /// Sends a round's records as fast as they are acknowledged. Returns how many bytes of values
    /// that was.
    pub fn produce(&mut self) -> anyhow::Result<u64> {
        let n_requests = self.n_requests;
        std::thread::scope(|scope| {
            let sending: Vec<_> = (self.lanes.iter_mut())
                .map(|lane| scope.spawn(move || lane.produce(n_requests)))
                .collect();
            sending.into_iter().try_for_each(|thread| {
                let panicked = |_| anyhow::anyhow!("a thread of the client panicked");
                thread.join().map_err(panicked)?
            })
        })?;
        let n_partitions: usize = self.lanes.iter().map(|lane| lane.n_partitions).sum();
        Ok(self.batch_bytes * n_requests * n_partitions as u64)
    }
}

impl Lane {
    fn produce(&mut self, n_requests: u64) -> anyhow::Result<()> {
        let mut in_flight = 0;
        for _ in 0..n_requests {
            if in_flight == IN_FLIGHT {
                self.connection.acknowledged()?;
                in_flight -= 1;
            }
            self.connection.send(&self.frame)?;
            in_flight += 1;
        }
        (0..in_flight).try_for_each(|_| self.connection.acknowledged())
    }
}
