//! One classic group: its members, its generation and the state that they are in.
//!
//! This file is the data and the bookkeeping; [`join`], [`sync`] and [`membership`] are the protocol.
//!
//! | from | to | cause |
//! |---|---|---|
//! | Empty | PreparingRebalance | the first member joins; the initial delay starts |
//! | Stable, CompletingRebalance | PreparingRebalance | a member joins, leaves, fails, changes its metadata, or did not sync in time |
//! | PreparingRebalance | CompletingRebalance | all members joined, or the rebalance time-out passed |
//! | PreparingRebalance | Empty | the same, and nobody is left |
//! | CompletingRebalance | Stable | the leader's assignments are stored |
//! | any | Dead | the partition moved to another broker |
//!
//! Members are soft state: the log knows a group as the last [`GroupMetadata`] that was stored, which
//! is when the leader's assignments arrived, when the group became empty, and when a static member
//! came back. After a failover the members of a group that was rebalancing join again.
//!
//! Invariants: every static member is a member; `awaiting_join` counts the members that wait for a
//! join; `supported_protocols` counts what the members support; a group with members has a leader.
//!
//! Kafka: group-coordinator `ClassicGroup`, `ClassicGroupMember` (4.3).

pub mod join;
pub mod membership;
pub mod sync;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use kafka_shared::error::ErrorCode;

use super::records::{GroupMetadata, MemberMetadata};
use super::{Continuation, Effects, JoinReply, JoinedMember, Record, Reply, SyncReply};
use super::{TimerEvent, TimerKey, Token};

/// The protocol type of consumers, whose metadata lists the topics they subscribe to.
pub const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

/// Where a classic group is in its rebalance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No members; the group may hold offsets.
    Empty,
    /// Waiting for the members to join.
    PreparingRebalance,
    /// Waiting for the leader's assignments.
    CompletingRebalance,
    /// Every member has its assignment, or can ask for it.
    Stable,
    /// The group is not kept here any more.
    Dead,
}

