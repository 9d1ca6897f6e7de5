//! InitProducerId, versions 0 to 5: an id for an idempotent producer.
//!
//! A producer without a transactional id always gets a new id at epoch 0, also when it tells the one
//! it had: such producers raise their epoch themselves and ask only when that is used up.
//!
//! There is no transaction coordinator yet, so a request with a transactional id is refused with
//! `TRANSACTIONAL_ID_AUTHORIZATION_FAILED`. Clients take that as final and tell the user at once;
//! `COORDINATOR_NOT_AVAILABLE` would make them ask again for ever.
//!
//! Kafka: `KafkaApis.handleInitProducerIdRequest`, `TransactionCoordinator.scala` (4.3), KIP-360.

use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};
use kafka_shared::error::ErrorCode;

use super::Broker;
use crate::replica::producer_ids::ProducerIds;

pub(super) async fn handle(
    broker: &Broker,
    request: &InitProducerIdRequest,
) -> InitProducerIdResponse {
    init_producer_id(&broker.producer_ids, request).await
}

async fn init_producer_id(
    ids: &ProducerIds,
    request: &InitProducerIdRequest,
) -> InitProducerIdResponse {
    let outcome = match check(request) {
        Ok(()) => ids.generate().await,
        Err(error) => Err(error),
    };
    let response = InitProducerIdResponse::default();
    match outcome {
        Ok(id) => response.with_producer_id(id.into()).with_producer_epoch(0),
        Err(error) => response
            .with_error_code(error.0)
            .with_producer_id((-1).into())
            .with_producer_epoch(-1),
    }
}

fn check(request: &InitProducerIdRequest) -> Result<(), ErrorCode> {
    let has_id = request.producer_id.0 != -1;
    let has_epoch = request.producer_epoch != -1;
    match &request.transactional_id {
        _ if has_id != has_epoch => Err(ErrorCode::INVALID_REQUEST),
        None => Ok(()),
        Some(id) if id.0.is_empty() => Err(ErrorCode::INVALID_REQUEST),
        Some(_) => Err(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED),
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::TransactionalId;
    use kafka_protocol::protocol::StrBytes;

    use super::*;

    #[test]
    fn only_producers_without_transactions_get_an_id() {
        for (transactional_id, id, epoch, expected) in [
            (None, -1, -1, Ok(())),
            (None, 5, 3, Ok(())),
            (None, 5, -1, Err(ErrorCode::INVALID_REQUEST)),
            (None, -1, 3, Err(ErrorCode::INVALID_REQUEST)),
            (Some(""), -1, -1, Err(ErrorCode::INVALID_REQUEST)),
            (
                Some("t"),
                -1,
                -1,
                Err(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED),
            ),
        ] {
            let request = InitProducerIdRequest::default()
                .with_transactional_id(
                    transactional_id.map(|id| TransactionalId(StrBytes::from_static_str(id))),
                )
                .with_producer_id(id.into())
                .with_producer_epoch(epoch);
            assert_eq!(
                check(&request),
                expected,
                "{transactional_id:?} {id} {epoch}"
            );
        }
    }
}
