//! Makes the page about what `--output json` prints, out of the declarations that are printed, and
//! checks that the page in the repository is that one.
//!
//! The page is text in the repository, so that the program needs no sources to print it.
//! `KAFKA_TUI_WRITE_DOCS=1 cargo test -p kafka-tui --lib docs::` writes it anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;

use crate::cli::Cli;

const DONE: &str = "DoneJson";

/// What each command prints; several where an option or the state decides.
const DOCUMENTS: &[(&str, &[&str])] = &[
    ("topics list", &["TopicsJson"]),
    ("topics describe", &["TopicJson"]),
    ("topics create", &[DONE]),
    ("topics delete", &[DONE]),
    ("topics alter", &[DONE]),
    ("topics export", &["ExportedJson"]),
    ("apply", &["ApplyJson"]),
    ("partitions add", &[DONE]),
    ("brokers list", &["BrokersJson"]),
    ("brokers describe", &["BrokerJson"]),
    ("brokers metrics", &["BrokerMetricsJson"]),
    ("brokers may-stop", &["MayStopJson"]),
    ("brokers unregister", &[DONE]),
    ("groups list", &["GroupsJson"]),
    ("groups describe", &["GroupJson"]),
    ("groups delete", &[DONE]),
    ("groups reset", &["OffsetsJson", DONE]),
    ("groups timeline", &["TimelineJson"]),
    ("groups lag", &["GroupLagJson"]),
    ("groups delete-offsets", &[DONE]),
    ("messages read", &["MessagesJson"]),
    ("messages tail", &["MessageRow"]),
    ("messages export", &["MovedJson"]),
    ("messages import", &["MovedJson"]),
    ("messages copy", &["MovedJson"]),
    ("messages produce", &["MovedJson"]),
    ("configs describe", &["ConfigsJson"]),
    ("configs alter", &[DONE]),
    ("reassign plan", &["PlanJson"]),
    ("reassign execute", &[DONE]),
    ("reassign run", &["PlanJson", "RunJson"]),
    ("reassign resume", &["RunJson"]),
    ("reassign pause", &["RunJson"]),
    ("reassign set", &["RunJson"]),
    ("reassign janitor", &["JanitorJson"]),
    ("reassign status", &["MovesJson"]),
    ("reassign cancel", &[DONE, "RunJson"]),
    ("elect", &[DONE]),
    ("plan", &["PlanJson", DONE]),
    ("undo", &["UndoJson", DONE, "RunJson"]),
    ("acls list", &["AclsJson"]),
    ("acls create", &[DONE]),
    ("acls delete", &[DONE]),
    ("acls explain", &["AclAnswerJson"]),
    ("acls idle", &["IdleAclsJson"]),
    ("users list", &["UsersJson"]),
    ("users set-password", &[DONE]),
    ("users delete", &[DONE]),
    ("quotas list", &["QuotasJson"]),
    ("quotas alter", &[DONE]),
    ("quotas which", &["WhichQuotasJson"]),
    ("transactions list", &["TransactionsJson"]),
    ("transactions describe", &["TransactionJson"]),
    ("transactions producers", &["ProducersJson"]),
    ("transactions open", &["BlockedJson"]),
    ("transactions find-hanging", &["HangingJson"]),
    ("transactions abort", &[DONE]),
    ("quorum describe", &["QuorumJson"]),
    ("quorum add-voter", &[DONE]),
    ("quorum remove-voter", &[DONE]),
    ("features list", &["FeaturesJson"]),
    ("features upgrade", &[DONE]),
    ("features downgrade", &[DONE]),
    ("wait", &["WaitJson"]),
    ("top", &["TopJson"]),
    ("changes", &["Happening", "ChangesJson"]),
    ("exporter", &["ExporterJson"]),
    ("connect list", &["ConnectorsJson"]),
    ("connect describe", &["ConnectorJson"]),
    ("connect restart", &["ConnectChangeJson"]),
    ("connect pause", &["ConnectChangeJson"]),
    ("connect resume", &["ConnectChangeJson"]),
    ("connect stop", &["ConnectChangeJson"]),
    ("connect config", &["ConnectChangeJson"]),
    ("connect delete", &["ConnectChangeJson"]),
    ("docs", &["DocsJson"]),
    ("clusters list", &["ClustersJson"]),
    ("clusters add", &["ClusterDoneJson"]),
    ("clusters edit", &["ClusterDoneJson"]),
    ("clusters test", &["ClusterTestJson"]),
    ("clusters remove", &["ClusterDoneJson"]),
    ("local start", &["LocalJson"]),
    ("local restart", &["LocalJson"]),
    ("local rolling-restart", &["LocalJson"]),
    ("local kill", &["LocalJson"]),
    ("local stop", &["LocalJson"]),
    ("local pause", &["LocalJson"]),
    ("local resume", &["LocalJson"]),
    ("local status", &["LocalJson"]),
    ("local logs", &["LocalLogsJson"]),
    ("local delete", &["LocalJson"]),
];

