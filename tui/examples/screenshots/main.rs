//! Paints screenshots/*.png from the real program in a pseudo-terminal, on the demo cluster.
//!
//! `cargo run --release --package kafka-tui --example screenshots`

mod paint;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../tests/it/terminal.rs"]
mod terminal;

use std::path::{Path, PathBuf};
use std::process::Command;
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

#[rustfmt::skip]
const SCENES: &[Scene] = &[
    Scene { file: "overview", columns: 120, rows: 34, keys: &["1"], shows: "HEALTH" },
    Scene { file: "topics", columns: 120, rows: 34, keys: &["3"], shows: "orders" },
    Scene { file: "topic", columns: 120, rows: 34, keys: &["3", "jjj\r"], shows: "LEADER" },
    Scene { file: "groups", columns: 120, rows: 34, keys: &["4"], shows: "stable" },
    Scene { file: "help", columns: 80, rows: 24, keys: &["3", "?"], shows: "filter" },
];

/// How long the demo's load runs before the first picture, so that rates and lags are there.
const WARM_UP: Duration = Duration::from_secs(12);

fn main() -> anyhow::Result<()> {
    let program = build_program()?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../screenshots");
    std::fs::create_dir_all(&folder)?;
    let mut terminal = Terminal::start(&program, &["demo"], &[], (120, 34))?;
    terminal
        .wait_for("ctrl-p jump")
        .context("the demo did not start")?;
    terminal.read_for(WARM_UP);
    for scene in SCENES {
        terminal.resize(scene.columns, scene.rows)?;
        for keys in scene.keys {
            terminal.send(keys)?;
            terminal.read_for(Duration::from_millis(400));
        }
        terminal.wait_for(scene.shows).context(scene.file)?;
        terminal.read_for(Duration::from_millis(600));
        let path = folder.join(format!("{}.png", scene.file));
        paint::paint(terminal.screen(), &path)?;
        println!("{}", path.display());
        // Back to where every scene starts.
        for _ in 0..3 {
            terminal.send("\x1b")?;
            terminal.read_for(Duration::from_millis(200));
        }
    }
    terminal.send("q")?;
    let status = terminal.wait_for_end()?;
    anyhow::ensure!(status.success(), "the demo ended with {status}");
    Ok(())
}

/// Builds the program in this example's own profile, and says where it is.
fn build_program() -> anyhow::Result<PathBuf> {
    let example = std::env::current_exe()?;
    let profile = example
        .parent()
        .and_then(Path::parent)
        .context("the example is not in a target folder")?;
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--package", "kafka-tui", "--bin", "kafka-tui"]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let built = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status()?;
    anyhow::ensure!(built.success(), "kafka-tui could not be built");
    Ok(profile.join("kafka-tui"))
}
