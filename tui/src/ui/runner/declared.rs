//! Declared topics: compared again and again, and written to files.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;

use super::within;
use crate::cluster::ClusterClient;
use crate::ops::declared::{ExportFormat, Wanted, export, prepare, write_files};
use crate::ui::event::{Answer, Event, JobId};

/// How often files and cluster are compared while that is on the screen.
const LOOK_MS: u64 = 4_000;

/// A look is followed by a rest of so many times as long as it took.
const REST: u32 = 20;

/// Compares until it is cancelled or nobody listens; tells what is different from before.
pub(super) async fn watch(
    client: ClusterClient,
    events: mpsc::Sender<Event>,
    job: JobId,
    files: Vec<PathBuf>,
    wanted: Wanted,
) -> Answer {
    let mut before = None;
    loop {
        let from = client.now().monotonic_ms;
        let looked = prepare(&client, files.clone(), wanted.clone());
        let found = within("compare the declared topics", looked).await;
        let told = found
            .as_ref()
            .map(|found| found.compared.clone())
            .map_err(Clone::clone);
        if before.as_ref() != Some(&told) {
            before = Some(told);
            let answer = Answer::Declared(found.map(Box::new));
            if let Err(mpsc::error::SendError(event)) =
                events.send(Event::Answer { job, answer }).await
                && let Event::Answer { answer, .. } = event
            {
                return answer;
            }
        }
        let took = u64::try_from(client.now().monotonic_ms - from).unwrap_or(0);
        let rest = took.saturating_mul(REST.into()).clamp(LOOK_MS, 120_000);
        tokio::time::sleep(Duration::from_millis(rest)).await;
    }
}

/// Writes topics as files that declare them; says what was written.
pub(super) async fn write(
    client: ClusterClient,
    names: Vec<String>,
    with_replicas: bool,
    path: PathBuf,
) -> Answer {
    let work = async {
        let exported = export(&client, &names, false, with_replicas).await?;
        let format = ExportFormat::of(&path).unwrap_or_default();
        let files = write_files(&path, &exported, format, false).await?;
        let n = exported.topics.len();
        Ok(format!(
            "{n} topics are written to {}",
            match &files[..] {
                [one] => one.clone(),
                files => format!("{} files in {}", files.len(), path.display()),
            }
        ))
    };
    Answer::Exported(within("export topics", work).await)
}
