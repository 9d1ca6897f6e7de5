//! `plan`: shows and executes a plan that `--save-plan` wrote.

use std::path::PathBuf;

use clap::Args;

use crate::model::Fault;
use crate::ops::plan_file::SavedPlan;
use crate::ops::{Action, undo};

use super::change::{confirm, make, read_sizes};
use super::execution::carry_out;
use super::{ChangeArgs, GlobalArgs, Io, Session};

#[derive(Clone, Debug, Args)]
pub struct PlanArgs {
    /// As --save-plan wrote it
    pub file: PathBuf,
    #[command(flatten)]
    pub change: ChangeArgs,
}

pub(super) async fn run(global: &GlobalArgs, args: PlanArgs, io: &mut Io<'_>) -> Result<u8, Fault> {
    let saved = SavedPlan::parse(&crate::state::read(&args.file)?)?;
    let mut session = Session::open(global).await?;
    for update in undo::read(&session.client, &saved.action).await {
        session.apply(update);
    }
    read_sizes(&mut session, &saved.action).await;
    if let Action::Reassign(_) | Action::RunReassign(_) = saved.action {
        super::reassign::read_moves(&mut session).await;
    }
    let plan = saved.plan(&session.snapshot)?;
    let change = args.change.showing_first();
    let executes = global.executes(change, &session.target);
    if let (Action::RunReassign(_), true, false) = (&plan.action, executes, plan.is_empty()) {
        confirm(&session, &plan, change, io)?;
        return carry_out(global, &session, &plan, io).await;
    }
    make(global, &session, &plan, change, io).await
}
