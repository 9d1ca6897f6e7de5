//! Runs effects: each as a task of its own, under a deadline, answered with an event.
//!
//! Invariants:
//! - The queue of events is bounded; a task that can't hand its answer over waits.
//! - A cancelled job is torn off where it waits, except the execution of a plan: what was sent to
//!   a cluster is followed to its answer.
//! - Leaving a cluster ends its polling.

mod attending;
mod connectors;
mod declared;
mod groups;
mod moving;
mod planning;
mod producers;
mod saved;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_shared::task;
use kafka_shared::time::Clock;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use crate::cluster::{
    ClusterClient, ConnectOptions, Interest, PollIntervals, Poller, PollerHandle, TailMessages,
};
use crate::clusters::Target;
use crate::local::{
    ClusterOptions, LocalBroker, LocalBrokers, Outcomes, RollingOptions, StartOptions,
};
use crate::model::{Fault, FaultKind, Taken};
use crate::ops;
use crate::ops::undo::{self, Journal};
use crate::recording::Recorder;
use crate::transfer::Transfer;
use crate::ui::event::{Answer, Effect, Event, JobId, LocalAction, SessionId};

pub use saved::SavedClusters;

/// The longest that anything but following messages may take.
const JOB_TIMEOUT_MS: u64 = 120_000;

/// A look is followed by a rest of so many times as long as it took, up to the longest one.
const LOOK_REST: u64 = 20;
const LOOK_REST_MAX_MS: u64 = 120_000;

/// Messages of a tail that are handed over together, and how often.
const TAIL_BATCH: usize = 512;
const TAIL_PAUSE_MS: u64 = 50;

/// How often the local brokers are looked at while they are on the screen.
const LOCAL_MS: u64 = 1_000;
/// Every so many looks their data is measured.
const LOCAL_SIZES_EVERY: u64 = 5;
/// How long a local broker may take to shut down.
const STOP_WAIT_MS: u64 = 30_000;
/// Lines of a log that are shown.
const LOG_LINES: usize = 500;

/// What it needs to know from the start.
#[derive(Debug, Clone)]
pub struct RunnerOptions {
    pub intervals: PollIntervals,
    pub clusters: SavedClusters,
    /// What undoes the changes that are made here.
    pub journal: Journal,
    /// Keeps everything that is read.
    pub recorder: Option<Recorder>,
}

/// The runner.
#[derive(Debug)]
pub struct Runner {
    options: RunnerOptions,
    clock: Arc<dyn Clock>,
    events: mpsc::Sender<Event>,
    client: Option<ClusterClient>,
    /// The same, for jobs that were started before it was there; another one for each cluster.
    opened: watch::Sender<Option<ClusterClient>>,
    poller: Option<PollerHandle>,
    /// What is not opened yet.
    connecting: Option<(SessionId, Target, Interest)>,
    jobs: HashMap<JobId, AbortHandle>,
    /// What attends to the runs of the cluster.
    attending: Option<AbortHandle>,
}

impl Runner {
    pub fn new(options: RunnerOptions, clock: Arc<dyn Clock>, events: mpsc::Sender<Event>) -> Self {
        Self {
            options,
            clock,
            events,
            client: None,
            opened: watch::Sender::new(None),
            poller: None,
            connecting: None,
            jobs: HashMap::new(),
            attending: None,
        }
    }

