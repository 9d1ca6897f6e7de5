//! Which cluster a command is for, and how it is reached.
//!
//! The first of these that is there: `--cluster`; `--bootstrap` and `--properties`; the variable
//! `KAFKA_BOOTSTRAP`; the default cluster of the configuration file.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use kafka_shared::time::SystemClock;
use kafka_shared::types::Endpoint;

use crate::cluster::ClusterClient;
use crate::clusters::{ClustersFile, Endpoints, Target};
use crate::model::Fault;
use crate::output::Format;

use super::ChangeArgs;

/// Names the bootstrap servers when `--bootstrap` does not.
pub const BOOTSTRAP_VARIABLE: &str = "KAFKA_BOOTSTRAP";

/// Whether changes of clusters that are not saved are dry runs unless `--execute` is given: `true` or
/// `false`.
pub const DRY_RUN_VARIABLE: &str = "KAFKA_TUI_DRY_RUN";

/// Own options stand before those that every command has.
const HEADING: &str = "Options of every command";

#[derive(Clone, Debug, Args)]
pub struct GlobalArgs {
    /// Brokers to ask first, as host:port[,host:port...]; KAFKA_BOOTSTRAP is the default
    #[arg(
        short,
        long,
        global = true, help_heading = HEADING,
        value_name = "HOST:PORT,...",
        value_delimiter = ','
    )]
    pub bootstrap: Vec<Endpoint>,
    /// Kafka's client properties: security, client.id, bootstrap.servers
    #[arg(long, global = true, help_heading = HEADING, value_name = "FILE")]
    pub properties: Option<PathBuf>,
    /// A saved cluster, see `clusters`
    #[arg(long, global = true, help_heading = HEADING, value_name = "NAME", conflicts_with_all = ["bootstrap", "properties"])]
    pub cluster: Option<String>,
    /// The schema registry of the cluster, as http://host:port
    #[arg(long, global = true, help_heading = HEADING, value_name = "URL")]
    pub registry: Option<String>,
    /// A PEM file with the authorities to trust for the schema registry; the platform's if absent
    #[arg(long, global = true, help_heading = HEADING, value_name = "FILE")]
    pub registry_ca: Option<PathBuf>,
    /// Where brokers tell their figures as Prometheus reads them: http://{host}:7071/metrics for all,
    /// with {host} and {id} filled in, or 1=URL,2=URL
    #[arg(long, global = true, help_heading = HEADING, value_name = "URL", value_delimiter = ',')]
    pub metrics: Vec<String>,
    /// The configuration file with the saved clusters; KAFKA_TUI_CONFIG names it too
    #[arg(long = "config-file", global = true, help_heading = HEADING, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Refuse everything that changes the cluster
    #[arg(long, global = true, help_heading = HEADING)]
    pub read_only: bool,
    /// Allow changes to a cluster that is saved as read-only
    #[arg(long, global = true, help_heading = HEADING, conflicts_with = "read_only")]
    pub read_write: bool,
    /// Write the plan of a change to this file instead of making it; `plan FILE` executes it
    #[arg(long, global = true, help_heading = HEADING, value_name = "FILE")]
    pub save_plan: Option<PathBuf>,
    /// How to print: for people or for programs
    #[arg(short, long, global = true, help_heading = HEADING, value_enum, default_value_t)]
    pub output: Format,
    /// How long one request may take, in milliseconds; 15000 if the properties don't say
    #[arg(long, global = true, help_heading = HEADING, value_name = "MS")]
    pub timeout_ms: Option<u64>,
}

impl GlobalArgs {
    /// The configuration file.
    ///
    /// # Errors
    /// There is no place for one, or it can't be read.
    pub fn clusters_file(&self) -> Result<ClustersFile, Fault> {
        let path = match &self.config {
            Some(path) => path.clone(),
            None => ClustersFile::usual_path()?,
        };
        ClustersFile::load(&path)
    }

    /// Which cluster is meant; `None` when nothing says.
    ///
    /// # Errors
    /// What says so can't be read, or names a cluster that isn't there.
    pub fn target(&self) -> Result<Option<Target>, Fault> {
        let found = match &self.cluster {
            Some(name) => Some(self.saved(&self.clusters_file()?, name)?),
            None if self.properties.is_some() || !self.bootstrap.is_empty() => Some(Target {
                properties: self.properties.clone(),
                ..Target::at(self.bootstrap.clone())
            }),
            None => match bootstrap_of_environment()? {
                Some(bootstrap) => Some(Target::at(bootstrap)),
                None => self.default_target()?,
            },
        };
        let found = found.map(by_environment).transpose()?;
        let metrics = self.endpoints()?;
        Ok(found.map(|target| Target {
            registry: self.registry.clone().or(target.registry.clone()),
            registry_ca: self.registry_ca.clone().or(target.registry_ca.clone()),
            metrics: metrics.or(target.metrics.clone()),
            ..self.with_rights(target)
        }))
    }

