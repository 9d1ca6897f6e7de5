//! `.kafka_cleanshutdown`: says that a log folder was closed in order, and under which broker epoch.
//!
//! `{"version":0,"brokerEpoch":154}` without a newline. It is removed before the logs are loaded, so that a
//! crash counts as unclean, and written last of all. Kafka: `CleanShutdownFileHandler`.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::fsx;

/// Name of the file in a log folder.
pub const FILE: &str = ".kafka_cleanshutdown";

#[derive(Serialize, Deserialize)]
struct Content {
    version: i32,
    #[serde(rename = "brokerEpoch")]
    broker_epoch: i64,
}

/// Writes the marker durably.
pub fn write(dir: &Path, broker_epoch: i64) -> io::Result<()> {
    let json = serde_json::to_string(&Content {
        version: 0,
        broker_epoch,
    })?;
    fsx::write_file(&dir.join(FILE), json.as_bytes(), true)?;
    fsx::fsync_dir(dir)
}

/// Removes the marker durably. Returns whether it was there.
pub fn remove(dir: &Path) -> io::Result<bool> {
    let removed = fsx::remove_if_exists(&dir.join(FILE))?;
    if removed {
        fsx::fsync_dir(dir)?;
    }
    Ok(removed)
}

/// The broker epoch of the last clean shutdown, if there was one and it says.
pub fn broker_epoch(dir: &Path) -> Option<i64> {
    let text = std::fs::read(dir.join(FILE)).ok()?;
    serde_json::from_slice::<Content>(&text)
        .ok()
        .map(|content| content.broker_epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_has_kafkas_bytes_and_goes_once() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(broker_epoch(dir.path()), None);
        write(dir.path(), 154).unwrap();
        let text = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert_eq!(text, r#"{"version":0,"brokerEpoch":154}"#);
        assert_eq!(broker_epoch(dir.path()), Some(154));
        assert!(remove(dir.path()).unwrap());
        assert!(!remove(dir.path()).unwrap());
    }
}
