//! The folder for what this program remembers between two runs: `$XDG_STATE_HOME/kafka-tui`.
//!
//! Owns where that is and how a file in it is written: whole or not at all, readable by its owner
//! only.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::model::{Fault, FaultKind};

/// No file in there comes near this size; a longer one is not read.
const BYTES_MAX: u64 = 256 << 20;

/// The user's: under `$XDG_STATE_HOME`, or `~/.local/state`; `None` without a home.
pub fn folder_of_user() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    let folder = state.filter(|path| path.is_absolute()).or(home)?;
    Some(folder.join("kafka-tui"))
}

/// A name that any file may have, made of `text`.
pub fn file_name(text: &str) -> String {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let name: String = text
        .chars()
        .map(|c| if legal(c) { c } else { '-' })
        .take(80)
        .collect();
    match name.trim_matches('-') {
        "" => "unknown".to_owned(),
        name => name.to_owned(),
    }
}

/// Writes a file with its folder; after a crash the old text is there or the new one.
///
/// # Errors
/// What the file system says.
pub fn write(path: &Path, text: &str) -> Result<(), Fault> {
    let fail = |error: std::io::Error| cannot("write", path, &error.to_string());
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut builder = fs::DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(fail)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = folder.join(format!(".{name}.{}", std::process::id()));
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| rename(&new, path));
    written.map_err(|error| {
        // What is left of it is of no use.
        let _ = fs::remove_file(&new);
        fail(error)
    })
}

/// Reads a file of at most [`BYTES_MAX`].
///
/// # Errors
/// `NotFound` where there is none, and what the file system says.
pub fn read(path: &Path) -> Result<String, Fault> {
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let why = format!("{} does not exist", path.display());
            return Err(Fault::not_found("read a file", why));
        }
        Ok(metadata) if metadata.len() > BYTES_MAX => {
            return Err(cannot("read", path, "it is too long"));
        }
        _ => {}
    }
    fs::read_to_string(path).map_err(|error| cannot("read", path, &error.to_string()))
}

/// # Errors
/// What the file system says.
pub fn move_to(from: &Path, to: &Path) -> Result<(), Fault> {
    rename(from, to).map_err(|error| cannot("rename", from, &error.to_string()))
}

fn cannot(verb: &str, path: &Path, why: &str) -> Fault {
    let why = format!("{}: {why}", path.display());
    Fault::new(FaultKind::Failed, format!("{verb} a file"), why)
}

#[allow(
    clippy::disallowed_methods,
    reason = "the durable rename belongs to the broker's log; after a crash the old file is there \
              or the new one"
)]
fn rename(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::rename(from, to)
}