impl State {
    /// Kafka's name of the state.
    pub fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::PreparingRebalance => "PreparingRebalance",
            State::CompletingRebalance => "CompletingRebalance",
            State::Stable => "Stable",
            State::Dead => "Dead",
        }
    }

    fn can_follow(self, previous: State) -> bool {
        use State::{CompletingRebalance, Dead, Empty, PreparingRebalance, Stable};
        match self {
            Empty | CompletingRebalance => previous == PreparingRebalance,
            PreparingRebalance => matches!(previous, Stable | CompletingRebalance | Empty),
            Stable => previous == CompletingRebalance,
            Dead => true,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A way of assigning partitions that a member supports, with what it wants others to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protocol {
    /// The assignor's name.
    pub name: Arc<str>,
    /// Opaque to the broker, but for the topics in a consumer's metadata.
    pub metadata: Bytes,
}

/// One member of a classic group.
#[derive(Debug, Clone)]
pub struct Member {
    /// The id that the coordinator gave.
    pub id: Arc<str>,
    /// The id that a static member's user gave.
    pub instance_id: Option<Arc<str>>,
    /// As in the request header of its join.
    pub client_id: Arc<str>,
    /// The address that it joined from, as Java prints it (`/127.0.0.1`).
    pub client_host: Arc<str>,
    /// How long the others wait for it in a rebalance.
    pub rebalance_timeout_ms: i32,
    /// Without a heartbeat for so long, it is out.
    pub session_timeout_ms: i32,
    /// In the order of its preference.
    pub protocols: Vec<Protocol>,
    /// What the leader gave it; empty before.
    pub assignment: Bytes,
    /// The caller that waits for the join to complete.
    pub awaiting_join: Option<Token>,
    /// The caller that waits for its assignment.
    pub awaiting_sync: Option<Token>,
    /// It joined in this rebalance and does not know its id yet, so it can't send heartbeats.
    pub is_new: bool,
}

impl Member {
    /// Its metadata for a protocol; empty when it does not support it.
    pub fn metadata(&self, protocol: Option<&str>) -> Bytes {
        self.protocols
            .iter()
            .find(|candidate| Some(&*candidate.name) == protocol)
            .map(|protocol| protocol.metadata.clone())
            .unwrap_or_default()
    }

    /// Whether it may stay although no heartbeat came: it waits for the others, so it is alive.
    fn has_satisfied_heartbeat(&self) -> bool {
        !self.is_new && (self.awaiting_join.is_some() || self.awaiting_sync.is_some())
    }

    fn vote(&self, candidates: &HashSet<&str>) -> Option<&Arc<str>> {
        self.protocols
            .iter()
            .map(|protocol| &protocol.name)
            .find(|name| candidates.contains(&***name))
    }
}

/// What a member can change when it joins again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberSettings {
    /// See [`Member::protocols`].
    pub protocols: Vec<Protocol>,
    /// See [`Member::rebalance_timeout_ms`].
    pub rebalance_timeout_ms: i32,
    /// See [`Member::session_timeout_ms`].
    pub session_timeout_ms: i32,
}

/// A group whose members choose a leader that assigns the partitions.
#[derive(Debug, Clone)]
pub struct ClassicGroup {
    /// The group's name.
    pub id: Arc<str>,
    state: State,
    previous_state: State,
    /// Wall clock of the last change of state; None for groups that old brokers stored.
    pub state_timestamp_ms: Option<i64>,
    /// "consumer", "connect" and so on; None for a simple group, which only holds offsets.
    pub protocol_type: Option<Arc<str>>,
    /// The protocol that the members agreed on in this generation.
    pub protocol_name: Option<Arc<str>>,
    /// Goes up by one with every rebalance.
    pub generation_id: i32,
    leader_id: Option<Arc<str>>,
    // Differs from Kafka: members are kept in the order of their ids, not in Java's hash order, so
    // that answers and elections are the same on every run.
    members: BTreeMap<Arc<str>, Member>,
    static_members: HashMap<Arc<str>, Arc<str>>,
    pending_join: BTreeSet<Arc<str>>,
    pending_sync: BTreeSet<Arc<str>>,
    awaiting_join: usize,
    supported_protocols: HashMap<Arc<str>, usize>,
    subscribed_topics: Option<HashSet<Arc<str>>>,
    new_member_added: bool,
}

impl ClassicGroup {
    /// A new group without members.
    pub fn new(id: Arc<str>, now_ms: i64) -> Self {
        Self {
            id,
            state: State::Empty,
            previous_state: State::Dead,
            state_timestamp_ms: Some(now_ms),
            protocol_type: None,
            protocol_name: None,
            generation_id: 0,
            leader_id: None,
            members: BTreeMap::new(),
            static_members: HashMap::new(),
            pending_join: BTreeSet::new(),
            pending_sync: BTreeSet::new(),
            awaiting_join: 0,
            supported_protocols: HashMap::new(),
            subscribed_topics: None,
            new_member_added: false,
        }
    }

    /// The group as the log has it: Stable when it has members, else Empty.
    pub fn from_record(id: Arc<str>, record: &GroupMetadata) -> Self {
        let mut group = Self::new(id, 0);
        let protocol = record.protocol.clone();
        group.state_timestamp_ms = record.state_timestamp_ms;
        group.protocol_type = record.protocol_type.clone().filter(|name| !name.is_empty());
        group.protocol_name.clone_from(&protocol);
        group.generation_id = record.generation;
        group.leader_id.clone_from(&record.leader);
        if !record.members.is_empty() {
            group.state = State::Stable;
        }
        for member in &record.members {
            group.insert(Member {
                id: member.id.clone(),
                instance_id: member.instance_id.clone(),
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                rebalance_timeout_ms: member.rebalance_timeout_ms,
                session_timeout_ms: member.session_timeout_ms,
                protocols: protocol
                    .iter()
                    .map(|name| Protocol {
                        name: name.clone(),
                        metadata: member.subscription.clone(),
                    })
                    .collect(),
                assignment: member.assignment.clone(),
                awaiting_join: None,
                awaiting_sync: None,
                is_new: false,
            });
        }
        group.subscribed_topics = group.compute_subscribed_topics();
        group
    }

    /// The group as it is to be stored, with these assignments.
    pub fn to_record(&self, assignment: impl Fn(&Member) -> Bytes) -> GroupMetadata {
        GroupMetadata {
            protocol_type: self.protocol_type.clone(),
            generation: self.generation_id,
            protocol: self.protocol_name.clone(),
            leader: self.leader_id.clone(),
            state_timestamp_ms: self.state_timestamp_ms,
            members: self
                .members
                .values()
                .map(|member| MemberMetadata {
                    id: member.id.clone(),
                    instance_id: member.instance_id.clone(),
                    client_id: member.client_id.clone(),
                    client_host: member.client_host.clone(),
                    rebalance_timeout_ms: member.rebalance_timeout_ms,
                    session_timeout_ms: member.session_timeout_ms,
                    subscription: member.metadata(self.protocol_name.as_deref()),
                    assignment: assignment(member),
                })
                .collect(),
        }
    }

    /// Where the group is in its rebalance.
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether the group is in this state.
    pub fn is_in(&self, state: State) -> bool {
        self.state == state
    }

    /// Whether it only holds offsets: nobody ever joined.
    pub fn is_simple(&self) -> bool {
        self.protocol_type.is_none() && self.is_in(State::Empty) && self.pending_join.is_empty()
    }

    /// Whether its members are consumers.
    pub fn uses_consumer_protocol(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER_PROTOCOL_TYPE)
    }

    /// All members in the order of their ids.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// A member by its id.
    pub fn member(&self, id: &str) -> Option<&Member> {
        self.members.get(id)
    }

    /// How many members it has.
    pub fn size(&self) -> usize {
        self.members.len()
    }

    /// Who assigns the partitions.
    pub fn leader_id(&self) -> Option<&Arc<str>> {
        self.leader_id.as_ref()
    }

    fn is_leader(&self, id: &str) -> bool {
        self.leader_id.as_deref() == Some(id)
    }

    /// The id of the static member with this instance id.
    pub fn static_member(&self, instance_id: &str) -> Option<&Arc<str>> {
        self.static_members.get(instance_id)
    }

    /// Whether this id was given to a client that has not joined with it yet.
    pub fn is_pending(&self, id: &str) -> bool {
        self.pending_join.contains(id)
    }

    /// Whether offsets of the topic are in use by members. A consumer group whose topics are not
    /// known uses all.
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed_topics {
            Some(topics) => topics.contains(topic),
            None => self.uses_consumer_protocol(),
        }
    }

    /// The topics that the members subscribe to, when they can be known.
    pub fn subscribed_topics(&self) -> Option<&HashSet<Arc<str>>> {
        self.subscribed_topics.as_ref()
    }

    /// Checks that a request comes from a member.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID; FENCED_INSTANCE_ID when another process took the instance id over.
    pub fn validate_member(&self, id: &str, instance_id: Option<&str>) -> Result<(), ErrorCode> {
        if let Some(instance_id) = instance_id {
            match self.static_members.get(instance_id) {
                None => return Err(ErrorCode::UNKNOWN_MEMBER_ID),
                Some(existing) if **existing != *id => return Err(ErrorCode::FENCED_INSTANCE_ID),
                Some(_) => {}
            }
        }
        if self.members.contains_key(id) {
            Ok(())
        } else {
            Err(ErrorCode::UNKNOWN_MEMBER_ID)
        }
    }

    /// Checks that offsets may be committed by this member of this generation; the generation is -1
    /// for clients that don't join.
    ///
    /// # Errors
    /// COORDINATOR_NOT_AVAILABLE, UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, ILLEGAL_GENERATION;
    /// REBALANCE_IN_PROGRESS between join and sync.
    pub fn validate_offset_commit(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
        generation_id: i32,
    ) -> Result<(), ErrorCode> {
        if self.is_in(State::Dead) {
            return Err(ErrorCode::COORDINATOR_NOT_AVAILABLE);
        }
        if generation_id < 0 && self.is_in(State::Empty) {
            return Ok(());
        }
        if generation_id >= 0 || !member_id.is_empty() || instance_id.is_some() {
            self.validate_member(member_id, instance_id)?;
            if generation_id != self.generation_id {
                return Err(ErrorCode::ILLEGAL_GENERATION);
            }
        } else {
            // A client that does not join must not overwrite the offsets of members.
            return Err(ErrorCode::UNKNOWN_MEMBER_ID);
        }
        if self.is_in(State::CompletingRebalance) {
            return Err(ErrorCode::REBALANCE_IN_PROGRESS);
        }
        Ok(())
    }

    /// Checks that a protocol type and one of these protocols fit all members.
    pub fn supports_protocols(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.is_in(State::Empty) {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|protocol| {
                self.supported_protocols
                    .get(&protocol.name)
                    .copied()
                    .unwrap_or(0)
                    == self.members.len()
            })
    }

    fn transition_to(&mut self, state: State, now_ms: i64) {
        debug_assert!(state.can_follow(self.state), "{} to {state}", self.state);
        self.previous_state = self.state;
        self.state = state;
        self.state_timestamp_ms = Some(now_ms);
    }

    fn insert(&mut self, member: Member) {
        if let Some(instance_id) = &member.instance_id {
            self.static_members
                .insert(instance_id.clone(), member.id.clone());
        }
        if self.leader_id.is_none() {
            self.leader_id = Some(member.id.clone());
        }
        self.pending_join.remove(&member.id);
        self.count_protocols(&member.protocols, true);
        self.awaiting_join += usize::from(member.awaiting_join.is_some());
        self.members.insert(member.id.clone(), member);
    }

    /// Takes a member, or a client that got an id but has not joined, out of the group. A caller
    /// that still waits is the caller's business.
    fn remove(&mut self, id: &str) -> Option<Member> {
        let removed = self.members.remove(id);
        if let Some(member) = &removed {
            self.count_protocols(&member.protocols, false);
            self.awaiting_join -= usize::from(member.awaiting_join.is_some());
            if let Some(instance_id) = &member.instance_id {
                self.static_members.remove(instance_id);
            }
        }
        if self.is_leader(id) {
            self.leader_id = self.members.keys().next().cloned();
        }
        self.pending_join.remove(id);
        self.pending_sync.remove(id);
        removed
    }

    fn count_protocols(&mut self, protocols: &[Protocol], add: bool) {
        for protocol in protocols {
            let count = self
                .supported_protocols
                .entry(protocol.name.clone())
                .or_default();
            *count = if add {
                *count + 1
            } else {
                count.saturating_sub(1)
            };
            if *count == 0 {
                self.supported_protocols.remove(&protocol.name);
            }
        }
    }

    /// Changes what a member brings, and who waits for it to join.
    fn update_member(&mut self, id: &str, settings: MemberSettings, join: Option<Token>) {
        let Some(mut member) = self.members.remove(id) else {
            return;
        };
        self.count_protocols(&member.protocols, false);
        self.count_protocols(&settings.protocols, true);
        self.awaiting_join -= usize::from(member.awaiting_join.is_some());
        self.awaiting_join += usize::from(join.is_some());
        member.protocols = settings.protocols;
        member.rebalance_timeout_ms = settings.rebalance_timeout_ms;
        member.session_timeout_ms = settings.session_timeout_ms;
        member.awaiting_join = join;
        self.members.insert(member.id.clone(), member);
    }

    fn has_all_members_joined(&self) -> bool {
        self.members.len() == self.awaiting_join && self.pending_join.is_empty()
    }

    fn rebalance_timeout_ms(&self) -> i32 {
        self.members
            .values()
            .map(|member| member.rebalance_timeout_ms)
            .max()
            .unwrap_or(0)
            .max(0)
    }

    /// Makes a member that joined in time the leader. False when nobody did.
    fn elect_joined_leader(&mut self) -> bool {
        let Some(leader) = self.leader_id.as_ref() else {
            return false;
        };
        if self
            .members
            .get(leader)
            .is_some_and(|member| member.awaiting_join.is_some())
        {
            return true;
        }
        match self
            .members
            .values()
            .find(|member| member.awaiting_join.is_some())
        {
            Some(member) => {
                self.leader_id = Some(member.id.clone());
                true
            }
            None => false,
        }
    }

    /// The protocol that most members prefer, out of those that all support. None without members.
    fn select_protocol(&self) -> Option<Arc<str>> {
        let candidates: HashSet<&str> = self
            .supported_protocols
            .iter()
            .filter(|(_, count)| **count == self.members.len())
            .map(|(name, _)| &**name)
            .collect();
        let mut votes: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
        for vote in self
            .members
            .values()
            .filter_map(|member| member.vote(&candidates))
        {
            *votes.entry(vote).or_default() += 1;
        }
        let most = votes.values().copied().max()?;
        votes
            .into_iter()
            .find(|(_, count)| *count == most)
            .map(|(name, _)| name.clone())
    }

    fn init_next_generation(&mut self, now_ms: i64) {
        self.generation_id = self.generation_id.wrapping_add(1);
        self.protocol_name = self.select_protocol();
        self.subscribed_topics = self.compute_subscribed_topics();
        let next = if self.members.is_empty() {
            State::Empty
        } else {
            State::CompletingRebalance
        };
        self.transition_to(next, now_ms);
        self.pending_sync.clear();
    }

    fn compute_subscribed_topics(&self) -> Option<HashSet<Arc<str>>> {
        if !self.uses_consumer_protocol() {
            return None;
        }
        if self.members.is_empty() {
            return Some(HashSet::new());
        }
        let protocol = self.protocol_name.as_deref()?;
        let mut topics = HashSet::new();
        for member in self.members.values() {
            topics.extend(subscription_topics(&member.metadata(Some(protocol)))?);
        }
        Some(topics)
    }

    fn complete_join(&mut self, id: &str, reply: JoinReply, fx: &mut Effects) -> bool {
        let Some(member) = self.members.get_mut(id) else {
            return false;
        };
        let Some(token) = member.awaiting_join.take() else {
            return false;
        };
        self.awaiting_join -= 1;
        fx.replies.push((token, Reply::Join(reply)));
        true
    }

    fn complete_sync(&mut self, id: &str, reply: SyncReply, fx: &mut Effects) -> bool {
        let Some(member) = self.members.get_mut(id) else {
            return false;
        };
        let Some(token) = member.awaiting_sync.take() else {
            return false;
        };
        fx.replies.push((token, Reply::Sync(reply)));
        true
    }

    /// The answer to a join of the current generation.
    fn joined(
        &self,
        id: &Arc<str>,
        leader: Option<Arc<str>>,
        members: Vec<JoinedMember>,
    ) -> JoinReply {
        JoinReply {
            error: ErrorCode::NONE,
            member_id: id.clone(),
            generation_id: self.generation_id,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader,
            skip_assignment: false,
            members,
        }
    }

    /// What only the leader is told: all members with their metadata.
    fn joined_members(&self) -> Vec<JoinedMember> {
        self.members
            .values()
            .map(|member| JoinedMember {
                member_id: member.id.clone(),
                instance_id: member.instance_id.clone(),
                metadata: member.metadata(self.protocol_name.as_deref()),
            })
            .collect()
    }

    fn store_empty(&self, fx: &mut Effects) {
        let value = self.to_record(|_| Bytes::new());
        fx.append_without_replay(
            Record::GroupMetadata {
                group_id: self.id.clone(),
                value: Some(value),
            },
            Continuation::GroupEmptied {
                group_id: self.id.clone(),
            },
        );
    }

    fn schedule_heartbeat(&self, id: &Arc<str>, delay_ms: i64, fx: &mut Effects) {
        fx.schedule(
            TimerKey::Heartbeat {
                group_id: self.id.clone(),
                member_id: id.clone(),
            },
            delay_ms,
            TimerEvent::HeartbeatExpired,
        );
    }

    /// Gives a member another session time-out to live.
    pub fn renew_session(&self, id: &str, fx: &mut Effects) {
        if let Some(member) = self.members.get(id) {
            self.schedule_heartbeat(&member.id, i64::from(member.session_timeout_ms), fx);
        }
    }

    fn cancel_heartbeat(&self, id: &Arc<str>, fx: &mut Effects) {
        fx.cancel(TimerKey::Heartbeat {
            group_id: self.id.clone(),
            member_id: id.clone(),
        });
    }

    /// Fails all who wait; the group is not kept any longer.
    pub fn unload(&mut self, now_ms: i64, error: ErrorCode, fx: &mut Effects) {
        let ids: Vec<_> = self.members.keys().cloned().collect();
        for id in ids {
            let reply = JoinReply::error(error, id.clone());
            self.complete_join(&id, reply, fx);
            self.complete_sync(&id, SyncReply::error(error), fx);
        }
        self.transition_to(State::Dead, now_ms);
    }
}

/// The topics of a consumer's subscription, whose first fields are the same in all versions: i16
/// version, array of topics, user data. None when it can't be read.
///
/// Kafka: clients `ConsumerProtocol.deserializeConsumerProtocolSubscription`.
pub fn subscription_topics(metadata: &[u8]) -> Option<Vec<Arc<str>>> {
    let mut rest = metadata;
    let version = i16::from_be_bytes(take(&mut rest)?);
    let count = i32::from_be_bytes(take(&mut rest)?);
    if version < 0 || count < 0 || count as usize > rest.len() / 2 {
        return None;
    }
    let mut topics = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let length = usize::try_from(i16::from_be_bytes(take(&mut rest)?)).ok()?;
        let (topic, after) = rest.split_at_checked(length)?;
        topics.push(Arc::from(std::str::from_utf8(topic).ok()?));
        rest = after;
    }
    let user_data = i32::from_be_bytes(take(&mut rest)?);
    if user_data > 0 && user_data as usize > rest.len() {
        return None;
    }
    Some(topics)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}
