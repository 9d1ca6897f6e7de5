//! Plans for voters, features and registrations.

use crate::derive::{self, feature_level_name};
use crate::model::{ClusterMetadata, ClusterSnapshot, Fault, Features, Quorum, QuorumReplica};
use crate::ops::action::{Action, AddVoter, Direction, QuorumAction, SetFeature};
use crate::ops::plan::{Danger, Plan};

use super::{bootstrap, count, quote};

/// The feature whose levels are names in Kafka's tools.
const METADATA_VERSION: &str = "metadata.version";

pub(super) fn plan(
    action: QuorumAction,
    metadata: &ClusterMetadata,
    snapshot: &ClusterSnapshot,
) -> Result<Plan, Fault> {
    match action {
        QuorumAction::AddVoter(add) => add_voter(add, metadata, snapshot),
        QuorumAction::RemoveVoter { id, directory_id } => {
            remove_voter(id, directory_id, metadata, snapshot)
        }
        QuorumAction::SetFeatures(set) => set_features(set, metadata, snapshot),
        QuorumAction::UnregisterBroker(id) => unregister(id, metadata, snapshot),
    }
}

fn known<'a, T>(resource: &'a crate::model::Resource<T>, title: &str) -> Result<&'a T, Fault> {
    match (resource.get(), resource.fault()) {
        (Some(value), _) => Ok(value),
        (None, Some(fault)) => Err(Fault::clone(fault)),
        (None, None) => Err(Fault::refused(title, "it was not read yet")),
    }
}

/// Voters that stand in the configuration can't be changed by a request.
fn refuse_static(title: &str, snapshot: &ClusterSnapshot) -> Result<(), Fault> {
    let features = snapshot.features.get();
    let level = features.and_then(|features| {
        let mut levels = features.levels.iter();
        levels
            .find(|level| level.name == "kraft.version")?
            .finalized
    });
    if level == Some(0) {
        let why = "the voters stand in controller.quorum.voters: kraft.version is 0";
        return Err(Fault::refused(title, why)
            .with_hint("upgrade the feature kraft.version to 1, where the quorum allows it"));
    }
    Ok(())
}

/// What a node is, the same in a change and in what takes it back.
const OBSERVER: &str = "observer";
const VOTER: &str = "voter";

fn add_voter(
    add: AddVoter,
    metadata: &ClusterMetadata,
    snapshot: &ClusterSnapshot,
) -> Result<Plan, Fault> {
    let title = format!("make node {} a voter", add.id);
    let quorum: &Quorum = known(&snapshot.quorum, &title)?;
    refuse_static(&title, snapshot)?;
    if quorum.voters.iter().any(|voter| voter.id == add.id) {
        return Err(Fault::refused(title, "it is a voter already"));
    }
    if metadata.broker(add.id).is_some() && !quorum.observers.iter().any(|o| o.id == add.id) {
        let why = "it is a broker that does not follow the metadata log";
        return Err(Fault::refused(title, why));
    }
    if let Some(named) = &add.directory_id
        && kafka_shared::types::uuid_from_base64(named).is_none()
    {
        let why = format!("\"{named}\" is no directory id");
        return Err(Fault::refused(title, why));
    }
    let observer = follower(&add, quorum, &title)?;
    let Some(directory) = observer.directory_id.clone().or(add.directory_id.clone()) else {
        let why = "its directory is not known";
        return Err(
            Fault::refused(title, why).with_hint("name it: meta.properties has directory.id")
        );
    };
    if add.listeners.is_empty() {
        return Err(Fault::refused(title, "no listener is named")
            .with_hint("the others have to reach it: CONTROLLER://host:9093"));
    }
    let after = derive::survival(quorum, Some(observer), None);
    let listeners: Vec<String> = add.listeners.iter().map(ToString::to_string).collect();
    let meant = AddVoter {
        directory_id: Some(directory.clone()),
        ..add
    };
    let action = Action::Quorum(QuorumAction::AddVoter(meant.clone()));
    let mut plan = Plan::new(action, title, Danger::Disruptive);
    let node = format!("node {}", meant.id);
    plan.change(node, Some(OBSERVER.to_owned()), Some(VOTER.to_owned()));
    plan.change("reached at", None, Some(listeners.join(", ")));
    plan.change(
        "voters",
        Some(voters_text(&derive::survival(quorum, None, None))),
        Some(voters_text(&after)),
    );
    if let Some(lag) = observer.lag.filter(|lag| *lag > 0) {
        let records = count(usize::try_from(lag).unwrap_or(0), "record");
        plan.not_done
            .push(format!("it is {records} behind the leader"));
    }
    if observer.last_caught_up_ms.is_none() {
        plan.warnings
            .push("it has not caught up yet: the leader refuses it until then".to_owned());
    }
    if metadata.broker(meant.id).is_some() {
        plan.warnings.push(
            "a broker is registered under this id: only a node with the role controller can vote"
                .to_owned(),
        );
    }
    push_survival(&mut plan, &after);
    plan.equivalent.push(format!(
        "kafka-metadata-quorum.sh {} --command-config CONTROLLER.PROPERTIES add-controller",
        bootstrap(metadata)
    ));
    plan.inverse = Some(Action::Quorum(QuorumAction::RemoveVoter {
        id: meant.id,
        directory_id: Some(directory),
    }));
    Ok(plan)
}

