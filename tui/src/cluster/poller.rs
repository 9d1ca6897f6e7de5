//! Keeps a snapshot of a cluster up to date, part by part.
//!
//! Each part (metadata, offsets, groups, …) has a task of its own, so that a slow or failing part
//! delays no other. Names come first: everything else starts from the first metadata. What the
//! reader looks at ([`Interest`]) is read first and more often. A failure is an update like any
//! other, and makes its part's next attempt come later.
//!
//! Invariants:
//! - The queue to the reader is bounded; a reader that does not read stops the polling.
//! - Committed offsets are read before end offsets.
//! - A part's pause is at least [`REST_FACTOR`] times as long as reading it took, and more while
//!   nothing changes, so that a large cluster is not asked for more than a small share of the time;
//!   but not longer than [`REST_MAX`].
//! - Everything ends when the [`PollerHandle`] is dropped.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use kafka_shared::task;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::model::{
    ClusterMetadata, ConfigResource, Fault, Group, Groups, LogDirs, Offsets, Taken, TopicSettings,
    Update,
};

use super::group_answers::{Known, SeenGroups};
use super::offsets::SeenBatches;
use super::seen::Seen;
use super::wire::ClusterClient;

mod asked;
mod outcome;

use outcome::{Outcome, is_failure, is_partial, pause_ms};

/// Updates that wait for the reader.
const UPDATES_MAX: usize = 64;

/// A part rests this many times as long as reading it took.
const REST_FACTOR: u32 = 20;

/// Where nothing has changed.
const SAME_REST_FACTOR: u32 = 40;

/// No rest is longer than this, however slow the cluster is: who looks wants to see what changes.
const REST_MAX: Duration = Duration::from_secs(30);
const SAME_REST_MAX: Duration = Duration::from_secs(60);

/// The same for numbers that were read before as they are now. What tells that something happens
/// (names, leaders, moves, what is on the screen) is not left alone so long: it would be told as old.
const QUIET_REST_FACTOR: u32 = 200;

/// Such numbers rest this many times as long as reading them took, up to [`QUIET_FACTOR`] times
/// their interval.
const QUIET_PATIENCE: u32 = 2_000;
const QUIET_FACTOR: u64 = 5;

/// Rest for each batch of groups while nothing changes: of many groups the answers come soon, but
/// each batch is ten requests.
const BATCH_REST: Duration = Duration::from_secs(2);

/// The longest pause after failures.
const BACKOFF_MAX_MS: u64 = 15_000;

/// Groups described in one go: the first ones are on the screen while the others are read.
const GROUPS_AT_ONCE: usize = 200;

/// How often each part is read, in milliseconds, when all goes well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollIntervals {
    pub metadata_ms: u64,
    /// Offsets of all topics.
    pub offsets_ms: u64,
    /// Offsets of what the reader looks at.
    pub visible_ms: u64,
    pub groups_ms: u64,
    pub log_dirs_ms: u64,
    /// The quorum and the running reassignments.
    pub controller_ms: u64,
    /// Settings, configurations and feature levels.
    pub settings_ms: u64,
    /// Pages of brokers' metrics.
    pub metrics_ms: u64,
}

impl Default for PollIntervals {
    fn default() -> Self {
        Self {
            metadata_ms: 2_000,
            offsets_ms: 5_000,
            visible_ms: 2_000,
            groups_ms: 3_000,
            log_dirs_ms: 10_000,
            controller_ms: 2_000,
            settings_ms: 30_000,
            metrics_ms: 5_000,
        }
    }
}

impl PollIntervals {
    /// Milliseconds until the metadata is read again after so many failures in a row.
    pub fn metadata_pause_ms(&self, n_failures: u32) -> u64 {
        pause_ms(self.metadata_ms, n_failures)
    }
}

/// What the reader looks at now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Topics whose offsets are on the screen.
    pub topics: Vec<Arc<str>>,
    /// Groups to describe, with their committed offsets, before all others.
    pub groups: Vec<Arc<str>>,
    /// Describe every group, not only those above.
    pub all_groups: bool,
    /// Configurations that are on the screen.
    pub configs: Vec<ConfigResource>,
    /// Rules, users and quotas are on the screen.
    pub security: bool,
    /// Transactions and whom they hold up are on the screen.
    pub transactions: bool,
    /// What brokers tell of themselves is on the screen.
    pub metrics: bool,
}

/// Steers a running poller; dropping it stops the polling.
#[derive(Debug)]
pub struct PollerHandle {
    control: watch::Sender<Control>,
    _stop: DropGuard,
}

