//! The application: one owner of one state, changed by [`App::update`] only.
//!
//! Keys go to the dialog on top, else to the line of the filter, else through the table of
//! commands to the screen on top. What screens and dialogs want comes back as steps, which become
//! changes of the state and effects for the runner.
//!
//! Invariants:
//! - `update` does no I/O and reads no clock: time comes with the event.
//! - Data marks the rows as old; they are made anew once before the next drawing, however many
//!   updates came.
//! - Answers go to all dialogs and screens; only who knows the number of the job takes them.

mod connecting;
mod input;
mod stepping;
mod time_travel;
mod undoing;

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;

use tui_input::Input;

use crate::cluster::{Interest, PollIntervals};
use crate::clusters::Target;
use crate::derive::{self, CommitHistory, EndHistory};
use crate::model::{ClusterSnapshot, Feed, GroupLook, History, Moment, Taken, Update};
use crate::ops::execution::Run;
use crate::recording::Tape;
use crate::ui::command::{self, Scope};
use crate::ui::cx::Cx;
use crate::ui::event::{Answer, Effect, Event, JobId};
use crate::ui::screen::{Changed, Dialog, Place, Screen, Step, Toast, Tone};
use crate::ui::theme::Theme;

pub use connecting::parse_bootstrap;

/// How long a message of success stays.
const TOAST_MS: i64 = 6_000;
/// How long a failure stays: it has to be read.
const TOAST_BAD_MS: i64 = 20_000;
/// Data is called old after this many of its usual intervals.
const STALE_INTERVALS: i64 = 2;
/// Never sooner than this.
const STALE_MS_MIN: i64 = 5_000;
/// What terminals take over OSC 52, about 100 kB of base64.
const CLIPBOARD_BYTES_MAX: usize = 74_000;
/// Where nothing is new, so often is drawn what changes with time alone, while data come.
const DRAWN_MS: i64 = 2_000;
/// So often its order is made anew.
const ROWS_MADE_MS: i64 = 15_000;
/// Offsets of so many topics are freed before the next frame, of more beside the screens.
const FREED_MAX: usize = 2_000;
/// Screens one can go back through.
const DEPTH_MAX: usize = 20;

/// What the screens draw from.
#[derive(Debug)]
pub struct World {
    pub snapshot: ClusterSnapshot,
    pub feed: Feed,
    pub history: History,
    /// Where logs ended while one looked.
    pub ends: EndHistory,
    /// What groups committed while one looked.
    pub commits: CommitHistory,
    /// The moment that is looked at instead of the present.
    pub past: Option<Arc<Moment>>,
    pub now: Taken,
    pub theme: Theme,
    pub read_only: bool,
    /// The cluster that is connected to.
    pub target: Target,
    /// The recording that is looked at instead of a cluster.
    pub tape: Option<Arc<Tape>>,
    /// The reassignment that is executed in batches.
    pub run: Option<Box<Run>>,
    jobs: Cell<u64>,
}

impl World {
    pub fn cx(&self) -> Cx<'_> {
        Cx {
            snapshot: self
                .past
                .as_ref()
                .map_or(&self.snapshot, |past| &past.snapshot),
            feed: &self.feed,
            ends: &self.ends,
            commits: &self.commits,
            now: self.past.as_ref().map_or(self.now, |past| past.at),
            is_past: self.past.is_some(),
            theme: &self.theme,
            read_only: self.read_only,
            target: &self.target,
            run: self.run.as_deref(),
            jobs: &self.jobs,
        }
    }

    /// Keeps what a close look at a group says of it, for its row in lists.
    fn note_look(&mut self, look: &GroupLook) {
        if let (Some(metadata), Some(group)) = (self.snapshot.metadata.get(), &look.group) {
            let detail = derive::group_detail(look, metadata);
            self.commits.note_look(&group.id, &detail, look.taken);
        }
    }
}

/// What is known of the connection itself.
#[derive(Debug, Default)]
pub struct Session {
    pub id: u64,
    /// When it began.
    pub started_at: Taken,
    /// Failures of reading the metadata since the last success.
    pub n_failures: u32,
    /// When the newest of them came.
    pub failed_at: Taken,
    /// No further attempt is made by itself.
    pub is_resting: bool,
    /// Milliseconds between the last two reads of the metadata.
    pub interval_ms: i64,
}

