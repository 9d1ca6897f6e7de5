//! Tries a connection out: who answers, and what one may do there.

use kafka_protocol::messages::DescribeClusterRequest;
use kafka_shared::client::security::Sasl;

use super::wire::{ClusterClient, To, check_code, client_fault};
use crate::model::{Fault, Probe};

/// The bits of the operations that Kafka tells, by the codes of its ACLs.
const OPERATIONS: [(u8, &str); 10] = [
    (3, "read"),
    (4, "write"),
    (5, "create"),
    (6, "delete"),
    (7, "alter"),
    (8, "describe"),
    (9, "cluster action"),
    (10, "describe configs"),
    (11, "alter configs"),
    (12, "idempotent write"),
];

/// What brokers answer that were not asked, or don't know.
const NOT_TOLD: i32 = i32::MIN;

impl ClusterClient {
    /// Connects and looks around.
    ///
    /// # Errors
    /// The step that failed, and what to do about it.
    pub async fn probe(&self) -> Result<Probe, Fault> {
        let what = "connect to the cluster";
        let started_ms = self.now().monotonic_ms;
        let metadata = self.metadata().await?;
        let took_ms = self.now().monotonic_ms - started_ms;
        let connection = self.connection(what, To::Any).await?;
        let operations = match connection.version_of::<DescribeClusterRequest>() {
            // Older brokers tell nobody what may be done.
            Err(_) => None,
            Ok(_) => {
                let request = DescribeClusterRequest::default()
                    .with_include_cluster_authorized_operations(true);
                let answer = connection.send(request).await;
                let answer = answer.map_err(|error| client_fault(what, &error))?;
                check_code(what, answer.error_code, answer.error_message.as_deref())?;
                operations(answer.cluster_authorized_operations)
            }
        };
        let security = &self.options().security;
        Ok(Probe {
            cluster_id: metadata.cluster_id.as_deref().map(str::to_owned),
            brokers: metadata.brokers.len(),
            topics: metadata.topics.len(),
            security_protocol: security.protocol().to_owned(),
            sasl_mechanism: security
                .sasl
                .as_ref()
                .map(|sasl| sasl.mechanism().to_owned()),
            user: security
                .sasl
                .as_ref()
                .and_then(Sasl::user)
                .map(str::to_owned),
            operations,
            took_ms,
        })
    }
}

/// What may be done to the cluster, in words; None where nobody tells.
pub(super) fn operations(bits: i32) -> Option<Vec<String>> {
    (bits != NOT_TOLD).then(|| {
        let allowed = OPERATIONS.iter().filter(|(code, _)| bits & 1 << code != 0);
        allowed.map(|(_, name)| (*name).to_owned()).collect()
    })
}

/// Whether the cluster may be described; None where nobody tells.
pub(super) fn may_describe(bits: i32) -> Option<bool> {
    let may = operations(bits)?;
    Some(may.iter().any(|name| name == "describe" || name == "alter"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_told_in_words_or_not_at_all() {
        assert_eq!(operations(i32::MIN), None);
        assert_eq!(operations(0), Some(Vec::new()));
        // As Apache Kafka tells a super user of the cluster.
        let all = operations(0b1_1111_1010_0000).unwrap();
        assert!(all.contains(&"describe".to_owned()) && all.contains(&"alter".to_owned()));
        assert!(!all.contains(&"read".to_owned()));
    }
}