#[derive(Clone, Debug, Default)]
struct Control {
    interest: Interest,
    /// Counts demands to read everything now.
    refresh: u64,
    paused: bool,
}

impl PollerHandle {
    /// Says what the reader looks at; what is new in it is read at once.
    pub fn set_interest(&self, interest: Interest) {
        self.control.send_if_modified(|control| {
            let changed = control.interest != interest;
            control.interest = interest;
            changed
        });
    }

    /// Reads everything now.
    pub fn refresh(&self) {
        self.control.send_modify(|control| control.refresh += 1);
    }

    /// Stops and starts the regular reading; [`Self::refresh`] reads even while paused.
    pub fn set_paused(&self, paused: bool) {
        self.control.send_if_modified(|control| {
            let changed = control.paused != paused;
            control.paused = paused;
            changed
        });
    }
}

/// Starts polling.
#[derive(Debug)]
pub struct Poller;

impl Poller {
    /// Starts the tasks. The updates go into
    /// [`ClusterSnapshot::apply`](crate::model::ClusterSnapshot::apply).
    pub fn start(
        client: ClusterClient,
        intervals: PollIntervals,
        interest: Interest,
    ) -> (PollerHandle, mpsc::Receiver<(Update, Taken)>) {
        let (updates, receiver) = mpsc::channel(UPDATES_MAX);
        let (control, watched) = watch::channel(Control {
            interest,
            ..Control::default()
        });
        let (known, metadata) = watch::channel(None);
        let (all_offsets, offsets) = watch::channel(None);
        let (moves, moving) = watch::channel(false);
        let stop = CancellationToken::new();
        let part = Part {
            client,
            updates,
            control: watched,
            metadata,
            offsets,
            moving,
            moving_ms: intervals.visible_ms,
            quiet_factor: 1,
            seen: Arc::default(),
            stop: stop.clone(),
        };
        let ms = intervals;
        let numbers = Part {
            quiet_factor: QUIET_FACTOR,
            ..part.clone()
        };
        part.start("poll-metadata", ms.metadata_ms, Wake::Refresh, {
            move |part| read_metadata(part, known.clone())
        });
        numbers.start("poll-offsets", ms.offsets_ms, Wake::Refresh, move |part| {
            read_offsets(part, all_offsets.clone())
        });
        part.start("poll-visible", ms.visible_ms, Wake::Interest, read_visible);
        numbers.start("poll-groups", ms.groups_ms, Wake::Interest, read_groups);
        numbers.start("poll-log-dirs", ms.log_dirs_ms, Wake::Moves, read_log_dirs);
        part.start("poll-quorum", ms.controller_ms, Wake::Refresh, read_quorum);
        part.start("poll-moves", ms.controller_ms, Wake::Refresh, move |part| {
            read_reassignments(part, moves.clone())
        });
        part.start(
            "poll-features",
            ms.settings_ms,
            Wake::Refresh,
            read_features,
        );
        part.start("poll-settings", ms.settings_ms, Wake::Topics, read_settings);
        part.start("poll-configs", ms.settings_ms, Wake::Interest, read_configs);
        part.start("poll-security", ms.log_dirs_ms, Wake::Interest, |part| {
            asked::read_security(part)
        });
        part.start(
            "poll-transactions",
            ms.log_dirs_ms,
            Wake::Interest,
            asked::read_transactions,
        );
        part.start(
            "poll-metrics",
            ms.metrics_ms,
            Wake::Interest,
            asked::read_metrics,
        );
        (
            PollerHandle {
                control,
                _stop: stop.drop_guard(),
            },
            receiver,
        )
    }
}

/// What ends a part's pause early, besides a demand to refresh.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wake {
    Refresh,
    /// The reader looks at something else.
    Interest,
    /// There are other topics than before.
    Topics,
    /// Replicas are being moved, which is also followed more closely.
    Moves,
}

/// What a part was answered last; each keeps its own.
#[derive(Default)]
struct SeenParts {
    metadata: Seen<ClusterMetadata>,
    offsets: SeenBatches,
    groups: Seen<Groups>,
    of_groups: SeenGroups,
    log_dirs: Seen<LogDirs>,
    settings: Seen<HashMap<Arc<str>, TopicSettings>>,
}