/// The observer that is meant: one that answers, and the only one of its id and directory.
///
/// A node that came back with an empty disk leaves its former self among the observers for some
/// minutes, which had caught up not long ago, so that the leader would take it: a voter that never
/// votes, and with two voters a quorum that stands still for good.
fn follower<'a>(
    add: &AddVoter,
    quorum: &'a Quorum,
    title: &str,
) -> Result<&'a QuorumReplica, Fault> {
    let AddVoter {
        id, directory_id, ..
    } = add;
    let of_id: Vec<&QuorumReplica> = quorum.observers.iter().filter(|o| o.id == *id).collect();
    if of_id.is_empty() {
        let ids: Vec<i32> = quorum.observers.iter().map(|o| o.id).collect();
        let why = format!("node {id} does not follow the metadata log");
        return Err(Fault::not_found(title, why).with_hint(format!(
            "start the controller with controller.quorum.bootstrap.servers first; now {} follow",
            super::join(&ids)
        )));
    }
    let is_meant = |observer: &QuorumReplica| match (directory_id, &observer.directory_id) {
        (Some(named), Some(its)) => named == its,
        _ => true,
    };
    let meant: Vec<&QuorumReplica> = of_id.into_iter().filter(|o| is_meant(o)).collect();
    if meant.is_empty() {
        let named = directory_id.as_deref().unwrap_or_default();
        let why = format!("node {id} does not follow with the directory {named}");
        return Err(Fault::refused(title, why)
            .with_hint("leave the directory out to take the one that it follows with"));
    }
    let live = meant.iter().filter(|o| derive::is_following(quorum, o));
    match *live.copied().collect::<Vec<_>>() {
        [one] => Ok(one),
        [] => Err(Fault::refused(
            title,
            format!("node {id} no longer follows the metadata log: it could never vote"),
        )
        .with_hint("start it, and wait until it has caught up")),
        _ => {
            let directories = meant.iter().filter_map(|o| o.directory_id.as_deref());
            let directories: Vec<&str> = directories.collect();
            let why = format!(
                "node {id} follows with the directories {}",
                directories.join(", ")
            );
            Err(Fault::refused(title, why)
                .with_hint("name the one that is meant, or wait until only one of them follows"))
        }
    }
}

fn voters_text(survival: &derive::Survival) -> String {
    format!(
        "{}, of which {} have to agree",
        survival.n_voters, survival.majority
    )
}

fn push_survival(plan: &mut Plan, after: &derive::Survival) {
    match after.spare {
        0 => plan.warnings.push(format!(
            "afterwards the quorum stands still when one more voter fails: {} of {} answer",
            after.n_live, after.n_voters
        )),
        n => plan.not_done.push(format!(
            "the quorum then survives the failure of {} more of the {} voters that answer",
            n, after.n_live
        )),
    }
    if after.n_voters.is_multiple_of(2) {
        plan.warnings.push(format!(
            "{} voters survive no more failures than {}",
            after.n_voters,
            after.n_voters - 1
        ));
    }
}

