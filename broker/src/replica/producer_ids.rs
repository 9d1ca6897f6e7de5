//! Producer ids for idempotent producers, out of blocks that the controller gives to this broker.
//!
//! An id is given out once: blocks never overlap, and what is left of a block is dropped when the
//! broker stops. One request for a block is on its way at a time; it is made when the last block is
//! used up, and whoever needs an id meanwhile waits for it.
//!
//! Kafka: `RPCProducerIdManager.java` (4.3).

use kafka_protocol::messages::{AllocateProducerIdsRequest, BrokerId};
use kafka_shared::error::ErrorCode;
use tokio::sync::Mutex;

use crate::controller::{ControllerChannel, RequestContext};
use crate::metadata::MetadataHandle;

/// The ids of a block that are still to be given out.
#[derive(Debug, Default)]
struct Block {
    next: i64,
    end: i64,
}

impl Block {
    fn take(&mut self) -> Option<i64> {
        let id = self.next;
        (id < self.end).then(|| {
            self.next += 1;
            id
        })
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub struct ProducerIds {
    node_id: i32,
    controller: ControllerChannel,
    metadata: MetadataHandle,
    block: Mutex<Block>,
}

impl ProducerIds {
    pub fn new(node_id: i32, controller: ControllerChannel, metadata: MetadataHandle) -> Self {
        Self {
            node_id,
            controller,
            metadata,
            block: Mutex::default(),
        }
    }

    /// An id that no other producer has.
    ///
    /// # Errors
    /// `COORDINATOR_LOAD_IN_PROGRESS`, which clients retry, when the controller gives no block now.
    pub async fn generate(&self) -> Result<i64, ErrorCode> {
        let mut block = self.block.lock().await;
        if let Some(id) = block.take() {
            return Ok(id);
        }
        *block = self.allocate().await?;
        block.take().ok_or(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS)
    }

    async fn allocate(&self) -> Result<Block, ErrorCode> {
        let broker_epoch = self.metadata.image().cluster.broker_epoch(self.node_id);
        let request = AllocateProducerIdsRequest::default()
            .with_broker_id(BrokerId(self.node_id))
            .with_broker_epoch(broker_epoch);
        let response = self
            .controller
            .allocate_producer_ids(&RequestContext::default(), request)
            .await;
        let error = ErrorCode(response.error_code);
        if error != ErrorCode::NONE {
            tracing::warn!(
                error = error.name(),
                "the controller gave no block of producer ids"
            );
            return Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
        }
        let next = response.producer_id_start.0;
        Ok(Block {
            next,
            end: next.saturating_add(i64::from(response.producer_id_len)),
        })
    }
}
