//! `clusters`: save, list, test and remove clusters.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use kafka_shared::types::Endpoint;

use super::connect::GlobalArgs;
use super::{Io, key_value};
use crate::clusters::{
    ClustersFile, Colour, Entry, Level, Login, SecretFrom, Target, legal_name, login_reference,
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
    /// A client property by Kafka's name; may be given more than once
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    settings: Vec<(String, String)>,
    /// Log in as this user
    #[arg(long, requires = "password_from")]
    user: Option<String>,
    /// How to log in
    #[arg(long, value_name = "NAME", default_value = "SCRAM-SHA-512",
          value_parser = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])]
    mechanism: String,
    /// Where the password is: env:NAME, file:PATH or command:LINE
    #[arg(long, value_name = "PLACE", requires = "user")]
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
    /// How careful one has to be: decides what is confirmed by typing a name
    #[arg(long, value_enum, default_value_t)]
    danger: Level,
    /// A worker of Kafka Connect, http://host:8083; may be given more than once
    #[arg(long = "connect", value_name = "URL")]
    connect: Vec<String>,
    /// The user of these workers and where the password is: user:env:NAME
    #[arg(long, value_name = "USER:WHERE", requires = "connect")]
    connect_login: Option<String>,
    /// Certificates of the authorities that vouch for these workers, PEM
    #[arg(long, value_name = "FILE", requires = "connect")]
    connect_ca: Option<PathBuf>,
    /// The user of the metrics endpoints of --metrics and where the password is: user:env:NAME
    #[arg(long, value_name = "USER:WHERE", requires = "metrics")]
    metrics_login: Option<String>,
    /// Certificates of the authorities that vouch for these endpoints, PEM
    #[arg(long, value_name = "FILE", requires = "metrics")]
    metrics_ca: Option<PathBuf>,
    /// Save it without connecting
    #[arg(long)]
    no_test: bool,
    /// Put it in the place of a saved cluster of that name
    #[arg(long)]
    replace: bool,
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
            let done = ClusterDoneJson {
                name,
                done: "removed",
                config: file.path().display().to_string(),
                probe: None,
            };
            io.print(global.output, &done);
            Ok(0)
        }
    }
}

fn list(file: &ClustersFile) -> ClustersJson {
    let row = |entry: &Entry| ClusterRow {
        entry: entry.clone(),
        is_default: file.default_name() == Some(&*entry.name),
        settings: entry.shown_settings(),
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
    let mut entry = entry(global, &args)?;
    file.add(&entry, args.replace)?;
    let mut probe = None;
    if !args.no_test {
        let target = global.with_rights(Target::of(&entry, file.path())?);
        let tried = global.client_of(&target).await?.probe().await;
        let found = tried.map_err(|fault| {
            let hint = fault.hint.clone().unwrap_or_default();
            fault.with_hint(format!("{hint}; --no-test saves it without connecting"))
        })?;
        entry.cluster_id = found.cluster_id.clone();
        probe = Some(found);
        file.add(&entry, true)?;
    }
    file.save()?;
    let done = ClusterDoneJson {
        name: args.name,
        done: "saved",
        config: file.path().display().to_string(),
        probe,
    };
    io.print(global.output, &done);
    Ok(0)
}

fn entry(global: &GlobalArgs, args: &AddArgs) -> Result<Entry, Fault> {
    let mut settings: BTreeMap<String, String> = args.settings.iter().cloned().collect();
    let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
    if let (Some(user), Some(from)) = (&args.user, &args.password_from) {
        let login = Login {
            mechanism: args.mechanism.clone(),
            username: user.clone(),
            password: from.clone(),
        };
        settings.extend(login.settings());
    }
    let stores = [
        ("ssl.truststore", args.ca.as_ref()),
        ("ssl.keystore", args.certificate.as_ref()),
    ];
    for (key, path) in stores {
        if let Some(path) = path.map(absolute) {
            settings.insert(format!("{key}.type"), "PEM".to_owned());
            settings.insert(format!("{key}.location"), path.display().to_string());
        }
    }
    let has_tls = args.tls || args.ca.is_some() || args.certificate.is_some();
    let protocol = match (has_tls, args.user.is_some()) {
        (false, false) => None,
        (true, false) => Some("SSL"),
        (false, true) => Some("SASL_PLAINTEXT"),
        (true, true) => Some("SASL_SSL"),
    };
    if let Some(protocol) = protocol {
        let own = settings.entry("security.protocol".to_owned());
        own.or_insert_with(|| protocol.to_owned());
    }
    let bootstrap: Vec<String> = global.bootstrap.iter().map(Endpoint::to_string).collect();
    if bootstrap.is_empty() && global.properties.is_none() {
        let why = "it has no address";
        return Err(
            Fault::refused(format!("save cluster \"{}\"", args.name), why)
                .with_hint("give --bootstrap host:port, or --properties with bootstrap.servers"),
        );
    }
    Ok(Entry {
        name: args.name.clone(),
        bootstrap: bootstrap.join(","),
        properties: global.properties.as_ref().map(absolute),
        settings,
        color: args.color,
        danger: args.danger,
        read_only: global.read_only,
        registry: global.registry.clone(),
        registry_ca: global.registry_ca.as_ref().map(absolute),
        cluster_id: None,
        connect: args.connect.clone(),
        connect_login: args.connect_login.as_deref().map(login_reference),
        connect_ca: args.connect_ca.as_ref().map(absolute),
        metrics: global.endpoints()?,
        metrics_login: args.metrics_login.as_deref().map(login_reference),
        metrics_ca: args.metrics_ca.as_ref().map(absolute),
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
            .with_hint("changes are refused there; if this is right, remove it and add it again"));
    }
    Ok(found)
}
