//! Commands for consumer groups.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::cluster::GroupLogLimits;
use crate::derive::{self, GroupDetail};
use crate::model::{Committed, Fault, Group, GroupKind, Update};
use crate::ops::Action;
use crate::output;

use super::change::execute;
use super::{GlobalArgs, GroupsCommand, Io, Session, offsets, shared};

/// What is read at most of the coordinators' logs for a list.
const GLANCE: GroupLogLimits = GroupLogLimits {
    bytes: 16 * 1024 * 1024,
    time_ms: 3_000,
};

pub(super) async fn run(
    global: &GlobalArgs,
    command: GroupsCommand,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let command = match command {
        GroupsCommand::Reset(args) => return offsets::reset(global, args, io).await,
        GroupsCommand::DeleteOffsets(args) => return offsets::forget(global, args, io).await,
        GroupsCommand::Timeline { id, events, bytes } => {
            return timeline(global, &id, events, bytes, io).await;
        }
        GroupsCommand::Lag { id } => return lag(global, &id, io).await,
        command => command,
    };
    let mut session = Session::open(global).await?;
    session.warn_of_rights(io);
    let metadata = session.metadata()?;
    let groups = session.client.groups_in(&metadata).await?;
    let listed: Vec<Arc<Group>> = groups.groups.values().cloned().collect();
    session.apply(Update::Groups(Ok(Arc::new(groups))));
    match command {
        GroupsCommand::List { filter, quick } => {
            let part = filter.unwrap_or_default();
            let wanted: Vec<Arc<Group>> = listed
                .into_iter()
                .filter(|group| group.id.contains(&part))
                .collect();
            read(&mut session, &wanted).await?;
            let details = match quick {
                true => HashMap::new(),
                false => glance(&session, &wanted).await?,
            };
            let mut groups = output::groups(&session.snapshot, &details);
            groups.groups.retain(|group| group.id.contains(&part));
            io.print(global.output, &groups);
            Ok(0)
        }
        GroupsCommand::Describe { id } => {
            let missing = || {
                Fault::not_found("describe a group", format!("group \"{id}\" does not exist"))
                    .with_hint("`kafka-tui groups list` shows their names")
            };
            let group = listed
                .into_iter()
                .find(|group| *group.id == *id)
                .ok_or_else(missing)?;
            read(&mut session, std::slice::from_ref(&group)).await?;
            let described = session.snapshot.descriptions.get(&group.id);
            if let Some(fault) = described.and_then(|described| described.fault()) {
                return Err(Fault::clone(fault));
            }
            let group = output::group(&session.snapshot, &group.id).ok_or_else(missing)?;
            io.print(global.output, &group);
            Ok(0)
        }
        GroupsCommand::Delete { ids, change } => {
            let wanted: Vec<Arc<Group>> = listed
                .into_iter()
                .filter(|group| ids.iter().any(|id| **id == *group.id))
                .collect();
            read(&mut session, &wanted).await?;
            execute(global, &session, Action::DeleteGroups(ids), change, io).await
        }
        // Handled above.
        GroupsCommand::Reset(_)
        | GroupsCommand::DeleteOffsets(_)
        | GroupsCommand::Timeline { .. }
        | GroupsCommand::Lag { .. } => Ok(0),
    }
}

/// Lag in time and verdicts of the groups that are behind.
async fn glance(
    session: &Session,
    groups: &[Arc<Group>],
) -> Result<HashMap<Arc<str>, GroupDetail>, Fault> {
    let metadata = session.metadata()?;
    let snapshot = &session.snapshot;
    let is_behind = |committed: &Committed| {
        let lag = derive::lag_in(snapshot, committed, None);
        lag.is_some_and(|lag| lag.total.partial().unwrap_or(0) > 0)
    };
    let behind = groups.iter().filter_map(|group| {
        let committed = snapshot.committed.get(&group.id)?.value()?;
        let is_wanted = group.kind != GroupKind::Share && is_behind(committed);
        is_wanted.then(|| (Arc::clone(group), Arc::clone(committed)))
    });
    let behind: Vec<_> = behind.collect();
    if behind.is_empty() {
        return Ok(HashMap::new());
    }
    let offsets = snapshot.offsets.value().cloned().unwrap_or_default();
    let looks = session
        .client
        .glance_at_groups(&behind, &offsets, &metadata, GLANCE)
        .await;
    let detail = |(id, look)| (id, derive::group_detail(&look, &metadata));
    Ok(looks.into_iter().map(detail).collect())
}

async fn timeline(
    global: &GlobalArgs,
    id: &str,
    events: usize,
    bytes: u64,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let session = Session::open(global).await?;
    let limits = GroupLogLimits {
        bytes,
        time_ms: 60_000,
    };
    let look = session.client.look_at_group(id, limits).await?;
    io.print(global.output, &output::group_timeline(&look, id, events)?);
    Ok(0)
}

async fn lag(global: &GlobalArgs, id: &str, io: &mut Io<'_>) -> Result<u8, Fault> {
    let session = Session::open(global).await?;
    let metadata = session.metadata()?;
    let limits = GroupLogLimits::default();
    let look = session.client.look_at_group(id, limits).await?;
    io.print(
        global.output,
        &output::group_lag_detail(&look, id, &metadata),
    );
    Ok(0)
}

/// Describes groups and reads what they committed, then the ends of the topics it is of.
pub(super) async fn read(session: &mut Session, groups: &[Arc<Group>]) -> Result<(), Fault> {
    let metadata = session.metadata()?;
    let (descriptions, committed) = tokio::join!(
        session.client.describe_groups(groups),
        session.client.committed(groups)
    );
    let topics: BTreeSet<Arc<str>> = committed
        .iter()
        .filter_map(|(_, result)| result.as_ref().ok())
        .flat_map(|committed| committed.topics.keys().cloned())
        .chain(
            descriptions
                .iter()
                .filter_map(|(_, result)| result.as_ref().ok())
                .flat_map(|description| description.members.iter())
                .flat_map(|member| member.assignment.iter().map(|a| Arc::clone(&a.topic))),
        )
        .collect();
    let topics: Vec<Arc<str>> = topics.into_iter().collect();
    let offsets = session.client.offsets(&metadata, Some(&topics)).await;
    session.apply(Update::Descriptions(descriptions));
    session.apply(Update::Committed(committed));
    session.apply(Update::Offsets {
        result: shared(offsets),
        complete: false,
    });
    Ok(())
}
