//! Responses to requests that failed as a whole: the error in every place where Kafka puts it.
//!
//! Kafka: `getErrorResponse` of `common/requests/*Request.java` (4.3).

use std::collections::BTreeSet;

use kafka_protocol::messages::alter_client_quotas_response as client_quotas;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse as LegacyResult;
use kafka_protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use kafka_protocol::messages::alter_user_scram_credentials_response::AlterUserScramCredentialsResult;
use kafka_protocol::messages::create_acls_response::AclCreationResult;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_acls_response::DeleteAclsFilterResult;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{
    AddRaftVoterResponse, AllocateProducerIdsRequest, AllocateProducerIdsResponse,
    AlterClientQuotasRequest, AlterClientQuotasResponse, AlterConfigsRequest, AlterConfigsResponse,
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, AlterPartitionRequest,
    AlterPartitionResponse, AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse,
    AssignReplicasToDirsRequest, AssignReplicasToDirsResponse, BrokerHeartbeatRequest,
    BrokerHeartbeatResponse, BrokerRegistrationRequest, BrokerRegistrationResponse,
    ControllerRegistrationRequest, ControllerRegistrationResponse, CreateAclsRequest,
    CreateAclsResponse, CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest,
    CreateTopicsResponse, DeleteAclsRequest, DeleteAclsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse, DescribeAclsRequest, DescribeAclsResponse, DescribeQuorumRequest,
    DescribeQuorumResponse, ElectLeadersRequest, ElectLeadersResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse, RemoveRaftVoterRequest,
    RemoveRaftVoterResponse, UnregisterBrokerRequest, UnregisterBrokerResponse,
    UpdateFeaturesRequest, UpdateFeaturesResponse,
};
use kafka_shared::error::ApiError;
use kafka_shared::protocol::Request;
use kafka_shared::protocol::messages::AddRaftVoterRequest;

use super::topics::{error_message, own, topic_name};

/// A request that knows its response to an error.
pub(crate) trait ErrorResponse: Request {
    fn error_response(&self, error: &ApiError) -> Self::Response;
}

macro_rules! code_only {
    ($($request:ident => $response:ident,)*) => {$(
        impl ErrorResponse for $request {
            fn error_response(&self, error: &ApiError) -> $response {
                $response::default().with_error_code(error.code.0)
            }
        }
    )*};
}

macro_rules! code_and_message {
    ($($request:ident => $response:ident,)*) => {$(
        impl ErrorResponse for $request {
            fn error_response(&self, error: &ApiError) -> $response {
                $response::default()
                    .with_error_code(error.code.0)
                    .with_error_message(error_message(error))
            }
        }
    )*};
}

code_only! {
    AllocateProducerIdsRequest => AllocateProducerIdsResponse,
    AlterPartitionRequest => AlterPartitionResponse,
    AssignReplicasToDirsRequest => AssignReplicasToDirsResponse,
    BrokerHeartbeatRequest => BrokerHeartbeatResponse,
    BrokerRegistrationRequest => BrokerRegistrationResponse,
    DescribeQuorumRequest => DescribeQuorumResponse,
}

code_and_message! {
    AddRaftVoterRequest => AddRaftVoterResponse,
    ControllerRegistrationRequest => ControllerRegistrationResponse,
    DescribeAclsRequest => DescribeAclsResponse,
    ListPartitionReassignmentsRequest => ListPartitionReassignmentsResponse,
    RemoveRaftVoterRequest => RemoveRaftVoterResponse,
    UnregisterBrokerRequest => UnregisterBrokerResponse,
    UpdateFeaturesRequest => UpdateFeaturesResponse,
}

impl ErrorResponse for AlterClientQuotasRequest {
    fn error_response(&self, error: &ApiError) -> AlterClientQuotasResponse {
        let entries = self.entries.iter().map(|entry| {
            let part =
                |part: &kafka_protocol::messages::alter_client_quotas_request::EntityData| {
                    client_quotas::EntityData::default()
                        .with_entity_type(own(part.entity_type.as_str()))
                        .with_entity_name(part.entity_name.as_deref().map(own))
                };
            client_quotas::EntryData::default()
                .with_entity(entry.entity.iter().map(part).collect())
                .with_error_code(error.code.0)
                .with_error_message(error_message(error))
        });
        AlterClientQuotasResponse::default().with_entries(entries.collect())
    }
}

impl ErrorResponse for AlterUserScramCredentialsRequest {
    fn error_response(&self, error: &ApiError) -> AlterUserScramCredentialsResponse {
        let deleted = self.deletions.iter().map(|deletion| deletion.name.as_str());
        let upserted = self
            .upsertions
            .iter()
            .map(|upsertion| upsertion.name.as_str());
        // Each user once.
        let users: BTreeSet<_> = deleted.chain(upserted).collect();
        let result = |user: &str| {
            AlterUserScramCredentialsResult::default()
                .with_user(own(user))
                .with_error_code(error.code.0)
                .with_error_message(error_message(error))
        };
        let results = users.into_iter().map(result).collect();
        AlterUserScramCredentialsResponse::default().with_results(results)
    }
}

