//! `reassign`: plan, execute, status, cancel.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crate::derive::{self, CopyRate};
use crate::model::{Assignment, ClusterSnapshot, Fault, FaultKind, TopicPartition, Update};
use crate::ops::execution::{NewOrders, Run, Wish};
use crate::ops::reassign::{self, Pace, PlanFile, Request, parse_assignment, print_assignment};
use crate::ops::{self, Action, Plan, Reassign, Verification};
use crate::output::{self, PlanJson, Printable, RunJson};

use super::change::{execute, make};
use super::execution;
use super::{GlobalArgs, GoalArgs, Io, PaceArgs, ReassignCommand, Session, shared};

/// How often `--wait` looks.
const WAIT_POLL_MS: u64 = 1_000;

/// Between two reads of the offsets.
const RATE_MS: u64 = 1_200;

pub(super) async fn run(
    global: &GlobalArgs,
    command: ReassignCommand,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    match command {
        ReassignCommand::Plan {
            goal,
            pace,
            topics,
            allow_fewer_racks,
            out,
            rollback,
        } => {
            let topics = (!topics.is_empty()).then_some(topics);
            let mut session = open(global).await?;
            read_rates(&mut session).await;
            let (mut plan, text) = propose(&session, &goal, &pace, topics, allow_fewer_racks)?;
            if let Some(path) = &out {
                write(path, &text)?;
                plan.name_file(path);
            }
            if let (Some(path), Some(preview)) = (&rollback, &plan.reassignment) {
                write(path, &print_assignment(&preview.current()))?;
            }
            let mut printed = PlanJson::from(&plan).print(global.output);
            if out.is_none() && global.output == output::Format::Table && !plan.is_empty() {
                printed.push_str("\nThe plan, for `reassign run` and `reassign execute --file`:\n");
                printed.push_str(&text);
            }
            io.write(&printed);
            Ok(0)
        }
        ReassignCommand::Execute { file, wait, change } => {
            let wanted = PlanFile::parse(&read(&file)?)?;
            let session = open(global).await?;
            let wanted = wanted.reassign(&*session.metadata()?)?;
            let mut plan = ops::plan(Action::Reassign(wanted), &session.snapshot)?;
            plan.name_file(&file);
            let code = make(global, &session, &plan, change, io).await?;
            let is_done = global.executes(change, &session.target);
            if wait && code == 0 && is_done && !plan.is_empty() {
                return wait_until_done(&session, &plan, io).await;
            }
            Ok(code)
        }
        ReassignCommand::Run { file, pace, change } => {
            execution::run(global, &file, &pace, change, io).await
        }
        ReassignCommand::Resume { pace, change } => {
            let mut new = orders_of(&pace);
            new.wish = Some(Wish::Run);
            execution::order(global, new, true, change, io).await
        }
        ReassignCommand::Pause { change } => {
            let new = NewOrders {
                wish: Some(Wish::Pause),
                ..NewOrders::default()
            };
            execution::order(global, new, false, change, io).await
        }
        ReassignCommand::Set {
            pace,
            unthrottled,
            change,
        } => {
            let mut new = orders_of(&pace);
            new.unthrottled = unthrottled;
            execution::order(global, new, false, change, io).await
        }
        ReassignCommand::Janitor { all, change } => execution::clean(global, all, change, io).await,
        ReassignCommand::Status => {
            let mut session = open(global).await?;
            if let Some(fault) = session.snapshot.reassignments.fault() {
                return Err(Fault::clone(fault));
            }
            let run = execution::unfinished(&session);
            let mut rate = CopyRate::default();
            let mut moves = output::moves(&session.snapshot);
            if !moves.reassignments.is_empty() {
                note(&session, &mut rate);
                tokio::time::sleep(Duration::from_millis(RATE_MS)).await;
                read_moves(&mut session).await;
                note(&session, &mut rate);
                moves = output::moves(&session.snapshot);
                moves.bytes_per_second = rate.bytes_per_second();
                let waiting = run.as_ref().map_or(Some(0), Run::waiting_bytes);
                let left = |row: &output::MoveRow| Some(row.bytes_total? - row.bytes_done?);
                let running: Option<i64> = moves.reassignments.iter().map(left).sum();
                moves.left_ms = waiting.zip(running).and_then(|(a, b)| rate.left_ms(a + b));
            }
            moves.run = run.as_ref().map(RunJson::from);
            io.print(global.output, &moves);
            Ok(0)
        }
        ReassignCommand::Cancel { file, change } => {
            let session = open(global).await?;
            if let Some(fault) = session.snapshot.reassignments.fault() {
                return Err(Fault::clone(fault));
            }
            let executes = global.executes(change, &session.target);
            if file.is_none() && executes && execution::unfinished(&session).is_some() {
                let new = NewOrders {
                    wish: Some(Wish::Cancel),
                    ..NewOrders::default()
                };
                return execution::order(global, new, true, change, io).await;
            }
            let partitions: Vec<TopicPartition> = match file {
                Some(file) => parse_assignment(&read(&file)?)?.into_keys().collect(),
                None => {
                    let running = session.snapshot.reassignments.get();
                    running
                        .map(|running| running.keys().cloned().collect())
                        .unwrap_or_default()
                }
            };
            execute(
                global,
                &session,
                Action::CancelReassignments(partitions),
                change,
                io,
            )
            .await
        }
    }
}

