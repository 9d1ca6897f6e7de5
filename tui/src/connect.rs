//! Kafka Connect over its REST interface: connectors, their tasks, state and configuration.
//!
//! Several workers of one Connect cluster can be named; the first that answers is asked, and it
//! hands on what belongs to another. `connect/wire.rs` is the part without a socket.
//!
//! Invariants:
//! - A request that changes something is sent once: another worker is tried only where nothing
//!   was sent. While the workers divide their work anew (409) it was not done, and is tried again.
//! - Nothing is changed where the cluster is read-only.
//! - A value that could be a secret is not shown.
//!
//! Kafka: connect/runtime (4.3), `ConnectorsResource`; KIP-745 (restart with tasks), KIP-875 (stop).

mod file;
mod wire;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use kafka_shared::http::{Client, HttpError, Request, Response, Url};
use kafka_shared::secret::{Secret, Source};
use serde::Serialize;

use crate::model::{Fault, FaultKind};

pub use file::read_config;
pub use wire::shown_value;

/// How often something is tried while the workers divide their work, and how long apart.
const REBALANCE_TRIES: u32 = 10;
const REBALANCE_PAUSE: Duration = Duration::from_millis(1_000);
/// Until a worker has to have answered.
const TIMEOUT_MS: u64 = 10_000;
/// No answer is longer.
const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A user of the REST interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    pub user: String,
    pub password: Source,
}

impl Login {
    /// Reads `user:WHERE`, the latter as everywhere: `${env:NAME}`.
    ///
    /// # Errors
    /// It has another form; nothing of it is repeated.
    pub fn read(text: &str) -> Result<Self, String> {
        let parts = text.split_once(':');
        let (user, password) =
            parts.ok_or_else(|| "a login has the form user:${env:NAME}".to_owned())?;
        Ok(Self {
            user: user.to_owned(),
            password: Source::parse(password),
        })
    }
}

/// The workers of one Connect cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workers {
    /// Tried in this order.
    pub urls: Vec<Url>,
    pub login: Option<Login>,
    /// What the path of a password's file counts from.
    pub folder: PathBuf,
    pub read_only: bool,
    /// A PEM file with the authorities that vouch for them; the machine's if absent.
    pub ca: Option<PathBuf>,
}

/// What a worker says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WorkerInfo {
    pub version: String,
    /// Of the Kafka cluster that it works for.
    pub kafka_cluster_id: Option<String>,
}

/// One task of a connector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Task {
    pub id: i32,
    /// In Connect's words: RUNNING, PAUSED, FAILED, UNASSIGNED, RESTARTING.
    pub state: String,
    pub worker: String,
    /// Why it failed.
    pub trace: Option<String>,
}

/// One connector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Connector {
    pub name: String,
    /// `source` or `sink`.
    #[serde(rename = "type")]
    pub kind: String,
    /// In Connect's words: RUNNING, PAUSED, STOPPED, FAILED, UNASSIGNED, RESTARTING.
    pub state: String,
    pub worker: String,
    pub trace: Option<String>,
    pub tasks: Vec<Task>,
    /// By key; secrets are hidden.
    pub config: BTreeMap<String, String>,
}

impl Connector {
    pub fn n_running(&self) -> usize {
        self.tasks
            .iter()
            .filter(|task| task.state == "RUNNING")
            .count()
    }

    /// It or one of its tasks.
    pub fn has_failed(&self) -> bool {
        self.state == "FAILED" || self.tasks.iter().any(|task| task.state == "FAILED")
    }
}

/// What is done with a connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It and its tasks, or only those of them that failed.
    Restart {
        failed_only: bool,
    },
    RestartTask(i32),
    Pause,
    Resume,
    /// Its tasks end; it and its offsets stay.
    Stop,
    /// Made if there is none of that name.
    SetConfig(BTreeMap<String, String>),
    Delete,
}

impl Change {
    /// Whether reading or writing comes to an end until somebody says otherwise.
    pub fn is_disruptive(&self) -> bool {
        matches!(
            self,
            Self::Pause | Self::Stop | Self::Delete | Self::SetConfig(_)
        )
    }

    /// What was done, in words.
    pub fn done(&self) -> &'static str {
        match self {
            Self::Restart { .. } | Self::RestartTask(_) => "restarted",
            Self::Pause => "paused",
            Self::Resume => "resumed",
            Self::Stop => "stopped",
            Self::SetConfig(_) => "configured",
            Self::Delete => "deleted",
        }
    }

    fn verb(&self) -> &'static str {
        match self {
            Self::Restart { .. } | Self::RestartTask(_) => "restart",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Stop => "stop",
            Self::SetConfig(_) => "configure",
            Self::Delete => "delete",
        }
    }
}