    /// Whether a change of this cluster is made now: neither shown only nor saved as a plan.
    pub(super) fn executes(&self, change: ChangeArgs, target: &Target) -> bool {
        !change.is_dry(target) && self.save_plan.is_none()
    }

    /// For what makes no plan, or executes one that is a file already.
    ///
    /// # Errors
    /// A plan is to be saved.
    pub(super) fn saves_no_plan(&self, what: &str) -> Result<(), Fault> {
        match self.save_plan {
            None => Ok(()),
            Some(_) => Err(
                Fault::refused(what, "this makes no plan that could be saved")
                    .with_hint("leave --save-plan away; --dry-run shows what would be"),
            ),
        }
    }

    /// The metrics endpoints that the options name.
    ///
    /// # Errors
    /// They can't be read.
    pub(super) fn endpoints(&self) -> Result<Option<Endpoints>, Fault> {
        let read = Endpoints::of_options(&self.metrics);
        read.map_err(|why| Fault::refused("read --metrics", why))
    }

    fn saved(&self, file: &ClustersFile, name: &str) -> Result<Target, Fault> {
        Target::of(file.find(name)?, file.path())
    }

    fn default_target(&self) -> Result<Option<Target>, Fault> {
        // A machine without a home has no saved clusters either.
        if self.config.is_none() && ClustersFile::usual_path().is_err() {
            return Ok(None);
        }
        let file = self.clusters_file()?;
        let name = file.default_name();
        name.map(|name| self.saved(&file, name)).transpose()
    }

    /// Read-only as the options say, else as the cluster is saved.
    pub fn with_rights(&self, target: Target) -> Target {
        let read_only = self.read_only || (target.read_only && !self.read_write);
        Target {
            read_only,
            ..target
        }
    }

    pub(super) async fn client(&self) -> Result<ClusterClient, Fault> {
        Ok(self.client_and_target().await?.0)
    }

    pub(super) async fn client_and_target(&self) -> Result<(ClusterClient, Target), Fault> {
        let target = self.target()?.ok_or_else(|| {
            let why = "no cluster is named";
            Fault::refused("connect to a cluster", why).with_hint(format!(
                "name one with --bootstrap host:9092, --cluster NAME or in {BOOTSTRAP_VARIABLE}; \
                 `kafka-tui local start` starts a broker here"
            ))
        })?;
        Ok((self.client_of(&target).await?, target))
    }

    /// A session with this cluster.
    ///
    /// # Errors
    /// Its properties or secrets can't be read.
    pub(super) async fn client_of(&self, target: &Target) -> Result<ClusterClient, Fault> {
        let mut options = target.options().await?;
        if let Some(timeout_ms) = self.timeout_ms {
            options.request_timeout_ms = timeout_ms.max(1);
        }
        options.connect_timeout_ms = options.connect_timeout_ms.min(options.request_timeout_ms);
        Ok(ClusterClient::new(options, Arc::new(SystemClock::new())))
    }
}

/// What the variables say of a cluster that is not saved.
///
/// # Errors
/// One of them can't be read.
pub(super) fn by_environment(target: Target) -> Result<Target, Fault> {
    let said = std::env::var(DRY_RUN_VARIABLE).unwrap_or_default();
    if target.name.is_some() || said.is_empty() {
        return Ok(target);
    }
    let dry_run = said.parse().map_err(|_| {
        let why = format!("\"{said}\" is neither true nor false");
        Fault::refused(format!("read {DRY_RUN_VARIABLE}"), why)
    })?;
    Ok(Target {
        dry_run: Some(dry_run),
        ..target
    })
}

fn bootstrap_of_environment() -> Result<Option<Vec<Endpoint>>, Fault> {
    let Ok(text) = std::env::var(BOOTSTRAP_VARIABLE) else {
        return Ok(None);
    };
    let parts = text.split(',').filter(|part| !part.trim().is_empty());
    let endpoints = parts.map(|part| part.trim().parse());
    let endpoints: Result<Vec<_>, _> = endpoints.collect();
    let endpoints = endpoints.map_err(|error| {
        Fault::refused(format!("read {BOOTSTRAP_VARIABLE}"), format!("{error}"))
    })?;
    Ok(Some(endpoints).filter(|endpoints| !endpoints.is_empty()))
}
