//! Runs the application on a terminal: input, signals, events and time come together here.
//!
//! Draws only when something changed and at most once in [`FRAME_MS`]; sleeps otherwise.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use crossterm::event::{Event as Input, EventStream};
use futures_util::StreamExt as _;
use kafka_shared::task;
use kafka_shared::time::{Clock, SystemClock};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::cluster::PollIntervals;
use crate::clusters::Target;
use crate::model::Taken;
use crate::ops::undo::Journal;
use crate::recording::{Recorder, Tape};
use crate::ui::app::{App, AppOptions};
use crate::ui::event::{Effect, Event};
use crate::ui::runner::{Runner, RunnerOptions, SavedClusters};
use crate::ui::terminal::Terminal;
use crate::ui::theme::{Theme, ThemeName};
use crate::ui::view;

/// The shortest time between two drawings.
const FRAME_MS: i64 = 16;
/// Keys that wait for the loop; more wait in the terminal.
const KEYS_MAX: usize = 256;
/// Events that wait for the loop.
const EVENTS_MAX: usize = 1_024;
/// Events that are taken in before the next drawing at most.
const EVENTS_AT_ONCE: usize = 256;
/// No further one is taken in after so long: keys must not wait for a flood of data.
const TAKE_MS_MAX: i64 = 4;

/// How the screens are started.
#[derive(Debug, Clone)]
pub struct Options {
    /// The cluster; without one there is a page that offers what can be done.
    pub target: Option<Target>,
    /// Whatever the cluster that is connected to allows.
    pub read_only: bool,
    pub clusters: SavedClusters,
    /// `None`: dark, or without colours where `NO_COLOR` says so.
    pub theme: Option<ThemeName>,
    pub mouse: bool,
    pub intervals: PollIntervals,
    /// A line as after `:`, to begin with.
    pub command: Option<String>,
    /// A message to begin with.
    pub message: Option<String>,
    /// Keeps everything that is read.
    pub recorder: Option<Recorder>,
    /// A recording to look at instead of a cluster.
    pub tape: Option<Arc<Tape>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            target: None,
            read_only: false,
            clusters: SavedClusters::default(),
            theme: None,
            mouse: true,
            intervals: PollIntervals::default(),
            command: None,
            message: None,
            recorder: None,
            tape: None,
        }
    }
}

impl Options {
    /// The styles: what was asked for, else what the environment says.
    fn theme(&self) -> Theme {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let name = match self.theme {
            Some(name) => name,
            None if no_color || dumb => ThemeName::Mono,
            None => ThemeName::default(),
        };
        Theme::new(name)
    }
}

/// Shows the screens until somebody leaves.
///
/// # Errors
/// When there is no terminal, or it is gone.
pub async fn run(options: Options) -> anyhow::Result<()> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        anyhow::bail!("the screens need a terminal; commands such as `topics list` do not");
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let (events, received) = mpsc::channel(EVENTS_MAX);
    let app_options = AppOptions {
        read_only: options.read_only,
        theme: options.theme(),
        target: options.target.clone(),
        has_saved: options.clusters.are_there(),
        intervals: options.intervals,
        tape: options.tape.clone(),
        command: options.command.clone(),
        message: options.message.clone(),
    };
    let runner_options = RunnerOptions {
        intervals: options.intervals,
        clusters: options.clusters.clone(),
        journal: Journal::of_user(),
        recorder: options.recorder.clone(),
    };
    let app = App::new(app_options, now(&*clock));
    let runner = Runner::new(runner_options, Arc::clone(&clock), events);
    let terminal = Terminal::enter(options.mouse)?;
    let mut main_loop = MainLoop {
        app,
        runner,
        terminal,
        clock,
        received,
        drawn_ms: i64::MIN / 2,
    };
    main_loop.run().await
}

fn now(clock: &dyn Clock) -> Taken {
    Taken {
        monotonic_ms: clock.monotonic_ms(),
        wall_ms: clock.wall_ms(),
    }
}

