//! The request header, until `kafka_shared::protocol::header` replaces it.

use bytes::{Buf, Bytes};
use kafka_protocol::protocol::StrBytes;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHeader {
    pub api_key: i16,
    pub api_version: i16,
    pub correlation_id: i32,
    pub client_id: Option<StrBytes>,
}

pub fn parse_request_header(bytes: &mut Bytes) -> Result<RequestHeader, &'static str> {
    if bytes.len() < 10 {
        return Err("too short");
    }
    let api_key = bytes.get_i16();
    let api_version = bytes.get_i16();
    let correlation_id = bytes.get_i32();
    let len = bytes.get_i16();
    let client_id = match usize::try_from(len) {
        Err(_) => None,
        Ok(len) if len <= bytes.len() => {
            Some(StrBytes::try_from(bytes.split_to(len)).map_err(|_| "client id is not UTF-8")?)
        }
        Ok(_) => return Err("client id is cut off"),
    };
    Ok(RequestHeader {
        api_key,
        api_version,
        correlation_id,
        client_id,
    })
}
