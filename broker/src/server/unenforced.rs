//! Tells what the metadata asks of brokers and this one doesn't do: client quotas, passwords, access
//! control entries. The controller keeps them all, for Apache Kafka's brokers beside this one and
//! for the day that a folder goes back; a broker that takes them in silence would be trusted with
//! what it doesn't do.

use std::sync::Arc;

use tracing::warn;

use crate::metadata::handle::MetadataPublisher;
use crate::metadata::{MetadataDelta, MetadataImage};

/// Warns at every change that leaves something to be enforced.
#[derive(Debug)]
pub(super) struct Unenforced;

/// What this broker doesn't enforce of what is new in the image.
fn unenforced(delta: &MetadataDelta, image: &MetadataImage) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut tell = |count: usize, is_changed: bool, what: &str| {
        if is_changed && count > 0 {
            warnings.push(format!("{count} {what}"));
        }
    };
    tell(
        image.client_quotas.len(),
        delta.is_client_quotas_changed(),
        "entities have client quotas, and this broker does not enforce quotas: no client of it is \
         slowed down",
    );
    tell(
        image.scram.len(),
        delta.is_scram_changed(),
        "SCRAM credentials are kept, and this broker has no SASL listeners: nobody is asked for a \
         password",
    );
    tell(
        image.acls.len(),
        delta.is_acls_changed(),
        "access control entries are kept, and this broker has no authorizer: everybody may do \
         everything here",
    );
    warnings
}

impl MetadataPublisher for Unenforced {
    fn name(&self) -> &'static str {
        "unenforced"
    }

    fn on_metadata_update(&self, delta: &MetadataDelta, image: &Arc<MetadataImage>) {
        for warning in unenforced(delta, image) {
            warn!("{warning}");
        }
    }
}

#[cfg(test)]
mod tests {
    use kafka_shared::schema::metadata::{ClientQuotaEntity, ClientQuotaRecord};

    use super::*;

    #[test]
    fn a_quota_is_warned_of_when_it_changes_and_not_when_it_goes() {
        let quota = |remove| ClientQuotaRecord {
            entity: vec![ClientQuotaEntity {
                entity_type: "user".into(),
                entity_name: None,
            }],
            key: "producer_byte_rate".into(),
            value: 5.0,
            remove,
        };
        let empty = Arc::new(MetadataImage::default());
        let mut delta = MetadataDelta::new(&empty);
        assert!(unenforced(&delta, delta.next()).is_empty());
        delta.replay(&quota(false).into()).unwrap();
        let warnings = unenforced(&delta, delta.next());
        assert!(warnings[0].starts_with("1 entities have client quotas"));
        let with_quota = Arc::new(delta.into_next());
        let unchanged = MetadataDelta::new(&with_quota);
        assert!(unenforced(&unchanged, unchanged.next()).is_empty());
        let mut delta = MetadataDelta::new(&with_quota);
        delta.replay(&quota(true).into()).unwrap();
        assert!(unenforced(&delta, delta.next()).is_empty());
    }
}
