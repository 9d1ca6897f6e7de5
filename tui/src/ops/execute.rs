//! Does what a plan says, and reports item by item.

mod apply;

use std::collections::BTreeMap;

use crate::cluster::ClusterClient;
use crate::model::{Fault, TopicPartition};

use super::action::{Action, RunReassign};
use super::execution::{NewOrders, Orders, Run, Store, Wish};
use super::plan::{Plan, Report};

/// Lets the broker check a plan without changing anything, where Kafka has a way to; otherwise
/// answers with an empty report.
///
/// # Errors
/// When the broker could not be asked. What it refuses is in the report.
pub async fn check(client: &ClusterClient, plan: &Plan) -> Result<Report, Fault> {
    if plan.is_empty() {
        return Ok(Report::default());
    }
    if let Action::Apply(apply) = &plan.action {
        return Ok(apply::check(client, &apply.steps).await);
    }
    let mut report = Report::default();
    match &plan.action {
        Action::CreateTopic(create) => {
            let checked = client.create_topic(create, true).await;
            report.add_topic(&plan.title, &create.name, checked);
        }
        Action::AddPartitions(add) => {
            report.add(&plan.title, client.create_partitions(add, true).await);
        }
        Action::AlterConfigs(alter) => {
            report.add(&plan.title, client.alter_configs(alter, true).await);
        }
        Action::Security(security) => client.check_security(security, &mut report).await?,
        Action::Quorum(quorum) => client.check_quorum(quorum, &mut report).await?,
        Action::AbortTransaction(_) => {}
        Action::AddPartitionsToMany(list) => {
            for add in list {
                report.add(&add.topic, client.create_partitions(add, true).await);
            }
        }
        Action::DeleteTopics(_)
        | Action::Produce(_)
        | Action::Reassign(_)
        | Action::CancelReassignments(_)
        | Action::RunReassign(_)
        | Action::OrderRun(_)
        | Action::ClearThrottles(_)
        | Action::ElectPreferredLeaders(_)
        | Action::DeleteGroups(_)
        | Action::AlterOffsets(_)
        | Action::Transfer(_)
        | Action::Apply(_) => {}
    }
    Ok(report)
}

/// Does what a plan says. An empty plan does nothing and succeeds.
///
/// # Errors
/// When nothing could be tried at all, for example because the session is read-only. What was
/// tried and failed is in the report, item by item.
pub async fn execute(client: &ClusterClient, plan: &Plan) -> Result<Report, Fault> {
    client.refuse_if_read_only(&plan.title)?;
    let mut report = Report::default();
    if plan.is_empty() {
        return Ok(report);
    }
    match &plan.action {
        Action::Apply(apply) => apply::execute(client, plan, &apply.steps, &mut report).await,
        action => execute_one(client, plan, action, &mut report).await?,
    }
    Ok(report)
}

