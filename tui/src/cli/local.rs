//! `local`: brokers on this machine.

use crate::local::{
    ClusterOptions, LocalBroker, LocalBrokers, LocalStatus, Outcomes, Program, RollingOptions,
    StartOptions,
};
use crate::model::Fault;
use crate::output::{Format, LocalJson, LocalLog, LocalLogsJson, error_text, exit_code};

use super::{GlobalArgs, Io, LocalCommand};

/// How long a broker may take to shut down.
const STOP_WAIT_MS: u64 = 30_000;

pub(super) async fn run(
    global: &GlobalArgs,
    command: LocalCommand,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let brokers = LocalBrokers::of_user()?;
    match command {
        LocalCommand::Start {
            name,
            brokers: n_brokers,
            racks,
            port,
            settings,
            program,
            apache,
            apache_nodes,
        } => {
            let options = ClusterOptions {
                brokers: n_brokers,
                racks,
                apache,
                apache_nodes,
                start: StartOptions {
                    port,
                    settings,
                    program: program.map_or(Program::Own, Program::Other),
                    ..StartOptions::default()
                },
            };
            let outcomes = brokers.start_all(&name, &options).await?;
            Ok(tell(global, outcomes, io))
        }
        LocalCommand::Stop { name, force } => {
            let outcomes = stop_all(&brokers, &name, force).await?;
            Ok(tell(global, outcomes, io))
        }
        LocalCommand::Kill { name } => {
            let outcomes = stop_all(&brokers, &name, true).await?;
            Ok(tell(global, outcomes, io))
        }
        LocalCommand::Restart { name } => {
            stop_all(&brokers, &name, false).await?.all()?;
            let outcomes = brokers.start_all(&name, &ClusterOptions::default()).await?;
            Ok(tell(global, outcomes, io))
        }
        LocalCommand::RollingRestart { name, timeout } => {
            let options = RollingOptions {
                wait_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
                stop_ms: STOP_WAIT_MS,
            };
            let say = |text: String| io.tell(&format!("{text}\n"));
            let restarted = brokers.rolling_restart(&name, &options, say).await?;
            io.print(global.output, &LocalJson { brokers: restarted });
            Ok(0)
        }
        LocalCommand::Pause { name } => each(global, &brokers, &name, LocalBrokers::pause, io),
        LocalCommand::Resume { name } => each(global, &brokers, &name, LocalBrokers::resume, io),
        LocalCommand::Status { name: Some(name) } => {
            let members = brokers.members(&name)?;
            let members: Result<Vec<LocalBroker>, Fault> =
                members.iter().map(|name| brokers.get(name)).collect();
            let brokers = LocalBrokers::measured(members?);
            let all_run = brokers.iter().all(|b| b.status == LocalStatus::Running);
            io.print(global.output, &LocalJson { brokers });
            // For scripts: a broker that was asked for by name and does not run is a failure.
            Ok(u8::from(!all_run))
        }
        LocalCommand::Status { name: None } => {
            let brokers = LocalBrokers::measured(brokers.list()?);
            io.print(global.output, &LocalJson { brokers });
            Ok(0)
        }
        LocalCommand::Logs {
            name,
            lines,
            filter,
        } => {
            let mut logs = Vec::new();
            for name in brokers.members(&name)? {
                let lines = brokers.log_tail(&name, lines, &filter)?;
                logs.push(LocalLog { name, lines });
            }
            io.print(global.output, &LocalLogsJson { logs });
            Ok(0)
        }
        LocalCommand::Delete { name, yes } => {
            let members = brokers.members(&name)?;
            let members: Result<Vec<LocalBroker>, Fault> =
                members.iter().map(|name| brokers.get(name)).collect();
            let members = members?;
            if !yes {
                confirm(&name, io)?;
            }
            brokers.delete(&name)?;
            io.tell(&format!("deleted {name}\n"));
            if global.output != Format::Table {
                io.print(global.output, &LocalJson { brokers: members });
            }
            Ok(0)
        }
    }
}

/// Stops every broker that a name stands for.
async fn stop_all(brokers: &LocalBrokers, name: &str, force: bool) -> Result<Outcomes, Fault> {
    let members = brokers.members(name)?;
    if !force {
        return Ok(brokers.stop_all(&members, STOP_WAIT_MS).await);
    }
    let kills = members.iter().map(|name| brokers.kill(name));
    let results = futures_util::future::join_all(kills).await;
    Ok(Outcomes::of(members.into_iter().zip(results)))
}

/// Does something with every broker that a name stands for.
fn each(
    global: &GlobalArgs,
    brokers: &LocalBrokers,
    name: &str,
    act: fn(&LocalBrokers, &str) -> Result<LocalBroker, Fault>,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let members = brokers.members(name)?.into_iter();
    let results = members.map(|name| {
        let result = act(brokers, &name);
        (name, result)
    });
    Ok(tell(global, Outcomes::of(results), io))
}

/// Prints what was done and says what was not; the exit code is that of the first failure.
fn tell(global: &GlobalArgs, outcomes: Outcomes, io: &mut Io<'_>) -> u8 {
    let Outcomes {
        done,
        faults,
        notes,
    } = outcomes;
    if !done.is_empty() {
        io.print(global.output, &LocalJson { brokers: done });
    }
    for (name, note) in &notes {
        io.tell(&format!("note: {name}: {note}\n"));
    }
    for (_, fault) in &faults {
        io.tell(&error_text(fault));
    }
    faults.first().map_or(0, |(_, fault)| exit_code(fault))
}

/// Lets somebody type the name of what is to be deleted.
fn confirm(name: &str, io: &mut Io<'_>) -> Result<(), Fault> {
    let title = format!("delete the local broker \"{name}\"");
    let question = format!("{title} with its data\nType {name} to go on: ");
    match (io.ask)(&question) {
        Some(typed) if typed.trim() == name => Ok(()),
        Some(_) => Err(Fault::refused(title, "it was not confirmed")),
        None => Err(Fault::refused(title, "nobody can be asked to confirm it")
            .with_hint("use --yes to go on without a question")),
    }
}
