//! Commands that change topics, partitions, settings and leaders, and how every change is made:
//! plan, show, check, confirm, execute, verify.

use std::time::Duration;

use kafka_shared::time::Clock as _;

use crate::clusters::confirmation;
use crate::model::{ConfigResource, Fault, Topic, TopicPartition, Update};
use crate::ops::plan_file::SavedPlan;
use crate::ops::undo::{self, Journal};
use crate::ops::{
    self, Action, AddPartitions, AlterConfigs, ConfigChange, CreateTopic, Plan, Report,
};
use crate::output::{DoneJson, PlanJson, Printable as _, exit_code};

use super::show::resource;
use super::{
    ChangeArgs, GlobalArgs, Io, PartitionsCommand, ResourceArgs, Session, SettingArgs,
    TopicsCommand, shared,
};

pub(super) async fn topics(
    global: &GlobalArgs,
    command: TopicsCommand,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    match command {
        TopicsCommand::Create {
            name,
            partitions,
            replication_factor,
            replica_assignment,
            configs,
            if_not_exists,
            change,
        } => {
            let assignment = replica_assignment.as_deref().map(parse_lists).transpose()?;
            let create = CreateTopic {
                name,
                partitions,
                replication_factor,
                assignment,
                configs,
                if_not_exists,
            };
            let session = Session::open(global).await?;
            execute(global, &session, Action::CreateTopic(create), change, io).await
        }
        TopicsCommand::Delete {
            mut names,
            if_exists,
            change,
        } => {
            let mut session = Session::open(global).await?;
            let metadata = session.metadata()?;
            if if_exists {
                names.retain(|name| metadata.topic(name).is_some());
                if names.is_empty() {
                    return Ok(0);
                }
            }
            let action = Action::DeleteTopics(names);
            read_sizes(&mut session, &action).await;
            execute(global, &session, action, change, io).await
        }
        TopicsCommand::Alter {
            name,
            settings,
            change,
        } => alter(global, ConfigResource::Topic(name), &settings, change, io).await,
        // These only look and are handled elsewhere.
        TopicsCommand::List { .. } | TopicsCommand::Describe { .. } | TopicsCommand::Export(_) => {
            Ok(0)
        }
    }
}

/// Reads how much goes with topics that are to be deleted.
pub(super) async fn read_sizes(session: &mut Session, action: &Action) {
    if let (Action::DeleteTopics(_), Ok(metadata)) = (action, session.metadata()) {
        let dirs = session.client.log_dirs(&metadata).await;
        session.apply(Update::LogDirs(shared(dirs)));
    }
}

pub(super) async fn partitions(
    global: &GlobalArgs,
    command: PartitionsCommand,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let PartitionsCommand::Add {
        topics,
        total,
        replica_assignment,
        change,
    } = command;
    let assignment = replica_assignment.as_deref().map(parse_lists).transpose()?;
    if assignment.is_some() && topics.len() > 1 {
        let why = "replicas are named for the partitions of one topic";
        return Err(Fault::refused("add partitions", why));
    }
    let session = Session::open(global).await?;
    let mut adds: Vec<AddPartitions> = topics
        .into_iter()
        .map(|topic| AddPartitions {
            topic,
            total,
            assignment: assignment.clone(),
        })
        .collect();
    let action = match adds.len() {
        1 => Action::AddPartitions(adds.remove(0)),
        _ => Action::AddPartitionsToMany(adds),
    };
    execute(global, &session, action, change, io).await
}

pub(super) async fn configs(
    global: &GlobalArgs,
    args: &ResourceArgs,
    settings: &SettingArgs,
    change: ChangeArgs,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    alter(global, resource(args)?, settings, change, io).await
}

