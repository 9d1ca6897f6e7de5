//! `local`: brokers on this machine.

use crate::local::{LocalBrokers, LocalStatus, Program, StartOptions};
use crate::model::Fault;
use crate::output::LocalJson;

use super::{GlobalArgs, Io, LocalCommand};

/// How long a broker may take to shut down.
const STOP_WAIT_MS: u64 = 30_000;

pub(super) async fn run(
    global: &GlobalArgs,
    command: LocalCommand,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let brokers = LocalBrokers::of_user()?;
    match command {
        LocalCommand::Start {
            name,
            port,
            settings,
            program,
        } => {
            let program = program.map_or(Program::Own, Program::Other);
            let options = StartOptions {
                port,
                settings,
                program,
                ..StartOptions::default()
            };
            let broker = brokers.start(&name, &options).await?;
            io.print(
                global.output,
                &LocalJson {
                    brokers: vec![broker],
                },
            );
        }
        LocalCommand::Stop { name, force } => {
            let broker = if force {
                brokers.kill(&name).await?
            } else {
                brokers.stop(&name, STOP_WAIT_MS).await?
            };
            io.print(
                global.output,
                &LocalJson {
                    brokers: vec![broker],
                },
            );
        }
        LocalCommand::Status { name: Some(name) } => {
            let broker = brokers.get(&name)?;
            let is_running = broker.status == LocalStatus::Running;
            io.print(
                global.output,
                &LocalJson {
                    brokers: vec![broker],
                },
            );
            // For scripts: a broker that was asked for by name and does not run is a failure.
            return Ok(u8::from(!is_running));
        }
        LocalCommand::Status { name: None } => {
            io.print(
                global.output,
                &LocalJson {
                    brokers: brokers.list()?,
                },
            );
        }
        LocalCommand::Logs { name, lines } => {
            for line in brokers.log_tail(&name, lines)? {
                io.write(&format!("{line}\n"));
            }
        }
        LocalCommand::Delete { name, yes } => {
            let broker = brokers.get(&name)?;
            if !yes {
                let title = format!("delete the local broker \"{name}\"");
                let question = format!(
                    "{title} with its data in {}\nType {name} to go on: ",
                    broker.folder.display()
                );
                match (io.ask)(&question) {
                    Some(typed) if typed.trim() == name => {}
                    Some(_) => return Err(Fault::refused(title, "it was not confirmed")),
                    None => {
                        return Err(Fault::refused(title, "nobody can be asked to confirm it")
                            .with_hint("use --yes to go on without a question"));
                    }
                }
            }
            brokers.delete(&name)?;
            io.tell(&format!("deleted {}\n", broker.folder.display()));
        }
    }
    Ok(0)
}
