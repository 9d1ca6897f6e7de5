//! Which versions a broker speaks, and how to ask for them.
//!
//! The question is asked in the newest version that is spoken here. A broker that doesn't know it
//! answers with error 35 in the oldest form and says which versions of the question it knows, and
//! is asked again in the newest of those (KIP-511). Without a socket: [`Negotiation`] says what to
//! send and is told what came back.
//!
//! Kafka: `clients/NetworkClient.java`, `common/requests/ApiVersionsResponse.java` (4.3).

use std::ops::RangeInclusive;

use bytes::Bytes;
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};

use crate::error::{ApiError, ErrorCode};
use crate::protocol::{StrBytes, api, codec};

/// The versions that a broker speaks, by API key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ApiVersions {
    /// Sorted by key.
    ranges: Vec<(i16, RangeInclusive<i16>)>,
}

impl ApiVersions {
    fn new(response: &ApiVersionsResponse) -> ApiVersions {
        let mut ranges: Vec<_> = response
            .api_keys
            .iter()
            .map(|api| (api.api_key, api.min_version..=api.max_version))
            .collect();
        ranges.sort_by_key(|(key, _)| *key);
        ApiVersions { ranges }
    }

    /// What the broker advertises for a key; None when it doesn't serve it.
    pub fn get(&self, key: i16) -> Option<RangeInclusive<i16>> {
        let index = self
            .ranges
            .binary_search_by_key(&key, |(key, _)| *key)
            .ok()?;
        Some(self.ranges[index].1.clone())
    }

    /// All keys with their versions, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (i16, RangeInclusive<i16>)> + '_ {
        self.ranges.iter().cloned()
    }

    /// The newest version of an API that both sides speak and that isn't above `version_max`.
    pub fn newest_common(&self, key: ApiKey, version_max: i16) -> Option<i16> {
        let theirs = self.get(key as i16)?;
        let ours = api::codec_versions(key);
        let newest = version_max.min(*theirs.end()).min(*ours.end());
        (newest >= *theirs.start() && newest >= *ours.start()).then_some(newest)
    }
}

/// How far the question has got.
#[derive(Debug)]
pub(super) struct Negotiation {
    version: i16,
}

/// What to do after an answer.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    Done(ApiVersions),
    AskAgain,
}

impl Negotiation {
    pub(super) fn new() -> Negotiation {
        Negotiation {
            version: *api::codec_versions(ApiKey::ApiVersions).end(),
        }
    }

    /// The version in which to ask now.
    pub(super) fn version(&self) -> i16 {
        self.version
    }

    pub(super) fn request(&self, name: &str, version: &str) -> ApiVersionsRequest {
        let request = ApiVersionsRequest::default();
        if self.version < 3 {
            return request;
        }
        request
            .with_client_software_name(StrBytes::from_string(name.to_owned()))
            .with_client_software_version(StrBytes::from_string(version.to_owned()))
    }

    /// Reads the answer to the question in the current version.
    ///
    /// # Errors
    /// An error other than 35, an answer that cannot be read, or no version in common.
    pub(super) fn answer(&mut self, mut body: Bytes) -> Result<Answer, String> {
        let unsupported = ErrorCode::UNSUPPORTED_VERSION.0.to_be_bytes();
        // The error is the first field in every version, and with this one the rest is version 0.
        let is_refused = body.starts_with(&unsupported);
        let version = if is_refused { 0 } else { self.version };
        let response: ApiVersionsResponse =
            codec::decode_response(&mut body, version).map_err(|error| error.to_string())?;
        if is_refused {
            return self
                .come_down(&ApiVersions::new(&response))
                .map(|()| Answer::AskAgain);
        }
        ApiError::check(response.error_code, None).map_err(|error| error.to_string())?;
        Ok(Answer::Done(ApiVersions::new(&response)))
    }

    /// Every step goes down, so there are few.
    fn come_down(&mut self, theirs: &ApiVersions) -> Result<(), String> {
        let refused = self.version;
        let next = match theirs.get(ApiKey::ApiVersions as i16) {
            // Brokers before Kafka 2.4 don't say; all of them know version 0.
            None => Some(0),
            Some(_) => theirs.newest_common(ApiKey::ApiVersions, refused - 1),
        };
        let next = next.filter(|version| *version < refused);
        self.version = next.ok_or_else(|| {
            format!("it refuses version {refused} of the question and names no other")
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use kafka_protocol::messages::api_versions_response::ApiVersion;

    fn answer(error_code: i16, ranges: &[(i16, i16, i16)], version: i16) -> Bytes {
        let range = |&(key, min, max): &(i16, i16, i16)| {
            ApiVersion::default()
                .with_api_key(key)
                .with_min_version(min)
                .with_max_version(max)
        };
        let response = ApiVersionsResponse::default()
            .with_error_code(error_code)
            .with_api_keys(ranges.iter().map(range).collect());
        let mut buffer = BytesMut::new();
        codec::encode_response(&response, version, &mut buffer).unwrap();
        buffer.freeze()
    }

    #[test]
    fn a_broker_that_knows_the_newest_version_answers_at_once() {
        let mut negotiation = Negotiation::new();
        assert_eq!(negotiation.version(), 4);
        let Ok(Answer::Done(versions)) =
            negotiation.answer(answer(0, &[(3, 0, 13), (0, 3, 99)], 4))
        else {
            panic!("not done");
        };
        assert_eq!(versions.get(3), Some(0..=13));
        assert_eq!(versions.get(1), None);
        assert_eq!(versions.newest_common(ApiKey::Produce, i16::MAX), Some(13));
        assert_eq!(versions.newest_common(ApiKey::Produce, 9), Some(9));
        assert_eq!(versions.newest_common(ApiKey::Produce, 2), None);
        assert_eq!(versions.newest_common(ApiKey::Fetch, i16::MAX), None);
        assert_eq!(versions.iter().count(), 2);
    }

    #[test]
    fn an_older_broker_is_asked_in_the_version_that_it_names() {
        for (ranges, expected) in [
            (&[(18, 0, 2)][..], 2),
            (&[(18, 0, 3)], 3),
            (&[], 0),
            (&[(3, 0, 1)], 0),
        ] {
            let mut negotiation = Negotiation::new();
            assert_eq!(
                negotiation.answer(answer(35, ranges, 0)),
                Ok(Answer::AskAgain)
            );
            assert_eq!(negotiation.version(), expected);
            let done = negotiation
                .answer(answer(0, &[(18, 0, expected)], expected))
                .unwrap();
            assert!(matches!(done, Answer::Done(_)));
        }
    }

    #[test]
    fn a_broker_that_refuses_everything_is_not_asked_for_ever() {
        for ranges in [&[(18, 0, 9)][..], &[(18, 5, 9)], &[]] {
            let mut negotiation = Negotiation::new();
            let refused = (0..10).find_map(|_| negotiation.answer(answer(35, ranges, 0)).err());
            assert!(refused.is_some(), "{ranges:?}");
        }
    }

    #[test]
    fn other_errors_and_nonsense_are_told() {
        let mut negotiation = Negotiation::new();
        assert!(
            negotiation
                .answer(answer(33, &[], 4))
                .unwrap_err()
                .contains("UNSUPPORTED_SASL")
        );
        assert!(
            negotiation
                .answer(Bytes::from_static(b"HTTP/1.1 400"))
                .is_err()
        );
        assert!(negotiation.answer(Bytes::new()).is_err());
    }
}
