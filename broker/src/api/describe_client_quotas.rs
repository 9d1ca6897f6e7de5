//! DescribeClientQuotas (48): the quotas of the entities that a filter lets through.
//!
//! Kafka: `image/ClientQuotasImage.java` (4.3).

use std::collections::BTreeMap;

use kafka_protocol::messages::describe_client_quotas_response::{EntityData, EntryData, ValueData};
use kafka_protocol::messages::{DescribeClientQuotasRequest, DescribeClientQuotasResponse};
use kafka_shared::error::{ApiError, ErrorCode};

use super::{message, own};
use crate::controller::quotas::{CLIENT_ID, IP, USER};
use crate::metadata::MetadataImage;
use crate::metadata::security::{ClientQuota, QuotaEntity};

/// What a filter wants of one kind of entity; the numbers are those of the request.
#[derive(Debug, PartialEq)]
enum Match<'a> {
    /// This name, or the default.
    Name(Option<&'a str>),
    /// Any name, or the default.
    Specified,
}

pub(super) fn handle(
    image: &MetadataImage,
    request: &DescribeClientQuotasRequest,
) -> DescribeClientQuotasResponse {
    let filter = match filter(request) {
        Ok(filter) => filter,
        Err(error) => {
            return DescribeClientQuotasResponse::default()
                .with_error_code(error.code.0)
                .with_error_message(Some(message(error.code, error.message.as_deref())))
                .with_entries(None);
        }
    };
    let entries = (image.client_quotas.iter())
        .filter(|(entity, _)| matches(entity, &filter, request.strict))
        .map(|(entity, quota)| described(entity, quota));
    DescribeClientQuotasResponse::default()
        .with_error_message(None)
        .with_entries(Some(entries.collect()))
}

fn filter(request: &DescribeClientQuotasRequest) -> Result<BTreeMap<&str, Match<'_>>, ApiError> {
    let invalid = |message: String| Err(ApiError::new(ErrorCode::INVALID_REQUEST, message));
    let mut filter = BTreeMap::new();
    for component in &request.components {
        let kind = component.entity_type.as_str();
        if kind.is_empty() {
            return invalid("Invalid empty entity type.".into());
        }
        if filter.contains_key(kind) {
            return invalid(format!(
                "Entity type {kind} cannot appear more than once in the filter."
            ));
        }
        if ![USER, CLIENT_ID, IP].contains(&kind) {
            let message = format!("Unsupported entity type {kind}");
            return Err(ApiError::new(ErrorCode::UNSUPPORTED_VERSION, message));
        }
        let wanted = match (component.match_type, component._match.as_deref()) {
            (0, Some(name)) => Match::Name(Some(name)),
            (1, None) => Match::Name(None),
            (2, None) => Match::Specified,
            (0, None) => return invalid("An exact match needs a name.".into()),
            (1 | 2, Some(_)) => return invalid("This match takes no name.".into()),
            (other, _) => return invalid(format!("Unknown match type {other}")),
        };
        filter.insert(kind, wanted);
    }
    if filter.contains_key(IP) && filter.len() > 1 {
        return invalid("A filter for IPs can't be combined with user or client id.".into());
    }
    Ok(filter)
}

fn matches(entity: &QuotaEntity, filter: &BTreeMap<&str, Match<'_>>, is_strict: bool) -> bool {
    if is_strict && entity.len() != filter.len() {
        return false;
    }
    filter.iter().all(|(kind, wanted)| match wanted {
        Match::Name(name) => entity.get(*kind).is_some_and(|is| is.as_deref() == *name),
        Match::Specified => entity.contains_key(*kind),
    })
}

