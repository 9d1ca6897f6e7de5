//! `undo`: takes the last change back, or the one of a file.

use std::path::PathBuf;

use clap::Args;

use crate::model::Fault;
use crate::ops::Action;
use crate::ops::execution::{NewOrders, Wish};
use crate::ops::undo::{self, Entry, Journal, Last};
use crate::output;

use super::change::{confirm, make, read_sizes};
use super::execution::carry_out;
use super::{ChangeArgs, GlobalArgs, Io, PaceArgs, Session};

/// Shows what it would do; `--execute` does it.
#[derive(Clone, Debug, Args)]
pub struct UndoArgs {
    /// What undoes the change, as the change named it; the last change of this cluster if absent
    pub file: Option<PathBuf>,
    /// List the changes that can be undone, and those that were
    #[arg(long, conflicts_with_all = ["file", "execute"])]
    pub list: bool,
    #[command(flatten)]
    pub change: ChangeArgs,
    #[command(flatten)]
    pub pace: PaceArgs,
}

pub(super) async fn run(global: &GlobalArgs, args: UndoArgs, io: &mut Io<'_>) -> Result<u8, Fault> {
    let journal = Journal::of_user();
    let mut session = Session::open(global).await?;
    let metadata = session.metadata()?;
    let cluster_id = metadata.cluster_id.as_deref();
    if args.list {
        let entries = journal.entries(cluster_id);
        io.print(global.output, &output::undo(&entries, &metadata));
        return Ok(0);
    }
    let mut last = match args.file {
        Some(path) => Last {
            entry: Some(Entry {
                inverse: Journal::read(&path)?,
                path: std::path::absolute(&path).unwrap_or(path),
                is_undone: false,
            }),
            ..Last::default()
        },
        None => journal.last(cluster_id, Some(&metadata)),
    };
    if let Some(entry) = &mut last.entry {
        let batch = args.pace.batch.map(|n| n as usize);
        entry.inverse.set_pace(args.pace.throttle, batch)?;
    }
    read(&mut session, &last).await;
    let plan = last.plan(&session.snapshot).map_err(|fault| {
        let hint = "`kafka-tui undo --list` shows what was changed and undone from here";
        match fault.hint {
            None => fault.with_hint(hint),
            Some(_) => fault,
        }
    })?;
    let change = args.change.showing_first();
    let executes = global.executes(change, &session.target);
    if let (Action::RunReassign(_), true, false) = (&plan.action, executes, plan.is_empty()) {
        confirm(&session, &plan, change, io)?;
        return carry_out(global, &session, &plan, io).await;
    }
    let code = make(global, &session, &plan, change, io).await?;
    let is_run = |step: &Action| matches!(step, Action::RunReassign(_));
    if executes && code == 0 && plan.action.steps().iter().any(is_run) {
        let new = NewOrders {
            wish: Some(Wish::Run),
            ..NewOrders::default()
        };
        return super::execution::order_quietly(global, new, change, io).await;
    }
    Ok(code)
}

/// Reads what planning the undo compares with.
async fn read(session: &mut Session, last: &Last) {
    let undo = last.entry.as_ref().map(|entry| &entry.inverse.undo);
    let Some(undo) = undo.and_then(Option::as_ref) else {
        return;
    };
    for update in undo::read(&session.client, undo).await {
        session.apply(update);
    }
    read_sizes(session, undo).await;
    if let Action::Reassign(_) | Action::RunReassign(_) = undo {
        super::reassign::read_moves(session).await;
    }
    if let Action::RunReassign(_) = undo {
        super::reassign::read_rates(session).await;
    }
}
