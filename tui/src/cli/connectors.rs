//! `connect`: the connectors of Kafka Connect.

use std::path::PathBuf;

use crate::clusters::{Target, connect_confirmation, login_reference};
use crate::connect::{Change, Proposal, Workers, read_config};
use crate::model::Fault;
use crate::output::{self, ConnectChangeJson};

use super::connect::by_environment;
use super::unrepeated::Unrepeated;
use super::{ChangeArgs, GlobalArgs, Io, key_value};

/// Which workers, and what is wanted of them.
#[derive(Clone, Debug, clap::Args)]
pub struct ConnectArgs {
    /// A worker's REST interface, http://host:8083; may be given more than once. The saved cluster's
    /// if absent
    #[arg(long = "url", value_name = "URL", global = true)]
    pub urls: Vec<String>,
    /// The user of the REST interface and where the password is: user:env:NAME
    #[arg(long, value_name = "USER:WHERE", global = true, value_parser = Unrepeated(login_reference))]
    pub login: Option<String>,
    /// Certificates of the authorities that vouch for the workers, PEM
    #[arg(long, value_name = "FILE", global = true)]
    pub ca: Option<PathBuf>,
    #[command(subcommand)]
    pub command: ConnectCommand,
}

#[derive(Clone, Debug, clap::Subcommand)]
pub enum ConnectCommand {
    /// List the connectors with their state and tasks
    ///
    /// With --check it exits with 8 when one of them or of their tasks has failed.
    List {
        /// Exit with 8 when something has failed
        #[arg(long)]
        check: bool,
    },
    /// Show one connector with its tasks, their errors and its configuration
    Describe {
        /// The connector's name
        name: String,
    },
    /// Restart a connector with its tasks
    Restart {
        /// The connector's name
        name: String,
        /// Only what has failed
        #[arg(long)]
        failed: bool,
        /// Only this task
        #[arg(long, value_name = "ID", conflicts_with = "failed")]
        task: Option<i32>,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Let a connector rest; its tasks keep what they have
    Pause {
        /// The connector's name
        name: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Let a connector go on
    Resume {
        /// The connector's name
        name: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// End the tasks of a connector; it and its offsets stay
    Stop {
        /// The connector's name
        name: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Make a connector, or change its configuration; the worker checks it first
    #[command(after_help = super::examples::CONNECT_CONFIG)]
    Config {
        /// The connector's name
        name: String,
        /// Sets a value; may be given more than once
        #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
        set: Vec<(String, String)>,
        /// Takes a key out
        #[arg(long = "unset", value_name = "KEY")]
        unset: Vec<String>,
        /// A JSON object with values to set, as Connect's REST interface takes it
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Delete a connector; what it has written stays
    Delete {
        /// The connector's name
        name: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

pub(super) async fn run(
    global: &GlobalArgs,
    args: ConnectArgs,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let (workers, target) = workers(global, &args)?;
    match args.command {
        ConnectCommand::List { check } => {
            let list = output::connectors(workers.connectors().await?);
            let has_failed = list.connectors.iter().any(|c| c.connector.has_failed());
            io.print(global.output, &list);
            Ok(if check && has_failed {
                output::EXIT_NO
            } else {
                0
            })
        }
        ConnectCommand::Describe { name } => {
            let all = workers.connectors().await?;
            let found = all.into_iter().find(|connector| connector.name == name);
            let found = found.ok_or_else(|| {
                let why = format!("connector \"{name}\" does not exist");
                Fault::not_found("describe a connector", why)
                    .with_hint("`kafka-tui connect list` shows their names")
            })?;
            io.print(global.output, &output::connector(found));
            Ok(0)
        }
        ConnectCommand::Restart {
            name,
            failed,
            task,
            change,
        } => {
            let restart = match task {
                Some(task) => Change::RestartTask(task),
                None => Change::Restart {
                    failed_only: failed,
                },
            };
            make(global, &workers, &target, name, restart, change, io).await
        }
        ConnectCommand::Pause { name, change } => {
            make(global, &workers, &target, name, Change::Pause, change, io).await
        }
        ConnectCommand::Resume { name, change } => {
            make(global, &workers, &target, name, Change::Resume, change, io).await
        }
        ConnectCommand::Stop { name, change } => {
            make(global, &workers, &target, name, Change::Stop, change, io).await
        }
        ConnectCommand::Delete { name, change } => {
            make(global, &workers, &target, name, Change::Delete, change, io).await
        }
        ConnectCommand::Config {
            name,
            mut set,
            unset,
            file,
            change,
        } => {
            if let Some(file) = &file {
                let mut all: Vec<(String, String)> = read_config(file)?.into_iter().collect();
                all.append(&mut set);
                set = all;
            }
            if set.is_empty() && unset.is_empty() {
                let what = format!("configure the connector \"{name}\"");
                return Err(Fault::refused(what, "no change is named")
                    .with_hint("--set KEY=VALUE, --unset KEY or --file FILE"));
            }
            configure(global, &workers, &target, name, (&set, &unset), change, io).await
        }
    }
}

fn workers(global: &GlobalArgs, args: &ConnectArgs) -> Result<(Workers, Target), Fault> {
    let target = by_environment(global.target()?.unwrap_or_default())?;
    let target = global.with_rights(target);
    let workers = target.workers(&args.urls, args.login.as_deref())?;
    let ca = args.ca.clone().or(target.connect_ca.clone());
    Ok((workers.trusting(ca), target))
}

async fn configure(
    global: &GlobalArgs,
    workers: &Workers,
    target: &Target,
    name: String,
    (set, unset): (&[(String, String)], &[String]),
    change: ChangeArgs,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    global.saves_no_plan("configure a connector")?;
    let Proposal {
        diff,
        problems,
        config,
    } = workers.propose(&name, set, unset).await?;
    if !problems.is_empty() || change.is_dry(target) || diff.is_empty() {
        let is_good = problems.is_empty();
        let has_work = is_good && !diff.is_empty();
        io.print(
            global.output,
            &ConnectChangeJson {
                connector: name,
                change: "configured",
                diff,
                problems,
                is_done: false,
            },
        );
        if has_work {
            change.tell(target, io);
        }
        return Ok(if is_good { 0 } else { 4 });
    }
    confirm(
        target,
        &name,
        &Change::SetConfig(config.clone()),
        change,
        io,
    )?;
    workers.change(&name, &Change::SetConfig(config)).await?;
    io.print(
        global.output,
        &ConnectChangeJson {
            connector: name,
            change: "configured",
            diff,
            problems,
            is_done: true,
        },
    );
    Ok(0)
}

async fn make(
    global: &GlobalArgs,
    workers: &Workers,
    target: &Target,
    name: String,
    what: Change,
    change: ChangeArgs,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    global.saves_no_plan("change a connector")?;
    let is_dry = change.is_dry(target);
    if !is_dry {
        confirm(target, &name, &what, change, io)?;
        workers.change(&name, &what).await?;
    }
    io.print(
        global.output,
        &ConnectChangeJson {
            connector: name,
            change: what.done(),
            diff: Vec::new(),
            problems: Vec::new(),
            is_done: !is_dry,
        },
    );
    change.tell(target, io);
    Ok(0)
}

/// What is to be typed, as for any other action: the connector's name before it is deleted, the
/// cluster's where danger is high.
fn confirm(
    target: &Target,
    name: &str,
    what: &Change,
    change: ChangeArgs,
    io: &mut Io<'_>,
) -> Result<(), Fault> {
    let typed = connect_confirmation(what, name, target.level, target.name.as_deref());
    let Some(typed) = typed.filter(|_| !change.yes) else {
        return Ok(());
    };
    let title = format!("{} will be {}", name, what.done());
    match (io.ask)(&format!("{title}\nType {typed} to go on: ")) {
        Some(answer) if answer.trim() == typed => Ok(()),
        Some(_) => Err(Fault::refused(title, "it was not confirmed")),
        None => Err(Fault::refused(title, "nobody can be asked to confirm it")
            .with_hint("use --yes to go on without a question")),
    }
}
