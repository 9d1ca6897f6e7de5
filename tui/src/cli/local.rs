//! `local`: brokers on this machine.

use clap::Subcommand;

use crate::local::{
    ClusterOptions, LocalBroker, LocalBrokers, LocalStatus, Outcomes, Program, RollingOptions,
    StartOptions,
};
use crate::model::Fault;
use crate::output::{Format, LocalJson, LocalLog, LocalLogsJson, error_text, exit_code};

use super::{GlobalArgs, Io, brokers, key_value};

/// How long a broker may take to shut down.
const STOP_WAIT_MS: u64 = 30_000;

#[derive(Debug, Subcommand)]
pub enum LocalCommand {
    /// Start a broker or a cluster on this machine, made anew if there is none of that name
    ///
    /// Of a cluster NAME, all nodes are meant by NAME and one node by NAME/ID, here and in all
    /// other commands.
    #[command(after_help = super::examples::LOCAL_START)]
    Start {
        /// What it is called
        #[arg(default_value = crate::local::DEFAULT_NAME)]
        name: String,
        /// So many make a new cluster
        #[arg(long, value_name = "N", value_parser = brokers)]
        brokers: Option<usize>,
        /// Racks for the brokers of a new cluster, dealt out in turn
        #[arg(
            long,
            value_name = "RACK,...",
            value_delimiter = ',',
            requires = "brokers"
        )]
        racks: Vec<String>,
        /// Of the first broker. The one it had, or the first free one from 9092 on
        #[arg(long)]
        port: Option<u16>,
        /// A setting as in server.properties; may be given more than once
        #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
        settings: Vec<(String, String)>,
        /// Run this kafka-broker instead of the one in this program
        #[arg(long, value_name = "FILE", conflicts_with = "apache")]
        program: Option<std::path::PathBuf>,
        /// Make a new cluster whose nodes this installation of Apache Kafka runs
        #[arg(long, value_name = "FOLDER")]
        apache: Option<std::path::PathBuf>,
        /// Only these nodes; the others are brokers of this program
        #[arg(
            long,
            value_name = "ID,...",
            value_delimiter = ',',
            requires = "apache"
        )]
        apache_nodes: Vec<i32>,
    },
    /// Stop a broker and start it again
    Restart {
        /// A broker, a cluster, or one of its nodes: NAME or NAME/ID
        #[arg(default_value = crate::local::DEFAULT_NAME)]
        name: String,
    },
    /// Restart the nodes of a cluster one after the other, each when it may stop and the one before
    /// is whole again; the active controller comes last
    RollingRestart {
        /// The cluster
        name: String,
        /// How long one node may have to wait
        #[arg(long, value_name = "TIME", default_value = "10m", value_parser = super::wait::duration)]
        timeout: std::time::Duration,
    },
    /// Kill a broker, as a crash would; its data stays
    Kill {
        /// A broker, a cluster, or one of its nodes: NAME or NAME/ID
        #[arg(default_value = crate::local::DEFAULT_NAME)]
        name: String,
    },
    /// Stop a broker; its data stays
    Stop {
        /// A broker, a cluster, or one of its nodes: NAME or NAME/ID
        #[arg(default_value = crate::local::DEFAULT_NAME)]
        name: String,
        /// Kill it, as a crash would
        #[arg(long)]
        force: bool,
    },
    /// Hold a broker where it stands, as if its machine had stopped
    Pause {
        /// A broker, a cluster, or one of its nodes: NAME or NAME/ID
        #[arg(default_value = crate::local::DEFAULT_NAME)]
        name: String,
    },
    /// Let a paused broker go on
    Resume {
        /// A broker, a cluster, or one of its nodes: NAME or NAME/ID
        #[arg(default_value = crate::local::DEFAULT_NAME)]
        name: String,
    },
    /// Show the brokers of this machine
    Status {
        /// Only this one; all of them if absent
        name: Option<String>,
    },
    /// Print the end of a broker's log
    Logs {
        /// A broker, a cluster, or one of its nodes: NAME or NAME/ID
        #[arg(default_value = crate::local::DEFAULT_NAME)]
        name: String,
        /// So many of the last lines
        #[arg(long, default_value_t = 50)]
        lines: usize,
        /// Only lines that contain this, in any case
        #[arg(
            long,
            value_name = "TEXT",
            default_value = "",
            hide_default_value = true
        )]
        filter: String,
    },
    /// Delete a stopped broker with its data
    Delete {
        /// A broker or a cluster
        name: String,
        /// Don't ask
        #[arg(long)]
        yes: bool,
    },
}

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
