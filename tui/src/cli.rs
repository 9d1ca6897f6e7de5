//! The command line: every screen's twin for scripts.
//!
//! Parses, reads what a command needs into a [`ClusterSnapshot`], plans and executes through
//! `ops`, prints through `output`. Results go to stdout, errors and questions to stderr.
//!
//! Invariants:
//! - A command that changes something shows the plan it executes; a dry run stops after it, and
//!   whether it is one `cli::change_args` alone decides.
//! - What destroys data needs `--yes` or the typed name.
//! - Exit codes are those of [`EXIT_CODES`], and `--help` lists them.

mod apply;
mod broker_metrics;
mod change;
mod change_args;
mod changes;
mod clusters;
mod connect;
mod connectors;
mod docs;
mod examples;
mod execution;
mod exporter;
mod groups;
mod local;
mod messages;
mod offsets;
mod plan;
mod quorum;
mod reassign;
mod reassign_args;
mod screens;
mod security;
mod show;
mod top;
mod transactions;
mod undo;
mod unrepeated;
mod wait;

use std::ffi::OsString;
use std::io::Write;
use std::sync::Arc;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::cluster::ClusterClient;
use crate::clusters::Target;
use crate::local::daemon::{DaemonArgs, FormatArgs};
use crate::model::{ClusterSnapshot, Fault, FaultKind, Update};
use crate::output::{EXIT_CODES, Format, Printable, error_text, exit_code};

pub use apply::{ApplyArgs, ExportArgs};
pub use change_args::ChangeArgs;
pub use changes::ChangesArgs;
pub use clusters::ClustersCommand;
pub use connect::{BOOTSTRAP_VARIABLE, GlobalArgs};
pub use connectors::ConnectArgs;
pub use docs::DocsArgs;
pub use exporter::ExporterArgs;
pub use local::LocalCommand;
pub use messages::MessagesCommand;
pub use plan::PlanArgs;
pub use quorum::{FeaturesCommand, QuorumCommand};
pub use reassign_args::{GoalArgs, PaceArgs, ReassignCommand};
pub use screens::{RecordArgs, ScreenArgs, tape, ui_options};
pub use security::{AclsCommand, QuotasCommand, UsersCommand};
pub use top::TopArgs;
pub use transactions::TransactionsCommand;
pub use undo::UndoArgs;
pub use wait::WaitArgs;

/// A cluster manager for Kafka that runs in a terminal.
///
/// Without a command it opens the screens. With one it prints and exits.
#[derive(Debug, Parser)]
#[command(name = "kafka-tui", version, after_help = exit_code_help(), max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(flatten)]
    pub screens: ScreenArgs,
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// A command line without a command, which is tried first: to know all commands takes a megabyte,
/// which would stay with a program that is left open. What it does not know is [`Cli`]'s.
#[derive(Debug, Parser)]
#[command(
    name = "kafka-tui",
    disable_help_flag = true,
    disable_version_flag = true
)]
struct ScreensOnly {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(flatten)]
    screens: ScreenArgs,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start three brokers with topics, producers and consumers in a temporary folder and open the
    /// screens on them; leaving stops and removes everything
    Demo(DemoArgs),
    /// Run the broker that this program holds, in the foreground
    #[command(hide = true)]
    Daemon(DaemonArgs),
    /// Format the data folders of a broker
    #[command(name = "daemon-format", hide = true)]
    DaemonFormat(FormatArgs),
    #[command(flatten)]
    Scripted(Scripted),
}

#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// How many brokers
    #[arg(long, default_value_t = 3, value_parser = brokers)]
    pub brokers: usize,
    /// Open no screens: print the address and run until interrupted
    #[arg(long)]
    pub headless: bool,
    /// Run this kafka-broker instead of the one in this program
    #[arg(long, value_name = "FILE")]
    pub program: Option<std::path::PathBuf>,
}

