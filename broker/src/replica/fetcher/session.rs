//! The fetching side of incremental fetch sessions: what of the wanted partitions has to be told to
//! the leader, and whether its answer goes on with the session.
//!
//! | answer | the next request |
//! | --- | --- |
//! | with the session id, as expected | the session's next epoch, changes only |
//! | session id 0 | full: the leader keeps no session |
//! | `FETCH_SESSION_ID_NOT_FOUND` | full, asking for a new session |
//! | another error, none at all, or partitions that were not asked for | full, ending the session and asking for a new one |
//!
//! Invariant: `sent` is what the leader has been told, so it is also what the request under way asks.
//!
//! Kafka: `clients/FetchSessionHandler.java` (4.3), KIP-227.

use std::collections::HashMap;

use kafka_shared::error::ErrorCode;
use kafka_shared::types::Uuid;

/// A partition in requests to a leader, which name topics by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionKey {
    pub topic_id: Uuid,
    pub partition: i32,
}

/// What is asked of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    pub fetch_offset: i64,
    pub log_start_offset: i64,
    pub leader_epoch: i32,
    pub last_fetched_epoch: Option<i32>,
}

/// The part of a request that concerns sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRequest {
    pub session_id: i32,
    pub session_epoch: i32,
    pub wanted: Vec<(PartitionKey, Wanted)>,
    pub forgotten: Vec<PartitionKey>,
}

/// What to do with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionVerdict {
    /// Its partitions are good.
    Process,
    /// It has nothing to process; the next request may follow at once.
    AskAgain,
    /// It has nothing to process, and asking again at once would not help.
    BackOff,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct LeaderSession {
    id: i32,
    /// Of the next request; 0 asks for a new session.
    epoch: i32,
    sent: HashMap<PartitionKey, Wanted>,
    /// Answers in a row that had nothing to process.
    n_failures: u32,
}

impl LeaderSession {
    /// Whether the next request has to name all partitions.
    pub fn is_full(&self) -> bool {
        self.epoch == 0
    }

    /// What the leader was told last of a partition.
    pub fn sent(&self, key: &PartitionKey) -> Option<&Wanted> {
        self.sent.get(key)
    }

    /// The next request. `candidates` are all partitions for a full request, and otherwise those
    /// that may have changed, with what is wanted of them, or `None` for nothing now. Returns
    /// `None` when there is nothing to ask.
    pub fn request(
        &mut self,
        candidates: impl IntoIterator<Item = (PartitionKey, Option<Wanted>)>,
    ) -> Option<SessionRequest> {
        let is_full = self.is_full();
        if is_full {
            self.sent.clear();
        }
        let (mut wanted, mut forgotten) = (Vec::new(), Vec::new());
        for (key, candidate) in candidates {
            match candidate {
                Some(next) if self.sent.insert(key, next) != Some(next) => {
                    wanted.push((key, next));
                }
                Some(_) => {}
                None if self.sent.remove(&key).is_some() => forgotten.push(key),
                None => {}
            }
        }
        if self.sent.is_empty() && forgotten.is_empty() {
            return None;
        }
        Some(SessionRequest {
            session_id: self.id,
            session_epoch: self.epoch,
            wanted,
            forgotten,
        })
    }

    /// The request got no answer.
    pub fn on_failure(&mut self) {
        self.epoch = 0;
    }