/// What each task has.
#[derive(Clone)]
struct Part {
    client: ClusterClient,
    updates: mpsc::Sender<(Update, Taken)>,
    control: watch::Receiver<Control>,
    metadata: watch::Receiver<Option<Arc<ClusterMetadata>>>,
    /// Of all topics.
    offsets: watch::Receiver<Option<Arc<Offsets>>>,
    /// Whether replicas are being moved, and how often their sizes are read then.
    moving: watch::Receiver<bool>,
    moving_ms: u64,
    /// How many times its interval it may rest while nothing changes.
    quiet_factor: u64,
    /// What was read last.
    seen: Arc<SeenParts>,
    stop: CancellationToken,
}

impl Part {
    fn start<F>(
        &self,
        name: &'static str,
        interval_ms: u64,
        wake: Wake,
        read: impl Fn(Part) -> F + Send + 'static,
    ) where
        F: Future<Output = Outcome> + Send,
    {
        let part = Part {
            seen: Arc::default(),
            ..self.clone()
        };
        let stop = self.stop.clone();
        drop(task::spawn(name, async move {
            tokio::select! {
                () = part.run(interval_ms, wake, read) => {}
                () = stop.cancelled() => {}
            }
        }));
    }

    async fn run<F>(mut self, interval_ms: u64, wake: Wake, read: impl Fn(Part) -> F)
    where
        F: Future<Output = Outcome>,
    {
        let mut n_failures = 0u32;
        loop {
            self.control.mark_unchanged();
            let before = self.control.borrow().clone();
            let topics = n_topics(&self.metadata);
            let is_moving = wake == Wake::Moves && *self.moving.borrow_and_update();
            let started = self.client.now().monotonic_ms;
            let outcome = read(self.clone()).await;
            n_failures = match outcome {
                Outcome::Good | Outcome::Same { .. } | Outcome::Partial => 0,
                Outcome::Failed => n_failures.saturating_add(1),
                Outcome::Over => return,
            };
            let took_ms = self.client.now().monotonic_ms.saturating_sub(started);
            let took = Duration::from_millis(u64::try_from(took_ms).unwrap_or(0));
            let usual_ms = if is_moving {
                interval_ms.min(self.moving_ms)
            } else {
                interval_ms
            };
            let pause = Duration::from_millis(pause_ms(usual_ms, n_failures));
            let longest = Duration::from_millis(interval_ms.saturating_mul(self.quiet_factor));
            let rest = match outcome {
                Outcome::Same { n_batches } if !is_moving && self.quiet_factor > 1 => {
                    let rest = (took * QUIET_REST_FACTOR).max((took * QUIET_PATIENCE).min(longest));
                    rest.max(BATCH_REST * n_batches).min(SAME_REST_MAX)
                }
                Outcome::Good => (took * REST_FACTOR).min(REST_MAX),
                Outcome::Same { .. } => (took * SAME_REST_FACTOR).min(SAME_REST_MAX),
                // Most of that time may have been a wait for a broker that is not there, and it is
                // told as missing until the next read.
                Outcome::Partial => (took * REST_FACTOR).min(Duration::from_millis(BACKOFF_MAX_MS)),
                // A long wait for a broker that is not there was no burden on anybody.
                Outcome::Failed | Outcome::Over => Duration::ZERO,
            };
            self.rest(pause.max(rest), wake, &before, topics).await;
        }
    }

    /// Waits for the end of the pause or for what ends it early.
    async fn rest(&mut self, pause: Duration, wake: Wake, before: &Control, topics: usize) {
        let end = tokio::time::Instant::now_after(pause);
        loop {
            let control = self.control.borrow().clone();
            let is_wanted = control.refresh != before.refresh
                || (wake == Wake::Interest && control.interest != before.interest)
                || (wake == Wake::Topics && n_topics(&self.metadata) != topics);
            if is_wanted {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep_until(end), if !control.paused => return,
                changed = self.control.changed() => if changed.is_err() { return },
                changed = self.metadata.changed(), if wake == Wake::Topics => {
                    if changed.is_err() { return }
                }
                // What begins and what ends is worth a look at once.
                _ = self.moving.changed(), if wake == Wake::Moves => return,
            }
        }
    }

    async fn send(&self, update: Update) -> Outcome {
        let (is_failure, is_partial) = (is_failure(&update), is_partial(&update));
        match self.updates.send((update, self.client.now())).await {
            Ok(()) if is_failure => Outcome::Failed,
            Ok(()) if is_partial => Outcome::Partial,
            Ok(()) => Outcome::Good,
            Err(_) => Outcome::Over,
        }
    }

