//! JKS: entries one after the other, and a digest over them and the password.

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY as SHA1};

use super::der::{Der, OCTETS, OID};
use super::{ENTRIES_MAX, KeyEntry, KeyStore, Passwords, StoreFault};
use crate::secret::Secret;

const DIGEST_LEN: usize = 20;

/// What goes into the digest beside the password.
const WHITENER: &[u8] = b"Mighty Aphrodite";

const KEY: u32 = 1;
const TRUSTED: u32 = 2;

/// Sun's own way to encrypt a key, 1.3.6.1.4.1.42.2.17.1.1.
const PROTECTOR: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x2a, 0x02, 0x11, 0x01, 0x01];

pub fn read(bytes: &[u8], passwords: &Passwords<'_>) -> Result<KeyStore, StoreFault> {
    let end = bytes.len().checked_sub(DIGEST_LEN);
    let (body, digest) = end
        .and_then(|end| bytes.split_at_checked(end))
        .ok_or(SHORT)?;
    if let Some(password) = passwords.store {
        let mut context = Context::new(&SHA1);
        context.update(&utf16(password));
        context.update(WHITENER);
        context.update(body);
        if context.finish().as_ref() != digest {
            return Err(StoreFault::Password);
        }
    }
    let mut reader = Reader(body);
    reader.number()?;
    let version = reader.number()?;
    if !(1..=2).contains(&version) {
        return Err(StoreFault::Unsupported("a JKS store of that version"));
    }
    let n = reader.number()? as usize;
    if n > ENTRIES_MAX {
        return Err(StoreFault::Damaged("it has too many entries"));
    }
    let mut store = KeyStore::default();
    for _ in 0..n {
        let kind = reader.number()?;
        let alias = String::from_utf8_lossy(reader.text()?).into_owned();
        // When it was made.
        reader.take(8)?;
        match kind {
            KEY => {
                let protected = reader.block()?;
                let length = reader.number()? as usize;
                let mut chain = Vec::new();
                for _ in 0..length {
                    chain.push(reader.certificate(version)?);
                }
                if passwords.wants_keys {
                    let password = passwords.key.ok_or(StoreFault::NoPassword)?;
                    let key = unprotect(protected, password)?;
                    store.keys.push(KeyEntry { alias, key, chain });
                } else {
                    let key = Vec::new();
                    store.keys.push(KeyEntry { alias, key, chain });
                }
            }
            TRUSTED => store.trusted.push(reader.certificate(version)?),
            _ => {
                return Err(StoreFault::Unsupported(
                    "an entry of that kind in a JKS store",
                ));
            }
        }
    }
    Ok(store)
}

/// A password as Java's characters, two bytes each.
fn utf16(password: &Secret) -> Vec<u8> {
    password
        .expose()
        .encode_utf16()
        .flat_map(u16::to_be_bytes)
        .collect()
}

/// Decrypts a key: the bytes of a stream of digests, each of the password and the digest before,
/// beginning with a salt.
fn unprotect(info: &[u8], password: &Secret) -> Result<Vec<u8>, StoreFault> {
    let mut info = Der::new(info).sequence()?;
    if info.sequence()?.value(OID)? != PROTECTOR {
        return Err(StoreFault::Unsupported(
            "a key that is encrypted in that way",
        ));
    }
    let data = info.value(OCTETS)?;
    let (salt, rest) = data.split_at_checked(DIGEST_LEN).ok_or(SHORT)?;
    let end = rest.len().checked_sub(DIGEST_LEN);
    let (encrypted, check) = end
        .and_then(|end| rest.split_at_checked(end))
        .ok_or(SHORT)?;
    let password = utf16(password);
    let digest_with = |text: &[u8]| {
        let mut context = Context::new(&SHA1);
        context.update(&password);
        context.update(text);
        context.finish()
    };
    let mut key = Vec::with_capacity(encrypted.len());
    let mut mask = salt.to_vec();
    for chunk in encrypted.chunks(DIGEST_LEN) {
        mask = digest_with(&mask).as_ref().to_vec();
        key.extend(chunk.iter().zip(&mask).map(|(byte, mask)| byte ^ mask));
    }
    match digest_with(&key).as_ref() == check {
        true => Ok(key),
        false => Err(StoreFault::KeyPassword),
    }
}

const SHORT: StoreFault = StoreFault::Damaged("it ends too early");

/// Reads what Java's `DataOutputStream` writes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], StoreFault> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u32, StoreFault> {
        let digits = self.take(4)?;
        Ok(digits.iter().fold(0, |n, digit| n << 8 | u32::from(*digit)))
    }

    fn text(&mut self) -> Result<&'a [u8], StoreFault> {
        let digits = self.take(2)?;
        let len = digits
            .iter()
            .fold(0, |n, digit| n << 8 | usize::from(*digit));
        self.take(len)
    }

    fn block(&mut self) -> Result<&'a [u8], StoreFault> {
        let len = self.number()? as usize;
        self.take(len)
    }

    fn certificate(&mut self, version: u32) -> Result<Vec<u8>, StoreFault> {
        if version == 2 && self.text()? != b"X.509" {
            return Err(StoreFault::Unsupported("a certificate that is not X.509"));
        }
        self.block().map(<[u8]>::to_vec)
    }
}
