//! The configuration file: `$XDG_CONFIG_HOME/kafka-tui/config.toml`, TOML that people edit too.
//!
//! Invariants: a file that can't be read is never written; writing replaces the whole file at once,
//! readable by its owner only.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize as _;
use toml_edit::{DocumentMut, Item, Table, TableLike, value};

use super::entry::{Entry, Level, legal_name};
use crate::metrics::Endpoints;
use crate::model::{Fault, FaultKind};

/// Names the file instead of the usual place.
pub const CONFIG_VARIABLE: &str = "KAFKA_TUI_CONFIG";

/// No configuration is longer.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

const CLUSTERS: &str = "clusters";

/// The file with what was read of it.
#[derive(Clone, Debug)]
pub struct ClustersFile {
    path: PathBuf,
    document: DocumentMut,
    entries: Vec<Entry>,
}

fn cannot(what: &str, path: &Path, why: impl std::fmt::Display) -> Fault {
    Fault::new(
        FaultKind::Failed,
        what,
        format!("{}: {why}", path.display()),
    )
}

impl ClustersFile {
    /// Where the file is: as the variable says, else in the user's configuration folder.
    ///
    /// # Errors
    /// There is neither a variable nor a home.
    pub fn usual_path() -> Result<PathBuf, Fault> {
        let named = std::env::var_os(CONFIG_VARIABLE).filter(|path| !path.is_empty());
        if let Some(path) = named {
            return Ok(PathBuf::from(path));
        }
        let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
        let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
        let folder = config.filter(|path| path.is_absolute()).or(home);
        let folder = folder.ok_or_else(|| {
            Fault::new(
                FaultKind::Failed,
                "find the configuration",
                "HOME is not set",
            )
            .with_hint("set HOME, XDG_CONFIG_HOME or KAFKA_TUI_CONFIG")
        })?;
        Ok(folder.join("kafka-tui").join("config.toml"))
    }

