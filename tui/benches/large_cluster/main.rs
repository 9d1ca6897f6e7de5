//! What the manager costs on a large cluster: time to the first screen, time of a frame, memory.
//!
//! `cargo bench --package kafka-tui --bench large_cluster [-- TOPICS [GROUPS]]`
//!
//! The cluster is `fixture`, in a process of its own, so that the memory told here is the
//! manager's. The manager is the real one, client, poller, state and drawing, over sockets; what
//! it would write to a terminal it writes nowhere. A frame is everything between an event and the
//! last byte for the terminal: taking in, rows, cells, the comparison with the frame before.
//! Frames are judged by the CPU time of the thread that draws, so that other work on the machine
//! does not count; the time on the wall is printed beside it. Exits with 1 when a limit is
//! exceeded; an unoptimised build runs and is not judged.

#![allow(clippy::print_stdout, reason = "a benchmark prints its results")]

mod fixture;

use std::collections::BTreeMap;
use std::io::BufRead as _;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use crossterm::event::{Event as Input, KeyCode, KeyEvent, KeyModifiers};
use fixture::Size;
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

const TOPICS: usize = 10_000;
const PARTITIONS_PER_TOPIC: usize = 5;
const GROUPS: usize = 1_000;
const SCREEN: Rect = Rect {
    x: 0,
    y: 0,
    width: 160,
    height: 45,
};

/// From the first answer of the cluster to the first screen with its names.
const FIRST_SCREEN_MS_MAX: f64 = 1_000.0;
/// One event, its effects and the drawing.
const FRAME_MS_MAX: f64 = 16.0;
const MEMORY_MB_MAX: f64 = 150.0;

/// How long everything may take to be known once.
const COMPLETE_DEADLINE: Duration = Duration::from_secs(60);

