//! What both brokers say of themselves in ApiVersions, side by side.

use std::collections::BTreeMap;

use anyhow::{bail, ensure};
use kafka_protocol::messages::ApiVersionsRequest;
use kafka_protocol::protocol::StrBytes;
use kafka_shared::client::{Connection, ConnectionConfig};

use crate::ours::Ours;
use crate::{Case, apache};

/// APIs that Apache Kafka serves and our broker does not, with the reason.
const NOT_SERVED: &[(&str, std::ops::RangeInclusive<i16>)] = &[
    ("there is no SASL", 17..=17),
    ("there is no SASL", 36..=36),
    ("there are no transactions", 24..=28),
    ("there are no transactions", 65..=66),
    ("there are no delegation tokens", 38..=41),
    (
        "groups of the new protocol (KIP-848) are not there",
        68..=69,
    ),
    ("client metrics are not collected", 71..=72),
    ("there are no share groups", 76..=79),
    ("there are no share groups", 83..=87),
    ("there are no streams groups", 88..=89),
    ("there are no share groups", 90..=92),
];

pub fn cases() -> Vec<Case> {
    vec![Case::new(
        "versions: what is advertised is what Apache advertises",
        the_tables_agree,
    )]
}

/// Lowest and highest version by API key.
type Table = BTreeMap<i16, (i16, i16)>;

fn table(bootstrap: &str) -> anyhow::Result<Table> {
    let endpoint = bootstrap.parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let connection = Connection::connect(&endpoint, &ConnectionConfig::default()).await?;
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("interop"))
            .with_client_software_version(StrBytes::from_static_str("1"));
        let response = connection.send(request).await?;
        ensure!(response.error_code == 0, "error {}", response.error_code);
        let row = |api: &kafka_protocol::messages::api_versions_response::ApiVersion| {
            (api.api_key, (api.min_version, api.max_version))
        };
        Ok(response.api_keys.iter().map(row).collect())
    })
}

fn the_tables_agree() -> anyhow::Result<()> {
    let broker = Ours::start()?;
    let ours = table(&broker.bootstrap())?;
    let theirs = table(&apache::shared()?)?;
    let mut differences = Vec::new();
    for (key, versions) in &theirs {
        let reason = NOT_SERVED.iter().find(|(_, keys)| keys.contains(key));
        match (ours.get(key), reason) {
            (None, None) => differences.push(format!("API {key} is missing: {versions:?}")),
            (Some(_), Some((reason, _))) => {
                differences.push(format!("API {key} is served, though {reason}"));
            }
            (Some(own), None) if own != versions => {
                differences.push(format!("API {key}: {own:?}, Apache {versions:?}"));
            }
            _ => {}
        }
    }
    for key in ours.keys().filter(|key| !theirs.contains_key(key)) {
        differences.push(format!("API {key} is advertised, and not by Apache"));
    }
    if differences.is_empty() {
        return Ok(());
    }
    bail!("{}", differences.join("\n"))
}
