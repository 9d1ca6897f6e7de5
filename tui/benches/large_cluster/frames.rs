//! What a frame costs: the real manager, client, poller, state and drawing, over sockets; what it
//! would write to a terminal it writes nowhere.
//!
//! A frame is everything between an event and the last byte for the terminal: taking in, rows,
//! cells, the comparison with the frame before. Frames are judged by the CPU time of the thread
//! that draws, so that other work on the machine does not count; the time on the wall is printed
//! beside it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use crossterm::event::{Event as Input, KeyCode, KeyEvent, KeyModifiers};
use kafka_shared::time::{Clock, SystemClock};
use kafka_tui::cluster::PollIntervals;
use kafka_tui::clusters::Target;
use kafka_tui::model::{Taken, Update};
use kafka_tui::ui::app::{App, AppOptions};
use kafka_tui::ui::event::{Effect, Event};
use kafka_tui::ui::runner::{Runner, RunnerOptions, SavedClusters};
use kafka_tui::ui::theme::{Theme, ThemeName};
use kafka_tui::ui::view;
use ratatui::backend::{Backend as _, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tokio::sync::mpsc;

use crate::fixture::Size;
use crate::{Line, SCREEN, ms};

/// One event, its effects and the drawing.
const FRAME_MS_MAX: f64 = 16.0;

/// How long everything may take to be known once.
const COMPLETE_DEADLINE: Duration = Duration::from_secs(60);

/// How long the manager keeps polling a cluster that is written to.
const SETTLE: Duration = Duration::from_secs(20);

/// The cells that are drawn to.
const AREA: Rect = Rect {
    x: 0,
    y: 0,
    width: SCREEN.0,
    height: SCREEN.1,
};

/// What one frame took, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Frame {
    cpu: f64,
    wall: f64,
    /// What led to it.
    what: &'static str,
}

/// When a frame or a part of it began.
struct Begun {
    cpu: Duration,
    wall: Duration,
}

/// CPU time of this thread.
fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The manager without a terminal.
struct Manager {
    app: App,
    runner: Runner,
    received: mpsc::Receiver<Event>,
    /// What is on the screen.
    shown: Buffer,
    next: Buffer,
    /// A terminal that forgets what it is told.
    terminal: CrosstermBackend<std::io::Sink>,
    clock: Arc<dyn Clock>,
}

impl Manager {
    fn new(port: u16) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let (events, received) = mpsc::channel(1_024);
        let options = AppOptions {
            read_only: false,
            theme: Theme::new(ThemeName::Dark),
            target: Some(Target::at(vec![format!("127.0.0.1:{port}").parse()?])),
            has_saved: false,
            intervals: PollIntervals::default(),
            tape: None,
            command: None,
            message: None,
        };
        let runner_options = RunnerOptions {
            clusters: SavedClusters::default(),
            journal: kafka_tui::ops::undo::Journal::none(),
            recorder: None,
            intervals: PollIntervals::default(),
        };
        let app = App::new(options, taken(&*clock));
        let runner = Runner::new(runner_options, Arc::clone(&clock), events);
        Ok(Self {
            app,
            runner,
            received,
            shown: Buffer::empty(AREA),
            next: Buffer::empty(AREA),
            terminal: CrosstermBackend::new(std::io::sink()),
            clock,
        })
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Suspend | Effect::Quit | Effect::Copy(_) => {}
                effect => self.runner.run(effect),
            }
        }
    }

    fn take(&mut self, event: Event) {
        let effects = self.app.update(taken(&*self.clock), event);
        self.perform(effects);
    }

    fn draw(&mut self) {
        self.app.settle();
        self.next.reset();
        view::draw(&self.app, &mut self.next);
        let changes = self.shown.diff(&self.next).into_iter();
        self.terminal
            .draw(changes)
            .expect("a sink takes everything");
        std::mem::swap(&mut self.shown, &mut self.next);
    }

    fn text(&self) -> String {
        self.shown
            .content()
            .iter()
            .map(|cell| cell.symbol())
            .collect()
    }

    fn begin(&self) -> Begun {
        Begun {
            cpu: thread_cpu(),
            wall: self.clock.monotonic(),
        }
    }

    fn end(&self, begun: &Begun, what: &'static str) -> Frame {
        Frame {
            what,
            cpu: ms(thread_cpu() - begun.cpu),
            wall: ms(self.clock.monotonic() - begun.wall),
        }
    }

    fn key(&mut self, code: KeyCode) -> Frame {
        let begun = self.begin();
        self.take(Event::Terminal(Input::Key(KeyEvent::new(
            code,
            KeyModifiers::NONE,
        ))));
        self.draw();
        self.end(&begun, "a key")
    }

    /// Takes in what has come meanwhile, each with a drawing, and tells how long they took.
    fn take_ready(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Ok(event) = self.received.try_recv() {
            let (begun, what) = (self.begin(), kind(&event));
            self.take(event);
            self.draw();
            frames.push(self.end(&begun, what));
        }
        frames
    }
}

