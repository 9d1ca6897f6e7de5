//! The part of a connection without a socket: which requests are under way and which response
//! answers which request.
//!
//! It knows no time. A caller that has given up leaves its request here until the response comes,
//! so that a late response is told from one that nobody asked for.

use std::collections::HashMap;

use crate::protocol::header;
use bytes::Bytes;

/// A request under way.
#[derive(Debug)]
struct InFlight<W> {
    key: i16,
    version: i16,
    waiter: W,
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
    pub(super) fn begin(&mut self, key: i16, version: i16, waiter: W) -> i32 {
        let mut correlation_id = self.next_correlation_id;
        while self.in_flight.contains_key(&correlation_id) {
            correlation_id = next(correlation_id);
        }
        self.next_correlation_id = next(correlation_id);
        self.in_flight.insert(
            correlation_id,
            InFlight {
                key,
                version,
                waiter,
            },
        );
        correlation_id
    }

    /// Takes a response's frame: who waits for it, and the body.
    ///
    /// # Errors
    /// A response that is too short, or that answers no request under way.
    pub(super) fn answer(&mut self, mut frame: Bytes) -> Result<(W, Bytes), String> {
        let length = frame.len();
        let correlation_id = header::parse_correlation_id(&mut frame)
            .map_err(|_| format!("a response of {length} bytes"))?;
        let request = self.in_flight.get(&correlation_id).ok_or_else(|| {
            format!("a response to request {correlation_id}, which was not asked for")
        })?;
        header::parse_response_header_rest_of(request.key, request.version, &mut frame)
            .map_err(|error| format!("a response with a broken header: {error}"))?;
        let request = self
            .in_flight
            .remove(&correlation_id)
            .expect("it was found above");
        Ok((request.waiter, frame))
    }

    /// Everybody whose request is under way, when the connection is lost.
    pub(super) fn drain(&mut self) -> Vec<W> {
        self.in_flight
            .drain()
            .map(|(_, request)| request.waiter)
            .collect()
    }
}

/// Correlation ids are not negative, which makes them readable in a broker's log.
fn next(correlation_id: i32) -> i32 {
    correlation_id.checked_add(1).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::ApiKey;

    use super::*;

    fn frame(correlation_id: i32, rest: &[u8]) -> Bytes {
        [&correlation_id.to_be_bytes()[..], rest].concat().into()
    }

    #[test]
    fn responses_find_their_requests_in_any_order() {
        let mut messenger = Messenger::new(10);
        let old = messenger.begin(ApiKey::Metadata as i16, 8, "old");
        let flexible = messenger.begin(ApiKey::Metadata as i16, 9, "flexible");
        let versions = messenger.begin(ApiKey::ApiVersions as i16, 4, "versions");
        let body = |bytes: &'static [u8]| Bytes::from_static(bytes);
        assert_eq!(
            messenger.answer(frame(versions, b"x")),
            Ok(("versions", body(b"x")))
        );
        assert_eq!(
            messenger.answer(frame(flexible, b"\x00y")),
            Ok(("flexible", body(b"y")))
        );
        assert_eq!(messenger.answer(frame(old, b"z")), Ok(("old", body(b"z"))));
        assert!(
            messenger.answer(frame(old, b"z")).is_err(),
            "answered twice"
        );
    }

    #[test]
    fn a_response_that_was_not_asked_for_is_an_error_and_nobody_is_forgotten() {
        let mut messenger = Messenger::new(10);
        let id = messenger.begin(ApiKey::Fetch as i16, 12, "fetch");
        assert!(messenger.answer(frame(77, b"\x00")).is_err());
        assert!(messenger.answer(Bytes::from_static(&[0, 0])).is_err());
        assert!(
            messenger.answer(frame(id, b"")).is_err(),
            "its header is cut"
        );
        assert_eq!(messenger.drain(), ["fetch"]);
    }

    #[test]
    fn a_request_takes_its_place_until_it_is_answered() {
        let mut messenger = Messenger::new(1);
        let id = messenger.begin(ApiKey::Fetch as i16, 12, ());
        assert!(!messenger.has_room());
        messenger.answer(frame(id, b"\x00")).unwrap();
        assert!(messenger.has_room());
    }

    #[test]
    fn correlation_ids_wrap_around_requests_that_are_still_under_way() {
        let mut messenger = Messenger::new(10);
        assert_eq!(messenger.begin(ApiKey::Fetch as i16, 12, ()), 0);
        messenger.next_correlation_id = i32::MAX;
        assert_eq!(messenger.begin(ApiKey::Fetch as i16, 12, ()), i32::MAX);
        assert_eq!(messenger.begin(ApiKey::Fetch as i16, 12, ()), 1);
    }
}
