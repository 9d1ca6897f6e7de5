//! Child processes with a deadline, free ports, and folders that last between runs.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// The clock of these tests: they talk to foreign processes, so real time is the only time.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    #[allow(
        clippy::disallowed_methods,
        reason = "foreign processes run in real time"
    )]
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// What a finished process said.
#[derive(Debug, Clone)]
pub struct Output {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// The standard output of a process that ended well.
    pub fn success(self) -> anyhow::Result<String> {
        if self.status != 0 {
            bail!(
                "exit code {}\n{}\n{}",
                self.status,
                self.stdout,
                self.stderr
            );
        }
        Ok(self.stdout)
    }
}

/// Those of `programs` that are not on the path.
pub fn missing(programs: &[&str]) -> Vec<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = |program: &str| std::env::split_paths(&path).any(|d| d.join(program).is_file());
    programs
        .iter()
        .filter(|p| !found(p))
        .map(|p| (*p).to_owned())
        .collect()
}

/// Where downloaded packages stay between runs.
pub fn cache(name: &str) -> anyhow::Result<PathBuf> {
    let base = std::env::var_os("KAFKA_INTEROP_CACHE")
        .map(PathBuf::from)
        .unwrap_or_else(|| {
            let home = std::env::var_os("HOME")
                .map(PathBuf::from)
                .unwrap_or_else(std::env::temp_dir);
            home.join(".cache").join("kafka-interop")
        });
    let folder = base.join(name);
    std::fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    Ok(folder)
}

/// The folder of the client programs and package lists.
pub fn client_programs() -> PathBuf {
    // From the manager's crate too, whose tests use this file.
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../broker/tests/interop/clients")
}

/// A port of 127.0.0.1 that nothing uses now.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Whether `condition` became true before the deadline; it is asked every 20 ms.
pub fn wait_until(deadline: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let watch = Stopwatch::start();
    while watch.elapsed() < deadline {
        if condition() {
            return true;
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    condition()
}

pub fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// Runs a program to its end, at most `deadline`; then it and all that it started are killed, and
/// that is an error.
pub fn run(
    command: &mut Command,
    stdin: Option<&str>,
    deadline: Duration,
) -> anyhow::Result<Output> {
    let what = describe(command);
    // A group of its own: what it started holds its pipes open, and must end with it.
    let mut child = (command
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped()))
    .spawn()
    .with_context(|| format!("start {what}"))?;
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    if let Some(mut pipe) = child.stdin.take() {
        // A program that does not read its input closes the pipe: not our concern.
        let _closed = pipe.write_all(stdin.unwrap_or("").as_bytes());
    }
    let mut status = None;
    let ended = wait_until(deadline, || {
        status = child.try_wait().ok().flatten();
        status.is_some()
    });
    if !ended {
        // It fails only where the group is gone already.
        let _gone = kill_process_group(Pid::from_child(&child), Signal::KILL);
        kill(&mut child);
    }
    let stdout = stdout.join().unwrap_or_default();
    let stderr = stderr.join().unwrap_or_default();
    match status {
        Some(status) => Ok(Output {
            status: status.code().unwrap_or(-1),
            stdout,
            stderr,
        }),
        None => bail!("{what} did not end within {deadline:?}\n{stdout}\n{stderr}"),
    }
}

pub fn kill(child: &mut Child) {
    // Both fail only where the process is gone already.
    let _gone = child.kill();
    let _gone = child.wait();
}

/// Asks a process to end (SIGTERM) and waits for it.
pub fn terminate(child: &mut Child, deadline: Duration) -> anyhow::Result<()> {
    kill_process(Pid::from_child(child), Signal::TERM)?;
    if !wait_until(deadline, || matches!(child.try_wait(), Ok(Some(_)))) {
        kill(child);
        bail!("the process did not end within {deadline:?} of SIGTERM");
    }
    Ok(())
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What came before an error is kept: it is the best explanation there is.
            let _partial = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or_default();
    let words: Vec<&OsStr> = std::iter::once(program).chain(command.get_args()).collect();
    let text = words.join(OsStr::new(" ")).to_string_lossy().into_owned();
    text.chars().take(300).collect()
}
