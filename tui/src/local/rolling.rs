//! One node after the other: each is restarted only when the cluster can do without it, and the
//! next one only when it is whole again. The active controller comes last, so that it changes once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kafka_shared::time::{Clock, SystemClock};
use kafka_shared::types::Endpoint;

use super::{LocalBroker, LocalBrokers, LocalStatus, StartOptions};
use crate::cluster::{ClusterClient, ConnectOptions};
use crate::derive::{self, MayStop};
use crate::model::{ClusterSnapshot, Fault, FaultKind, Update};

/// Between two looks at the cluster.
const LOOK_MS: u64 = 500;
/// How long one answer may take.
const REQUEST_MS: u64 = 5_000;

/// How to go round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RollingOptions {
    /// How long one node may have to wait until it may stop, and until it is whole again.
    pub wait_ms: u64,
    /// How long one may take to shut down.
    pub stop_ms: u64,
}

impl Default for RollingOptions {
    fn default() -> Self {
        Self {
            wait_ms: 600_000,
            stop_ms: 30_000,
        }
    }
}

/// The next of `left`: any but the active controller, which comes last.
fn next_node(left: &BTreeSet<i32>, controller: Option<i32>) -> Option<i32> {
    let mut others = left.iter().filter(|id| Some(**id) != controller);
    others.next().or_else(|| left.iter().next()).copied()
}

impl LocalBrokers {
    /// Restarts the nodes of a cluster one after the other. `tell` hears what is being done.
    ///
    /// # Errors
    /// It is no cluster, not all of it runs, a node may not stop, or does not come back, in time.
    /// The nodes that are left are not touched then.
    pub async fn rolling_restart(
        &self,
        name: &str,
        options: &RollingOptions,
        mut tell: impl FnMut(String),
    ) -> Result<Vec<LocalBroker>, Fault> {
        let what = format!("restart the local cluster \"{name}\" node by node");
        let members = self.members(name)?;
        let nodes: Result<Vec<LocalBroker>, Fault> =
            members.iter().map(|member| self.get(member)).collect();
        let nodes = nodes?;
        if nodes.len() < 2 {
            let why = "a broker on its own has nobody who serves meanwhile";
            return Err(Fault::refused(what, why)
                .with_hint("`kafka-tui local restart` stops and starts it"));
        }
        if let Some(node) = nodes
            .iter()
            .find(|node| node.status != LocalStatus::Running)
        {
            let why = format!("{} is {}", node.name, node.status);
            return Err(Fault::refused(what, why).with_hint("start all of it first"));
        }
        let round = Round::new(&nodes, &what, options);
        let mut left: BTreeSet<i32> = nodes.iter().map(|node| node.node_id).collect();
        let mut restarted = Vec::new();
        loop {
            let snapshot = round.look().await;
            let Some(id) = next_node(&left, snapshot.controller_id()) else {
                return Ok(restarted);
            };
            left.remove(&id);
            let name = format!("{name}/{id}");
            let at = format!("{} of {}", restarted.len() + 1, nodes.len());
            tell(format!("{name} ({at}): may it stop?"));
            round.wait_until_it_may_stop(&name, id, &mut tell).await?;
            tell(format!("{name} ({at}): stopping"));
            self.stop(&name, options.stop_ms).await?;
            tell(format!("{name} ({at}): starting"));
            let started = self.start(&name, &StartOptions::default()).await?;
            tell(format!("{name} ({at}): catching up"));
            round.wait_until_it_is_back(&name, id, &mut tell).await?;
            restarted.push(started);
        }
    }
}

/// What goes round, and what it has said.
struct Round<'a> {
    client: ClusterClient,
    clock: SystemClock,
    what: &'a str,
    wait: Duration,
}

