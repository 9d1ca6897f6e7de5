//! The headers of requests and responses.
//!
//! The key, the version and the correlation id come first in every request there has ever been, so
//! they are known before anything can fail: a request of an unknown API or version can still be
//! answered. An ApiVersions response always has the oldest header, because a client reads it before
//! it knows what the broker speaks (KIP-511).
//!
//! Kafka: `common/requests/RequestHeader.java`, `RequestHeader.json`, `ResponseHeader.json` (4.3).

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::StrBytes;

use super::shape;
use super::wire::{self, Reader, WireError};

/// Tagged fields in a header that are read past; Kafka defines none.
const TAGGED_FIELDS_MAX: u32 = 64;

/// What stands before the body of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    pub api_key: i16,
    pub api_version: i16,
    pub correlation_id: i32,
    /// A slice of the frame: copy it to keep it.
    pub client_id: Option<StrBytes>,
}

impl RequestHeader {
    /// The API, if messages of it can be coded here at all (in whatever version).
    pub fn api(&self) -> Option<ApiKey> {
        super::api::from_key(self.api_key)
    }
}

/// Why a frame has no header that could be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("a frame of {0} bytes is too short for a request header")]
    TooShort(usize),
    #[error("the header of a request of API {api_key} version {api_version} is broken: {reason}")]
    Malformed {
        api_key: i16,
        api_version: i16,
        reason: WireError,
    },
}

/// The version of the request header that goes with a version of an API. Unknown APIs have 1.
pub fn request_header_version(api_key: i16, api_version: i16) -> i16 {
    match super::api::from_key(api_key) {
        Some(key) if api_version >= shape::first_flexible_version(key) => 2,
        None if super::own::is_flexible(api_key) => 2,
        _ => 1,
    }
}

/// The version of the response header that goes with a version of an API.
pub fn response_header_version(api_key: i16, api_version: i16) -> i16 {
    if api_key == ApiKey::ApiVersions as i16 {
        return 0;
    }
    request_header_version(api_key, api_version) - 1
}

/// Takes the header from the front of a request's frame; what is left is the body.
///
/// For an API that is unknown here, and for a version newer than the known ones, whatever follows
/// the correlation id is read if it looks like a header and passed over if it doesn't.
///
/// # Errors
/// Fewer than eight bytes; or a broken client id or tagged fields of an API that is known.
pub fn parse_request_header(frame: &mut Bytes) -> Result<RequestHeader, HeaderError> {
    if frame.len() < 8 {
        return Err(HeaderError::TooShort(frame.len()));
    }
    let api_key = frame.get_i16();
    let api_version = frame.get_i16();
    let correlation_id = frame.get_i32();
    let mut header = RequestHeader {
        api_key,
        api_version,
        correlation_id,
        client_id: None,
    };
    let known = header.api().is_some_and(|key| {
        let versions = super::api::codec_versions(key);
        api_version <= *versions.end()
    });
    match parse_rest(frame, request_header_version(api_key, api_version)) {
        Ok(client_id) => header.client_id = client_id,
        Err(reason) if known => {
            return Err(HeaderError::Malformed {
                api_key,
                api_version,
                reason,
            });
        }
        Err(_) => {}
    }
    Ok(header)
}

/// The client id and, in version 2, the tagged fields.
fn parse_rest(frame: &mut Bytes, header_version: i16) -> Result<Option<StrBytes>, WireError> {
    let mut reader = Reader::new(frame);
    let client_id = match reader.int16()? {
        -1 => None,
        length => {
            let length = usize::try_from(length).map_err(|_| WireError::BadLength)?;
            Some(lossy(reader.take(length)?))
        }
    };
    if header_version >= 2 {
        skip_tagged_fields(&mut reader)?;
    }
    Ok(client_id)
}

