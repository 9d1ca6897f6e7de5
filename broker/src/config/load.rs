//! From a `server.properties` file and `--set` options to what is set, with what is to be said of it.
//!
//! Pure but for reading the file. A key that Kafka knows and that does nothing here is worth a
//! warning, an unknown one too, with the nearest known name; prefixes that Kafka leaves to plugins
//! and listeners are known.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use kafka_shared::config::{Properties, definition::nearest};

use super::{
    keys,
    values::{Settings, base_of_listener_key},
};

/// What is set, and what the operator should know about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    pub settings: Settings,
    pub warnings: Vec<String>,
}

/// Why nothing could be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot read {path}: {source}")]
    Read {
        path: String,
        source: std::io::Error,
    },
    #[error("{path}: {why}")]
    Syntax { path: String, why: String },
    #[error("\"{0}\" is not of the form key=value")]
    NotAnAssignment(String),
}

/// Reads a file, if one is given, and puts `assignments` (`key=value`) on top; `defaults` apply where
/// neither says anything.
///
/// # Errors
/// When the file cannot be read or parsed, or an assignment has no `=`.
pub fn load(
    file: Option<&Path>,
    assignments: &[String],
    defaults: &[(&str, String)],
) -> Result<Loaded, LoadError> {
    let mut settings = Settings::new();
    for (name, value) in defaults {
        settings.insert((*name).into(), value.as_str().into());
    }
    let mut explicit: BTreeMap<Arc<str>, Arc<str>> = BTreeMap::new();
    if let Some(path) = file {
        let shown = || path.display().to_string();
        let bytes = std::fs::read(path).map_err(|source| LoadError::Read {
            path: shown(),
            source,
        })?;
        let parsed = Properties::parse_bytes(&bytes).map_err(|error| LoadError::Syntax {
            path: shown(),
            why: error.to_string(),
        })?;
        for (name, value) in parsed.iter() {
            explicit.insert(name.into(), value.into());
        }
    }
    for assignment in assignments {
        let (name, value) = assignment
            .split_once('=')
            .ok_or_else(|| LoadError::NotAnAssignment(assignment.clone()))?;
        explicit.insert(name.trim().into(), value.trim().into());
    }
    let warnings = warnings(&explicit);
    settings.extend(explicit);
    Ok(Loaded { settings, warnings })
}

/// What is to be said about keys that are set: they are unknown, or have no effect.
pub fn warnings(explicit: &Settings) -> Vec<String> {
    explicit.keys().filter_map(|name| warning(name)).collect()
}

fn warning(name: &str) -> Option<String> {
    let base = base_of_listener_key(name).unwrap_or(name);
    let known = keys::BROKER.get(base).or_else(|| {
        // listener.name.internal.scram-sha-256.sasl.jaas.config
        base.split_once('.')
            .filter(|_| base != name)
            .and_then(|(_, rest)| keys::BROKER.get(rest))
    });
    match known {
        Some(key) if key.is_honoured => None,
        Some(_) => Some(format!("{name} has no effect here")),
        None if is_plugin_key(name) => Some(format!("{name} has no effect here")),
        None => {
            let hint = nearest(name, keys::BROKER.keys().copied())
                .map(|near| format!("; did you mean {near}?"))
                .unwrap_or_default();
            Some(format!("unknown configuration key {name}{hint}"))
        }
    }
}

/// Keys that Kafka hands to plugins unread: by their prefix, and those of its own authorizer.
fn is_plugin_key(name: &str) -> bool {
    matches!(name, "super.users" | "allow.everyone.if.no.acl.found")
        || [
            "rlmm.config.",
            "rsm.config.",
            "remote.log.metadata.",
            "config.providers.",
            "metrics.context.",
        ]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}