    /// Starts what an effect says. What belongs to the terminal is not for here.
    pub fn run(&mut self, effect: Effect) {
        match effect {
            Effect::Connect {
                session,
                target,
                interest,
            } => self.connect(session, *target, interest),
            Effect::Open {
                session,
                options,
                interest,
            } => self.open(session, *options, interest),
            Effect::Clusters { job, action } => {
                let clusters = self.options.clusters.clone();
                self.spawn(
                    job,
                    "ui-clusters",
                    clusters.act(action, Arc::clone(&self.clock)),
                );
                // What is written is written to its end.
                self.jobs.remove(&job);
            }
            Effect::SetInterest(interest) => {
                if let Some(poller) = &self.poller {
                    poller.set_interest(interest);
                }
            }
            Effect::Free(offsets) => {
                drop(task::spawn_blocking("ui-free", move || drop(offsets)));
            }
            Effect::Refresh => {
                if let Some(poller) = &self.poller {
                    poller.refresh();
                } else if let Some((session, target, interest)) = self.connecting.take() {
                    // A person may have changed what could not be read.
                    self.connect(session, target, interest);
                }
            }
            Effect::Plan {
                job,
                wish,
                snapshot,
            } => self.spawn(job, "ui-plan", planning::plan(wish, snapshot)),
            Effect::Propose { job, wish } => {
                self.spawn(job, "ui-propose", planning::propose(wish));
            }
            Effect::Check { job, plan } => self.start(job, "ui-check", move |client| async move {
                let result = within("check the plan", ops::check(&client, &plan)).await;
                Answer::Checked(result)
            }),
            Effect::ExportMessages { job, read, path } => {
                let events = self.events.clone();
                self.start(job, "ui-export", move |client| {
                    moving::export(client, events, job, *read, path)
                });
                // What is written is written to its end.
                self.jobs.remove(&job);
            }
            Effect::PrepareTransfer { job, transfer } => {
                let (clusters, clock) = (self.options.clusters.clone(), Arc::clone(&self.clock));
                self.start(job, "ui-transfer", move |client| {
                    moving::prepare(client, clusters, clock, *transfer)
                });
            }
            Effect::Execute { job, plan } => {
                if let ops::Action::Transfer(transfer) = &plan.action {
                    return self.move_records(job, Transfer::clone(transfer));
                }
                let journal = self.options.journal.clone();
                self.start(job, "ui-execute", move |client| async move {
                    let made = undo::make(&client, &plan, &journal);
                    let result = within("execute the plan", made).await;
                    Answer::Executed(result)
                });
                self.jobs.remove(&job);
            }
            Effect::Verify { job, plan } => {
                self.start(job, "ui-verify", move |client| async move {
                    Answer::Verified(within("verify the plan", ops::verify(&client, &plan)).await)
                });
            }
            Effect::FindLeftOver { job } => {
                self.start(job, "ui-janitor", move |client| async move {
                    let found = within("find throttles", attending::left_over(&client)).await;
                    Answer::LeftOver(found)
                })
            }
            Effect::LastChange { job, metadata } => {
                let journal = self.options.journal.clone();
                self.start(job, "ui-undo", move |client| async move {
                    let look = move || {
                        let metadata = metadata.as_deref();
                        let id = metadata.and_then(|metadata| metadata.cluster_id.as_deref());
                        journal.last(id, metadata)
                    };
                    let found = task::spawn_blocking("ui-undo-read", look).await;
                    let last = found.unwrap_or_default();
                    let undo = last.entry.as_ref().map(|entry| &entry.inverse.undo);
                    let updates = match undo.and_then(Option::as_ref) {
                        Some(undo) => undo::read(&client, undo).await,
                        None => Vec::new(),
                    };
                    Answer::LastChange(Box::new(last), updates)
                });
            }
            Effect::ReadMessages { job, .. } if self.has_no_cluster() => {
                self.spawn(job, "ui-read", async { Answer::Read(Err(no_cluster())) });
            }
            Effect::ReadMessages { job, read } => {
                let events = self.events.clone();
                self.start(job, "ui-read", move |client| async move {
                    tell_schemas(&client, job, &events).await;
                    let result = within("read messages", client.read_messages(&read)).await;
                    Answer::Read(result)
                });
            }
            Effect::WatchGroup { job, group } => {
                let events = self.events.clone();
                self.start(job, "ui-group", move |client| {
                    groups::watch(client, events, job, group)
                });
            }
            Effect::WatchProducers { job, .. } if self.has_no_cluster() => {
                let why = "a recording holds none";
                let fault = Fault::refused("describe the producers", why);
                self.spawn(
                    job,
                    "ui-producers",
                    async move { Answer::Producers(Err(fault)) },
                );
            }
            Effect::WatchProducers { job, topic } => {
                let events = self.events.clone();
                self.start(job, "ui-producers", move |client| {
                    producers::watch(client, events, job, topic)
                });
            }
            Effect::PrepareReset { job, wish } => {
                self.start(job, "ui-reset", move |client| {
                    groups::prepare(client, *wish)
                });
            }
            Effect::WatchConnectors { job, workers } => {
                let watch = connectors::watch(job, *workers, self.events.clone());
                self.spawn(job, "ui-connectors", watch);
            }
            Effect::ProposeConnector {
                job,
                workers,
                name,
                wish,
            } => {
                let proposed = connectors::propose(*workers, name, wish);
                self.spawn(job, "ui-connector-check", proposed);
            }
            Effect::WatchDeclared { job, files, wanted } => {
                let events = self.events.clone();
                self.start(job, "ui-declared", move |client| {
                    declared::watch(client, events, job, files, wanted)
                });
            }
            Effect::ExportTopics {
                job,
                names,
                with_replicas,
                path,
            } => {
                self.start(job, "ui-export", move |client| {
                    declared::write(client, names, with_replicas, path)
                });
                // What is written is written to its end.
                self.jobs.remove(&job);
            }
            Effect::ChangeConnector {
                job,
                workers,
                name,
                change,
            } => {
                let changed = connectors::change(*workers, name, change);
                self.spawn(job, "ui-connector", changed);
                // What was sent is followed to its answer.
                self.jobs.remove(&job);
            }
            Effect::TailMessages { job, tail } => self.tail(job, *tail),
            Effect::WatchLocal { job } => self.watch_local(job),
            Effect::Local { job, action } => self.local(job, action),
            Effect::Cancel(job) => {
                if let Some(handle) = self.jobs.remove(&job) {
                    handle.abort();
                }
            }
            Effect::Copy(_) | Effect::Suspend | Effect::Quit => {}
        }
    }

