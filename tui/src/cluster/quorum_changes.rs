//! Voters added and removed, features set, brokers forgotten.
//!
//! KIP-853, KIP-584, KIP-631; Kafka: `MetadataQuorumCommand.java`, `FeatureCommand.java` (4.3).

use futures_util::future::join_all;
use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, BrokerId, RemoveRaftVoterRequest,
    UnregisterBrokerRequest, UpdateFeaturesRequest, UpdateFeaturesResponse,
};
use kafka_shared::protocol::StrBytes;
use kafka_shared::protocol::messages::{AddRaftVoterListener, AddRaftVoterRequest};
use kafka_shared::types::uuid_from_base64;

use crate::model::{ClusterMetadata, Fault, Features, NodeLevels};
use crate::ops::{AddVoter, QuorumAction, Report, SetFeature, Verification};

use super::wire::{ClusterClient, VERIFY_ATTEMPTS, VERIFY_PAUSE, check_code};

/// How long the controller may take.
const TIMEOUT_MS: i32 = 10_000;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn no_directory(what: &str) -> Fault {
    Fault::refused(what, "the directory id can't be read")
}

impl ClusterClient {
    /// The feature levels in effect, and those that every broker can do. A broker that does not
    /// answer has no part in it.
    ///
    /// # Errors
    /// When no broker answers.
    pub async fn features_of(&self, metadata: &ClusterMetadata) -> Result<Features, Fault> {
        let what = "read the feature levels";
        let live = metadata
            .brokers
            .iter()
            .filter(|broker| broker.fenced != Some(true));
        let brokers: Vec<i32> = live.map(|broker| broker.id).collect();
        let ask = |id: &i32| {
            let request = ApiVersionsRequest::default()
                .with_client_software_name(StrBytes::from_static_str(env!("CARGO_PKG_NAME")))
                .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
            self.ask_part(what, *id, request, None)
        };
        let (features, answers) = tokio::join!(self.features(), join_all(brokers.iter().map(ask)));
        let mut features = features?;
        for (id, answer) in brokers.iter().zip(&answers) {
            if let Ok(answer) = answer {
                add_node(&mut features, *id, answer);
            }
        }
        // What every one of them can do.
        for level in &mut features.levels {
            let of = |range: fn(&NodeLevels) -> i16| level.nodes.iter().map(range);
            let (min, max) = (of(|node| node.min).max(), of(|node| node.max).min());
            level.supported_min = min.unwrap_or(level.supported_min);
            level.supported_max = max.unwrap_or(level.supported_max);
        }
        Ok(features)
    }

    /// Makes a controller a voter.
    ///
    /// # Errors
    /// What the leader of the quorum says against it.
    pub async fn add_voter(&self, add: &AddVoter) -> Result<(), Fault> {
        let what = format!("make node {} a voter", add.id);
        let directory = add.directory_id.as_deref().and_then(uuid_from_base64);
        let listener = |listener: &crate::model::VoterListener| {
            AddRaftVoterListener::default()
                .with_name(text(&listener.name))
                .with_host(text(&listener.host))
                .with_port(listener.port)
        };
        let request = AddRaftVoterRequest {
            timeout_ms: TIMEOUT_MS,
            voter_id: add.id,
            voter_directory_id: directory.ok_or_else(|| no_directory(&what))?,
            listeners: add.listeners.iter().map(listener).collect(),
            ..AddRaftVoterRequest::default()
        };
        let response = self.change(&what, request, |r| r.error_code).await?;
        check_code(
            &what,
            response.error_code,
            response.error_message.as_deref(),
        )
    }

    /// Takes a voter out of the quorum.
    ///
    /// # Errors
    /// What the leader of the quorum says against it.
    pub async fn remove_voter(&self, id: i32, directory_id: &str) -> Result<(), Fault> {
        let what = format!("remove the voter {id}");
        let directory = uuid_from_base64(directory_id).ok_or_else(|| no_directory(&what))?;
        let request = RemoveRaftVoterRequest::default()
            .with_cluster_id(None)
            .with_voter_id(id)
            .with_voter_directory_id(directory);
        let response = self.change(&what, request, |r| r.error_code).await?;
        check_code(
            &what,
            response.error_code,
            response.error_message.as_deref(),
        )
    }

    /// Sets feature levels, all of them or none, or lets the controller check it only.
    ///
    /// # Errors
    /// What the controller says against it.
    pub async fn set_features(&self, set: &[SetFeature], validate_only: bool) -> Result<(), Fault> {
        let what = "set feature levels";
        let update = |set: &SetFeature| {
            FeatureUpdateKey::default()
                .with_feature(text(&set.name))
                .with_max_version_level(set.level)
                .with_upgrade_type(set.direction as i8)
        };
        let request = UpdateFeaturesRequest::default()
            .with_timeout_ms(TIMEOUT_MS)
            .with_feature_updates(set.iter().map(update).collect())
            .with_validate_only(validate_only);
        let error_of = |r: &UpdateFeaturesResponse| r.error_code;
        let response = self.change(what, request, error_of).await?;
        // Before version 2 the reason stands with the feature.
        for result in &response.results {
            let what = format!("set the feature {}", result.feature.as_str());
            check_code(&what, result.error_code, result.error_message.as_deref())?;
        }
        check_code(what, response.error_code, response.error_message.as_deref())
    }

