//! The command line: `start`, `format`, `config`.
//!
//! Also for programs that carry the broker within them: [`Start`] can be parsed and run from there.
//! Standard output has what was asked for (the ready line, a table), standard error has the log.

mod config;
mod format;
mod start;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

pub use self::{config::Config, format::Format, start::Start};
use crate::config::{BrokerConfig, BrokerValues, ConfigError, Layers, load};

/// Exit codes; 2 is clap's, for a command line that makes no sense.
const FAILED: u8 = 1;
const REFUSED_CONFIGURATION: u8 = 3;

const EXIT_CODES: &str = "Exit codes:
  0  done, or stopped on request
  1  failed: a port is taken, a folder is in use or cannot be written, the disk failed
  2  the command line makes no sense
  3  the configuration is refused; every bad value is named";

/// A light broker that speaks Kafka's protocol and keeps Kafka's files.
#[derive(Debug, Parser)]
#[command(name = "kafka-broker", version, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Start(Start),
    Format(Format),
    Config(Config),
}

impl Cli {
    /// Runs the command to its end.
    pub fn run(self) -> ExitCode {
        let outcome = match self.command {
            Command::Start(start) => start.run(),
            Command::Format(format) => format.run(),
            Command::Config(config) => config.run(),
        };
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("kafka-broker: {error}");
                ExitCode::from(match error {
                    CliError::Configuration(_) => REFUSED_CONFIGURATION,
                    CliError::Failed(_) => FAILED,
                })
            }
        }
    }
}

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// One message per line.
    #[error("the configuration is refused:\n  {}", .0.join("\n  "))]
    Configuration(Vec<String>),
    #[error("{0:#}")]
    Failed(anyhow::Error),
}

impl From<anyhow::Error> for CliError {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Vec<ConfigError>> for CliError {
    fn from(errors: Vec<ConfigError>) -> Self {
        Self::Configuration(errors.into_iter().map(|error| error.message).collect())
    }
}

/// Where the configuration comes from, for `start` and `format` alike.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ConfigArgs {
    /// A server.properties file with Apache Kafka's keys
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Sets one key, over what the file says; can be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,

    /// Folder for all data, in place of log.dirs
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

impl ConfigArgs {
    /// The configuration, with what is to be said about it.
    ///
    /// Without a file, a node on its own is configured: broker and controller in one, listening on
    /// this machine only, its topics on one replica.
    ///
    /// # Errors
    /// What is wrong with the file or with values.
    pub fn load(&self) -> Result<(BrokerConfig, Vec<String>), CliError> {
        let defaults = match &self.config {
            Some(_) => Vec::new(),
            None => standalone_defaults(),
        };
        let loaded = load::load(self.config.as_deref(), &self.set, &defaults)
            .map_err(|error| CliError::Configuration(vec![error.to_string()]))?;
        let mut settings = loaded.settings;
        if let Some(dir) = &self.data_dir {
            settings.insert("log.dirs".into(), dir.display().to_string().into());
        } else if self.config.is_none() && !settings.contains_key("log.dirs") {
            let dir = default_data_dir()?;
            settings.insert("log.dirs".into(), dir.display().to_string().into());
        }
        let values = BrokerValues::new(Layers::fixed(settings))?;
        Ok((BrokerConfig::new(values.into())?, loaded.warnings))
    }
}

/// What a broker is started with when nobody says anything.
fn standalone_defaults() -> Vec<(&'static str, String)> {
    [
        ("process.roles", "broker,controller"),
        ("node.id", "1"),
        ("listeners", "PLAINTEXT://127.0.0.1:9092"),
        ("controller.listener.names", "CONTROLLER"),
        // The only voter elects itself and is never connected to, so nothing listens there.
        ("controller.quorum.bootstrap.servers", "127.0.0.1:9093"),
        ("offsets.topic.replication.factor", "1"),
        ("transaction.state.log.replication.factor", "1"),
        ("transaction.state.log.min.isr", "1"),
        ("share.coordinator.state.topic.replication.factor", "1"),
        ("share.coordinator.state.topic.min.isr", "1"),
        // A developer's group has its members at once; waiting for more only costs time.
        ("group.initial.rebalance.delay.ms", "0"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}

/// `$XDG_DATA_HOME/kafka-broker`, or `~/.local/share/kafka-broker`.
fn default_data_dir() -> Result<PathBuf, CliError> {
    let from = |name: &str| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    from("XDG_DATA_HOME")
        .or_else(|| from("HOME").map(|home| home.join(".local/share")))
        .map(|base| base.join("kafka-broker"))
        .ok_or_else(|| {
            let why = "no folder for the data: neither XDG_DATA_HOME nor HOME is set; give one \
                       with --data-dir";
            CliError::Configuration(vec![why.to_owned()])
        })
}

/// Logs to standard error; `RUST_LOG` says what, warnings by default.
fn log_to_stderr() {
    use std::io::IsTerminal as _;
    use tracing_subscriber::{EnvFilter, fmt};
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let logging = fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // A program that carries the broker may have set up its own log already.
    let _ = logging.try_init();
}
