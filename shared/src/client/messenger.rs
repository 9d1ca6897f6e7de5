//! The part of a connection without a socket: which requests are under way, which response answers
//! which request, and when a request has waited long enough.
//!
//! A request that ran out of time stays here without its waiter until its response comes, so that a
//! late response is told from one that nobody asked for. Times are milliseconds of any clock that
//! doesn't go back.

use std::collections::HashMap;

use bytes::Bytes;
use kafka_protocol::messages::ApiKey;

use crate::protocol::header;

/// A request under way.
#[derive(Debug)]
struct InFlight<W> {
    key: ApiKey,
    version: i16,
    deadline_ms: u64,
    /// None when nobody waits any more.
    waiter: Option<W>,
}

/// The requests under way on one connection; `W` is whatever wants the answer.
#[derive(Debug)]
pub(super) struct Messenger<W> {
    next_correlation_id: i32,
    in_flight: HashMap<i32, InFlight<W>>,
    in_flight_max: usize,
}

impl<W> Messenger<W> {
    pub(super) fn new(in_flight_max: usize) -> Messenger<W> {
        Messenger {
            next_correlation_id: 0,
            in_flight: HashMap::new(),
            in_flight_max,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.in_flight.len() < self.in_flight_max
    }

    /// Notes a request that is about to be sent and gives its correlation id. Call it only when
    /// [`Messenger::has_room`].
    pub(super) fn begin(&mut self, key: ApiKey, version: i16, deadline_ms: u64, waiter: W) -> i32 {
        let mut correlation_id = self.next_correlation_id;
        while self.in_flight.contains_key(&correlation_id) {
            correlation_id = next(correlation_id);
        }
        self.next_correlation_id = next(correlation_id);
        let request = InFlight {
            key,
            version,
            deadline_ms,
            waiter: Some(waiter),
        };
        self.in_flight.insert(correlation_id, request);
        correlation_id
    }

    /// Takes a response's frame: who waits for it (if anybody still does), and the body.
    ///
    /// # Errors
    /// A response that is too short, or that answers no request under way.
    pub(super) fn answer(&mut self, mut frame: Bytes) -> Result<Option<(W, Bytes)>, String> {
        let length = frame.len();
        let correlation_id = header::parse_correlation_id(&mut frame)
            .map_err(|_| format!("a response of {length} bytes"))?;
        let request = self.in_flight.remove(&correlation_id).ok_or_else(|| {
            format!("a response to request {correlation_id}, which was not asked for")
        })?;
        header::parse_response_header_rest(request.key, request.version, &mut frame)
            .map_err(|error| format!("a response with a broken header: {error}"))?;
        Ok(request.waiter.map(|waiter| (waiter, frame)))
    }

    /// When [`Messenger::expire`] has something to do; None when never.
    pub(super) fn next_deadline_ms(&self) -> Option<u64> {
        let waited_for = self
            .in_flight
            .values()
            .filter(|request| request.waiter.is_some());
        waited_for.map(|request| request.deadline_ms).min()
    }

    /// The waiters of the requests whose time is up at `now_ms`.
    pub(super) fn expire(&mut self, now_ms: u64) -> Vec<W> {
        let late = self
            .in_flight
            .values_mut()
            .filter(|request| request.deadline_ms <= now_ms);
        late.filter_map(|request| request.waiter.take()).collect()
    }

    /// Everybody who still waits, when the connection is lost.
    pub(super) fn drain(&mut self) -> Vec<W> {
        self.in_flight
            .drain()
            .filter_map(|(_, request)| request.waiter)
            .collect()
    }
}

/// Correlation ids are not negative, which makes them readable in a broker's log.
fn next(correlation_id: i32) -> i32 {
    correlation_id.checked_add(1).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(correlation_id: i32, rest: &[u8]) -> Bytes {
        [&correlation_id.to_be_bytes()[..], rest].concat().into()
    }

    #[test]
    fn responses_find_their_requests_in_any_order() {
        let mut messenger = Messenger::new(10);
        let old = messenger.begin(ApiKey::Metadata, 8, 100, "old");
        let flexible = messenger.begin(ApiKey::Metadata, 9, 100, "flexible");
        let versions = messenger.begin(ApiKey::ApiVersions, 4, 100, "versions");
        let body = |bytes: &'static [u8]| Bytes::from_static(bytes);
        let answer = messenger.answer(frame(versions, b"x"));
        assert_eq!(answer, Ok(Some(("versions", body(b"x")))));
        let answer = messenger.answer(frame(flexible, b"\x00y"));
        assert_eq!(answer, Ok(Some(("flexible", body(b"y")))));
        assert_eq!(
            messenger.answer(frame(old, b"z")),
            Ok(Some(("old", body(b"z"))))
        );
        assert!(
            messenger.answer(frame(old, b"z")).is_err(),
            "answered twice"
        );
    }

    #[test]
    fn a_late_response_is_dropped_and_a_wrong_one_is_an_error() {
        let mut messenger = Messenger::new(10);
        let slow = messenger.begin(ApiKey::Fetch, 12, 100, "slow");
        messenger.begin(ApiKey::Fetch, 12, 200, "slower");
        assert_eq!(messenger.next_deadline_ms(), Some(100));
        assert_eq!(messenger.expire(99), Vec::<&str>::new());
        assert_eq!(messenger.expire(100), ["slow"]);
        assert_eq!(messenger.next_deadline_ms(), Some(200));
        assert_eq!(messenger.answer(frame(slow, b"\x00late")), Ok(None));
        assert!(messenger.answer(frame(77, b"\x00")).is_err());
        assert!(messenger.answer(Bytes::from_static(&[0, 0])).is_err());
        assert_eq!(messenger.drain(), ["slower"]);
        assert_eq!(messenger.next_deadline_ms(), None);
    }

    #[test]
    fn an_abandoned_request_still_takes_its_place() {
        let mut messenger = Messenger::new(1);
        let id = messenger.begin(ApiKey::Fetch, 12, 1, ());
        messenger.expire(1);
        assert!(!messenger.has_room());
        messenger.answer(frame(id, b"\x00")).unwrap();
        assert!(messenger.has_room());
    }

    #[test]
    fn correlation_ids_wrap_around_requests_that_are_still_under_way() {
        let mut messenger = Messenger::new(10);
        assert_eq!(messenger.begin(ApiKey::Fetch, 12, 1, ()), 0);
        messenger.next_correlation_id = i32::MAX;
        assert_eq!(messenger.begin(ApiKey::Fetch, 12, 1, ()), i32::MAX);
        assert_eq!(messenger.begin(ApiKey::Fetch, 12, 1, ()), 1);
    }
}
