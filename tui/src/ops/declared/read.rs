//! Reads files and folders of declared topics.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::document::{self, Language};
use super::{Declared, WHAT, file};
use crate::model::{Fault, FaultKind};

/// A longer file is none that somebody wrote.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Bytes of all files together.
const ALL_BYTES_MAX: u64 = 64 * 1024 * 1024;

const FILES_MAX: usize = 10_000;

/// Folders in folders.
const DEPTH_MAX: usize = 8;

/// Complaints that are told of all files.
const WRONG_MAX: usize = 100;

fn language(path: &Path) -> Option<Language> {
    let end = path.extension()?.to_str()?;
    match end {
        "toml" => Some(Language::Toml),
        "yaml" | "yml" => Some(Language::Yaml),
        "json" => Some(Language::Json),
        _ => None,
    }
}

/// Reads what these files and folders declare; of a folder every `.toml`, `.yaml`, `.yml` and
/// `.json` in it, in the order of their names.
///
/// # Errors
/// All that is wrong with them, or that there is nothing to read.
pub fn read(paths: &[PathBuf]) -> Result<Declared, Fault> {
    let mut files = Vec::new();
    for path in paths {
        let kind = fs::metadata(path).map_err(|error| cannot(path, &error))?;
        if kind.is_dir() {
            let before = files.len();
            folder(path, 0, &mut files)?;
            if files.len() == before {
                let why = format!("{} holds no .toml, .yaml or .json", path.display());
                return Err(Fault::not_found(WHAT, why));
            }
        } else {
            files.push(path.clone());
        }
    }
    let mut texts = Vec::with_capacity(files.len());
    let mut bytes = 0;
    for path in files {
        let Some(language) = language(&path) else {
            let why = format!(
                "{}: it is none of .toml, .yaml, .yml, .json",
                path.display()
            );
            return Err(Fault::refused(WHAT, why));
        };
        let text = text(&path)?;
        bytes += text.len() as u64;
        if bytes > ALL_BYTES_MAX {
            let why = format!("the files have more than {ALL_BYTES_MAX} bytes together");
            return Err(Fault::refused(WHAT, why));
        }
        texts.push((path.display().to_string(), language, text));
    }
    parsed(&texts)
}

/// Reads the text of one file, whose name says what it is written in.
///
/// # Errors
/// All that is wrong with it.
pub fn parse(name: &str, text: &str) -> Result<Declared, Fault> {
    let language = language(Path::new(name)).unwrap_or(Language::Yaml);
    parsed(&[(name.to_owned(), language, text.to_owned())])
}

fn parsed(texts: &[(String, Language, String)]) -> Result<Declared, Fault> {
    let mut declared = Declared::default();
    let mut wrong = Vec::new();
    for (name, language, text) in texts {
        let name: Arc<str> = name.as_str().into();
        declared.files.push(name.to_string());
        match document::parse(*language, text) {
            Ok(root) => {
                let read = file::take(&name, &root, &mut declared);
                wrong.extend(read.err().into_iter().flatten());
            }
            Err((line, why)) => {
                let at = super::Place { file: name, line };
                wrong.push(format!("{at}: {}", why.replace('\n', " ").trim()));
            }
        }
    }
    wrong.extend(file::twice(&declared));
    match &wrong[..] {
        [] => Ok(declared),
        [one] => Err(Fault::refused(WHAT, one.clone())),
        many => {
            let shown = many.iter().take(WRONG_MAX).map(|why| format!("\n  {why}"));
            let why = format!("{} mistakes{}", many.len(), shown.collect::<String>());
            Err(Fault::refused(WHAT, why))
        }
    }
}

fn text(path: &Path) -> Result<String, Fault> {
    let mut text = String::new();
    fs::File::open(path)
        .and_then(|file| file.take(BYTES_MAX + 1).read_to_string(&mut text))
        .map_err(|error| cannot(path, &error))?;
    if text.len() as u64 > BYTES_MAX {
        let why = format!("{}: it is longer than {BYTES_MAX} bytes", path.display());
        return Err(Fault::refused(WHAT, why));
    }
    Ok(text)
}

fn folder(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), Fault> {
    if depth > DEPTH_MAX {
        let why = format!("{}: folders are nested too deeply", path.display());
        return Err(Fault::refused(WHAT, why));
    }
    let entries = fs::read_dir(path).map_err(|error| cannot(path, &error))?;
    let paths: Result<Vec<PathBuf>, _> = entries.map(|entry| entry.map(|e| e.path())).collect();
    let mut paths = paths.map_err(|error| cannot(path, &error))?;
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            folder(&path, depth + 1, files)?;
        } else if language(&path).is_some() {
            if files.len() >= FILES_MAX {
                let why = format!("there are more than {FILES_MAX} files");
                return Err(Fault::refused(WHAT, why));
            }
            files.push(path);
        }
    }
    Ok(())
}

fn cannot(path: &Path, error: &std::io::Error) -> Fault {
    let kind = match error.kind() {
        std::io::ErrorKind::NotFound => FaultKind::NotFound,
        _ => FaultKind::Failed,
    };
    Fault::new(kind, WHAT, format!("{}: {error}", path.display()))
}
