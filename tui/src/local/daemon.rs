//! Runs the broker that this program holds: what `kafka-tui daemon` does as a child of `local` and
//! `demo`.
//!
//! Architecture Invariant: this is the only file of the crate that calls the broker library.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use kafka_broker::cli::{Format, Start};
use rustix::process::{Signal, getpid, kill_process};

use crate::model::{Fault, FaultKind};

/// How to run it.
#[derive(Clone, Debug, Default, Args)]
pub struct DaemonArgs {
    #[command(flatten)]
    pub start: Start,
    /// Stop when the standard input ends: whoever holds its other end is gone
    #[arg(long)]
    pub until_stdin_ends: bool,
    /// Remove this folder afterwards
    #[arg(long, value_name = "DIR")]
    pub remove_after: Option<PathBuf>,
    /// Then remove this one, if nothing is left in it
    #[arg(long, value_name = "DIR")]
    pub remove_empty_after: Option<PathBuf>,
}

/// What to format.
#[derive(Clone, Debug, Args)]
pub struct FormatArgs {
    #[command(flatten)]
    format: Format,
}

/// Formats the data folders of a broker.
///
/// # Errors
/// What kept it from being done.
pub fn format(args: &FormatArgs) -> Result<(), Fault> {
    let formatted = args.format.run();
    formatted.map_err(|error| {
        Fault::new(
            FaultKind::Failed,
            "format the data folders",
            error.to_string(),
        )
    })
}

/// Runs the broker until it is told to stop. Makes its own runtime: call it outside of any.
///
/// # Errors
/// What kept the broker from running or from stopping in order.
pub fn run(args: &DaemonArgs) -> Result<(), Fault> {
    // Dropped in the reverse order.
    let _parent = args.remove_empty_after.as_deref().map(RemoveEmptyAfter);
    let _folder = args.remove_after.as_deref().map(RemoveAfter);
    if args.until_stdin_ends {
        // A thread and not a task: a read from standard input can't be cancelled, and must not
        // keep a runtime from ending.
        std::thread::spawn(stop_when_stdin_ends);
    }
    args.start
        .run()
        .map_err(|error| Fault::new(FaultKind::Failed, "run the broker", error.to_string()))
}

/// Removes a folder when the broker has ended, however it did.
struct RemoveAfter<'a>(&'a Path);

impl Drop for RemoveAfter<'_> {
    fn drop(&mut self) {
        // Whoever started this process may have removed it already.
        let _ = std::fs::remove_dir_all(self.0);
    }
}

/// Removes a folder that nothing is left in, however the broker has ended.
struct RemoveEmptyAfter<'a>(&'a Path);

impl Drop for RemoveEmptyAfter<'_> {
    fn drop(&mut self) {
        // The folders of other nodes may still be there: the last one succeeds.
        let _ = std::fs::remove_dir(self.0);
    }
}

/// Waits for the end of the standard input, then asks this process to stop.
fn stop_when_stdin_ends() {
    let mut buffer = [0; 64];
    let mut input = std::io::stdin().lock();
    while matches!(input.read(&mut buffer), Ok(1..)) {}
    // The process exists: it is this one.
    let _ = kill_process(getpid(), Signal::TERM);
}