    /// Forgets a broker.
    ///
    /// # Errors
    /// What the controller says against it.
    pub async fn unregister_broker(&self, id: i32) -> Result<(), Fault> {
        let what = format!("unregister broker {id}");
        let request = UnregisterBrokerRequest::default().with_broker_id(BrokerId(id));
        let response = self.change(&what, request, |r| r.error_code).await?;
        check_code(
            &what,
            response.error_code,
            response.error_message.as_deref(),
        )
    }

    pub(crate) async fn check_quorum(
        &self,
        action: &QuorumAction,
        report: &mut Report,
    ) -> Result<(), Fault> {
        if let QuorumAction::SetFeatures(set) = action {
            let outcome = self.set_features(set, true).await;
            report.add("features", outcome.map(|()| "accepted".to_owned()));
        }
        Ok(())
    }

    pub(crate) async fn do_quorum(&self, action: &QuorumAction, report: &mut Report) {
        match action {
            QuorumAction::AddVoter(add) => {
                let outcome = self.add_voter(add).await;
                report.add(
                    format!("node {}", add.id),
                    outcome.map(|()| "is a voter".to_owned()),
                );
            }
            QuorumAction::RemoveVoter { id, directory_id } => {
                let directory_id = directory_id.as_deref().unwrap_or_default();
                let outcome = self.remove_voter(*id, directory_id).await;
                report.add(
                    format!("node {id}"),
                    outcome.map(|()| "is no voter".to_owned()),
                );
            }
            QuorumAction::SetFeatures(set) => {
                let outcome = self
                    .set_features(set, false)
                    .await
                    .map(|()| "set".to_owned());
                for set in set {
                    report.add(format!("{} {}", set.name, set.level), outcome.clone());
                }
            }
            QuorumAction::UnregisterBroker(id) => {
                let outcome = self.unregister_broker(*id).await;
                report.add(
                    format!("broker {id}"),
                    outcome.map(|()| "forgotten".to_owned()),
                );
            }
        }
    }

    /// Compares the cluster with what was wanted, for a while: a broker learns a moment later than
    /// the controller what is new.
    pub(crate) async fn verify_quorum(&self, action: &QuorumAction) -> Result<Verification, Fault> {
        let mut found = self.compare_quorum(action).await?;
        for _ in 0..VERIFY_ATTEMPTS {
            if found == Verification::Done {
                break;
            }
            tokio::time::sleep(VERIFY_PAUSE).await;
            found = self.compare_quorum(action).await?;
        }
        Ok(found)
    }

    async fn compare_quorum(&self, action: &QuorumAction) -> Result<Verification, Fault> {
        let detail = match action {
            QuorumAction::AddVoter(AddVoter { id, .. }) => {
                let quorum = self.quorum().await?;
                let is_voter = quorum.voters.iter().any(|voter| voter.id == *id);
                (!is_voter).then(|| format!("node {id} is no voter"))
            }
            QuorumAction::RemoveVoter { id, directory_id } => {
                let quorum = self.quorum().await?;
                let mut voters = quorum.voters.iter();
                let is_voter =
                    voters.any(|voter| voter.id == *id && voter.directory_id == *directory_id);
                is_voter.then(|| format!("node {id} is still a voter"))
            }
            QuorumAction::SetFeatures(set) => {
                let features = self.features().await?;
                let now = |name: &str| {
                    let mut levels = features.levels.iter();
                    levels
                        .find(|level| level.name == name)
                        .and_then(|level| level.finalized)
                };
                let wrong = set
                    .iter()
                    .find(|set| now(&set.name).unwrap_or(0) != set.level);
                wrong.map(|set| match now(&set.name) {
                    Some(level) => format!("{} is at {level}", set.name),
                    None => format!("{} is not set", set.name),
                })
            }
            QuorumAction::UnregisterBroker(id) => {
                let metadata = self.metadata().await?;
                metadata
                    .broker(*id)
                    .map(|_| format!("broker {id} is still there"))
            }
        };
        Ok(
            detail.map_or(Verification::Done, |detail| Verification::Differs {
                detail,
            }),
        )
    }
}

fn add_node(features: &mut Features, node: i32, answer: &ApiVersionsResponse) {
    for supported in &answer.supported_features {
        let mut levels = features.levels.iter_mut();
        if let Some(level) = levels.find(|level| *level.name == *supported.name) {
            level.nodes.push(NodeLevels {
                node,
                min: supported.min_version,
                max: supported.max_version,
            });
        }
    }
}
