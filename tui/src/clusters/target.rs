//! What a session is to be with: an address, a file of properties, a saved cluster.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kafka_shared::client::security::properties::{self, PropertiesFault};
use kafka_shared::http::Client;
use kafka_shared::types::Endpoint;

use super::entry::{Colour, Entry, Level};
use crate::cluster::{ConnectOptions, MetricsOptions};
use crate::connect::{Change, Login, Workers};
use crate::metrics::Endpoints;
use crate::model::Fault;
use crate::ops::{Danger, Plan};

/// A cluster to connect to. Secrets are still where they are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Of the saved cluster.
    pub name: Option<String>,
    /// Empty where the properties name them.
    pub bootstrap: Vec<Endpoint>,
    pub properties: Option<PathBuf>,
    pub settings: BTreeMap<String, String>,
    /// What relative paths in the settings count from.
    pub folder: PathBuf,
    pub colour: Option<Colour>,
    pub level: Level,
    /// Whether changes are dry runs for commands that don't say; by the danger if absent.
    pub dry_run: Option<bool>,
    pub read_only: bool,
    pub cluster_id: Option<String>,
    /// Workers of Kafka Connect.
    pub connect: Vec<String>,
    /// Their user, and where the password is.
    pub connect_login: Option<String>,
    /// Who vouches for them; the machine's authorities if absent.
    pub connect_ca: Option<PathBuf>,
    /// Where brokers tell their figures, who asks there, and who vouches for them.
    pub metrics: Option<Endpoints>,
    pub metrics_login: Option<String>,
    pub metrics_ca: Option<PathBuf>,
    /// The address of its schema registry; else the settings or properties may name it.
    pub registry: Option<String>,
    /// A PEM file with the authorities that are trusted for it; `None`: those of the platform.
    pub registry_ca: Option<PathBuf>,
}

impl Target {
    /// Some brokers, without security.
    pub fn at(bootstrap: Vec<Endpoint>) -> Self {
        Self {
            bootstrap,
            ..Self::default()
        }
    }

    /// A saved cluster; `config` is the file that it is saved in.
    ///
    /// # Errors
    /// Its addresses can't be read.
    pub fn of(entry: &Entry, config: &Path) -> Result<Self, Fault> {
        let parts = entry.bootstrap.split(',').map(str::trim);
        let parts = parts.filter(|part| !part.is_empty()).map(str::parse);
        let bootstrap: Result<Vec<Endpoint>, _> = parts.collect();
        let bootstrap = bootstrap.map_err(|error| {
            let what = format!("connect to \"{}\"", entry.name);
            Fault::refused(what, format!("{error}"))
        })?;
        let folder = config.parent().unwrap_or(Path::new(".")).to_owned();
        let within = |path: &Option<PathBuf>| path.as_ref().map(|path| folder.join(path));
        Ok(Self {
            name: Some(entry.name.clone()),
            bootstrap,
            properties: entry.properties.as_ref().map(|path| folder.join(path)),
            settings: entry.settings.clone(),
            folder: folder.clone(),
            colour: entry.color,
            level: entry.danger,
            dry_run: entry.dry_run,
            read_only: entry.read_only,
            cluster_id: entry.cluster_id.clone(),
            connect: entry.connect.clone(),
            connect_login: entry.connect_login.clone(),
            connect_ca: within(&entry.connect_ca),
            metrics: entry.metrics.clone(),
            metrics_login: entry.metrics_login.clone(),
            metrics_ca: within(&entry.metrics_ca),
            registry: entry.registry.clone(),
            registry_ca: entry.registry_ca.as_ref().map(|path| folder.join(path)),
        })
    }

    /// How it is called on the screen.
    pub fn address(&self) -> String {
        let addresses: Vec<String> = self.bootstrap.iter().map(ToString::to_string).collect();
        match (&addresses[..], &self.properties) {
            ([], Some(path)) => format!("the servers of {}", path.display()),
            (addresses, _) => addresses.join(","),
        }
    }

    /// Whether a command that does not say only shows its change.
    pub fn is_dry_by_default(&self) -> bool {
        self.level.is_dry_by_default(self.dry_run)
    }

