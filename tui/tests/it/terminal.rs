//! A program in a pseudo-terminal: keys in, a screen out. The tests of the screens, the
//! interoperability tests and the painter of the pictures use it.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, bail};
use kafka_shared::time::{Clock, SystemClock};
use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};

/// How long anything that has to appear may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// How often the screen is looked at.
const LOOK: Duration = Duration::from_millis(15);

/// The running program and what its terminal shows.
pub struct Terminal {
    parser: vt100::Parser,
    output: Receiver<Vec<u8>>,
    input: Box<dyn Write + Send>,
    pty: Box<dyn MasterPty + Send>,
    child: Box<dyn Child + Send + Sync>,
    clock: SystemClock,
    /// Modes of the terminal before the program came.
    cooked: String,
    /// Bytes that the program has written since it started.
    n_bytes: usize,
    /// Where the program remembers things: not where its user does.
    _state: tempfile::TempDir,
}

impl Terminal {
    /// Starts a program in a terminal of that size.
    pub fn start(
        program: &Path,
        args: &[&str],
        variables: &[(&str, &str)],
        (columns, rows): (u16, u16),
    ) -> anyhow::Result<Self> {
        let pair = native_pty_system().openpty(size(columns, rows))?;
        let cooked = modes(&*pair.master);
        let mut command = CommandBuilder::new(program);
        command.args(args);
        command.env("TERM", "xterm-256color");
        command.env("COLORTERM", "truecolor");
        // What the person who runs this has set is not what is tested.
        for variable in ["NO_COLOR", "KAFKA_BOOTSTRAP", "KAFKA_TUI_CONFIG", "TMUX"] {
            command.env_remove(variable);
        }
        let state = tempfile::tempdir()?;
        command.env("XDG_STATE_HOME", state.path());
        for (name, value) in variables {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command)?;
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader()?;
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 65_536];
            while let Ok(n @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..n].to_vec()).is_err() {
                    break;
                }
            }
        });
        let input = pair.master.take_writer()?;
        Ok(Self {
            parser: vt100::Parser::new(lines(rows), lines(columns), 0),
            output,
            input,
            pty: pair.master,
            child,
            clock: SystemClock::default(),
            cooked,
            n_bytes: 0,
            _state: state,
        })
    }

    pub fn screen(&self) -> &vt100::Screen {
        self.parser.screen()
    }

    /// What is on the screen, line by line, without blanks at the ends.
    pub fn text(&self) -> String {
        let (_, columns) = self.screen().size();
        let rows = self.screen().rows(0, columns.get());
        rows.map(|row| row.trim_end().to_owned())
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// The first line that holds that text.
    pub fn line(&self, text: &str) -> Option<String> {
        let screen = self.text();
        screen
            .lines()
            .find(|line| line.contains(text))
            .map(str::to_owned)
    }

    /// The words of the first line that begins with that word, after marks and blanks.
    pub fn row(&self, first: &str) -> Option<Vec<String>> {
        let screen = self.text();
        let mut rows = screen
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        let row = rows.find(|row| row.first() == Some(&first))?;
        Some(row.into_iter().map(str::to_owned).collect())
    }

    /// Bytes that the program has written since it started.
    pub fn n_bytes(&self) -> usize {
        self.n_bytes
    }

    pub fn process_id(&self) -> Option<u32> {
        self.child.process_id()
    }

    /// Whether the terminal is as it was before the program came.
    pub fn is_restored(&self) -> bool {
        self.left_behind().is_empty()
    }

    /// What is not as it was before the program came.
    pub fn left_behind(&self) -> Vec<&'static str> {
        let screen = self.screen();
        let mouse = screen.mouse_protocol_mode();
        let left = [
            (modes(&*self.pty) != self.cooked, "the modes"),
            (screen.alternate_screen(), "the alternate screen"),
            (screen.hide_cursor(), "no cursor"),
            (screen.bracketed_paste(), "bracketed paste"),
            (mouse != vt100::MouseProtocolMode::None, "the mouse"),
        ];
        let left = left.into_iter().filter(|(is_left, _)| *is_left);
        left.map(|(_, what)| what).collect()
    }

    pub fn send(&mut self, bytes: &str) -> anyhow::Result<()> {
        self.input.write_all(bytes.as_bytes())?;
        Ok(self.input.flush()?)
    }

    /// Types keys, separated by blanks: `3 j enter / ord esc ctrl-p`.
    pub fn keys(&mut self, keys: &str) -> anyhow::Result<()> {
        for token in keys.split_whitespace() {
            let control = token.strip_prefix("ctrl-").and_then(|c| c.bytes().next());
            match (token, control) {
                ("enter", _) => self.send("\r")?,
                ("tab", _) => self.send("\t")?,
                ("space", _) => self.send(" ")?,
                ("backspace", _) => self.send("\x7f")?,
                ("up", _) => self.send("\x1b[A")?,
                ("down", _) => self.send("\x1b[B")?,
                // As terminals write it that tell it from the beginning of another key.
                ("esc", _) => self.send("\x1b[27u")?,
                (_, Some(c)) => self.send(&char::from(c & 0x1f).to_string())?,
                (text, None) => self.send(text)?,
            }
        }
        Ok(())
    }

    pub fn resize(&mut self, columns: u16, rows: u16) -> anyhow::Result<()> {
        self.parser
            .screen_mut()
            .set_size(lines(rows), lines(columns));
        self.pty.resize(size(columns, rows))
    }

    /// Takes in what the program writes for that long.
    pub fn read_for(&mut self, time: Duration) {
        let end = self.clock.monotonic() + time;
        while let Some(left) = end.checked_sub(self.clock.monotonic()) {
            match self.output.recv_timeout(left) {
                Ok(bytes) => {
                    self.n_bytes += bytes.len();
                    self.parser.process(&bytes);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    std::thread::park_timeout(left);
                    return;
                }
            }
        }
    }

    /// Reads until the screen holds that text.
    pub fn wait_for(&mut self, text: &str) -> anyhow::Result<()> {
        self.wait_until(text, |terminal| terminal.screen().contents().contains(text))
    }

    /// Reads until the screen does not hold that text any more.
    pub fn wait_while(&mut self, text: &str) -> anyhow::Result<()> {
        self.wait_until(&format!("no {text}"), |terminal| {
            !terminal.screen().contents().contains(text)
        })
    }

    /// Reads until a condition holds.
    pub fn wait_until(
        &mut self,
        what: &str,
        condition: impl Fn(&Self) -> bool,
    ) -> anyhow::Result<()> {
        let end = self.clock.monotonic() + DEADLINE;
        while !condition(self) {
            if self.clock.monotonic() >= end {
                bail!("\"{what}\" did not come about on:\n{}", self.text());
            }
            self.read_for(LOOK);
        }
        Ok(())
    }

    /// Reads until the program has written nothing for that long.
    pub fn wait_for_silence(&mut self, time: Duration) -> anyhow::Result<()> {
        let end = self.clock.monotonic() + DEADLINE;
        loop {
            let before = self.n_bytes;
            self.read_for(time);
            if self.n_bytes == before {
                return Ok(());
            }
            if self.clock.monotonic() >= end {
                bail!("it writes on and on:\n{}", self.text());
            }
        }
    }

    /// Waits for the end of the program and takes in its last words.
    pub fn wait_for_end(&mut self) -> anyhow::Result<ExitStatus> {
        let end = self.clock.monotonic() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                self.read_for(LOOK);
                return Ok(status);
            }
            if self.clock.monotonic() >= end {
                self.child.kill().context("kill the program")?;
                bail!("it did not end on:\n{}", self.text());
            }
            self.read_for(LOOK);
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Both fail only where the program is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The modes of a terminal, to be compared.
fn modes(pty: &dyn MasterPty) -> String {
    format!("{:?}", pty.get_termios())
}

fn size(columns: u16, rows: u16) -> PtySize {
    PtySize {
        rows,
        cols: columns,
        pixel_width: 0,
        pixel_height: 0,
    }
}

fn lines(n: u16) -> NonZeroU16 {
    NonZeroU16::new(n).unwrap_or(NonZeroU16::MIN)
}