    /// The newest metadata, after waiting for the first one.
    async fn metadata(&mut self) -> Option<Arc<ClusterMetadata>> {
        let known = self.metadata.wait_for(Option::is_some).await.ok()?;
        known.clone()
    }

    /// The newest offsets of all topics, if there are any.
    fn all_offsets(&self) -> Option<Arc<Offsets>> {
        self.offsets.borrow().clone()
    }

    fn interest(&self) -> Interest {
        self.control.borrow().interest.clone()
    }
}

/// `Instant::now` is kept out of this crate; the timer's own clock is what a pause is about.
trait NowAfter {
    fn now_after(pause: Duration) -> Self;
}

impl NowAfter for tokio::time::Instant {
    fn now_after(pause: Duration) -> Self {
        Self::now() + pause
    }
}

fn n_topics(metadata: &watch::Receiver<Option<Arc<ClusterMetadata>>>) -> usize {
    metadata
        .borrow()
        .as_ref()
        .map_or(0, |metadata| metadata.topics.len())
}

fn shared<T>(result: Result<T, Fault>) -> Result<Arc<T>, Arc<Fault>> {
    result.map(Arc::new).map_err(Arc::new)
}

async fn read_metadata(part: Part, known: watch::Sender<Option<Arc<ClusterMetadata>>>) -> Outcome {
    let result = part.client.metadata_again(&part.seen.metadata).await;
    let result = result.map_err(Arc::new);
    let is_same = match (&result, &*known.borrow()) {
        (Ok(now), Some(old)) => {
            let is_it = || now.has_same_topics(old) && now.brokers == old.brokers;
            Arc::ptr_eq(now, old) || is_it()
        }
        _ => false,
    };
    let found = result.clone();
    let outcome = same_if(is_same, 0, part.send(Update::Metadata(result)).await);
    // Told to the other parts only now, so that names are the first thing the reader gets.
    if let Ok(metadata) = found {
        known.send_replace(Some(metadata));
    }
    outcome
}

async fn read_offsets(mut part: Part, known: watch::Sender<Option<Arc<Offsets>>>) -> Outcome {
    let Some(metadata) = part.metadata().await else {
        return Outcome::Over;
    };
    let seen = (&part.seen.offsets, None);
    let read = part.client.offsets_again(&metadata, None, seen, None).await;
    let is_same = read.as_ref().is_ok_and(|(_, is_same)| *is_same);
    if let Ok((offsets, _)) = &read {
        known.send_replace(Some(Arc::clone(offsets)));
    }
    let update = Update::Offsets {
        result: read.map(|(offsets, _)| offsets).map_err(Arc::new),
        complete: true,
    };
    same_if(is_same, 0, part.send(update).await)
}

fn same_if(is_same: bool, n_batches: u32, outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Good if is_same => Outcome::Same { n_batches },
        outcome => outcome,
    }
}

async fn read_visible(mut part: Part) -> Outcome {
    let topics = part.interest().topics;
    if topics.is_empty() {
        return Outcome::Good;
    }
    let Some(metadata) = part.metadata().await else {
        return Outcome::Over;
    };
    let (topics, seen) = (Some(&topics[..]), (&part.seen.offsets, None));
    let read = part
        .client
        .offsets_again(&metadata, topics, seen, part.all_offsets())
        .await;
    part.send(Update::Offsets {
        result: read.map(|(offsets, _)| offsets).map_err(Arc::new),
        complete: false,
    })
    .await
}

async fn read_groups(mut part: Part) -> Outcome {
    let Some(metadata) = part.metadata().await else {
        return Outcome::Over;
    };
    let read = part.client.groups_again(&metadata, &part.seen.groups).await;
    let read = read.map_err(Arc::new);
    let listed = read.as_ref().map(|(groups, _)| Arc::clone(groups));
    let outcome = part.send(Update::Groups(listed.map_err(Arc::clone))).await;
    let Ok((groups, mut is_same)) = read else {
        return outcome;
    };
    part.seen.of_groups.begin_round();
    part.seen.offsets.begin_round();
    let batches = wanted_groups(&part.interest(), &groups);
    let n_batches = u32::try_from(batches.len()).unwrap_or(u32::MAX);
    for batch in batches {
        match read_group_batch(&part, &metadata, &batch).await {
            Some(are_same) => is_same &= are_same,
            None => return Outcome::Over,
        }
    }
    same_if(is_same, n_batches, outcome)
}

