//! Envelope: a client's request that a broker passes on, with who the client is.
//!
//! The client's request is answered as if it had come over a controller's listener, and its answer
//! travels back in an envelope. What is wrong with the envelope, and that this controller is not
//! the active one, stands on the outside, where the broker reads it; the client never sees it.
//!
//! Kafka: `EnvelopeUtils.scala`, `RequestChannel.Request.buildResponseSend` (4.3), KIP-590.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use kafka_protocol::messages::{EnvelopeRequest, EnvelopeResponse};
use kafka_shared::{error::ErrorCode, protocol::header::parse_request_header};
use tracing::debug;

use super::{
    Node,
    controller::{self, ControllerCx},
};
use crate::{
    controller::Principal,
    network::{ConnectionInfo, Reply, RequestContext},
};

/// The size that stands before every frame.
const SIZE_PREFIX_LEN: usize = 4;

pub(super) async fn handle(
    node: &Node,
    cx: &ControllerCx<'_>,
    request: EnvelopeRequest,
) -> EnvelopeResponse {
    match answer(node, cx, request).await {
        Ok(response) => EnvelopeResponse::default().with_response_data(Some(response)),
        Err(code) => EnvelopeResponse::default().with_error_code(code.0),
    }
}

async fn answer(
    node: &Node,
    cx: &ControllerCx<'_>,
    request: EnvelopeRequest,
) -> Result<Bytes, ErrorCode> {
    let principal = request.request_principal.unwrap_or_default();
    let principal = Principal::deserialize(&principal).map_err(|error| {
        debug!(peer = %cx.request.connection.peer_addr, "envelope without principal: {error}");
        ErrorCode::PRINCIPAL_DESERIALIZATION_FAILURE
    })?;
    let client = address(&request.client_host_address).ok_or(ErrorCode::INVALID_REQUEST)?;
    let mut body = request.request_data;
    // What is in the envelope can't be read: not what is wrong with the envelope itself.
    let unreadable = ErrorCode::UNSUPPORTED_VERSION;
    let header = parse_request_header(&mut body).map_err(|_| unreadable)?;
    let api = controller::find(header.api_key).ok_or(ErrorCode::INVALID_REQUEST)?;
    if !api.is_forwarded {
        return Err(ErrorCode::INVALID_REQUEST);
    }
    if !api.versions.contains(&header.api_version) {
        return Err(unreadable);
    }
    let outer = &cx.request.connection;
    let forwarded = RequestContext {
        header,
        connection: Arc::new(ConnectionInfo {
            id: outer.id,
            listener: Arc::clone(&outer.listener),
            local_addr: outer.local_addr,
            peer_addr: SocketAddr::new(client, 0),
            client_software: OnceLock::new(),
        }),
        received_at: cx.request.received_at,
    };
    let cx = ControllerCx {
        request: &forwarded,
        controller: cx.controller,
        principal: Arc::new(principal),
        is_forwarded: true,
    };
    let routed = controller::route(node, &cx, api.key, body).await;
    if routed.is_not_controller {
        return Err(ErrorCode::NOT_CONTROLLER);
    }
    match routed.reply {
        Reply::Frame(frame) => {
            let frame = frame
                .to_bytes()
                .map_err(|_| ErrorCode::UNKNOWN_SERVER_ERROR)?;
            Ok(frame.slice(SIZE_PREFIX_LEN..))
        }
        Reply::NoResponse | Reply::Close => Err(unreadable),
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}