impl<'a> Round<'a> {
    fn new(nodes: &[LocalBroker], what: &'a str, options: &RollingOptions) -> Self {
        let servers = nodes
            .iter()
            .map(|node| Endpoint::new(&node.host, node.port));
        let mut connect = ConnectOptions::new(servers.collect());
        connect.request_timeout_ms = REQUEST_MS;
        connect.connect_timeout_ms = connect.connect_timeout_ms.min(REQUEST_MS);
        let clock = SystemClock::new();
        Self {
            client: ClusterClient::new(connect, Arc::new(clock.clone())),
            clock,
            what,
            wait: Duration::from_millis(options.wait_ms),
        }
    }

    /// Everything that it takes to say whether a node may stop, and whether it is back.
    async fn look(&self) -> ClusterSnapshot {
        fn shared<T>(result: Result<T, Fault>) -> Result<Arc<T>, Arc<Fault>> {
            result.map(Arc::new).map_err(Arc::new)
        }
        let mut snapshot = ClusterSnapshot::default();
        let metadata = shared(self.client.metadata().await);
        snapshot.apply(Update::Metadata(metadata.clone()), self.client.now());
        if let Ok(metadata) = metadata {
            let (settings, quorum, running, groups) = tokio::join!(
                self.client.topic_settings(&metadata),
                self.client.quorum(),
                self.client.reassignments(),
                self.client.groups_in(&metadata),
            );
            let now = self.client.now();
            snapshot.apply(Update::Settings(shared(settings)), now);
            snapshot.apply(Update::Quorum(shared(quorum)), now);
            snapshot.apply(Update::Reassignments(shared(running)), now);
            snapshot.apply(Update::Groups(shared(groups)), now);
        }
        snapshot
    }

    async fn wait_until_it_may_stop(
        &self,
        name: &str,
        id: i32,
        tell: &mut impl FnMut(String),
    ) -> Result<(), Fault> {
        let lacks = |snapshot: &ClusterSnapshot| {
            let check = derive::may_stop(snapshot, &[id].into());
            (check.may_stop != MayStop::Yes).then(|| check.reasons.join("; "))
        };
        let hint = "the nodes that are left go on running; `kafka-tui brokers may-stop` says more";
        self.wait(name, lacks, tell, "may not stop", hint).await
    }

    async fn wait_until_it_is_back(
        &self,
        name: &str,
        id: i32,
        tell: &mut impl FnMut(String),
    ) -> Result<(), Fault> {
        let lacks = |snapshot: &ClusterSnapshot| derive::still_lacks(snapshot, id);
        let hint = "its log says more: `kafka-tui local logs`";
        self.wait(name, lacks, tell, "is not whole again", hint)
            .await
    }

    /// Waits until nothing is lacking any more; what is, is told whenever it is something else.
    async fn wait(
        &self,
        name: &str,
        lacks: impl Fn(&ClusterSnapshot) -> Option<String>,
        tell: &mut impl FnMut(String),
        state: &str,
        hint: &str,
    ) -> Result<(), Fault> {
        let begun = self.clock.monotonic();
        let mut told = String::new();
        loop {
            let Some(why) = lacks(&self.look().await) else {
                return Ok(());
            };
            if why != told {
                tell(format!("{name}: waiting: {why}"));
                told.clone_from(&why);
            }
            if self.clock.monotonic().saturating_sub(begun) > self.wait {
                let why = format!("{name} {state} after {} s: {why}", self.wait.as_secs());
                return Err(Fault::new(FaultKind::Failed, self.what, why).with_hint(hint));
            }
            tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_active_controller_comes_last() {
        let mut left: BTreeSet<i32> = [1, 2, 3].into();
        let mut order = Vec::new();
        while let Some(next) = next_node(&left, Some(1)) {
            left.remove(&next);
            order.push(next);
        }
        assert_eq!(order, [2, 3, 1]);
        assert_eq!(next_node(&[4, 5].into(), None), Some(4));
        assert_eq!(next_node(&BTreeSet::new(), Some(1)), None);
    }
}