/// The groups to read, those on the screen in the first batch.
fn wanted_groups(interest: &Interest, groups: &Groups) -> Vec<Vec<Arc<Group>>> {
    let first: Vec<Arc<Group>> = interest
        .groups
        .iter()
        .filter_map(|id| groups.groups.get(id).cloned())
        .collect();
    let ids: BTreeSet<&str> = first.iter().map(|group| &*group.id).collect();
    let rest: Vec<Arc<Group>> = if interest.all_groups {
        groups
            .groups
            .values()
            .filter(|group| !ids.contains(&*group.id))
            .cloned()
            .collect()
    } else {
        Vec::new()
    };
    let mut batches: Vec<Vec<Arc<Group>>> =
        rest.chunks(GROUPS_AT_ONCE).map(<[_]>::to_vec).collect();
    if !first.is_empty() {
        batches.insert(0, first);
    }
    batches
}

/// Committed offsets first, then the ends of the topics that they are of. Whether all of it is what
/// was known; `None` when the reader is gone.
async fn read_group_batch(
    part: &Part,
    metadata: &Arc<ClusterMetadata>,
    groups: &[Arc<Group>],
) -> Option<bool> {
    let known = Some(Known {
        seen: &part.seen.of_groups,
        metadata,
    });
    let ((descriptions, are_described), (committed, are_committed)) = tokio::join!(
        part.client.describe_known(groups, known),
        part.client.committed_known(groups, known)
    );
    let topics: BTreeSet<Arc<str>> = committed
        .iter()
        .filter_map(|(_, result)| result.as_ref().ok())
        .flat_map(|committed| committed.topics.keys().cloned())
        .collect();
    let topics: Vec<Arc<str>> = topics.into_iter().collect();
    let is_same = are_described && are_committed;
    for update in [
        Update::Descriptions(descriptions),
        Update::Committed(committed),
    ] {
        if part.send(update).await == Outcome::Over {
            return None;
        }
    }
    if topics.is_empty() {
        return Some(is_same);
    }
    let first = groups.first().map(|group| Arc::clone(&group.id));
    let (seen, known) = ((&part.seen.offsets, first), part.all_offsets());
    let read = part
        .client
        .offsets_again(metadata, Some(&topics), seen, known);
    let read = read.await;
    let are_ends = read.as_ref().is_ok_and(|(_, is_same)| *is_same);
    let update = Update::Offsets {
        result: read.map(|(offsets, _)| offsets).map_err(Arc::new),
        complete: false,
    };
    let is_over = part.send(update).await == Outcome::Over;
    (!is_over).then_some(is_same && are_ends)
}

async fn read_log_dirs(mut part: Part) -> Outcome {
    let Some(metadata) = part.metadata().await else {
        return Outcome::Over;
    };
    let read = part.client.log_dirs_again(&metadata, &part.seen.log_dirs);
    let read = read.await;
    let is_same = read.as_ref().is_ok_and(|(_, is_same)| *is_same);
    let update = Update::LogDirs(read.map(|(dirs, _)| dirs).map_err(Arc::new));
    same_if(is_same, 0, part.send(update).await)
}

async fn read_quorum(part: Part) -> Outcome {
    let result = shared(part.client.quorum().await);
    part.send(Update::Quorum(result)).await
}

async fn read_reassignments(part: Part, moves: watch::Sender<bool>) -> Outcome {
    let result = shared(part.client.reassignments().await);
    if let Ok(running) = &result {
        moves.send_if_modified(|moving| {
            let before = std::mem::replace(moving, !running.is_empty());
            before != *moving
        });
    }
    part.send(Update::Reassignments(result)).await
}

async fn read_features(mut part: Part) -> Outcome {
    let Some(metadata) = part.metadata().await else {
        return Outcome::Over;
    };
    let result = shared(part.client.features_of(&metadata).await);
    part.send(Update::Features(result)).await
}

async fn read_settings(mut part: Part) -> Outcome {
    let Some(metadata) = part.metadata().await else {
        return Outcome::Over;
    };
    let seen = &part.seen.settings;
    let result = part.client.topic_settings_again(&metadata, seen).await;
    part.send(Update::Settings(result.map_err(Arc::new))).await
}

async fn read_configs(part: Part) -> Outcome {
    let mut outcome = Outcome::Good;
    for resource in part.interest().configs {
        let result = shared(part.client.configs(&resource).await);
        match part.send(Update::Configs(resource, result)).await {
            Outcome::Over => return Outcome::Over,
            Outcome::Failed => outcome = Outcome::Failed,
            Outcome::Good | Outcome::Same { .. } | Outcome::Partial => {}
        }
    }
    outcome
}

#[cfg(test)]
mod tests;
