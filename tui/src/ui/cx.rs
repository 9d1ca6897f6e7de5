//! What screens draw from and decide by: what is known, the time, the styles.

use std::cell::Cell;

use crate::clusters::Target;
use crate::derive::{CommitHistory, EndHistory};
use crate::model::{ClusterSnapshot, Feed, Taken};
use crate::ops::execution::Run;
use crate::ui::event::JobId;
use crate::ui::theme::Theme;

/// Everything that a screen may look at. It changes nothing and waits for nothing.
#[derive(Debug, Clone, Copy)]
pub struct Cx<'a> {
    pub snapshot: &'a ClusterSnapshot,
    /// What happened since the cluster has been looked at.
    pub feed: &'a Feed,
    /// Where logs ended while one looked.
    pub ends: &'a EndHistory,
    /// What groups committed while one looked.
    pub commits: &'a CommitHistory,
    pub now: Taken,
    pub theme: &'a Theme,
    pub read_only: bool,
    /// The cluster that is connected to.
    pub target: &'a Target,
    /// Whether it is an earlier moment that is looked at: nothing can be changed there.
    pub is_past: bool,
    /// The reassignment that is executed in batches, or was since the cluster is looked at.
    pub run: Option<&'a Run>,
    /// The number of the last job that was given out.
    pub jobs: &'a Cell<u64>,
}

impl Cx<'_> {
    /// How many brokers the cluster has, for what is a share of them.
    pub fn n_brokers(&self) -> usize {
        self.snapshot.metadata.get().map_or(0, |m| m.brokers.len())
    }

    /// `min.insync.replicas` of a topic, where it is known.
    pub fn min_isr(&self, topic: &str) -> Option<i32> {
        self.snapshot
            .settings
            .get()?
            .get(topic)?
            .min_insync_replicas
    }

    /// A number for a job that nothing else has, so that a late answer finds nobody.
    pub fn new_job(&self) -> JobId {
        self.jobs.set(self.jobs.get() + 1);
        JobId(self.jobs.get())
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::ui::theme::ThemeName;

    /// Calls with nothing known, at time 0, without colours.
    pub fn with_cx<T>(call: impl FnOnce(&Cx<'_>) -> T) -> T {
        let (snapshot, theme) = (ClusterSnapshot::default(), Theme::new(ThemeName::Mono));
        let now = Taken {
            monotonic_ms: 0,
            wall_ms: 0,
        };
        let (jobs, feed, ends) = (Cell::new(0), Feed::default(), EndHistory::default());
        let commits = CommitHistory::default();
        call(&Cx {
            snapshot: &snapshot,
            feed: &feed,
            ends: &ends,
            commits: &commits,
            now,
            theme: &theme,
            read_only: false,
            target: &Target::default(),
            is_past: false,
            run: None,
            jobs: &jobs,
        })
    }
}