fn remove_voter(
    id: i32,
    directory_id: Option<String>,
    metadata: &ClusterMetadata,
    snapshot: &ClusterSnapshot,
) -> Result<Plan, Fault> {
    let title = format!("remove the voter {id}");
    let quorum: &Quorum = known(&snapshot.quorum, &title)?;
    let is_meant = |voter: &&QuorumReplica| {
        voter.id == id
            && directory_id
                .as_ref()
                .is_none_or(|wanted| voter.directory_id.as_ref() == Some(wanted))
    };
    let Some(voter) = quorum.voters.iter().find(is_meant) else {
        let ids: Vec<i32> = quorum.voters.iter().map(|voter| voter.id).collect();
        let why = format!(
            "node {id} is no voter; the voters are {}",
            super::join(&ids)
        );
        return Err(Fault::not_found(title, why));
    };
    refuse_static(&title, snapshot)?;
    let Some(directory) = voter.directory_id.clone() else {
        let why = "its directory is not known, as that of a voter of the configuration";
        return Err(Fault::refused(title, why));
    };
    let (before, after) = (
        derive::survival(quorum, None, None),
        derive::survival(quorum, None, Some(voter)),
    );
    if after.n_voters == 0 {
        return Err(Fault::refused(title, "it is the last voter"));
    }
    if after.n_live < after.majority {
        let why = format!(
            "the quorum would stand still: of the {} voters left {} answer, and {} have to",
            after.n_voters, after.n_live, after.majority
        );
        return Err(Fault::refused(title, why).with_hint("bring the silent voters back first"));
    }
    let action = Action::Quorum(QuorumAction::RemoveVoter {
        id,
        directory_id: Some(directory.clone()),
    });
    let mut plan = Plan::new(action, title, Danger::Disruptive);
    plan.change(
        format!("node {id}"),
        Some(VOTER.to_owned()),
        Some(OBSERVER.to_owned()),
    );
    plan.change(
        "voters",
        Some(voters_text(&before)),
        Some(voters_text(&after)),
    );
    if quorum.leader_id == id {
        plan.warnings
            .push("it leads: another voter takes over, which takes a moment".to_owned());
    }
    push_survival(&mut plan, &after);
    plan.not_done.push(format!(
        "node {id} runs on as an observer until it is stopped"
    ));
    plan.typed_confirmation = Some(format!("remove voter {id}"));
    plan.equivalent.push(format!(
        "kafka-metadata-quorum.sh {} remove-controller --controller-id {id} \
         --controller-directory-id {directory}",
        bootstrap(metadata)
    ));
    let listeners = quorum.listeners.get(&id).cloned().unwrap_or_default();
    let back = AddVoter {
        id,
        directory_id: Some(directory),
        listeners,
    };
    plan.inverse = Some(Action::Quorum(QuorumAction::AddVoter(back)))
        .filter(|_| quorum.listeners.contains_key(&id));
    Ok(plan)
}

fn level_text(name: &str, level: i16) -> String {
    match feature_level_name(name, level) {
        Some(known) => format!("{level} ({known})"),
        None if level == 0 => "0 (off)".to_owned(),
        None => level.to_string(),
    }
}

fn set_features(
    set: Vec<SetFeature>,
    metadata: &ClusterMetadata,
    snapshot: &ClusterSnapshot,
) -> Result<Plan, Fault> {
    let title = match &set[..] {
        [] => {
            return Err(Fault::refused(
                "change feature levels",
                "no feature is named",
            ));
        }
        [one] => format!(
            "set the feature {} to {}",
            one.name,
            level_text(&one.name, one.level)
        ),
        many => format!("set {}", count(many.len(), "feature")),
    };
    let features: &Features = known(&snapshot.features, &title)?;
    let mut wanted: Vec<SetFeature> = Vec::new();
    let mut inverse = Some(Vec::new());
    let placeholder = Action::Quorum(QuorumAction::SetFeatures(Vec::new()));
    let mut plan = Plan::new(placeholder, title.clone(), Danger::Disruptive);
    for change in set {
        let SetFeature {
            name,
            level,
            direction,
        } = &change;
        if wanted.iter().any(|other| other.name == *name) {
            return Err(Fault::refused(title, format!("{name} is named twice")));
        }
        let before = checked(&change, features).map_err(|why| Fault::refused(&title, why))?;
        if before == Some(*level) {
            plan.not_done
                .push(format!("{name} is {} already", level_text(name, *level)));
            continue;
        }
        plan.change(
            name.clone(),
            before.map(|before| level_text(name, before)),
            Some(level_text(name, *level)),
        );
        if *name == METADATA_VERSION {
            plan.typed_confirmation = Some(METADATA_VERSION.to_owned());
            plan.warnings.push(match direction {
                Direction::Up => "a metadata.version can be taken back only as long as nothing \
                                  needs it, and brokers that are older can't join any more"
                    .to_owned(),
                _ => "what the older version has no place for is lost".to_owned(),
            });
        }
        if *direction == Direction::DownUnsafe {
            plan.danger = Danger::Destructive;
            plan.typed_confirmation.get_or_insert_with(|| name.clone());
            plan.warnings
                .push(format!("metadata of {name} may be lost"));
        }
        let back = before.map(|before| SetFeature {
            name: name.clone(),
            level: before,
            direction: if before < *level {
                Direction::Down
            } else {
                Direction::Up
            },
        });
        inverse = inverse
            .zip(back)
            .map(|(mut all, back): (Vec<SetFeature>, _)| {
                all.push(back);
                all
            });
        plan.equivalent.push(feature_line(&change, metadata));
        wanted.push(change);
    }
    plan.inverse = inverse
        .filter(|all| !all.is_empty())
        .map(|all| Action::Quorum(QuorumAction::SetFeatures(all)));
    plan.action = Action::Quorum(QuorumAction::SetFeatures(wanted));
    Ok(plan)
}

