//! Tests of the codec.

use super::*;

/// Something to be done with every API's request type.
pub(super) trait Visit {
    fn api<R: Request>(&mut self);
}
