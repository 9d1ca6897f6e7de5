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
    metadata::{
        features::{METADATA_VERSION, metadata_version_name},
        format::format,
    },
    server,
};

/// Formats the data folders of a node
///
/// `start` does so by itself for a node that is a cluster of its own. The options are those of
/// kafka-storage format.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = super::EXIT_CODES)]
pub struct Format {
    #[command(flatten)]
    config: ConfigArgs,

    /// Id of the cluster, 22 characters of base64; a random one if not given
    #[arg(short = 't', long, value_name = "ID")]
    cluster_id: Option<String>,

    /// The node is the first and only voter of a new quorum; it always is, in this version
    #[arg(short, long)]
    standalone: bool,

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

impl Format {
    pub(super) fn run(&self) -> Result<(), CliError> {
        log_to_stderr();
        let (config, warnings) = self.config.load()?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        let cluster_id = self
            .cluster_id
            .clone()
            .unwrap_or_else(|| uuid_to_base64(random_uuid()));
        let mut options = server::format_options(&config, cluster_id, self.ignore_formatted);
        options.feature_levels = self.levels()?;
        let formatted = format(&options, SystemClock::new().wall_ms())
            .map_err(|error| CliError::Failed(error.into()))?;
        let mut out = std::io::stdout();
        for dir in &formatted {
            let kind = if dir.is_metadata_dir {
                "metadata"
            } else {
                "data"
            };
            writeln!(out, "formatted {kind} directory {}", dir.dir.display())
                .context("print what was formatted")?;
        }
        if formatted.is_empty() {
            writeln!(out, "all of the log directories are already formatted")
                .context("print what was formatted")?;
        }
        Ok(())
    }

    fn levels(&self) -> Result<Vec<(String, i16)>, CliError> {
        let refuse = |why: String| CliError::Configuration(vec![why]);
        let mut levels = Vec::new();
        if let Some(release) = &self.release_version {
            let level = release_level(release)
                .ok_or_else(|| refuse(format!("unknown release version {release}")))?;
            levels.push((METADATA_VERSION.to_owned(), level));
        }
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
