//! `clusters`: save, list, edit, test and remove clusters.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use kafka_shared::types::Endpoint;

use super::connect::GlobalArgs;
use super::unrepeated::Unrepeated;
use super::{Io, key_value};
use crate::clusters::{
    ClustersFile, Colour, Entry, Level, Login, SecretFrom, Store, Target, legal_name,
    login_reference,
};
use crate::model::{Fault, Probe};
use crate::output::{
    ClusterDoneJson, ClusterRow, ClusterTestJson, ClustersJson, error_text, exit_code,
};

#[derive(Debug, Subcommand)]
pub enum ClustersCommand {
    /// List the saved clusters
    List,
    /// Save a cluster, after connecting to it
    ///
    /// The brokers are those of --bootstrap or of the properties. No password is saved: say with
    /// --password-from where it is.
    #[command(after_help = super::examples::CLUSTERS_ADD)]
    Add(Box<AddArgs>),
    /// Change what is saved of a cluster; what is not named stays as it is
    ///
    /// It is connected to first where it is to be reached in another way. With other addresses its id
    /// is learned anew. --read-write takes back that it is read-only.
    #[command(after_help = super::examples::CLUSTERS_EDIT)]
    Edit(Box<EditArgs>),
    /// Connect to a saved cluster, or to all, and tell which step fails
    Test {
        /// All if absent
        names: Vec<String>,
    },
    /// Forget a saved cluster
    Remove {
        /// What it is called
        name: String,
        /// Don't ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub struct AddArgs {
    /// What to call it
    name: String,
    #[command(flatten)]
    entry: EntryArgs,
    /// Save it without connecting
    #[arg(long)]
    no_test: bool,
    /// Put it in the place of a saved cluster of that name
    #[arg(long)]
    replace: bool,
}

#[derive(Debug, Args)]
pub struct EditArgs {
    /// What it is called
    name: String,
    /// What to call it from now on
    #[arg(long, value_name = "NAME")]
    rename: Option<String>,
    #[command(flatten)]
    entry: EntryArgs,
    /// Takes a client property out; may be given more than once
    #[arg(long = "unset", value_name = "KEY")]
    unset: Vec<String>,
    /// Takes this away; several by comma
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',')]
    clear: Vec<Clear>,
    /// Forget the cluster's id and learn that of the cluster that answers now, which may be another
    #[arg(long)]
    learn_id: bool,
    /// Save it without connecting, also where it is reached in another way
    #[arg(long)]
    no_test: bool,
}

/// What an entry may be without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Clear {
    Bootstrap,
    Properties,
    Login,
    Tls,
    Ca,
    Certificate,
    Color,
    DryRunFirst,
    Registry,
    RegistryCa,
    Connect,
    ConnectLogin,
    ConnectCa,
    Metrics,
    MetricsLogin,
    MetricsCa,
}

/// What an entry says, beside the options that every command has.
#[derive(Debug, Args)]
struct EntryArgs {
    /// A client property by Kafka's name; may be given more than once
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    settings: Vec<(String, String)>,
    /// Log in as this user
    #[arg(long)]
    user: Option<String>,
    /// How to log in; SCRAM-SHA-512 if nothing says
    #[arg(long, value_name = "NAME", value_parser = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])]
    mechanism: Option<String>,
    /// Where the password is: env:NAME, file:PATH or command:LINE
    #[arg(long, value_name = "PLACE", value_parser = Unrepeated(str::parse::<SecretFrom>))]
    password_from: Option<SecretFrom>,
    /// Speak TLS
    #[arg(long)]
    tls: bool,
    /// Certificates of the authorities to trust, PEM; those of this machine if absent
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The own certificate chain with its key, PEM, for mTLS
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// A colour to know it by
    #[arg(long, value_enum)]
    color: Option<Colour>,
    /// How careful one has to be: decides what is confirmed by typing a name; normal if nothing says
    #[arg(long, value_enum)]
    danger: Option<Level>,
    /// Whether commands only show their changes there unless --execute is given; if nothing says,
    /// where danger is high
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    dry_run_first: Option<bool>,
    /// A worker of Kafka Connect, http://host:8083; may be given more than once
    #[arg(long = "connect", value_name = "URL")]
    connect: Vec<String>,
    /// The user of these workers and where the password is: user:env:NAME
    #[arg(long, value_name = "USER:WHERE", value_parser = Unrepeated(login_reference))]
    connect_login: Option<String>,
    /// Certificates of the authorities that vouch for these workers, PEM
    #[arg(long, value_name = "FILE")]
    connect_ca: Option<PathBuf>,
    /// The user of the metrics endpoints of --metrics and where the password is: user:env:NAME
    #[arg(long, value_name = "USER:WHERE", value_parser = Unrepeated(login_reference))]
    metrics_login: Option<String>,
    /// Certificates of the authorities that vouch for these endpoints, PEM
    #[arg(long, value_name = "FILE")]
    metrics_ca: Option<PathBuf>,
}

