//! `reassign run`, `resume`, `pause`, `set`, `cancel` of a run, and `janitor`.
//!
//! A run belongs to the process that executes it; the other commands leave it orders. Where no
//! process does, they take it over.

use std::path::Path;

use crate::model::Fault;
use crate::ops::execution::{self, BATCH, NewOrders, Run, Store, janitor};
use crate::ops::reassign::PlanFile;
use crate::ops::undo::{self, Journal};
use crate::ops::{self, Action, Plan, RunReassign};
use crate::output::{JanitorJson, PlanJson, Printable, RunJson, exit_code};

use super::change::confirm_shown;
use super::reassign::{open, read, read_rates};
use super::{ChangeArgs, GlobalArgs, Io, PaceArgs, Session};

fn store(session: &Session) -> Result<Store, Fault> {
    Store::of_user(session.metadata()?.cluster_id.as_deref())
}

fn none_runs() -> Fault {
    Fault::not_found(
        "find the run",
        "no run of this cluster is under way from here",
    )
    .with_hint("`reassign run PLAN --execute` begins one")
}

/// `reassign run`.
pub(super) async fn run(
    global: &GlobalArgs,
    file: &Path,
    pace: &PaceArgs,
    change: ChangeArgs,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    global.saves_no_plan("execute a reassignment")?;
    let change = change.showing_first();
    let path = file;
    let file = PlanFile::parse(&read(path)?)?;
    let mut session = open(global).await?;
    read_rates(&mut session).await;
    let wanted = RunReassign {
        reassign: file.reassign(&*session.metadata()?)?,
        throttle: pace.throttle,
        batch: pace.batch.map_or(BATCH, |n| n as usize),
    };
    let mut plan = ops::plan(Action::RunReassign(wanted), &session.snapshot)?;
    plan.name_file(path);
    if let Some(goal) = file.goal {
        plan.title = goal;
    }
    io.write_unless_json(global, &PlanJson::from(&plan).table());
    if change.is_dry(&session.target) || plan.is_empty() {
        if !plan.is_empty() {
            change.tell(&session.target, io);
        }
        if global.output == crate::output::Format::Json {
            io.print(global.output, &PlanJson::from(&plan));
        }
        return Ok(0);
    }
    session.client.refuse_if_read_only(&plan.title)?;
    confirm_shown(&session, &plan, change, io)?;
    carry_out(global, &session, &plan, io).await
}

/// Begins the run of a plan, with what undoes it written first, and executes it to its end.
pub(super) async fn carry_out(
    global: &GlobalArgs,
    session: &Session,
    plan: &Plan,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let store = store(session)?;
    // Held before it begins, so that nobody else takes it up.
    let held = store.hold()?.ok_or_else(busy)?;
    let report = undo::make(&session.client, plan, &Journal::of_user()).await?;
    if let Some((_, fault)) = report.faults().next() {
        return Err(fault.clone());
    }
    let mut run = store.unfinished().ok_or_else(none_runs)?;
    run.undo_file = report.undo_file;
    let code = drive(global, session, &store, run, io).await;
    drop(held);
    code
}

fn busy() -> Fault {
    let why = "another process executes a run of this cluster";
    Fault::refused("execute a reassignment", why)
        .with_hint("`reassign status` shows it; pause, set, cancel and resume work on it")
}

/// Executes a run to its end, or until this process is interrupted.
async fn drive(
    global: &GlobalArgs,
    session: &Session,
    store: &Store,
    mut run: Run,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let mut told = String::new();
    let err = &mut *io.err;
    let tell = |run: &Run| {
        let line = run.line();
        if line != told {
            // A reader that has gone away is no failure.
            let _ = writeln!(err, "{line}");
            told = line;
        }
    };
    let execute = execution::shell::execute(&session.client, store, &mut run, tell);
    tokio::select! {
        done = execute => done?,
        _ = tokio::signal::ctrl_c() => {
            io.tell(
                "interrupted: what is on its way goes on, throttled; `reassign resume` goes on \
                 with the rest, `reassign cancel` goes back\n",
            );
            return Ok(1);
        }
    }
    io.print(global.output, &RunJson::from(&run));
    let is_whole = run.counts().skipped == 0 && run.ours.is_empty();
    Ok(u8::from(!is_whole))
}

/// Gives orders to whoever executes the run of this cluster. Where nobody does, `take_over`
/// decides whether this process goes on with it. A dry run shows the run that is meant.
pub(super) async fn order(
    global: &GlobalArgs,
    new: NewOrders,
    take_over: bool,
    change: ChangeArgs,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    global.saves_no_plan("change a run")?;
    let session = Session::open(global).await?;
    let is_dry = change.is_dry(&session.target);
    if !is_dry {
        session.client.refuse_if_read_only("change a run")?;
    }
    let store = store(&session)?;
    let mut run = store.unfinished().ok_or_else(none_runs)?;
    if is_dry {
        io.print(global.output, &RunJson::from(&run));
        change.tell(&session.target, io);
        return Ok(0);
    }
    let Some(held) = store.hold()? else {
        store.order(&run.id, &new)?;
        io.tell("the process that executes it was told\n");
        return Ok(0);
    };
    store.take_orders(&mut run);
    run.orders.take(&new);
    store.save(&run)?;
    let code = if take_over {
        drive(global, &session, &store, run, io).await
    } else {
        io.print(global.output, &RunJson::from(&run));
        Ok(0)
    };
    drop(held);
    code
}

/// Executes a run to its end as a part of another command, whose document is the one that is
/// printed.
pub(super) async fn order_quietly(
    global: &GlobalArgs,
    new: NewOrders,
    change: ChangeArgs,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let mut nowhere = std::io::sink();
    let mut quiet = Io {
        out: &mut nowhere,
        err: &mut *io.err,
        ask: &mut *io.ask,
    };
    order(global, new, true, change.decided(), &mut quiet).await
}

/// The unfinished run of this cluster, for `status` and `cancel`.
pub(super) fn unfinished(session: &Session) -> Option<Run> {
    store(session).ok()?.unfinished()
}

/// `reassign janitor`.
pub(super) async fn clean(
    global: &GlobalArgs,
    all: bool,
    change: ChangeArgs,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    global.saves_no_plan("remove throttles")?;
    let change = change.showing_first();
    let session = Session::open(global).await?;
    let store = store(&session)?;
    let metadata = session.metadata()?;
    let found = janitor::find(&session.client, &metadata, &store, true).await?;
    let mut shown = JanitorJson::of(&found, all);
    let mut code = 0;
    if !change.is_dry(&session.target) {
        session.client.refuse_if_read_only("remove throttles")?;
        let removed = found.iter().filter(|left| all || left.set_by.is_some());
        for left in removed {
            let outcome = session.client.alter_configs(&left.removal, false).await;
            code = outcome
                .as_ref()
                .err()
                .map_or(code, |fault| code.max(exit_code(fault)));
            shown.report(left, outcome);
        }
    }
    io.print(global.output, &shown);
    if shown.has_work() {
        change.tell(&session.target, io);
    }
    Ok(code)
}
