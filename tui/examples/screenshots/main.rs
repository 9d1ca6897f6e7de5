//! Paints screenshots/*.png from the real program in a pseudo-terminal, on the demo cluster.
//!
//! `cargo run --release --package kafka-tui --example screenshots`

mod paint;
mod terminal;

use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use terminal::Terminal;

/// One picture: its file, the terminal's size, the keys that lead there from the overview, and the
/// text that shows that it is there.
struct Scene {
    file: &'static str,
    columns: u16,
    rows: u16,
    keys: &'static [&'static str],
    shows: &'static str,
}

const SCENES: &[Scene] = &[
    Scene {
        file: "overview",
        columns: 120,
        rows: 34,
        keys: &["1"],
        shows: "Brokers",
    },
    Scene {
        file: "topics",
        columns: 120,
        rows: 34,
        keys: &["3"],
        shows: "orders",
    },
    Scene {
        file: "topic",
        columns: 120,
        rows: 34,
        keys: &["3", "/orders\r", "\r"],
        shows: "LEADER",
    },
    Scene {
        file: "groups",
        columns: 120,
        rows: 34,
        keys: &["4"],
        shows: "Stable",
    },
    Scene {
        file: "help",
        columns: 80,
        rows: 24,
        keys: &["3", "?"],
        shows: "filter",
    },
];

/// How long the demo's load runs before the first picture, so that rates and lags are there.
const WARM_UP: Duration = Duration::from_secs(12);

fn main() -> anyhow::Result<()> {
    if std::env::args().len() > 1 {
        // The demo starts this very program again as its broker.
        std::process::exit(0);
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../screenshots");
    std::fs::create_dir_all(&folder)?;
    let mut terminal = Terminal::start(&["demo"], 120, 34)?;
    terminal
        .wait_for("Brokers", Duration::from_secs(60))
        .context("the demo did not start")?;
    terminal.read_for(WARM_UP);
    for scene in SCENES {
        terminal.resize(scene.columns, scene.rows)?;
        for keys in scene.keys {
            terminal.send(keys)?;
            terminal.read_for(Duration::from_millis(400));
        }
        terminal
            .wait_for(scene.shows, Duration::from_secs(20))
            .context(scene.file)?;
        terminal.read_for(Duration::from_millis(600));
        let path = folder.join(format!("{}.png", scene.file));
        paint::paint(terminal.screen(), &path)?;
        println!("{}", path.display());
        // Back to where every scene starts.
        terminal.send("\x1b")?;
        terminal.send("\x1b")?;
        terminal.send("1")?;
        terminal.read_for(Duration::from_millis(300));
    }
    terminal.send("q")?;
    terminal.wait_for_end(Duration::from_secs(20))
}