pub(super) async fn run(
    global: &GlobalArgs,
    command: ClustersCommand,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let mut file = global.clusters_file()?;
    match command {
        ClustersCommand::List => {
            io.print(global.output, &list(&file));
            Ok(0)
        }
        ClustersCommand::Add(args) => add(global, &mut file, *args, io).await,
        ClustersCommand::Edit(args) => edit(global, file, *args, io).await,
        ClustersCommand::Test { names } => test(global, &mut file, names, io).await,
        ClustersCommand::Remove { name, yes } => {
            file.find(&name)?;
            let what = format!("remove cluster \"{name}\"");
            if !yes {
                let question = format!("{what}\nType {name} to go on: ");
                match (io.ask)(&question) {
                    Some(typed) if typed.trim() == name => {}
                    Some(_) => return Err(Fault::refused(what, "it was not confirmed")),
                    None => {
                        let why = "nobody can be asked to confirm it";
                        return Err(Fault::refused(what, why)
                            .with_hint("use --yes to go on without a question"));
                    }
                }
            }
            file.remove(&name)?;
            file.save()?;
            io.print(global.output, &done(&file, name, "removed"));
            Ok(0)
        }
    }
}

fn list(file: &ClustersFile) -> ClustersJson {
    let row = |entry: &Entry| ClusterRow {
        entry: entry.clone(),
        is_default: file.default_name() == Some(&*entry.name),
        settings: entry.shown_settings(),
        is_dry_by_default: entry.danger.is_dry_by_default(entry.dry_run),
        name: entry.name.clone(),
    };
    ClustersJson {
        config: file.path().display().to_string(),
        clusters: file.entries().iter().map(row).collect(),
    }
}

async fn add(
    global: &GlobalArgs,
    file: &mut ClustersFile,
    args: AddArgs,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    legal_name(&args.name)?;
    let mut entry = Entry {
        name: args.name,
        ..Entry::default()
    };
    args.entry.write(global, &mut entry)?;
    entry.check()?;
    file.add(&entry, args.replace)?;
    let mut probe = None;
    if !args.no_test {
        let found = reached(global, &Target::of(&entry, file.path())?).await?;
        entry.cluster_id = found.cluster_id.clone();
        probe = Some(found);
        file.add(&entry, true)?;
    }
    file.save()?;
    let done = ClusterDoneJson {
        probe,
        ..done(file, entry.name, "saved")
    };
    io.print(global.output, &done);
    Ok(0)
}

fn done(file: &ClustersFile, name: String, done: &'static str) -> ClusterDoneJson {
    ClusterDoneJson {
        name,
        done,
        config: file.path().display().to_string(),
        probe: None,
    }
}

