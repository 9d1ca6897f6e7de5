//! The program in a pseudo-terminal: how long until what is on the screen, what it costs when
//! nothing happens, and what it asks of the cluster.
//!
//! Time begins with the last key, or before the process is made, and ends with the screen as a
//! terminal shows it. A number that was measured several times is told by its median, with the
//! least beside it. Nobody writes to the cluster, so that silence can be expected.
//!
//! Memory is all that is resident (VmRSS), as other managers were measured: what the process has for
//! itself, and the pages of the program and its libraries that it has touched, which the kernel maps
//! in pieces of 64 KB and may take away at any time.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use kafka_shared::time::{Clock as _, SystemClock};

use crate::fixture::{STILL_RECORDS, Size};
use crate::terminal::Terminal;
use crate::{Fixture, Line, SCREEN, ms};

/// How often everything that takes milliseconds is measured.
const RUNS: usize = 5;

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// How often the screen is looked at.
const LOOK: Duration = Duration::from_millis(1);

/// How long the program is left alone.
const IDLE: Duration = Duration::from_secs(65);

/// Requests in a second that the cluster has to stand; the README says so.
const REQUESTS_MAX: f64 = 10.0;

/// What is typed as a filter.
const FILTER: &str = "service-123";

/// What a size is held to.
struct Limits {
    /// The first screen, with what it has.
    paint_ms: f64,
    /// The first screen with names.
    names_ms: f64,
    /// Every number of the overview.
    complete_ms: f64,
    /// Groups with their lag, after the key.
    groups_ms: f64,
    filter_ms: f64,
    memory_mb: f64,
    idle_percent: f64,
}

const MEDIUM: Limits = Limits {
    paint_ms: 60.0,
    names_ms: 60.0,
    complete_ms: 250.0,
    groups_ms: 200.0,
    filter_ms: 10.0,
    memory_mb: 20.0,
    idle_percent: 0.5,
};

/// Three round trips are needed for everything: names, then offsets and lists, then details.
const LARGE: Limits = Limits {
    paint_ms: 100.0,
    names_ms: 1_000.0,
    complete_ms: 3_000.0,
    groups_ms: 1_000.0,
    filter_ms: 16.0,
    memory_mb: 200.0,
    idle_percent: 1.0,
};

/// A started program and the time since then.
struct Session {
    terminal: Terminal,
    clock: SystemClock,
    began: Duration,
}

impl Session {
    fn start(port: u16, open: &str) -> anyhow::Result<Self> {
        let clock = SystemClock::new();
        let bootstrap = format!("127.0.0.1:{port}");
        let args = ["--bootstrap", &bootstrap, "--open", open];
        let began = clock.monotonic();
        let program = Path::new(env!("CARGO_BIN_EXE_kafka-tui"));
        let terminal = Terminal::start(program, &args, &[], SCREEN)?;
        Ok(Self {
            terminal,
            clock,
            began,
        })
    }

    fn keys(&mut self, keys: &str) -> anyhow::Result<()> {
        self.began = self.clock.monotonic();
        self.terminal.keys(keys)
    }

    /// Milliseconds from the beginning until the screen is so.
    fn until(&mut self, what: &str, is_so: impl Fn(&Terminal) -> bool) -> anyhow::Result<f64> {
        while !is_so(&self.terminal) {
            if self.clock.monotonic() > self.began + DEADLINE {
                bail!(
                    "\"{what}\" did not come about on:\n{}",
                    self.terminal.text()
                );
            }
            self.terminal.read_for(LOOK);
        }
        Ok(ms(self.clock.monotonic() - self.began))
    }

    fn end(mut self) -> anyhow::Result<()> {
        self.terminal.keys("q")?;
        self.terminal.wait_for_end().map(drop)
    }

    /// A line of `/proc/PID/status` in megabytes.
    fn memory_mb(&self, field: &str) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(self.process("status")?)?;
        let line = status.lines().find(|line| line.starts_with(field));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        let kib: f64 = kib.context("the memory of the process")?.parse()?;
        Ok(kib / 1_024.0)
    }

    /// Seconds of CPU that the process has used.
    fn cpu_seconds(&self) -> anyhow::Result<f64> {
        /// What Linux counts in, whatever the kernel's own clock does.
        const TICKS_PER_SECOND: f64 = 100.0;
        let stat = std::fs::read_to_string(self.process("stat")?)?;
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: Vec<f64> = ticks.map(str::parse).collect::<Result<_, _>>()?;
        Ok(ticks.iter().sum::<f64>() / TICKS_PER_SECOND)
    }

    fn process(&self, file: &str) -> anyhow::Result<String> {
        let id = self.terminal.process_id().context("the process")?;
        Ok(format!("/proc/{id}/{file}"))
    }
}

