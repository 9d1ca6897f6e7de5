//! `kafka-broker start`: runs a broker until it is told to stop.

use std::{io::Write as _, time::Duration};

use anyhow::{Context as _, anyhow};
use kafka_shared::task;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use super::{CliError, ConfigArgs, log_to_stderr};
use crate::server;

/// How long an orderly stop may take before the process ends anyway.
const STOP_DEADLINE: Duration = Duration::from_secs(120);

/// Starts a broker in the foreground
///
/// Without any option it is a cluster of one node that listens on 127.0.0.1:9092 and keeps its data
/// in $XDG_DATA_HOME/kafka-broker (or ~/.local/share/kafka-broker), which is formatted on the first
/// start. A server.properties written for Apache Kafka works as it is; keys that have no effect here
/// are warned about. One line on standard output tells when the broker is ready. SIGTERM and SIGINT
/// stop it in order, a second one at once. RUST_LOG sets what is logged (default: warn).
#[derive(Debug, Clone, Default, clap::Args)]
#[command(after_help = super::EXIT_CODES)]
pub struct Start {
    #[command(flatten)]
    pub config: ConfigArgs,

    /// Id of the cluster that the node belongs to, 22 characters of base64: new folders are formatted
    /// for it, those of another cluster refused
    #[arg(short = 't', long, value_name = "ID")]
    pub cluster_id: Option<String>,
}

impl Start {
    /// Runs the broker until a signal stops it.
    ///
    /// # Errors
    /// When the configuration is refused, or the broker cannot start or cannot stop in order.
    pub fn run(&self) -> Result<(), CliError> {
        log_to_stderr();
        let (config, warnings) = self.config.load()?;
        for warning in warnings {
            warn!("{warning}");
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_name("kafka-broker")
            .build()
            .context("start the runtime")?;
        let outcome = runtime.block_on(serve(config, self.cluster_id.as_deref()));
        // Whatever blocks (a read from a failing disk) must not keep the process alive.
        runtime.shutdown_timeout(Duration::from_secs(1));
        Ok(outcome?)
    }
}

async fn serve(
    config: crate::config::BrokerConfig,
    cluster_id: Option<&str>,
) -> anyhow::Result<()> {
    let mut stop = Stop::new()?;
    let data_dir = config.log_dirs.first().cloned().unwrap_or_default();
    let node_id = config.node_id;
    let broker = tokio::select! {
        started = server::start_in_cluster(config, cluster_id) => started?,
        () = stop.requested() => return Err(anyhow!("stopped before it was ready")),
    };
    let addresses: Vec<String> = broker
        .local_addrs()
        .iter()
        .map(|(_, address)| address.to_string())
        .collect();
    let mut out = std::io::stdout();
    writeln!(
        out,
        "kafka-broker ready at {}, cluster id {}, node id {node_id}, data in {}",
        addresses.join(" "),
        broker.cluster_id(),
        data_dir.display()
    )
    .and_then(|()| out.flush())
    .context("print the ready line")?;
    tokio::select! {
        () = stop.requested() => info!("stopping"),
        why = broker.failed() => {
            let _ = tokio::time::timeout(STOP_DEADLINE, broker.shutdown()).await;
            return Err(anyhow!("the broker cannot go on: {why}"));
        }
    }
    drop(task::spawn("second signal", async move {
        stop.requested().await;
        warn!("stopping at once");
        std::process::exit(130);
    }));
    tokio::time::timeout(STOP_DEADLINE, broker.shutdown())
        .await
        .map_err(|_| anyhow!("the broker did not stop within {STOP_DEADLINE:?}"))?
}

/// SIGTERM and SIGINT.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("listen for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("listen for SIGINT")?,
        })
    }

    async fn requested(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