async fn edit(
    global: &GlobalArgs,
    mut file: ClustersFile,
    args: EditArgs,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let before = file.find(&args.name)?.clone();
    let mut after = before.clone();
    for what in &args.clear {
        what.clear(&mut after);
    }
    for key in &args.unset {
        after.settings.remove(key);
    }
    args.entry.write(global, &mut after)?;
    after.name = args.rename.unwrap_or(args.name);
    let mut after = after.in_place_of(&before, args.learn_id);
    if after == before {
        io.print(global.output, &done(&file, after.name, "unchanged"));
        return Ok(0);
    }
    after.check()?;
    // Before it takes its time: the name may be taken.
    file.edit(&before, &after)?;
    let mut probe = None;
    if !args.no_test && (args.learn_id || !after.is_reached_as(&before)) {
        let found = reached(global, &Target::of(&after, file.path())?).await?;
        if let Some(was) = after.learn_id(found.cluster_id.as_deref(), &before) {
            let is = found
                .cluster_id
                .as_deref()
                .unwrap_or("one that tells no id");
            io.tell(&format!(
                "warning: it was cluster {was} before, and is {is} now\n"
            ));
        }
        probe = Some(found);
    }
    // Read anew: somebody else may have changed the file meanwhile.
    let mut file = global.clusters_file()?;
    file.edit(&before, &after)?;
    file.save()?;
    let done = ClusterDoneJson {
        probe,
        ..done(&file, after.name, "changed")
    };
    io.print(global.output, &done);
    Ok(0)
}

impl Clear {
    fn clear(self, entry: &mut Entry) {
        match self {
            Self::Bootstrap => entry.bootstrap.clear(),
            Self::Properties => entry.properties = None,
            Self::Login => entry.set_login(None),
            Self::Tls => entry.set_tls(false),
            Self::Ca => entry.set_store(Store::Trusted, None),
            Self::Certificate => entry.set_store(Store::Own, None),
            Self::Color => entry.color = None,
            Self::DryRunFirst => entry.dry_run = None,
            Self::Registry => entry.registry = None,
            Self::RegistryCa => entry.registry_ca = None,
            Self::Connect => entry.connect.clear(),
            Self::ConnectLogin => entry.connect_login = None,
            Self::ConnectCa => entry.connect_ca = None,
            Self::Metrics => entry.metrics = None,
            Self::MetricsLogin => entry.metrics_login = None,
            Self::MetricsCa => entry.metrics_ca = None,
        }
    }
}

impl EntryArgs {
    /// Writes into an entry what is named here; all else of it stays.
    fn write(&self, global: &GlobalArgs, entry: &mut Entry) -> Result<(), Fault> {
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let path = |path: &Option<PathBuf>, saved: &mut Option<PathBuf>| {
            *saved = path.as_ref().map(absolute).or(saved.take());
        };
        if !global.bootstrap.is_empty() {
            let all: Vec<String> = global.bootstrap.iter().map(Endpoint::to_string).collect();
            entry.bootstrap = all.join(",");
        }
        path(&global.properties, &mut entry.properties);
        path(&global.registry_ca, &mut entry.registry_ca);
        path(&self.connect_ca, &mut entry.connect_ca);
        path(&self.metrics_ca, &mut entry.metrics_ca);
        if self.tls {
            entry.set_tls(true);
        }
        for (store, path) in [(Store::Trusted, &self.ca), (Store::Own, &self.certificate)] {
            if let Some(path) = path {
                entry.set_store(store, Some(&absolute(path)));
            }
        }
        if let Some(login) = self.login(entry)? {
            entry.set_login(Some(&login));
        }
        entry.settings.extend(self.settings.iter().cloned());
        entry.color = self.color.or(entry.color);
        entry.danger = self.danger.unwrap_or(entry.danger);
        entry.dry_run = self.dry_run_first.or(entry.dry_run);
        entry.read_only = global.read_only || (entry.read_only && !global.read_write);
        let saved = entry.registry.take();
        entry.registry = global.registry.clone().or(saved);
        entry.metrics = global.endpoints()?.or(entry.metrics.take());
        if !self.connect.is_empty() {
            entry.connect.clone_from(&self.connect);
        }
        let saved = entry.connect_login.take();
        entry.connect_login = self.connect_login.clone().or(saved);
        let saved = entry.metrics_login.take();
        entry.metrics_login = self.metrics_login.clone().or(saved);
        Ok(())
    }

