//! `kafka-broker format`: makes data folders a node of a cluster.

use std::io::Write as _;

use anyhow::Context as _;
use clap::ArgAction;
use kafka_shared::{
    time::{Clock as _, SystemClock},
    types::{random_uuid, uuid_to_base64},
};

use super::{CliError, ConfigArgs, log_to_stderr};
use crate::{
    config::BrokerConfig,
    metadata::{
        features::metadata_version_name,
        format::{InitialQuorum, format, initial_voters},
    },
    server,
};

/// Formats the data folders of a node
///
/// `start` does so by itself for a node that is a cluster of its own. The options are those of
/// kafka-storage format, and so are the files.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = super::EXIT_CODES)]
pub struct Format {
    #[command(flatten)]
    config: ConfigArgs,

    /// Id of the cluster, 22 characters of base64; the same for all nodes. A random one if not given,
    /// for a cluster that begins with this node
    #[arg(short = 't', long, value_name = "ID")]
    cluster_id: Option<String>,

    /// This controller is the first and only voter of a new quorum
    #[arg(short, long, group = "quorum")]
    standalone: bool,

    /// The node joins a quorum later
    #[arg(short = 'N', long, group = "quorum")]
    no_initial_controllers: bool,

    /// The first voters of a new quorum, the same for all of them; a directory id is 22 characters of
    /// base64, made up for the purpose
    #[arg(
        short = 'I',
        long,
        value_name = "ID@HOST:PORT:DIRECTORY,…",
        group = "quorum"
    )]
    initial_controllers: Option<String>,

    /// Leaves folders alone that are formatted already
    #[arg(short = 'g', long)]
    ignore_formatted: bool,

    /// Level of a feature; can be given several times
    #[arg(short, long, value_name = "NAME=LEVEL", action = ArgAction::Append)]
    feature: Vec<String>,

    /// Release whose metadata.version the cluster starts with, such as 4.3-IV0 or 4.3
    #[arg(short, long, value_name = "RELEASE")]
    release_version: Option<String>,
}

fn refuse(why: impl Into<String>) -> CliError {
    CliError::Configuration(vec![why.into()])
}

impl Format {
    /// Formats the folders.
    ///
    /// # Errors
    /// When the configuration is refused, or a folder cannot be formatted.
    pub fn run(&self) -> Result<(), CliError> {
        log_to_stderr();
        let (config, warnings) = self.config.load()?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        let quorum = self.quorum(&config)?;
        let is_first = matches!(&quorum, InitialQuorum::Voters(voters) if voters.len() == 1);
        let cluster_id = match &self.cluster_id {
            Some(id) => id.clone(),
            None if is_first => uuid_to_base64(random_uuid()),
            None => return Err(refuse("give the id of the cluster with --cluster-id")),
        };
        let mut options =
            server::format_options(&config, cluster_id, quorum, self.ignore_formatted);
        options.release_version = self.release()?;
        options.feature_levels = self.levels()?;
        let formatted = format(&options, SystemClock::new().wall_ms())
            .map_err(|error| CliError::Failed(error.into()))?;
        let mut out = std::io::stdout();
        for dir in &formatted {
            writeln!(
                out,
                "Formatting {} {} with metadata.version {}.",
                dir.kind.description(),
                dir.dir.display(),
                dir.metadata_version
            )
            .context("print what was formatted")?;
        }
        if formatted.is_empty() {
            writeln!(out, "All of the log directories are already formatted.")
                .context("print what was formatted")?;
        }
        Ok(())
    }

    fn quorum(&self, config: &BrokerConfig) -> Result<InitialQuorum, CliError> {
        let is_static = !config.controller_quorum_voters.is_empty();
        if is_static && (self.standalone || self.initial_controllers.is_some()) {
            return Err(refuse(
                "You cannot specify controller.quorum.voters and format the node with \
                 --initial-controllers or --standalone. If you want to use dynamic quorum, please \
                 remove controller.quorum.voters and specify controller.quorum.bootstrap.servers \
                 instead.",
            ));
        }
        if let Some(voters) = &self.initial_controllers {
            let voters = initial_voters(voters).map_err(refuse)?;
            return Ok(InitialQuorum::Voters(voters));
        }
        if self.standalone {
            if !config.is_controller {
                return Err(refuse("You can only use --standalone on a controller."));
            }
            return Ok(server::standalone_quorum(config));
        }
        // Differs from Kafka: a node whose quorum has nobody else needs no option.
        if is_static || self.no_initial_controllers || !config.is_controller {
            return Ok(match is_static {
                true => InitialQuorum::Static,
                false => InitialQuorum::Unknown,
            });
        }
        if server::is_alone(config) {
            return Ok(server::default_quorum(config));
        }
        Err(refuse(
            "Because controller.quorum.voters is not set on this controller, you must specify one \
             of the following: --standalone, --initial-controllers, or --no-initial-controllers.",
        ))
    }

    fn release(&self) -> Result<Option<i16>, CliError> {
        let Some(release) = &self.release_version else {
            return Ok(None);
        };
        let level = release_level(release);
        level
            .map(Some)
            .ok_or_else(|| refuse(format!("unknown release version {release}")))
    }

    fn levels(&self) -> Result<Vec<(String, i16)>, CliError> {
        let mut levels = Vec::new();
        for feature in &self.feature {
            let bad = || refuse(format!("{feature} is not of the form name=level"));
            let (name, level) = feature.split_once('=').ok_or_else(bad)?;
            levels.push((
                name.trim().to_owned(),
                level.trim().parse().map_err(|_| bad())?,
            ));
        }
        Ok(levels)
    }
}

/// The level of a metadata version by its full name, or the highest of a release.
fn release_level(release: &str) -> Option<i16> {
    let names = (7..).map_while(|level| metadata_version_name(level).map(|name| (level, name)));
    let is_of_release = |name: &str| {
        name == release
            || name
                .split_once('-')
                .is_some_and(|(version, _)| version == release)
    };
    names
        .filter(|(_, name)| is_of_release(name))
        .map(|(level, _)| level)
        .last()
}
