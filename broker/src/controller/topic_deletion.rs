//! Deleting topics, by name and by id.
//!
//! Kafka: `kafka/server/ControllerApis.scala`, `controller/ReplicationControlManager.java` (4.3).

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};
use kafka_shared::error::{ApiError, ErrorCode};
use kafka_shared::schema::metadata::RemoveTopicRecord;
use uuid::Uuid;

use super::state::{Outcome, QuorumController};
use super::topics::{error_message, topic_name};

impl QuorumController {
    /// DeleteTopics by name or id.
    ///
    /// # Errors
    /// TOPIC_DELETION_DISABLED if `delete.topic.enable` is off; all else is said per topic.
    pub fn delete_topics(
        &self,
        request: &DeleteTopicsRequest,
    ) -> Result<Outcome<DeleteTopicsResponse>, ApiError> {
        if !self.config.delete_topic_enable {
            return Err(ErrorCode::TOPIC_DELETION_DISABLED.into());
        }
        let mut deletion = Deletion::default();
        for name in &request.topic_names {
            deletion.add_name(name.as_str());
        }
        for topic in &request.topics {
            match (&topic.name, topic.topic_id) {
                (None, id) if id.is_nil() => deletion.refuse(
                    None,
                    id,
                    ApiError::new(
                        ErrorCode::INVALID_REQUEST,
                        "Neither topic name nor id were specified.",
                    ),
                ),
                (None, id) => deletion.add_id(id),
                (Some(name), id) if id.is_nil() => deletion.add_name(name.as_str()),
                (Some(name), id) => deletion.refuse(
                    Some(name.as_str()),
                    id,
                    ApiError::new(
                        ErrorCode::INVALID_REQUEST,
                        "You may not specify both topic name and topic id.",
                    ),
                ),
            }
        }
        Ok(deletion.finish(self))
    }
}

/// The topics of one DeleteTopics: what was named once is deleted, what was named twice is refused.
#[derive(Default)]
struct Deletion {
    names: BTreeSet<String>,
    duplicate_names: BTreeSet<String>,
    ids: BTreeSet<Uuid>,
    duplicate_ids: BTreeSet<Uuid>,
    responses: Vec<DeletableTopicResult>,
}

impl Deletion {
    fn add_name(&mut self, name: &str) {
        if self.duplicate_names.contains(name) || !self.names.insert(name.to_owned()) {
            self.names.remove(name);
            self.duplicate_names.insert(name.to_owned());
        }
    }

    fn add_id(&mut self, id: Uuid) {
        if self.duplicate_ids.contains(&id) || !self.ids.insert(id) {
            self.ids.remove(&id);
            self.duplicate_ids.insert(id);
        }
    }

    fn respond(&mut self, name: Option<&str>, id: Uuid, error: Option<&ApiError>) {
        self.responses.push(
            DeletableTopicResult::default()
                .with_name(name.map(topic_name))
                .with_topic_id(id)
                .with_error_code(error.map_or(0, |error| error.code.0))
                .with_error_message(error.and_then(error_message)),
        );
    }

    fn refuse(&mut self, name: Option<&str>, id: Uuid, error: ApiError) {
        self.respond(name, id, Some(&error));
    }

    fn finish(mut self, controller: &QuorumController) -> Outcome<DeleteTopicsResponse> {
        let invalid = |message: &str| ApiError::new(ErrorCode::INVALID_REQUEST, message);
        for name in std::mem::take(&mut self.duplicate_names) {
            self.refuse(Some(&name), Uuid::nil(), invalid("Duplicate topic name."));
        }
        for id in self.duplicate_ids.clone() {
            self.refuse(None, id, invalid("Duplicate topic id."));
        }
        let topics = &controller.image.topics;
        let mut found = BTreeMap::new();
        for id in std::mem::take(&mut self.ids) {
            match topics.by_id(id) {
                Some(topic) => {
                    found.insert(id, topic.name.to_string());
                }
                None => self.refuse(None, id, ErrorCode::UNKNOWN_TOPIC_ID.into()),
            }
        }
        for name in std::mem::take(&mut self.names) {
            match topics.id_of(&name) {
                None => {
                    let error = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.into();
                    self.refuse(Some(&name), Uuid::nil(), error);
                }
                Some(id) if self.duplicate_ids.contains(&id) || found.contains_key(&id) => {
                    found.remove(&id);
                    self.duplicate_ids.insert(id);
                    let message =
                        "The provided topic name maps to an ID that was already supplied.";
                    self.refuse(Some(&name), id, invalid(message));
                }
                Some(id) => {
                    found.insert(id, name);
                }
            }
        }
        let mut records = Vec::new();
        for (topic_id, name) in found {
            records.push(RemoveTopicRecord { topic_id }.into());
            self.respond(Some(&name), topic_id, None);
        }
        let response = DeleteTopicsResponse::default().with_responses(self.responses);
        Outcome::atomic(records, response)
    }
}
