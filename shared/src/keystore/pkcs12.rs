//! PKCS#12: bags of certificates and keys, encrypted or not, under a code of the password.

use std::borrow::Cow;

use super::der::{BMP_STRING, Der, OCTETS, OID, SET, context};
use super::{ENTRIES_MAX, KeyEntry, KeyStore, Passwords, StoreFault, pbe};

/// 1.2.840.113549.1.7: data, encrypted data.
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
const ENCRYPTED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x06];

/// 1.2.840.113549.1.12.10.1: bags, and of what.
const BAG: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01];
const KEY: u8 = 1;
const ENCRYPTED_KEY: u8 = 2;
const CERTIFICATE: u8 = 3;
const BAGS: u8 = 6;

/// 1.2.840.113549.1.9.22.1.
const X509: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x16, 0x01];

/// 1.2.840.113549.1.9.20 and .21.
const FRIENDLY_NAME: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x14];
const LOCAL_KEY_ID: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x15];

/// 2.16.840.1.113894.746875.1.1: how Java marks a certificate that is trusted.
const TRUSTED: &[u8] = &[
    0x60, 0x86, 0x48, 0x01, 0x86, 0xf9, 0x66, 0xad, 0xca, 0x7b, 0x01, 0x01,
];

/// Bags in bags in bags are nobody's store.
const DEPTH_MAX: usize = 4;

/// What is known of a bag beside its content.
#[derive(Default)]
struct About {
    name: Option<String>,
    id: Option<Vec<u8>>,
    is_trusted: bool,
}

struct Certificate {
    der: Vec<u8>,
    about: About,
}

struct Key {
    key: Vec<u8>,
    about: About,
}

#[derive(Default)]
struct Found {
    certificates: Vec<Certificate>,
    keys: Vec<Key>,
}

pub fn read(bytes: &[u8], passwords: &Passwords<'_>) -> Result<KeyStore, StoreFault> {
    let mut whole = Der::new(bytes).sequence()?;
    if whole.number()? != 3 {
        return Err(StoreFault::Unsupported("a PKCS12 store of that version"));
    }
    let mut outer = whole.sequence()?;
    if outer.value(OID)? != DATA {
        return Err(StoreFault::Unsupported("a PKCS12 store that is signed"));
    }
    let content = outer.inside(context(0))?.octets()?;
    if let (Some(password), false) = (passwords.store, whole.is_empty()) {
        pbe::check_mac(whole.sequence()?, &content, password)?;
    }
    let mut parts = Der::new(&content).sequence()?;
    let mut found = Found::default();
    while !parts.is_empty() {
        let mut part = parts.sequence()?;
        let kind = part.value(OID)?;
        let mut inside = part.inside(context(0))?;
        let bags = match kind {
            DATA => inside.octets()?,
            ENCRYPTED_DATA => match decrypted(inside, passwords)? {
                Some(bags) => Cow::Owned(bags),
                None => continue,
            },
            _ => return Err(StoreFault::Unsupported("what is encrypted for a key")),
        };
        found.take(Der::new(&bags).sequence()?, passwords, 0)?;
    }
    Ok(found.into_store())
}

/// What is encrypted with the store's password; nothing without one, as in Java.
fn decrypted(
    mut inside: Der<'_>,
    passwords: &Passwords<'_>,
) -> Result<Option<Vec<u8>>, StoreFault> {
    let Some(password) = passwords.store else {
        return Ok(None);
    };
    let mut data = inside.sequence()?;
    data.number()?;
    let mut content = data.sequence()?;
    content.value(OID)?;
    let algorithm = content.sequence()?;
    let encrypted = content.octets()?;
    pbe::decrypt(algorithm, &encrypted, password).map(Some)
}