async fn alter(
    global: &GlobalArgs,
    resource: ConfigResource,
    settings: &SettingArgs,
    change: ChangeArgs,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let changes = changes_of(settings);
    if changes.is_empty() {
        return Err(Fault::refused("change settings", "no change is named")
            .with_hint("use --set, --unset, --append or --subtract"));
    }
    let mut session = Session::open(global).await?;
    let configs = session.client.configs(&resource).await;
    session.apply(Update::Configs(resource.clone(), shared(configs)));
    let alter = AlterConfigs { resource, changes };
    execute(global, &session, Action::AlterConfigs(alter), change, io).await
}

fn changes_of(settings: &SettingArgs) -> Vec<ConfigChange> {
    let set = settings
        .set
        .iter()
        .cloned()
        .map(|(name, value)| ConfigChange::Set { name, value });
    let unset = settings
        .unset
        .iter()
        .cloned()
        .map(|name| ConfigChange::Delete { name });
    let append = settings.append.iter().cloned();
    let append = append.map(|(name, value)| ConfigChange::Append { name, value });
    let subtract = settings.subtract.iter().cloned();
    let subtract = subtract.map(|(name, value)| ConfigChange::Subtract { name, value });
    set.chain(unset).chain(append).chain(subtract).collect()
}

/// Elects the preferred leaders of these topics' partitions, or of all.
pub(super) async fn elect(
    global: &GlobalArgs,
    only: &[String],
    change: ChangeArgs,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let session = Session::open(global).await?;
    let action = election(&session, only)?;
    execute(global, &session, action, change, io).await
}

fn election(session: &Session, only: &[String]) -> Result<Action, Fault> {
    let metadata = session.metadata()?;
    if let Some(name) = only.iter().find(|name| metadata.topic(name).is_none()) {
        let why = format!("topic \"{name}\" does not exist");
        return Err(Fault::not_found("elect preferred leaders", why));
    }
    let is_meant = |topic: &Topic| only.is_empty() || only.iter().any(|name| **name == *topic.name);
    let topics = metadata.topics.iter().filter(|topic| is_meant(topic));
    let partitions = topics.flat_map(|topic| {
        let partitions = topic.partitions.iter();
        partitions.map(|partition| TopicPartition::new(&*topic.name, partition.id))
    });
    Ok(Action::ElectPreferredLeaders(partitions.collect()))
}

/// Elects again and again. What fails is told, and tried again the next time; the first time
/// everything has to be right.
pub(super) async fn elect_every(
    global: &GlobalArgs,
    only: &[String],
    every: Duration,
    change: ChangeArgs,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let session = Session::open(global).await?;
    let what = "elect preferred leaders";
    if change.is_dry(&session.target) {
        let why = "changes of this cluster are dry runs unless something else is said";
        return Err(Fault::refused(what, why).with_hint("--execute elects again and again"));
    }
    session.client.refuse_if_read_only(what)?;
    let plan = ops::plan(election(&session, only)?, &session.snapshot)?;
    confirm(&session, &plan, change, io)?;
    drop(session);
    loop {
        let time = undo::timestamp(kafka_shared::time::SystemClock::new().wall_ms());
        io.tell(&format!("{time}\n"));
        if let Err(fault) = elect(global, only, change.decided(), io).await {
            io.tell(&crate::output::error_text(&fault));
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            _ = tokio::signal::ctrl_c() => return Ok(0),
        }
    }
}

/// `1:2,2:3` as lists of replicas.
pub(super) fn parse_lists(text: &str) -> Result<Vec<Vec<i32>>, Fault> {
    let list = |list: &str| -> Result<Vec<i32>, _> { list.split(':').map(str::parse).collect() };
    text.split(',')
        .map(list)
        .collect::<Result<_, std::num::ParseIntError>>()
        .map_err(|_| {
            let why = format!("\"{text}\" is no list of replicas");
            Fault::refused("read the replica assignment", why)
                .with_hint("partitions by comma, brokers by colon: 1:2,2:3")
        })
}

/// Plans an action and makes the change.
pub(super) async fn execute(
    global: &GlobalArgs,
    session: &Session,
    action: Action,
    change: ChangeArgs,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let plan = ops::plan(action, &session.snapshot)?;
    make(global, session, &plan, change, io).await
}

