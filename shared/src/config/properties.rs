//! Java `.properties` text: `server.properties`, `meta.properties`, client configurations.
//!
//! Invariants: any text parses or fails with a line number; of a key given twice the later value
//! wins, at the place of the first; what is written reads back equal, here and in Java.
//! Follows `java.util.Properties` load and store.

use std::collections::HashMap;
use std::fmt::Write;

/// Ordered keys and values of a file.
#[derive(Debug, Clone, Default)]
pub struct Properties {
    entries: Vec<Entry>,
    /// Place in `entries` of each key.
    index: HashMap<String, usize>,
    overridden: Vec<Entry>,
}

/// One key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub value: String,
    /// Line of the file where the entry starts, from 1; 0 for one that was set by code.
    pub line: usize,
}

/// Text that is not a properties file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: \\u needs four hexadecimal digits")]
pub struct PropertiesError {
    pub line: usize,
}

impl PartialEq for Properties {
    /// Same keys with the same values in the same order.
    fn eq(&self, other: &Properties) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Properties {
    pub fn new() -> Properties {
        Properties::default()
    }

    /// Parses the bytes of a file.
    pub fn parse_bytes(bytes: &[u8]) -> Result<Properties, PropertiesError> {
        // Differs from Kafka: Java takes every file for ISO-8859-1, so that text beyond ASCII
        // typed in today's editors turns into other characters. UTF-8 comes first here.
        match std::str::from_utf8(bytes) {
            Ok(text) => Properties::parse(text.strip_prefix('\u{feff}').unwrap_or(text)),
            Err(_) => {
                Properties::parse(&bytes.iter().map(|byte| *byte as char).collect::<String>())
            }
        }
    }

    /// Parses text.
    pub fn parse(text: &str) -> Result<Properties, PropertiesError> {
        let mut properties = Properties::new();
        let mut lines = natural_lines(text).zip(1..);
        while let Some((line, number)) = lines.next() {
            let line = line.trim_start_matches(is_space);
            if line.is_empty() || line.starts_with(['#', '!']) {
                continue;
            }
            let mut logical = line.to_owned();
            while is_continued(&logical) {
                logical.pop();
                let Some((next, _)) = lines.next() else { break };
                logical.push_str(next.trim_start_matches(is_space));
            }
            let (key, value) = split(&logical);
            let unescape = |text| unescape(text).ok_or(PropertiesError { line: number });
            properties.insert(Entry {
                key: unescape(key)?,
                value: unescape(value)?,
                line: number,
            });
        }
        Ok(properties)
    }

    fn insert(&mut self, entry: Entry) {
        match self.index.get(&entry.key) {
            Some(&at) => self
                .overridden
                .push(std::mem::replace(&mut self.entries[at], entry)),
            None => {
                self.index.insert(entry.key.clone(), self.entries.len());
                self.entries.push(entry);
            }
        }
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.entry(key).map(|entry| entry.value.as_str())
    }

    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.index.get(key).map(|&at| &self.entries[at])
    }

    /// Adds the key at the end, or replaces its value where it is.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        let (key, value) = (key.into(), value.into());
        match self.index.get(&key) {
            Some(&at) => {
                self.entries[at] = Entry {
                    key,
                    value,
                    line: 0,
                }
            }
            None => self.insert(Entry {
                key,
                value,
                line: 0,
            }),
        }
    }

    /// Takes the key out; returns its value if it was there.
    pub fn remove(&mut self, key: &str) -> Option<String> {
        let at = self.index.remove(key)?;
        let removed = self.entries.remove(at);
        for (place, entry) in self.entries.iter().enumerate().skip(at) {
            if let Some(index) = self.index.get_mut(&entry.key) {
                *index = place;
            }
        }
        Some(removed.value)
    }

    /// Keys and values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.entries
            .iter()
            .map(|entry| (entry.key.as_str(), entry.value.as_str()))
    }

    /// The entries in order, with their lines.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Entries of the file that a later line of the same key replaced: worth a warning.
    pub fn overridden(&self) -> &[Entry] {
        &self.overridden
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The text of the file: ASCII only, one line per comment and per key, each ended by `\n`.
    pub fn to_text(&self, comments: &[&str]) -> String {
        let mut out = String::new();
        for comment in comments
            .iter()
            .flat_map(|comment| comment.split(['\n', '\r']))
        {
            out.push('#');
            // Comments are not unescaped, but stay ASCII for readers of either encoding.
            comment.chars().for_each(|c| push_ascii(&mut out, c));
            out.push('\n');
        }
        for (key, value) in self.iter() {
            escape(&mut out, key, true);
            out.push('=');
            escape(&mut out, value, false);
            out.push('\n');
        }
        out
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Properties {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Properties {
        let mut properties = Properties::new();
        entries
            .into_iter()
            .for_each(|(key, value)| properties.set(key, value));
        properties
    }
}

/// Java's white space of properties files; not the line ends.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\x0c')
}

/// Splits at `\n`, `\r` and `\r\n`.
fn natural_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\n', '\r']) else {
            rest = None;
            return Some(text);
        };
        let end_len = if text[end..].starts_with("\r\n") {
            2
        } else {
            1
        };
        rest = Some(&text[end + end_len..]);
        Some(&text[..end])
    })
}

/// An odd number of backslashes at the end joins the next line.
fn is_continued(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// Splits a logical line into key and value, both still escaped.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let key_end = line.find(|c| {
        let ends = !escaped && (is_space(c) || c == '=' || c == ':');
        escaped = !escaped && c == '\\';
        ends
    });
    let (key, rest) = line.split_at(key_end.unwrap_or(line.len()));
    let rest = rest.trim_start_matches(is_space);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, rest.trim_start_matches(is_space))
}

/// `None` if `\u` is not followed by four hexadecimal digits.
fn unescape(text: &str) -> Option<String> {
    if !text.contains('\\') {
        return Some(text.to_owned());
    }
    // UTF-16 because Java writes characters beyond U+FFFF as two escapes.
    let mut units = Vec::with_capacity(text.len());
    let mut buf = [0; 2];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let c = if c != '\\' {
            c
        } else {
            match chars.next() {
                None => break,
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\x0c',
                Some('u') => {
                    let digits = chars.as_str().get(..4)?;
                    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                        return None;
                    }
                    units.push(u16::from_str_radix(digits, 16).ok()?);
                    chars = chars.as_str()[4..].chars();
                    continue;
                }
                Some(other) => other,
            }
        };
        units.extend_from_slice(c.encode_utf16(&mut buf));
    }
    Some(String::from_utf16_lossy(&units))
}

fn escape(out: &mut String, text: &str, is_key: bool) {
    for (at, c) in text.chars().enumerate() {
        match c {
            ' ' if is_key || at == 0 => out.push_str("\\ "),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\x0c' => out.push_str("\\f"),
            '=' | ':' | '#' | '!' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c => push_ascii(out, c),
        }
    }
}

/// Printable ASCII as it is, everything else as `\uXXXX`.
fn push_ascii(out: &mut String, c: char) {
    if matches!(c, ' '..='~') {
        return out.push(c);
    }
    for unit in c.encode_utf16(&mut [0; 2]) {
        write!(out, "\\u{unit:04X}").expect("writing to a String cannot fail");
    }
}

#[cfg(test)]
mod tests;
