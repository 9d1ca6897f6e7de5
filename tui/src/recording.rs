//! What was read of a cluster, kept in a file and played again.
//!
//! A recording is a file of JSON lines: a header, then each update that the poller gave, with what
//! did not change left out. It is cut in two files of bounded size (`FILE` and, before it,
//! `FILE.1`), and each begins with everything that was known. A line that was torn by a crash or a
//! full disk is the last one, and costs only itself.
//!
//! `codec` and `form` are the lines, [`Recorder`] writes them, [`play`] reads them, [`Tape`] is
//! what was played: the newest state, the changes, and moments to go back to.
//!
//! Invariants:
//! - Who records never waits for the disk: what comes faster than it is written is counted and
//!   told in the file.
//! - A file that exists is never overwritten, except by the recording that made it.
//! - A file of a newer version is refused; a line is bounded before it is read.

mod codec;
mod file;
mod form;

use std::path::Path;
use std::sync::Arc;

use crate::derive::Before;
use crate::model::{ClusterSnapshot, Fault, Feed, History, Moment, Taken, Update};

pub use file::{Options, Played, Recorder, play};

/// A recording that was played to its end.
#[derive(Debug, Default)]
pub struct Tape {
    /// The cluster as it was last.
    pub snapshot: ClusterSnapshot,
    pub feed: Feed,
    pub history: History,
    /// Of the first and the last update.
    pub from: Option<Taken>,
    pub to: Option<Taken>,
    /// What was recorded, for people.
    pub cluster: String,
    /// Updates that were not written because they came too fast.
    pub n_lost: u64,
    /// Whether its last line is torn.
    pub is_torn: bool,
}

impl Tape {
    /// Plays a file from its beginning to its end.
    ///
    /// # Errors
    /// It can't be read, is no recording, is damaged, or is of a newer version.
    pub fn read(path: &Path) -> Result<Self, Fault> {
        let mut tape = Self::default();
        let mut clock = Clock::default();
        tape.is_torn = play(path, |played| tape.take(played, &mut clock))?;
        if let Some(to) = tape.to {
            tape.history.keep(&tape.snapshot, to);
        }
        Ok(tape)
    }

    fn take(&mut self, played: Played, clock: &mut Clock) {
        match played {
            Played::Update(update, at) => {
                let at = clock.time(at);
                self.from.get_or_insert(at);
                self.to = Some(at);
                let is_metadata = matches!(&update, Update::Metadata(Ok(_)));
                let before = Before::of(&self.snapshot, &update);
                self.snapshot.apply(update, at);
                self.snapshot.note_rate();
                let told = before.happenings(&self.snapshot, &mut self.feed.absences, at);
                self.feed.add(told);
                if is_metadata {
                    self.history.note(&self.snapshot, at);
                }
            }
            Played::Cluster(name) => {
                // What was of another cluster can still be gone back to.
                self.snapshot = ClusterSnapshot::default();
                self.feed.absences = crate::model::Absences::default();
                self.cluster = name;
                clock.restart();
            }
            Played::Lost(n) => self.n_lost += n,
        }
    }

    /// The moment at the end.
    pub fn last(&self) -> Option<Arc<Moment>> {
        self.history.at(i64::MAX).map(Arc::clone)
    }
}

/// Keeps monotonic time going on where another cluster's begins: each connection of a program
/// counts by the same clock, but ages must never be negative.
#[derive(Debug, Default)]
struct Clock {
    last: Option<Taken>,
    shift_ms: i64,
    is_new: bool,
}

impl Clock {
    fn restart(&mut self) {
        self.is_new = true;
    }

    fn time(&mut self, at: Taken) -> Taken {
        if std::mem::take(&mut self.is_new)
            && let Some(last) = self.last
            && at.monotonic_ms + self.shift_ms < last.monotonic_ms
        {
            self.shift_ms = last.monotonic_ms - at.monotonic_ms;
        }
        let at = Taken {
            monotonic_ms: at.monotonic_ms + self.shift_ms,
            wall_ms: at.wall_ms,
        };
        self.last = Some(at);
        at
    }
}

/// A cluster with when it was so.
pub type Look = (ClusterSnapshot, Taken);

/// The cluster as it was at two times, for what is different between them. The later one is the end
/// where `to_ms` is `None`.
///
/// # Errors
/// As [`Tape::read`]; there is nothing from before `from_ms`.
pub fn between(path: &Path, from_ms: i64, to_ms: Option<i64>) -> Result<(Look, Look), Fault> {
    let (mut snapshot, mut clock) = (ClusterSnapshot::default(), Clock::default());
    let (mut first, mut begin) = (None, None);
    let mut last: Option<Taken> = None;
    play(path, |played| match played {
        Played::Update(update, at) => {
            begin.get_or_insert(at);
            if to_ms.is_some_and(|to| at.wall_ms > to) {
                return;
            }
            let at = clock.time(at);
            if at.wall_ms > from_ms
                && first.is_none()
                && let Some(before) = last.filter(|last| last.wall_ms <= from_ms)
            {
                first = Some((snapshot.clone(), before));
            }
            snapshot.apply(update, at);
            last = Some(at);
        }
        Played::Cluster(_) => {
            snapshot = ClusterSnapshot::default();
            clock.restart();
        }
        Played::Lost(_) => {}
    })?;
    let what = format!("compare two moments of {}", path.display());
    let Some(last) = last else {
        return Err(Fault::refused(what, "nothing is recorded until then"));
    };
    let Some(first) = first.or_else(|| (from_ms >= last.wall_ms).then(|| (snapshot.clone(), last)))
    else {
        let begin = begin.map_or(0, |begin| begin.wall_ms);
        let why = "nothing is recorded from before then";
        return Err(Fault::refused(what, why).with_hint(format!(
            "it begins at {}",
            crate::times::timestamp_ms(begin)
        )));
    };
    Ok((first, (snapshot, last)))
}

#[cfg(test)]
mod tests;
