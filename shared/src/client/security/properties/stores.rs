//! Truststores and keystores: PEM is read, others are told how to become PEM.
//!
// Differs from Kafka: what a store is shows in its first bytes, so that a PEM file works also where
// ssl.truststore.type was forgotten (its default is JKS).

use std::io::Read as _;
use std::path::Path;

use super::{PropertiesFault, fault};
use crate::secret::{Secret, read_text};

/// How a store of Java's begins.
const JKS: [u8; 4] = [0xfe, 0xed, 0xfe, 0xed];
const JCEKS: [u8; 4] = [0xce, 0xce, 0xce, 0xce];

/// What a DER sequence begins with, and so a PKCS#12 store.
const DER_SEQUENCE: u8 = 0x30;

/// The text of a PEM store.
pub(super) async fn pem(key: &str, path: &Path) -> Result<Secret, PropertiesFault> {
    let place = path.display().to_string();
    let first = path.to_owned();
    let first = crate::task::spawn_blocking("read-store", move || {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(&first).map_err(|error| error.to_string())?;
        let mut start = file.take(4);
        start
            .read_to_end(&mut bytes)
            .map_err(|error| error.to_string())?;
        Ok::<_, String>(bytes)
    });
    let first = first
        .await
        .unwrap_or_else(|_| Err("the task broke".to_owned()));
    let cannot = |why: String| {
        fault(
            key,
            format!("{place}: {why}"),
            "check the path and the rights",
        )
    };
    let first = first.map_err(cannot)?;
    let what = if first.starts_with(&JKS) || first.starts_with(&JCEKS) {
        "a JKS store"
    } else if first.first() == Some(&DER_SEQUENCE) {
        "a PKCS12 store"
    } else {
        return read_text(path).await.map(Secret::new).map_err(cannot);
    };
    Err(fault(
        key,
        format!("{place} is {what}, and PEM is read here"),
        conversion(key, &place, what == "a JKS store"),
    ))
}

/// The commands that make PEM of a store.
fn conversion(key: &str, path: &str, is_jks: bool) -> String {
    let path = shell_word(path);
    let is_trust = key.contains("truststore");
    let pem = if is_trust { "ca.pem" } else { "client.pem" };
    let mut steps = Vec::new();
    let mut from = path.clone();
    if is_jks {
        from = "store.p12".to_owned();
        steps.push(format!(
            "keytool -importkeystore -srckeystore {path} -destkeystore {from} -deststoretype PKCS12"
        ));
    }
    let what = if is_trust { "-nokeys" } else { "-nodes" };
    steps.push(format!("openssl pkcs12 -in {from} {what} -out {pem}"));
    let name = key.trim_end_matches(".location");
    format!(
        "convert it with (umask 077; {}) and set {name}.type=PEM and {key}={pem}",
        steps.join(" && ")
    )
}

fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
    match text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// The certificates of a PEM text that holds keys too.
pub(super) fn without_keys(pem: &str) -> String {
    let mut is_key = false;
    let mut out = String::new();
    for line in pem.lines() {
        if line.starts_with("-----BEGIN") {
            is_key = line.contains("PRIVATE KEY");
        }
        if !is_key {
            out.push_str(line);
            out.push('\n');
        }
        if line.starts_with("-----END") {
            is_key = false;
        }
    }
    out
}
