//! `apply` and `topics export`: topics as files declare them.

use std::path::PathBuf;

use clap::Args;

use crate::model::Fault;
use crate::ops::declared::{self, Compared, ExportFormat, Prepared, Wanted, prepare};
use crate::ops::execution::{BATCH, NewOrders, Wish};
use crate::ops::{self, Action, Plan};
use crate::output::{ApplyJson, EXIT_NO, ExportedJson, Format, PlanJson, Printable, exit_code};

use super::change::carry_out;
use super::{ChangeArgs, GlobalArgs, Io, PaceArgs, Session, execution};

/// Says what differs between declared topics and the cluster, and makes it the same.
///
/// Files are TOML, YAML or JSON: `[topics.orders]` with partitions, replication_factor or replicas
/// or brokers, and configs. What is not declared of a topic is left as it is.
#[derive(Clone, Debug, Args)]
pub struct ApplyArgs {
    /// A file, or a folder of files; may be given more than once
    #[arg(short, long = "file", value_name = "PATH", required = true)]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub change: ChangeArgs,
    /// Only say whether the cluster is as declared: exits with 0 if it is, with 8 if not, and with
    /// another code where that can't be told
    #[arg(long, conflicts_with_all = ["execute", "dry_run"])]
    pub check: bool,
    /// Take away settings that a declared topic has of its own and that are not declared
    #[arg(long)]
    pub prune: bool,
    /// Delete the topics that are not declared; never those that begin with `_`, Kafka's own, and
    /// those that a file names under `keep`
    #[arg(long)]
    pub delete_undeclared: bool,
    /// Move replicas in a throttled run, and stay until it has ended
    #[command(flatten)]
    pub pace: PaceArgs,
}

impl ApplyArgs {
    fn wanted(&self) -> Wanted {
        let is_paced = self.pace.throttle.is_some() || self.pace.batch.is_some();
        let batch = self.pace.batch.map_or(BATCH, |n| n as usize);
        Wanted {
            prune: self.prune,
            delete_undeclared: self.delete_undeclared,
            pace: is_paced.then_some((self.pace.throttle, batch)),
        }
    }
}

pub(super) async fn run(
    global: &GlobalArgs,
    args: ApplyArgs,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let mut session = Session::open(global).await?;
    let Prepared { compared, updates } =
        prepare(&session.client, args.files.clone(), args.wanted()).await?;
    for update in updates {
        session.apply(update);
    }
    let plan = match &compared.action {
        None => None,
        Some(action) => Some(ops::plan(action.clone(), &session.snapshot)?),
    };
    let plan = plan.filter(|plan| !plan.is_empty());
    let mut shown = ApplyJson::new(&compared, plan.as_ref().map(PlanJson::from));
    if args.check {
        io.print(global.output, &shown);
        return Ok(if shown.in_agreement { 0 } else { EXIT_NO });
    }
    io.write_unless_json(global, &shown.differences());
    let refused = refusal(&compared);
    let change = args.change.showing_first();
    let is_dry = change.is_dry(&session.target);
    let code = match (plan, refused) {
        (_, Some(fault)) if !is_dry => return Err(fault),
        (_, Some(fault)) => exit_code(&fault),
        (None, None) => 0,
        (Some(plan), None) => execute(global, &session, &plan, change, &mut shown, io).await?,
    };
    match global.output {
        Format::Table => io.write(&shown.outcome()),
        format => io.print(format, &shown),
    }
    if shown.plan.is_some() && global.save_plan.is_none() {
        change.tell(&session.target, io);
    }
    Ok(code)
}

async fn execute(
    global: &GlobalArgs,
    session: &Session,
    plan: &Plan,
    change: ChangeArgs,
    shown: &mut ApplyJson,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let (done, mut code) = carry_out(global, session, plan, change, io).await?;
    let has_begun = done.report.is_some();
    shown.done(done);
    let is_run = |step: &Action| matches!(step, Action::RunReassign(_));
    if has_begun && code == 0 && plan.action.steps().iter().any(is_run) {
        let new = NewOrders {
            wish: Some(Wish::Run),
            ..NewOrders::default()
        };
        code = execution::order_quietly(global, new, change, io).await?;
        shown.verification = ops::verify(&session.client, &run_to_its_end(plan))
            .await
            .ok();
    }
    Ok(code)
}

/// The plan as what a run of it comes to.
fn run_to_its_end(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    if let Action::Apply(apply) = &mut plan.action {
        for step in &mut apply.steps {
            if let Action::RunReassign(run) = step {
                *step = Action::Reassign(run.reassign.clone());
            }
        }
    }
    plan
}

fn refusal(compared: &Compared) -> Option<Fault> {
    let all: Vec<&str> = compared.obstacles().collect();
    let what = "apply the declared topics";
    match &all[..] {
        [] => None,
        [one] => Some(Fault::refused(what, *one)),
        many => {
            let lines: String = many.iter().map(|why| format!("\n  {why}")).collect();
            let why = format!("{} obstacles, nothing was changed{lines}", many.len());
            Some(Fault::refused(what, why))
        }
    }
}

/// Which topics, and where to.
#[derive(Clone, Debug, Args)]
pub struct ExportArgs {
    /// Only these topics
    pub names: Vec<String>,
    /// Write to this file, or with a file for each topic to this folder; stdout if absent
    #[arg(long, value_name = "PATH")]
    pub out: Option<PathBuf>,
    /// What it is written in; by the end of the file's name if absent
    #[arg(long, value_enum)]
    pub format: Option<ExportFormat>,
    /// The replicas of every partition too
    #[arg(long)]
    pub replicas: bool,
    /// Kafka's own topics too, and others that begin with `_`
    #[arg(long)]
    pub internal: bool,
    /// Write over files that are there
    #[arg(long)]
    pub force: bool,
}

pub(super) async fn export(
    global: &GlobalArgs,
    args: &ExportArgs,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let client = global.client().await?;
    let exported = declared::export(&client, &args.names, args.internal, args.replicas).await?;
    let by_name = args.out.as_deref().and_then(ExportFormat::of);
    let format = args.format.or(by_name).unwrap_or_default();
    let Some(out) = &args.out else {
        let cluster_id = exported.cluster_id.as_deref();
        io.write(&declared::print(&exported.topics, cluster_id, format));
        return Ok(0);
    };
    let done = ExportedJson {
        files: declared::write_files(out, &exported, format, args.force).await?,
        topics: exported.topics.len(),
    };
    io.write(&done.print(global.output));
    Ok(0)
}
