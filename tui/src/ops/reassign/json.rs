//! The JSON of kafka-reassign-partitions: read and written.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::model::{Assignment, Fault, TopicPartition};

/// The only version there is.
const VERSION: i32 = 1;

#[derive(Deserialize, Serialize)]
struct File {
    version: i32,
    partitions: Vec<Entry>,
}

#[derive(Deserialize, Serialize)]
struct Entry {
    topic: String,
    partition: i32,
    replicas: Vec<i32>,
    /// Kafka's tool writes `any` for each replica; naming a directory is not supported here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    log_dirs: Vec<String>,
}

/// Reads a file as Kafka's tool does: version 1, no partition twice, no broker twice.
pub fn parse_assignment(text: &str) -> Result<Assignment, Fault> {
    let refuse = |why: String| {
        Err(Fault::refused("read the reassignment", why).with_hint(
            "the format is the one of kafka-reassign-partitions: \
             {\"version\":1,\"partitions\":[{\"topic\":\"t\",\"partition\":0,\"replicas\":[1,2]}]}",
        ))
    };
    let file: File = match serde_json::from_str(text) {
        Ok(file) => file,
        Err(error) => return refuse(format!("not a reassignment file: {error}")),
    };
    if file.version != VERSION {
        return refuse(format!(
            "version {} is unknown, only {VERSION} is",
            file.version
        ));
    }
    if file.partitions.is_empty() {
        return refuse("it names no partition".to_owned());
    }
    let mut assignment = Assignment::new();
    for entry in file.partitions {
        let partition = TopicPartition::new(&entry.topic, entry.partition);
        let distinct: BTreeSet<i32> = entry.replicas.iter().copied().collect();
        if entry.topic.is_empty() || entry.partition < 0 {
            return refuse(format!("{partition} is no partition"));
        }
        if entry.replicas.is_empty() {
            return refuse(format!("{partition} has an empty list of replicas"));
        }
        if distinct.len() != entry.replicas.len() {
            return refuse(format!(
                "{partition} has a replica twice: {:?}",
                entry.replicas
            ));
        }
        if entry.log_dirs.iter().any(|dir| dir != "any") {
            return refuse(format!(
                "{partition} names a log directory, which is not supported"
            ));
        }
        if !entry.log_dirs.is_empty() && entry.log_dirs.len() != entry.replicas.len() {
            return refuse(format!(
                "{partition} has another number of log_dirs than replicas"
            ));
        }
        if assignment
            .insert(partition.clone(), entry.replicas)
            .is_some()
        {
            return refuse(format!("{partition} is there twice"));
        }
    }
    Ok(assignment)
}

/// Writes an assignment so that Kafka's tool takes it, one partition a line.
pub fn print_assignment(assignment: &Assignment) -> String {
    let mut text = format!("{{\"version\":{VERSION},\"partitions\":[");
    for (at, (partition, replicas)) in assignment.iter().enumerate() {
        let entry = Entry {
            topic: partition.topic.to_string(),
            partition: partition.partition,
            replicas: replicas.clone(),
            log_dirs: vec!["any".to_owned(); replicas.len()],
        };
        let entry = serde_json::to_string(&entry).expect("strings and numbers always serialise");
        text.push_str(if at == 0 { "\n  " } else { ",\n  " });
        text.push_str(&entry);
    }
    text.push_str("\n]}\n");
    text
}
