//! What only the active controller can decide, from a broker's listener to there and back.
//!
//! A request goes on as it came, with the client's own header; the answer comes back as it left the
//! controller. If the active controller is that of this node, the row of its table is called.
//! A controller that is not the active one is never the end of it: the next one is asked, until the
//! deadline, and then the client is told REQUEST_TIMED_OUT.
//!
//! Kafka: `ForwardingManager.scala`, `ForwardingManagerUtil.java` (4.3), KIP-590.

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, EnvelopeRequest};
use kafka_shared::{
    error::ErrorCode,
    protocol::{
        codec,
        header::{encode_request_header, response_header_version},
    },
};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::{
    Broker, answer,
    controller::{self, ControllerCx},
};
use crate::{
    controller::{
        Principal,
        channel::{Active, Purpose, SendError, deadline_in},
        error_response::ErrorResponse,
    },
    network::{FrameBuilder, Reply, RequestContext},
};

/// How long the active controller is looked for and waited for.
pub(super) const FORWARDING_TIMEOUT: Duration = Duration::from_secs(60);
/// Size and correlation id of a frame; an empty set of tagged fields follows in flexible versions.
const HEADER_LEN: usize = 8;

/// What came of it, other than an answer of the controller.
enum Failure {
    TimedOut,
    /// Controller and broker don't understand each other.
    Refused,
    /// This version of the request is not spoken by the active controller.
    Unsupported,
}

/// Passes a request on as it came.
pub(super) async fn handle<R: ErrorResponse>(
    broker: &Broker,
    cx: &RequestContext,
    request: R,
    body: Bytes,
) -> Reply {
    match to_controller(broker, cx, R::KEY, body, FORWARDING_TIMEOUT).await {
        Ok(reply) => reply,
        Err(failure) => failed(cx, &request, failure),
    }
}

/// Passes on what a broker has made of its client's request, and reads the answer.
///
/// # Errors
/// What the client is answered when there is none.
pub(super) async fn request<R: ErrorResponse>(
    broker: &Broker,
    cx: &RequestContext,
    request: R,
    timeout: Duration,
) -> Result<R::Response, Reply> {
    let version = cx.header.api_version;
    let mut body = BytesMut::new();
    let encoded = codec::encode_request(&request, version, &mut body);
    let outcome = match encoded {
        Ok(()) => to_controller(broker, cx, R::KEY, body.freeze(), timeout).await,
        Err(_) => Err(Failure::Refused),
    };
    let reply = outcome.map_err(|failure| failed(cx, &request, failure))?;
    let Reply::Frame(frame) = reply else {
        return Err(reply);
    };
    let header_len = HEADER_LEN + usize::from(response_header_version(R::KEY as i16, version) > 0);
    let response = frame.to_bytes().ok().and_then(|mut bytes| {
        let mut body = bytes.split_off(header_len.min(bytes.len()));
        codec::decode_response(&mut body, version).ok()
    });
    response.ok_or_else(|| failed(cx, &request, Failure::Refused))
}

/// A request for topics that a client's request implies.
pub(super) fn in_the_name_of(cx: &RequestContext, version: i16) -> RequestContext {
    let mut asking = cx.clone();
    asking.header.api_key = ApiKey::CreateTopics as i16;
    asking.header.api_version = version;
    asking
}

fn failed<R: ErrorResponse>(cx: &RequestContext, request: &R, failure: Failure) -> Reply {
    let code = match failure {
        Failure::TimedOut => ErrorCode::REQUEST_TIMED_OUT,
        Failure::Refused => ErrorCode::UNKNOWN_SERVER_ERROR,
        // The client comes again and learns which versions there are now.
        Failure::Unsupported => return Reply::Close,
    };
    answer(cx, &request.error_response(&code.into()))
}

async fn to_controller(
    broker: &Broker,
    cx: &RequestContext,
    key: ApiKey,
    body: Bytes,
    timeout: Duration,
) -> Result<Reply, Failure> {
    let deadline = deadline_in(timeout);
    let principal = Arc::new(Principal::anonymous());
    let mut envelope = None;
    loop {
        let active = broker.controller.active(deadline).await;
        match active.ok_or(Failure::TimedOut)? {
            Active::Here(controller) => {
                let cx = ControllerCx {
                    request: cx,
                    controller: &controller,
                    principal: Arc::clone(&principal),
                    is_forwarded: true,
                };
                let routed = controller::route(broker, &cx, key, body.clone()).await;
                if !routed.is_not_controller {
                    return Ok(routed.reply);
                }
            }
            Active::There(remote) => {
                let envelope = match &mut envelope {
                    Some(envelope) => envelope,
                    none => none.insert(sealed(cx, &principal, &body)?),
                };
                let sent = broker
                    .controller
                    .send_to(&remote, Purpose::Forwarding, envelope, deadline)
                    .await;
                match sent {
                    Ok(response) => {
                        let code = ErrorCode(response.error_code);
                        return match (code, response.response_data) {
                            (ErrorCode::NONE, Some(data)) => opened(cx, data),
                            (ErrorCode::UNSUPPORTED_VERSION, _) => Err(Failure::Unsupported),
                            _ => {
                                warn!(error = code.name(), "the controller refused an envelope");
                                Err(Failure::Refused)
                            }
                        };
                    }
                    Err(SendError::TimedOut) => return Err(Failure::TimedOut),
                    Err(SendError::Unsupported(why)) => {
                        warn!("cannot pass requests on: {why}");
                        return Err(Failure::Refused);
                    }
                    Err(SendError::Retry(why)) => {
                        debug!(controller = remote.id, "passing a request on again: {why}");
                    }
                }
            }
        }
        if Instant::now() >= deadline {
            return Err(Failure::TimedOut);
        }
        broker.controller.wait_for_news(deadline).await;
    }
}

