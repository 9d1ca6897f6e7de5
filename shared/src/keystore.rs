//! Key stores as Java's tools write them: JKS and PKCS#12, and encrypted private keys in PEM.
//!
//! Owns: telling a store's kind by its first bytes, checking it with its password, and taking out
//! the certificates that are trusted and the keys with their chains. Pure: bytes in, bytes out.
//!
//! Invariants: a length is checked before anything is allocated for it; how much work a store may
//! ask for (iterations, entries, nesting) is bounded; an error never holds a password or a key.
//!
//! RFC 7292 (PKCS#12), RFC 8018 (PBES2, PBMAC1), RFC 5958 (encrypted private keys); the form of JKS
//! is described nowhere but in what writes it: `sun.security.provider.{JavaKeyStore,KeyProtector}`.

mod der;
mod elliptic;
mod jks;
mod pbe;
mod pkcs12;

use std::fmt;

pub use elliptic::with_public_key;

use crate::sasl::{base64, from_base64};
use crate::secret::Secret;

/// More entries are not taken out of one store; the authorities of a platform are some 150.
const ENTRIES_MAX: usize = 10_000;

/// Longest store that is read.
pub const STORE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What a store is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Jks,
    Jceks,
    Pkcs12,
    /// Text, or nothing that is known.
    Other,
}

impl Kind {
    pub fn of(bytes: &[u8]) -> Kind {
        match bytes {
            [0xfe, 0xed, 0xfe, 0xed, ..] => Kind::Jks,
            [0xce, 0xce, 0xce, 0xce, ..] => Kind::Jceks,
            [der::SEQUENCE, ..] => Kind::Pkcs12,
            _ => Kind::Other,
        }
    }

    /// Java's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Jks => "JKS",
            Kind::Jceks => "JCEKS",
            Kind::Pkcs12 => "PKCS12",
            Kind::Other => "unknown",
        }
    }
}

/// A private key with the certificates that prove whose it is.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyEntry {
    pub alias: String,
    /// PKCS#8, DER.
    key: Vec<u8>,
    /// DER; the key's own certificate first.
    pub chain: Vec<Vec<u8>>,
}

impl fmt::Debug for KeyEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyEntry")
            .field("alias", &self.alias)
            .field("chain", &self.chain.len())
            .finish_non_exhaustive()
    }
}

impl KeyEntry {
    /// The key as PEM.
    pub fn key_pem(&self) -> Secret {
        Secret::new(pem("PRIVATE KEY", &self.key))
    }

    /// The chain as PEM.
    pub fn chain_pem(&self) -> String {
        self.chain
            .iter()
            .map(|der| pem("CERTIFICATE", der))
            .collect()
    }
}

/// What a store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyStore {
    /// Certificates that are trusted, DER.
    pub trusted: Vec<Vec<u8>>,
    pub keys: Vec<KeyEntry>,
}

impl KeyStore {
    /// Whom Java believes that trusts this store, as PEM: the trusted certificates, and of each key
    /// the certificate that is its own.
    pub fn trust_pem(&self) -> String {
        let own = self.keys.iter().filter_map(|entry| entry.chain.first());
        let all = self.trusted.iter().chain(own);
        all.map(|der| pem("CERTIFICATE", der)).collect()
    }
}

/// Why a store can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreFault {
    #[error("its password is wrong, or it is damaged")]
    Password,
    #[error("the password of its key is wrong")]
    KeyPassword,
    #[error("it is encrypted, and no password is given")]
    NoPassword,
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    #[error("{0} is not read here")]
    Unsupported(&'static str),
}

/// Reads a store. Without a password a store is not checked, as in Java. Private keys are decrypted
/// with `key_password`, or with the store's where there is none, and only if they are wanted.
///
/// # Errors
/// Why it can't be used.
pub fn read(
    bytes: &[u8],
    password: Option<&Secret>,
    key_password: Option<&Secret>,
    wants_keys: bool,
) -> Result<KeyStore, StoreFault> {
    let passwords = Passwords {
        store: password,
        key: key_password.or(password),
        wants_keys,
    };
    match Kind::of(bytes) {
        Kind::Jks => jks::read(bytes, &passwords),
        Kind::Pkcs12 => pkcs12::read(bytes, &passwords),
        Kind::Jceks => Err(StoreFault::Unsupported("a JCEKS store")),
        Kind::Other => Err(StoreFault::Damaged("it begins like no store")),
    }
}

/// What it takes to open a store.
struct Passwords<'a> {
    store: Option<&'a Secret>,
    key: Option<&'a Secret>,
    wants_keys: bool,
}

const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";

/// Whether a PEM text holds a key that [`decrypt_pem`] decrypts.
pub fn is_encrypted_pem(text: &str) -> bool {
    text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----")
}

/// Decrypts the first encrypted private key of a PEM text; the answer is a PEM text with the key
/// alone.
///
/// # Errors
/// There is none that could be read, or the password is another.
pub fn decrypt_pem(text: &str, password: &Secret) -> Result<Secret, StoreFault> {
    let damaged = StoreFault::Damaged("there is no encrypted key in it");
    let begin = format!("-----BEGIN {ENCRYPTED}-----");
    let end = format!("-----END {ENCRYPTED}-----");
    let body = text
        .split_once(&*begin)
        .and_then(|(_, rest)| rest.split_once(&*end));
    let (body, _) = body.ok_or_else(|| damaged.clone())?;
    let digits: String = body.split_whitespace().collect();
    let info = from_base64(&digits).ok_or(damaged)?;
    let key = pbe::decrypt_key(&info, password)?;
    Ok(Secret::new(pem("PRIVATE KEY", &key)))
}

/// A PEM text of one object.
fn pem(label: &str, der: &[u8]) -> String {
    let digits = base64(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in digits.as_bytes().chunks(64) {
        text.extend(line.iter().map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}

#[cfg(test)]
pub(crate) mod golden;
#[cfg(test)]
mod tests;