    /// Leaves the cluster of before, and opens this one once what it refers to is read.
    fn connect(&mut self, session: SessionId, target: Target, interest: Interest) {
        self.leave();
        if let Some(recorder) = &self.options.recorder {
            let now = Taken {
                monotonic_ms: self.clock.monotonic_ms(),
                wall_ms: self.clock.wall_ms(),
            };
            recorder.cluster(&target.label(), now);
        }
        self.connecting = Some((session, target.clone(), interest));
        let events = self.events.clone();
        // A later connection has another number, so that nobody waits for the end of this.
        drop(task::spawn("ui-resolve", async move {
            let result = target.options().await.map(Box::new);
            // Nobody is left to tell when the program ends.
            let _ = events.send(Event::Resolved { session, result }).await;
        }));
    }

    fn leave(&mut self) {
        for (_, handle) in self.jobs.drain() {
            handle.abort();
        }
        if let Some(attending) = self.attending.take() {
            // Its run is a file, and goes on when this cluster is looked at again.
            attending.abort();
        }
        self.client = None;
        self.opened = watch::Sender::new(None);
        self.poller = None;
    }

    fn open(&mut self, session: SessionId, options: ConnectOptions, interest: Interest) {
        self.connecting = None;
        let client = ClusterClient::new(options, Arc::clone(&self.clock));
        let (poller, mut updates) = Poller::start(client.clone(), self.options.intervals, interest);
        let attend = attending::attend(client.clone(), session, self.events.clone());
        self.attending = Some(task::spawn("ui-runs", attend).abort_handle());
        self.opened.send_replace(Some(client.clone()));
        self.client = Some(client);
        self.poller = Some(poller);
        let events = self.events.clone();
        let mut recorder = self.options.recorder.clone();
        // Ends with the poller, whose end closes the queue.
        drop(task::spawn("ui-updates", async move {
            while let Some((update, at)) = updates.recv().await {
                if let Some(writing) = &recorder {
                    writing.note(&update, at);
                    if let Some(fault) = writing.fault() {
                        recorder = None;
                        let _ = events.send(Event::Trouble(fault)).await;
                    }
                }
                if events
                    .send(Event::Data {
                        session,
                        update,
                        at,
                    })
                    .await
                    .is_err()
                {
                    return;
                }
            }
        }));
    }

    /// Starts what needs a cluster.
    /// Whether none is open or being opened.
    fn has_no_cluster(&self) -> bool {
        self.client.is_none() && self.connecting.is_none()
    }

    /// Starts a job on the cluster; where that is just being opened, as soon as it is.
    fn start<F>(
        &mut self,
        job: JobId,
        name: &'static str,
        work: impl FnOnce(ClusterClient) -> F + Send + 'static,
    ) where
        F: Future<Output = Answer> + Send + 'static,
    {
        self.jobs.retain(|_, handle| !handle.is_finished());
        if self.has_no_cluster() {
            return;
        }
        let (mut opened, events) = (self.opened.subscribe(), self.events.clone());
        let handle = task::spawn(name, async move {
            // It ends with the cluster that it was meant for.
            let client = opened.wait_for(Option::is_some).await;
            let Some(client) = client.ok().and_then(|client| client.clone()) else {
                return;
            };
            let answer = work(client).await;
            // Nobody is left to tell when the program ends.
            let _ = events.send(Event::Answer { job, answer }).await;
        });
        self.jobs.insert(job, handle.abort_handle());
    }

    fn spawn(
        &mut self,
        job: JobId,
        name: &'static str,
        work: impl Future<Output = Answer> + Send + 'static,
    ) {
        let events = self.events.clone();
        let handle = task::spawn(name, async move {
            let answer = work.await;
            // Nobody is left to tell when the program ends.
            let _ = events.send(Event::Answer { job, answer }).await;
        });
        self.jobs.insert(job, handle.abort_handle());
    }

