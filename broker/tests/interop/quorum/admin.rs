//! Changes of topics and settings, and questions about the quorum, as an administrator has them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use kafka_broker::metadata::ConfigResource;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::{
    CreateTopicsRequest, DeleteTopicsRequest, DescribeQuorumRequest,
    IncrementalAlterConfigsRequest, RemoveRaftVoterRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::client::{Connection, ConnectionConfig, SendOptions};
use kafka_shared::error::ErrorCode;
use kafka_shared::protocol::messages::{AddRaftVoterListener, AddRaftVoterRequest};
use kafka_shared::types::{Endpoint, METADATA_TOPIC_NAME, Uuid};

use super::SOON;
use crate::shell::{self, Stopwatch};

/// Requests to a broker, as an administrator makes them, each until it is done.
pub struct Admin {
    runtime: tokio::runtime::Runtime,
    pub endpoint: Endpoint,
    random: u64,
    topics: Vec<String>,
    made: usize,
}

pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// A voter as requests name it.
#[derive(Debug, Clone)]
pub struct Voter {
    pub id: i32,
    pub directory_id: Uuid,
    pub endpoint: Endpoint,
}

fn describe_quorum() -> DescribeQuorumRequest {
    let topic = TopicData::default()
        .with_topic_name(TopicName(text(METADATA_TOPIC_NAME)))
        .with_partitions(vec![PartitionData::default()]);
    DescribeQuorumRequest::default().with_topics(vec![topic])
}

impl Admin {
    pub fn new(endpoint: Endpoint) -> anyhow::Result<Self> {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        Ok(Self {
            runtime: builder.enable_all().build()?,
            endpoint,
            random: 42,
            topics: Vec::new(),
            made: 0,
        })
    }

