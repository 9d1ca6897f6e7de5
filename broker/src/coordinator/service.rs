//! [`GroupCoordinator`]: what request handlers call, and what is told of elections.
//!
//! Finds the shard of a group, hands it the request and waits for the answer. Checks here what needs
//! no shard. A group whose partition is not led by this broker is NOT_COORDINATOR, one whose
//! partition is being loaded COORDINATOR_LOAD_IN_PROGRESS.
//!
//! Kafka: group-coordinator `GroupCoordinatorService` (4.3).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use kafka_shared::error::ErrorCode;
use kafka_shared::task;
use kafka_shared::time::Clock;
use kafka_shared::types::TopicPartition;
use parking_lot::RwLock;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};
use uuid::Uuid;

use super::group::{
    CommitRequest, Cx, DeleteOffsetsRequest, DescribedGroup, Effects, FetchRequest,
    FetchedPartition, GroupShard, HeartbeatRequest, JoinReply, JoinRequest, LeaveRequest,
    ListedGroup, PartitionError, SyncReply, SyncRequest, TopicItems,
};
use super::runtime::{Command, Phase, ShardHandle, Shared, write_operation};
use super::{GROUP_METADATA_TOPIC_NAME, GroupCoordinatorConfig, PartitionWriter, partition_for};

/// Partitions of `__consumer_offsets` that are read at once after a start.
const LOADS_AT_ONCE: usize = 2;

/// The group coordinator of a broker.
#[derive(Debug)]
pub struct GroupCoordinator {
    shared: Shared,
    runtime: Handle,
    /// -1 until it is known, and after the shutdown.
    partition_count: AtomicI32,
    is_shut_down: AtomicBool,
    is_creating_topic: AtomicBool,
    shards: RwLock<HashMap<i32, ShardHandle>>,
}

/// The right to make `__consumer_offsets`.
#[derive(Debug)]
pub struct TopicCreation<'a> {
    coordinator: &'a GroupCoordinator,
}

impl Drop for TopicCreation<'_> {
    fn drop(&mut self) {
        self.coordinator
            .is_creating_topic
            .store(false, Ordering::Release);
    }
}

impl GroupCoordinator {
    /// A coordinator that does not serve yet: [`Self::set_partition_count`] opens it.
    ///
    /// # Panics
    /// Outside a tokio runtime: shards run on the one that it is made on.
    pub fn new(
        config: GroupCoordinatorConfig,
        writer: Arc<dyn PartitionWriter>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        Arc::new(Self {
            shared: Shared {
                config: Arc::new(config),
                writer,
                clock,
                loads: Arc::new(Semaphore::new(LOADS_AT_ONCE)),
            },
            runtime: Handle::current(),
            partition_count: AtomicI32::new(-1),
            is_shut_down: AtomicBool::new(false),
            is_creating_topic: AtomicBool::new(false),
            shards: RwLock::new(HashMap::new()),
        })
    }

    /// The settings it runs with.
    pub fn config(&self) -> &GroupCoordinatorConfig {
        &self.shared.config
    }

