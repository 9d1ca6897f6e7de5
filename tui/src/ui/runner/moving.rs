//! Messages to files, from files, to other topics, also of other clusters.

use std::path::PathBuf;
use std::sync::Arc;

use kafka_shared::time::Clock;
use kafka_shared::types::Endpoint;
use tokio::sync::mpsc;

use super::SavedClusters;
use crate::cluster::{ClusterClient, ReadMessages};
use crate::clusters::Target;
use crate::model::Fault;
use crate::ops::Report;
use crate::transfer::{self, NewFile, Transfer};
use crate::ui::event::{Answer, Event, JobId};
use crate::ui::format;

/// Progress is told every so many records.
const TELL_EVERY: u64 = 5_000;

/// Says how many records there are so far, where there is room to say it.
fn teller(events: mpsc::Sender<Event>, job: JobId) -> impl FnMut(u64) {
    let mut next = TELL_EVERY;
    move |n| {
        if n >= next {
            next = n + TELL_EVERY;
            let answer = Answer::Progress(format!("{} messages so far", shown(n)));
            let _ = events.try_send(Event::Answer { job, answer });
        }
    }
}

fn shown(n: u64) -> String {
    format::count(i64::try_from(n).unwrap_or(i64::MAX))
}

pub(super) async fn export(
    client: ClusterClient,
    events: mpsc::Sender<Event>,
    job: JobId,
    read: ReadMessages,
    path: PathBuf,
) -> Answer {
    let work = async {
        let mut file = NewFile::create(&path)?;
        let tell = teller(events, job);
        let report = transfer::export(&client, &read, |text| file.put(text), tell).await?;
        file.finish()?;
        let n = shown(report.messages);
        Ok(format!(
            "{n} messages of {} are in {}",
            read.topic,
            path.display()
        ))
    };
    Answer::Exported(work.await)
}

/// A session with the other cluster, and what it is.
async fn other(
    clusters: &SavedClusters,
    clock: &Arc<dyn Clock>,
    name: &str,
) -> Result<(ClusterClient, Target), Fault> {
    let target =
        match name.contains(':') {
            false => clusters.find(name).await?,
            true => {
                let parts = name.split(',').map(|part| part.trim().parse::<Endpoint>());
                let parts: Result<Vec<_>, _> = parts.collect();
                Target::at(parts.map_err(|error| {
                    Fault::refused(format!("connect to {name}"), error.to_string())
                })?)
            }
        };
    let options = target.options().await?;
    Ok((ClusterClient::new(options, Arc::clone(clock)), target))
}

pub(super) async fn prepare(
    here: ClusterClient,
    clusters: SavedClusters,
    clock: Arc<dyn Clock>,
    transfer: Transfer,
) -> Answer {
    let work = async {
        let there = match &transfer.to_cluster {
            None => None,
            Some(name) => Some(other(&clusters, &clock, name).await?),
        };
        let client = there.as_ref().map_or(&here, |(client, _)| client);
        let prepared = transfer.prepare(&here, client).await?;
        Ok((
            Box::new(prepared),
            there.map(|(_, target)| Box::new(target)),
        ))
    };
    Answer::TransferPrepared(work.await)
}

pub(super) async fn run(
    here: ClusterClient,
    clusters: SavedClusters,
    clock: Arc<dyn Clock>,
    (events, job): (mpsc::Sender<Event>, JobId),
    transfer: Transfer,
) -> Answer {
    let work = async {
        let there = match &transfer.to_cluster {
            None => None,
            Some(name) => Some(other(&clusters, &clock, name).await?),
        };
        let client = there.as_ref().map_or(&here, |(client, _)| client);
        client.refuse_if_read_only(&transfer.title())?;
        let outcome = transfer.run(&here, client, teller(events, job)).await;
        let mut report = Report::default();
        report.add(transfer.title(), outcome);
        Ok(report)
    };
    Answer::Executed(work.await)
}
