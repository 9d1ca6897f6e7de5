//! A temporary folder that is removed when it is dropped.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use kafka_shared::types::{random_uuid, uuid_to_base64};

#[derive(Debug)]
pub(super) struct DemoFolder(PathBuf);

impl DemoFolder {
    /// A new folder that only this user can look into.
    pub(super) fn new() -> io::Result<Self> {
        let name = format!("kafka-tui-demo-{}", uuid_to_base64(random_uuid()));
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for DemoFolder {
    fn drop(&mut self) {
        // The broker may have removed it already.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
