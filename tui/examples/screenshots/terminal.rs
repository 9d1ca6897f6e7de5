//! A program in a pseudo-terminal: keys in, a screen out.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, bail};
use kafka_shared::time::{Clock, SystemClock};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// The running program and what its terminal shows.
pub struct Terminal {
    parser: vt100::Parser,
    output: Receiver<Vec<u8>>,
    input: Box<dyn Write + Send>,
    pty: Box<dyn MasterPty + Send>,
    child: Box<dyn Child + Send + Sync>,
    clock: SystemClock,
}

impl Terminal {
    /// Starts a program.
    pub fn start(program: &Path, args: &[&str], columns: u16, rows: u16) -> anyhow::Result<Self> {
        let pair = native_pty_system().openpty(size(columns, rows))?;
        let mut command = CommandBuilder::new(program);
        command.args(args);
        command.env("TERM", "xterm-256color");
        command.env("COLORTERM", "truecolor");
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
        let parser = vt100::Parser::new(lines(rows), lines(columns), 0);
        let clock = SystemClock::default();
        Ok(Self {
            parser,
            output,
            input,
            pty: pair.master,
            child,
            clock,
        })
    }

    pub fn screen(&self) -> &vt100::Screen {
        self.parser.screen()
    }

    pub fn send(&mut self, keys: &str) -> anyhow::Result<()> {
        self.input.write_all(keys.as_bytes())?;
        Ok(self.input.flush()?)
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
                Ok(bytes) => self.parser.process(&bytes),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Reads until the screen holds that text.
    pub fn wait_for(&mut self, text: &str, deadline: Duration) -> anyhow::Result<()> {
        let end = self.clock.monotonic() + deadline;
        while !self.screen().contents().contains(text) {
            if self.clock.monotonic() >= end {
                bail!(
                    "\"{text}\" did not appear on:\n{}",
                    self.screen().contents()
                );
            }
            self.read_for(Duration::from_millis(20));
        }
        Ok(())
    }

    pub fn wait_for_end(&mut self, deadline: Duration) -> anyhow::Result<()> {
        let end = self.clock.monotonic() + deadline;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return if status.success() {
                    Ok(())
                } else {
                    bail!("it ended with {status}")
                };
            }
            if self.clock.monotonic() >= end {
                self.child.kill().context("kill the program")?;
                bail!("it did not end within {deadline:?}");
            }
            self.read_for(Duration::from_millis(20));
        }
    }
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