/// Checks a new level against what every node can do; the level of now.
fn checked(change: &SetFeature, features: &Features) -> Result<Option<i16>, String> {
    let SetFeature {
        name,
        level,
        direction,
    } = change;
    let Some(feature) = features.levels.iter().find(|known| known.name == *name) else {
        let names: Vec<&str> = features
            .levels
            .iter()
            .map(|known| known.name.as_str())
            .collect();
        return Err(format!(
            "there is no feature {name}: there is {}",
            names.join(", ")
        ));
    };
    if *level < 0 {
        return Err("a level is 0 or more".to_owned());
    }
    if *level != 0 && !(feature.supported_min..=feature.supported_max).contains(level) {
        let limits = feature
            .nodes
            .iter()
            .find(|node| !(node.min..=node.max).contains(level));
        let who = limits.map_or_else(String::new, |node| {
            format!(": broker {} can do {} to {}", node.node, node.min, node.max)
        });
        return Err(format!(
            "not every node can do {name} {level}, but {} to {}{who}",
            feature.supported_min, feature.supported_max
        ));
    }
    let before = feature.finalized;
    match (before, direction) {
        (Some(before), Direction::Up) if *level < before => {
            Err(format!("{name} is at {before}: this is a downgrade"))
        }
        (Some(before), Direction::Down | Direction::DownUnsafe) if *level > before => {
            Err(format!("{name} is at {before}: this is an upgrade"))
        }
        _ => Ok(before),
    }
}

fn feature_line(change: &SetFeature, metadata: &ClusterMetadata) -> String {
    let (verb, unsafely) = match change.direction {
        Direction::Up => ("upgrade", ""),
        Direction::Down => ("downgrade", ""),
        Direction::DownUnsafe => ("downgrade", " --unsafe"),
    };
    let feature = quote(&format!("{}={}", change.name, change.level));
    format!(
        "kafka-features.sh {} {verb}{unsafely} --feature {feature}",
        bootstrap(metadata)
    )
}

fn unregister(
    id: i32,
    metadata: &ClusterMetadata,
    snapshot: &ClusterSnapshot,
) -> Result<Plan, Fault> {
    let title = format!("unregister broker {id}");
    let broker = metadata.broker(id);
    let action = Action::Quorum(QuorumAction::UnregisterBroker(id));
    let mut plan = Plan::new(action, title.clone(), Danger::Disruptive);
    let state = match broker {
        None => "not listed: it is gone, or was never there",
        Some(broker) if broker.fenced == Some(true) => "registered, and fenced",
        Some(_) => "registered, and up",
    };
    plan.change(format!("broker {id}"), Some(state.to_owned()), None);
    if broker.is_some_and(|broker| broker.fenced != Some(true)) {
        plan.warnings.push(
            "it is up: unregistered, it is fenced and has to be restarted to come back".to_owned(),
        );
    }
    if snapshot
        .quorum
        .get()
        .is_some_and(|q| q.voters.iter().any(|voter| voter.id == id))
    {
        plan.warnings
            .push("it is a voter of the metadata quorum, and stays one".to_owned());
    }
    let all = metadata.topics.iter().flat_map(|topic| {
        topic
            .partitions
            .iter()
            .map(move |partition| (&topic.name, partition))
    });
    let held: Vec<String> = all
        .filter(|(_, partition)| partition.replicas.contains(&id))
        .map(|(name, partition)| format!("{name}-{}", partition.id))
        .collect();
    if !held.is_empty() {
        plan.warnings.push(format!(
            "{} still have a replica there, {} among them: they stay under-replicated until they \
             are reassigned",
            count(held.len(), "partition"),
            held[0]
        ));
    }
    plan.typed_confirmation = Some(format!("unregister {id}"));
    plan.equivalent.push(format!(
        "kafka-cluster.sh unregister {} --id {id}",
        bootstrap(metadata)
    ));
    Ok(plan)
}

#[cfg(test)]
mod tests;