/// Does one step of a plan, or all of one that has no steps.
async fn execute_one(
    client: &ClusterClient,
    plan: &Plan,
    action: &Action,
    report: &mut Report,
) -> Result<(), Fault> {
    match action {
        Action::CreateTopic(create) => {
            let created = client.create_topic(create, false).await;
            report.add_topic(&plan.title, &create.name, created);
        }
        Action::AddPartitions(add) => {
            report.add(&plan.title, client.create_partitions(add, false).await);
        }
        Action::AlterConfigs(alter) => {
            report.add(&plan.title, client.alter_configs(alter, false).await);
        }
        Action::DeleteTopics(names) => {
            for (name, outcome) in client.delete_topics(names, &plan.topic_ids).await? {
                report.add(
                    format!("topic \"{name}\""),
                    outcome.map(|()| "deleted".to_owned()),
                );
            }
        }
        Action::Produce(message) => {
            let outcome = client.produce(message).await;
            let told = |(partition, offset)| format!("partition {partition}, offset {offset}");
            report.add(&plan.title, outcome.map(told));
        }
        Action::Reassign(reassign) => {
            let target = reassign.target.iter();
            let target = target.map(|(key, replicas)| (key.clone(), Some(replicas.clone())));
            let outcomes = client.alter_reassignments(target.collect()).await?;
            add_partitions(report, outcomes, "started");
        }
        Action::CancelReassignments(partitions) => {
            let target = partitions.iter().map(|key| (key.clone(), None)).collect();
            let outcomes = client.alter_reassignments(target).await?;
            add_partitions(report, outcomes, "cancelled");
        }
        Action::RunReassign(run) => {
            report.add(&plan.title, begin(client, plan, run));
        }
        Action::OrderRun(orders) => {
            report.add(&plan.title, order(plan, orders));
        }
        Action::ClearThrottles(left) => {
            for one in left {
                let subject = format!("{} {}", one.resource, one.setting);
                report.add(subject, client.alter_configs(&one.removal, false).await);
            }
        }
        Action::AddPartitionsToMany(list) => {
            for add in list {
                report.add(&add.topic, client.create_partitions(add, false).await);
            }
        }
        Action::ElectPreferredLeaders(partitions) => {
            let outcomes = client.elect_preferred_leaders(partitions).await?;
            add_partitions(report, outcomes, "elected");
        }
        Action::DeleteGroups(ids) => {
            for (id, outcome) in client.delete_groups(ids).await? {
                report.add(
                    format!("group \"{id}\""),
                    outcome.map(|()| "deleted".to_owned()),
                );
            }
        }
        Action::AlterOffsets(alter) => {
            let outcomes = client.alter_offsets(alter).await?;
            let done = match alter.only_forgets() {
                true => "removed",
                false => "set",
            };
            add_partitions(report, outcomes, done);
        }
        Action::Security(security) => client.do_security(security, report).await?,
        Action::AbortTransaction(abort) => {
            let outcome = client.abort_transaction(abort).await;
            report.add(&plan.title, outcome.map(|()| "aborted".to_owned()));
        }
        Action::Quorum(quorum) => client.do_quorum(quorum, report).await,
        Action::Transfer(transfer) if transfer.to_cluster.is_none() => {
            let outcome = transfer.run(client, client, |_| ()).await;
            report.add(&plan.title, outcome);
        }
        Action::Transfer(_) => {
            let why = "it takes a session with the other cluster too";
            return Err(Fault::refused(&plan.title, why));
        }
        // Its steps are done one by one.
        Action::Apply(_) => {}
    }
    Ok(())
}

/// Writes a run down, for whoever attends to the runs of this cluster.
fn begin(client: &ClusterClient, plan: &Plan, run: &RunReassign) -> Result<String, Fault> {
    let what = &plan.title;
    let preview = plan.reassignment.as_ref();
    let preview = preview.ok_or_else(|| Fault::refused(what, "nothing changes"))?;
    let orders = Orders {
        wish: Wish::Run,
        throttle: run.throttle,
        batch: run.batch.max(1),
    };
    let cluster_id = plan.cluster_id.as_deref();
    let run = Run::of(preview, what, cluster_id, orders, client.now().wall_ms)?;
    Store::of_user(cluster_id)?.begin(&run)?;
    Ok("begun".to_owned())
}

fn order(plan: &Plan, orders: &NewOrders) -> Result<String, Fault> {
    let store = Store::of_user(plan.cluster_id.as_deref())?;
    let run = store
        .unfinished()
        .ok_or_else(|| Fault::not_found(&plan.title, "no run is under way"))?;
    store.order(&run.id, orders)?;
    Ok("ordered".to_owned())
}

fn add_partitions(
    report: &mut Report,
    outcomes: BTreeMap<TopicPartition, Result<(), Fault>>,
    done: &str,
) {
    for (key, outcome) in outcomes {
        report.add(key.to_string(), outcome.map(|()| done.to_owned()));
    }
}