impl ErrorResponse for CreateAclsRequest {
    fn error_response(&self, error: &ApiError) -> CreateAclsResponse {
        let result = AclCreationResult::default()
            .with_error_code(error.code.0)
            .with_error_message(error_message(error));
        CreateAclsResponse::default().with_results(vec![result; self.creations.len()])
    }
}

impl ErrorResponse for DeleteAclsRequest {
    fn error_response(&self, error: &ApiError) -> DeleteAclsResponse {
        let result = DeleteAclsFilterResult::default()
            .with_error_code(error.code.0)
            .with_error_message(error_message(error));
        DeleteAclsResponse::default().with_filter_results(vec![result; self.filters.len()])
    }
}

impl ErrorResponse for CreateTopicsRequest {
    fn error_response(&self, error: &ApiError) -> CreateTopicsResponse {
        let result = |name: &str| {
            CreatableTopicResult::default()
                .with_name(topic_name(name))
                .with_error_code(error.code.0)
                .with_error_message(error_message(error))
        };
        let topics = self
            .topics
            .iter()
            .map(|topic| result(topic.name.as_str()))
            .collect();
        CreateTopicsResponse::default().with_topics(topics)
    }
}

impl ErrorResponse for DeleteTopicsRequest {
    fn error_response(&self, error: &ApiError) -> DeleteTopicsResponse {
        let result = || {
            DeletableTopicResult::default()
                .with_error_code(error.code.0)
                .with_error_message(error_message(error))
        };
        let named = self
            .topic_names
            .iter()
            .map(|name| result().with_name(Some(topic_name(name.as_str()))));
        let states = self.topics.iter().map(|topic| {
            let name = topic.name.as_ref().map(|name| topic_name(name.as_str()));
            result().with_name(name).with_topic_id(topic.topic_id)
        });
        DeleteTopicsResponse::default().with_responses(named.chain(states).collect())
    }
}

impl ErrorResponse for CreatePartitionsRequest {
    fn error_response(&self, error: &ApiError) -> CreatePartitionsResponse {
        let result = |name: &str| {
            CreatePartitionsTopicResult::default()
                .with_name(topic_name(name))
                .with_error_code(error.code.0)
                .with_error_message(error_message(error))
        };
        let results = self
            .topics
            .iter()
            .map(|topic| result(topic.name.as_str()))
            .collect();
        CreatePartitionsResponse::default().with_results(results)
    }
}

impl ErrorResponse for IncrementalAlterConfigsRequest {
    fn error_response(&self, error: &ApiError) -> IncrementalAlterConfigsResponse {
        let responses = self.resources.iter().map(|resource| {
            AlterConfigsResourceResponse::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(own(resource.resource_name.as_str()))
                .with_error_code(error.code.0)
                .with_error_message(error_message(error))
        });
        IncrementalAlterConfigsResponse::default().with_responses(responses.collect())
    }
}

impl ErrorResponse for AlterConfigsRequest {
    fn error_response(&self, error: &ApiError) -> AlterConfigsResponse {
        let responses = self.resources.iter().map(|resource| {
            LegacyResult::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(own(resource.resource_name.as_str()))
                .with_error_code(error.code.0)
                .with_error_message(error_message(error))
        });
        AlterConfigsResponse::default().with_responses(responses.collect())
    }
}

impl ErrorResponse for ElectLeadersRequest {
    fn error_response(&self, error: &ApiError) -> ElectLeadersResponse {
        let results = self.topic_partitions.iter().flatten().map(|topic| {
            let partitions = topic.partitions.iter().map(|idx| {
                PartitionResult::default()
                    .with_partition_id(*idx)
                    .with_error_code(error.code.0)
                    .with_error_message(error_message(error))
            });
            ReplicaElectionResult::default()
                .with_topic(topic_name(topic.topic.as_str()))
                .with_partition_result(partitions.collect())
        });
        ElectLeadersResponse::default()
            .with_error_code(error.code.0)
            .with_replica_election_results(results.collect())
    }
}

impl ErrorResponse for AlterPartitionReassignmentsRequest {
    fn error_response(&self, error: &ApiError) -> AlterPartitionReassignmentsResponse {
        let responses = self.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                ReassignablePartitionResponse::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(error.code.0)
                    .with_error_message(error_message(error))
            });
            ReassignableTopicResponse::default()
                .with_name(topic_name(topic.name.as_str()))
                .with_partitions(partitions.collect())
        });
        AlterPartitionReassignmentsResponse::default()
            .with_error_code(error.code.0)
            .with_error_message(error_message(error))
            .with_responses(responses.collect())
    }
}