/// Commands that print for people or shells whatever `--output` says.
const NO_DOCUMENT: [&str; 2] = ["demo", "completions"];

/// Types that write themselves, as a word.
const WORDS: [&str; 8] = [
    "AclOperation",
    "AclPattern",
    "AclPermission",
    "AclResource",
    "GroupKind",
    "GroupState",
    "PartError",
    "ScramMechanism",
];

/// A field, a variant, or a value that is alone in its type.
#[derive(Clone, Debug)]
struct Part {
    name: String,
    /// As in the source; empty for a variant without a value.
    kind: String,
    doc: String,
    is_flat: bool,
    /// What is not there where there is nothing to tell.
    may_be_absent: bool,
}

/// One declaration that is printed.
#[derive(Clone, Debug)]
struct Item {
    file: PathBuf,
    name: String,
    doc: String,
    /// `tag` of an enumeration.
    attributes: String,
    is_enum: bool,
    /// A struct around one value.
    is_newtype: bool,
    parts: Vec<Part>,
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                files.push((path, text));
            }
        }
    }
    files.sort();
    files
}

/// What stands between declarations: its words, and what it is decorated with.
#[derive(Default)]
struct Pending {
    doc: Vec<String>,
    attributes: String,
}

impl Pending {
    fn doc(&self) -> String {
        // A paragraph of its own is for readers of the source.
        let first = self
            .doc
            .split(|line| line.is_empty())
            .next()
            .unwrap_or_default();
        let text = first.join(" ");
        // Links of the source are words here.
        text.replace("[`", "`").replace("`]", "`")
    }

    fn value(&self, key: &str) -> Option<String> {
        let (_, rest) = self.attributes.split_once(&format!("{key} = \""))?;
        Some(rest.split('"').next().unwrap_or_default().to_owned())
    }

    fn is_skipped(&self) -> bool {
        self.attributes.contains("serde(skip)")
            || self.attributes.contains("serde(skip_serializing)")
    }
}

fn items(file: &Path, text: &str) -> Vec<Item> {
    let mut items = Vec::new();
    let mut pending = Pending::default();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("#[cfg(test)]") {
            break;
        }
        if let Some(doc) = line.strip_prefix("///") {
            pending.doc.push(doc.trim().to_owned());
            continue;
        }
        if line.starts_with("#[") {
            let mut whole = line.to_owned();
            while !is_balanced(&whole) {
                whole.push_str(lines.next().unwrap_or("]").trim());
            }
            pending.attributes.push_str(&whole);
            continue;
        }
        let words = line
            .trim_start_matches("pub ")
            .trim_start_matches("pub(crate) ");
        let is_enum = words.starts_with("enum ");
        let declared = words
            .strip_prefix("struct ")
            .or(words.strip_prefix("enum "));
        if let Some(rest) = declared
            && pending.attributes.contains("Serialize")
        {
            let end = rest
                .find(|c: char| !c.is_alphanumeric())
                .unwrap_or(rest.len());
            let (name, rest) = rest.split_at(end);
            let mut item = Item {
                file: file.to_owned(),
                name: name.to_owned(),
                doc: pending.doc(),
                attributes: pending.attributes.clone(),
                is_enum,
                is_newtype: rest.starts_with('('),
                parts: Vec::new(),
            };
            if item.is_newtype {
                let inner = rest.trim_start_matches('(').trim_end_matches(");");
                item.parts.push(Part {
                    name: String::new(),
                    kind: inner.trim_start_matches("pub ").to_owned(),
                    doc: String::new(),
                    is_flat: false,
                    may_be_absent: false,
                });
            } else {
                let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "}").collect();
                item.parts = parts(&body, &item.attributes, is_enum);
            }
            items.push(item);
        }
        pending = Pending::default();
    }
    items
}

