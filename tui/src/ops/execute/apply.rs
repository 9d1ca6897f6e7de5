//! Does several changes as one.
//!
//! What creates topics, adds partitions and sets configurations is independent of each other and
//! sent some at a time; moves follow; what deletes comes last, and not at all where something
//! before it failed.

use futures_util::StreamExt as _;
use futures_util::stream;

use crate::cluster::ClusterClient;
use crate::model::Fault;
use crate::ops::action::Action;
use crate::ops::plan::{Plan, Report};

use super::execute_one;

/// Requests under way.
const AT_ONCE: usize = 8;

/// Does a step that concerns one topic only; `None` for all others.
async fn one_topic(client: &ClusterClient, step: &Action, validate_only: bool) -> Option<Report> {
    let mut report = Report::default();
    match step {
        Action::CreateTopic(create) => {
            let subject = format!("create topic \"{}\"", create.name);
            let outcome = client.create_topic(create, validate_only).await;
            report.add_topic(subject, &create.name, outcome);
        }
        Action::AddPartitions(add) => {
            let subject = format!("add partitions to topic \"{}\"", add.topic);
            report.add(subject, client.create_partitions(add, validate_only).await);
        }
        Action::AlterConfigs(alter) => {
            let subject = format!("change the configuration of {}", alter.resource);
            report.add(subject, client.alter_configs(alter, validate_only).await);
        }
        _ => return None,
    }
    Some(report)
}

async fn each_topic(
    client: &ClusterClient,
    steps: &[Action],
    validate_only: bool,
    report: &mut Report,
) {
    let asked = steps
        .iter()
        .map(|step| one_topic(client, step, validate_only));
    let mut asked = stream::iter(asked.collect::<Vec<_>>()).buffered(AT_ONCE);
    while let Some(done) = asked.next().await {
        if let Some(done) = done {
            report.append(done);
        }
    }
}

/// Lets the controller check what it can.
pub(super) async fn check(client: &ClusterClient, steps: &[Action]) -> Report {
    let mut report = Report::default();
    each_topic(client, steps, true, &mut report).await;
    report
}

pub(super) async fn execute(
    client: &ClusterClient,
    plan: &Plan,
    steps: &[Action],
    report: &mut Report,
) {
    each_topic(client, steps, false, report).await;
    for step in steps {
        let title = match step {
            Action::CreateTopic(_) | Action::AddPartitions(_) | Action::AlterConfigs(_) => continue,
            Action::DeleteTopics(_) => "delete topics",
            Action::Reassign(_) | Action::RunReassign(_) => "reassign partitions",
            _ => &*plan.title,
        };
        let done = match step {
            Action::DeleteTopics(_) if !report.is_success() => Err(Fault::refused(
                title,
                "not begun: something before it failed",
            )),
            step => execute_one(client, plan, step, report).await,
        };
        if let Err(fault) = done {
            report.add(title, Err(fault));
        }
    }
}
