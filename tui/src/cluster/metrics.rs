//! Asks brokers' metrics endpoints, over HTTP: one page of each, a few at a time.
//!
//! Invariants: one request to a broker for one read; a page has a bounded size and a deadline; what
//! fails is one broker's matter.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use kafka_shared::http::{Client, Request, Response, Url};
use kafka_shared::secret::Secret;
use kafka_shared::task;

use crate::metrics::{Endpoints, PageFault, reading};
use crate::model::{BrokerReading, ClusterMetadata, Fault, FaultKind, MetricsRead, Taken};

use super::wire::ClusterClient;

const WHAT: &str = "read a broker's metrics";

/// Pages at a time.
const AT_ONCE: usize = 8;

/// For the whole page.
const TIMEOUT_MS: u64 = 8_000;

/// The page of a broker with thousands of partitions is some megabytes long.
const PAGE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Where the pages are and who asks.
#[derive(Clone, Debug)]
pub struct MetricsOptions {
    pub endpoints: Endpoints,
    /// User and password.
    pub user: Option<(String, Secret)>,
    /// What it trusts; its limits are set here.
    pub http: Client,
}

impl ClusterClient {
    /// What every broker tells that has an endpoint; `None` where no endpoint is given.
    pub async fn broker_metrics(&self, metadata: &Arc<ClusterMetadata>) -> Option<MetricsRead> {
        let options = self.options().metrics.as_ref()?;
        let client = Client {
            timeout_ms: TIMEOUT_MS,
            body_bytes_max: PAGE_BYTES_MAX,
            ..options.http.clone()
        };
        let mut request = Request::get();
        let accepted = "text/plain;version=0.0.4;q=1,*/*;q=0.1".to_owned();
        request.headers.push(("Accept".to_owned(), accepted));
        if let Some((user, password)) = &options.user {
            request = request.basic(user, password);
        }
        let mut asked = Vec::new();
        for broker in &metadata.brokers {
            let Some(url) = options.endpoints.of(broker) else {
                continue;
            };
            let (client, request) = (client.clone(), request.clone());
            let (id, own, metadata) = (broker.id, self.clone(), Arc::clone(metadata));
            asked.push(async move {
                let taken = own.now();
                let result = page(&client, &request, url, taken, &metadata).await;
                (id, result.map(Arc::new).map_err(Arc::new))
            });
        }
        let mut read: MetricsRead = stream::iter(asked)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        read.sort_by_key(|(id, _)| *id);
        Some(read)
    }
}

async fn page(
    client: &Client,
    request: &Request,
    url: Url,
    taken: Taken,
    metadata: &Arc<ClusterMetadata>,
) -> Result<BrokerReading, Fault> {
    match client.send(&url, request).await {
        Ok(response) => understood(&url, response, taken, metadata).await,
        Err(error) => Err(Fault::new(FaultKind::Unreachable, WHAT, error.to_string())
            .with_hint("is the address that of its metrics endpoint?")),
    }
}

async fn understood(
    url: &Url,
    response: Response,
    taken: Taken,
    metadata: &Arc<ClusterMetadata>,
) -> Result<BrokerReading, Fault> {
    let fail = |kind, why: String| Fault::new(kind, WHAT, format!("{url}: {why}"));
    match response.status {
        200..=299 => {}
        401 | 403 => {
            let why = format!("it answers {}", response.status);
            return Err(fail(FaultKind::Refused, why)
                .with_hint("name the user: metrics_login of the saved cluster"));
        }
        status => return Err(fail(FaultKind::Failed, format!("it answers {status}"))),
    }
    let metadata = Arc::clone(metadata);
    // Megabytes of text take a while: not on a thread that others wait for.
    let read = task::spawn_blocking("read-metrics", move || {
        let shared = |name: &str| match metadata.topic(name) {
            Some(topic) => Arc::clone(&topic.name),
            None => Arc::from(name),
        };
        reading(&response.text(), taken, shared)
    });
    let read = read
        .await
        .map_err(|_| fail(FaultKind::Failed, "the task broke".to_owned()))?;
    read.map_err(|why| {
        let why = match why {
            PageFault::Empty => "the page is empty".to_owned(),
            PageFault::Unreadable(bad) => {
                format!("no page of metrics: line {}: {}", bad.number, bad.why)
            }
            PageFault::Unknown(n) => format!("none of its {n} figures is known here"),
        };
        fail(FaultKind::Failed, why)
            .with_hint("the JMX exporter's names for Kafka are understood, and Redpanda's")
    })
}
