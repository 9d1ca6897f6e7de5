//! Topics of a cluster as files that declare them.

use std::path::Path;

use kafka_shared::task;
use serde_json::{Map, Value, json};
use toml_edit::{DocumentMut, Item, Table};

use super::compare::PASSING;
use super::{DeclaredTopic, Place, Setting};
use crate::model::{ClusterMetadata, ClusterSnapshot, ConfigResource, Fault, FaultKind, Topic};
use crate::ops::reassign;

/// What a file is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ExportFormat {
    #[default]
    Toml,
    Yaml,
    Json,
}

impl ExportFormat {
    /// How the names of such files end.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Toml => "toml",
            Self::Yaml => "yaml",
            Self::Json => "json",
        }
    }

    /// By the end of a file's name.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "toml" => Some(Self::Toml),
            "yaml" | "yml" => Some(Self::Yaml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// Topics as they are, to be declared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    pub topics: Vec<DeclaredTopic>,
    pub cluster_id: Option<String>,
}

/// Writes topics to one file where its name says what it is written in, else to a folder with a
/// file for each; which files. What is there is written over only with `force`.
///
/// # Errors
/// What the file system says.
pub async fn write_files(
    out: &Path,
    exported: &Exported,
    format: ExportFormat,
    force: bool,
) -> Result<Vec<String>, Fault> {
    let (out, exported) = (out.to_owned(), exported.clone());
    let work = move || write_now(&out, &exported, format, force);
    let written = task::spawn_blocking("export-topics", work).await;
    written.unwrap_or_else(|_| Err(Fault::new(FaultKind::Failed, EXPORT, "the task broke")))
}

/// What is tried, in the words of every refusal here.
pub(super) const EXPORT: &str = "export topics";

fn write_now(
    out: &Path,
    exported: &Exported,
    format: ExportFormat,
    force: bool,
) -> Result<Vec<String>, Fault> {
    let cluster_id = exported.cluster_id.as_deref();
    if ExportFormat::of(out).is_some() {
        let text = print(&exported.topics, cluster_id, format);
        return write(out, &text, force).map(|file| vec![file]);
    }
    std::fs::create_dir_all(out).map_err(|error| cannot(out, &error))?;
    let topics = exported.topics.iter();
    let file = |topic: &DeclaredTopic| {
        let path = out.join(format!("{}.{}", topic.name, format.extension()));
        let text = print(std::slice::from_ref(topic), cluster_id, format);
        write(&path, &text, force)
    };
    topics.map(file).collect()
}

fn cannot(path: &Path, error: &std::io::Error) -> Fault {
    let why = format!("{}: {error}", path.display());
    let fault = Fault::new(FaultKind::Failed, EXPORT, why);
    match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            fault.with_hint("choose another name, or use --force to write over it")
        }
        _ => fault,
    }
}

fn write(path: &Path, text: &str, force: bool) -> Result<String, Fault> {
    use std::io::Write as _;
    std::fs::OpenOptions::new()
        .write(true)
        .create(force)
        .create_new(!force)
        .truncate(force)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| cannot(path, &error))?;
    Ok(path.display().to_string())
}

/// What would declare these topics as they are: partitions, replication factor, and the settings
/// that are their own. Replicas in full where they are asked for, or where partitions differ in
/// how many they have.
pub fn declare(
    metadata: &ClusterMetadata,
    snapshot: &ClusterSnapshot,
    names: &[String],
    with_replicas: bool,
) -> Vec<DeclaredTopic> {
    let topics = names.iter().filter_map(|name| metadata.topic(name));
    topics
        .map(|topic| declare_one(topic, snapshot, with_replicas))
        .collect()
}

fn declare_one(topic: &Topic, snapshot: &ClusterSnapshot, with_replicas: bool) -> DeclaredTopic {
    let replicas: Vec<Vec<i32>> = topic.partitions.iter().map(reassign::settled).collect();
    let factor = replicas.first().map_or(0, Vec::len);
    let is_even = replicas.iter().all(|list| list.len() == factor);
    let resource = ConfigResource::Topic(topic.name.to_string());
    let configs = snapshot
        .configs
        .get(&resource)
        .and_then(|configs| configs.get());
    let own = configs
        .into_iter()
        .flat_map(|configs| &configs.entries)
        .filter(|entry| {
            entry.is_overridden(&resource)
                && !entry.is_sensitive
                && !PASSING.contains(&&*entry.name)
        });
    let setting = |entry: &crate::model::ConfigEntry| Setting {
        name: entry.name.clone(),
        value: entry.value.clone(),
        line: 0,
    };
    let in_full = with_replicas || !is_even;
    DeclaredTopic {
        name: topic.name.to_string(),
        at: Place {
            file: "the cluster".into(),
            line: 0,
        },
        partitions: (!in_full).then(|| i32::try_from(replicas.len()).unwrap_or(i32::MAX)),
        replication_factor: i16::try_from(factor).ok().filter(|n| !in_full && *n > 0),
        replicas: in_full.then_some(replicas),
        brokers: None,
        settings: own
            .map(setting)
            .filter(|setting| setting.value.is_some())
            .collect(),
    }
}

