//! Executes a run: reads the cluster, lets [`Run::decide`] decide, saves, sends, and again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::cluster::ClusterClient;
use crate::model::{ClusterSnapshot, ConfigResource, Configs, Fault, TopicPartition, Update};

use super::{BrokerThrottle, RATES, REPLICAS, Run, Store, ThrottlesSet, Todo, TopicThrottle, View};

/// Between two looks at the cluster.
const LOOK_MS: u64 = 1_000;
/// While the cluster can't be read.
const LOOK_MS_MAX: u64 = 10_000;

/// Executes a run to its end, telling after every look how far it is.
///
/// A cluster that can't be read is waited for: what was set stays known in the file.
///
/// # Errors
/// The run can't be saved, or the session is read-only.
pub async fn execute(
    client: &ClusterClient,
    store: &Store,
    run: &mut Run,
    mut tell: impl FnMut(&Run),
) -> Result<(), Fault> {
    client.refuse_if_read_only(&run.title)?;
    let mut pause_ms = LOOK_MS;
    let mut saved = None;
    loop {
        store.take_orders(run);
        match look(client, run).await {
            Ok((snapshot, throttles)) => {
                run.trouble = None;
                pause_ms = LOOK_MS;
                let todos = run.decide(&View {
                    snapshot: &snapshot,
                    throttles: &throttles,
                });
                save(store, run, &mut saved)?;
                for todo in todos {
                    send(client, run, todo).await;
                }
            }
            Err(fault) => {
                run.trouble = Some(fault.to_string());
                pause_ms = (pause_ms * 2).min(LOOK_MS_MAX);
                save(store, run, &mut saved)?;
            }
        }
        tell(run);
        if run.is_over {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    }
}

/// Saves what is not in the file yet: a long run says the same most of the time.
fn save(store: &Store, run: &Run, saved: &mut Option<Run>) -> Result<(), Fault> {
    if saved.as_ref() != Some(run) {
        store.save(run)?;
        *saved = Some(run.clone());
    }
    Ok(())
}

/// Reads what a decision needs.
async fn look(client: &ClusterClient, run: &Run) -> Result<(ClusterSnapshot, ThrottlesSet), Fault> {
    let metadata = Arc::new(client.metadata().await?);
    let (running, settings) =
        tokio::join!(client.reassignments(), client.topic_settings(&metadata));
    let mut snapshot = ClusterSnapshot::default();
    let at = client.now();
    snapshot.apply(Update::Metadata(Ok(Arc::clone(&metadata))), at);
    snapshot.apply(Update::Reassignments(Ok(Arc::new(running?))), at);
    snapshot.apply(Update::Settings(Ok(Arc::new(settings?))), at);
    let mut topics: BTreeSet<&str> = run.ours.replicas.keys().map(String::as_str).collect();
    let mut brokers: BTreeSet<i32> = run.ours.rates.keys().copied().collect();
    if run.orders.throttle.is_some() {
        for one in run.moves.iter().filter(|one| !one.state.is_final()) {
            topics.insert(&one.topic);
            brokers.extend(one.from.iter().chain(&one.to));
        }
    }
    topics.retain(|topic| metadata.topic(topic).is_some());
    let is_alive = |id: &i32| metadata.broker(*id).is_some_and(|b| b.fenced != Some(true));
    brokers.retain(is_alive);
    let throttles = read_throttles(client, &topics, &brokers).await?;
    Ok((snapshot, throttles))
}

/// Reads the throttles of topics, and of the brokers that answer.
pub(super) async fn read_throttles(
    client: &ClusterClient,
    topics: &BTreeSet<&str>,
    brokers: &BTreeSet<i32>,
) -> Result<ThrottlesSet, Fault> {
    let mut set = ThrottlesSet::default();
    let answers = join_all(brokers.iter().map(|id| async move {
        let configs = client.broker_values(*id, &RATES).await;
        (*id, configs)
    }));
    for (id, configs) in answers.await {
        match configs {
            Ok(configs) => {
                let rates = RATES.map(|name| value(&configs, name));
                set.brokers.insert(id, BrokerThrottle { rates });
            }
            Err(fault) => drop(set.faults.insert(id, fault)),
        }
    }
    let topics: Vec<&str> = topics.iter().copied().collect();
    for configs in client.topic_values(&topics, &REPLICAS).await? {
        if let ConfigResource::Topic(topic) = &configs.resource {
            let list = |name| ThrottlesSet::list(value(&configs, name).as_deref());
            let replicas = REPLICAS.map(list);
            set.topics.insert(topic.clone(), TopicThrottle { replicas });
        }
    }
    Ok(set)
}

fn value(configs: &Configs, name: &str) -> Option<String> {
    let value = configs.value(name).filter(|value| !value.is_empty())?;
    // Kafka's default of a rate is no limit, written as the largest number.
    (value != i64::MAX.to_string()).then(|| value.to_owned())
}

/// Sends one thing. What fails is noted and comes up again with the next look.
async fn send(client: &ClusterClient, run: &mut Run, todo: Todo) {
    let outcome = match todo {
        Todo::Alter(alter) => {
            let altered = client.alter_configs(&alter, false).await.map(drop);
            if let Err(fault) = &altered {
                run.note_defiance(fault);
            }
            altered
        }
        Todo::Elect(keys) => client.elect_preferred_leaders(&keys).await.map(drop),
        Todo::Start(target) => {
            let target = target
                .into_iter()
                .map(|(key, to)| (key, Some(to)))
                .collect();
            note_each(run, client.alter_reassignments(target).await)
        }
        Todo::Cancel(keys) => {
            let target = keys.into_iter().map(|key| (key, None)).collect();
            note_each(run, client.alter_reassignments(target).await)
        }
    };
    if let Err(fault) = outcome {
        run.trouble = Some(fault.to_string());
    }
}

type PerPartition = BTreeMap<TopicPartition, Result<(), Fault>>;

fn note_each(run: &mut Run, outcomes: Result<PerPartition, Fault>) -> Result<(), Fault> {
    for (key, outcome) in outcomes? {
        let one = run.moves.iter_mut().find(|one| one.key() == key);
        if let (Some(one), Err(fault)) = (one, outcome) {
            one.note = Some(fault.why);
        }
    }
    Ok(())
}