/// Takes in how far the moves are.
fn note(session: &Session, rate: &mut CopyRate) {
    let snapshot = &session.snapshot;
    if let (Some(running), Some(metadata)) = (snapshot.reassignments.get(), snapshot.metadata.get())
    {
        let moves = derive::moves(running, metadata, snapshot.log_dirs.get());
        rate.note(session.client.now().monotonic_ms, &moves);
    }
}

fn orders_of(pace: &PaceArgs) -> NewOrders {
    NewOrders {
        throttle: pace.throttle,
        batch: pace.batch.map(|n| n as usize),
        ..NewOrders::default()
    }
}

/// Makes a proposal: its plan, and the text of its file.
fn propose(
    session: &Session,
    goal: &GoalArgs,
    pace: &PaceArgs,
    topics: Option<Vec<String>>,
    allow_fewer_racks: bool,
) -> Result<(Plan, String), Fault> {
    let wanted = match &goal.file {
        Some(file) => PlanFile::parse(&read(file)?)?.reassign(&*session.metadata()?)?,
        None => {
            let request = request(goal, topics, allow_fewer_racks)?;
            let metadata = session.metadata()?;
            let dirs = session.snapshot.log_dirs.get();
            Reassign {
                target: reassign::propose(&metadata, dirs, &request)?,
                based_on: Assignment::new(),
            }
        }
    };
    let mut plan = ops::plan(Action::Reassign(wanted), &session.snapshot)?;
    pace_plan(&mut plan, pace, &session.snapshot);
    let file = PlanFile {
        cluster_id: plan.cluster_id.clone(),
        made_at: Some(ops::undo::timestamp(session.client.now().wall_ms)),
        goal: Some(words(goal)),
        ..PlanFile::default()
    };
    let text = plan
        .reassignment
        .as_ref()
        .map_or_else(String::new, |preview| {
            let estimate = preview.estimate.as_ref();
            reassign::print_plan(&file, preview, estimate, &plan.warnings)
        });
    Ok((plan, text))
}

/// Estimates anew with what is known of the pace, and warns where it would never end.
fn pace_plan(plan: &mut Plan, pace: &PaceArgs, snapshot: &ClusterSnapshot) {
    let pace = Pace {
        throttle: pace.throttle,
        batch: pace.batch.map(|n| n as usize),
        inflow: reassign::inflow(snapshot),
    };
    if let Some(preview) = &mut plan.reassignment {
        preview.estimate = reassign::estimate(preview, &pace);
        plan.warnings.extend(reassign::never_ends(preview, &pace));
    }
    if let Some(rate) = pace.throttle {
        for line in plan
            .equivalent
            .iter_mut()
            .filter(|line| line.ends_with("--execute"))
        {
            line.push_str(&format!(" --throttle {rate}"));
        }
    }
}

/// The goal as it was asked for.
fn words(goal: &GoalArgs) -> String {
    let ids = |ids: &[i32]| ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
    match goal {
        GoalArgs {
            file: Some(file), ..
        } => format!("as in {}", file.display()),
        GoalArgs {
            from_to: Some(pair),
            ..
        } => format!("move {pair}"),
        GoalArgs {
            balance: Some(to), ..
        } => format!("balance over {to}"),
        GoalArgs {
            generate: Some(to), ..
        } => format!("generate over {to}"),
        GoalArgs {
            replication_factor: Some(n),
            ..
        } => format!("replication factor {n}"),
        GoalArgs { leaders: true, .. } => "leaders only".to_owned(),
        GoalArgs { add, .. } if !add.is_empty() => format!("add {}", ids(add)),
        GoalArgs { drain, .. } => format!("drain {}", ids(drain)),
    }
}

