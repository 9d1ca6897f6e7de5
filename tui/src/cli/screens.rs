//! The arguments of the screens.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::connect::GlobalArgs;
use crate::cluster::PollIntervals;
use crate::clusters::{ClustersFile, Target};
use crate::model::Fault;
use crate::recording::{self, Recorder, Tape};
use crate::ui::theme::ThemeName;
use crate::ui::{self};

/// The shortest and the longest time between two reads of the cluster, in seconds.
pub(super) const REFRESH_S: std::ops::RangeInclusive<u64> = 1..=3_600;

/// How the screens look and begin. Commands that print take no notice of these.
#[derive(Clone, Debug, Default, Args)]
pub struct ScreenArgs {
    /// Begin with this, as typed after `:`; for example 'topic orders'
    #[arg(short = 'c', long = "open", value_name = "COMMAND")]
    pub open: Option<String>,
    /// Colours for a dark or a light terminal, or none (as NO_COLOR does)
    #[arg(long, value_enum, value_name = "THEME")]
    pub theme: Option<ThemeName>,
    /// Leave the mouse to the terminal, so that it can mark text
    #[arg(long)]
    pub no_mouse: bool,
    /// Seconds between two reads of the cluster
    #[arg(short, long, value_name = "SECONDS", default_value = "2",
          value_parser = clap::value_parser!(u64).range(REFRESH_S))]
    pub refresh: u64,
    #[command(flatten)]
    pub record: RecordArgs,
    /// Look at a recording instead of a cluster
    #[arg(long, value_name = "FILE", conflicts_with_all = ["record"])]
    pub replay: Option<PathBuf>,
}

/// Keeping what is read.
#[derive(Clone, Debug, Default, Args)]
pub struct RecordArgs {
    /// Keep everything that is read of the cluster in this file, to replay it
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// The recording's size; the oldest half is dropped when it is reached
    #[arg(long, value_name = "MIB", default_value = "256",
          value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    pub record_mib: u64,
}

impl RecordArgs {
    /// Begins, if that is wanted.
    ///
    /// # Errors
    /// The file exists, or can't be made.
    pub fn start(&self, target: Option<&Target>) -> Result<Option<Recorder>, Fault> {
        let Some(file) = &self.record else {
            return Ok(None);
        };
        let options = recording::Options {
            file: file.clone(),
            bytes_max: self.record_mib.saturating_mul(1024 * 1024),
        };
        let cluster = target.map(Target::label).unwrap_or_default();
        Recorder::start(&options, &cluster).map(Some)
    }
}

/// Opens the recording that is to be looked at.
///
/// # Errors
/// It can't be read, or there is nothing in it.
pub fn tape(path: &Path) -> Result<Arc<Tape>, Fault> {
    let tape = Tape::read(path)?;
    if tape.last().is_none() {
        let why = format!(
            "{}: no cluster answered while it was recorded",
            path.display()
        );
        return Err(Fault::refused("play a recording", why));
    }
    Ok(Arc::new(tape))
}

/// How often each part of a cluster is read when its names are read every `refresh` seconds.
pub(super) fn intervals(refresh: u64) -> PollIntervals {
    let usual = PollIntervals::default();
    // Everything keeps its share of the usual interval.
    let scaled = |ms: u64| (ms * refresh.max(1) * 1_000 / usual.metadata_ms).max(1_000);
    PollIntervals {
        metadata_ms: scaled(usual.metadata_ms),
        offsets_ms: scaled(usual.offsets_ms),
        visible_ms: scaled(usual.visible_ms),
        groups_ms: scaled(usual.groups_ms),
        log_dirs_ms: scaled(usual.log_dirs_ms),
        controller_ms: scaled(usual.controller_ms),
        settings_ms: scaled(usual.settings_ms),
        metrics_ms: scaled(usual.metrics_ms),
    }
}

/// What the screens need.
pub fn ui_options(
    target: Option<Target>,
    global: &GlobalArgs,
    screens: &ScreenArgs,
) -> ui::Options {
    ui::Options {
        target,
        read_only: global.read_only,
        clusters: ui::SavedClusters {
            config: global
                .config
                .clone()
                .or_else(|| ClustersFile::usual_path().ok()),
        },
        theme: screens.theme,
        mouse: !screens.no_mouse,
        intervals: intervals(screens.refresh),
        command: screens.open.clone(),
        message: None,
        recorder: None,
        tape: None,
    }
}
