//! Idempotent producers on replicated partitions, while the quorum behind the brokers changes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context, ensure};
use kafka_shared::client::Client;
use tokio::task::JoinHandle;

use super::{Cluster, SOON};
use crate::admin::Admin;
use crate::load::client_config;
use crate::mixed::segments;
use crate::ping_pong::ledger::Ledger;
use crate::ping_pong::producers::produce;
use crate::shell;

const TOPIC: &str = "traffic";

/// One producer for each partition; partition 0 is led by the first broker, 1 by the second.
pub struct Traffic {
    admin: Admin,
    ledger: Arc<Ledger>,
    producers: Vec<JoinHandle<()>>,
    brokers: [i32; 2],
}

impl Traffic {
    /// Every record is acknowledged by both brokers.
    pub fn start(cluster: &Cluster, brokers: [i32; 2]) -> anyhow::Result<Self> {
        let bootstrap = brokers.map(|id| cluster.endpoint(id).to_string()).join(",");
        let admin = Admin::with(client_config(&bootstrap))?;
        let [first, second] = brokers;
        admin.create(TOPIC, 2, &[&[first, second], &[second, first]])?;
        let ledger = Arc::new(Ledger::default());
        let mut producers = Vec::new();
        for partition in 0..2 {
            let _runtime = admin.runtime.enter();
            let client = Client::new(client_config(&bootstrap));
            let known = Arc::clone(&ledger);
            let run = produce(client, TOPIC, partition, format!("p{partition}"), known);
            producers.push(kafka_shared::task::spawn("produce", run));
        }
        let mut traffic = Self {
            admin,
            ledger,
            producers,
            brokers,
        };
        traffic.go_on()?;
        Ok(traffic)
    }

    /// Waits until some more is acknowledged.
    pub fn go_on(&mut self) -> anyhow::Result<()> {
        let wanted = self.ledger.n_acknowledged() + 60;
        let done = shell::wait_until(SOON, || self.ledger.n_acknowledged() >= wanted);
        self.ledger.no_problems()?;
        ensure!(
            done,
            "nothing is acknowledged any more: {:?}",
            self.ledger.errors()
        );
        Ok(())
    }

    /// Ends the load; both replicas have to hold every record once, and be the same bytes. What to
    /// tell of it.
    pub fn finish(self, cluster: &Cluster) -> anyhow::Result<String> {
        self.ledger.stop.store(true, Ordering::Relaxed);
        for producer in self.producers {
            let ended = self.admin.runtime.block_on(producer);
            ended.context("a producer failed")?;
        }
        self.ledger.no_problems()?;
        for partition in 0..2 {
            self.admin.until_in_sync(TOPIC, partition, 2)?;
            let read = |id: &i32| -> anyhow::Result<Vec<u8>> {
                let folder = cluster.nodes[id].data();
                let mut log = Vec::new();
                for path in segments(&folder.join(format!("{TOPIC}-{partition}")))? {
                    log.extend(std::fs::read(path)?);
                }
                Ok(log)
            };
            let first = read(&self.brokers[0])?;
            ensure!(
                first == read(&self.brokers[1])?,
                "the replicas of partition {partition} differ"
            );
            let contents = self.ledger.check(partition, &first)?;
            ensure!(contents.n_records > 0, "nothing is stored");
        }
        Ok(format!(
            "{} records acknowledged, lost 0, doubled 0, longest gaps in ms {:?}",
            self.ledger.n_acknowledged(),
            self.ledger.gaps_ms()
        ))
    }
}