    fn watch_local(&mut self, job: JobId) {
        let events = self.events.clone();
        let watch = async move {
            let mut before = None;
            // Sizes are measured more rarely than processes are looked at.
            let mut sizes: HashMap<String, Option<u64>> = HashMap::new();
            for look in 0_u64.. {
                let brokers = listed(look % LOCAL_SIZES_EVERY == 0).await;
                let brokers = brokers.map(|brokers| with_sizes(brokers, &mut sizes));
                if let Err(fault) = brokers {
                    return Answer::Local(Err(fault));
                }
                let now = brokers.ok();
                if now != before
                    && let Some(brokers) = now.clone()
                {
                    let answer = Answer::Local(Ok(brokers));
                    if events.send(Event::Answer { job, answer }).await.is_err() {
                        return Answer::Local(Ok(Vec::new()));
                    }
                }
                before = now;
                tokio::time::sleep(Duration::from_millis(LOCAL_MS)).await;
            }
            Answer::Local(Ok(Vec::new()))
        };
        self.spawn(job, "ui-local-watch", watch);
    }

    fn local(&mut self, job: JobId, action: LocalAction) {
        let events = self.events.clone();
        self.spawn(job, "ui-local", local(action, job, events));
        // What was begun with a process is brought to its end.
        self.jobs.remove(&job);
    }

    /// Writes many records, also to another cluster. It may take longer than any other change.
    fn move_records(&mut self, job: JobId, transfer: Transfer) {
        let (clusters, clock) = (self.options.clusters.clone(), Arc::clone(&self.clock));
        let teller = (self.events.clone(), job);
        self.start(job, "ui-transfer", move |client| {
            moving::run(client, clusters, clock, teller, transfer)
        });
        // What was begun is brought to its end.
        self.jobs.remove(&job);
    }

    fn tail(&mut self, job: JobId, tail: TailMessages) {
        let events = self.events.clone();
        self.start(job, "ui-tail", move |client| async move {
            tell_schemas(&client, job, &events).await;
            let mut tail = match client.tail_messages(&tail).await {
                Ok(tail) => tail,
                Err(fault) => return Answer::TailEnded(Some(fault)),
            };
            while let Some(first) = tail.next().await {
                let mut batch = vec![first];
                batch.extend(tail.take_ready(TAIL_BATCH - 1));
                let answer = Answer::Tailed(batch);
                if events.send(Event::Answer { job, answer }).await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(TAIL_PAUSE_MS)).await;
            }
            Answer::TailEnded(None)
        });
    }
}

fn no_cluster() -> Fault {
    Fault::refused("read messages", "a recording holds none")
}

/// Keeps the sizes that were measured, and fills in those that were not.
fn with_sizes(
    mut brokers: Vec<LocalBroker>,
    sizes: &mut HashMap<String, Option<u64>>,
) -> Vec<LocalBroker> {
    for broker in &mut brokers {
        match broker.data_bytes {
            Some(_) => drop(sizes.insert(broker.name.clone(), broker.data_bytes)),
            None => broker.data_bytes = sizes.get(&broker.name).copied().flatten(),
        }
    }
    brokers
}

/// Hands the schemas over before the messages that need them.
async fn tell_schemas(client: &ClusterClient, job: JobId, events: &mpsc::Sender<Event>) {
    if let Some(registry) = client.registry() {
        let answer = Answer::Schemas(registry.book().clone());
        // Nobody is there any more to tell.
        let _ = events.send(Event::Answer { job, answer }).await;
    }
}

async fn listed(with_sizes: bool) -> Result<Vec<LocalBroker>, Fault> {
    let listed = task::spawn_blocking("ui-local-list", move || {
        let brokers = LocalBrokers::of_user()?.list()?;
        Ok(match with_sizes {
            true => LocalBrokers::measured(brokers),
            false => brokers,
        })
    });
    listed
        .await
        .unwrap_or_else(|_| Err(broken("list the local brokers")))
}

fn broken(what: &str) -> Fault {
    Fault::new(FaultKind::Failed, what, "the task broke: see the log")
}