fn described(entity: &QuotaEntity, quota: &ClientQuota) -> EntryData {
    let parts = entity.iter().map(|(kind, name)| {
        EntityData::default()
            .with_entity_type(own(kind))
            .with_entity_name(name.as_deref().map(own))
    });
    let values = (quota.0.iter())
        .map(|(key, value)| ValueData::default().with_key(own(key)).with_value(*value));
    EntryData::default()
        .with_entity(parts.collect())
        .with_values(values.collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kafka_protocol::messages::describe_client_quotas_request::ComponentData;

    use super::*;

    fn image() -> MetadataImage {
        let mut image = MetadataImage::default();
        let entities: [&[(&str, Option<&str>)]; 5] = [
            &[("user", Some("a"))],
            &[("user", None)],
            &[("user", Some("a")), ("client-id", Some("c"))],
            &[("user", Some("b")), ("client-id", None)],
            &[("ip", Some("10.0.0.1"))],
        ];
        for entity in entities {
            let part =
                |(kind, name): &(&str, Option<&str>)| (Arc::from(*kind), name.map(Arc::from));
            let quota = ClientQuota(BTreeMap::from([("request_percentage".into(), 7.5)]));
            let entity = entity.iter().map(part).collect();
            image.client_quotas.insert(entity, Arc::new(quota));
        }
        image
    }

    type Component<'a> = (&'a str, i8, Option<&'a str>);

    /// Entities as `user=a,client-id=<default>`, or the error.
    fn ask(components: &[Component<'_>], is_strict: bool) -> Vec<String> {
        let component = |(kind, match_type, name): &Component<'_>| {
            ComponentData::default()
                .with_entity_type(own(kind))
                .with_match_type(*match_type)
                .with_match(name.map(own))
        };
        let request = DescribeClientQuotasRequest::default()
            .with_components(components.iter().map(component).collect())
            .with_strict(is_strict);
        let response = handle(&image(), &request);
        let Some(entries) = response.entries else {
            return vec![ErrorCode(response.error_code).name().to_owned()];
        };
        let name = |entry: EntryData| {
            assert_eq!(entry.values[0].value, 7.5);
            let part = |part: &EntityData| {
                let name = part.entity_name.as_deref().unwrap_or("<default>");
                format!("{}={name}", part.entity_type.as_str())
            };
            entry.entity.iter().map(part).collect::<Vec<_>>().join(",")
        };
        entries.into_iter().map(name).collect()
    }

    #[test]
    fn a_filter_lets_through_what_kafkas_does() {
        let all = ask(&[], false);
        assert_eq!(all.len(), 5);
        assert_eq!(ask(&[], true), [""; 0]);
        assert_eq!(ask(&[("user", 1, None)], false), ["user=<default>"]);
        assert_eq!(
            ask(&[("user", 0, Some("a"))], false),
            ["client-id=c,user=a", "user=a"]
        );
        assert_eq!(ask(&[("user", 0, Some("a"))], true), ["user=a"]);
        assert_eq!(
            ask(&[("user", 2, None), ("client-id", 2, None)], true),
            ["client-id=<default>,user=b", "client-id=c,user=a"]
        );
        assert_eq!(ask(&[("ip", 2, None)], false), ["ip=10.0.0.1"]);
    }

    #[test]
    fn a_filter_that_makes_no_sense_is_refused_with_kafkas_codes() {
        let cases: [(&[Component<'_>], &str); 8] = [
            (&[("", 2, None)], "INVALID_REQUEST"),
            (&[("user", 2, None), ("user", 1, None)], "INVALID_REQUEST"),
            (&[("group", 2, None)], "UNSUPPORTED_VERSION"),
            (&[("user", 0, None)], "INVALID_REQUEST"),
            (&[("user", 1, Some("a"))], "INVALID_REQUEST"),
            (&[("user", 2, Some("a"))], "INVALID_REQUEST"),
            (&[("user", 3, None)], "INVALID_REQUEST"),
            (&[("ip", 2, None), ("user", 2, None)], "INVALID_REQUEST"),
        ];
        for (components, code) in cases {
            assert_eq!(ask(components, false), [code], "{components:?}");
        }
    }
}
