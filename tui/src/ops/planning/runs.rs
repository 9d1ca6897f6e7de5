//! Plans for reassignments in batches, for orders to them, for throttles left behind, and for many
//! topics at once.

use crate::model::{ClusterMetadata, ClusterSnapshot, Fault};
use crate::ops::action::{Action, AddPartitions, RunReassign};
use crate::ops::execution::janitor::LeftOver;
use crate::ops::execution::{NewOrders, Wish};
use crate::ops::plan::{Danger, Plan};
use crate::ops::reassign::{self, Pace};

use super::{count, partitions};

pub(super) fn reassign(
    run: RunReassign,
    metadata: &ClusterMetadata,
    snapshot: &ClusterSnapshot,
) -> Result<Plan, Fault> {
    let mut plan = partitions::reassign(run.reassign, metadata, snapshot)?;
    let Action::Reassign(reassign) = plan.action else {
        return Ok(plan);
    };
    let pace = Pace {
        throttle: run.throttle,
        batch: Some(run.batch.max(1)),
        inflow: reassign::inflow(snapshot),
    };
    if let Some(preview) = &mut plan.reassignment {
        preview.estimate = reassign::estimate(preview, &pace);
        plan.warnings.extend(reassign::never_ends(preview, &pace));
    }
    if let Some(rate) = run.throttle {
        for line in &mut plan.equivalent {
            line.push_str(&format!(" --throttle {rate}"));
        }
    }
    // What was copied slowly goes back as slowly.
    if let Some(Action::Reassign(reassign)) = plan.inverse.take() {
        plan.inverse = Some(Action::RunReassign(RunReassign {
            reassign,
            throttle: run.throttle,
            batch: run.batch,
        }));
    }
    plan.title = format!("{}, {} at a time", plan.title, run.batch.max(1));
    plan.action = Action::RunReassign(RunReassign { reassign, ..run });
    Ok(plan)
}

pub(super) fn order(orders: NewOrders, metadata: &ClusterMetadata) -> Result<Plan, Fault> {
    let (title, danger) = match orders.wish {
        Some(Wish::Cancel) => ("cancel the run", Danger::Disruptive),
        Some(Wish::Pause) => ("pause the run", Danger::Safe),
        Some(Wish::Run) => ("go on with the run", Danger::Safe),
        None => ("change the pace of the run", Danger::Safe),
    };
    let mut plan = Plan::new(Action::OrderRun(orders.clone()), title, danger);
    if let Some(wish) = orders.wish {
        let after = match wish {
            Wish::Run => "goes on",
            Wish::Pause => "begins nothing new; what is on its way arrives",
            Wish::Cancel => "what waits stays, what is on its way goes back",
        };
        plan.change("run", None, Some(after.to_owned()));
    }
    if orders.unthrottled {
        plan.change("throttle", None, Some("none".to_owned()));
    }
    if let Some(rate) = orders.throttle {
        plan.change("throttle", None, Some(crate::units::byte_rate(rate)));
    }
    if let Some(batch) = orders.batch {
        plan.change("at a time", None, Some(count(batch, "partition")));
    }
    if orders.wish == Some(Wish::Cancel) {
        plan.warnings
            .push("what was moved already stays where it is: undo moves it back".into());
    }
    // The run belongs to a cluster, which has to be known.
    if metadata.cluster_id.is_none() {
        plan.warnings
            .push("the cluster does not say its id".to_owned());
    }
    Ok(plan)
}

pub(super) fn clear(left: Vec<LeftOver>) -> Result<Plan, Fault> {
    let title = format!("remove {} left behind", count(left.len(), "throttle"));
    let mut plan = Plan::new(Action::ClearThrottles(left.clone()), title, Danger::Safe);
    for one in &left {
        let subject = format!("{} {}", one.resource, one.setting);
        plan.change(subject, Some(one.values.join(",")), None);
        if one.set_by.is_none() {
            plan.warnings.push(format!(
                "{} of {} was not set from here: an operator may want it",
                one.setting, one.resource
            ));
        }
    }
    Ok(plan)
}

pub(super) fn add_to_many(
    list: Vec<AddPartitions>,
    metadata: &ClusterMetadata,
) -> Result<Plan, Fault> {
    let title = format!("add partitions to {}", count(list.len(), "topic"));
    let mut plan = Plan::new(
        Action::AddPartitionsToMany(Vec::new()),
        title,
        Danger::Disruptive,
    );
    let mut kept = Vec::new();
    for add in list {
        let name = add.topic.clone();
        match partitions::add(add.clone(), metadata) {
            Ok(one) => {
                for mut change in one.changes {
                    change.subject = format!("{name} {}", change.subject);
                    plan.changes.push(change);
                }
                for warning in one.warnings {
                    if !plan.warnings.contains(&warning) {
                        plan.warnings.push(warning);
                    }
                }
                plan.equivalent.extend(one.equivalent);
                plan.irrevocable.extend(one.irrevocable);
                kept.push(add);
            }
            // One that has as many already is no reason to leave the others.
            Err(fault) if metadata.topic(&name).is_some() => {
                plan.not_done.push(format!("{name}: {}", fault.why));
            }
            Err(fault) => return Err(fault),
        }
    }
    plan.action = Action::AddPartitionsToMany(kept);
    Ok(plan)
}