/// How the application starts.
#[derive(Debug, Clone)]
pub struct AppOptions {
    /// Whatever the cluster that is connected to allows.
    pub read_only: bool,
    pub theme: Theme,
    pub target: Option<Target>,
    /// Whether clusters are saved: then their list is where one starts without a target.
    pub has_saved: bool,
    pub intervals: PollIntervals,
    /// A recording to look at instead of a cluster.
    pub tape: Option<Arc<Tape>>,
    /// A line as after `:`.
    pub command: Option<String>,
    pub message: Option<String>,
}

/// The whole state.
#[derive(Debug)]
pub struct App {
    pub(super) world: World,
    pub(super) session: Session,
    pub(super) screens: Vec<Box<dyn Screen>>,
    pub(super) dialogs: Vec<Box<dyn Dialog>>,
    /// The line of the filter while it is typed, with what it was before.
    pub(super) filter: Option<(Input, String)>,
    pub(super) toasts: VecDeque<(Toast, Taken)>,
    pub(super) intervals: PollIntervals,
    interest: Interest,
    /// What the rows of the screen on top don't know yet.
    changed: Changed,
    dirty: bool,
    /// When the last drawing was, and when all rows were made anew.
    drawn_ms: i64,
    rows_made_ms: i64,
    /// Plans what names too much to be planned at once.
    planning: Option<JobId>,
    start: Option<AppOptions>,
    /// Every cluster is read-only.
    forced_read_only: bool,
}

impl App {
    pub fn new(options: AppOptions, now: Taken) -> Self {
        let mut app = Self {
            world: World {
                snapshot: ClusterSnapshot::default(),
                feed: Feed::default(),
                history: History::default(),
                ends: EndHistory::default(),
                commits: CommitHistory::default(),
                past: None,
                now,
                theme: options.theme,
                read_only: options.read_only,
                target: Target::default(),
                tape: None,
                run: None,
                jobs: Cell::new(0),
            },
            session: Session::default(),
            screens: Vec::new(),
            dialogs: Vec::new(),
            filter: None,
            toasts: VecDeque::new(),
            intervals: options.intervals,
            interest: Interest::default(),
            changed: Changed::ALL,
            dirty: true,
            drawn_ms: now.monotonic_ms,
            rows_made_ms: now.monotonic_ms,
            planning: None,
            forced_read_only: options.read_only,
            start: Some(options.clone()),
        };
        if let Some(message) = options.message {
            app.say(Toast::info(message));
        }
        app
    }

    /// What to do first.
    pub fn start(&mut self) -> Vec<Effect> {
        let Some(options) = self.start.take() else {
            return Vec::new();
        };
        let command = options.command;
        let mut effects = Vec::new();
        match options.target {
            _ if options.tape.is_some() => self.play(options.tape, &mut effects),
            Some(target) => {
                self.connect(target, &mut effects);
                self.follow(vec![Step::Go(Place::Overview)], &mut effects);
            }
            None if options.has_saved => {
                self.follow(vec![Step::Go(Place::Clusters)], &mut effects);
            }
            None => self.follow(vec![Step::Go(Place::Start)], &mut effects),
        }
        if let Some(line) = command {
            let (name, argument) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
            match command::by_name(&self.scopes(), name.trim_start_matches(':'), argument) {
                Some(command) => {
                    let step = Step::Run(command.id, argument.trim().to_owned());
                    self.follow(vec![step], &mut effects);
                }
                None => self.say(Toast::bad(format!("there is no command \"{name}\": see ?"))),
            }
        }
        effects
    }

    pub fn snapshot(&self) -> &ClusterSnapshot {
        &self.world.snapshot
    }

    /// Whether there is something to draw that was not drawn yet.
    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Brings rows up to date before a drawing.
    pub fn settle(&mut self) {
        self.dirty = false;
        self.drawn_ms = self.world.now.monotonic_ms;
        self.make_rows();
    }

    fn make_rows(&mut self) {
        let changed = std::mem::take(&mut self.changed);
        if changed == Changed::ALL {
            self.rows_made_ms = self.world.now.monotonic_ms;
        }
        if let Some(screen) = self.screens.last_mut()
            && changed.any(screen.shows())
        {
            screen.on_data(&self.world.cx(), changed);
        }
    }