    /// Who is to log in, where anything of it is named; the rest is as it is saved.
    fn login(&self, entry: &Entry) -> Result<Option<Login>, Fault> {
        if (&self.user, &self.mechanism, &self.password_from) == (&None, &None, &None) {
            return Ok(None);
        }
        let what = format!("save cluster \"{}\"", entry.name);
        let saved = entry.login().unwrap_or_default();
        let username = self.user.clone().unwrap_or(saved.user);
        if username.is_empty() {
            let why = "nobody is named who logs in";
            return Err(Fault::refused(what, why).with_hint("--user names who does"));
        }
        let place = saved.password_from.and_then(|place| place.parse().ok());
        let password = self.password_from.clone().or(place).ok_or_else(|| {
            Fault::refused(what, "it is not said where the password is")
                .with_hint("--password-from env:NAME, file:PATH or command:LINE")
        })?;
        let saved = Some(saved.mechanism).filter(|name| !name.is_empty());
        let mechanism = self.mechanism.clone().or(saved);
        Ok(Some(Login {
            mechanism: mechanism.unwrap_or_else(|| "SCRAM-SHA-512".to_owned()),
            username,
            password,
        }))
    }
}

/// What answers there, or why nothing does.
async fn reached(global: &GlobalArgs, target: &Target) -> Result<Probe, Fault> {
    let tried = tried(global, &global.with_rights(target.clone())).await;
    tried.map_err(|fault| {
        let hint = fault.hint.clone().unwrap_or_default();
        fault.with_hint(format!("{hint}; --no-test saves it without connecting"))
    })
}

/// The exit code is that of the first cluster that fails.
async fn test(
    global: &GlobalArgs,
    file: &mut ClustersFile,
    names: Vec<String>,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let mut targets = Vec::new();
    match &names[..] {
        [] => {
            for entry in file.entries() {
                targets.push(Target::of(entry, file.path())?);
            }
        }
        names => {
            for name in names {
                targets.push(Target::of(file.find(name)?, file.path())?);
            }
        }
    }
    if targets.is_empty() {
        return Err(Fault::not_found("test the clusters", "none is saved")
            .with_hint("`kafka-tui clusters add` saves one"));
    }
    let tests = targets.iter().map(|target| tried(global, target));
    let results = futures_util::future::join_all(tests).await;
    let mut learned = false;
    let mut code = 0;
    let mut rows = Vec::new();
    for (target, result) in targets.iter().zip(results) {
        let name = target.name.clone().unwrap_or_default();
        match &result {
            Ok(Probe {
                cluster_id: Some(id),
                ..
            }) => learned |= file.learn_cluster_id(&name, id),
            Ok(_) => {}
            Err(fault) => {
                io.tell(&error_text(fault));
                code = if code == 0 { exit_code(fault) } else { code };
            }
        }
        rows.push((name, result));
    }
    if learned {
        file.save()?;
    }
    io.print(global.output, &ClusterTestJson::new(rows));
    Ok(code)
}

async fn tried(global: &GlobalArgs, target: &Target) -> Result<Probe, Fault> {
    let found = global.client_of(target).await?.probe().await?;
    if let (Some(saved), Some(id)) = (&target.cluster_id, &found.cluster_id)
        && saved != id
    {
        let name = target.name.as_deref().unwrap_or_default();
        let why = format!("it answers as cluster {id}, and was saved as {saved}");
        return Err(Fault::refused(format!("test cluster \"{name}\""), why)
            .with_hint(format!(
                "changes are refused there; if this is right: kafka-tui clusters edit {name} --learn-id"
            )));
    }
    Ok(found)
}
