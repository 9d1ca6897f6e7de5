//! Plans for many records that are written to a topic.

use crate::model::{ClusterMetadata, Fault};
use crate::ops::action::Action;
use crate::ops::plan::{Danger, Plan};
use crate::transfer::{PartitionBy, Transfer, TransferFrom};

use super::find_topic;

pub(super) fn transfer(transfer: Box<Transfer>, metadata: &ClusterMetadata) -> Result<Plan, Fault> {
    let title = transfer.title();
    let action = Action::Transfer(transfer.clone());
    let mut plan = Plan::new(action, title.clone(), Danger::Disruptive);
    if transfer.to_cluster.is_none() {
        let topic = find_topic(metadata, &title, &transfer.to_topic)?;
        if topic.is_internal {
            let why = "this is one of Kafka's own topics: foreign records can break it";
            plan.warnings.push(why.to_owned());
        }
    }
    let is_filtered = match &transfer.from {
        TransferFrom::File(..) => false,
        TransferFrom::Topic(read) => read.filter.is_some(),
    };
    let records = match (transfer.records, is_filtered) {
        (None, _) => "records, not counted".to_owned(),
        (Some(n), false) => format!("{n} records"),
        (Some(n), true) => format!("those of {n} records that fit"),
    };
    let place = match &transfer.to_cluster {
        None => transfer.to_topic.clone(),
        Some(cluster) => format!("{} of {cluster}", transfer.to_topic),
    };
    plan.change(place, None, Some(records));
    if transfer.records == Some(0) {
        plan.changes.clear();
        plan.not_done.push("there is no record".to_owned());
    }
    plan.warnings
        .push("what is written can't be taken back".to_owned());
    if transfer.partition_by == PartitionBy::Key {
        let why = "keys choose the partitions: records without a key go to any";
        plan.warnings.push(why.to_owned());
    }
    Ok(plan)
}
