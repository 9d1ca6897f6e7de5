//! Serves what the screens show as Prometheus reads it.
//!
//! The same poller keeps the same snapshot as under the screens; a scrape copies it and renders
//! the copy. It asks nothing of the cluster, however often and by however many it is called, and
//! each part's age is among the figures.
//!
//! Invariants:
//! - Connections, their heads and the time they may take are bounded (see [`http`]).
//! - What is not known has no sample; it is never 0.

pub mod http;

use std::sync::Arc;

use kafka_shared::task;
use parking_lot::RwLock;
use tokio::net::TcpListener;

use crate::cluster::{ClusterClient, Interest, PollIntervals, Poller};
use crate::derive::{self, Verdict};
use crate::model::{ClusterSnapshot, Taken, Update};
use crate::output::{Detail, Histories, metrics};

use http::{Answer, Status};

/// What a Prometheus server expects.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is served, shared by all connections.
#[derive(Debug)]
struct Shown {
    snapshot: RwLock<ClusterSnapshot>,
    history: RwLock<Histories>,
    /// For the time: ages are told by the clock that the polling goes by.
    client: ClusterClient,
    detail: Detail,
}

impl Shown {
    fn answer(&self, path: &str) -> Answer {
        let path = path.split('?').next().unwrap_or_default();
        match path {
            "/metrics" => {
                let snapshot = self.snapshot.read().clone();
                let now = self.client.now();
                let text = metrics(&snapshot, &self.history.read(), self.detail, now);
                Answer::new(Status::Ok, METRICS_TYPE, text)
            }
            "/health" => {
                let check = derive::cluster_check(&self.snapshot.read());
                let status = match check.verdict {
                    Verdict::Healthy => Status::Ok,
                    Verdict::Unhealthy | Verdict::Unknown => Status::Unavailable,
                };
                let mut lines = match check.verdict {
                    Verdict::Healthy => vec!["healthy".to_owned()],
                    Verdict::Unhealthy => check.bad,
                    Verdict::Unknown => vec!["not known".to_owned()],
                };
                lines.extend(
                    check
                        .unknown
                        .iter()
                        .map(|what| format!("not known: {what}")),
                );
                Answer::text(status, &format!("{}\n", lines.join("\n")))
            }
            "/" => Answer::text(Status::Ok, "kafka-tui exporter: /metrics and /health\n"),
            _ => Answer::text(Status::NotFound, "there is only /metrics and /health\n"),
        }
    }
}

/// Polls a cluster and serves its figures until `told` says that it is enough, or the poller ends.
/// `told` gets every update before it is taken in.
pub async fn run(
    client: ClusterClient,
    intervals: PollIntervals,
    listener: TcpListener,
    detail: Detail,
    mut told: impl FnMut(&Update, Taken),
) {
    let shown = Arc::new(Shown {
        snapshot: RwLock::new(ClusterSnapshot::default()),
        history: RwLock::new(Histories::default()),
        client: client.clone(),
        detail,
    });
    let interest = Interest {
        all_groups: true,
        // Brokers are asked only where endpoints are named.
        metrics: true,
        ..Interest::default()
    };
    let (_poller, mut updates) = Poller::start(client, intervals, interest);
    let served = Arc::clone(&shown);
    let server = task::spawn("exporter", async move {
        http::serve(listener, move |path| served.answer(path)).await;
    });
    while let Some((update, at)) = updates.recv().await {
        told(&update, at);
        let read = match &update {
            Update::Committed(read) => read.clone(),
            _ => Vec::new(),
        };
        shown.snapshot.write().apply(update, at);
        let snapshot = shown.snapshot.read();
        shown.history.write().note(&read, &snapshot, at);
    }
    server.abort();
}