/// The text of a file that declares these topics.
pub fn print(topics: &[DeclaredTopic], cluster_id: Option<&str>, format: ExportFormat) -> String {
    match format {
        ExportFormat::Toml => toml(topics, cluster_id),
        ExportFormat::Yaml => yaml(topics, cluster_id),
        ExportFormat::Json => {
            let mut text = serde_json::to_string_pretty(&document(topics, cluster_id))
                .expect("numbers and texts always serialise");
            text.push('\n');
            text
        }
    }
}

/// A value as a number or boolean where it is written like one.
fn value_of(text: &str) -> Value {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        text => match text.parse::<i64>() {
            Ok(number) if number.to_string() == text => number.into(),
            _ => text.into(),
        },
    }
}

fn document(topics: &[DeclaredTopic], cluster_id: Option<&str>) -> Value {
    let mut all = Map::new();
    for topic in topics {
        let mut fields = Map::new();
        if let Some(n) = topic.partitions {
            fields.insert("partitions".to_owned(), n.into());
        }
        if let Some(n) = topic.replication_factor {
            fields.insert("replication_factor".to_owned(), n.into());
        }
        if let Some(lists) = &topic.replicas {
            fields.insert("replicas".to_owned(), json!(lists));
        }
        let settings: Map<String, Value> = topic
            .settings
            .iter()
            .filter_map(|setting| Some((setting.name.clone(), value_of(setting.value.as_ref()?))))
            .collect();
        if !settings.is_empty() {
            fields.insert("configs".to_owned(), settings.into());
        }
        all.insert(topic.name.clone(), fields.into());
    }
    let mut document = Map::new();
    if let Some(id) = cluster_id {
        document.insert("cluster_id".to_owned(), id.into());
    }
    document.insert("topics".to_owned(), all.into());
    document.into()
}

fn toml(topics: &[DeclaredTopic], cluster_id: Option<&str>) -> String {
    let mut document = DocumentMut::new();
    if let Some(id) = cluster_id {
        document["cluster_id"] = toml_edit::value(id);
    }
    let mut all = Table::new();
    all.set_implicit(true);
    for topic in topics {
        let mut table = Table::new();
        if let Some(n) = topic.partitions {
            table["partitions"] = toml_edit::value(i64::from(n));
        }
        if let Some(n) = topic.replication_factor {
            table["replication_factor"] = toml_edit::value(i64::from(n));
        }
        if let Some(lists) = &topic.replicas {
            let list = |ids: &Vec<i32>| -> toml_edit::Value {
                let ids: toml_edit::Array = ids.iter().map(|id| i64::from(*id)).collect();
                ids.into()
            };
            let lists: toml_edit::Array = lists.iter().map(list).collect();
            table["replicas"] = toml_edit::value(lists);
        }
        if !topic.settings.is_empty() {
            let mut configs = Table::new();
            for setting in &topic.settings {
                let value = setting.value.as_deref().unwrap_or_default();
                configs[&setting.name] = match value_of(value) {
                    Value::Bool(flag) => toml_edit::value(flag),
                    Value::Number(number) => toml_edit::value(number.as_i64().unwrap_or_default()),
                    _ => toml_edit::value(value),
                };
            }
            table["configs"] = Item::Table(configs);
        }
        all[&topic.name] = Item::Table(table);
    }
    document["topics"] = Item::Table(all);
    document.to_string()
}

/// Texts and names are written in quotes as JSON has them, which YAML reads as they are.
fn yaml(topics: &[DeclaredTopic], cluster_id: Option<&str>) -> String {
    use std::fmt::Write as _;
    let quoted = |text: &str| Value::from(text).to_string();
    let mut text = String::new();
    if let Some(id) = cluster_id {
        let _ = writeln!(text, "cluster_id: {}", quoted(id));
    }
    if topics.is_empty() {
        text.push_str("topics: {}\n");
        return text;
    }
    text.push_str("topics:\n");
    for topic in topics {
        let _ = writeln!(text, "  {}:", quoted(&topic.name));
        if let Some(n) = topic.partitions {
            let _ = writeln!(text, "    partitions: {n}");
        }
        if let Some(n) = topic.replication_factor {
            let _ = writeln!(text, "    replication_factor: {n}");
        }
        if let Some(lists) = &topic.replicas {
            text.push_str("    replicas:\n");
            for list in lists {
                let _ = writeln!(text, "      - {}", json!(list));
            }
        }
        if !topic.settings.is_empty() {
            text.push_str("    configs:\n");
        }
        for setting in &topic.settings {
            let value = value_of(setting.value.as_deref().unwrap_or_default());
            let _ = writeln!(text, "      {}: {value}", quoted(&setting.name));
        }
    }
    text
}
