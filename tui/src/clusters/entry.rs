//! One saved cluster.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::ValueEnum;
use kafka_shared::client::security::jaas;
use kafka_shared::secret::Source;
use serde::{Deserialize, Serialize};

use crate::metrics::Endpoints;
use crate::model::Fault;

/// Longest name of a cluster.
const NAME_CHARS_MAX: usize = 60;

/// A colour to know a cluster by, of the terminal's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Colour {
    Red,
    Green,
    Yellow,
    Blue,
    Magenta,
    Cyan,
    White,
}

impl Colour {
    pub const NAMES: [&str; 7] = ["red", "green", "yellow", "blue", "magenta", "cyan", "white"];

    pub fn named(name: &str) -> Option<Self> {
        Self::from_str(name, true).ok()
    }

    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// How careful one has to be; decides what is confirmed by typing a name.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing is typed: a yes is enough, also for what destroys data.
    Low,
    /// What destroys data is confirmed by typing its name.
    #[default]
    Normal,
    /// Also what moves data or leaders: by typing the cluster's name.
    High,
}

impl Level {
    pub const NAMES: [&str; 3] = ["low", "normal", "high"];

    pub fn named(name: &str) -> Option<Self> {
        Self::from_str(name, true).ok()
    }

    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// One entry of the configuration file. Its name is the key that it stands under.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Entry {
    #[serde(skip)]
    pub name: String,
    /// `host:port,…`; may be left to the file of properties.
    pub bootstrap: String,
    /// A file of Kafka's client properties. Relative paths count from the configuration file.
    pub properties: Option<PathBuf>,
    /// Client properties by Kafka's names, beside or instead of the file. Shown with
    /// [`Entry::shown_settings`] only: somebody may have typed a password into one.
    #[serde(skip_serializing)]
    pub settings: BTreeMap<String, String>,
    #[serde(alias = "colour")]
    pub color: Option<Colour>,
    pub danger: Level,
    pub read_only: bool,
    /// The address of the schema registry; who asks there is in the settings or properties, by
    /// Confluent's names: `basic.auth.user.info`, `bearer.auth.token`.
    pub registry: Option<String>,
    /// A PEM file with the authorities that are trusted for the schema registry.
    pub registry_ca: Option<PathBuf>,
    /// Learned at the first connection; changes are refused where another one answers.
    pub cluster_id: Option<String>,
    /// Workers of Kafka Connect, as `http://host:8083`.
    pub connect: Vec<String>,
    /// Their user and where the password is: `user:${env:NAME}`.
    #[serde(skip_serializing)]
    pub connect_login: Option<String>,
    /// Certificates of the authorities that vouch for the workers, PEM.
    pub connect_ca: Option<PathBuf>,
    /// Where brokers tell their figures: `http://{host}:7071/metrics`, or a table by broker id.
    pub metrics: Option<Endpoints>,
    /// Who asks there, as `connect_login`.
    #[serde(skip_serializing)]
    pub metrics_login: Option<String>,
    /// As `connect_ca`.
    pub metrics_ca: Option<PathBuf>,
}

impl Entry {
    /// The settings with every value hidden that could hold a secret and is no reference to one.
    pub fn shown_settings(&self) -> BTreeMap<String, String> {
        let shown = |(key, value): (&String, &String)| {
            let may_hold = key.contains("password")
                || key.contains("secret")
                || key.ends_with("user.info")
                || key.ends_with("auth.token")
                || key.ends_with("jaas.config")
                || key.ends_with("keystore.key");
            let is_reference = Source::parse(value).reference().is_some();
            let value = if may_hold && !is_reference {
                kafka_shared::secret::HIDDEN
            } else {
                value
            };
            (key.clone(), value.to_owned())
        };
        self.settings.iter().map(shown).collect()
    }
}

/// Whether a text can name a cluster.
///
/// # Errors
/// A refusal that says what can be in a name.
pub fn legal_name(name: &str) -> Result<(), Fault> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.is_empty() && name.len() <= NAME_CHARS_MAX && name.chars().all(legal) {
        return Ok(());
    }
    let why = format!("\"{name}\" is no name for a cluster");
    Err(Fault::refused("name a cluster", why)
        .with_hint("letters, digits, '-', '_' and '.' can be in a name"))
}

/// `user:env:NAME` as it is saved: `user:${env:NAME}`.
pub fn login_reference(login: &str) -> String {
    match login.split_once(':') {
        Some((user, place)) => format!("{user}:${{{place}}}"),
        None => login.to_owned(),
    }
}

/// Where a password comes from: what a person types into a form or gives as an option, as
/// `env:NAME`, `file:PATH` or `command:LINE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretFrom(Source);

impl std::str::FromStr for SecretFrom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let source = Source::parse(&format!("${{{}}}", text.trim()));
        match source.reference() {
            Some(_) => Ok(Self(source)),
            // The text is not repeated: it may be the password itself.
            None => Err("say where it is: env:NAME, file:PATH or command:LINE".to_owned()),
        }
    }
}

/// A user with a password, as Kafka's properties have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    pub mechanism: String,
    pub username: String,
    pub password: SecretFrom,
}

impl Login {
    /// The settings that log this user in.
    pub fn settings(&self) -> [(String, String); 2] {
        let module = match self.mechanism.as_str() {
            "PLAIN" => "org.apache.kafka.common.security.plain.PlainLoginModule",
            _ => "org.apache.kafka.common.security.scram.ScramLoginModule",
        };
        let password = self.password.0.reference().unwrap_or_default();
        let options = [("username", &*self.username), ("password", &*password)];
        [
            ("sasl.mechanism".to_owned(), self.mechanism.clone()),
            ("sasl.jaas.config".to_owned(), jaas::write(module, options)),
        ]
    }
}
