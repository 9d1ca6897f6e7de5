//! FindCoordinator: which broker coordinates a group. Makes `__consumer_offsets` when it is not there.
//!
//! | versions | asks for |
//! |---|---|
//! | 0 | one group |
//! | 1–3 | one key of a type |
//! | 4–6 | several keys of a type |
//!
//! Kafka: `KafkaApis.handleFindCoordinatorRequest`, `AutoTopicCreationManager` (4.3), KIP-699.

use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{
    BrokerId, CreateTopicsRequest, FindCoordinatorRequest, FindCoordinatorResponse,
};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::error::ErrorCode;
use tracing::warn;

use super::{Broker, internal_topics, own};
use crate::coordinator::GROUP_METADATA_TOPIC_NAME;
use crate::metadata::{ListenerEndpoint, MetadataImage};
use crate::network::RequestContext;

/// From this version on, several keys can be asked for.
const FIRST_BATCHED: i16 = 4;
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;

/// A coordinator, or why there is none, with words for people if there are any to say.
type Found = Result<(i32, ListenerEndpoint), (ErrorCode, Option<&'static str>)>;

pub(super) async fn handle(
    broker: &Broker,
    cx: &RequestContext,
    request: &FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    if request.key_type == GROUP {
        create_topic_if_missing(broker).await;
    }
    let image = broker.image();
    let find = |key: &str| find(broker, &image, cx, request.key_type, key);
    if cx.header.api_version < FIRST_BATCHED {
        return single_response(find(&request.key), cx.header.api_version);
    }
    batched_response(request.coordinator_keys.iter().map(|key| (key, find(key))))
}

fn batched_response<'a>(
    found: impl Iterator<Item = (&'a StrBytes, Found)>,
) -> FindCoordinatorResponse {
    let coordinators = found.map(|(key, found)| {
        let coordinator = Coordinator::default().with_key(key.clone());
        match found {
            Ok((node_id, endpoint)) => coordinator
                .with_node_id(BrokerId(node_id))
                .with_host(own(&endpoint.host))
                .with_port(i32::from(endpoint.port))
                .with_error_message(Some(StrBytes::default())),
            Err((error, message)) => coordinator
                .with_node_id(BrokerId(-1))
                .with_port(-1)
                .with_error_code(error.0)
                .with_error_message(Some(own(message.unwrap_or_default()))),
        }
    });
    FindCoordinatorResponse::default().with_coordinators(coordinators.collect())
}

fn single_response(found: Found, version: i16) -> FindCoordinatorResponse {
    // Kafka says "NONE" when all is well.
    let message = |text| if version >= 1 { Some(own(text)) } else { None };
    match found {
        Ok((node_id, endpoint)) => FindCoordinatorResponse::default()
            .with_error_message(message(ErrorCode::NONE.name()))
            .with_node_id(BrokerId(node_id))
            .with_host(own(&endpoint.host))
            .with_port(i32::from(endpoint.port)),
        Err((error, text)) => FindCoordinatorResponse::default()
            .with_error_code(error.0)
            .with_error_message(message(text.unwrap_or_else(|| error.message())))
            .with_node_id(BrokerId(-1))
            .with_port(-1),
    }
}

fn find(
    broker: &Broker,
    image: &MetadataImage,
    cx: &RequestContext,
    key_type: i8,
    key: &str,
) -> Found {
    match key_type {
        GROUP => {}
        // Differs from Kafka: there are no transactions yet. This is the one error that producers of
        // the Java client and of librdkafka take as final at once; librdkafka and its many bindings
        // would ask again after any other, until a time-out of their own.
        TRANSACTION => {
            let message = "this broker does not coordinate transactions; unset transactional.id";
            let error = ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
            return Err((error, Some(message)));
        }
        SHARE => {
            let message = "this broker does not coordinate share groups";
            return Err((ErrorCode::INVALID_REQUEST, Some(message)));
        }
        _ => {
            let message = "unknown type of coordinator";
            return Err((ErrorCode::INVALID_REQUEST, Some(message)));
        }
    }
    let unavailable = (ErrorCode::COORDINATOR_NOT_AVAILABLE, None);
    let partition = broker
        .groups
        .partition_for(key)
        .map_err(|error| (error, None))?;
    let leader = image
        .topics
        .partition(GROUP_METADATA_TOPIC_NAME, partition)
        .filter(|partition| partition.has_leader())
        .ok_or(unavailable)?
        .leader;
    let registration = image.cluster.alive_broker(leader).ok_or(unavailable)?;
    let endpoint = registration
        .listener(&cx.connection.listener)
        .ok_or(unavailable)?;
    Ok((leader, endpoint.clone()))
}

/// Makes the topic unless it exists or another request is at it. A client that comes in between is
/// told COORDINATOR_NOT_AVAILABLE and asks again.
// Differs from Kafka: the request that makes the topic waits for it, which saves the first consumer
// of a new cluster a round of asking again.
async fn create_topic_if_missing(broker: &Broker) {
    if broker
        .image()
        .topics
        .by_name(GROUP_METADATA_TOPIC_NAME)
        .is_some()
    {
        return;
    }
    let Some(_creation) = broker.groups.begin_topic_creation() else {
        return;
    };
    let config = broker.config();
    let request = CreateTopicsRequest::default()
        .with_timeout_ms(i32::try_from(config.request_timeout_ms).unwrap_or(i32::MAX))
        .with_topics(vec![internal_topics::offsets_topic(&config)]);
    let response = broker
        .controller
        .create_topics(&broker.controller_context(None), request)
        .await;
    for topic in &response.topics {
        let error = ErrorCode(topic.error_code);
        if !error.is_none() && error != ErrorCode::TOPIC_ALREADY_EXISTS {
            let message = topic.error_message.as_deref().unwrap_or_default();
            warn!(topic = %topic.name.0, error = error.name(), message, "topic not created");
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use kafka_shared::protocol::codec;

    use super::*;

    fn endpoint() -> ListenerEndpoint {
        ListenerEndpoint {
            name: "PLAINTEXT".into(),
            host: "h".into(),
            port: 9092,
            security_protocol: 0,
        }
    }

    #[test]
    fn a_coordinator_is_told_in_every_version() {
        let unavailable = (ErrorCode::COORDINATOR_NOT_AVAILABLE, None);
        for version in 0..=6 {
            for found in [Ok((3, endpoint())), Err(unavailable)] {
                let expected = match &found {
                    Ok(_) => (0, 3, "h", 9092),
                    Err((error, _)) => (error.0, -1, "", -1),
                };
                let key = own("g");
                let response = match version {
                    FIRST_BATCHED.. => batched_response([(&key, found)].into_iter()),
                    _ => single_response(found, version),
                };
                let mut frame = BytesMut::new();
                codec::encode_response(&response, version, &mut frame).unwrap();
                let response: FindCoordinatorResponse =
                    codec::decode_response(&mut frame.freeze(), version).unwrap();
                let told = match response.coordinators.first() {
                    Some(found) => (found.error_code, found.node_id.0, &*found.host, found.port),
                    None => (
                        response.error_code,
                        response.node_id.0,
                        &*response.host,
                        response.port,
                    ),
                };
                assert_eq!(told, expected, "version {version}");
            }
        }
    }
}