/// Makes the change of a plan, or shows it only.
pub(super) async fn make(
    global: &GlobalArgs,
    session: &Session,
    plan: &Plan,
    change: ChangeArgs,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let (done, code) = carry_out(global, session, plan, change, io).await?;
    io.print(global.output, &done);
    if global.save_plan.is_none() && !plan.is_empty() {
        change.tell(&session.target, io);
    }
    Ok(code)
}

/// As [`make`], and leaves it to the caller to print what came of it.
pub(super) async fn carry_out(
    global: &GlobalArgs,
    session: &Session,
    plan: &Plan,
    change: ChangeArgs,
    io: &mut Io<'_>,
) -> Result<(DoneJson, u8), Fault> {
    if let Some(path) = &global.save_plan {
        let saved = SavedPlan::of(plan, session.client.now().wall_ms).print()?;
        super::reassign::write(path, &saved)?;
        let shown = DoneJson {
            dry_run: true,
            plan: PlanJson::from(plan),
            check: None,
            report: None,
            verification: None,
            is_told: false,
        };
        return Ok((shown, 0));
    }
    let is_dry = change.is_dry(&session.target);
    // A dry run asks the broker too, unless the session may not even ask.
    if !is_dry {
        session.client.refuse_if_read_only(&plan.title)?;
    }
    let check = if session.client.is_read_only() {
        Report::default()
    } else {
        ops::check(&session.client, plan).await?
    };
    if let Some((_, fault)) = check.faults().next() {
        return Err(fault.clone());
    }
    let mut done = DoneJson {
        dry_run: is_dry,
        plan: PlanJson::from(plan),
        check: Some(check).filter(|check| !check.items.is_empty()),
        report: None,
        verification: None,
        is_told: false,
    };
    if is_dry || plan.is_empty() {
        return Ok((done, 0));
    }
    done.is_told = confirm(session, plan, change, io)?;
    let report = undo::make(&session.client, plan, &Journal::of_user()).await?;
    // A verification that can't be made does not undo what was done.
    done.verification = ops::verify(&session.client, plan).await.ok();
    let code = report
        .faults()
        .map(|(_, fault)| exit_code(fault))
        .max()
        .unwrap_or(0);
    done.report = Some(report);
    Ok((done, code))
}

/// What is hard to undo is confirmed by a name, by how careful one has to be with the cluster. Who
/// is asked sees the plan before; whether that was so.
pub(super) fn confirm(
    session: &Session,
    plan: &Plan,
    change: ChangeArgs,
    io: &mut Io<'_>,
) -> Result<bool, Fault> {
    let table = PlanJson::from(plan).table();
    ask(session, plan, &table, change, io)
}

/// As [`confirm`], for a plan that was shown already.
pub(super) fn confirm_shown(
    session: &Session,
    plan: &Plan,
    change: ChangeArgs,
    io: &mut Io<'_>,
) -> Result<(), Fault> {
    let title = format!("{}\n", PlanJson::from(plan).title);
    ask(session, plan, &title, change, io).map(drop)
}

fn ask(
    session: &Session,
    plan: &Plan,
    told: &str,
    change: ChangeArgs,
    io: &mut Io<'_>,
) -> Result<bool, Fault> {
    let target = &session.target;
    let Some(wanted) = confirmation(plan, target.level, target.name.as_deref()) else {
        return Ok(false);
    };
    if change.yes {
        return Ok(false);
    }
    match (io.ask)(&format!("{told}Type {wanted} to go on: ")) {
        Some(typed) if typed.trim() == wanted => Ok(true),
        Some(_) => Err(Fault::refused(&plan.title, "it was not confirmed")),
        None => Err(
            Fault::refused(&plan.title, "nobody can be asked to confirm it")
                .with_hint("use --yes to go on without a question"),
        ),
    }
}
