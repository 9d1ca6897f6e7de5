//! Feature levels: which the cluster may take on.
//!
//! A level can be finalized when this controller and all registered brokers and controllers
//! support it. metadata.version goes down only where no record would be lost.
//!
//! Kafka: `controller/FeatureControlManager.java`, `controller/QuorumFeatures.java` (4.3).

use std::collections::BTreeMap;

use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::update_features_response::UpdatableFeatureResult;
use kafka_protocol::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};
use kafka_shared::error::{ApiError, ErrorCode};
use kafka_shared::schema::metadata::{
    ConfigRecord, FeatureLevelRecord, MetadataRecord, NoOpRecord,
};

use super::state::{Cx, Outcome, QuorumController};
use super::topics::{error_message, own};
use crate::metadata::cluster::FeatureRange;
use crate::metadata::features::{
    ELR_VERSION, KRAFT_VERSION, METADATA_VERSION, metadata_version_name, supported,
};
use crate::metadata::records::ELR_SINCE;
use crate::metadata::{ConfigResource, ResourceType};

/// Level of metadata.version from which on controllers register.
const CONTROLLER_REGISTRATION_SINCE: i16 = 15;

/// Metadata versions that changed nothing about the records since the version before: going down
/// from one of them loses nothing.
const SAME_RECORDS_AS_BEFORE: [i16; 15] =
    [9, 10, 12, 16, 18, 19, 20, 21, 22, 24, 25, 26, 27, 28, 29];

/// How a level may be changed; the numbers are those of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UpgradeType {
    Upgrade,
    SafeDowngrade,
    UnsafeDowngrade,
}

impl UpgradeType {
    fn of(update: &FeatureUpdateKey) -> Option<Self> {
        // Version 0 of the request has a flag instead of the type, which then is UPGRADE.
        match update.upgrade_type {
            1 if update.allow_downgrade => Some(Self::SafeDowngrade),
            1 => Some(Self::Upgrade),
            2 => Some(Self::SafeDowngrade),
            3 => Some(Self::UnsafeDowngrade),
            _ => None,
        }
    }
}

/// The response to levels of which one can't be.
pub(super) fn update_failed(error: &ApiError) -> UpdateFeaturesResponse {
    let message = format!(
        "The update failed for all features since the following feature had an error: {}",
        error.message()
    );
    let error = ApiError::new(error.code, message);
    UpdateFeaturesResponse::default()
        .with_error_code(error.code.0)
        .with_error_message(error_message(&error))
}

/// The level of kraft.version that the request raises it to, if it does.
pub(super) fn kraft_version_upgrade(request: &UpdateFeaturesRequest) -> Option<i16> {
    let is_upgrade = |update: &&FeatureUpdateKey| {
        update.feature.as_str() == KRAFT_VERSION
            && UpgradeType::of(update) == Some(UpgradeType::Upgrade)
    };
    let update = request.feature_updates.iter().find(is_upgrade)?;
    Some(update.max_version_level)
}

fn invalid(feature: &str, level: i16, reason: &str) -> ApiError {
    let message = format!("Invalid update version {level} for feature {feature}. {reason}");
    ApiError::new(ErrorCode::INVALID_UPDATE_VERSION, message)
}

impl QuorumController {
    /// UpdateFeatures: all levels of the request or none. An upgrade of kraft.version is Raft's
    /// affair: here it is checked only.
    pub fn update_features(
        &self,
        cx: &Cx<'_>,
        request: &UpdateFeaturesRequest,
    ) -> Outcome<UpdateFeaturesResponse> {
        let updates: BTreeMap<_, _> = request
            .feature_updates
            .iter()
            .map(|update| (update.feature.as_str(), update))
            .collect();
        let mut records = Vec::new();
        let elr = updates.get(ELR_VERSION);
        if elr.is_some_and(|update| update.max_version_level > 0) {
            self.min_isr_records(&mut records);
        }
        for (name, update) in &updates {
            if let Err(error) = self.update_feature(cx, name, &updates, update, &mut records) {
                return Outcome::read(update_failed(&error));
            }
        }
        if request.validate_only {
            records.clear();
        }
        // Versions 0 and 1 of the response name every feature.
        let result = |update: &FeatureUpdateKey| {
            UpdatableFeatureResult::default()
                .with_feature(own(update.feature.as_str()))
                .with_error_message(None)
        };
        let response = UpdateFeaturesResponse::default()
            .with_error_message(None)
            .with_results(request.feature_updates.iter().map(result).collect());
        Outcome::atomic(records, response)
    }

