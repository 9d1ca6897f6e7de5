//! The terminal: entered, drawn to, left; restored on panic and on every way out.
//!
//! Invariants:
//! - Nothing is written when nothing on the screen has changed.
//! - No question is asked of the terminal while its input is being read: the answer would be lost
//!   among the keys.
//! - Whatever was switched on is switched off, once.

use std::io::{self, BufWriter, Stdout, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{execute, queue};
use ratatui::backend::{Backend as _, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

/// Whether there is something to restore.
static ENTERED: AtomicBool = AtomicBool::new(false);

/// The terminal while the screens have it.
pub struct Terminal {
    backend: CrosstermBackend<BufWriter<Stdout>>,
    /// What is on the screen.
    shown: Buffer,
    /// What is drawn next.
    next: Buffer,
    cursor: Option<Position>,
    mouse: bool,
}

impl Terminal {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// When it is none, or does not answer.
    pub fn enter(mouse: bool) -> io::Result<Self> {
        let backend = CrosstermBackend::new(BufWriter::with_capacity(1 << 16, io::stdout()));
        let mut terminal = Self {
            backend,
            shown: Buffer::default(),
            next: Buffer::default(),
            cursor: None,
            mouse,
        };
        restore_on_panic();
        terminal.resume()?;
        Ok(terminal)
    }

    /// Takes it over again after [`Self::leave`].
    ///
    /// # Errors
    /// When it does not answer.
    pub fn resume(&mut self) -> io::Result<()> {
        ENTERED.store(true, Ordering::SeqCst);
        enable_raw_mode()?;
        let out = &mut self.backend;
        execute!(out, EnterAlternateScreen, EnableBracketedPaste, Hide)?;
        if self.mouse {
            execute!(out, EnableMouseCapture)?;
        }
        self.cursor = None;
        self.redraw_all()
    }

    /// Forgets what is on the screen, so that the next drawing writes everything.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn redraw_all(&mut self) -> io::Result<()> {
        let (width, height) = crossterm::terminal::size()?;
        let area = Rect::new(0, 0, width, height);
        self.shown = Buffer::empty(area);
        self.next = Buffer::empty(area);
        execute!(self.backend, Clear(ClearType::All))
    }

    /// Draws; only the cells that changed are written.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn draw(&mut self, draw: impl FnOnce(&mut Buffer) -> Option<Position>) -> io::Result<()> {
        self.next.reset();
        let cursor = draw(&mut self.next);
        let changes = self.shown.diff(&self.next);
        if changes.is_empty() && cursor == self.cursor {
            return Ok(());
        }
        queue!(self.backend, BeginSynchronizedUpdate)?;
        if self.cursor.is_some() {
            queue!(self.backend, Hide)?;
        }
        self.backend.draw(changes.into_iter())?;
        if let Some(at) = cursor {
            queue!(self.backend, MoveTo(at.x, at.y), Show)?;
        }
        queue!(self.backend, EndSynchronizedUpdate)?;
        io::Write::flush(&mut self.backend)?;
        self.cursor = cursor;
        std::mem::swap(&mut self.shown, &mut self.next);
        Ok(())
    }

    /// Puts a text on the clipboard of whoever sits at the terminal, over ssh too.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn copy(&mut self, text: &str) -> io::Result<()> {
        let inside_tmux = std::env::var_os("TMUX").is_some();
        let out = &mut self.backend;
        out.write_all(osc52(text, inside_tmux).as_bytes())?;
        io::Write::flush(out)
    }

    /// Gives the terminal back.
    pub fn leave(&mut self) {
        let _ = io::Write::flush(&mut self.backend);
        restore();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Switches off what was switched on, if it was. What fails here can't be told to anybody.
pub fn restore() {
    if !ENTERED.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut out = io::stdout();
    let _ = execute!(
        out,
        EndSynchronizedUpdate,
        DisableMouseCapture,
        DisableBracketedPaste,
        LeaveAlternateScreen,
        Show
    );
    let _ = disable_raw_mode();
}

/// Makes a panic's message readable: the terminal is restored before it is printed.
fn restore_on_panic() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            restore();
            before(info);
        }));
    });
}

/// The sequence that sets the clipboard. tmux passes it on only when it is wrapped, or takes it
/// itself, as it is set up: it gets both.
fn osc52(text: &str, inside_tmux: bool) -> String {
    let plain = format!("\x1b]52;c;{}\x07", base64(text.as_bytes()));
    if inside_tmux {
        let inner = plain.replace('\x1b', "\x1b\x1b");
        format!("{plain}\x1bPtmux;{inner}\x1b\\")
    } else {
        plain
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            if at <= chunk.len() {
                let digit = (bits >> (18 - 6 * at)) & 63;
                text.push(char::from(DIGITS[digit as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clipboard_gets_base64_and_tmux_gets_it_wrapped() {
        let texts = ["", "f", "fo", "foo", "foob", "fooba", "foobar"];
        let encoded = [
            "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy",
        ];
        for (text, wanted) in texts.iter().zip(encoded) {
            assert_eq!(base64(text.as_bytes()), wanted);
        }
        assert_eq!(osc52("f", false), "\x1b]52;c;Zg==\x07");
        let both = "\x1b]52;c;Zg==\x07\x1bPtmux;\x1b\x1b]52;c;Zg==\x07\x1b\\";
        assert_eq!(osc52("f", true), both);
    }
}
