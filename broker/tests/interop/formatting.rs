//! Folders formatted by `kafka-storage format` and by `kafka-broker format` with the same options:
//! the same files, byte by byte, but for moments and ids that were drawn.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use kafka_broker::log::meta_properties::MetaProperties;
use kafka_shared::record::batch::{HEADER_LEN, batches};

use crate::{Case, apache, shell};

const CLUSTER_ID: &str = "4L6g3nShT-eMCtK--X86sw";
const SOON: Duration = Duration::from_secs(90);

/// Levels that our broker has.
const LEVELS: &[&str] = &[
    "--feature=group.version=0",
    "--feature=share.version=0",
    "--feature=streams.version=0",
    "--feature=transaction.version=0",
];

const DYNAMIC: &str = "controller.quorum.bootstrap.servers=127.0.0.1:9093";
const STATIC: &str = "controller.quorum.voters=1@127.0.0.1:9093,2@127.0.0.1:9094";
const VOTERS: &str = "2@h2:9094:PmBYZ6TGSXmBYZ6TGSXmBY,1@h1:9093:BYPmZ6TGSXmBYZ6TGSXmBA";

/// Roles, more settings, and options; what both make of them has to be the same.
const FORMATS: &[(&str, &str, &[&str])] = &[
    ("broker,controller", DYNAMIC, &["--standalone"]),
    ("controller", DYNAMIC, &["--initial-controllers", VOTERS]),
    (
        "broker,controller",
        DYNAMIC,
        &["--no-initial-controllers", "--release-version=4.0"],
    ),
    (
        "controller",
        STATIC,
        &["--feature=eligible.leader.replicas.version=0"],
    ),
    (
        "broker",
        DYNAMIC,
        &[
            "--release-version=3.9",
            "--feature=eligible.leader.replicas.version=0",
        ],
    ),
    (
        "controller",
        DYNAMIC,
        &["--standalone", "--release-version=3.9-IV0"],
    ),
    ("broker,controller", STATIC, &["--release-version=3.3-IV3"]),
    // Refused by both.
    ("controller", STATIC, &["--standalone"]),
    ("controller", DYNAMIC, &[]),
    (
        "controller",
        DYNAMIC,
        &["--standalone", "--release-version=2.8"],
    ),
    (
        "controller",
        DYNAMIC,
        &[
            "--standalone",
            "--release-version=3.9",
            "--feature=eligible.leader.replicas.version=1",
        ],
    ),
];

pub fn cases() -> Vec<Case> {
    vec![Case::new(
        "format: our folders are Apache's, byte by byte",
        the_files_agree,
    )]
}

fn the_files_agree() -> anyhow::Result<()> {
    let mut differences = Vec::new();
    let mut formatted = 0;
    for (roles, settings, options) in FORMATS {
        let theirs = Folder::format(true, roles, settings, options)?;
        let ours = Folder::format(false, roles, settings, options)?;
        formatted += usize::from(ours.is_formatted);
        if theirs.is_formatted != ours.is_formatted {
            differences.push(format!(
                "{roles} {options:?}: Apache formatted: {}\n{}\nours: {}\n{}",
                theirs.is_formatted, theirs.said, ours.is_formatted, ours.said
            ));
        }
        for name in theirs.files.keys().chain(ours.files.keys()) {
            let (theirs, ours) = (theirs.files.get(name), ours.files.get(name));
            if theirs != ours {
                differences.push(format!(
                    "{roles} {options:?} {name}:\n  Apache {theirs:?}\n  ours   {ours:?}"
                ));
            }
        }
    }
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    ensure!(formatted == 7, "{formatted} folders were formatted");
    Ok(())
}

/// What a program made.
struct Folder {
    is_formatted: bool,
    said: String,
    /// By path in the node's folder: what is in it, and whether it is read-only.
    files: BTreeMap<String, (String, bool)>,
}

impl Folder {
    fn format(
        is_apache: bool,
        roles: &str,
        settings: &str,
        options: &[&str],
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path();
        let properties = path.join("server.properties");
        let listeners = match roles {
            "broker" => "PLAINTEXT://127.0.0.1:9092",
            "controller" => "CONTROLLER://127.0.0.1:9093",
            _ => "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093",
        };
        let dir = |name: &str| path.join(name).display().to_string();
        let text = format!(
            "process.roles={roles}\nnode.id=1\nlisteners={listeners}\n{settings}\n\
             controller.listener.names=CONTROLLER\nlog.dirs={},{}\nmetadata.log.dir={}\n",
            dir("a"),
            dir("b"),
            dir("m")
        );
        std::fs::write(&properties, text)?;
        let mut args = vec!["format", "-t", CLUSTER_ID, "-c"];
        let properties = properties.display().to_string();
        args.push(&properties);
        args.extend(LEVELS);
        args.extend(options);
        let args: Vec<_> = args.into_iter().map(str::to_owned).collect();
        let output = if is_apache {
            apache::tool("kafka-storage", &args, None)?
        } else {
            let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-broker"));
            shell::run(command.args(&args), None, SOON)?
        };
        let mut files = BTreeMap::new();
        for dir in ["a", "b", "m"] {
            let dir = path.join(dir);
            if dir.is_dir() {
                let drawn = MetaProperties::read(&dir)?.and_then(|read| read.directory_id);
                read(path, &dir, drawn.map(|id| *id.as_bytes()), &mut files)?;
            }
        }
        Ok(Self {
            is_formatted: output.status == 0,
            said: format!("{}{}", output.stdout, output.stderr),
            files,
        })
    }
}

fn read(
    root: &Path,
    dir: &Path,
    drawn: Option<[u8; 16]>,
    files: &mut BTreeMap<String, (String, bool)>,
) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            read(root, &path, drawn, files)?;
            continue;
        }
        let name = path.strip_prefix(root)?.display().to_string();
        let bytes = std::fs::read(&path)?;
        let content = match path.extension().and_then(|extension| extension.to_str()) {
            Some("checkpoint") => timeless(bytes, drawn).with_context(|| name.clone())?,
            _ => without_moments(&bytes),
        };
        let is_read_only = path.metadata()?.permissions().mode() & 0o222 == 0;
        files.insert(name, (content, is_read_only));
    }
    Ok(())
}

/// Lines of a properties file, sorted, without comments and without the drawn id.
fn without_moments(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut lines: Vec<_> = (text.lines())
        .filter(|line| !line.starts_with('#'))
        .map(|line| match line.split_once("directory.id=") {
            Some(_) => "directory.id=drawn",
            None => line,
        })
        .collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// A snapshot's bytes in hexadecimal, with zeros for moments, checksums and the drawn id.
fn timeless(mut bytes: Vec<u8>, drawn: Option<[u8; 16]>) -> anyhow::Result<String> {
    if let Some(drawn) = drawn {
        let places = 0..bytes.len().saturating_sub(15);
        let places: Vec<_> = places.filter(|at| bytes[*at..at + 16] == drawn).collect();
        for at in places {
            bytes[at..at + 16].fill(0);
        }
    }
    let mut sizes = Vec::new();
    for batch in batches(&bytes) {
        sizes.push(batch?.size_in_bytes());
    }
    let mut start = 0;
    for (number, size) in sizes.into_iter().enumerate() {
        bytes[start + 17..start + 21].fill(0);
        bytes[start + 27..start + 43].fill(0);
        if number == 0 {
            // The first record is the header: length, attributes, two deltas, the length of the key,
            // the key, the length of the value, its version; then comes the moment.
            let at = start + HEADER_LEN + 5 + 4 + 1 + 2;
            bytes[at..at + 8].fill(0);
        }
        start += size;
    }
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
