//! Truststores and keystores: PEM, JKS and PKCS12 are read, others are told how to become PEM.
//!
// Differs from Kafka: what a store is shows in its first bytes, so that it works also where
// ssl.truststore.type was forgotten or says something else (its default is JKS).

use std::io::Read as _;
use std::path::Path;

use super::{PropertiesFault, fault};
use crate::keystore::{self, KeyStore, Kind, STORE_BYTES_MAX, StoreFault};
use crate::secret::Secret;

/// What a file was.
pub(super) enum Loaded {
    Pem(Secret),
    Store(KeyStore),
}

/// A password with the key that it stands under.
pub(super) type Password<'a> = (&'a str, Option<Secret>);

/// Reads a store. `own` is the password of its private keys where they are wanted.
pub(super) async fn load(
    key: &str,
    path: &Path,
    password: Password<'_>,
    own: Option<Password<'_>>,
) -> Result<Loaded, PropertiesFault> {
    let place = path.display().to_string();
    let (password_key, password) = password;
    let wants_keys = own.is_some();
    let (own_key, own) = own.unwrap_or((password_key, None));
    let has_own = own.is_some();
    let path = path.to_owned();
    // Some passwords take a million digests to try.
    let read = crate::task::spawn_blocking("read-store", move || {
        let bytes = bytes_of(&path).map_err(Failure::File)?;
        if Kind::of(&bytes) == Kind::Other {
            let text = String::from_utf8(bytes);
            let text = text.map_err(|_| Failure::File("it is neither text nor a store".into()));
            return Ok(Loaded::Pem(Secret::new(text?)));
        }
        let store = keystore::read(&bytes, password.as_ref(), own.as_ref(), wants_keys);
        let kind = Kind::of(&bytes);
        store
            .map(Loaded::Store)
            .map_err(|why| Failure::Store(kind, why))
    });
    let read = read
        .await
        .unwrap_or_else(|_| Err(Failure::File("the task broke".into())));
    read.map_err(|failure| match failure {
        Failure::File(why) => {
            let reason = format!("{place}: {why}");
            fault(key, reason, "check the path and the rights")
        }
        Failure::Store(kind, why) => {
            let advice = match why {
                StoreFault::KeyPassword if has_own => format!("check {own_key}"),
                StoreFault::KeyPassword => {
                    format!("the key has another password than the store: set {own_key}")
                }
                StoreFault::Password | StoreFault::NoPassword => format!("check {password_key}"),
                StoreFault::Damaged(_) => "list it with keytool -list -keystore".to_owned(),
                StoreFault::Unsupported(_) => conversion(key, &place, kind != Kind::Pkcs12),
            };
            fault(key, format!("{place} ({}): {why}", kind.name()), advice)
        }
    })
}

enum Failure {
    File(String),
    Store(Kind, StoreFault),
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    let mut limited = file.take(STORE_BYTES_MAX + 1);
    limited
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    match bytes.len() as u64 > STORE_BYTES_MAX {
        true => Err("it is too long for a store".to_owned()),
        false => Ok(bytes),
    }
}

/// A PEM text whose key may be encrypted, as PEM with the key in the open.
pub(super) fn open_key(pem: Secret, password: Password<'_>) -> Result<Secret, PropertiesFault> {
    let (password_key, password) = password;
    if !keystore::is_encrypted_pem(pem.expose()) {
        return Ok(pem);
    }
    let Some(password) = password else {
        let reason = "the private key of the keystore is encrypted";
        return Err(fault(password_key, reason, format!("set {password_key}")));
    };
    keystore::decrypt_pem(pem.expose(), &password)
        .map_err(|why| fault(password_key, why, format!("check {password_key}")))
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
