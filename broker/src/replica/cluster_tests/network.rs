//! The network between the brokers of a test: function calls over ways that can be cut.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use kafka_protocol::messages::{
    FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse,
};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::api::testing::{fetch_in_memory, list_offsets_in_memory};
use crate::replica::ReplicaManager;
use crate::replica::fetcher::link::{LeaderEndpoint, LeaderLink, LinkError, Links};

/// The network: who can be reached, and which ways are cut.
#[derive(Default)]
pub struct Hub {
    nodes: Mutex<HashMap<i32, (Arc<ReplicaManager>, CancellationToken)>>,
    cut: Mutex<HashSet<(i32, i32)>>,
    /// Fetches that were answered, by (from, to).
    answered: Mutex<HashMap<(i32, i32), usize>>,
}

impl Hub {
    /// Cuts all ways from and to a node.
    pub fn isolate(&self, node: i32, others: &[i32]) {
        let mut cut = self.cut.lock();
        for other in others {
            cut.insert((node, *other));
            cut.insert((*other, node));
        }
    }

    pub fn heal(&self) {
        self.cut.lock().clear();
    }

    /// How many fetches of a follower a leader has answered.
    pub fn n_answered(&self, follower: i32, leader: i32) -> usize {
        let answered = self.answered.lock();
        answered.get(&(follower, leader)).copied().unwrap_or(0)
    }

    pub fn add(&self, id: i32, replicas: Arc<ReplicaManager>, gone: CancellationToken) {
        self.nodes.lock().insert(id, (replicas, gone));
    }

    pub fn remove(&self, id: i32) {
        self.nodes.lock().remove(&id);
    }

    fn target(&self, from: i32, to: i32) -> Option<(Arc<ReplicaManager>, CancellationToken)> {
        if self.cut.lock().contains(&(from, to)) {
            return None;
        }
        self.nodes.lock().get(&to).cloned()
    }
}

struct LoopLink {
    hub: Arc<Hub>,
    from: i32,
    to: i32,
}

impl LoopLink {
    async fn call<T>(&self, call: impl AsyncFnOnce(&ReplicaManager) -> T) -> Result<T, LinkError> {
        let lost = || LinkError("the way is cut".to_owned());
        let Some((target, gone)) = self.hub.target(self.from, self.to) else {
            tokio::time::sleep(Duration::from_millis(2)).await;
            return Err(lost());
        };
        let answer = tokio::select! {
            answer = call(&target) => answer,
            () = gone.cancelled() => return Err(lost()),
        };
        // An answer gets lost when the way is cut meanwhile.
        self.hub.target(self.from, self.to).ok_or_else(lost)?;
        Ok(answer)
    }
}

impl LeaderLink for LoopLink {
    fn fetch(
        &self,
        request: FetchRequest,
        version: i16,
    ) -> BoxFuture<'_, Result<FetchResponse, LinkError>> {
        Box::pin(async move {
            let fetch = async move |replicas: &ReplicaManager| {
                fetch_in_memory(replicas, version, request).await
            };
            let answer = self.call(fetch).await?;
            let mut answered = self.hub.answered.lock();
            *answered.entry((self.from, self.to)).or_default() += 1;
            drop(answered);
            answer.ok_or_else(|| LinkError("the connection was closed".to_owned()))
        })
    }

    fn list_offsets(
        &self,
        request: ListOffsetsRequest,
        version: i16,
    ) -> BoxFuture<'_, Result<ListOffsetsResponse, LinkError>> {
        Box::pin(
            self.call(async move |replicas| list_offsets_in_memory(replicas, version, &request)),
        )
    }
}

pub struct LoopLinks {
    pub hub: Arc<Hub>,
    pub from: i32,
}

impl Links for LoopLinks {
    fn open(&self, leader: &LeaderEndpoint, _client_id: String) -> Box<dyn LeaderLink> {
        Box::new(LoopLink {
            hub: Arc::clone(&self.hub),
            from: self.from,
            to: leader.id,
        })
    }
}