/// Which part of the cluster an event is about.
fn kind(event: &Event) -> &'static str {
    match event {
        Event::Data { update, .. } => match update {
            Update::Metadata(_) => "metadata",
            Update::Offsets { complete: true, .. } => "all offsets",
            Update::Offsets {
                complete: false, ..
            } => "some offsets",
            Update::Settings(_) => "settings",
            Update::LogDirs(_) => "log directories",
            Update::Groups(_) => "the list of groups",
            Update::Descriptions(_) => "descriptions of groups",
            Update::Committed(_) => "committed offsets",
            _ => "the rest",
        },
        _ => "the rest",
    }
}

fn taken(clock: &dyn Clock) -> Taken {
    Taken {
        monotonic_ms: clock.monotonic_ms(),
        wall_ms: clock.wall_ms(),
    }
}

/// Measures the frames of everything that a user would do.
pub async fn measure(port: u16, size: Size) -> anyhow::Result<Vec<Line>> {
    let mut manager = Manager::new(port)?;
    let mut lines = Vec::new();
    let mut frames = Vec::new();
    let effects = manager.app.start();
    manager.perform(effects);
    complete(&mut manager, size, &mut frames).await?;
    push_frames(&mut lines, "taking in what is read first", &mut frames);
    for (name, keys) in scenes() {
        frames.clear();
        for key in keys {
            frames.push(manager.key(key));
            // The poller's tasks get their turn between two keys.
            tokio::task::yield_now().await;
            frames.extend(manager.take_ready());
        }
        push_frames(&mut lines, name, &mut frames);
    }
    manager.key(KeyCode::Char('3'));
    let until = manager.clock.monotonic() + SETTLE;
    frames.clear();
    while manager.clock.monotonic() < until {
        let rest = until.saturating_sub(manager.clock.monotonic());
        if let Ok(Some(event)) = tokio::time::timeout(rest, manager.received.recv()).await {
            let (begun, what) = (manager.begin(), kind(&event));
            manager.take(event);
            manager.draw();
            frames.push(manager.end(&begun, what));
        }
    }
    push_frames(&mut lines, "taking in what was polled", &mut frames);
    Ok(lines)
}

/// Goes to the groups and waits until every part was read once.
async fn complete(
    manager: &mut Manager,
    size: Size,
    frames: &mut Vec<Frame>,
) -> anyhow::Result<()> {
    let deadline = manager.clock.monotonic() + COMPLETE_DEADLINE;
    manager.key(KeyCode::Char('4'));
    loop {
        let snapshot = manager.app.snapshot();
        let offsets = snapshot.offsets.get().map_or(0, |offsets| offsets.len());
        let committed = snapshot.committed.values();
        let committed = committed.filter(|one| one.get().is_some()).count();
        if (offsets, committed) == (size.topics, size.groups) {
            break;
        }
        let rest = deadline.saturating_sub(manager.clock.monotonic());
        let event = tokio::time::timeout(rest, manager.received.recv()).await;
        let event = event.context("not everything was read in time")?;
        let event = event.context("the manager's tasks ended")?;
        let (begun, what) = (manager.begin(), kind(&event));
        manager.take(event);
        manager.draw();
        frames.push(manager.end(&begun, what));
    }
    anyhow::ensure!(
        manager.text().contains("consumer-"),
        "the groups are on the screen"
    );
    Ok(())
}

fn push_frames(lines: &mut Vec<Line>, name: &str, frames: &mut [Frame]) {
    frames.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
    let Some(slowest) = frames.last() else { return };
    let p99 = frames[(frames.len() * 99 / 100).min(frames.len() - 1)];
    for (share, frame) in [("99th of a hundred", &p99), ("slowest", slowest)] {
        let what = format!("frame, {name}: {share} of {}", frames.len());
        let note = format!("{:.1} ms on the wall, {}", frame.wall, frame.what);
        lines.push(Line::new(what, frame.cpu, "ms", FRAME_MS_MAX).note(note));
    }
}

/// Keys that a user would press, by what they do.
fn scenes() -> Vec<(&'static str, Vec<KeyCode>)> {
    let press = |code: KeyCode, n: usize| std::iter::repeat_n(code, n);
    let type_in = |text: &'static str| text.chars().map(KeyCode::Char);
    let filter = |text: &'static str| {
        let typed = std::iter::once(KeyCode::Char('/')).chain(type_in(text));
        typed.chain([KeyCode::Enter, KeyCode::Esc])
    };
    let walk = |view: char| {
        let down = press(KeyCode::Down, 100).chain(press(KeyCode::PageDown, 100));
        let ends = [
            KeyCode::Char('G'),
            KeyCode::Char('g'),
            KeyCode::End,
            KeyCode::Home,
        ];
        let keys = std::iter::once(KeyCode::Char(view)).chain(down).chain(ends);
        keys.chain(filter("service-123")).collect()
    };
    vec![
        ("overview", press(KeyCode::Char('1'), 20).collect()),
        ("brokers", press(KeyCode::Char('2'), 20).collect()),
        ("topics", walk('3')),
        ("groups", walk('4')),
        (
            "one topic and back",
            std::iter::once(KeyCode::Char('3'))
                .chain((0..20).flat_map(|_| [KeyCode::Down, KeyCode::Enter, KeyCode::Esc]))
                .collect(),
        ),
        (
            "one group and back",
            std::iter::once(KeyCode::Char('4'))
                .chain((0..20).flat_map(|_| [KeyCode::Down, KeyCode::Enter, KeyCode::Esc]))
                .collect(),
        ),
    ]
}
