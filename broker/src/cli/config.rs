//! `kafka-broker config`: every configuration key that the broker knows.

use std::io::Write as _;

use anyhow::Context as _;
use clap::ValueEnum;
use kafka_shared::config::{ConfigDefault, Importance};
use serde_json::json;

use super::CliError;
use crate::config::{
    definition::{Key, Visibility},
    keys,
};

/// Lists every configuration key: type, default, what it is, and whether it has an effect here
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// Only keys whose name contains this
    pattern: Option<String>,

    /// Keys of what
    #[arg(long = "for", value_enum, default_value_t = Scope::Broker)]
    scope: Scope,

    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scope {
    Broker,
    Topic,
    Group,
    ClientMetrics,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

impl Config {
    pub(super) fn run(&self) -> Result<(), CliError> {
        let table = match self.scope {
            Scope::Broker => &keys::BROKER,
            Scope::Topic => &keys::TOPIC,
            Scope::Group => &keys::GROUP,
            Scope::ClientMetrics => &keys::CLIENT_METRICS,
        };
        let is_wanted = |key: &&&'static Key| {
            self.pattern
                .as_deref()
                .is_none_or(|pattern| key.name.contains(pattern))
        };
        let keys: Vec<&Key> = table.values().filter(is_wanted).copied().collect();
        let text = match self.output {
            Output::Table => as_table(&keys),
            Output::Json => as_json(&keys),
        };
        std::io::stdout()
            .write_all(text.as_bytes())
            .context("print the keys")?;
        Ok(())
    }
}

fn default_text(key: &Key) -> Option<&'static str> {
    match key.default {
        ConfigDefault::Value(text) => Some(text),
        ConfigDefault::Null | ConfigDefault::Required => None,
    }
}

fn as_table(keys: &[&Key]) -> String {
    let mut out = String::new();
    for key in keys {
        let default = match key.default {
            ConfigDefault::Value(text) => format!("default {text}"),
            ConfigDefault::Null => "no default".to_owned(),
            ConfigDefault::Required => "required".to_owned(),
        };
        let valid = key
            .valid_values()
            .map(|valid| format!(", {valid}"))
            .unwrap_or_default();
        let effect = if key.is_honoured {
            ""
        } else {
            " (no effect here)"
        };
        out += &format!(
            "{}\n    {}, {default}{valid}, {}{effect}\n    {}\n",
            key.name,
            key.config_type.name(),
            key.update_mode.name(),
            key.doc,
        );
    }
    out
}

fn as_json(keys: &[&Key]) -> String {
    let rows: Vec<_> = keys
        .iter()
        .map(|key| {
            json!({
                "name": key.name,
                "type": key.config_type.name(),
                "default": default_text(key),
                "required": key.default == ConfigDefault::Required,
                "valid": key.valid_values(),
                "importance": match key.importance {
                    Importance::High => "high",
                    Importance::Medium => "medium",
                    Importance::Low => "low",
                },
                "update_mode": key.update_mode.name(),
                "internal": key.visibility == Visibility::Internal,
                "has_effect": key.is_honoured,
                "doc": key.doc,
            })
        })
        .collect();
    let mut text = serde_json::to_string_pretty(&rows).expect("strings and booleans only");
    text.push('\n');
    text
}