    /// Reads the file; one that does not exist is empty.
    ///
    /// # Errors
    /// It can't be read, or says what can't be understood.
    pub fn load(path: &Path) -> Result<Self, Fault> {
        let what = "read the configuration";
        let text = match fs::metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Ok(metadata) if metadata.len() > BYTES_MAX => {
                return Err(cannot(what, path, "it is too long"));
            }
            _ => fs::read_to_string(path).map_err(|error| cannot(what, path, error))?,
        };
        let document: DocumentMut = text
            .parse()
            .map_err(|error: toml_edit::TomlError| cannot(what, path, error.message()))?;
        let entries = Self::read(&document).map_err(|why| cannot(what, path, why))?;
        Ok(Self {
            path: path.to_owned(),
            document,
            entries,
        })
    }

    fn read(document: &DocumentMut) -> Result<Vec<Entry>, String> {
        let Some(clusters) = document.get(CLUSTERS) else {
            return Ok(Vec::new());
        };
        let clusters = clusters.as_table_like();
        let clusters = clusters.ok_or("clusters is no table: write [clusters.NAME]")?;
        let mut entries = Vec::new();
        for (name, item) in clusters.iter() {
            legal_name(name).map_err(|fault| fault.why)?;
            let value = item.clone().into_value();
            let value = value.map_err(|_| format!("clusters.{name} is no table"))?;
            let deserializer: toml_edit::de::ValueDeserializer =
                serde::de::IntoDeserializer::into_deserializer(value);
            let entry = Entry::deserialize(deserializer);
            // The message names fields and words, and no values of settings, which are all texts.
            let entry = entry.map_err(|error| format!("clusters.{name}: {}", error.message()))?;
            entries.push(Entry {
                name: name.to_owned(),
                ..entry
            });
        }
        Ok(entries)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// In the order of the file.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// An entry by its name.
    ///
    /// # Errors
    /// There is none; the names that there are are told.
    pub fn find(&self, name: &str) -> Result<&Entry, Fault> {
        self.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.entries.iter().map(|entry| &*entry.name).collect();
            let hint = match &names[..] {
                [] => "`kafka-tui clusters add` saves one".to_owned(),
                names => format!("there are {}", names.join(", ")),
            };
            let why = format!("no cluster \"{name}\" is saved in {}", self.path.display());
            Fault::not_found("find the cluster", why).with_hint(hint)
        })
    }

    /// The cluster that is meant when none is named: `default = "NAME"`.
    pub fn default_name(&self) -> Option<&str> {
        let name = self.document.get("default")?.as_str();
        name.filter(|name| !name.is_empty())
    }

    /// Adds an entry, or with `replace` puts it in the place of one of that name.
    ///
    /// # Errors
    /// The name can't be one, or is taken.
    pub fn add(&mut self, entry: &Entry, replace: bool) -> Result<(), Fault> {
        legal_name(&entry.name)?;
        let what = "save the cluster";
        if self.get(&entry.name).is_some() && !replace {
            let why = format!("there is a cluster \"{}\" already", entry.name);
            return Err(Fault::new(FaultKind::AlreadyExists, what, why)
                .with_hint("choose another name, or use --replace"));
        }
        if !self.document.contains_key(CLUSTERS) {
            let mut clusters = Table::new();
            clusters.set_implicit(true);
            self.document.insert(CLUSTERS, Item::Table(clusters));
        }
        let clusters = self.document[CLUSTERS].as_table_mut();
        let clusters = clusters.ok_or_else(|| {
            cannot(
                what,
                &self.path,
                "clusters is written inline: write [clusters.NAME]",
            )
        })?;
        clusters.insert(&entry.name, Item::Table(table(entry)));
        self.entries.retain(|other| other.name != entry.name);
        self.entries.push(entry.clone());
        Ok(())
    }

    /// Changes an entry, also its name, by what is different in `after`. What is the same stays as
    /// it was written, with its comments, and so does what somebody else has changed since `before`
    /// was read.
    ///
    /// # Errors
    /// There is none of the old name, or the new one can't be one, or is taken.
    pub fn edit(&mut self, before: &Entry, after: &Entry) -> Result<(), Fault> {
        legal_name(&after.name)?;
        self.find(&before.name)?;
        let (what, is_renamed) = ("save the cluster", before.name != after.name);
        if is_renamed && self.get(&after.name).is_some() {
            let why = format!("there is a cluster \"{}\" already", after.name);
            return Err(
                Fault::new(FaultKind::AlreadyExists, what, why).with_hint("choose another name")
            );
        }
        let mut document = self.document.clone();
        let clusters = document.get_mut(CLUSTERS).and_then(Item::as_table_like_mut);
        if let Some(clusters) = clusters {
            if is_renamed && let Some(item) = clusters.remove(&before.name) {
                clusters.insert(&after.name, item);
            }
            let written = clusters.get_mut(&after.name);
            if let Some(written) = written.and_then(Item::as_table_like_mut) {
                rewrite(written, &table(before), &table(after));
            }
        }
        if is_renamed && self.default_name() == Some(&before.name) {
            put(document.as_table_mut(), "default", value(&after.name));
        }
        // As it will be read again, in the order of the file.
        let parsed = document.to_string().parse();
        let document = parsed
            .map_err(|error: toml_edit::TomlError| cannot(what, &self.path, error.message()))?;
        let entries = Self::read(&document).map_err(|why| cannot(what, &self.path, why))?;
        (self.document, self.entries) = (document, entries);
        Ok(())
    }

    /// Takes an entry out.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn remove(&mut self, name: &str) -> Result<(), Fault> {
        self.find(name)?;
        if let Some(clusters) = self.document[CLUSTERS].as_table_like_mut() {
            clusters.remove(name);
        }
        if self.default_name() == Some(name) {
            // The comments at the head of the file may belong to this key: it stays.
            self.document["default"] = value("");
        }
        self.entries.retain(|entry| entry.name != name);
        Ok(())
    }

    /// Keeps the id that a cluster had at its first connection; another one stays as it is.
    pub fn learn_cluster_id(&mut self, name: &str, id: &str) -> bool {
        let entry = self.entries.iter_mut().find(|entry| entry.name == name);
        let Some(entry) = entry.filter(|entry| entry.cluster_id.is_none()) else {
            return false;
        };
        entry.cluster_id = Some(id.to_owned());
        let clusters = self.document[CLUSTERS].as_table_like_mut();
        let found = clusters.and_then(|clusters| clusters.get_mut(name)?.as_table_like_mut());
        if let Some(table) = found {
            table.insert("cluster_id", value(id));
        }
        true
    }

    /// Writes the file.
    ///
    /// # Errors
    /// It can't be written; then it is as before.
    pub fn save(&self) -> Result<(), Fault> {
        let what = "write the configuration";
        let fail = |error| cannot(what, &self.path, error);
        // A link is followed, so that it stays one.
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(fail)?;
        let new = folder.join(format!(".config.toml.{}", std::process::id()));
        let written = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)
            .and_then(|mut file| {
                file.write_all(self.document.to_string().as_bytes())?;
                file.sync_all()
            })
            .and_then(|()| rename(&new, &path));
        written.map_err(|error| {
            // What is left of it is of no use.
            let _ = fs::remove_file(&new);
            fail(error)
        })
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the durable rename belongs to the broker's log; after a crash the old configuration is \
              there or the new one"
)]
fn rename(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::rename(from, to)
}