impl Workers {
    /// Reads `http://host:port` addresses and `user:WHERE` of a login.
    ///
    /// # Errors
    /// One of them can't be read; no secret is repeated.
    pub fn new(
        urls: &[String],
        login: Option<&str>,
        folder: PathBuf,
        read_only: bool,
    ) -> Result<Self, Fault> {
        let what = "connect to Kafka Connect";
        let refused = |why: String| Fault::refused(what, why);
        let urls: Result<Vec<Url>, String> = urls.iter().map(|url| url.parse()).collect();
        let urls = urls.map_err(refused)?;
        if urls.is_empty() {
            let why = "no worker is named".to_owned();
            return Err(refused(why).with_hint(
                "name one with --url http://host:8083, or as connect = [\"http://host:8083\"] of \
                 the saved cluster",
            ));
        }
        let login = login.map(|text| Login::read(text).map_err(refused));
        Ok(Self {
            urls,
            login: login.transpose()?,
            folder,
            read_only,
            ca: None,
        })
    }

    /// Believes those whom the authorities of this PEM file vouch for.
    #[must_use]
    pub fn trusting(self, ca: Option<PathBuf>) -> Self {
        Self { ca, ..self }
    }

    async fn client(&self, what: &str) -> Result<Client, Fault> {
        let client = match self.urls.iter().any(|url| url.is_tls) {
            true => Client::trusting(self.ca.as_deref()).await,
            false => Ok(Client::plain()),
        };
        let client =
            client.map_err(|fault| Fault::refused(what, fault.reason).with_hint(fault.advice))?;
        Ok(Client {
            timeout_ms: TIMEOUT_MS,
            body_bytes_max: BODY_BYTES_MAX,
            ..client
        })
    }

    async fn password(&self, what: &str) -> Result<Option<(String, Secret)>, Fault> {
        let Some(login) = &self.login else {
            return Ok(None);
        };
        let password = login.password.read(&self.folder).await;
        let password = password.map_err(|error| Fault::refused(what, error.to_string()))?;
        Ok(Some((login.user.clone(), password)))
    }

    /// Sends a request to the first worker that can be reached. `path` begins with a slash.
    async fn send(
        &self,
        what: &str,
        method: &str,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<Response, Fault> {
        let login = self.password(what).await?;
        let client = self.client(what).await?;
        let mut request = match body {
            Some(body) => Request::json(method, body),
            None => Request {
                method: method.to_owned(),
                ..Request::get()
            },
        };
        request
            .headers
            .push(("Accept".to_owned(), "application/json".to_owned()));
        if let Some((user, password)) = &login {
            request = request.basic(user, password);
        }
        let mut unreached = Vec::new();
        for base in &self.urls {
            let url = Url {
                path: format!("{}{path}", base.path.trim_end_matches('/')),
                ..base.clone()
            };
            match client.send(&url, &request).await {
                Ok(response) => return wire::checked(what, response),
                // Nothing was sent: another one can be asked.
                Err(error @ (HttpError::Connect { .. } | HttpError::Tls { .. })) => {
                    unreached.push(error.to_string());
                }
                // It is a question only: it can be asked again.
                Err(error) if method == "GET" => unreached.push(error.to_string()),
                Err(error) => {
                    let why = format!("{error}: it may have been done or not");
                    return Err(Fault::new(FaultKind::Unreachable, what, why));
                }
            }
        }
        let why = unreached.join("; ");
        let hint = match why.contains("not trusted here") {
            true => "name its authority: connect_ca of the saved cluster, or --ca FILE",
            false => "is the address that of a worker's REST interface?",
        };
        Err(Fault::new(FaultKind::Unreachable, what, why).with_hint(hint))
    }

    /// As [`Self::send`], again while the workers divide their work anew.
    async fn insist(
        &self,
        what: &str,
        method: &str,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<Response, Fault> {
        let mut tries = 1;
        loop {
            match self.send(what, method, path, body).await {
                Err(fault) if wire::is_rebalance(&fault) && tries < REBALANCE_TRIES => tries += 1,
                other => return other,
            }
            tokio::time::sleep(REBALANCE_PAUSE).await;
        }
    }

    /// What the worker says of itself.
    ///
    /// # Errors
    /// It can't be reached, or says no.
    pub async fn info(&self) -> Result<WorkerInfo, Fault> {
        let what = "ask a worker of Kafka Connect";
        let response = self.send(what, "GET", "/", None).await?;
        wire::info(&wire::json(what, &response)?).ok_or_else(|| wire::strange(what))
    }

    /// All connectors by name, with their tasks.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub async fn connectors(&self) -> Result<Vec<Connector>, Fault> {
        let what = "list the connectors";
        let path = "/connectors?expand=status&expand=info";
        let response = self.send(what, "GET", path, None).await?;
        wire::connectors(&wire::json(what, &response)?).ok_or_else(|| wire::strange(what))
    }

    /// The configuration as it is, with what may be secret in it.
    async fn config(&self, name: &str) -> Result<BTreeMap<String, String>, Fault> {
        let what = format!("read the configuration of the connector \"{name}\"");
        let path = format!("/connectors/{}/config", wire::escaped(name));
        let response = self.send(&what, "GET", &path, None).await?;
        wire::config(&wire::json(&what, &response)?).ok_or_else(|| wire::strange(&what))
    }

    /// The configuration with some keys set and some taken out, which is not sent yet: before and
    /// after of each key that differs, with secrets hidden, and the whole.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub async fn edited(
        &self,
        name: &str,
        set: &[(String, String)],
        unset: &[String],
    ) -> Result<(Vec<ConfigDiff>, BTreeMap<String, String>), Fault> {
        let before = match self.config(name).await {
            Err(fault) if fault.kind == FaultKind::NotFound => BTreeMap::new(),
            other => other?,
        };
        let mut after = before.clone();
        after.extend(set.iter().cloned());
        for key in unset {
            after.remove(key);
        }
        Ok((wire::diff(&before, &after), after))
    }