/// The commands that print and exit.
#[derive(Debug, Subcommand)]
pub enum Scripted {
    /// List, describe and change topics
    #[command(subcommand)]
    Topics(TopicsCommand),
    /// Make topics as files declare them, or say what differs; a dry run without --execute
    #[command(after_help = examples::APPLY)]
    Apply(ApplyArgs),
    /// Add partitions to topics
    #[command(subcommand)]
    Partitions(PartitionsCommand),
    /// List the brokers, their traffic and what stopping them would do; forget one that is gone
    #[command(subcommand)]
    Brokers(BrokersCommand),
    /// List and describe consumer groups, their lag and rebalances; set and delete their offsets
    #[command(subcommand)]
    Groups(GroupsCommand),
    /// Read, follow, export, import, copy and write messages
    #[command(subcommand)]
    Messages(MessagesCommand),
    /// Show and change settings of topics, brokers and groups
    #[command(subcommand)]
    Configs(ConfigsCommand),
    /// Plan moves of partitions between brokers, run them in batches, pause, resume and cancel them
    #[command(subcommand)]
    Reassign(ReassignCommand),
    /// Elect the preferred leaders of all partitions, or of one topic's
    #[command(after_help = examples::ELECT)]
    Elect {
        /// Only this topic; may be given more than once
        #[arg(long)]
        topic: Vec<String>,
        /// Do it again and again, with this time between: 15m, 1h; until it is interrupted
        #[arg(long, value_name = "TIME", value_parser = wait::duration, conflicts_with = "dry_run")]
        every: Option<std::time::Duration>,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Show or execute a plan that --save-plan wrote
    Plan(PlanArgs),
    /// Take back the last change made from here, or the one of a file
    Undo(UndoArgs),
    /// List, create, delete and explain ACL rules
    #[command(subcommand)]
    Acls(AclsCommand),
    /// List users whose SCRAM passwords the cluster keeps; set and delete passwords
    #[command(subcommand)]
    Users(UsersCommand),
    /// List, set and remove client quotas, and say which one applies
    #[command(subcommand)]
    Quotas(QuotasCommand),
    /// List transactions and producers, find what hangs and whom it blocks, abort it
    #[command(subcommand)]
    Transactions(TransactionsCommand),
    /// Show the metadata quorum; add and remove voters
    #[command(subcommand)]
    Quorum(QuorumCommand),
    /// List, upgrade and downgrade feature levels, metadata.version among them
    #[command(subcommand)]
    Features(FeaturesCommand),
    /// Wait until a condition holds; exit with 8 when the time is over and it does not
    #[command(after_help = examples::WAIT)]
    Wait(WaitArgs),
    /// Show whether the cluster is well, the groups furthest behind and the busiest topics
    Top(TopArgs),
    /// Follow what changes in the cluster, or tell what changed in a recording
    #[command(after_help = examples::CHANGES)]
    Changes(ChangesArgs),
    /// Serve health, lag and rates as Prometheus reads them
    Exporter(ExporterArgs),
    /// List and change the connectors of Kafka Connect
    Connect(ConnectArgs),
    /// Write the reference of keys, commands and configuration, as Markdown
    Docs(DocsArgs),
    /// Save, list, edit, test and remove clusters
    #[command(subcommand)]
    Clusters(ClustersCommand),
    /// Start, stop, pause, restart and delete brokers and clusters on this machine; show their logs
    #[command(subcommand)]
    Local(LocalCommand),
    /// Print the completions of a shell
    Completions {
        /// For this shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Subcommand)]
pub enum TopicsCommand {
    /// List the topics with their state and size
    List {
        /// Only names that contain this
        #[arg(long)]
        filter: Option<String>,
        /// Kafka's own topics too
        #[arg(long)]
        internal: bool,
    },
    /// Show one topic with its partitions and its own settings
    Describe {
        /// The topic's name
        name: String,
    },
    /// Create a topic
    Create {
        /// The topic's name: letters, digits, `.`, `_` and `-`, 249 at most
        name: String,
        /// How many partitions; the brokers' default if absent
        #[arg(long, value_name = "N")]
        partitions: Option<i32>,
        /// How many replicas of each partition; the brokers' default if absent
        #[arg(long, value_name = "N")]
        replication_factor: Option<i16>,
        /// Replicas of each partition, the preferred leader first: 1:2,2:3
        #[arg(long, value_name = "LISTS", conflicts_with_all = ["partitions", "replication_factor"])]
        replica_assignment: Option<String>,
        /// A setting: retention.ms=3600000; may be given more than once
        #[arg(long = "config", value_name = "KEY=VALUE", value_parser = key_value)]
        configs: Vec<(String, String)>,
        /// A topic of that name is left as it is and counts as done
        #[arg(long)]
        if_not_exists: bool,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Delete topics with their records
    Delete {
        /// The topics' names
        #[arg(required = true)]
        names: Vec<String>,
        /// A topic that does not exist counts as deleted
        #[arg(long)]
        if_exists: bool,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Change settings of a topic
    Alter {
        /// The topic's name
        name: String,
        #[command(flatten)]
        settings: SettingArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Write topics as files that `apply` takes
    Export(ExportArgs),
}

/// Changes of settings; each key keeps what is not named.
#[derive(Clone, Debug, Default, Args)]
pub struct SettingArgs {
    /// Sets a value: retention.ms=3600000; may be given more than once
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    pub set: Vec<(String, String)>,
    /// Goes back to what the key inherits
    #[arg(long = "unset", value_name = "KEY")]
    pub unset: Vec<String>,
    /// Adds to a list: cleanup.policy=compact
    #[arg(long = "append", value_name = "KEY=VALUE", value_parser = key_value)]
    pub append: Vec<(String, String)>,
    /// Takes away from a list
    #[arg(long = "subtract", value_name = "KEY=VALUE", value_parser = key_value)]
    pub subtract: Vec<(String, String)>,
}

#[derive(Debug, Subcommand)]
pub enum PartitionsCommand {
    /// Add partitions to a topic, or to many
    Add {
        /// The topics' names
        #[arg(required = true)]
        topics: Vec<String>,
        /// All partitions of each topic afterwards
        #[arg(long, value_name = "N")]
        total: i32,
        /// Replicas of each new partition of one topic: 1:2,2:3
        #[arg(long, value_name = "LISTS")]
        replica_assignment: Option<String>,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

#[derive(Debug, Subcommand)]
pub enum BrokersCommand {
    /// List the brokers with their share of partitions, leaders and bytes
    List,
    /// Show one broker with its folders and its share of each topic
    Describe {
        /// Its id
        id: i32,
    },
    /// Show what flows through brokers and how busy they are
    ///
    /// From their metrics endpoints (--metrics, or metrics of the saved cluster); without one the
    /// messages per second to the partitions that a broker leads, by where their logs end.
    Metrics(broker_metrics::MetricsArgs),
    /// Say what would happen if these brokers stopped now, all of them at once
    ///
    /// Exits with 8 when partitions would go offline or take no writes, the quorum would lose its
    /// majority, or it is not known.
    MayStop {
        /// The brokers' ids: 1,2
        #[arg(required = true, value_name = "ID", value_delimiter = ',')]
        ids: Vec<i32>,
    },
    /// Make the cluster forget a broker that is gone for good
    Unregister {
        /// The broker's id
        id: i32,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

#[derive(Debug, Subcommand)]
pub enum GroupsCommand {
    /// List the groups of all kinds with members, lag in records and in time, and Burrow's verdict
    List {
        /// Only names that contain this
        #[arg(long)]
        filter: Option<String>,
        /// Leave out lag in time and verdict, for which more has to be read
        #[arg(long)]
        quick: bool,
    },
    /// Show one group with its members and its lag per partition
    Describe {
        /// The group's name
        id: String,
    },
    /// Delete empty groups with their committed offsets
    Delete {
        /// The groups' names
        #[arg(required = true)]
        ids: Vec<String>,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Set a group's committed offsets; shows what would be unless told to execute it
    #[command(after_help = examples::RESET)]
    Reset(offsets::ResetArgs),
    /// Show a group's rebalances with their likely causes, also from before now
    Timeline {
        /// The group's name
        id: String,
        /// So many of the newest
        #[arg(long, default_value_t = 100)]
        events: usize,
        /// Read so many bytes of the coordinator's log at most, from its end backwards
        #[arg(long, default_value_t = 16 * 1024 * 1024)]
        bytes: u64,
    },
    /// Show a group's lag in records, in time, until its end, Burrow's verdict, and when retention
    /// overtakes it
    Lag {
        /// The group's name
        id: String,
    },
    /// Remove a group's committed offsets for topics that none of its members reads
    DeleteOffsets(offsets::ForgetArgs),
}

/// Whose settings.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct ResourceArgs {
    /// A topic by its name
    #[arg(long)]
    pub topic: Option<String>,
    /// A broker by its id, or `default` for all of them
    #[arg(long, value_name = "ID")]
    pub broker: Option<String>,
    /// A group by its name
    #[arg(long)]
    pub group: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum ConfigsCommand {
    /// Show the settings of a topic, a broker or a group
    Describe {
        #[command(flatten)]
        resource: ResourceArgs,
        /// Inherited ones too
        #[arg(long)]
        all: bool,
    },
    /// Change settings of a topic, a broker or a group
    Alter {
        #[command(flatten)]
        resource: ResourceArgs,
        #[command(flatten)]
        settings: SettingArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("it must have the form KEY=VALUE".to_owned()),
    }
}

fn brokers(text: &str) -> Result<usize, String> {
    let most = crate::local::NODES_MAX;
    match text.parse() {
        Ok(n) if (1..=most).contains(&n) => Ok(n),
        _ => Err(format!("from 1 to {most}")),
    }
}

fn exit_code_help() -> String {
    let codes: Vec<String> = EXIT_CODES
        .iter()
        .map(|(code, meaning)| format!("  {code}  {meaning}"))
        .collect();
    format!(
        "Exit codes:\n{}\n\nErrors go to stderr as `error: what: why`, with a line `hint: what to \
         do` where there is one.\nWith --output json a result is one JSON document on stdout; a \
         number that is not known is null.",
        codes.join("\n")
    )
}

/// Where results and errors go.
pub struct Io<'a> {
    pub out: &'a mut dyn Write,
    pub err: &'a mut dyn Write,
    /// Asks a question and returns the typed line; `None` when nobody can be asked.
    pub ask: &'a mut dyn FnMut(&str) -> Option<String>,
}

impl std::fmt::Debug for Io<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Io").finish_non_exhaustive()
    }
}

impl Io<'_> {
    fn print(&mut self, format: Format, what: &impl Printable) {
        self.write(&what.print(format));
    }

    /// What is for people only.
    fn write_unless_json(&mut self, global: &GlobalArgs, text: &str) {
        if global.output == Format::Table {
            self.write(text);
        }
    }

    /// A reader that has gone away (`| head`) is no failure.
    fn write(&mut self, text: &str) {
        let _ = self.out.write_all(text.as_bytes());
        let _ = self.out.flush();
    }

    fn tell(&mut self, text: &str) {
        let _ = self.err.write_all(text.as_bytes());
    }
}

/// Parses a command line. `Err` is the exit code after help, version or a mistake were printed.
pub fn parse(args: impl IntoIterator<Item = OsString>, io: &mut Io<'_>) -> Result<Cli, u8> {
    let args: Vec<OsString> = args.into_iter().collect();
    if let Ok(ScreensOnly { global, screens }) = ScreensOnly::try_parse_from(&args) {
        return Ok(Cli {
            global,
            screens,
            command: None,
        });
    }
    let cli = Cli::try_parse_from(args).map_err(|error| {
        let text = error.render().to_string();
        if error.use_stderr() {
            io.tell(&text);
            2
        } else {
            io.write(&text);
            0
        }
    })?;
    // Who asks for a recording is to know that there will be none.
    let kept = [&cli.screens.record.record, &cli.screens.replay];
    if matches!(cli.command, Some(Command::Scripted(_))) && kept.iter().any(|file| file.is_some()) {
        io.tell(
            "error: --record and --replay before a command are for the screens; \
             `changes` takes them behind its name\n",
        );
        return Err(2);
    }
    Ok(cli)
}

/// Runs one command and returns the exit code.
pub async fn run(global: &GlobalArgs, command: Scripted, io: &mut Io<'_>) -> u8 {
    match dispatch(global, command, io).await {
        Ok(code) => code,
        Err(fault) => {
            io.tell(&error_text(&fault));
            exit_code(&fault)
        }
    }
}

async fn dispatch(global: &GlobalArgs, command: Scripted, io: &mut Io<'_>) -> Result<u8, Fault> {
    match command {
        Scripted::Topics(TopicsCommand::List { filter, internal }) => {
            show::list_topics(global, filter.as_deref(), internal, io).await
        }
        Scripted::Topics(TopicsCommand::Describe { name }) => {
            show::describe_topic(global, &name, io).await
        }
        Scripted::Topics(TopicsCommand::Export(args)) => apply::export(global, &args, io).await,
        Scripted::Apply(args) => apply::run(global, args, io).await,
        Scripted::Topics(command) => change::topics(global, command, io).await,
        Scripted::Partitions(command) => change::partitions(global, command, io).await,
        Scripted::Brokers(BrokersCommand::List) => show::list_brokers(global, io).await,
        Scripted::Brokers(BrokersCommand::Describe { id }) => show::broker(global, id, io).await,
        Scripted::Brokers(BrokersCommand::Metrics(args)) => {
            broker_metrics::run(global, &args, io).await
        }
        Scripted::Brokers(BrokersCommand::Unregister { id, change }) => {
            quorum::unregister(global, id, change, io).await
        }
        Scripted::Brokers(BrokersCommand::MayStop { ids }) => show::may_stop(global, ids, io).await,
        Scripted::Groups(command) => groups::run(global, command, io).await,
        Scripted::Messages(command) => messages::run(global, command, io).await,
        Scripted::Configs(ConfigsCommand::Describe { resource, all }) => {
            show::describe_configs(global, &resource, all, io).await
        }
        Scripted::Configs(ConfigsCommand::Alter {
            resource,
            settings,
            change,
        }) => change::configs(global, &resource, &settings, change, io).await,
        Scripted::Reassign(command) => reassign::run(global, command, io).await,
        Scripted::Elect {
            topic,
            every: Some(every),
            change,
        } => change::elect_every(global, &topic, every, change, io).await,
        Scripted::Elect { topic, change, .. } => change::elect(global, &topic, change, io).await,
        Scripted::Plan(args) => plan::run(global, args, io).await,
        Scripted::Undo(args) => undo::run(global, args, io).await,
        Scripted::Acls(command) => security::acls(global, command, io).await,
        Scripted::Users(command) => security::users(global, command, io).await,
        Scripted::Quotas(command) => security::quotas(global, command, io).await,
        Scripted::Transactions(command) => transactions::run(global, command, io).await,
        Scripted::Quorum(command) => quorum::quorum(global, command, io).await,
        Scripted::Features(command) => quorum::features(global, command, io).await,
        Scripted::Wait(args) => wait::run(global, &args, io).await,
        Scripted::Top(args) => top::run(global, &args, io).await,
        Scripted::Changes(args) => changes::run(global, &args, io).await,
        Scripted::Exporter(args) => exporter::run(global, &args, io).await,
        Scripted::Connect(args) => connectors::run(global, args, io).await,
        Scripted::Docs(args) => docs::run(global, &args, io),
        Scripted::Clusters(command) => clusters::run(global, command, io).await,
        Scripted::Local(command) => local::run(global, command, io).await,
        Scripted::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "kafka-tui", &mut text);
            io.write(&String::from_utf8_lossy(&text));
            Ok(0)
        }
    }
}

/// A cluster with what a command has read of it so far.
struct Session {
    client: ClusterClient,
    target: Target,
    snapshot: ClusterSnapshot,
}

impl Session {
    /// Says it where this user sees no more than a part of the cluster, lest a short list pass for
    /// a whole one.
    fn warn_of_rights(&self, io: &mut Io<'_>) {
        let metadata = self.snapshot.metadata.get();
        if metadata.is_some_and(|metadata| metadata.may_describe == Some(false)) {
            io.tell(
                "warning: this user may not describe the cluster: what it may not see is missing\n",
            );
        }
    }

    /// Connects and reads the metadata, without which no command makes sense.
    async fn open(global: &GlobalArgs) -> Result<Self, Fault> {
        let (client, target) = global.client_and_target().await?;
        let metadata = client.metadata().await?;
        let mut session = Self {
            client,
            target,
            snapshot: ClusterSnapshot::default(),
        };
        session.apply(Update::Metadata(Ok(Arc::new(metadata))));
        Ok(session)
    }

    fn apply(&mut self, update: Update) {
        self.snapshot.apply(update, self.client.now());
    }

    fn metadata(&self) -> Result<Arc<crate::model::ClusterMetadata>, Fault> {
        self.snapshot.metadata.value().cloned().ok_or_else(|| {
            Fault::new(
                FaultKind::Unreachable,
                "read the cluster's metadata",
                "there is none",
            )
        })
    }
}

fn shared<T>(result: Result<T, Fault>) -> Result<Arc<T>, Arc<Fault>> {
    result.map(Arc::new).map_err(Arc::new)
}

#[cfg(test)]
mod tests;
