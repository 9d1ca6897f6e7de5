//! The program: parses the command line, then runs a command or opens the screens.

use std::io::{BufRead as _, IsTerminal as _, Write};
use std::process::ExitCode;
use std::time::Duration;

use kafka_tui::cli::{self, Cli, Command, DemoArgs, Io};
use kafka_tui::clusters::Target;
use kafka_tui::demo::Demo;
use kafka_tui::local::{Program, daemon};
use kafka_tui::model::{Fault, FaultKind};
use kafka_tui::output::{error_text, exit_code};
use kafka_tui::ui;
use tokio::signal::unix::{SignalKind, signal};

/// Asks on the terminal; `None` when there is none to ask on.
fn ask(question: &str) -> Option<String> {
    if !std::io::stdin().is_terminal() {
        return None;
    }
    let mut err = std::io::stderr();
    err.write_all(question.as_bytes())
        .and_then(|()| err.flush())
        .ok()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).ok()?;
    Some(line)
}

/// Where results are printed, and whether they got there.
struct Out {
    out: std::io::Stdout,
    failed: Option<std::io::Error>,
}

impl Out {
    fn noted<T>(&mut self, done: std::io::Result<T>) -> std::io::Result<T> {
        if let Err(error) = &done
            && !matches!(
                error.kind(),
                // A reader that has gone away (`| head`) is no failure, and a signal is none.
                std::io::ErrorKind::BrokenPipe | std::io::ErrorKind::Interrupted
            )
        {
            self.failed = Some(std::io::Error::new(error.kind(), error.to_string()));
        }
        done
    }

    /// The exit code of a command that ended with this one: a result that was lost is no success.
    fn exit(self, code: u8) -> ExitCode {
        match self.failed {
            Some(error) if code == 0 => {
                let why = error.to_string();
                finish(Err(Fault::new(FaultKind::Failed, "print the result", why)))
            }
            _ => ExitCode::from(code),
        }
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let done = self.out.write(bytes);
        self.noted(done)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let done = self.out.flush();
        self.noted(done)
    }
}

fn main() -> ExitCode {
    let (stdout, mut err) = (std::io::stdout(), std::io::stderr());
    let mut out = Out {
        out: stdout,
        failed: None,
    };
    let mut io = Io {
        out: &mut out,
        err: &mut err,
        ask: &mut ask,
    };
    let mut cli = match cli::parse(std::env::args_os(), &mut io) {
        Ok(cli) => cli,
        Err(code) => return ExitCode::from(code),
    };
    if let Some(Command::Daemon(args)) = &cli.command {
        // It makes a runtime of its own.
        return finish(daemon::run(args));
    }
    if let Some(Command::DaemonFormat(args)) = &cli.command {
        return finish(daemon::format(args));
    }
    // One thread draws and one talks to the cluster: more of them are memory, for each has its own
    // part of the heap.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let why = error.to_string();
            return finish(Err(Fault::new(FaultKind::Failed, "start the program", why)));
        }
    };
    let command = cli.command.take();
    match command {
        Some(Command::Scripted(command)) => {
            let code = runtime.block_on(cli::run(&cli.global, command, &mut io));
            out.exit(code)
        }
        Some(Command::Demo(args)) => {
            let code = finish(runtime.block_on(demo(&args, &cli, &mut io)));
            runtime.shutdown_timeout(SHUTDOWN);
            code
        }
        Some(Command::Daemon(_) | Command::DaemonFormat(_)) | None => {
            let code = finish(runtime.block_on(open(&cli)));
            // What still waits for a broker is not waited for.
            runtime.shutdown_timeout(SHUTDOWN);
            code
        }
    }
}

fn finish(result: Result<(), Fault>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            // Where else could it be told?
            let _ = std::io::stderr().write_all(error_text(&fault).as_bytes());
            ExitCode::from(exit_code(&fault))
        }
    }
}

/// How long tasks may take to end when the program does.
const SHUTDOWN: Duration = Duration::from_millis(500);

/// Opens the screens on a cluster, on a recording, or on the page where one chooses.
async fn open(cli: &Cli) -> Result<(), Fault> {
    if let Some(file) = &cli.screens.replay {
        let mut options = cli::ui_options(None, &cli.global, &cli.screens);
        options.tape = Some(cli::tape(file)?);
        return screens(options).await;
    }
    let target = cli.global.target()?;
    let recorder = cli.screens.record.start(target.as_ref())?;
    let mut options = cli::ui_options(target, &cli.global, &cli.screens);
    options.recorder.clone_from(&recorder);
    screens(options).await?;
    match recorder {
        Some(recorder) => recorder.flush().await,
        None => Ok(()),
    }
}

async fn screens(options: ui::Options) -> Result<(), Fault> {
    ui::run(options).await.map_err(|error| {
        Fault::new(FaultKind::Refused, "open the screens", error.to_string())
            .with_hint("`kafka-tui --help` lists the commands that need no terminal")
    })
}

/// What the demo begins with.
const DEMO: &str = "a demo, with real brokers and clients: 4 shows its groups and their lag, 9 what \
                    happens, ? all keys; q stops and removes everything";

/// Runs the demo until it is left or a signal comes; then stops and removes everything.
async fn demo(args: &DemoArgs, cli: &Cli, io: &mut Io<'_>) -> Result<(), Fault> {
    let program = args.program.clone().map_or(Program::Own, Program::Other);
    let stopped = stop_signal()?;
    tokio::pin!(stopped);
    let demo = tokio::select! {
        started = Demo::start(&program, args.brokers) => started?,
        () = &mut stopped => return Ok(()),
    };
    let addresses: Vec<String> = demo.bootstrap().iter().map(ToString::to_string).collect();
    let _ = writeln!(
        io.out,
        "demo: brokers at {}, data in {}",
        addresses.join(","),
        demo.folder().display()
    );
    let _ = io.out.flush();
    let shown = if args.headless {
        stopped.await;
        Ok(())
    } else {
        let target = Target {
            read_only: cli.global.read_only,
            ..Target::at(demo.bootstrap())
        };
        let mut options = cli::ui_options(Some(target), &cli.global, &cli.screens);
        options.message = Some(DEMO.to_owned());
        screens(options).await
    };
    demo.stop().await;
    shown
}

/// Resolves with the first signal that asks the program to end.
fn stop_signal() -> Result<impl Future<Output = ()>, Fault> {
    let listen = |kind| {
        signal(kind)
            .map_err(|error| Fault::new(FaultKind::Failed, "listen for signals", error.to_string()))
    };
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut hangup = listen(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}