/// What stands in a column, for every row on the screen.
fn column(terminal: &Terminal, header: &str) -> Vec<String> {
    let text = terminal.text();
    let lines: Vec<Vec<char>> = text.lines().map(|line| line.chars().collect()).collect();
    let header: Vec<char> = header.chars().collect();
    let end = lines.iter().find_map(|line| {
        let at = line.windows(header.len()).position(|part| part == header)?;
        Some(at + header.len())
    });
    let Some(end) = end else { return Vec::new() };
    let cell = |line: &Vec<char>| {
        let before: String = line.iter().take(end).collect();
        let is_row = before
            .trim_start_matches([' ', '>', '▌', '▸'])
            .starts_with("team-");
        is_row.then(|| before.split_whitespace().next_back().map(str::to_owned))?
    };
    lines.iter().filter_map(cell).collect()
}

/// Whether every row on the screen has a number there.
fn is_known(terminal: &Terminal, header: &str) -> bool {
    let cells = column(terminal, header);
    let is_number = |cell: &String| cell.starts_with(|c: char| c.is_ascii_digit());
    !cells.is_empty() && cells.iter().all(is_number)
}

/// A number as the screens write it.
fn grouped(n: i64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Measurements of one thing.
#[derive(Default)]
struct Times(Vec<f64>);

impl Times {
    fn push(&mut self, ms: f64) {
        self.0.push(ms);
    }

    fn line(mut self, what: &str, limit: f64) -> Line {
        self.0.sort_by(f64::total_cmp);
        let least = self.0.first().copied().unwrap_or(f64::NAN);
        let median = self.0.get(self.0.len() / 2).copied().unwrap_or(f64::NAN);
        Line::new(what, median, "ms", limit).note(format!("least {least:.1}"))
    }
}

/// Measures one size.
pub fn measure(name: &str, size: Size) -> anyhow::Result<Vec<Line>> {
    let limits = if name == "medium" { MEDIUM } else { LARGE };
    let mut fixture = Fixture::start(name, true)?;
    let port = fixture.port;
    let mut lines = topics(port, &limits)?;
    lines.extend(overview(port, size, &limits)?);
    lines.extend(groups(port, &limits)?);
    lines.push(filter(port, &limits)?);
    lines.extend(idle(&mut fixture, &limits)?);
    Ok(lines)
}

fn topics(port: u16, limits: &Limits) -> anyhow::Result<Vec<Line>> {
    let [mut paint, mut first, mut counted]: [Times; 3] = Default::default();
    for _ in 0..RUNS {
        let mut session = Session::start(port, "topics")?;
        let paints = |terminal: &Terminal| !terminal.screen().contents().trim().is_empty();
        paint.push(session.until("anything", paints)?);
        let names = |terminal: &Terminal| terminal.screen().contents().contains("team-");
        first.push(session.until("topics", names)?);
        let counts = |terminal: &Terminal| is_known(terminal, "RECORDS");
        counted.push(session.until("their records", counts)?);
        session.end()?;
    }
    Ok(vec![
        paint.line("start to the first screen", limits.paint_ms),
        first.line("start to the first topics", limits.names_ms),
        counted.line("start to topics with their records", limits.complete_ms),
    ])
}

fn overview(port: u16, size: Size, limits: &Limits) -> anyhow::Result<Vec<Line>> {
    let total = grouped(i64::try_from(size.partitions)? * STILL_RECORDS);
    let partitions = grouped(i64::try_from(size.partitions)?);
    let (mut first, mut complete) = (Times::default(), Times::default());
    for _ in 0..RUNS {
        let mut session = Session::start(port, "overview")?;
        let shows = |text: &str| {
            let text = text.to_owned();
            move |terminal: &Terminal| terminal.screen().contents().contains(&text)
        };
        first.push(session.until("partitions", shows(&partitions))?);
        let known = |terminal: &Terminal| {
            let row = |first| terminal.line(first).unwrap_or_default();
            row("records").contains(&total)
                && !row("size on disk").contains(['…', '≥'])
                && !row("groups").contains(['…', '≥'])
        };
        complete.push(session.until("all totals", known)?);
        session.end()?;
    }
    Ok(vec![
        first.line("start to the first overview", limits.names_ms),
        complete.line(
            "start to the overview with every number",
            limits.complete_ms,
        ),
    ])
}

fn groups(port: u16, limits: &Limits) -> anyhow::Result<Vec<Line>> {
    let names = |terminal: &Terminal| terminal.screen().contents().contains(".consumer-");
    let lags = |terminal: &Terminal| is_known(terminal, "LAG");
    let [mut first, mut cold, mut listed, mut lagging]: [Times; 4] = Default::default();
    for _ in 0..RUNS {
        let mut session = Session::start(port, "groups")?;
        first.push(session.until("groups", names)?);
        cold.push(session.until("their lag", lags)?);
        session.end()?;
        let mut session = Session::start(port, "topics")?;
        session.until("records", |terminal| is_known(terminal, "RECORDS"))?;
        session.keys("4")?;
        listed.push(session.until("groups", names)?);
        lagging.push(session.until("their lag", lags)?);
        session.end()?;
    }
    Ok(vec![
        first.line("start to the first groups", f64::INFINITY),
        cold.line("start to groups with their lag", f64::INFINITY),
        listed.line(
            "from topics to groups: the key to the first groups",
            f64::INFINITY,
        ),
        lagging.line(
            "from topics to groups: the key to their lag",
            limits.groups_ms,
        ),
    ])
}

fn filter(port: u16, limits: &Limits) -> anyhow::Result<Line> {
    let mut session = Session::start(port, "topics")?;
    session.until("records", |terminal| is_known(terminal, "RECORDS"))?;
    session.keys("/")?;
    session.terminal.read_for(Duration::from_millis(100));
    let mut times = Times::default();
    for end in 1..=FILTER.len() {
        session.keys(&FILTER[end - 1..end])?;
        let typed = FILTER[..end].to_owned();
        let is_drawn = move |terminal: &Terminal| {
            let rows = column(terminal, "TOPIC").len();
            let line = terminal
                .text()
                .lines()
                .any(|line| line.contains(&typed) && !line.contains("team-"));
            line && rows > 0
        };
        times.push(session.until("what was typed", is_drawn)?);
        session.terminal.read_for(Duration::from_millis(50));
    }
    session.terminal.keys("esc")?;
    session.end()?;
    Ok(times.line("a key of a filter to the screen", limits.filter_ms))
}

fn idle(fixture: &mut Fixture, limits: &Limits) -> anyhow::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for (open, key) in [("topics", "RECORDS"), ("groups", "LAG")] {
        let mut session = Session::start(fixture.port, open)?;
        session.until("numbers", |terminal| is_known(terminal, key))?;
        // Rates need two looks, verdicts some more, and what is read seldom its first one.
        session.terminal.read_for(Duration::from_secs(80));
        session.terminal.wait_for_silence(Duration::from_secs(6))?;
        let bytes = session.terminal.n_bytes();
        let (cpu, requests) = (session.cpu_seconds()?, fixture.requests()?);
        session.terminal.read_for(IDLE);
        let seconds = IDLE.as_secs_f64();
        let share = (session.cpu_seconds()? - cpu) / seconds * 100.0;
        let bytes = (session.terminal.n_bytes() - bytes) as f64;
        let requests = (fixture.requests()? - requests) / seconds;
        let what = |what| format!("{open}, nothing changes: {what}");
        lines.extend([
            Line::new(what("CPU"), share, "%", limits.idle_percent),
            Line::new(what("bytes to the terminal"), bytes, "", 0.0),
            Line::new(what("requests per second"), requests, "", REQUESTS_MAX),
        ]);
        let now = session.memory_mb("VmRSS:")?;
        let parts = format!(
            "peak {:.1}; {:.1} its own, {:.1} pages of the program and its libraries",
            session.memory_mb("VmHWM:")?,
            session.memory_mb("RssAnon:")?,
            session.memory_mb("RssFile:")?
        );
        lines.push(Line::new(what("memory"), now, "MB", limits.memory_mb).note(parts));
        session.end()?;
    }
    Ok(lines)
}
