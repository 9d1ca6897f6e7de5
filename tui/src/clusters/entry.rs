//! One saved cluster.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::ValueEnum;
use kafka_shared::client::security::jaas;
use kafka_shared::secret::Source;
use serde::{Deserialize, Serialize};

use super::access::place_of;
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

    /// Whether commands only show their changes, by what is `said` of the cluster.
    pub fn is_dry_by_default(self, said: Option<bool>) -> bool {
        said.unwrap_or(self == Self::High)
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
    /// Whether commands only show their changes unless they are told to execute them. If absent, it
    /// is so where danger is high.
    pub dry_run: Option<bool>,
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

    /// Whether the same brokers are asked in the same way.
    pub fn is_reached_as(&self, other: &Self) -> bool {
        self.is_at_addresses_of(other) && self.settings == other.settings
    }

    fn is_at_addresses_of(&self, other: &Self) -> bool {
        let of_settings = |entry: &Self| entry.settings.get("bootstrap.servers").cloned();
        (&self.bootstrap, &self.properties) == (&other.bootstrap, &other.properties)
            && of_settings(self) == of_settings(other)
    }

    /// This entry as what `before` is edited to. The id that was learned belongs to the addresses
    /// that it was learned at: it stays as long as they do, unless it is to be learned anew.
    #[must_use]
    pub fn in_place_of(mut self, before: &Self, learn_id: bool) -> Self {
        let keeps_id = !learn_id && self.is_at_addresses_of(before);
        self.cluster_id = before.cluster_id.clone().filter(|_| keeps_id);
        self
    }

    /// Takes the id of the cluster that was reached, if it tells one; the id that `before` had when it
    /// was another cluster's.
    pub fn learn_id<'a>(&mut self, reached: Option<&str>, before: &'a Self) -> Option<&'a str> {
        if let Some(id) = reached {
            self.cluster_id = Some(id.to_owned());
        }
        let was = before.cluster_id.as_deref();
        was.filter(|was| Some(*was) != self.cluster_id.as_deref())
    }

    /// Whether an entry says enough, and nothing that belongs to what it does not have.
    ///
    /// # Errors
    /// What is missing.
    pub fn check(&self) -> Result<(), Fault> {
        let what = || format!("save cluster \"{}\"", self.name);
        let servers = self.settings.contains_key("bootstrap.servers");
        if self.bootstrap.is_empty() && self.properties.is_none() && !servers {
            return Err(Fault::refused(what(), "it has no address")
                .with_hint("give --bootstrap host:port, or --properties with bootstrap.servers"));
        }
        let of_workers = self.connect_login.is_some() || self.connect_ca.is_some();
        if of_workers && self.connect.is_empty() {
            let why = "there is a login or an authority of Connect's workers, and no worker";
            return Err(Fault::refused(what(), why).with_hint("--connect names them"));
        }
        let of_metrics = self.metrics_login.is_some() || self.metrics_ca.is_some();
        if of_metrics && self.metrics.is_none() {
            let why = "there is a login or an authority of metrics endpoints, and no endpoint";
            return Err(Fault::refused(what(), why).with_hint("--metrics names them"));
        }
        Ok(())
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
///
/// # Errors
/// It has another form; nothing of it is repeated, for it may be the password itself.
pub fn login_reference(login: &str) -> Result<String, String> {
    let (user, place) = login
        .split_once(':')
        .ok_or_else(|| "write it as user:env:NAME".to_owned())?;
    let place: SecretFrom = place.parse()?;
    Ok(format!("{user}:{}", place.reference()))
}

/// A saved login as people type it, `user:env:NAME`; `None` where the password itself stands there.
pub fn shown_login(saved: &str) -> Option<String> {
    let (user, reference) = saved.split_once(':')?;
    Some(format!("{user}:{}", place_of(reference)?))
}

/// Where a password comes from: what a person types into a form or gives as an option, as
/// `env:NAME`, `file:PATH` or `command:LINE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretFrom(Source);

impl SecretFrom {
    /// As it is saved.
    fn reference(&self) -> String {
        self.0.reference().unwrap_or_default()
    }
}

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
        let password = self.password.reference();
        let options = [("username", &*self.username), ("password", &*password)];
        [
            ("sasl.mechanism".to_owned(), self.mechanism.clone()),
            ("sasl.jaas.config".to_owned(), jaas::write(module, options)),
        ]
    }
}
