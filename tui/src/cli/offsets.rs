//! `groups reset` and `groups delete-offsets`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use crate::model::{Fault, Update};
use crate::ops::offsets::{
    AlterOffsets, ResetRequest, ResetScope, ResetTo, forget_offsets, parse_datetime,
    parse_duration, parse_scope, prepare_reset, read_csv, write_csv,
};
use crate::ops::{self, Action};
use crate::output::OffsetsJson;

use super::change::execute;
use super::groups::read;
use super::{ChangeArgs, GlobalArgs, Io, Session};

const WHAT: &str = "reset offsets";

/// Sets the committed offsets of a group without members.
#[derive(Clone, Debug, Args)]
pub struct ResetArgs {
    /// The group's name
    pub group: String,
    /// Only this topic, or with :0,3 only these partitions of it; may be given more than once
    #[arg(long = "topic", value_name = "TOPIC[:PARTITION,...]")]
    pub topics: Vec<String>,
    /// Everything that the group has committed, as without any topic
    #[arg(long, conflicts_with = "topics")]
    pub all_topics: bool,
    #[command(flatten)]
    pub to: ResetToArgs,
    /// Print the new offsets as a file that --from-file takes, and change nothing
    #[arg(long, conflicts_with = "execute")]
    pub export: bool,
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// Where to.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct ResetToArgs {
    /// The first record that there is
    #[arg(long)]
    pub to_earliest: bool,
    /// Behind the last record
    #[arg(long)]
    pub to_latest: bool,
    /// Where it is, to export it; the end where nothing is committed
    #[arg(long)]
    pub to_current: bool,
    /// This offset, in every partition that is meant
    #[arg(long, value_name = "OFFSET", allow_negative_numbers = true)]
    pub to_offset: Option<i64>,
    /// So many records on, or back
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub shift_by: Option<i64>,
    /// The first record not older than this: 2026-11-21T14:00:00.000, UTC without a zone; or
    /// milliseconds since the epoch
    #[arg(long, value_name = "TIME")]
    pub to_datetime: Option<String>,
    /// The first record not older than so long ago: PT1H30M or 90m
    #[arg(long, value_name = "DURATION")]
    pub by_duration: Option<String>,
    /// What a file says, as this command and kafka-consumer-groups export it
    #[arg(long, value_name = "FILE")]
    pub from_file: Option<PathBuf>,
    /// Where another group is
    #[arg(long, value_name = "GROUP")]
    pub from_group: Option<String>,
}

/// Removes committed offsets.
#[derive(Clone, Debug, Args)]
pub struct ForgetArgs {
    /// The group's name
    pub group: String,
    /// A topic, or with :0,3 partitions of it; may be given more than once
    #[arg(long = "topic", value_name = "TOPIC[:PARTITION,...]", required = true)]
    pub topics: Vec<String>,
    #[command(flatten)]
    pub change: ChangeArgs,
}

fn target(args: &ResetToArgs, group: &str) -> Result<ResetTo, Fault> {
    if let Some(offset) = args.to_offset {
        return Ok(ResetTo::Offset(offset));
    }
    if let Some(by) = args.shift_by {
        return Ok(ResetTo::Shift(by));
    }
    if let Some(text) = &args.to_datetime {
        let wrong = || {
            Fault::refused(WHAT, format!("\"{text}\" is no date and time"))
                .with_hint("write it as 2026-11-21T14:00:00.000, or 2026-11-21T14:00:00+01:00")
        };
        return parse_datetime(text).map(ResetTo::Time).ok_or_else(wrong);
    }
    if let Some(text) = &args.by_duration {
        let wrong = || {
            Fault::refused(WHAT, format!("\"{text}\" is no length of time"))
                .with_hint("write it as PT1H30M, or as 90m")
        };
        return parse_duration(text).map(ResetTo::Ago).ok_or_else(wrong);
    }
    if let Some(file) = &args.from_file {
        return read_csv(file, group).map(ResetTo::File);
    }
    if let Some(other) = &args.from_group {
        return Ok(ResetTo::Group(other.clone()));
    }
    Ok(match (args.to_earliest, args.to_latest) {
        (true, _) => ResetTo::Earliest,
        (_, true) => ResetTo::Latest,
        _ => ResetTo::Current,
    })
}

pub(super) async fn reset(
    global: &GlobalArgs,
    args: ResetArgs,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let request = ResetRequest {
        scope: parse_scope(args.topics.iter().map(String::as_str))?,
        to: target(&args.to, &args.group)?,
        group: args.group,
    };
    let session = Session::open(global).await?;
    let alter = prepare_reset(&session.client, &request).await?;
    if args.export {
        io.write(&write_csv(&alter));
        return Ok(0);
    }
    let change = args.change.showing_first();
    if !change.is_dry(&session.target) || global.save_plan.is_some() {
        return execute(global, &session, Action::AlterOffsets(alter), change, io).await;
    }
    let plan = ops::plan(Action::AlterOffsets(alter.clone()), &session.snapshot)?;
    io.print(global.output, &OffsetsJson::new(&alter, &plan));
    if !plan.is_empty() {
        change.tell(&session.target, io);
    }
    Ok(0)
}

pub(super) async fn forget(
    global: &GlobalArgs,
    args: ForgetArgs,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let scope = parse_scope(args.topics.iter().map(String::as_str))?;
    let mut session = Session::open(global).await?;
    let metadata = session.metadata()?;
    let groups = session.client.groups_in(&metadata).await?;
    let listed = groups.groups.get(args.group.as_str()).cloned();
    session.apply(Update::Groups(Ok(Arc::new(groups))));
    let group = listed.ok_or_else(|| {
        let why = format!("group \"{}\" does not exist", args.group);
        Fault::not_found("delete offsets", why)
            .with_hint("`kafka-tui groups list` shows their names")
    })?;
    read(&mut session, std::slice::from_ref(&group)).await?;
    let alter = forgotten(&session, &group.id, &scope)?;
    let action = Action::AlterOffsets(alter);
    execute(global, &session, action, args.change, io).await
}

fn forgotten(session: &Session, group: &str, scope: &ResetScope) -> Result<AlterOffsets, Fault> {
    let committed = session.snapshot.committed.get(group);
    if let Some(fault) = committed.and_then(|part| part.fault()) {
        return Err(Fault::clone(fault));
    }
    let committed = committed.and_then(|part| part.get()).cloned();
    forget_offsets(group, scope, &committed.unwrap_or_default())
}