    /// Lets the worker check a configuration; what it finds wrong, a line each.
    ///
    /// # Errors
    /// As [`Self::info`]; no class is named.
    pub async fn validate(&self, config: &BTreeMap<String, String>) -> Result<Vec<String>, Fault> {
        let what = "check a connector's configuration";
        let class = config.get("connector.class");
        let class = class.ok_or_else(|| Fault::refused(what, "connector.class is not set"))?;
        let class = wire::escaped(class.rsplit('.').next().unwrap_or(class));
        let path = format!("/connector-plugins/{class}/config/validate");
        let body = serde_json::json!(config);
        let response = self.send(what, "PUT", &path, Some(&body)).await?;
        wire::problems(&wire::json(what, &response)?).ok_or_else(|| wire::strange(what))
    }

    /// What a changed or new configuration would be, checked by the worker and not sent yet.
    ///
    /// # Errors
    /// As [`Self::info`]; no class is named.
    pub async fn propose(
        &self,
        name: &str,
        set: &[(String, String)],
        unset: &[String],
    ) -> Result<Proposal, Fault> {
        let (diff, config) = self.edited(name, set, unset).await?;
        let mut with_name = config.clone();
        with_name
            .entry("name".to_owned())
            .or_insert_with(|| name.to_owned());
        let problems = self.validate(&with_name).await?;
        Ok(Proposal {
            diff,
            problems,
            config,
        })
    }

    /// Changes a connector.
    ///
    /// # Errors
    /// It is refused, there is no such connector, or no worker can be reached.
    pub async fn change(&self, name: &str, change: &Change) -> Result<(), Fault> {
        let what = format!("{} the connector \"{name}\"", change.verb());
        if self.read_only {
            return Err(Fault::refused(what, "the cluster is read-only")
                .with_hint("--read-write allows changes to it"));
        }
        let at = format!("/connectors/{}", wire::escaped(name));
        let (method, path, body) = match change {
            Change::Restart { failed_only } => {
                let query = format!("includeTasks=true&onlyFailed={failed_only}");
                ("POST", format!("{at}/restart?{query}"), None)
            }
            Change::RestartTask(task) => ("POST", format!("{at}/tasks/{task}/restart"), None),
            Change::Pause => ("PUT", format!("{at}/pause"), None),
            Change::Resume => ("PUT", format!("{at}/resume"), None),
            Change::Stop => ("PUT", format!("{at}/stop"), None),
            Change::SetConfig(config) => (
                "PUT",
                format!("{at}/config"),
                Some(serde_json::json!(config)),
            ),
            Change::Delete => ("DELETE", at, None),
        };
        self.insist(&what, method, &path, body.as_ref())
            .await
            .map(drop)
    }
}

/// A configuration as it would be. What it holds is not shown: secrets are in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Proposal {
    pub diff: Vec<ConfigDiff>,
    /// What the worker finds wrong with it, a line each.
    pub problems: Vec<String>,
    pub config: BTreeMap<String, String>,
}

impl std::fmt::Debug for Proposal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proposal")
            .field("diff", &self.diff)
            .field("problems", &self.problems)
            .finish_non_exhaustive()
    }
}

/// One key of a configuration that is to be another; secrets are hidden.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfigDiff {
    pub key: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

#[cfg(test)]
mod tests;
