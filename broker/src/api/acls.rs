//! CreateAcls (30), DeleteAcls (31) and DescribeAcls (29): there is no authorizer, and so nothing that
//! could be allowed or denied.
//!
//! Entries that the metadata log holds all the same, written when another controller led, are kept
//! and passed on in snapshots.
//!
//! Kafka: `AclApis.scala` (4.3).

use kafka_protocol::messages::{DescribeAclsRequest, DescribeAclsResponse};
use kafka_shared::error::{ApiError, ErrorCode};

use crate::controller::error_response::ErrorResponse;

pub(super) fn describe(request: &DescribeAclsRequest) -> DescribeAclsResponse {
    let message = "No Authorizer is configured on the broker";
    request.error_response(&ApiError::new(ErrorCode::SECURITY_DISABLED, message))
}

/// The answer to who wants to create or delete entries: for each of them, that it can't be.
pub(super) fn alter<R: ErrorResponse>(request: &R) -> R::Response {
    let message = "No Authorizer is configured.";
    request.error_response(&ApiError::new(ErrorCode::SECURITY_DISABLED, message))
}
