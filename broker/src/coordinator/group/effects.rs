//! What a shard wants done: records, answers, timers, and what to come back with.
//!
//! Kafka: coordinator-common `CoordinatorResult`, `CoordinatorTimer` (4.3).

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use kafka_shared::error::{ApiError, ErrorCode};

use super::classic::membership::Replacement;
use super::messages::{JoinReply, SyncReply, Token};
use super::records::Record;
use crate::coordinator::timer::TimerChange;

/// Names a timer of a shard.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimerKey {
    /// A member, or a client that is about to become one, has to show up.
    Heartbeat {
        /// Which group.
        group_id: Arc<str>,
        /// Which member.
        member_id: Arc<str>,
    },
    /// The joining of a group has to end.
    Join {
        /// Which group.
        group_id: Arc<str>,
    },
    /// The members of a group have to ask for their assignments.
    Sync {
        /// Which group.
        group_id: Arc<str>,
    },
    /// Offsets and groups that are no longer used are to be forgotten.
    Expiration,
}

/// What happens when a timer is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimerEvent {
    /// The member is out.
    HeartbeatExpired,
    /// A new group waits for more members, or begins its first generation.
    InitialDelay {
        /// The delay that is over now.
        delay_ms: i64,
        /// How much more delay there may be.
        remaining_ms: i64,
    },
    /// Those who have not joined are out.
    JoinExpired,
    /// Those who have not asked for their assignment are out.
    SyncExpired {
        /// Of this generation only.
        generation_id: i32,
    },
    /// Look for offsets to forget.
    Expiration,
}

/// An answer to a caller that waited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// To a JoinGroup.
    Join(JoinReply),
    /// To a SyncGroup.
    Sync(SyncReply),
}

/// How appending records ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// They are below the high watermark.
    Committed,
    /// They are in the log, but were not committed in time. They may still be.
    TimedOut(ErrorCode),
    /// They are not in the log.
    Failed(ErrorCode),
}

impl Stored {
    /// What to answer, unless all went well.
    pub fn error(self) -> Option<ErrorCode> {
        match self {
            Stored::Committed => None,
            Stored::TimedOut(error) | Stored::Failed(error) => Some(error),
        }
    }
}

/// What to do once the records are committed or failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Continuation {
    /// A group was made for the first join.
    GroupCreated {
        /// Which group.
        group_id: Arc<str>,
    },
    /// The last member has left.
    GroupEmptied {
        /// Which group.
        group_id: Arc<str>,
    },
    /// The leader's assignments can be handed out.
    AssignmentsStored {
        /// Which group.
        group_id: Arc<str>,
        /// Of this generation only.
        generation_id: i32,
        /// By member.
        assignments: HashMap<Arc<str>, Bytes>,
    },
    /// A static member goes on under another id.
    StaticMemberReplaced {
        /// Which group.
        group_id: Arc<str>,
        /// Who and how.
        replacement: Replacement,
    },
}

/// What a handler wants done.
#[derive(Debug)]
pub struct Effects {
    /// To append, in this order.
    pub records: Vec<Record>,
    /// Whether the records are handed to [`GroupShard::replay`] after they were appended.
    pub replay: bool,
    /// Whether the records must go into one batch.
    pub atomic: bool,
    /// What comes after the records are committed or failed.
    pub then: Option<Continuation>,
    /// Answers that don't wait for the records.
    pub replies: Vec<(Token, Reply)>,
    /// Timers to set and cancel, in this order.
    pub timers: Vec<TimerChange<TimerKey, TimerEvent>>,
}

impl Default for Effects {
    fn default() -> Self {
        Self {
            records: Vec::new(),
            replay: true,
            atomic: true,
            then: None,
            replies: Vec::new(),
            timers: Vec::new(),
        }
    }
}

impl Effects {
    pub(super) fn append_without_replay(&mut self, record: Record, then: Continuation) {
        debug_assert!(
            self.records.is_empty() && self.then.is_none(),
            "one store at a time"
        );
        self.records.push(record);
        self.replay = false;
        self.then = Some(then);
    }

    pub(super) fn reply_join(&mut self, token: Token, reply: JoinReply) {
        self.replies.push((token, Reply::Join(reply)));
    }

    pub(super) fn reply_sync(&mut self, token: Token, reply: SyncReply) {
        self.replies.push((token, Reply::Sync(reply)));
    }

    pub(super) fn schedule(&mut self, key: TimerKey, delay_ms: i64, event: TimerEvent) {
        self.timers.push(TimerChange::Schedule {
            key,
            delay_ms,
            event,
        });
    }

    pub(super) fn cancel(&mut self, key: TimerKey) {
        self.timers.push(TimerChange::Cancel(key));
    }
}

/// What clients are told when records could not be stored. The codes of the log make no sense to them.
///
/// Kafka: `CoordinatorOperationExceptionHelper.handleOperationException`.
pub fn append_error(error: &ApiError) -> ErrorCode {
    match error.code {
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        | ErrorCode::NOT_ENOUGH_REPLICAS
        | ErrorCode::REQUEST_TIMED_OUT => ErrorCode::COORDINATOR_NOT_AVAILABLE,
        ErrorCode::NOT_LEADER_OR_FOLLOWER | ErrorCode::KAFKA_STORAGE_ERROR => {
            ErrorCode::NOT_COORDINATOR
        }
        ErrorCode::MESSAGE_TOO_LARGE
        | ErrorCode::RECORD_LIST_TOO_LARGE
        | ErrorCode::INVALID_FETCH_SIZE => ErrorCode::UNKNOWN_SERVER_ERROR,
        ErrorCode::NETWORK_EXCEPTION => ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        code => code,
    }
}