/// Text that isn't UTF-8 is kept with replacement characters, as Java reads it.
fn lossy(bytes: Bytes) -> StrBytes {
    match StrBytes::from_utf8(bytes.clone()) {
        Ok(text) => text,
        Err(_) => StrBytes::from_string(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

fn skip_tagged_fields(reader: &mut Reader<'_>) -> Result<(), WireError> {
    let count = reader.uvarint()?;
    if count > TAGGED_FIELDS_MAX {
        return Err(WireError::BadLength);
    }
    for _ in 0..count {
        reader.uvarint()?;
        let size = reader.uvarint()?;
        reader.take(size as usize)?;
    }
    Ok(())
}

/// Writes the header of a request.
///
/// # Errors
/// A client id of more than 32,767 bytes.
pub fn encode_request_header(
    key: ApiKey,
    api_version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
    buffer: &mut BytesMut,
) -> Result<(), WireError> {
    encode_request_header_of(key as i16, api_version, correlation_id, client_id, buffer)
}

/// As [`encode_request_header`], of whatever API.
pub(super) fn encode_request_header_of(
    key: i16,
    api_version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
    buffer: &mut BytesMut,
) -> Result<(), WireError> {
    buffer.put_i16(key);
    buffer.put_i16(api_version);
    buffer.put_i32(correlation_id);
    match client_id {
        None => buffer.put_i16(-1),
        Some(text) => {
            buffer.put_i16(i16::try_from(text.len()).map_err(|_| WireError::BadLength)?);
            buffer.put_slice(text.as_bytes());
        }
    }
    if request_header_version(key, api_version) >= 2 {
        wire::put_uvarint(buffer, 0);
    }
    Ok(())
}

/// Writes the header of a response.
pub fn encode_response_header(
    key: ApiKey,
    api_version: i16,
    correlation_id: i32,
    buffer: &mut BytesMut,
) {
    buffer.put_i32(correlation_id);
    if response_header_version(key as i16, api_version) >= 1 {
        wire::put_uvarint(buffer, 0);
    }
}

/// Takes the correlation id from the front of a response's frame: it says which request is
/// answered, and so which header version the rest has.
pub fn parse_correlation_id(frame: &mut Bytes) -> Result<i32, WireError> {
    Reader::new(frame).int32()
}

/// Takes what follows the correlation id in a response's header.
pub fn parse_response_header_rest(
    key: ApiKey,
    api_version: i16,
    frame: &mut Bytes,
) -> Result<(), WireError> {
    parse_response_header_rest_of(key as i16, api_version, frame)
}

/// As [`parse_response_header_rest`], of whatever API.
pub(crate) fn parse_response_header_rest_of(
    key: i16,
    api_version: i16,
    frame: &mut Bytes,
) -> Result<(), WireError> {
    if response_header_version(key, api_version) >= 1 {
        skip_tagged_fields(&mut Reader::new(frame))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> (Result<RequestHeader, HeaderError>, Vec<u8>) {
        let mut frame = Bytes::copy_from_slice(bytes);
        (parse_request_header(&mut frame), frame.to_vec())
    }

    #[test]
    fn headers_are_read_as_written_in_both_versions() {
        for (key, version, header_version) in [
            (ApiKey::Metadata, 8, 1),
            (ApiKey::Metadata, 9, 2),
            (ApiKey::SaslHandshake, 1, 1),
        ] {
            assert_eq!(request_header_version(key as i16, version), header_version);
            for client_id in [None, Some(""), Some("me")] {
                let mut buffer = BytesMut::new();
                encode_request_header(key, version, 7, client_id, &mut buffer).unwrap();
                buffer.put_slice(b"body");
                let (header, rest) = parse(&buffer);
                let header = header.unwrap();
                assert_eq!((header.api_key, header.api_version), (key as i16, version));
                assert_eq!(
                    (header.correlation_id, header.client_id.as_deref()),
                    (7, client_id)
                );
                assert_eq!(rest, b"body");
            }
        }
    }

    #[test]
    fn a_frame_that_is_too_short_is_an_error() {
        for length in 0..8 {
            assert_eq!(
                parse(&vec![0; length]).0,
                Err(HeaderError::TooShort(length))
            );
        }
    }

    #[test]
    fn unknown_apis_and_versions_still_have_key_version_and_correlation_id() {
        for (key, version) in [(999i16, 0i16), (-1, -1), (88, 0), (18, 5), (3, 100)] {
            for rest in [
                &b""[..],
                &[0xff, 0xff],
                &[0x7f, 0xff, 1],
                &[0, 1, b'c', 0xff, 0xff],
            ] {
                let mut bytes = key.to_be_bytes().to_vec();
                bytes.extend(version.to_be_bytes());
                bytes.extend(42i32.to_be_bytes());
                bytes.extend(rest);
                let header = parse(&bytes).0.unwrap();
                assert_eq!((header.api_key, header.api_version), (key, version));
                assert_eq!(header.correlation_id, 42);
            }
        }
    }

    #[test]
    fn a_broken_header_of_a_known_version_is_an_error() {
        let head = [0, 3, 0, 9, 0, 0, 0, 1];
        for rest in [
            &[][..],
            &[0],
            &[0, 5, b'a'],
            &[0xff, 0xfe],
            &[0xff, 0xff],
            &[0xff, 0xff, 65],
        ] {
            let (header, _) = parse(&[&head[..], rest].concat());
            assert!(
                matches!(header, Err(HeaderError::Malformed { api_key: 3, .. })),
                "{rest:?}"
            );
        }
    }

    #[test]
    fn a_client_id_that_is_not_text_is_shown_as_java_shows_it() {
        let (header, _) = parse(&[0, 3, 0, 1, 0, 0, 0, 1, 0, 2, b'a', 0xff]);
        assert_eq!(header.unwrap().client_id.as_deref(), Some("a\u{fffd}"));
    }

    #[test]
    fn header_versions_agree_with_the_generated_ones() {
        for key in ApiKey::iter() {
            for version in super::super::api::codec_versions(key) {
                let (key_number, name) = (key as i16, format!("{key:?} {version}"));
                let request = key.request_header_version(version);
                assert_eq!(
                    request_header_version(key_number, version),
                    request,
                    "{name}"
                );
                let response = key.response_header_version(version);
                assert_eq!(
                    response_header_version(key_number, version),
                    response,
                    "{name}"
                );
            }
        }
        assert_eq!(response_header_version(18, 5), 0);
    }
}
