//! `meta.properties`: which cluster and node a log folder belongs to, and its own id.
//!
//! Java properties; version 1 has `cluster.id`, `node.id` and `directory.id`. Version 0, of ZooKeeper's time,
//! has `broker.id` and is read only. Kafka: `MetaProperties`.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use kafka_shared::types::{Uuid, uuid_from_base64, uuid_to_base64};

use super::fsx;

/// Name of the file in a log folder.
pub const FILE: &str = "meta.properties";

/// The content of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaProperties {
    pub version: i32,
    pub cluster_id: Option<String>,
    pub node_id: Option<i32>,
    pub directory_id: Option<Uuid>,
}

impl MetaProperties {
    /// What a new folder gets.
    pub fn new(cluster_id: impl Into<String>, node_id: i32, directory_id: Uuid) -> Self {
        Self {
            version: 1,
            cluster_id: Some(cluster_id.into()),
            node_id: Some(node_id),
            directory_id: Some(directory_id),
        }
    }

    /// Writes the file durably.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        let mut text = String::from("#\n");
        let directory_id = self.directory_id.map(uuid_to_base64);
        let fields = [
            ("node.id", self.node_id.map(|id| id.to_string())),
            ("directory.id", directory_id),
            ("version", Some(self.version.to_string())),
            ("cluster.id", self.cluster_id.clone()),
        ];
        for (key, value) in fields {
            if let Some(value) = value {
                text.push_str(&format!("{key}={value}\n"));
            }
        }
        fsx::write_atomically(&dir.join(FILE), text.as_bytes())
    }

    /// Reads the file of a folder; none when there is no file.
    ///
    /// # Errors
    /// `InvalidData` with a message for the operator when it makes no sense.
    pub fn read(dir: &Path) -> io::Result<Option<Self>> {
        let path = dir.join(FILE);
        let text = match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => String::from_utf8_lossy(&other?).into_owned(),
        };
        let invalid = |what: String| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{}: {what}", path.display()),
            )
        };
        let values: HashMap<&str, &str> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with(['#', '!']))
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.trim(), value.trim()))
            .collect();
        let number = |key: &str| {
            values
                .get(key)
                .map(|value| {
                    value
                        .parse::<i32>()
                        .map_err(|_| invalid(format!("bad {key} {value:?}")))
                })
                .transpose()
        };
        let version = number("version")?.ok_or_else(|| invalid("no version".to_owned()))?;
        if !(0..=1).contains(&version) {
            return Err(invalid(format!("unknown version {version}")));
        }
        let directory_id = values
            .get("directory.id")
            .map(|id| {
                uuid_from_base64(id).ok_or_else(|| invalid(format!("bad directory.id {id:?}")))
            })
            .transpose()?;
        Ok(Some(Self {
            version,
            cluster_id: values.get("cluster.id").map(|id| (*id).to_owned()),
            node_id: number(if version == 0 { "broker.id" } else { "node.id" })?,
            directory_id,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_survives_and_apaches_order_and_comments_do_not_matter() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(MetaProperties::read(dir.path()).unwrap(), None);
        let id = uuid_from_base64("MkU3OEVBNTcwNTJENDM2Qg").unwrap();
        let written = MetaProperties::new("bXCdYd2BTe2RpH20eEkfFg", 3, id);
        written.write(dir.path()).unwrap();
        assert_eq!(
            MetaProperties::read(dir.path()).unwrap(),
            Some(written.clone())
        );
        let apache = "#\n#Sat Nov 21 02:43:00 UTC 2026\ncluster.id=bXCdYd2BTe2RpH20eEkfFg\n\
                      directory.id=MkU3OEVBNTcwNTJENDM2Qg\nnode.id=3\nversion=1\n";
        std::fs::write(dir.path().join(FILE), apache).unwrap();
        assert_eq!(MetaProperties::read(dir.path()).unwrap(), Some(written));
    }

    #[test]
    fn nonsense_is_refused_with_the_path() {
        let dir = tempfile::tempdir().unwrap();
        for text in [
            "",
            "version=2\n",
            "version=1\nnode.id=x\n",
            "version=1\ndirectory.id=short\n",
        ] {
            std::fs::write(dir.path().join(FILE), text).unwrap();
            let error = MetaProperties::read(dir.path()).unwrap_err().to_string();
            assert!(error.contains("meta.properties"), "{error}");
        }
    }
}
