//! ApiVersions: what this listener serves, and which feature levels the cluster is at.
//!
//! Kafka: `KafkaApis.handleApiVersionsRequest`, `ApiVersionsResponse.java`, KIP-511, KIP-584 (4.3).

use std::ops::RangeInclusive;

use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse,
    api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey},
};
use kafka_shared::error::ErrorCode;

use super::{Api, ListenerKind, Node, TABLE, controller, encode, own};
use crate::{
    metadata::features,
    network::{ClientSoftware, Reply, RequestContext},
};

/// From this version on clients name themselves.
const SOFTWARE_SINCE: i16 = 3;
/// Before this version a supported feature whose minimum is 0 breaks some clients (KAFKA-17492).
const FEATURE_MIN_0_SINCE: i16 = 4;

pub(super) fn handle(
    node: &Node,
    listener: ListenerKind,
    cx: &RequestContext,
    request: &ApiVersionsRequest,
) -> ApiVersionsResponse {
    let version = cx.header.api_version;
    if version >= SOFTWARE_SINCE {
        let name = request.client_software_name.as_str();
        let software_version = request.client_software_version.as_str();
        if !is_software_name(name) || !is_software_name(software_version) {
            return ApiVersionsResponse::default().with_error_code(ErrorCode::INVALID_REQUEST.0);
        }
        // Only the first request says it; later ones of the same connection cannot change it.
        let _ = cx.connection.client_software.set(ClientSoftware {
            name: name.to_owned(),
            version: software_version.to_owned(),
        });
    }
    let image = node.image();
    let api_keys = match listener {
        ListenerKind::Controller => controller::TABLE.iter().filter_map(advertised).collect(),
        ListenerKind::Broker => broker_apis(node),
    };
    let supported = features::SUPPORTED
        .iter()
        .filter(|feature| feature.supported.max > 0)
        .filter(|feature| feature.supported.min > 0 || version >= FEATURE_MIN_0_SINCE)
        .map(|feature| {
            SupportedFeatureKey::default()
                .with_name(own(feature.name))
                .with_min_version(feature.supported.min)
                .with_max_version(feature.supported.max)
        });
    // kraft.version is not among the metadata's features: Raft keeps it.
    let kraft_version = node.raft.kraft_version();
    let kraft_version =
        (kraft_version > 0).then(|| (features::KRAFT_VERSION.into(), kraft_version));
    let levels = image.features.all().into_iter().chain(kraft_version);
    let finalized = levels.map(|(name, level)| {
        FinalizedFeatureKey::default()
            .with_name(own(&name))
            .with_min_version_level(level)
            .with_max_version_level(level)
    });
    ApiVersionsResponse::default()
        .with_api_keys(api_keys)
        .with_supported_features(supported.collect())
        .with_finalized_features(finalized.collect())
        .with_finalized_features_epoch(image.offset())
}

fn advertised(api: &Api) -> Option<ApiVersion> {
    advertised_in(api, api.advertised_min()..=*api.versions.end())
}

fn advertised_in(api: &Api, versions: RangeInclusive<i16>) -> Option<ApiVersion> {
    let row = || {
        ApiVersion::default()
            .with_api_key(api.key as i16)
            .with_min_version(*versions.start())
            .with_max_version(*versions.end())
    };
    (!versions.is_empty()).then(row)
}

/// What is passed on to the active controller is offered as far as that one speaks it, if it was
/// asked already.
fn broker_apis(node: &Node) -> Vec<ApiVersion> {
    let Some(theirs) = node.controller.controller_versions() else {
        return TABLE.iter().filter_map(advertised).collect();
    };
    let common = |api: &Api| {
        if !api.is_forwarded {
            return advertised(api);
        }
        let theirs = theirs.get(api.key as i16)?;
        let (min, max) = (api.advertised_min(), *api.versions.end());
        advertised_in(api, min.max(*theirs.start())..=max.min(*theirs.end()))
    };
    TABLE.iter().filter_map(common).collect()
}

/// The answer to a version that does not exist yet: in version 0, which every client reads, with the
/// range to come down to.
pub(super) fn unsupported(cx: &RequestContext, versions: &RangeInclusive<i16>) -> Reply {
    let own_range = ApiVersion::default()
        .with_api_key(ApiKey::ApiVersions as i16)
        .with_min_version(*versions.start())
        .with_max_version(*versions.end());
    let response = ApiVersionsResponse::default()
        .with_error_code(ErrorCode::UNSUPPORTED_VERSION.0)
        .with_api_keys(vec![own_range]);
    encode(cx, 0, &response).map_or(Reply::Close, Reply::Frame)
}

/// Letters and digits, with dashes and dots between them.
fn is_software_name(text: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    let ends = [text.bytes().next(), text.bytes().last()];
    text.bytes().all(is_inner)
        && ends
            .iter()
            .all(|b| b.is_some_and(|b| b.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::is_software_name;

    #[test]
    fn a_client_names_itself_with_letters_digits_dots_and_dashes_between() {
        for name in ["a", "7", "apache-kafka-java", "4.3.1", "a--b"] {
            assert!(is_software_name(name), "{name}");
        }
        for name in ["", "-a", "a-", ".", "a b", "a_b", "ä", "a\n"] {
            assert!(!is_software_name(name), "{name}");
        }
    }
}
