//! `reassign`: plan, execute, status, cancel.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crate::model::{Assignment, Fault, FaultKind, TopicPartition, Update};
use crate::ops::reassign::{self, Request, parse_assignment, print_assignment};
use crate::ops::{self, Action, Reassign, Verification};
use crate::output::{self, PlanJson, Printable};

use super::change::{execute, make};
use super::{GlobalArgs, GoalArgs, Io, ReassignCommand, Session, shared};

/// How often `--wait` looks.
const WAIT_POLL_MS: u64 = 1_000;

pub(super) async fn run(
    global: &GlobalArgs,
    command: ReassignCommand,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    match command {
        ReassignCommand::Plan {
            goal,
            topics,
            allow_fewer_racks,
            out,
            rollback,
        } => {
            let session = open(global).await?;
            let topics = (!topics.is_empty()).then_some(topics);
            let request = request(&goal, topics, allow_fewer_racks)?;
            let metadata = session.metadata()?;
            let dirs = session.snapshot.log_dirs.get();
            let target = reassign::propose(&metadata, dirs, &request)?;
            let wanted = Reassign {
                target: target.clone(),
                based_on: Assignment::new(),
            };
            let plan = ops::plan(Action::Reassign(wanted), &session.snapshot)?;
            if let Some(path) = &out {
                write(path, &print_assignment(&target))?;
            }
            if let (Some(path), Some(preview)) = (&rollback, &plan.reassignment) {
                write(path, &print_assignment(&preview.current()))?;
            }
            let mut text = PlanJson::from(&plan).print(global.output);
            if out.is_none() && global.output == output::Format::Table && !plan.is_empty() {
                text.push_str("\nThe proposal, for `reassign execute --file`:\n");
                text.push_str(&print_assignment(&target));
            }
            io.write(&text);
            Ok(0)
        }
        ReassignCommand::Execute { file, wait, change } => {
            let target = parse_assignment(&read(&file)?)?;
            let session = open(global).await?;
            let wanted = Reassign {
                target,
                based_on: Assignment::new(),
            };
            let plan = ops::plan(Action::Reassign(wanted), &session.snapshot)?;
            let code = make(global, &session, &plan, change, io).await?;
            if wait && code == 0 && !change.dry_run && !plan.is_empty() {
                return wait_until_done(&session, &plan, io).await;
            }
            Ok(code)
        }
        ReassignCommand::Status => {
            let session = open(global).await?;
            if let Some(fault) = session.snapshot.reassignments.fault() {
                return Err(Fault::clone(fault));
            }
            io.print(global.output, &output::moves(&session.snapshot));
            Ok(0)
        }
        ReassignCommand::Cancel { file, change } => {
            let session = open(global).await?;
            if let Some(fault) = session.snapshot.reassignments.fault() {
                return Err(Fault::clone(fault));
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

/// A session that knows the sizes and the running reassignments.
async fn open(global: &GlobalArgs) -> Result<Session, Fault> {
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
    if let Some(file) = &goal.file {
        return parse_assignment(&read(file)?).map(Request::Explicit);
    }
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
        let list = |text: &str| -> Option<Vec<i32>> {
            text.split(',').map(|id| id.trim().parse().ok()).collect()
        };
        let brokers = match brokers.as_str() {
            "all" => None,
            text => {
                Some(list(text).ok_or_else(|| bad_goal("--balance", text, "broker ids, or all"))?)
            }
        };
        return Ok(Request::Balance {
            brokers,
            topics,
            allow_fewer_racks,
        });
    }
    let brokers: Vec<i32> = goal
        .drain
        .iter()
        .copied()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    Ok(Request::Drain {
        brokers,
        to: None,
        topics,
        allow_fewer_racks,
    })
}

fn bad_goal(flag: &str, text: &str, form: &str) -> Fault {
    Fault::refused(
        "propose a reassignment",
        format!("{flag} {text} can't be read"),
    )
    .with_hint(format!("it must be {form}"))
}

fn read(path: &Path) -> Result<String, Fault> {
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

fn write(path: &Path, text: &str) -> Result<(), Fault> {
    std::fs::write(path, text).map_err(|error| {
        let why = format!("{}: {error}", path.display());
        Fault::new(FaultKind::Failed, "write the reassignment", why)
    })
}

/// Looks until the reassignment is done, telling on stderr how far it is.
async fn wait_until_done(
    session: &Session,
    plan: &ops::Plan,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
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