/// The request with the client's header, and who the client is.
fn sealed(
    cx: &RequestContext,
    principal: &Principal,
    body: &Bytes,
) -> Result<EnvelopeRequest, Failure> {
    let header = &cx.header;
    let mut data = BytesMut::with_capacity(body.len() + 64);
    let client_id = header.client_id.as_deref();
    let key = header.api().ok_or(Failure::Refused)?;
    encode_request_header(
        key,
        header.api_version,
        header.correlation_id,
        client_id,
        &mut data,
    )
    .map_err(|_| Failure::Refused)?;
    data.extend_from_slice(body);
    let principal = principal.serialize().map_err(|_| Failure::Refused)?;
    let address = match cx.connection.peer_addr.ip().to_canonical() {
        IpAddr::V4(ip) => Bytes::copy_from_slice(&ip.octets()),
        IpAddr::V6(ip) => Bytes::copy_from_slice(&ip.octets()),
    };
    Ok(EnvelopeRequest::default()
        .with_request_data(data.freeze())
        .with_request_principal(Some(principal.into()))
        .with_client_host_address(address))
}

/// The answer to the client out of its envelope, where it stands with its header.
fn opened(cx: &RequestContext, mut data: Bytes) -> Result<Reply, Failure> {
    let header = &cx.header;
    let header_version = response_header_version(header.api_key, header.api_version);
    let expected = header.correlation_id.to_be_bytes();
    let header_len = expected.len() + usize::from(header_version > 0);
    // Kafka defines no tagged fields for the header; one would be the client's to read past.
    let is_whole = data.len() >= header_len
        && data.starts_with(&expected)
        && (header_version == 0 || data[expected.len()] == 0);
    if !is_whole {
        warn!("the controller's answer to a client's request does not belong to it");
        return Err(Failure::Refused);
    }
    let body = data.split_off(header_len);
    let mut frame = FrameBuilder::new(header.correlation_id, header_version);
    frame.push_bytes(body);
    Ok(frame.finish().map_or(Reply::Close, Reply::Frame))
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use kafka_shared::protocol::header::{RequestHeader, parse_request_header};

    use super::*;
    use crate::{controller::tests::frames::recorded, network::ConnectionInfo};

    fn context(header: RequestHeader) -> RequestContext {
        RequestContext {
            header,
            connection: Arc::new(ConnectionInfo {
                id: 1,
                listener: "PLAINTEXT".into(),
                local_addr: "127.0.0.1:9092".parse().unwrap(),
                // As a dual-stack socket shows a client of IPv4.
                peer_addr: "[::ffff:127.0.0.1]:5000".parse().unwrap(),
                client_software: OnceLock::new(),
            }),
            received_at: Instant::now(),
        }
    }

    #[test]
    fn a_clients_request_is_sealed_as_apache_kafkas_brokers_seal_it() {
        let mut frame = recorded("Envelope", "req")[0].clone();
        parse_request_header(&mut frame).unwrap();
        let theirs: EnvelopeRequest = codec::decode_request(&mut frame, 0).unwrap();
        let mut inner = theirs.request_data.clone();
        let header = parse_request_header(&mut inner).unwrap();
        let Ok(ours) = sealed(&context(header), &Principal::anonymous(), &inner) else {
            panic!("it can't be sealed")
        };
        assert_eq!(ours, theirs);
    }

    #[test]
    fn an_answer_that_belongs_to_another_request_is_not_passed_on() {
        let header = RequestHeader {
            api_key: ApiKey::CreateTopics as i16,
            api_version: 7,
            correlation_id: 3,
            client_id: None,
        };
        let cx = context(header);
        let open = |data: &'static [u8]| opened(&cx, Bytes::from_static(data));
        let Ok(Reply::Frame(frame)) = open(b"\0\0\0\x03\0body") else {
            panic!("it is the answer")
        };
        assert_eq!(
            &frame.to_bytes().unwrap()[..],
            b"\0\0\0\x09\0\0\0\x03\0body"
        );
        for other in [&b"\0\0\0\x04\0body"[..], b"\0\0\0\x03", b"\0\0", b""] {
            assert!(open(other).is_err(), "{other:?}");
        }
    }
}
