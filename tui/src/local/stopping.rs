//! Stopping several brokers together, so that each can leave in order.
//!
//! A node of Apache Kafka gives its partitions away before it ends, which takes a quorum that
//! writes it down; without one it waits for minutes. A broker of ours ends without, too. So Apache's
//! nodes go first and ours hold the quorum meanwhile; an Apache node that is left without one is
//! ended the hard way, which loses nothing that was acknowledged, and that is told.
//!
//! Kafka: `BrokerServer.shutdown`, `BrokerLifecycleManager.beginControlledShutdown` (4.3).

use std::time::Duration;

use futures_util::future::join_all;
use kafka_shared::time::{Clock, SystemClock};

use crate::model::{Fault, FaultKind};

use super::process::{self, ProcessIdentity};
use super::{LocalBroker, LocalBrokers, LocalStatus, Outcomes};

const POLL: Duration = Duration::from_millis(100);

/// A quorum that is lost for so long is not only electing a leader.
const LOST: Duration = Duration::from_secs(3);

/// How an Apache node ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    InOrder,
    /// There was no quorum that it could have left in order.
    Killed,
}

/// Whether so many of the voters are a majority.
fn is_quorum(serving: usize, voters: usize) -> bool {
    serving > voters / 2
}

impl LocalBrokers {
    /// Stops brokers, those of Apache Kafka first. One that does not run is a success.
    pub async fn stop_all(&self, names: &[String], wait_ms: u64) -> Outcomes {
        let is_apache = |name: &String| self.get(name).is_ok_and(|broker| broker.apache.is_some());
        let (apache, own): (Vec<&String>, Vec<&String>) =
            names.iter().partition(|name| is_apache(name));
        let first = join_all(apache.iter().map(|name| self.stop_apache(name, wait_ms))).await;
        let then = join_all(own.iter().map(|name| self.stop(name, wait_ms))).await;
        let mut notes = Vec::new();
        let mut results = Vec::new();
        for (name, result) in apache.into_iter().zip(first) {
            let result = result.map(|(broker, end)| {
                if end == End::Killed {
                    let why = "killed: no quorum was left that it could leave in order; its logs \
                               are recovered at its next start";
                    notes.push((name.clone(), why.to_owned()));
                }
                broker
            });
            results.push((name.clone(), result));
        }
        results.extend(own.into_iter().cloned().zip(then));
        // As they were named, whoever went first.
        results.sort_by_key(|(name, _)| names.iter().position(|other| other == name));
        Outcomes {
            notes,
            ..Outcomes::of(results)
        }
    }

    /// Stops a node of Apache Kafka, as long as there is a quorum in order.
    async fn stop_apache(&self, name: &str, wait_ms: u64) -> Result<(LocalBroker, End), Fault> {
        let what = format!("stop the local broker \"{name}\"");
        let Some(process) = self.process_to_signal(name)? else {
            return Ok((self.get(name)?, End::InOrder));
        };
        let failed =
            |error: std::io::Error| Fault::new(FaultKind::Failed, &*what, error.to_string());
        process.terminate().map_err(failed)?;
        let clock = SystemClock::new();
        let begun = clock.monotonic();
        let mut had_quorum = begun;
        while process.is_alive() {
            let now = clock.monotonic();
            if self.has_quorum(name) {
                had_quorum = now;
            } else if now.saturating_sub(had_quorum) > LOST {
                return self.end(name, &what, &process).await;
            }
            if now.saturating_sub(begun) > Duration::from_millis(wait_ms) {
                let why = format!(
                    "it still runs {} s after it was asked to stop",
                    wait_ms / 1000
                );
                return Err(Fault::new(FaultKind::Failed, what, why)
                    .with_hint("kill it with `kafka-tui local stop --force`; its log says more"));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok((self.get(name)?, End::InOrder))
    }

    async fn end(
        &self,
        name: &str,
        what: &str,
        process: &ProcessIdentity,
    ) -> Result<(LocalBroker, End), Fault> {
        let failed = |why: String| Fault::new(FaultKind::Failed, what, why);
        process.kill().map_err(|error| failed(error.to_string()))?;
        match process.wait_until_gone(process::KILL_WAIT_MS).await {
            true => Ok((self.get(name)?, End::Killed)),
            false => Err(failed("the process does not go away".to_owned())),
        }
    }

    /// Whether most nodes of the cluster serve, this one among them. Every node of a local cluster
    /// votes; one that is on its own is its own quorum.
    fn has_quorum(&self, name: &str) -> bool {
        let cluster = name.split_once('/').map(|(cluster, _)| cluster);
        let Some(members) = cluster.and_then(|cluster| self.members(cluster).ok()) else {
            return true;
        };
        let serves = |name: &&String| {
            let broker = self.get(name);
            broker.is_ok_and(|broker| broker.status == LocalStatus::Running)
        };
        is_quorum(members.iter().filter(serves).count(), members.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quorum_is_more_than_half() {
        for (serving, voters, wanted) in [
            (1, 1, true),
            (1, 2, false),
            (2, 3, true),
            (1, 3, false),
            (2, 4, false),
            (3, 5, true),
        ] {
            assert_eq!(is_quorum(serving, voters), wanted, "{serving} of {voters}");
        }
    }
}