fn is_balanced(text: &str) -> bool {
    let count = |of: char| text.matches(of).count();
    count('[') == count(']')
        && count('(') == count(')')
        && count('{') == count('}')
        && count('<') == count('>')
}

fn snake(name: &str) -> String {
    let mut snake = String::new();
    for (at, c) in name.char_indices() {
        if c.is_uppercase() && at > 0 {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

fn parts(body: &[&str], container: &str, is_enum: bool) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut pending = Pending::default();
    let mut lines = body.iter();
    while let Some(line) = lines.next() {
        let line = line.trim();
        if let Some(doc) = line.strip_prefix("///") {
            pending.doc.push(doc.trim().to_owned());
            continue;
        }
        if line.is_empty() || line.starts_with("//") {
            continue;
        }
        let mut whole = line.to_owned();
        while !is_balanced(&whole.replace("->", "")) {
            let next = lines.next().copied().unwrap_or("}").trim();
            whole.push(' ');
            whole.push_str(next);
        }
        if whole.starts_with("#[") {
            pending.attributes.push_str(&whole);
            continue;
        }
        let whole = whole.trim_end_matches(',');
        let part = match is_enum {
            true => variant(whole, container, &pending),
            false => field(whole, &pending),
        };
        parts.extend(part.filter(|_| !pending.is_skipped()));
        pending = Pending::default();
    }
    parts
}

fn field(text: &str, pending: &Pending) -> Option<Part> {
    let text = text
        .strip_prefix("pub(crate) ")
        .or(text.strip_prefix("pub(super) "))
        .unwrap_or(text);
    let (name, kind) = text.trim_start_matches("pub ").split_once(": ")?;
    let is_flat = pending.attributes.contains("flatten");
    let is_own = pending.attributes.contains("serialize_with") && !is_flat;
    let kind = match is_own {
        // Names of what is a structure here.
        true => "Vec<String>",
        false => kind,
    };
    Some(Part {
        name: pending.value("rename").unwrap_or_else(|| name.to_owned()),
        kind: kind.to_owned(),
        doc: pending.doc(),
        is_flat,
        may_be_absent: pending.attributes.contains("skip_serializing_if"),
    })
}

fn variant(text: &str, container: &str, pending: &Pending) -> Option<Part> {
    let end = text
        .find(|c: char| !c.is_alphanumeric())
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let named = match () {
        () if container.contains("snake_case") => snake(name),
        () if container.contains("lowercase") => name.to_lowercase(),
        () => name.to_owned(),
    };
    let rest = rest.trim();
    let kind = match rest.chars().next() {
        Some('(') => rest
            .trim_start_matches('(')
            .trim_end_matches(')')
            .to_owned(),
        Some('{') => rest.to_owned(),
        // A value that an enumeration gives its variant.
        _ => String::new(),
    };
    Some(Part {
        name: pending.value("rename").unwrap_or(named),
        kind,
        doc: pending.doc(),
        is_flat: false,
        may_be_absent: false,
    })
}

/// All declarations, by name.
struct Declared(BTreeMap<String, Vec<Item>>);

impl Declared {
    fn read() -> Self {
        let mut all: BTreeMap<String, Vec<Item>> = BTreeMap::new();
        for (file, text) in sources() {
            for item in items(&file, &text) {
                all.entry(item.name.clone()).or_default().push(item);
            }
        }
        Self(all)
    }

    /// The declaration that a name means in a file: its own, else the nearest one.
    fn find(&self, name: &str, file: &Path) -> Option<&Item> {
        let found = self.0.get(name)?;
        let shared = |item: &&Item| {
            let pairs = item.file.components().zip(file.components());
            let same = pairs.take_while(|(a, b)| a == b).count();
            (item.file == file, same)
        };
        found.iter().max_by_key(shared)
    }
}

/// What a type is in JSON, and the declarations that it names.
fn told(kind: &str, file: &Path, all: &Declared, used: &mut Vec<Item>) -> Result<String, String> {
    let kind = kind.trim().trim_start_matches("&'static ").trim();
    let kind = match kind.strip_prefix("crate::") {
        Some(path) if !path.contains('<') => path.rsplit("::").next().unwrap_or(path),
        _ => kind,
    };
    let inner = |of: &str| -> Option<String> {
        let rest = kind.strip_prefix(of)?.strip_prefix('<')?;
        Some(rest.strip_suffix('>')?.to_owned())
    };
    let first = |of: &[&str]| of.iter().find_map(|of| inner(of));
    if let Some(of) = inner("Option") {
        return Ok(format!("{}, or null", told(&of, file, all, used)?));
    }
    if let Some(of) = first(&["Arc", "Box", "Cow"]) {
        let of = match of.strip_prefix('[') {
            Some(list) => format!("Vec<{}>", list.trim_end_matches(']')),
            None => of,
        };
        return told(of.trim_start_matches("'static, "), file, all, used);
    }
    if let Some(of) = first(&["Vec", "BTreeSet", "VecDeque", "HashSet"]) {
        return Ok(format!("list of {}", told(&of, file, all, used)?));
    }
    if let Some(of) = first(&["BTreeMap", "HashMap"]) {
        let (key, value) = of.split_once(", ").ok_or_else(|| of.clone())?;
        let key = match told(key, file, all, used)? {
            key if key == "number" => "a number".to_owned(),
            key => key,
        };
        return Ok(format!(
            "object by {key}: {}",
            told(value, file, all, used)?
        ));
    }
    if let Some(of) = first(&["Result"]) {
        let (good, bad) = of.split_once(", ").ok_or_else(|| of.clone())?;
        let (good, bad) = (told(good, file, all, used)?, told(bad, file, all, used)?);
        return Ok(format!("`Ok`: {good}, or `Err`: {bad}"));
    }
    if let Some(pair) = kind
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'))
    {
        if pair.is_empty() {
            return Ok("null".to_owned());
        }
        let parts: Result<Vec<String>, String> = pair
            .split(", ")
            .map(|part| told(part, file, all, used))
            .collect();
        return Ok(format!("list of {}", parts?.join(" and ")));
    }
    let own = all.find(kind, file);
    Ok(match kind {
        "String" | "str" | "PathBuf" | "Uuid" | "Url" => "text",
        word if WORDS.contains(&word) => "text",
        "bool" => "true or false",
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" | "usize" | "f64" => "number",
        "Value"
            if own.is_none_or(|item| !file.starts_with(item.file.with_extension("")))
                && !is_condition(file) =>
        {
            "any JSON"
        }
        "Endpoints" => "text, or object by text: text",
        _ => {
            let item = own.ok_or_else(|| format!("{kind} in {}", file.display()))?;
            if item.is_newtype {
                let kind = item.parts[0].kind.clone();
                return told(&kind, &item.file, all, used);
            }
            used.push(item.clone());
            return Ok(format!("[{}](#{})", item.name, item.name.to_lowercase()));
        }
    }
    .to_owned())
}

/// The values of a condition are no other JSON.
fn is_condition(file: &Path) -> bool {
    file.ends_with("shapes/wait.rs") || file.ends_with("derive/condition.rs")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// The rows of a declaration; what is flat stands between its own.
fn rows(item: &Item, all: &Declared, used: &mut Vec<Item>, text: &mut String) {
    for part in &item.parts {
        if part.is_flat && part.kind.starts_with("Result<") {
            let fault = told("Fault", &item.file, all, used).unwrap();
            for (name, kind) in [
                ("ok", "true or false"),
                ("detail", "text; may be absent"),
                ("error", &format!("{fault}; may be absent")),
            ] {
                let _ = writeln!(text, "| `{name}` | {kind} | {} |", cell(&part.doc));
            }
            continue;
        }
        if part.is_flat {
            let name = part.kind.trim_start_matches("Box<").trim_end_matches('>');
            let inner = all
                .find(name, &item.file)
                .unwrap_or_else(|| panic!("{name}"));
            rows(inner, all, used, text);
            continue;
        }
        let mut kind = part_kind(part, item, all, used);
        if part.may_be_absent {
            kind.push_str("; may be absent");
        }
        let _ = writeln!(
            text,
            "| `{}` | {} | {} |",
            part.name,
            cell(&kind),
            cell(&part.doc)
        );
    }
}

fn part_kind(part: &Part, item: &Item, all: &Declared, used: &mut Vec<Item>) -> String {
    let of = |kind: &str, used: &mut Vec<Item>| {
        let told = told(kind, &item.file, all, used);
        told.unwrap_or_else(|why| panic!("{}.{}: no type {why}", item.name, part.name))
    };
    let Some(fields) = part.kind.strip_prefix('{') else {
        return match part.kind.is_empty() {
            true => String::new(),
            false => of(&part.kind, used),
        };
    };
    // The fields of a variant, in a line.
    let fields = fields.trim_end_matches('}').trim().trim_end_matches(',');
    let parts = fields.split(", ").filter(|field| !field.starts_with("///"));
    let parts = parts.filter_map(|field| field.rsplit("/// ").next()?.split_once(": "));
    let parts: Vec<String> = parts
        .map(|(name, kind)| format!("`{}`: {}", name.trim(), of(kind, used)))
        .collect();
    format!("object: {}", parts.join("; "))
}

fn section(item: &Item, all: &Declared, used: &mut Vec<Item>) -> String {
    let mut text = format!("\n### {}\n\n", item.name);
    if !item.doc.is_empty() {
        let _ = writeln!(text, "{}\n", item.doc);
    }
    if item.is_enum {
        let pending = Pending {
            attributes: item.attributes.clone(),
            ..Pending::default()
        };
        let has_values = item.parts.iter().any(|part| !part.kind.is_empty());
        let how = match (pending.value("tag"), pending.value("content"), has_values) {
            (Some(tag), Some(content), _) => {
                format!("An object: `{tag}` is one of these, `{content}` its value.")
            }
            (Some(tag), None, _) => format!("An object: `{tag}` is one of these, with its fields."),
            (None, _, _) if item.attributes.contains("untagged") => "One of these.".to_owned(),
            (None, _, true) => "A text, or an object with one of these as its only key.".to_owned(),
            (None, _, false) => "A text, one of these.".to_owned(),
        };
        let _ = writeln!(text, "{how}\n");
    }
    text.push_str("| | is | |\n| --- | --- | --- |\n");
    rows(item, all, used, &mut text);
    text
}

fn page() -> String {
    let all = Declared::read();
    let mut text = "# What `--output json` prints\n\nOne document on stdout, and nothing else there; \
                    `--output jsonl` prints it in one line, and messages and changes in a line each. \
                    Fields are added in later versions, never renamed or removed. A number that is \
                    not known is null, never 0. Times that end in `_ms` are milliseconds since the \
                    epoch, or of a duration. `topics export`, `messages export` and `groups reset --export` \
                    without a file print what they export instead. An error is no document: it goes to stderr, and the \
                    exit code tells its kind.\n\n| command | prints |\n| --- | --- |\n"
        .to_owned();
    let mut queue: Vec<Item> = Vec::new();
    for (command, documents) in DOCUMENTS {
        let links = documents
            .iter()
            .map(|name| format!("[{name}](#{})", name.to_lowercase()));
        let links: Vec<String> = links.collect();
        let _ = writeln!(text, "| `{command}` | {} |", links.join(", "));
        for name in *documents {
            let item = all.find(name, Path::new("src/output"));
            queue.push(
                item.unwrap_or_else(|| panic!("{name} is declared nowhere"))
                    .clone(),
            );
        }
    }
    let _ = writeln!(
        text,
        "\n{} print for people or shells whatever `--output` says.",
        NO_DOCUMENT.map(|name| format!("`{name}`")).join(" and ")
    );
    let mut seen = BTreeSet::new();
    queue.reverse();
    while let Some(item) = queue.pop() {
        if seen.insert(item.name.clone()) {
            let mut used = Vec::new();
            text.push_str(&section(&item, &all, &mut used));
            queue.splice(0..0, used);
        }
    }
    text
}

#[test]
fn the_page_about_documents_is_what_is_printed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/docs/output.md");
    let now = page();
    if std::env::var_os("KAFKA_TUI_WRITE_DOCS").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == now,
        "src/docs/output.md is old: KAFKA_TUI_WRITE_DOCS=1 cargo test -p kafka-tui --lib docs::"
    );
}

#[test]
fn every_command_says_what_it_prints() {
    fn leaves(command: &clap::Command, found: &mut BTreeSet<String>) {
        let subs = command.get_subcommands();
        let subs: Vec<_> = subs
            .filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
            .collect();
        if subs.is_empty() {
            let name = command.get_bin_name().unwrap_or_default();
            found.insert(name.trim_start_matches("kafka-tui ").to_owned());
        }
        subs.iter().for_each(|sub| leaves(sub, found));
    }
    let mut program = Cli::command();
    program.build();
    let mut commands = BTreeSet::new();
    leaves(&program, &mut commands);
    let told = DOCUMENTS.iter().map(|(command, _)| *command);
    let told: BTreeSet<String> = told.chain(NO_DOCUMENT).map(str::to_owned).collect();
    assert_eq!(commands, told);
}