impl Found {
    fn take(
        &mut self,
        mut bags: Der<'_>,
        passwords: &Passwords<'_>,
        depth: usize,
    ) -> Result<(), StoreFault> {
        while !bags.is_empty() {
            if self.certificates.len() + self.keys.len() >= ENTRIES_MAX {
                return Err(StoreFault::Damaged("it has too many entries"));
            }
            let mut bag = bags.sequence()?;
            let kind = bag.value(OID)?;
            let mut value = bag.inside(context(0))?;
            let about = About::read(bag)?;
            match kind.strip_prefix(BAG) {
                Some([KEY]) => {
                    let key = whole(value)?;
                    self.keys.push(Key { key, about });
                }
                Some([ENCRYPTED_KEY]) if !passwords.wants_keys => {
                    let key = Vec::new();
                    self.keys.push(Key { key, about });
                }
                Some([ENCRYPTED_KEY]) => {
                    let password = passwords.key.ok_or(StoreFault::NoPassword)?;
                    let key = pbe::decrypt_key(&whole(value)?, password)?;
                    self.keys.push(Key { key, about });
                }
                Some([CERTIFICATE]) => {
                    let mut certificate = value.sequence()?;
                    if certificate.value(OID)? == X509 {
                        let der = certificate.inside(context(0))?.octets()?.into_owned();
                        self.certificates.push(Certificate { der, about });
                    }
                }
                Some([BAGS]) if depth < DEPTH_MAX => {
                    self.take(value.sequence()?, passwords, depth + 1)?;
                }
                // Lists of what is revoked, and secrets that are no private keys.
                _ => {}
            }
        }
        Ok(())
    }

    fn into_store(self) -> KeyStore {
        let is_own = |key: &Key, certificate: &Certificate| {
            key.about.id.is_some() && key.about.id == certificate.about.id
        };
        let alone = self.keys.len() == 1;
        let mut keys = Vec::new();
        for (at, key) in self.keys.iter().enumerate() {
            let own = self.certificates.iter().find(|other| is_own(key, other));
            // Some tools give no ids: then the first certificate is the only key's.
            let own = own.or_else(|| self.certificates.first().filter(|_| alone));
            keys.push(KeyEntry {
                alias: key
                    .about
                    .name
                    .clone()
                    .unwrap_or_else(|| (at + 1).to_string()),
                key: key.key.clone(),
                chain: own.map(|own| self.chain(own)).unwrap_or_default(),
            });
        }
        // Differs from Kafka: Java sees no certificate where none is marked as trusted, as in a
        // store that openssl made; who names such a store as a truststore means all of it.
        let is_marked = self.certificates.iter().any(|c| c.about.is_trusted);
        let all = keys.is_empty() && !is_marked;
        let trusted = self
            .certificates
            .iter()
            .filter(|c| all || c.about.is_trusted);
        KeyStore {
            trusted: trusted.map(|c| c.der.clone()).collect(),
            keys,
        }
    }

    /// A certificate and those that issued it, as far as they are here.
    fn chain(&self, own: &Certificate) -> Vec<Vec<u8>> {
        let mut chain = vec![own.der.clone()];
        let mut names = names(&own.der);
        while let Some((issuer, subject)) = names {
            if issuer == subject {
                break;
            }
            let is_next = |c: &&Certificate| {
                self::names(&c.der).is_some_and(|(_, subject)| subject == issuer)
                    && !chain.contains(&c.der)
            };
            let Some(next) = self.certificates.iter().find(is_next) else {
                break;
            };
            chain.push(next.der.clone());
            names = self::names(&next.der);
        }
        chain
    }
}

impl About {
    /// The attributes, which come last in a bag.
    fn read(mut bag: Der<'_>) -> Result<About, StoreFault> {
        let mut about = About::default();
        if bag.is_empty() {
            return Ok(about);
        }
        let mut attributes = bag.inside(SET)?;
        while !attributes.is_empty() {
            let mut attribute = attributes.sequence()?;
            let name = attribute.value(OID)?;
            let mut values = attribute.inside(SET)?;
            match name {
                FRIENDLY_NAME => about.name = Some(text(values.value(BMP_STRING)?)),
                LOCAL_KEY_ID => about.id = Some(values.value(OCTETS)?.to_vec()),
                TRUSTED => about.is_trusted = true,
                _ => {}
            }
        }
        Ok(about)
    }
}

/// A value with its tag and length, as what reads it wants it.
fn whole(mut value: Der<'_>) -> Result<Vec<u8>, StoreFault> {
    let before = value;
    value.any()?;
    Ok(before.up_to(&value).to_vec())
}

fn text(bmp: &[u8]) -> String {
    let units = bmp
        .chunks_exact(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    char::decode_utf16(units)
        .map(|c| c.unwrap_or('\u{fffd}'))
        .collect()
}

/// Issuer and subject of a certificate.
fn names(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut signed = Der::new(certificate).sequence().ok()?.sequence().ok()?;
    if signed.tag() == Some(context(0)) {
        signed.any().ok()?;
    }
    // The serial number and the algorithm.
    signed.any().ok()?;
    signed.any().ok()?;
    let (_, issuer) = signed.any().ok()?;
    // From when until when.
    signed.any().ok()?;
    let (_, subject) = signed.any().ok()?;
    Some((issuer, subject))
}