    /// Takes an event in; `now` is when it came.
    pub fn update(&mut self, now: Taken, event: Event) -> Vec<Effect> {
        self.world.now = now;
        let mut effects = Vec::new();
        match event {
            Event::Terminal(event) => self.on_terminal(event, &mut effects),
            Event::Data {
                session,
                update,
                at,
            } => {
                if session.0 == self.session.id {
                    effects.extend(self.on_update(update, at));
                    self.learn_cluster_id(&mut effects);
                }
            }
            Event::Run { session, run } => {
                if session.0 == self.session.id {
                    self.on_run(run);
                }
            }
            Event::Resolved { session, result } => {
                if session.0 == self.session.id {
                    self.on_resolved(result, &mut effects);
                }
            }
            Event::Answer { job, answer } => {
                if let Answer::GroupLooked(Ok(look)) = &answer {
                    self.world.note_look(look);
                }
                let cx = self.world.cx();
                let mut answer = Some(answer);
                let mut steps = Vec::new();
                for dialog in self.dialogs.iter_mut().rev() {
                    steps.extend(dialog.on_answer(job, &mut answer, &cx));
                }
                for screen in self.screens.iter_mut().rev() {
                    if answer.is_some() {
                        steps.extend(screen.on_answer(job, &mut answer, &cx));
                    }
                }
                self.dirty |= answer.is_none();
                match answer {
                    Some(Answer::Executed(result)) => {
                        steps.extend(stepping::told_without_dialog(result))
                    }
                    Some(Answer::Planned(plan)) if self.planning == Some(job) => {
                        self.planning = None;
                        self.show_plan(plan.map(|plan| *plan), &mut effects);
                    }
                    Some(Answer::LeftOver(found)) => steps.extend(undoing::clear(found)),
                    Some(Answer::LastChange(last, updates)) => {
                        self.undo(last, updates, &mut effects);
                    }
                    Some(Answer::Exported(Ok(text))) => steps.push(Step::Say(Toast::good(text))),
                    Some(Answer::Exported(Err(fault))) => {
                        steps.push(Step::Say(Toast::fault(&fault)));
                    }
                    Some(Answer::ClusterDone(Ok((text, _)))) => {
                        steps.push(Step::Say(Toast::good(text)));
                    }
                    Some(
                        Answer::ClusterDone(Err(fault)) | Answer::ClusterNotSaved { fault, .. },
                    ) => {
                        steps.push(Step::Say(Toast::fault(&fault)));
                    }
                    _ => {}
                }
                self.follow(steps, &mut effects);
            }
            Event::Trouble(fault) => self.say(Toast::fault(&fault)),
            Event::Tick => {
                self.forget_old_toasts();
                self.dirty = true;
            }
            Event::Terminate => effects.push(Effect::Quit),
        }
        let cx = self.world.cx();
        let wanted = self.screens.last_mut().map(|screen| screen.wants(&cx));
        self.follow(wanted.unwrap_or_default(), &mut effects);
        self.say_interest(&mut effects);
        effects
    }

    fn on_update(&mut self, update: Update, at: Taken) -> Option<Effect> {
        if let Update::Metadata(result) = &update {
            match result {
                Ok(_) => {
                    self.session.n_failures = 0;
                    if let Some(before) = self.world.snapshot.metadata.taken() {
                        self.session.interval_ms = at.monotonic_ms - before.monotonic_ms;
                    }
                }
                Err(_) => {
                    self.session.n_failures = self.session.n_failures.saturating_add(1);
                    self.session.failed_at = at;
                }
            }
        }
        let is_metadata = matches!(&update, Update::Metadata(Ok(_)));
        let is_every_end = matches!(&update, Update::Offsets { complete: true, .. });
        let changed = Changed::of(&update);
        let mut is_news = self.stale_ms().is_some() || self.world.snapshot.is_news(&update);
        let before = derive::Before::of(&self.world.snapshot, &update);
        let (committed, is_groups) = match &update {
            Update::Committed(read) => (Some(read.clone()), false),
            update => (None, matches!(update, Update::Groups(Ok(_)))),
        };
        let unneeded = self.world.snapshot.apply(update, at);
        if let Some(read) = committed {
            is_news |= self.world.commits.note(&read, &self.world.snapshot);
        } else if is_groups {
            self.world.commits.retain(&self.world.snapshot);
        }
        let (snapshot, feed) = (&self.world.snapshot, &mut self.world.feed);
        let told = before.happenings(snapshot, &mut feed.absences, at);
        is_news |= !told.is_empty();
        feed.add(told);
        // What goes through all partitions is left to the updates after the one that brought them
        // all, one thing to each, so that no frame waits for much.
        if !is_every_end {
            if self.world.snapshot.note_rate() {
                self.dirty = true;
            } else {
                self.world.ends.note(&self.world.snapshot, at);
            }
        }
        if is_metadata {
            self.world.history.note(&self.world.snapshot, at);
        }
        self.show_changed(is_news, changed);
        unneeded
            .filter(|offsets| offsets.len() > FREED_MAX && Arc::strong_count(offsets) == 1)
            .map(Effect::Free)
    }