    /// Its name if it has one, else its address.
    pub fn label(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.address())
    }

    /// The workers of Kafka Connect: those that are named, else those of the saved cluster.
    ///
    /// # Errors
    /// There are none, or their addresses can't be read.
    pub fn workers(&self, urls: &[String], login: Option<&str>) -> Result<Workers, Fault> {
        let urls = if urls.is_empty() { &self.connect } else { urls };
        let login = login.or(self.connect_login.as_deref());
        let workers = Workers::new(urls, login, self.folder.clone(), self.read_only)?;
        Ok(workers.trusting(self.connect_ca.clone()))
    }

    /// Whether there is nothing to read before connecting.
    pub fn is_plain(&self) -> bool {
        self.properties.is_none()
            && self.settings.is_empty()
            && self.registry.is_none()
            && self.metrics.is_none()
    }

    /// Reads properties and secrets.
    ///
    /// # Errors
    /// What can't be read or followed, or that no server is named.
    pub async fn options(&self) -> Result<ConnectOptions, Fault> {
        let mut all = kafka_shared::config::properties::Properties::new();
        if let Some(path) = &self.properties {
            all = properties::load(path).await.map_err(|error| told(&error))?;
        }
        for (key, value) in &self.settings {
            all.set(key, value);
        }
        let own = self.properties.as_deref().and_then(Path::parent);
        let folder = own.unwrap_or(&self.folder);
        let (named, ca) = (self.registry.as_deref(), self.registry_ca.as_deref());
        let registry = super::registry::options(named, ca, &mut all, folder).await?;
        let read = properties::read(&all, folder).await;
        let read = read.map_err(|error| told(&error))?;
        for warning in &read.warnings {
            tracing::warn!(warning, "client properties");
        }
        let bootstrap = match self.bootstrap.is_empty() {
            true => read.bootstrap,
            false => self.bootstrap.clone(),
        };
        if bootstrap.is_empty() {
            let why = "neither the options nor the properties name a server";
            return Err(Fault::refused("connect to the cluster", why).with_hint(
                "add bootstrap.servers=host:port to the properties, or use --bootstrap",
            ));
        }
        let mut options = ConnectOptions::new(bootstrap);
        options.read_only = self.read_only;
        options.security = read.security;
        options.saved_cluster_id = self.cluster_id.clone();
        options.registry = registry;
        options.metrics = self.metrics().await?;
        if let Some(id) = read.client_id {
            options.client_id = id;
        }
        if let Some(ms) = read.request_timeout_ms {
            options.request_timeout_ms = ms.max(1);
        }
        if let Some(ms) = read.connect_timeout_ms {
            options.connect_timeout_ms = ms.max(1);
        }
        Ok(options)
    }
}

impl Target {
    /// Reads who asks for metrics, and who vouches for those that tell.
    async fn metrics(&self) -> Result<Option<MetricsOptions>, Fault> {
        let Some(endpoints) = &self.metrics else {
            return Ok(None);
        };
        let what = "read the settings of the metrics endpoints";
        let refused = |why: String| Fault::refused(what, why);
        let user = match &self.metrics_login {
            None => None,
            Some(text) => {
                let login = Login::read(text).map_err(refused)?;
                let password = login.password.read(&self.folder).await;
                Some((
                    login.user,
                    password.map_err(|error| refused(error.to_string()))?,
                ))
            }
        };
        let http = Client::trusting(self.metrics_ca.as_deref()).await;
        let http = http.map_err(|fault| refused(fault.reason).with_hint(fault.advice))?;
        Ok(Some(MetricsOptions {
            endpoints: endpoints.clone(),
            user,
            http,
        }))
    }
}

fn told(error: &PropertiesFault) -> Fault {
    Fault::refused("read the client properties", error.to_string()).with_hint(&error.advice)
}

/// What has to be typed before a plan is executed, by how careful one has to be with the cluster.
pub fn confirmation(plan: &Plan, level: Level, cluster: Option<&str>) -> Option<String> {
    match level {
        Level::Low => None,
        Level::Normal => plan.typed_confirmation.clone(),
        Level::High => {
            let by_cluster = cluster.filter(|_| plan.danger >= Danger::Disruptive);
            let own = plan.typed_confirmation.clone();
            own.or_else(|| by_cluster.map(str::to_owned))
        }
    }
}

/// What has to be typed before a connector is changed.
pub fn connect_confirmation(
    change: &Change,
    name: &str,
    level: Level,
    cluster: Option<&str>,
) -> Option<String> {
    match level {
        Level::Low => None,
        _ if *change == Change::Delete => Some(name.to_owned()),
        Level::High if change.is_disruptive() => Some(cluster.unwrap_or(name).to_owned()),
        Level::Normal | Level::High => None,
    }
}
