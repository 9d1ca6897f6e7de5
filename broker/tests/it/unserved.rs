//! What this broker does not have says so, in a way that ends the matter for the client.

use kafka_broker::testing::TestBroker;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::{
    DescribeConfigsRequest, FindCoordinatorRequest, IncrementalAlterConfigsRequest,
};
use kafka_shared::error::ErrorCode;

use super::admin::{connect, text};
use super::run;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

#[test]
fn no_logger_has_a_name_and_changes_of_log_levels_are_refused_in_kafkas_words() {
    const BROKER_LOGGER: i8 = 8;
    run(async {
        let broker = TestBroker::start(&[]).await.unwrap();
        let connection = connect(&broker).await;
        let described = connection
            .send(DescribeConfigsRequest::default().with_resources(vec![
                DescribeConfigsResource::default()
                    .with_resource_type(BROKER_LOGGER)
                    .with_resource_name(text("1")),
            ]))
            .await
            .unwrap();
        assert_eq!(described.results[0].error_code, 0);
        assert!(described.results[0].configs.is_empty());
        for (resource, operation, code, why) in [
            (
                "1",
                SET,
                ErrorCode::INVALID_CONFIG,
                "Logger kafka.server does not exist!",
            ),
            (
                "1",
                DELETE,
                ErrorCode::INVALID_CONFIG,
                "Logger kafka.server does not exist!",
            ),
            (
                "1",
                APPEND,
                ErrorCode::INVALID_REQUEST,
                "APPEND operation is not allowed",
            ),
            (
                "1",
                SUBTRACT,
                ErrorCode::INVALID_REQUEST,
                "SUBTRACT operation is not allowed",
            ),
            (
                "2",
                SET,
                ErrorCode::INVALID_REQUEST,
                "Expected 1, but received 2",
            ),
            (
                "",
                SET,
                ErrorCode::INVALID_REQUEST,
                "Node id must be an integer",
            ),
        ] {
            let config = AlterableConfig::default()
                .with_name(text("kafka.server"))
                .with_config_operation(operation)
                .with_value(Some(text("DEBUG")));
            let request = IncrementalAlterConfigsRequest::default().with_resources(vec![
                AlterConfigsResource::default()
                    .with_resource_type(BROKER_LOGGER)
                    .with_resource_name(text(resource))
                    .with_configs(vec![config]),
            ]);
            let response = connection.send(request).await.unwrap();
            let answer = &response.responses[0];
            assert_eq!(ErrorCode(answer.error_code), code, "{resource} {operation}");
            let message = answer.error_message.as_deref().unwrap();
            assert!(message.contains(why), "{message}");
        }
        broker.stop().await.unwrap();
    });
}

#[test]
fn a_coordinator_of_transactions_is_refused_for_good() {
    const TRANSACTION: i8 = 1;
    const SHARE: i8 = 2;
    run(async {
        let broker = TestBroker::start(&[]).await.unwrap();
        let connection = connect(&broker).await;
        for (key_type, code) in [
            (
                TRANSACTION,
                ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
            ),
            (SHARE, ErrorCode::INVALID_REQUEST),
            (9, ErrorCode::INVALID_REQUEST),
        ] {
            for version in [1, 3, 6] {
                let request = FindCoordinatorRequest::default().with_key_type(key_type);
                let request = match version {
                    4.. => request.with_coordinator_keys(vec![text("t")]),
                    _ => request.with_key(text("t")),
                };
                let response = connection.send_version(request, version).await.unwrap();
                let (error, message) = match response.coordinators.first() {
                    Some(found) => (found.error_code, found.error_message.clone()),
                    None => (response.error_code, response.error_message.clone()),
                };
                assert_eq!(ErrorCode(error), code, "version {version}");
                assert!(message.is_some_and(|message| !message.is_empty()));
            }
        }
        broker.stop().await.unwrap();
    });
}
