//! Nodes that die, hang, and come back.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::cluster::{Cluster, Lanes, Partition, partitions};
use crate::load::{Connection, Load};
use crate::shell::{self, Stopwatch};
use crate::trio::IDS;

/// How long writing may pause before the run is given up.
const WRITTEN_WITHIN: Duration = Duration::from_secs(120);
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(300);

/// What happens to a node.
#[derive(Debug, Clone, Copy)]
pub struct Failure {
    is_pause: bool,
    is_controller: bool,
}

impl Failure {
    pub const ALL: [Self; 4] = [
        Self::new(false, false),
        Self::new(false, true),
        Self::new(true, false),
        Self::new(true, true),
    ];

    const fn new(is_pause: bool, is_controller: bool) -> Self {
        Self {
            is_pause,
            is_controller,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.is_pause { "SIGSTOP" } else { "kill -9" };
        let whom = if self.is_controller {
            "leader+controller"
        } else {
            "a leader"
        };
        write!(f, "{what} of {whom}")
    }
}

/// Seconds from the failure until every partition has acknowledged a record that was sent after it.
/// The cluster is whole before and afterwards.
pub fn pause_of_writes(
    cluster: &mut Cluster,
    topic: &str,
    failure: Failure,
) -> anyhow::Result<f64> {
    cluster.elect_preferred_leaders(topic)?;
    let controller = cluster.controller()?;
    let is_victim = |id: &i32| (*id == controller) == failure.is_controller;
    let victim = IDS.into_iter().find(is_victim).context("a node to fail")?;
    let survivors: Vec<i32> = IDS.into_iter().filter(|id| *id != victim).collect();

    let watch = Stopwatch::start();
    if failure.is_pause {
        cluster.trio.pause(victim)?;
    } else {
        cluster.trio.kill(victim);
    }
    let paused = writes_again(cluster, topic, &survivors, watch);
    if failure.is_pause {
        cluster.trio.resume(victim)?;
    } else {
        cluster.trio.up(victim)?;
    }
    let paused = paused?;
    cluster.wait_until_whole(topic)?;
    Ok(paused)
}

/// Writes to each partition from a thread of its own; seconds until the last one was acknowledged.
fn writes_again(
    cluster: &Cluster,
    topic: &str,
    survivors: &[i32],
    watch: Stopwatch,
) -> anyhow::Result<f64> {
    // Who is there, whoever leads now: the first node may be the one that fails.
    let known = Connection::open(&cluster.trio.address(survivors[0]))
        .and_then(|mut connection| partitions(&mut connection, topic))?;
    std::thread::scope(|scope| {
        let writing: Vec<_> = known
            .iter()
            .map(|partition| {
                scope.spawn(move || written(cluster, topic, partition, survivors, watch))
            })
            .collect();
        let mut last = 0.0_f64;
        for thread in writing {
            let panicked = |_| anyhow::anyhow!("a thread of the client panicked");
            last = last.max(thread.join().map_err(panicked)??);
        }
        Ok(last)
    })
}

/// Asks the survivors in turn who leads, and writes there; seconds until that was acknowledged.
fn written(
    cluster: &Cluster,
    topic: &str,
    partition: &Partition,
    survivors: &[i32],
    watch: Stopwatch,
) -> anyhow::Result<f64> {
    let mut last_error = None;
    for asked in survivors.iter().cycle() {
        if watch.elapsed() > WRITTEN_WITHIN {
            break;
        }
        match try_to_write(cluster, topic, partition.index, *asked, survivors) {
            Ok(()) => return Ok(watch.elapsed().as_secs_f64()),
            Err(error) => last_error = Some(error),
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    let error = last_error.unwrap_or_else(|| anyhow::anyhow!("nothing was tried"));
    Err(error.context(format!("partition {} is not written", partition.index)))
}

fn try_to_write(
    cluster: &Cluster,
    topic: &str,
    index: i32,
    asked: i32,
    survivors: &[i32],
) -> anyhow::Result<()> {
    let mut connection = Connection::open(&cluster.trio.address(asked))?;
    let seen = partitions(&mut connection, topic)?;
    let partition = seen.iter().find(|partition| partition.index == index);
    let leader = partition.context("no such partition")?.leader;
    ensure!(survivors.contains(&leader), "led by {leader}");
    if leader != asked {
        connection = Connection::open(&cluster.trio.address(leader))?;
    }
    connection.produce_one(topic, index)
}

/// How a node that was away has come back.
#[derive(Debug, Clone, Copy)]
pub struct CaughtUp {
    /// Seconds per GB of values that it missed, from the first byte that it appended to the last.
    pub elapsed: f64,
    /// CPU seconds of all nodes per GB of values, in that time.
    pub cpu: f64,
    /// Seconds from the start of its process until it is in sync for all partitions.
    pub to_in_sync: f64,
}

/// Stops a node, writes to the others, and starts it again.
pub fn catch_up(cluster: &mut Cluster, load: &Load, victim: i32) -> anyhow::Result<CaughtUp> {
    cluster.create_topic(&load.topic, load.partitions)?;
    cluster.trio.stop(victim)?;
    let survivor = *IDS.iter().find(|id| **id != victim).context("a survivor")?;
    let address = cluster.trio.address(survivor);
    let moved = shell::wait_until(CAUGHT_UP_WITHIN, || {
        Connection::open(&address)
            .and_then(|mut connection| partitions(&mut connection, &load.topic))
            .is_ok_and(|all| all.iter().all(|p| p.leader != victim && p.leader >= 0))
    });
    ensure!(moved, "the leaders don't move away from node {victim}");
    let gigabytes = Lanes::open_at(cluster, load, &address)?.produce()? as f64 / 1e9;
    let wanted = stored(cluster, load, survivor)?;
    let had = stored(cluster, load, victim)?;

    let watch = Stopwatch::start();
    cluster.trio.spawn(victim)?;
    let mut begun = None;
    let mut ended = None;
    while watch.elapsed() < CAUGHT_UP_WITHIN {
        let n_bytes = stored(cluster, load, victim)?;
        if begun.is_none() && n_bytes > had {
            begun = Some((watch.elapsed(), cluster.cpu()?));
        }
        if n_bytes >= wanted {
            ended = Some((watch.elapsed(), cluster.cpu()?));
            break;
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
    let (Some(begun), Some(ended)) = (begun, ended) else {
        let n_bytes = stored(cluster, load, victim)?;
        bail!("node {victim} has {n_bytes} of {wanted} bytes");
    };
    cluster.wait_until_whole(&load.topic)?;
    Ok(CaughtUp {
        elapsed: (ended.0 - begun.0).as_secs_f64() / gigabytes,
        cpu: ended.1.seconds_since(begun.1) / gigabytes,
        to_in_sync: watch.elapsed().as_secs_f64(),
    })
}

/// Bytes of a node's segments of the topic.
fn stored(cluster: &Cluster, load: &Load, id: i32) -> anyhow::Result<u64> {
    let mut n_bytes = 0;
    for index in 0..load.partitions {
        let folder = cluster.trio.replica(id, &format!("{}-{index}", load.topic));
        for path in crate::mixed::segments(&folder)? {
            n_bytes += std::fs::metadata(path)?.len();
        }
    }
    Ok(n_bytes)
}
