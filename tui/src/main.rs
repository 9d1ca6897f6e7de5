//! The program: parses the command line, then runs a command or opens the screens.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

use kafka_tui::cli::{self, Io};

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

fn main() -> ExitCode {
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let mut io = Io {
        out: &mut out,
        err: &mut err,
        ask: &mut ask,
    };
    let cli = match cli::parse(std::env::args_os(), &mut io) {
        Ok(cli) => cli,
        Err(code) => return ExitCode::from(code),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = writeln!(io.err, "error: start the program: {error}");
            return ExitCode::from(1);
        }
    };
    let Some(command) = cli.command else {
        let _ = writeln!(
            io.err,
            "error: open the screens: name a command, see --help"
        );
        return ExitCode::from(2);
    };
    ExitCode::from(runtime.block_on(cli::run(&cli.global, command, &mut io)))
}