    fn random(&mut self, below: usize) -> usize {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.random >> 33) as usize % below
    }

    pub fn send<R: kafka_shared::protocol::Request>(
        &self,
        request: &R,
    ) -> anyhow::Result<R::Response> {
        let config = ConnectionConfig::default();
        // Topics are deleted by name.
        let options = SendOptions {
            version_max: Some(5),
            ..SendOptions::default()
        };
        self.runtime.block_on(async {
            let connection = Connection::connect(&self.endpoint, &config).await?;
            Ok(connection.send_with(request.clone(), options).await?)
        })
    }

    /// Tries until the answer is an expected one.
    fn until<R: kafka_shared::protocol::Request>(
        &self,
        request: &R,
        code: impl Fn(&R::Response) -> i16,
        done: &[ErrorCode],
    ) -> anyhow::Result<()> {
        let watch = Stopwatch::start();
        loop {
            let outcome = self
                .send(request)
                .map(|response| ErrorCode(code(&response)));
            match &outcome {
                Ok(code) if done.contains(code) => return Ok(()),
                _ if watch.elapsed() < SOON => std::thread::sleep(Duration::from_millis(100)),
                Ok(code) => bail!("{}: {}", std::any::type_name::<R>(), code.name()),
                Err(error) => bail!("{}: {error:#}", std::any::type_name::<R>()),
            }
        }
    }

    /// Makes, changes or deletes a topic.
    fn change(&mut self) -> anyhow::Result<()> {
        match self.random(4) {
            0 if self.topics.len() > 3 => {
                let idx = self.random(self.topics.len());
                let name = self.topics.remove(idx);
                let request = DeleteTopicsRequest::default()
                    .with_topic_names(vec![TopicName(text(&name))])
                    .with_timeout_ms(10_000);
                let done = [ErrorCode::NONE, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION];
                self.until(&request, |r| r.responses[0].error_code, &done)
            }
            1 if !self.topics.is_empty() => {
                let idx = self.random(self.topics.len());
                let value = self.random(1_000_000).to_string();
                let config = AlterableConfig::default()
                    .with_name(text("retention.ms"))
                    .with_value(Some(text(&value)));
                let resource = AlterConfigsResource::default()
                    .with_resource_type(ConfigResource::topic("").resource_type.id())
                    .with_resource_name(text(&self.topics[idx]))
                    .with_configs(vec![config]);
                let request =
                    IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
                self.until(&request, |r| r.responses[0].error_code, &[ErrorCode::NONE])
            }
            _ => {
                self.made += 1;
                let name = format!("topic-{}", self.made);
                let partitions = 1 + self.random(3) as i32;
                let topic = CreatableTopic::default()
                    .with_name(TopicName(text(&name)))
                    .with_num_partitions(partitions)
                    .with_replication_factor(1);
                let request = CreateTopicsRequest::default()
                    .with_topics(vec![topic])
                    .with_timeout_ms(10_000);
                let done = [ErrorCode::NONE, ErrorCode::TOPIC_ALREADY_EXISTS];
                self.until(&request, |r| r.topics[0].error_code, &done)?;
                self.topics.push(name);
                Ok(())
            }
        }
    }

    pub fn changes(&mut self, count: usize) -> anyhow::Result<()> {
        (0..count).try_for_each(|_| self.change())
    }

    /// The leader of the quorum, the high watermark, and the ends of all replicas' logs by id.
    pub fn quorum(&self) -> anyhow::Result<(i32, i64, BTreeMap<i32, i64>)> {
        let response = self.send(&describe_quorum())?;
        let partition = response
            .topics
            .first()
            .and_then(|topic| topic.partitions.first());
        let partition = partition.context("no metadata partition")?;
        ensure!(
            response.error_code == 0 && partition.error_code == 0,
            "DescribeQuorum: {} {}",
            ErrorCode(response.error_code).name(),
            ErrorCode(partition.error_code).name()
        );
        let replicas = partition.current_voters.iter().chain(&partition.observers);
        // A node may be told of twice, with the directory that it had and the one that it has.
        let mut ends = BTreeMap::new();
        for replica in replicas {
            let end = ends.entry(replica.replica_id.0).or_default();
            *end = replica.log_end_offset.max(*end);
        }
        Ok((partition.leader_id.0, partition.high_watermark, ends))
    }

    pub fn leader(&self) -> anyhow::Result<i32> {
        let mut last = None;
        let known = shell::wait_until(SOON, || {
            last = Some(self.quorum().map(|(leader, ..)| leader));
            matches!(last, Some(Ok(0..)))
        });
        ensure!(known, "no leader: {last:?}");
        last.context("asked")?
    }

    /// The voters, each with its directory.
    pub fn voters(&self) -> anyhow::Result<BTreeSet<(i32, Uuid)>> {
        let response = self.send(&describe_quorum())?;
        let topic = response.topics.first().context("a topic")?;
        let partition = topic.partitions.first().context("a partition")?;
        let error = ErrorCode(partition.error_code);
        ensure!(error == ErrorCode::NONE, "DescribeQuorum: {}", error.name());
        let voters = partition.current_voters.iter();
        Ok(voters
            .map(|voter| (voter.replica_id.0, voter.replica_directory_id))
            .collect())
    }

    /// AddRaftVoter; the code and the message.
    pub fn add_voter(&self, voter: &Voter) -> anyhow::Result<(ErrorCode, String)> {
        let listener = AddRaftVoterListener::default()
            .with_name(text("CONTROLLER"))
            .with_host(text(&voter.endpoint.host))
            .with_port(voter.endpoint.port);
        let request = AddRaftVoterRequest {
            timeout_ms: 10_000,
            voter_id: voter.id,
            voter_directory_id: voter.directory_id,
            listeners: vec![listener],
            ..AddRaftVoterRequest::default()
        };
        let response = self.send(&request)?;
        let message = response.error_message.map(|m| m.as_str().to_owned());
        Ok((ErrorCode(response.error_code), message.unwrap_or_default()))
    }

    /// RemoveRaftVoter; the code and the message.
    pub fn remove_voter(&self, voter: &Voter) -> anyhow::Result<(ErrorCode, String)> {
        let request = RemoveRaftVoterRequest::default()
            .with_cluster_id(None)
            .with_voter_id(voter.id)
            .with_voter_directory_id(voter.directory_id);
        let response = self.send(&request)?;
        let message = response.error_message.map(|m| m.as_str().to_owned());
        Ok((ErrorCode(response.error_code), message.unwrap_or_default()))
    }

    /// Adds a voter as soon as it has caught up and the change before is done.
    pub fn until_added(&self, voter: &Voter) -> anyhow::Result<()> {
        self.until_voters(voter, true, || self.add_voter(voter))
    }

    /// Removes a voter, which may be the leader.
    pub fn until_removed(&self, voter: &Voter) -> anyhow::Result<()> {
        self.until_voters(voter, false, || self.remove_voter(voter))
    }

    fn until_voters(
        &self,
        voter: &Voter,
        wanted: bool,
        ask: impl Fn() -> anyhow::Result<(ErrorCode, String)>,
    ) -> anyhow::Result<()> {
        let mut seen = None;
        let done = shell::wait_until(SOON, || {
            let is_one = |voters: BTreeSet<_>| voters.contains(&(voter.id, voter.directory_id));
            match self.voters().map(is_one) {
                Ok(is_voter) if is_voter == wanted => true,
                Ok(_) => {
                    seen = Some(ask());
                    false
                }
                Err(error) => {
                    seen = Some(Err(error));
                    false
                }
            }
        });
        ensure!(done, "voter {voter:?}, wanted {wanted}: {seen:?}");
        Ok(())
    }

    /// Waits until these nodes have all that is committed now.
    pub fn wait_caught_up(&self, ids: &[i32]) -> anyhow::Result<()> {
        let mut seen = String::new();
        let mut goal = None;
        let caught_up = shell::wait_until(SOON, || match self.quorum() {
            Ok((_, high_watermark, ends)) => {
                let goal = *goal.get_or_insert(high_watermark);
                seen = format!("{goal}: {ends:?}");
                ids.iter()
                    .all(|id| ends.get(id).is_some_and(|end| *end >= goal))
            }
            Err(error) => {
                seen = format!("what nobody tells: {error:#}");
                false
            }
        });
        ensure!(caught_up, "{ids:?} don't catch up with {seen}");
        Ok(())
    }
}