/// How long the manager keeps polling before its memory is read.
const SETTLE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let outcome = match arguments().next().as_deref() {
        Some("serve") => serve(),
        _ => bench(),
    };
    match outcome {
        Ok(is_kept) if is_kept || cfg!(debug_assertions) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            println!("large_cluster: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What was asked for; cargo adds flags for a harness that is not here.
fn arguments() -> impl Iterator<Item = String> {
    std::env::args().skip(1).filter(|arg| !arg.starts_with('-'))
}

fn number(at: usize, usual: usize) -> anyhow::Result<usize> {
    match arguments().nth(at) {
        Some(text) => text.parse().with_context(|| format!("{text} is no number")),
        None => Ok(usual),
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?)
}

fn serve() -> anyhow::Result<bool> {
    let size = Size {
        topics: number(1, TOPICS)?,
        partitions_per_topic: PARTITIONS_PER_TOPIC,
        groups: number(2, GROUPS)?,
    };
    runtime()?.block_on(fixture::serve_until_parent_is_gone(size))?;
    Ok(true)
}

/// The fixture's process; it ends with its standard input.
struct Fixture(Child);

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn bench() -> anyhow::Result<bool> {
    let (topics, groups) = (number(0, TOPICS)?, number(1, GROUPS)?);
    let mut child = Command::new(std::env::current_exe()?)
        .args(["serve", &topics.to_string(), &groups.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().context("the fixture's output")?;
    let _fixture = Fixture(child);
    let mut line = String::new();
    std::io::BufReader::new(output).read_line(&mut line)?;
    let port = line
        .trim()
        .split(',')
        .next()
        .context("the fixture's port")?
        .to_owned();
    println!(
        "{topics} topics, {} partitions, {groups} groups, {}x{} cells",
        topics * PARTITIONS_PER_TOPIC,
        SCREEN.width,
        SCREEN.height
    );
    runtime()?.block_on(measure(&port, topics, groups))
}

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
    fn new(port: &str) -> anyhow::Result<Self> {
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
        let intervals = PollIntervals::default();
        let runner_options = RunnerOptions {
            clusters: SavedClusters::default(),
            journal: kafka_tui::ops::undo::Journal::none(),
            recorder: None,
            intervals,
        };
        let app = App::new(options, taken(&*clock));
        let runner = Runner::new(runner_options, Arc::clone(&clock), events);
        Ok(Self {
            app,
            runner,
            received,
            shown: Buffer::empty(SCREEN),
            next: Buffer::empty(SCREEN),
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

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// One line of the result.
struct Line {
    what: String,
    value: f64,
    unit: &'static str,
    limit: Option<f64>,
    note: String,
}

impl Line {
    fn print(&self) -> bool {
        let good = self.limit.is_none_or(|limit| self.value <= limit);
        let limit = match self.limit {
            Some(limit) if good => format!("  (limit {limit:.0}: kept)"),
            Some(limit) => format!("  (limit {limit:.0}: EXCEEDED)"),
            None => String::new(),
        };
        let note = match &*self.note {
            "" => String::new(),
            note => format!("  {note}"),
        };
        println!(
            "{:<60} {:>8.1} {}{limit}{note}",
            self.what, self.value, self.unit
        );
        good
    }
}

async fn measure(port: &str, topics: usize, groups: usize) -> anyhow::Result<bool> {
    let mut manager = Manager::new(port)?;
    let mut lines = Vec::new();
    let mut frames = Vec::new();
    let started = manager.clock.monotonic();
    let effects = manager.app.start();
    manager.perform(effects);
    first_screen(&mut manager, started, &mut lines).await?;
    complete(
        &mut manager,
        started,
        topics,
        groups,
        &mut lines,
        &mut frames,
    )
    .await?;
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
    let cpu_before = cpu_seconds();
    frames.clear();
    let mut by_kind: BTreeMap<&'static str, (f64, f64)> = BTreeMap::new();
    while manager.clock.monotonic() < until {
        let rest = until.saturating_sub(manager.clock.monotonic());
        if let Ok(Some(event)) = tokio::time::timeout(rest, manager.received.recv()).await {
            let kind = kind(&event);
            let begun = manager.begin();
            manager.take(event);
            let taken = manager.end(&begun, kind);
            manager.draw();
            let frame = manager.end(&begun, kind);
            frames.push(frame);
            let slowest = by_kind.entry(kind).or_default();
            slowest.0 = slowest.0.max(taken.cpu);
            slowest.1 = slowest.1.max(frame.cpu - taken.cpu);
        }
    }
    push_frames(&mut lines, "taking in what was polled", &mut frames);
    for (kind, (take, draw)) in by_kind {
        for (part, value) in [("take in", take), ("draw after", draw)] {
            let what = format!("slowest to {part} {kind}");
            lines.push(Line {
                what,
                value,
                unit: "ms",
                limit: None,
                note: String::new(),
            });
        }
    }
    let share = (cpu_seconds() - cpu_before) / SETTLE.as_secs_f64() * 100.0;
    lines.push(Line {
        what: "CPU while polling".into(),
        value: share,
        unit: "%",
        limit: None,
        note: String::new(),
    });
    for (what, field) in [("memory", "VmRSS:"), ("memory at its peak", "VmHWM:")] {
        if let Some(value) = memory_mb(field) {
            let limit = (field == "VmRSS:").then_some(MEMORY_MB_MAX);
            lines.push(Line {
                what: what.into(),
                value,
                unit: "MB",
                limit,
                note: String::new(),
            });
        }
    }
    // Every line is printed, also after one that is over its limit.
    let good: Vec<bool> = lines.iter().map(Line::print).collect();
    Ok(good.into_iter().all(|is_good| is_good))
}

/// Waits for the first metadata and draws.
async fn first_screen(
    manager: &mut Manager,
    started: Duration,
    lines: &mut Vec<Line>,
) -> anyhow::Result<()> {
    loop {
        let event = tokio::time::timeout(COMPLETE_DEADLINE, manager.received.recv()).await?;
        let event = event.context("the manager's tasks ended")?;
        let is_metadata = matches!(
            &event,
            Event::Data {
                update: Update::Metadata(Ok(_)),
                ..
            }
        );
        let answered = manager.clock.monotonic();
        manager.take(event);
        manager.draw();
        if is_metadata {
            let now = manager.clock.monotonic();
            let line = |what: &str, value, limit| Line {
                what: what.into(),
                value,
                unit: "ms",
                limit,
                note: String::new(),
            };
            lines.push(line(
                "start to the metadata decoded",
                ms(answered - started),
                None,
            ));
            let limit = Some(FIRST_SCREEN_MS_MAX);
            lines.push(line(
                "metadata decoded to the first screen",
                ms(now - answered),
                None,
            ));
            lines.push(line("start to the first screen", ms(now - started), limit));
            return Ok(());
        }
    }
}

/// Goes through topics and groups until every part was read once.
async fn complete(
    manager: &mut Manager,
    started: Duration,
    topics: usize,
    groups: usize,
    lines: &mut Vec<Line>,
    frames: &mut Vec<Frame>,
) -> anyhow::Result<()> {
    let deadline = started + COMPLETE_DEADLINE;
    manager.key(KeyCode::Char('4'));
    let (mut offsets_at, mut groups_at) = (None, None);
    while offsets_at.is_none() || groups_at.is_none() {
        let rest = deadline.saturating_sub(manager.clock.monotonic());
        let event = tokio::time::timeout(rest, manager.received.recv()).await;
        let event = event.context("not everything was read in time")?;
        let event = event.context("the manager's tasks ended")?;
        let (begun, what) = (manager.begin(), kind(&event));
        manager.take(event);
        manager.draw();
        frames.push(manager.end(&begun, what));
        let now = manager.clock.monotonic();
        let snapshot = manager.app.snapshot();
        if snapshot
            .offsets
            .get()
            .is_some_and(|offsets| offsets.len() == topics)
        {
            offsets_at.get_or_insert(now);
        }
        let committed = snapshot
            .committed
            .values()
            .filter(|one| one.get().is_some())
            .count();
        if committed == groups {
            groups_at.get_or_insert(now);
        }
    }
    for (what, at) in [
        ("start to all offsets on the screen", offsets_at),
        (
            "start to all groups with their lag on the screen",
            groups_at,
        ),
    ] {
        let value = ms(at.unwrap_or(deadline) - started);
        lines.push(Line {
            what: what.into(),
            value,
            unit: "ms",
            limit: None,
            note: String::new(),
        });
    }
    push_frames(lines, "taking in what is read first", frames);
    anyhow::ensure!(
        manager.text().contains("consumer-"),
        "the groups are on the screen"
    );
    Ok(())
}

fn push_frames(lines: &mut Vec<Line>, name: &str, frames: &mut [Frame]) {
    if frames.is_empty() {
        return;
    }
    let last = frames.len() - 1;
    frames.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
    let p99 = frames[(frames.len() * 99 / 100).min(last)];
    let slowest = frames[last];
    for (share, frame) in [("99th of a hundred", p99), ("slowest", slowest)] {
        lines.push(Line {
            what: format!("frame, {name}: {share} of {}", frames.len()),
            value: frame.cpu,
            unit: "ms",
            limit: Some(FRAME_MS_MAX),
            note: format!("{:.1} ms on the wall, {}", frame.wall, frame.what),
        });
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

/// A field of `/proc/self/status` in megabytes; `None` where there is no such file.
fn memory_mb(field: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(field))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1_024.0)
}

/// CPU seconds of this process so far; 0 where `/proc` does not tell.
fn cpu_seconds() -> f64 {
    /// What Linux counts in, whatever the kernel's own clock does.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum::<f64>()
        / TICKS_PER_SECOND
}