/// Reads the offsets twice, which tells what is written meanwhile.
pub(super) async fn read_rates(session: &mut Session) {
    for at in 0..2 {
        if at > 0 {
            tokio::time::sleep(Duration::from_millis(RATE_MS)).await;
        }
        let Some(metadata) = session.snapshot.metadata.value().cloned() else {
            return;
        };
        let offsets = session.client.offsets(&metadata, None).await;
        session.apply(Update::Offsets {
            result: shared(offsets),
            complete: true,
        });
    }
}

/// A session that knows the sizes and the running reassignments.
pub(super) async fn open(global: &GlobalArgs) -> Result<Session, Fault> {
    let mut session = Session::open(global).await?;
    read_moves(&mut session).await;
    Ok(session)
}

/// Reads the sizes and the running reassignments.
pub(super) async fn read_moves(session: &mut Session) {
    let Some(metadata) = session.snapshot.metadata.value().cloned() else {
        return;
    };
    let (dirs, running) = tokio::join!(
        session.client.log_dirs(&metadata),
        session.client.reassignments()
    );
    session.apply(Update::LogDirs(shared(dirs)));
    session.apply(Update::Reassignments(shared(running)));
}

fn request(
    goal: &GoalArgs,
    topics: Option<Vec<String>>,
    allow_fewer_racks: bool,
) -> Result<Request, Fault> {
    if let Some(from_to) = &goal.from_to {
        let parsed = from_to
            .split_once(':')
            .and_then(|(from, to)| Some((from.trim().parse().ok()?, to.trim().parse().ok()?)));
        let (from, to) = parsed.ok_or_else(|| bad_goal("--move", from_to, "FROM:TO, as 1:4"))?;
        let (brokers, to) = (vec![from], Some(vec![to]));
        return Ok(Request::Drain {
            brokers,
            to,
            topics,
            allow_fewer_racks,
        });
    }
    if let Some(brokers) = &goal.balance {
        return Ok(Request::Balance {
            brokers: ids_or_all("--balance", brokers)?,
            topics,
            allow_fewer_racks,
        });
    }
    if let Some(brokers) = &goal.generate {
        return Ok(Request::Generate {
            brokers: ids_or_all("--generate", brokers)?,
            topics,
            seed: 0,
        });
    }
    if let Some(factor) = goal.replication_factor {
        return Ok(Request::SetReplication {
            factor,
            to: None,
            topics,
            allow_fewer_racks,
        });
    }
    if goal.leaders {
        return Ok(Request::Leaders { topics });
    }
    let distinct = |ids: &[i32]| -> Vec<i32> {
        ids.iter()
            .copied()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    };
    if !goal.add.is_empty() {
        return Ok(Request::Add {
            brokers: distinct(&goal.add),
            topics,
            allow_fewer_racks,
        });
    }
    Ok(Request::Drain {
        brokers: distinct(&goal.drain),
        to: None,
        topics,
        allow_fewer_racks,
    })
}

/// Broker ids by comma, or `None` for `all`.
fn ids_or_all(flag: &str, text: &str) -> Result<Option<Vec<i32>>, Fault> {
    if text == "all" {
        return Ok(None);
    }
    let ids: Option<Vec<i32>> = text.split(',').map(|id| id.trim().parse().ok()).collect();
    let ids = ids.ok_or_else(|| bad_goal(flag, text, "broker ids, or all"))?;
    Ok(Some(ids))
}

fn bad_goal(flag: &str, text: &str, form: &str) -> Fault {
    Fault::refused(
        "propose a reassignment",
        format!("{flag} {text} can't be read"),
    )
    .with_hint(format!("it must be {form}"))
}

pub(super) fn read(path: &Path) -> Result<String, Fault> {
    std::fs::read_to_string(path).map_err(|error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => FaultKind::NotFound,
            _ => FaultKind::Failed,
        };
        Fault::new(
            kind,
            "read the reassignment",
            format!("{}: {error}", path.display()),
        )
    })
}

pub(super) fn write(path: &Path, text: &str) -> Result<(), Fault> {
    std::fs::write(path, text).map_err(|error| {
        let why = format!("{}: {error}", path.display());
        Fault::new(FaultKind::Failed, "write the reassignment", why)
    })
}

/// Looks until the reassignment is done, telling on stderr how far it is.
async fn wait_until_done(session: &Session, plan: &Plan, io: &mut Io<'_>) -> Result<u8, Fault> {
    let mut told = String::new();
    loop {
        match ops::verify(&session.client, plan).await? {
            Verification::Done => return Ok(0),
            Verification::Differs { detail } => {
                return Err(Fault::new(FaultKind::Failed, &plan.title, detail));
            }
            Verification::InProgress { detail } => {
                if detail != told {
                    io.tell(&format!("{detail}\n"));
                    told = detail;
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(WAIT_POLL_MS)).await;
    }
}
