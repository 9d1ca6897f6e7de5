//! Which process it is, and signals to it and to no other.
//!
//! A process id is used again after its process has ended. What can't be used again is the id
//! together with the time at which the process started, so both are kept and compared before
//! every signal.

use std::io;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, test_kill_process, waitpid};
use serde::{Deserialize, Serialize};

/// How long a killed process may take to be gone.
pub(super) const KILL_WAIT_MS: u64 = 5_000;

const POLL_MS: u64 = 25;

/// One process among all that ever ran on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    pub pid: i32,
    /// In whatever form the system tells it; compared only.
    pub started: String,
}

impl ProcessIdentity {
    /// The identity of a process that runs now; `None` when there is none of that id.
    pub fn of(pid: i32) -> Option<Self> {
        Some(Self {
            pid,
            started: start_time(pid)?,
        })
    }

    /// Whether this very process still runs.
    pub fn is_alive(&self) -> bool {
        self.reap();
        start_time(self.pid).is_some_and(|started| started == self.started)
    }

    /// Whether it is held where it stands.
    pub fn is_paused(&self) -> bool {
        is_paused(self.pid)
    }

    /// Asks it to end. One that is held goes on, for how else could it end?
    pub(super) fn terminate(&self) -> io::Result<()> {
        self.signal(Signal::TERM)?;
        self.signal(Signal::CONT)
    }

    /// Holds it where it stands, as if its machine had stopped.
    pub(super) fn pause(&self) -> io::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    pub(super) fn resume(&self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Ends it.
    pub(super) fn kill(&self) -> io::Result<()> {
        self.signal(Signal::KILL)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        match Pid::from_raw(self.pid) {
            Some(pid) if self.is_alive() => Ok(kill_process(pid, signal)?),
            _ => Ok(()),
        }
    }

    /// Waits until it is gone; false when it is not after `wait_ms`.
    pub(super) async fn wait_until_gone(&self, wait_ms: u64) -> bool {
        for _ in 0..=wait_ms / POLL_MS {
            if !self.is_alive() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(POLL_MS)).await;
        }
        !self.is_alive()
    }

    /// Takes the exit status of a child of ours that has ended, so that it is gone for good. For
    /// any other process this does nothing.
    fn reap(&self) {
        if let Some(pid) = Pid::from_raw(self.pid) {
            // Not our child, or still running: both are fine.
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }
}

/// When a process started; `None` when it is not there or has ended and only waits to be reaped.
fn start_time(pid: i32) -> Option<String> {
    test_kill_process(Pid::from_raw(pid)?).ok()?;
    if cfg!(target_os = "linux") {
        start_time_of_proc(pid)
    } else {
        start_time_of_ps(pid)
    }
}

fn is_paused(pid: i32) -> bool {
    let state = if cfg!(target_os = "linux") {
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .ok()
            .and_then(|stat| Some(stat.rsplit_once(')')?.1.trim().to_owned()))
    } else {
        Command::new("ps")
            .args(["-o", "stat=", "-p", &pid.to_string()])
            .output()
            .ok()
            .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    state.is_some_and(|state| state.starts_with('T'))
}

/// From `/proc/PID/stat`: the 22nd field, in ticks since the boot, with the boot's own id.
fn start_time_of_proc(pid: i32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in brackets and may hold anything.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    let ticks = fields.nth(18)?;
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    Some(format!("{ticks}@{}", boot.trim()))
}

fn start_time_of_ps(pid: i32) -> Option<String> {
    let output = Command::new("ps")
        .args(["-o", "stat=,lstart=", "-p", &pid.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let (state, started) = text.trim().split_once(char::is_whitespace)?;
    (!state.starts_with('Z')).then(|| started.trim().to_owned())
}