    /// Lets one caller at a time make `__consumer_offsets`: None while another is at it. It is over
    /// when the answer is dropped.
    pub fn begin_topic_creation(&self) -> Option<TopicCreation<'_>> {
        let was_creating = self.is_creating_topic.swap(true, Ordering::AcqRel);
        (!was_creating).then(|| TopicCreation { coordinator: self })
    }

    // ---- leadership -----------------------------------------------------------------------------

    /// How many partitions `__consumer_offsets` has, or will have when it is created.
    pub fn set_partition_count(&self, partition_count: i32) {
        if !self.is_shut_down.load(Ordering::Acquire) {
            self.partition_count
                .store(partition_count, Ordering::Release);
        }
    }

    /// This broker leads a partition of `__consumer_offsets` in `leader_epoch`. The replica manager
    /// must know so already.
    pub fn on_election(&self, partition: i32, leader_epoch: i32) {
        let _runtime = self.runtime.enter();
        let mut shards = self.shards.write();
        if self.is_shut_down.load(Ordering::Acquire) {
            return;
        }
        if let Some(shard) = shards.get(&partition) {
            if shard.leader_epoch() >= leader_epoch && shard.phase() != Phase::Failed {
                return;
            }
            if shard.phase() != Phase::Failed {
                return shard.set_leader_epoch(leader_epoch);
            }
            shard.stop();
        }
        let name = TopicPartition::new(GROUP_METADATA_TOPIC_NAME, partition);
        let shard = ShardHandle::start(self.shared.clone(), name, leader_epoch);
        shards.insert(partition, shard);
    }

    /// This broker no longer leads a partition; `leader_epoch` is that of the new leader, None when
    /// the partition is gone.
    pub fn on_resignation(&self, partition: i32, leader_epoch: Option<i32>) {
        let mut shards = self.shards.write();
        let Some(shard) = shards.get(&partition) else {
            return;
        };
        if leader_epoch.is_none_or(|leader_epoch| leader_epoch > shard.leader_epoch()) {
            shard.stop();
            shards.remove(&partition);
        }
    }

    /// Topics were deleted: forgets what groups consumed of them. Does not wait.
    pub fn on_topics_deleted(&self, topics: Vec<(Uuid, Arc<str>)>) {
        let _runtime = self.runtime.enter();
        let topics = Arc::new(topics);
        for (_, commands) in self.active_shards() {
            let topics = Arc::clone(&topics);
            task::spawn("group-topics-deleted", async move {
                let (reply, done) = oneshot::channel();
                let command = Command::Write(write_operation(reply, move |shard, _, fx| {
                    shard.on_topics_deleted(&topics, fx);
                    Ok(())
                }));
                let error = match commands.send(command).await {
                    Ok(()) => done.await.unwrap_or(Err(ErrorCode::NOT_COORDINATOR)).err(),
                    Err(_) => Some(ErrorCode::NOT_COORDINATOR),
                };
                if let Some(error) = error {
                    tracing::warn!(error = error.name(), "offsets of deleted topics are kept");
                }
            });
        }
    }

    /// Stops all shards and waits until they have. Who waits gets NOT_COORDINATOR, who asks later
    /// COORDINATOR_NOT_AVAILABLE.
    pub async fn shutdown(&self) {
        self.is_shut_down.store(true, Ordering::Release);
        self.partition_count.store(-1, Ordering::Release);
        let shards: Vec<ShardHandle> = self
            .shards
            .write()
            .drain()
            .map(|(_, shard)| shard)
            .collect();
        for shard in &shards {
            shard.stop();
        }
        for shard in shards {
            shard.stopped().await;
        }
    }

    // ---- finding the shard ----------------------------------------------------------------------

    /// The partition of a group.
    ///
    /// # Errors
    /// COORDINATOR_NOT_AVAILABLE before the start and after the shutdown.
    pub fn partition_for(&self, group_id: &str) -> Result<i32, ErrorCode> {
        match self.partition_count.load(Ordering::Acquire) {
            ..=0 => Err(ErrorCode::COORDINATOR_NOT_AVAILABLE),
            partition_count => Ok(partition_for(group_id, partition_count)),
        }
    }

    fn commands_for(&self, group_id: &str) -> Result<mpsc::Sender<Command>, ErrorCode> {
        self.commands_of(self.partition_for(group_id)?)
    }

    fn commands_of(&self, partition: i32) -> Result<mpsc::Sender<Command>, ErrorCode> {
        let shards = self.shards.read();
        let shard = shards.get(&partition).ok_or(ErrorCode::NOT_COORDINATOR)?;
        match shard.phase() {
            Phase::Active => Ok(shard.commands()),
            Phase::Loading => Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS),
            Phase::Failed => Err(ErrorCode::NOT_COORDINATOR),
        }
    }

    fn active_shards(&self) -> Vec<(i32, mpsc::Sender<Command>)> {
        let shards = self.shards.read();
        let active = shards
            .iter()
            .filter(|(_, shard)| shard.phase() == Phase::Active);
        active
            .map(|(partition, shard)| (*partition, shard.commands()))
            .collect()
    }

    async fn write<T: Send + 'static>(
        commands: mpsc::Sender<Command>,
        handler: impl FnOnce(&mut GroupShard, &Cx<'_>, &mut Effects) -> Result<T, ErrorCode>
        + Send
        + 'static,
    ) -> Result<T, ErrorCode> {
        let (reply, answer) = oneshot::channel();
        Self::ask(
            commands,
            Command::Write(write_operation(reply, handler)),
            answer,
        )
        .await?
    }

    async fn read<T: Send + 'static>(
        commands: mpsc::Sender<Command>,
        handler: impl FnOnce(&GroupShard) -> T + Send + 'static,
    ) -> Result<T, ErrorCode> {
        let (reply, answer) = oneshot::channel();
        let operation = move |shard: &GroupShard| drop(reply.send(handler(shard)));
        Self::ask(commands, Command::Read(Box::new(operation)), answer).await
    }

    async fn ask<T>(
        commands: mpsc::Sender<Command>,
        command: Command,
        answer: oneshot::Receiver<T>,
    ) -> Result<T, ErrorCode> {
        // A task that ended has dropped its queue and what was in it.
        commands
            .send(command)
            .await
            .map_err(|_| ErrorCode::NOT_COORDINATOR)?;
        answer.await.map_err(|_| ErrorCode::NOT_COORDINATOR)
    }

    // ---- membership -----------------------------------------------------------------------------

    /// JoinGroup: answers when the group has its next generation, at the latest after the rebalance
    /// time-out of its members.
    pub async fn join_group(&self, request: JoinRequest) -> JoinReply {
        let member_id = request.member_id.clone();
        let timeout_ms = request.settings.session_timeout_ms;
        let config = self.config();
        let allowed = config.group_min_session_timeout_ms..=config.group_max_session_timeout_ms;
        let error = match self.commands_for(&request.group_id) {
            Err(ErrorCode::COORDINATOR_NOT_AVAILABLE) => ErrorCode::COORDINATOR_NOT_AVAILABLE,
            _ if request.group_id.is_empty() => ErrorCode::INVALID_GROUP_ID,
            _ if !allowed.contains(&timeout_ms) => ErrorCode::INVALID_SESSION_TIMEOUT,
            // Kafka leaves the member id empty in these.
            Err(error) => return JoinReply::error(error, Arc::from("")),
            Ok(commands) => {
                let (reply, answer) = oneshot::channel();
                let command = Command::Join(Box::new(request), reply);
                match Self::ask(commands, command, answer).await {
                    Ok(reply) => return reply,
                    Err(error) => return JoinReply::error(error, Arc::from("")),
                }
            }
        };
        JoinReply::error(error, member_id)
    }

    /// SyncGroup: answers when the leader's assignments are stored, at the latest after the rebalance
    /// time-out of the group's members.
    pub async fn sync_group(&self, request: SyncRequest) -> SyncReply {
        let commands = match self.commands_for_named(&request.group_id) {
            Ok(commands) => commands,
            Err(error) => return SyncReply::error(error),
        };
        let (reply, answer) = oneshot::channel();
        let command = Command::Sync(Box::new(request), reply);
        Self::ask(commands, command, answer)
            .await
            .unwrap_or_else(SyncReply::error)
    }

    /// For requests that must name a group.
    fn commands_for_named(&self, group_id: &str) -> Result<mpsc::Sender<Command>, ErrorCode> {
        self.partition_for(group_id)?;
        if group_id.is_empty() {
            return Err(ErrorCode::INVALID_GROUP_ID);
        }
        self.commands_for(group_id)
    }

    /// Heartbeat.
    ///
    /// # Errors
    /// See `ClassicGroup::heartbeat`. While the group is loaded any heartbeat is fine.
    pub async fn heartbeat(&self, request: HeartbeatRequest) -> Result<(), ErrorCode> {
        let result = match self.commands_for_named(&request.group_id) {
            Ok(commands) => {
                Self::write(commands, move |shard, _, fx| shard.heartbeat(&request, fx)).await
            }
            Err(error) => Err(error),
        };
        match result {
            Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS) => Ok(()),
            result => result,
        }
    }

    /// LeaveGroup: an error per member, in their order.
    ///
    /// # Errors
    /// COORDINATOR_NOT_AVAILABLE, INVALID_GROUP_ID and those of finding the shard.
    pub async fn leave_group(&self, request: LeaveRequest) -> Result<Vec<ErrorCode>, ErrorCode> {
        let commands = self.commands_for_named(&request.group_id)?;
        let count = request.members.len();
        let result =
            Self::write(commands, move |shard, cx, fx| shard.leave(cx, &request, fx)).await;
        match result {
            // There is no such group, so nobody is a member of it.
            Err(ErrorCode::UNKNOWN_MEMBER_ID) => Ok(vec![ErrorCode::UNKNOWN_MEMBER_ID; count]),
            result => result,
        }
    }

    // ---- offsets --------------------------------------------------------------------------------

    /// OffsetCommit: an error per partition, in the order of the request.
    ///
    /// # Errors
    /// See `GroupShard::commit_offsets`.
    pub async fn commit_offsets(
        &self,
        request: CommitRequest,
    ) -> Result<Vec<TopicItems<PartitionError>>, ErrorCode> {
        let commands = self.commands_for(&request.group_id)?;
        let (reply, answer) = oneshot::channel();
        let operation = write_operation(reply, move |shard, cx, fx| {
            shard.commit_offsets(cx, &request, fx)
        });
        Self::ask(commands, Command::Commit(operation), answer).await?
    }

    /// OffsetFetch of one group.
    ///
    /// # Errors
    /// Those of finding the shard.
    pub async fn fetch_offsets(
        &self,
        request: FetchRequest,
    ) -> Result<Vec<TopicItems<FetchedPartition>>, ErrorCode> {
        let commands = self.commands_for(&request.group_id)?;
        if !request.require_stable {
            return Self::read(commands, move |shard| shard.fetch_offsets(&request)).await;
        }
        let result = Self::write(commands, move |shard, _, _| {
            Ok(shard.fetch_offsets(&request))
        })
        .await;
        match result {
            // Clients before 3.9 don't know what to do about this one here.
            Err(ErrorCode::COORDINATOR_NOT_AVAILABLE) => Err(ErrorCode::NOT_COORDINATOR),
            result => result,
        }
    }

    /// OffsetDelete: an error per partition, in the order of the request.
    ///
    /// # Errors
    /// See `GroupShard::delete_offsets`.
    pub async fn delete_offsets(
        &self,
        request: DeleteOffsetsRequest,
    ) -> Result<Vec<TopicItems<PartitionError>>, ErrorCode> {
        let commands = self.commands_for_named(&request.group_id)?;
        Self::write(commands, move |shard, _, fx| {
            shard.delete_offsets(&request, fx)
        })
        .await
    }

    // ---- administration -------------------------------------------------------------------------

    /// ListGroups: the groups of all partitions that this broker leads, in one of these states and
    /// of one of these types; an empty list is no restriction.
    ///
    /// # Errors
    /// COORDINATOR_NOT_AVAILABLE; COORDINATOR_LOAD_IN_PROGRESS while one of them is loaded.
    pub async fn list_groups(
        &self,
        states: Vec<String>,
        types: Vec<String>,
    ) -> Result<Vec<ListedGroup>, ErrorCode> {
        self.partition_for("")?;
        if self
            .shards
            .read()
            .values()
            .any(|shard| shard.phase() == Phase::Loading)
        {
            return Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
        }
        let filters = Arc::new((states, types));
        let mut groups = Vec::new();
        for (_, commands) in self.active_shards() {
            let filters = Arc::clone(&filters);
            let handler = move |shard: &GroupShard| shard.list_groups(&filters.0, &filters.1);
            match Self::read(commands, handler).await {
                Ok(listed) => groups.extend(listed),
                // It has moved since we looked.
                Err(ErrorCode::NOT_COORDINATOR) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(groups)
    }

    /// DescribeGroups of one group, as of `version`.
    ///
    /// # Errors
    /// Those of finding the shard.
    pub async fn describe_group(
        &self,
        group_id: Arc<str>,
        version: i16,
    ) -> Result<DescribedGroup, ErrorCode> {
        let commands = self.commands_for(&group_id)?;
        Self::read(commands, move |shard| {
            shard.describe_group(&group_id, version)
        })
        .await
    }

    /// DeleteGroups: an error per group, in their order.
    pub async fn delete_groups(&self, group_ids: Vec<Arc<str>>) -> Vec<(Arc<str>, ErrorCode)> {
        let mut by_partition: BTreeMap<i32, Vec<Arc<str>>> = BTreeMap::new();
        let mut results = HashMap::new();
        for group_id in &group_ids {
            match self.partition_for(group_id) {
                Ok(partition) => by_partition
                    .entry(partition)
                    .or_default()
                    .push(group_id.clone()),
                Err(error) => drop(results.insert(group_id.clone(), error)),
            }
        }
        for (partition, group_ids) in by_partition {
            let names = group_ids.clone();
            let result = match self.commands_of(partition) {
                Ok(commands) => {
                    Self::write(commands, move |shard, _, fx| {
                        Ok(shard.delete_groups(&names, fx))
                    })
                    .await
                }
                Err(error) => Err(error),
            };
            let errors = result.unwrap_or_else(|error| vec![error; group_ids.len()]);
            results.extend(group_ids.into_iter().zip(errors));
        }
        group_ids
            .into_iter()
            .map(|group_id| {
                let error = results.get(&group_id).copied().unwrap_or(ErrorCode::NONE);
                (group_id, error)
            })
            .collect()
    }
}