    /// Takes note of an answer with partitions `keys`.
    pub fn on_response(
        &mut self,
        error: ErrorCode,
        session_id: i32,
        keys: impl Iterator<Item = PartitionKey> + Clone,
    ) -> SessionVerdict {
        let problem = match error {
            ErrorCode::NONE => {
                let is_foreign = keys.clone().any(|key| !self.sent.contains_key(&key));
                let is_incomplete = self.is_full() && keys.clone().count() < self.sent.len();
                is_foreign || is_incomplete
            }
            _ => true,
        };
        if problem {
            self.n_failures += 1;
            if error == ErrorCode::FETCH_SESSION_ID_NOT_FOUND {
                self.id = 0;
            }
            self.epoch = 0;
            let is_of_session = matches!(
                error,
                ErrorCode::FETCH_SESSION_ID_NOT_FOUND | ErrorCode::INVALID_FETCH_SESSION_EPOCH
            );
            return if is_of_session && self.n_failures == 1 {
                SessionVerdict::AskAgain
            } else {
                SessionVerdict::BackOff
            };
        }
        self.n_failures = 0;
        if session_id == 0 {
            (self.id, self.epoch) = (0, 0);
        } else {
            self.epoch = match self.epoch {
                0 | i32::MAX => 1,
                epoch => epoch + 1,
            };
            self.id = session_id;
        }
        SessionVerdict::Process
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(partition: i32) -> PartitionKey {
        PartitionKey {
            topic_id: Uuid::from_u128(1000),
            partition,
        }
    }

    fn wanted(fetch_offset: i64) -> Wanted {
        Wanted {
            fetch_offset,
            log_start_offset: 0,
            leader_epoch: 3,
            last_fetched_epoch: Some(2),
        }
    }

    /// The request as `id/epoch wanted partitions - forgotten ones`.
    fn ask(session: &mut LeaderSession, candidates: &[(i32, Option<i64>)]) -> String {
        let candidates = candidates.iter().map(|(p, w)| (key(*p), w.map(wanted)));
        let Some(request) = session.request(candidates) else {
            return "nothing".to_owned();
        };
        let wanted: Vec<String> = request
            .wanted
            .iter()
            .map(|(key, wanted)| format!("{}@{}", key.partition, wanted.fetch_offset))
            .collect();
        let forgotten: Vec<i32> = request.forgotten.iter().map(|key| key.partition).collect();
        format!(
            "{}/{} {} -{forgotten:?}",
            request.session_id,
            request.session_epoch,
            wanted.join(",")
        )
    }

    fn answer(session: &mut LeaderSession, error: i16, id: i32, keys: &[i32]) -> SessionVerdict {
        session.on_response(ErrorCode(error), id, keys.iter().map(|p| key(*p)))
    }

    #[test]
    fn a_session_tells_only_what_changed() {
        let mut session = LeaderSession::default();
        assert_eq!(ask(&mut session, &[]), "nothing");
        let all = [(0, Some(5)), (1, None), (2, Some(7))];
        assert_eq!(ask(&mut session, &all), "0/0 0@5,2@7 -[]");
        assert_eq!(
            answer(&mut session, 0, 99, &[0, 2]),
            SessionVerdict::Process
        );
        assert_eq!(ask(&mut session, &[]), "99/1  -[]");
        assert_eq!(answer(&mut session, 0, 99, &[2]), SessionVerdict::Process);
        let changed = [(0, Some(5)), (1, Some(1)), (2, Some(9))];
        assert_eq!(ask(&mut session, &changed), "99/2 1@1,2@9 -[]");
        assert_eq!(session.sent(&key(2)), Some(&wanted(9)));
        assert_eq!(answer(&mut session, 0, 99, &[]), SessionVerdict::Process);
        let gone = [(0, None), (1, None), (3, None)];
        assert_eq!(ask(&mut session, &gone), "99/3  -[0, 1]");
        assert_eq!(answer(&mut session, 0, 99, &[]), SessionVerdict::Process);
        assert_eq!(ask(&mut session, &[(2, None)]), "99/4  -[2]");
        assert_eq!(answer(&mut session, 0, 0, &[]), SessionVerdict::Process);
        assert_eq!(ask(&mut session, &[]), "nothing");
    }

    #[test]
    fn a_leader_without_sessions_is_asked_for_everything_every_time() {
        let mut session = LeaderSession::default();
        for _ in 0..2 {
            assert_eq!(ask(&mut session, &[(0, Some(5))]), "0/0 0@5 -[]");
            assert_eq!(answer(&mut session, 0, 0, &[0]), SessionVerdict::Process);
        }
    }

    #[test]
    fn whatever_breaks_the_session_leads_to_a_full_request() {
        for (error, keys, verdict, next) in [
            (70, &[][..], SessionVerdict::AskAgain, "0/0 0@5 -[]"),
            (71, &[], SessionVerdict::AskAgain, "9/0 0@5 -[]"),
            (106, &[], SessionVerdict::BackOff, "9/0 0@5 -[]"),
            (-1, &[], SessionVerdict::BackOff, "9/0 0@5 -[]"),
            (0, &[4], SessionVerdict::BackOff, "9/0 0@5 -[]"),
        ] {
            let mut session = LeaderSession::default();
            ask(&mut session, &[(0, Some(5))]);
            answer(&mut session, 0, 9, &[0]);
            ask(&mut session, &[]);
            assert_eq!(answer(&mut session, error, 9, keys), verdict, "{error}");
            assert_eq!(ask(&mut session, &[(0, Some(5))]), next, "{error}");
            // A leader that goes on refusing is not asked without a pause.
            let again = answer(&mut session, error.max(1), 0, &[]);
            assert_eq!(again, SessionVerdict::BackOff, "{error}");
        }
        let mut session = LeaderSession::default();
        ask(&mut session, &[(0, Some(5)), (1, Some(5))]);
        assert_eq!(answer(&mut session, 0, 9, &[0]), SessionVerdict::BackOff);
        ask(&mut session, &[(0, Some(5))]);
        answer(&mut session, 0, 9, &[0]);
        session.on_failure();
        assert_eq!(ask(&mut session, &[(0, Some(5))]), "9/0 0@5 -[]");
    }
}