    /// What has changed is drawn soon. Where nothing has, what tells how long ago something was
    /// is drawn anew from time to time, and put in order anew more seldom.
    fn show_changed(&mut self, is_news: bool, changed: Changed) {
        let now = self.world.now.monotonic_ms;
        let is_due = now - self.rows_made_ms >= ROWS_MADE_MS;
        if self.world.past.is_none() && (is_news || is_due) {
            self.changed = self
                .changed
                .and(if is_due { Changed::ALL } else { changed });
        }
        self.dirty |= is_news || is_due || now - self.drawn_ms >= DRAWN_MS;
    }

    /// How old the names of the cluster are, if that is worth saying.
    pub(super) fn stale_ms(&self) -> Option<i64> {
        let age = self
            .world
            .snapshot
            .metadata
            .age_ms(self.world.now.monotonic_ms)?;
        (age > self.stale_after_ms()).then_some(age)
    }

    fn stale_after_ms(&self) -> i64 {
        let wanted = i64::try_from(self.intervals.metadata_ms).unwrap_or(i64::MAX / 4);
        let usual = wanted.max(self.session.interval_ms.min(60_000));
        (STALE_INTERVALS * usual + 1_000).max(STALE_MS_MIN)
    }

    /// When the next [`Event::Tick`] is needed, in milliseconds from now; `None` while nothing on
    /// the screen depends on the time.
    pub fn tick_in_ms(&self) -> Option<u64> {
        let now = self.world.now.monotonic_ms;
        let toast = self
            .toasts
            .front()
            .map(|(_, until)| until.monotonic_ms - now);
        let metadata = &self.world.snapshot.metadata;
        let data = match metadata.age_ms(now) {
            Some(age) if age > self.stale_after_ms() => Some(1_000),
            Some(age) => Some(self.stale_after_ms() - age + 1),
            // The countdown to the next attempt, or how long it has been tried.
            None => self.is_connected().then_some(1_000),
        };
        // How long ago it was that is looked at.
        let past = self.world.past.as_ref().map(|_| 1_000);
        let soonest = [toast, data, past].into_iter().flatten().min()?;
        Some(u64::try_from(soonest.max(10)).unwrap_or(10))
    }

    fn forget_old_toasts(&mut self) {
        let now = self.world.now.monotonic_ms;
        self.toasts.retain(|(_, until)| until.monotonic_ms > now);
    }

    fn say(&mut self, toast: Toast) {
        let ms = if toast.tone == Tone::Bad {
            TOAST_BAD_MS
        } else {
            TOAST_MS
        };
        let until = Taken {
            monotonic_ms: self.world.now.monotonic_ms + ms,
            wall_ms: self.world.now.wall_ms + ms,
        };
        self.toasts.clear();
        self.toasts.push_back((toast, until));
        self.dirty = true;
    }

    fn say_interest(&mut self, effects: &mut Vec<Effect>) {
        let cx = self.world.cx();
        let interest = self
            .screens
            .last()
            .map(|s| s.interest(&cx))
            .unwrap_or_default();
        if interest != self.interest {
            self.interest = interest.clone();
            effects.push(Effect::SetInterest(interest));
        }
    }

    /// The scopes that commands are looked up in, innermost first.
    pub(super) fn scopes(&self) -> Vec<Scope> {
        let own = self
            .screens
            .last()
            .map_or(&[][..], |screen| screen.scopes());
        own.iter().copied().chain([Scope::Everywhere]).collect()
    }
}
