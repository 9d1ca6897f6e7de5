//! Commands that only look.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{ConfigResource, Fault, Update};
use crate::output;

use super::{GlobalArgs, Io, ResourceArgs, Session, shared};

pub(super) async fn list_topics(
    global: &GlobalArgs,
    filter: Option<&str>,
    internal: bool,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let mut session = Session::open(global).await?;
    session.warn_of_rights(io);
    let metadata = session.metadata()?;
    let (offsets, dirs, running) = tokio::join!(
        session.client.offsets(&metadata, None),
        session.client.log_dirs(&metadata),
        session.client.reassignments(),
    );
    session.apply(Update::Reassignments(shared(running)));
    session.apply(Update::Offsets {
        result: shared(offsets),
        complete: true,
    });
    session.apply(Update::LogDirs(shared(dirs)));
    let keep = |topic: &crate::model::Topic| {
        (internal || !topic.is_internal) && filter.is_none_or(|part| topic.name.contains(part))
    };
    io.print(global.output, &output::topics(&session.snapshot, keep));
    Ok(0)
}

pub(super) async fn describe_topic(
    global: &GlobalArgs,
    name: &str,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let mut session = Session::open(global).await?;
    session.warn_of_rights(io);
    let metadata = session.metadata()?;
    let missing = || {
        Fault::not_found(
            "describe a topic",
            format!("topic \"{name}\" does not exist"),
        )
        .with_hint("`kafka-tui topics list` shows their names")
    };
    let topic = metadata.topic(name).cloned().ok_or_else(missing)?;
    let resource = ConfigResource::Topic(name.to_owned());
    let names = [Arc::clone(&topic.name)];
    let (offsets, dirs, configs, running) = tokio::join!(
        session.client.offsets(&metadata, Some(&names)),
        session.client.log_dirs(&metadata),
        session.client.configs(&resource),
        session.client.reassignments(),
    );
    session.apply(Update::Offsets {
        result: shared(offsets),
        complete: false,
    });
    session.apply(Update::LogDirs(shared(dirs)));
    session.apply(Update::Configs(resource, shared(configs)));
    session.apply(Update::Reassignments(shared(running)));
    // The running reassignments are marked in the snapshot's topic.
    let topic = session.metadata()?.topic(name).cloned().unwrap_or(topic);
    io.print(global.output, &output::topic(&session.snapshot, &topic));
    Ok(0)
}

pub(super) async fn list_brokers(global: &GlobalArgs, io: &mut Io<'_>) -> Result<u8, Fault> {
    let mut session = Session::open(global).await?;
    session.warn_of_rights(io);
    let metadata = session.metadata()?;
    let (dirs, quorum) = tokio::join!(session.client.log_dirs(&metadata), session.client.quorum());
    session.apply(Update::LogDirs(shared(dirs)));
    session.apply(Update::Quorum(shared(quorum)));
    io.print(global.output, &output::brokers(&session.snapshot));
    Ok(0)
}

pub(super) async fn broker(global: &GlobalArgs, id: i32, io: &mut Io<'_>) -> Result<u8, Fault> {
    let mut session = Session::open(global).await?;
    session.warn_of_rights(io);
    let metadata = session.metadata()?;
    let (dirs, quorum, running) = tokio::join!(
        session.client.log_dirs(&metadata),
        session.client.quorum(),
        session.client.reassignments(),
    );
    session.apply(Update::LogDirs(shared(dirs)));
    session.apply(Update::Quorum(shared(quorum)));
    session.apply(Update::Reassignments(shared(running)));
    let missing = || {
        let why = format!("there is no broker {id}");
        Fault::not_found("describe a broker", why).with_hint("`kafka-tui brokers list` shows them")
    };
    let broker = output::broker(&session.snapshot, id).ok_or_else(missing)?;
    io.print(global.output, &broker);
    Ok(0)
}

/// The resource that the arguments name; exactly one of them is there.
pub(super) fn resource(args: &ResourceArgs) -> Result<ConfigResource, Fault> {
    match (&args.topic, &args.broker, &args.group) {
        (Some(topic), _, _) => Ok(ConfigResource::Topic(topic.clone())),
        (_, Some(broker), _) if broker == "default" => Ok(ConfigResource::BrokerDefault),
        (_, Some(broker), _) => broker.parse().map(ConfigResource::Broker).map_err(|_| {
            Fault::refused(
                "name a broker",
                format!("\"{broker}\" is neither an id nor `default`"),
            )
        }),
        (_, _, Some(group)) => Ok(ConfigResource::Group(group.clone())),
        _ => Err(Fault::refused("name a resource", "none is named")),
    }
}

pub(super) async fn describe_configs(
    global: &GlobalArgs,
    args: &ResourceArgs,
    all: bool,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let resource = resource(args)?;
    let client = global.client().await?;
    let configs = client.configs(&resource).await?;
    io.print(global.output, &output::configs(&configs, all));
    Ok(0)
}

/// Reads what it takes to say whether brokers may stop.
pub(super) async fn may_stop(
    global: &GlobalArgs,
    ids: Vec<i32>,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let mut session = Session::open(global).await?;
    session.warn_of_rights(io);
    let metadata = session.metadata()?;
    let (settings, quorum, groups, running) = tokio::join!(
        session.client.topic_settings(&metadata),
        session.client.quorum(),
        session.client.groups_in(&metadata),
        session.client.reassignments(),
    );
    session.apply(Update::Settings(shared(settings)));
    session.apply(Update::Quorum(shared(quorum)));
    session.apply(Update::Groups(shared(groups)));
    session.apply(Update::Reassignments(shared(running)));
    let brokers: BTreeSet<i32> = ids.into_iter().collect();
    let answer = output::may_stop(&session.snapshot, &brokers);
    io.print(global.output, &answer);
    Ok(if answer.is_yes() { 0 } else { output::EXIT_NO })
}