struct Signals {
    terminate: Signal,
    hang_up: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Reads the terminal in a task of its own, so that what waits can be looked at without waiting.
/// Dropping it ends the reading: two readers would take keys from each other.
struct Keys {
    queue: mpsc::Receiver<std::io::Result<Input>>,
    reader: tokio::task::JoinHandle<()>,
}

impl Keys {
    fn new() -> Self {
        let (sender, queue) = mpsc::channel(KEYS_MAX);
        let reader = task::spawn("ui-keys", async move {
            let mut stream = EventStream::new();
            while let Some(event) = stream.next().await {
                if sender.send(event).await.is_err() {
                    return;
                }
            }
        });
        Self { queue, reader }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// What the loop does after some events.
#[derive(PartialEq, Eq)]
enum Next {
    Go,
    Suspend,
    Quit,
}

struct MainLoop {
    app: App,
    runner: Runner,
    terminal: Terminal,
    clock: Arc<dyn Clock>,
    received: mpsc::Receiver<Event>,
    drawn_ms: i64,
}

impl MainLoop {
    async fn run(&mut self) -> anyhow::Result<()> {
        let mut signals = Signals::new()?;
        let mut input = Keys::new();
        let effects = self.app.start();
        let mut next = self.perform(effects)?;
        while next != Next::Quit {
            if next == Next::Suspend {
                // A second reader of the terminal would swallow what the shell is told.
                drop(input);
                self.suspend()?;
                input = Keys::new();
            }
            self.draw_if_due()?;
            let wait = self.wait_ms().map(Duration::from_millis);
            let timer = async move {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            next = tokio::select! {
                () = signals.next() => self.take(Event::Terminate)?,
                event = input.queue.recv() => match event {
                    Some(Ok(event)) => self.take_input(event, &mut input)?,
                    // The terminal is gone.
                    Some(Err(_)) | None => Next::Quit,
                },
                Some(event) = self.received.recv() => self.take_all(event)?,
                () = timer => self.take_tick()?,
            };
        }
        Ok(())
    }

    /// Until when to sleep: the next frame that is due, or the next moment that shows.
    fn wait_ms(&self) -> Option<u64> {
        let tick = self.app.tick_in_ms();
        if !self.app.is_dirty() {
            return tick;
        }
        let left = (self.drawn_ms + FRAME_MS - self.clock.monotonic_ms()).max(0);
        let frame = u64::try_from(left).unwrap_or(0);
        Some(tick.map_or(frame, |tick| tick.min(frame)))
    }

    fn take_tick(&mut self) -> anyhow::Result<Next> {
        if self.app.is_dirty() {
            Ok(Next::Go)
        } else {
            self.take(Event::Tick)
        }
    }

    fn take(&mut self, event: Event) -> anyhow::Result<Next> {
        let effects = self.app.update(now(&*self.clock), event);
        self.perform(effects)
    }

    /// Takes an event in, and those that wait behind it.
    fn take_all(&mut self, first: Event) -> anyhow::Result<Next> {
        let started_ms = self.clock.monotonic_ms();
        let mut next = self.take(first)?;
        for _ in 1..EVENTS_AT_ONCE {
            if next != Next::Go || self.clock.monotonic_ms() - started_ms >= TAKE_MS_MAX {
                break;
            }
            let Ok(event) = self.received.try_recv() else {
                break;
            };
            next = self.take(event)?;
        }
        Ok(next)
    }

    /// Takes a key in, and those that were typed meanwhile: a held key must not lag behind.
    fn take_input(&mut self, first: Input, input: &mut Keys) -> anyhow::Result<Next> {
        let mut event = first;
        for _ in 0..EVENTS_AT_ONCE {
            if matches!(event, Input::Resize(..)) {
                self.terminal.redraw_all()?;
            }
            let next = self.take(Event::Terminal(event))?;
            if next != Next::Go {
                return Ok(next);
            }
            match input.queue.try_recv() {
                Ok(Ok(more)) => event = more,
                Ok(Err(_)) => return Ok(Next::Quit),
                Err(_) => break,
            }
        }
        Ok(Next::Go)
    }

    fn perform(&mut self, effects: Vec<Effect>) -> anyhow::Result<Next> {
        let mut next = Next::Go;
        for effect in effects {
            match effect {
                Effect::Quit => return Ok(Next::Quit),
                Effect::Suspend => next = Next::Suspend,
                Effect::Copy(text) => self.terminal.copy(&text)?,
                other => self.runner.run(other),
            }
        }
        Ok(next)
    }

    fn draw_if_due(&mut self) -> anyhow::Result<()> {
        let now_ms = self.clock.monotonic_ms();
        if self.app.is_dirty() && now_ms - self.drawn_ms >= FRAME_MS {
            self.app.settle();
            let app = &self.app;
            self.terminal.draw(|buffer| view::draw(app, buffer))?;
            self.drawn_ms = now_ms;
        }
        Ok(())
    }

    /// Stops this process as the shell's ctrl-z would, and comes back when it is continued.
    fn suspend(&mut self) -> anyhow::Result<()> {
        self.terminal.leave();
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TSTP)?;
        self.terminal.resume()?;
        let effects = self.app.update(now(&*self.clock), Event::Tick);
        self.perform(effects)?;
        Ok(())
    }
}
