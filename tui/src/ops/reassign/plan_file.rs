//! A reassignment as a file: what is to be moved, what it was made from, and what it costs.
//!
//! It is JSON with a partition a line, so that two of them can be compared, and
//! kafka-reassign-partitions takes it as it is: what that tool does not know it skips. The fingerprint is
//! that of the replicas it was made from, so that an edit by hand changes what is proposed and
//! never what is compared with the cluster.

use serde::{Deserialize, Serialize};

use crate::model::{Assignment, ClusterMetadata, Fault, TopicPartition};
use crate::ops::Reassign;

use super::json::parse_assignment;
use super::{Estimate, Preview};

/// Says what kind of file it is.
const FORMAT: &str = "kafka-tui reassignment plan";

/// What a plan file says beside the partitions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlanFile {
    pub cluster_id: Option<String>,
    /// RFC 3339, in UTC.
    pub made_at: Option<String>,
    /// What it is for, in words.
    pub goal: Option<String>,
    /// The replicas that it was made from, where the file says.
    #[serde(skip)]
    pub current: Assignment,
    #[serde(skip)]
    pub target: Assignment,
}

#[derive(Deserialize)]
struct Read {
    #[serde(default)]
    format: Option<String>,
    #[serde(flatten)]
    head: PlanFile,
    #[serde(default)]
    fingerprint: Option<String>,
    #[serde(default)]
    partitions: Vec<ReadPartition>,
}

#[derive(Deserialize)]
struct ReadPartition {
    topic: String,
    partition: i32,
    #[serde(default)]
    current: Option<Vec<i32>>,
}

impl PlanFile {
    /// Reads a plan, or a plain file of kafka-reassign-partitions, which says less.
    ///
    /// # Errors
    /// It can't be understood, or what it was made from was edited.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let target = parse_assignment(text)?;
        let refuse = |why: &str| Fault::refused("read the plan", why);
        let read: Read = serde_json::from_str(text).map_err(|error| refuse(&error.to_string()))?;
        let mut file = PlanFile {
            target,
            ..read.head
        };
        if read.format.as_deref() != Some(FORMAT) {
            return Ok(Self {
                target: file.target,
                ..Self::default()
            });
        }
        for partition in read.partitions {
            if let Some(current) = partition.current {
                let key = TopicPartition::new(partition.topic, partition.partition);
                file.current.insert(key, current);
            }
        }
        if file.current.len() != file.target.len()
            || read.fingerprint != Some(fingerprint(file.cluster_id.as_deref(), &file.current))
        {
            let why = "what it was made from (cluster_id, current) was edited";
            return Err(refuse(why).with_hint("edit \"replicas\" only, or plan it again"));
        }
        Ok(file)
    }

    /// The change that it asks for, on the cluster that it was made for.
    ///
    /// # Errors
    /// This is another cluster.
    pub fn reassign(&self, metadata: &ClusterMetadata) -> Result<Reassign, Fault> {
        if let (Some(then), Some(now)) = (&self.cluster_id, metadata.cluster_id.as_deref())
            && then != now
        {
            let why = format!("it was made for cluster {then}, and this is {now}");
            return Err(Fault::refused("use the plan", why));
        }
        Ok(Reassign {
            target: self.target.clone(),
            based_on: self.current.clone(),
        })
    }
}

/// FNV-1a over the cluster and the replicas of each partition, in order.
fn fingerprint(cluster_id: Option<&str>, current: &Assignment) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut take = |text: &str| {
        for byte in text.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    take(cluster_id.unwrap_or_default());
    for (key, replicas) in current {
        take(&format!("{key}={replicas:?}"));
    }
    format!("{hash:016x}")
}

#[derive(Serialize)]
struct Broker {
    broker: i32,
    replicas: [usize; 3],
    leaders: [usize; 2],
    bytes_in: Option<i64>,
    bytes_out: Option<i64>,
}

#[derive(Serialize)]
struct Partition<'a> {
    topic: &'a str,
    partition: i32,
    replicas: &'a [i32],
    log_dirs: Vec<&'static str>,
    current: &'a [i32],
    bytes: Option<i64>,
}

fn line<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("strings and numbers always serialise")
}

/// Writes a plan. `[before, meanwhile, after]` are a broker's replicas, `[before, after]` its
/// preferred leaders.
pub fn print_plan(
    file: &PlanFile,
    preview: &Preview,
    estimate: Option<&Estimate>,
    warnings: &[String],
) -> String {
    let current = preview.current();
    let mut text = String::from("{\"version\":1,\n");
    let mut entry = |name: &str, value: String| {
        text.push_str(&format!("\"{name}\":{value},\n"));
    };
    entry("format", line(&FORMAT));
    entry("cluster_id", line(&file.cluster_id));
    entry("made_at", line(&file.made_at));
    entry("goal", line(&file.goal));
    let made_from = fingerprint(file.cluster_id.as_deref(), &current);
    entry("fingerprint", line(&made_from));
    entry("replicas_to_copy", line(&preview.n_moves()));
    entry("bytes_to_copy", line(&preview.bytes.complete()));
    entry("estimate", line(&estimate));
    entry("warnings", list(warnings.iter().map(line)));
    let broker = |(id, load): (&i32, &super::BrokerLoad)| Broker {
        broker: *id,
        replicas: [load.before, load.during, load.after],
        leaders: [load.preferred_before, load.preferred_after],
        bytes_in: load.bytes_in.complete(),
        bytes_out: load.bytes_out.complete(),
    };
    let brokers = preview.brokers.iter().map(broker);
    entry("brokers", list(brokers.map(|broker| line(&broker))));
    let partitions = preview.rows.iter().map(|row| {
        line(&Partition {
            topic: &row.partition.topic,
            partition: row.partition.partition,
            replicas: &row.proposed,
            log_dirs: vec!["any"; row.proposed.len()],
            current: &row.current,
            bytes: row.bytes,
        })
    });
    text.push_str(&format!("\"partitions\":{}\n}}\n", list(partitions)));
    text
}

/// An element a line.
fn list(elements: impl Iterator<Item = String>) -> String {
    let elements: Vec<String> = elements.map(|element| format!("  {element}")).collect();
    if elements.is_empty() {
        return "[]".to_owned();
    }
    format!("[\n{}\n]", elements.join(",\n"))
}