/// Puts a value in the place of another one, with the comments of that one, or adds it.
fn put(table: &mut dyn TableLike, key: &str, mut item: Item) {
    let Some(old) = table.get_mut(key) else {
        table.insert(key, item);
        return;
    };
    if let (Some(old), Some(new)) = (old.as_value(), item.as_value_mut()) {
        *new.decor_mut() = old.decor().clone();
    }
    *old = item;
}

/// Makes a table that says `before` say `after`; what both say stays as it is written.
fn rewrite(written: &mut dyn TableLike, before: &Table, after: &Table) {
    // The other spelling is read too.
    let colour = written.contains_key("colour");
    let key_of = |key| {
        if colour && key == "color" {
            "colour"
        } else {
            key
        }
    };
    for (key, _) in before.iter().filter(|(key, _)| !after.contains_key(key)) {
        written.remove(key_of(key));
    }
    for (key, item) in after {
        let was = before.get(key);
        let key = key_of(key);
        match (was, item) {
            (Some(Item::Table(before)), Item::Table(after)) if written.contains_key(key) => {
                let inner = written.get_mut(key).and_then(Item::as_table_like_mut);
                if let Some(inner) = inner {
                    rewrite(inner, before, after);
                }
            }
            (Some(was), _) if was.to_string() == item.to_string() => {}
            _ => put(written, key, item.clone()),
        }
    }
}

/// An entry as it is written: what is as usual is left out.
fn table(entry: &Entry) -> Table {
    let mut table = Table::new();
    if !entry.bootstrap.is_empty() {
        table.insert("bootstrap", value(&entry.bootstrap));
    }
    if let Some(path) = &entry.properties {
        table.insert("properties", value(path.display().to_string()));
    }
    if let Some(color) = entry.color {
        table.insert("color", value(color.name()));
    }
    if entry.danger != Level::default() {
        table.insert("danger", value(entry.danger.name()));
    }
    if let Some(dry_run) = entry.dry_run {
        table.insert("dry_run", value(dry_run));
    }
    if entry.read_only {
        table.insert("read_only", value(true));
    }
    if let Some(url) = &entry.registry {
        table.insert("registry", value(url));
    }
    if let Some(path) = &entry.registry_ca {
        table.insert("registry_ca", value(path.display().to_string()));
    }
    if let Some(id) = &entry.cluster_id {
        table.insert("cluster_id", value(id));
    }
    if !entry.connect.is_empty() {
        let urls: toml_edit::Array = entry.connect.iter().map(String::as_str).collect();
        table.insert("connect", value(urls));
    }
    if let Some(login) = &entry.connect_login {
        table.insert("connect_login", value(login));
    }
    match &entry.metrics {
        None => {}
        Some(Endpoints::Template(template)) => {
            table.insert("metrics", value(template));
        }
        Some(Endpoints::ById(all)) => {
            let mut by_id = toml_edit::InlineTable::new();
            for (id, url) in all {
                by_id.insert(id.to_string(), url.to_string().into());
            }
            table.insert("metrics", value(by_id));
        }
    }
    if let Some(login) = &entry.metrics_login {
        table.insert("metrics_login", value(login));
    }
    for (key, path) in [
        ("connect_ca", &entry.connect_ca),
        ("metrics_ca", &entry.metrics_ca),
    ] {
        if let Some(path) = path {
            table.insert(key, value(path.display().to_string()));
        }
    }
    if !entry.settings.is_empty() {
        let mut settings = Table::new();
        for (key, text) in &entry.settings {
            settings.insert(key, value(text));
        }
        table.insert("settings", Item::Table(settings));
    }
    table
}