async fn local(action: LocalAction, job: JobId, events: mpsc::Sender<Event>) -> Answer {
    let brokers = match LocalBrokers::of_user() {
        Ok(brokers) => brokers,
        Err(fault) => return Answer::LocalDone(Err(fault)),
    };
    match action {
        LocalAction::Start {
            name,
            brokers: n_brokers,
            racks,
            apache,
            apache_nodes,
        } => {
            let options = ClusterOptions {
                brokers: n_brokers,
                racks,
                apache,
                apache_nodes,
                start: StartOptions::default(),
            };
            Answer::LocalStarted(brokers.start_all(&name, &options).await)
        }
        LocalAction::Restart(name) => {
            let members = match brokers.members(&name) {
                Ok(members) => members,
                Err(fault) => return Answer::LocalDone(Err(fault)),
            };
            let stopped = brokers.stop_all(&members, STOP_WAIT_MS).await;
            match stopped.all() {
                Ok(_) => {
                    let options = ClusterOptions::default();
                    Answer::LocalStarted(brokers.start_all(&name, &options).await)
                }
                Err(fault) => Answer::LocalDone(Err(fault)),
            }
        }
        LocalAction::RollingRestart(name) => {
            let options = RollingOptions {
                stop_ms: STOP_WAIT_MS,
                ..RollingOptions::default()
            };
            // A line that nobody had time for is followed by the next.
            let tell = |text: String| {
                let answer = Answer::LocalTold(text);
                let _ = events.try_send(Event::Answer { job, answer });
            };
            let restarted = brokers.rolling_restart(&name, &options, tell).await;
            Answer::LocalDone(
                restarted.map(|all| {
                    format!("{name}: {} were restarted, one after the other", all.len())
                }),
            )
        }
        LocalAction::Stop(names) => {
            let mut outcomes = brokers.stop_all(&names, STOP_WAIT_MS).await;
            let mut text = format!("{}: stopped", names.join(", "));
            for (name, note) in std::mem::take(&mut outcomes.notes) {
                text.push_str(&format!("; {name} {note}"));
            }
            Answer::LocalDone(outcomes.all().map(|_| text))
        }
        LocalAction::Kill(names) => {
            let kills = names.iter().map(|name| brokers.kill(name));
            let results = futures_util::future::join_all(kills).await;
            told("killed; the data is kept", names, results)
        }
        LocalAction::Pause(names) => {
            let results: Vec<_> = names.iter().map(|name| brokers.pause(name)).collect();
            told("paused", names, results)
        }
        LocalAction::Resume(names) => {
            let results: Vec<_> = names.iter().map(|name| brokers.resume(name)).collect();
            told("resumed", names, results)
        }
        LocalAction::Delete(name) => {
            let deleted = task::spawn_blocking("ui-local-delete", move || {
                brokers.delete(&name).map(|()| format!("{name} is deleted"))
            });
            let result = deleted.await;
            Answer::LocalDone(result.unwrap_or_else(|_| Err(broken("delete a local broker"))))
        }
        LocalAction::Log(name, part) => {
            let read = task::spawn_blocking("ui-local-log", move || {
                brokers
                    .log_tail(&name, LOG_LINES, &part)
                    .map(|lines| (name, lines))
            });
            let result = read.await;
            Answer::LocalLog(result.unwrap_or_else(|_| Err(broken("read a broker's log"))))
        }
    }
}

/// What was done with brokers, in words: "a, b: stopped".
fn told(what: &str, names: Vec<String>, results: Vec<Result<LocalBroker, Fault>>) -> Answer {
    let all = names.join(", ");
    let outcomes = Outcomes::of(names.into_iter().zip(results));
    Answer::LocalDone(outcomes.all().map(|_| format!("{all}: {what}")))
}

/// Hands over what a look that began at `from_ms` has found, and rests until the next one is due:
/// `every_ms` or, where a look takes long, [`LOOK_REST`] times as long. The answer comes back where
/// nobody listens any more.
async fn hand_over(
    client: &ClusterClient,
    events: &mpsc::Sender<Event>,
    (job, answer): (JobId, Answer),
    from_ms: i64,
    every_ms: u64,
) -> Option<Answer> {
    if let Err(mpsc::error::SendError(event)) = events.send(Event::Answer { job, answer }).await
        && let Event::Answer { answer, .. } = event
    {
        return Some(answer);
    }
    let took_ms = u64::try_from(client.now().monotonic_ms - from_ms).unwrap_or(0);
    let rest_ms = took_ms
        .saturating_mul(LOOK_REST)
        .clamp(every_ms, LOOK_REST_MAX_MS);
    tokio::time::sleep(Duration::from_millis(rest_ms)).await;
    None
}

async fn within<T>(what: &str, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    match tokio::time::timeout(Duration::from_millis(JOB_TIMEOUT_MS), work).await {
        Ok(result) => result,
        Err(_) => {
            let why = format!("no answer within {} s", JOB_TIMEOUT_MS / 1000);
            Err(Fault::new(FaultKind::Unreachable, what, why))
        }
    }
}
