//! `changes`: what happens in a cluster while it is looked at, or what a recording tells.

use std::path::PathBuf;
use std::time::Duration;

use crate::cluster::{Interest, Poller};
use crate::derive::Before;
use crate::model::{Absences, ClusterSnapshot, Fault, FaultKind, Happening, Taken, Update};
use crate::output::{ChangesJson, Format, happening_line};
use crate::recording::{self, Tape};
use crate::times;

use super::{GlobalArgs, Io, RecordArgs, screens, wait};

/// Of a recording, or of the cluster as it goes on.
#[derive(Clone, Debug, clap::Args)]
pub struct ChangesArgs {
    /// What a recording tells, instead of a cluster
    #[arg(long, value_name = "FILE", conflicts_with_all = ["record", "for"])]
    pub replay: Option<PathBuf>,
    /// Of a recording: only from this time on: 14:00, '2026-11-21 14:00', 10m before its end
    #[arg(long, value_name = "TIME", requires = "replay")]
    pub from: Option<String>,
    /// Of a recording: only until this time
    #[arg(long, value_name = "TIME", requires = "replay")]
    pub to: Option<String>,
    /// Of a recording: not what happened, but what is different between the two times
    #[arg(long, requires = "from")]
    pub diff: bool,
    /// Follow the cluster for so long; without it until interrupted
    #[arg(long, value_name = "TIME", value_parser = wait::duration)]
    pub r#for: Option<Duration>,
    /// Seconds between two reads of the cluster
    #[arg(long, value_name = "SECONDS", default_value = "2",
          value_parser = clap::value_parser!(u64).range(screens::REFRESH_S))]
    pub refresh: u64,
    #[command(flatten)]
    pub record: RecordArgs,
}

pub(super) async fn run(
    global: &GlobalArgs,
    args: &ChangesArgs,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    match &args.replay {
        Some(file) => replay(global, args, file, io),
        None => follow(global, args, io).await,
    }
}

/// Prints each change as it is seen: a line, or a JSON document on a line.
async fn follow(global: &GlobalArgs, args: &ChangesArgs, io: &mut Io<'_>) -> Result<u8, Fault> {
    let (client, target) = global.client_and_target().await?;
    let recorder = args.record.start(Some(&target))?;
    let until = args.r#for.map(|time| tokio::time::Instant::now() + time);
    let interest = Interest {
        all_groups: true,
        ..Interest::default()
    };
    let (poller, mut updates) = Poller::start(client, screens::intervals(args.refresh), interest);
    let (mut snapshot, mut absences) = (ClusterSnapshot::default(), Absences::default());
    let mut is_reached = false;
    loop {
        let next = async {
            match until {
                Some(until) => tokio::time::timeout_at(until, updates.recv()).await.ok()?,
                None => updates.recv().await,
            }
        };
        let Some((update, at)) = next.await else {
            break;
        };
        if let Some(recorder) = &recorder {
            recorder.note(&update, at);
            recorder.fault().map_or(Ok(()), Err)?;
        }
        if let Update::Metadata(result) = &update {
            match result {
                Ok(_) => is_reached = true,
                // A cluster that was never there is a mistake; one that goes away is a change.
                Err(fault) if !is_reached => return Err(Fault::clone(fault)),
                Err(_) => {}
            }
        }
        let before = Before::of(&snapshot, &update);
        snapshot.apply(update, at);
        for happening in before.happenings(&snapshot, &mut absences, at) {
            io.write(&line(&happening, global.output));
        }
    }
    drop(poller);
    if let Some(recorder) = recorder {
        recorder.flush().await?;
    }
    Ok(0)
}

fn line(happening: &Happening, format: Format) -> String {
    match format {
        Format::Table => happening_line(happening),
        Format::Json | Format::Jsonl => {
            let mut text = serde_json::to_string(happening).unwrap_or_default();
            text.push('\n');
            text
        }
    }
}

fn replay(
    global: &GlobalArgs,
    args: &ChangesArgs,
    file: &std::path::Path,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let tape = Tape::read(file)?;
    let end_ms = tape.to.map_or(0, |to| to.wall_ms);
    let time = |text: &Option<String>| {
        let wrong = |text: &String| {
            let why = format!("\"{text}\" is no time: 14:00, 2026-11-21 14:00, or 10m for an age");
            Fault::new(FaultKind::Refused, "read the recording", why)
        };
        let parse = |text: &String| times::parse_time(text, end_ms).ok_or_else(|| wrong(text));
        text.as_ref().map(parse).transpose()
    };
    let (from, to) = (time(&args.from)?, time(&args.to)?);
    let happenings: Vec<Happening> = match from.filter(|_| args.diff) {
        Some(from) => {
            let ((before, _), (now, at)) = recording::between(file, from, to)?;
            Before::all(&before).happenings(&now, &mut Absences::default(), at)
        }
        None => {
            let is_wanted = |at: Taken| {
                from.is_none_or(|from| at.wall_ms >= from) && to.is_none_or(|to| at.wall_ms <= to)
            };
            let all = tape.feed.iter().filter(|happening| is_wanted(happening.at));
            all.map(|happening| Happening::clone(happening)).collect()
        }
    };
    if tape.is_torn {
        io.tell("note: the last line of the recording is torn\n");
    }
    if tape.n_lost > 0 {
        io.tell(&format!(
            "note: {} reads are missing in the recording\n",
            tape.n_lost
        ));
    }
    io.print(
        global.output,
        &ChangesJson {
            cluster: tape.cluster,
            from_ms: from.or(tape.from.map(|from| from.wall_ms)),
            to_ms: to.or(tape.to.map(|to| to.wall_ms)),
            is_diff: args.diff,
            changes: happenings,
        },
    );
    Ok(0)
}