    fn update_feature(
        &self,
        cx: &Cx<'_>,
        name: &str,
        updates: &BTreeMap<&str, &FeatureUpdateKey>,
        update: &FeatureUpdateKey,
        records: &mut Vec<MetadataRecord>,
    ) -> Result<(), ApiError> {
        let level = update.max_version_level;
        let invalid = |reason: &str| Err(invalid(name, level, reason));
        let Some(upgrade_type) = UpgradeType::of(update) else {
            return invalid("The controller does not support the given upgrade type.");
        };
        let current = match name {
            KRAFT_VERSION => cx.kraft_version,
            _ => self.image.features.level(name),
        };
        if level < 0 {
            return invalid("A feature version cannot be less than 0.");
        }
        if let Some(reason) = self.reason_not_supported(name, level) {
            return invalid(&reason);
        }
        if level < current && upgrade_type == UpgradeType::Upgrade {
            return invalid(
                "Can't downgrade the version of this feature without setting the upgrade type to \
                 either safe or unsafe downgrade.",
            );
        }
        if level > current && upgrade_type != UpgradeType::Upgrade {
            return invalid("Can't downgrade to a newer version.");
        }
        match name {
            KRAFT_VERSION if level < current => {
                return invalid("Can't downgrade the version of this feature.");
            }
            // Raft has taken it, or will refuse it; the record is something to wait for.
            KRAFT_VERSION if level > current => {
                records.push(NoOpRecord::default().into());
                return Ok(());
            }
            KRAFT_VERSION => return Ok(()),
            METADATA_VERSION => check_metadata_version(current, level, upgrade_type)?,
            _ if supported(name).is_none() => {
                return invalid(&format!("Feature {name} not found."));
            }
            // The metadata version may be raised by the same request.
            ELR_VERSION if level > 0 => {
                let proposed = updates.get(METADATA_VERSION);
                let metadata_version =
                    proposed.map_or(self.metadata_version(), |update| update.max_version_level);
                if metadata_version < ELR_SINCE {
                    return invalid(&format!(
                        "{name} could not be set to {level} because it depends on \
                         {METADATA_VERSION} level {ELR_SINCE}"
                    ));
                }
            }
            _ => {}
        }
        records.push(
            FeatureLevelRecord {
                name: name.to_owned(),
                feature_level: level,
            }
            .into(),
        );
        Ok(())
    }

    /// With eligible leader replicas, the minimal ISR has to be the same for all brokers: that of
    /// the cluster.
    fn min_isr_records(&self, records: &mut Vec<MetadataRecord>) {
        let key = "min.insync.replicas";
        let record = |resource_name: &str, value| ConfigRecord {
            resource_type: ResourceType::Broker.id(),
            resource_name: resource_name.to_owned(),
            name: key.to_owned(),
            value,
        };
        let configs = &self.image.configs;
        if (configs.value(&ConfigResource::cluster_default(), key)).is_none() {
            let value = self.config.min_insync_replicas.to_string();
            records.push(record("", Some(value)).into());
        }
        for (resource, values) in configs.iter() {
            let is_of_a_broker =
                resource.resource_type == ResourceType::Broker && !resource.name.is_empty();
            if is_of_a_broker && values.contains_key(key) {
                records.push(record(&resource.name, None).into());
            }
        }
    }

    fn reason_not_supported(&self, name: &str, level: i16) -> Option<String> {
        let disabled = FeatureRange { min: 0, max: 0 };
        let local = supported(name).map_or(disabled, |feature| feature.supported);
        let who = format!("Local controller {}", self.config.node_id);
        if let Some(reason) = reason(&who, local, level) {
            return Some(reason);
        }
        for broker in self.image.cluster.brokers.values() {
            let range = broker.features.get(name).copied().unwrap_or(disabled);
            if let Some(reason) = reason(&format!("Broker {}", broker.id), range, level) {
                return Some(reason);
            }
        }
        if self.metadata_version() < CONTROLLER_REGISTRATION_SINCE {
            return None;
        }
        let controllers = &self.image.cluster.controllers;
        let is_missing = |id: &&i32| **id != self.config.node_id && !controllers.contains_key(*id);
        let others = controllers.values();
        for controller in others.filter(|controller| controller.id != self.config.node_id) {
            let range = controller.features.get(name).copied().unwrap_or(disabled);
            if let Some(reason) = reason(&format!("Controller {}", controller.id), range, level) {
                return Some(reason);
            }
        }
        let missing = self.config.static_voters.iter().find(is_missing)?;
        Some(format!(
            "controller {missing} has not registered, and may not support this feature"
        ))
    }
}

/// Why a node doesn't support a level; `None` if it does.
fn reason(who: &str, range: FeatureRange, level: i16) -> Option<String> {
    if range.contains(level) {
        None
    } else if range.min == 0 && range.max == 0 {
        Some(format!("{who} does not support this feature."))
    } else if range.min == range.max {
        Some(format!("{who} only supports versions {}", range.min))
    } else {
        let (min, max) = (range.min, range.max);
        Some(format!("{who} only supports versions {min}-{max}"))
    }
}

fn check_metadata_version(
    current: i16,
    level: i16,
    upgrade_type: UpgradeType,
) -> Result<(), ApiError> {
    let refuse = |message: String| Err(ApiError::new(ErrorCode::INVALID_UPDATE_VERSION, message));
    if metadata_version_name(level).is_none() {
        return refuse(format!(
            "Invalid metadata.version {level}. Valid versions are from 7 to 30."
        ));
    }
    let loses_records = (level + 1..=current).any(|step| !SAME_RECORDS_AS_BEFORE.contains(&step));
    if level < current && loses_records {
        let reason = if upgrade_type == UpgradeType::UnsafeDowngrade {
            "Unsafe metadata downgrade is not supported in this version."
        } else {
            "Refusing to perform the requested downgrade because it might delete metadata \
             information."
        };
        return refuse(format!(
            "Unsupported metadata.version downgrade from {current} to {level}. {reason}"
        ));
    }
    Ok(())
}
