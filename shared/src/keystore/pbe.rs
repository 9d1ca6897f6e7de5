//! What is encrypted with a password: PBES2 and the older ways of PKCS#12, and the codes that show
//! whether a password is right.

use std::borrow::Cow;
use std::num::NonZeroU32;

use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt, InnerIvInit, KeyInit};
use ring::{digest, hmac, pbkdf2};

use super::StoreFault;
use super::der::{Der, OCTETS, OID, SEQUENCE};
use crate::secret::Secret;

/// Java refuses a store that asks for more.
const ITERATIONS_MAX: u32 = 5_000_000;

/// 1.2.840.113549.1.12.1: `pbeWithSHAAnd…`, and which.
const PKCS12_PBE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x01];
const TRIPLE_DES_3: u8 = 3;
const TRIPLE_DES_2: u8 = 4;
const RC2_128: u8 = 5;
const RC2_40: u8 = 6;

/// 1.2.840.113549.1.5: PBKDF2, PBES2, PBMAC1.
const PKCS5: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05];
const PBKDF2: u8 = 12;
const PBES2: u8 = 13;
const PBMAC1: u8 = 14;

/// 1.2.840.113549.2: HMAC with SHA-1, 256, 384, 512.
const HMAC: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02];

/// 2.16.840.1.101.3.4.1: AES-CBC with 128, 192, 256 bits.
const AES: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01];

/// 1.2.840.113549.3.7.
const DES_EDE3_CBC: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x03, 0x07];

/// 1.3.14.3.2.26, and 2.16.840.1.101.3.4.2 for SHA-256, 384, 512.
const SHA1: &[u8] = &[0x2b, 0x0e, 0x03, 0x02, 0x1a];
const SHA2: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02];

/// What a key of PKCS#12 is for.
const FOR_KEY: u8 = 1;
const FOR_IV: u8 = 2;
const FOR_MAC: u8 = 3;

/// The last number of an object identifier below another one.
fn last(oid: &[u8], parent: &[u8]) -> Option<u8> {
    match oid.strip_prefix(parent)? {
        [last] => Some(*last),
        _ => None,
    }
}

fn iterations(der: &mut Der<'_>) -> Result<NonZeroU32, StoreFault> {
    let n = NonZeroU32::new(der.number()?);
    n.filter(|n| n.get() <= ITERATIONS_MAX)
        .ok_or(StoreFault::Damaged(
            "it asks for too many iterations, or none",
        ))
}

/// Decrypts `EncryptedPrivateKeyInfo`.
pub fn decrypt_key(info: &[u8], password: &Secret) -> Result<Vec<u8>, StoreFault> {
    let mut info = Der::new(info).sequence()?;
    let algorithm = info.sequence()?;
    let encrypted = info.octets()?;
    let key = decrypt(algorithm, &encrypted, password).map_err(|fault| match fault {
        StoreFault::Password => StoreFault::KeyPassword,
        other => other,
    })?;
    // The padding of one wrong password in 256 looks right.
    let mut whole = Der::new(&key);
    match whole.any() {
        Ok((SEQUENCE, _)) if whole.is_empty() => Ok(key),
        _ => Err(StoreFault::KeyPassword),
    }
}

/// Decrypts with the way that an `AlgorithmIdentifier` names.
pub fn decrypt(
    mut algorithm: Der<'_>,
    encrypted: &[u8],
    password: &Secret,
) -> Result<Vec<u8>, StoreFault> {
    let oid = algorithm.value(OID)?;
    if last(oid, PKCS5) == Some(PBES2) {
        let mut parameters = algorithm.sequence()?;
        let kdf = parameters.sequence()?;
        let cipher = parameters.sequence()?;
        return pbes2(kdf, cipher, encrypted, password);
    }
    let unsupported = StoreFault::Unsupported("what is encrypted in that way");
    let way = last(oid, PKCS12_PBE).ok_or_else(|| unsupported.clone())?;
    let mut parameters = algorithm.sequence()?;
    let salt = parameters.value(OCTETS)?;
    let n = iterations(&mut parameters)?;
    let password = bmp(password);
    let sha1 = &digest::SHA1_FOR_LEGACY_USE_ONLY;
    let derive = |id: u8, len: usize| pkcs12_kdf(sha1, id, &password, salt, n, len);
    let iv = derive(FOR_IV, 8);
    match way {
        TRIPLE_DES_3 => with_key::<des::TdesEde3>(&derive(FOR_KEY, 24), &iv, encrypted),
        TRIPLE_DES_2 => with_key::<des::TdesEde2>(&derive(FOR_KEY, 16), &iv, encrypted),
        RC2_128 => with_rc2(&derive(FOR_KEY, 16), &iv, encrypted),
        RC2_40 => with_rc2(&derive(FOR_KEY, 5), &iv, encrypted),
        _ => Err(unsupported),
    }
}

fn pbes2(
    mut kdf: Der<'_>,
    mut cipher: Der<'_>,
    encrypted: &[u8],
    password: &Secret,
) -> Result<Vec<u8>, StoreFault> {
    let name = cipher.value(OID)?;
    let iv = cipher.value(OCTETS)?;
    let aes = last(name, AES);
    let key_len = match aes {
        Some(2) => 16,
        Some(22) => 24,
        Some(42) => 32,
        _ if name == DES_EDE3_CBC => 24,
        _ => {
            return Err(StoreFault::Unsupported(
                "what is encrypted with that cipher",
            ));
        }
    };
    let key = pbkdf2_key(&mut kdf, password, key_len)?;
    match aes {
        Some(2) => with_key::<aes::Aes128>(&key, iv, encrypted),
        Some(22) => with_key::<aes::Aes192>(&key, iv, encrypted),
        Some(_) => with_key::<aes::Aes256>(&key, iv, encrypted),
        None => with_key::<des::TdesEde3>(&key, iv, encrypted),
    }
}

/// The key that PBKDF2 makes with these parameters.
fn pbkdf2_key(kdf: &mut Der<'_>, password: &Secret, len: usize) -> Result<Vec<u8>, StoreFault> {
    if last(kdf.value(OID)?, PKCS5) != Some(PBKDF2) {
        return Err(StoreFault::Unsupported(
            "a key that is made of a password in that way",
        ));
    }
    let mut parameters = kdf.sequence()?;
    let salt = parameters.value(OCTETS)?;
    let n = iterations(&mut parameters)?;
    if parameters.tag() == Some(super::der::INTEGER) {
        // The cipher says it too.
        parameters.number()?;
    }
    let hash = match parameters.is_empty() {
        true => 7,
        false => last(parameters.sequence()?.value(OID)?, HMAC).unwrap_or(0),
    };
    let algorithm = match hash {
        7 => pbkdf2::PBKDF2_HMAC_SHA1,
        9 => pbkdf2::PBKDF2_HMAC_SHA256,
        10 => pbkdf2::PBKDF2_HMAC_SHA384,
        11 => pbkdf2::PBKDF2_HMAC_SHA512,
        _ => return Err(StoreFault::Unsupported("a key that is made with that hash")),
    };
    let mut key = vec![0; len];
    pbkdf2::derive(algorithm, n, salt, password.expose().as_bytes(), &mut key);
    Ok(key)
}

fn with_key<C: BlockCipherDecrypt + KeyInit>(
    key: &[u8],
    iv: &[u8],
    encrypted: &[u8],
) -> Result<Vec<u8>, StoreFault> {
    let cipher = C::new_from_slice(key);
    let cipher = cipher.map_err(|_| StoreFault::Damaged("a key has the wrong length"))?;
    with_cipher(cipher, iv, encrypted)
}

fn with_rc2(key: &[u8], iv: &[u8], encrypted: &[u8]) -> Result<Vec<u8>, StoreFault> {
    with_cipher(
        rc2::Rc2::new_with_eff_key_len(key, key.len() * 8),
        iv,
        encrypted,
    )
}

fn with_cipher<C: BlockCipherDecrypt>(
    cipher: C,
    iv: &[u8],
    encrypted: &[u8],
) -> Result<Vec<u8>, StoreFault> {
    let mode = Decryptor::inner_iv_slice_init(cipher, iv);
    let mode = mode.map_err(|_| StoreFault::Damaged("an IV has the wrong length"))?;
    let plain = mode.decrypt_padded_vec::<Pkcs7>(encrypted);
    plain.map_err(|_| StoreFault::Password)
}

/// A password as PKCS#12 has it: two bytes a character, and a zero.
fn bmp(password: &Secret) -> Vec<u8> {
    let characters = password.expose().encode_utf16().chain([0]);
    characters.flat_map(u16::to_be_bytes).collect()
}

/// The key derivation of PKCS#12 (RFC 7292, appendix B.2).
fn pkcs12_kdf(
    hash: &'static digest::Algorithm,
    id: u8,
    password: &[u8],
    salt: &[u8],
    iterations: NonZeroU32,
    len: usize,
) -> Vec<u8> {
    let block = hash.block_len();
    let filled = |bytes: &[u8]| -> Vec<u8> {
        let n = bytes.len().div_ceil(block) * block;
        bytes.iter().copied().cycle().take(n).collect()
    };
    let mut input = filled(salt);
    input.extend(filled(password));
    let mut out = Vec::with_capacity(len + hash.output_len());
    while out.len() < len {
        let mut context = digest::Context::new(hash);
        context.update(&vec![id; block]);
        context.update(&input);
        let mut a = context.finish();
        for _ in 1..iterations.get() {
            a = digest::digest(hash, a.as_ref());
        }
        out.extend_from_slice(a.as_ref());
        let b: Vec<u8> = a.as_ref().iter().copied().cycle().take(block).collect();
        for part in input.chunks_mut(block) {
            let mut carry = 1u16;
            for (byte, add) in part.iter_mut().zip(&b).rev() {
                carry += u16::from(*byte) + u16::from(*add);
                *byte = carry.to_be_bytes()[1];
                carry >>= 8;
            }
        }
    }
    out.truncate(len);
    out
}

/// Checks `MacData` over the content of a store.
pub fn check_mac(mut mac: Der<'_>, content: &[u8], password: &Secret) -> Result<(), StoreFault> {
    let mut info = mac.sequence()?;
    let mut algorithm = info.sequence()?;
    let expected = info.value(OCTETS)?;
    let oid = algorithm.value(OID)?;
    let (hash, key): (_, Cow<'_, [u8]>) = if last(oid, PKCS5) == Some(PBMAC1) {
        let mut parameters = algorithm.sequence()?;
        let mut kdf = parameters.sequence()?;
        let hash = match last(parameters.sequence()?.value(OID)?, HMAC) {
            Some(9) => hmac::HMAC_SHA256,
            Some(10) => hmac::HMAC_SHA384,
            Some(11) => hmac::HMAC_SHA512,
            _ => {
                return Err(StoreFault::Unsupported(
                    "a store that is checked in that way",
                ));
            }
        };
        let len = hash.digest_algorithm().output_len();
        (hash, pbkdf2_key(&mut kdf, password, len)?.into())
    } else {
        let hash = match (oid == SHA1, last(oid, SHA2)) {
            (true, _) => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            (_, Some(1)) => hmac::HMAC_SHA256,
            (_, Some(2)) => hmac::HMAC_SHA384,
            (_, Some(3)) => hmac::HMAC_SHA512,
            _ => {
                return Err(StoreFault::Unsupported(
                    "a store that is checked in that way",
                ));
            }
        };
        let salt = mac.value(OCTETS)?;
        let n = match mac.is_empty() {
            true => NonZeroU32::MIN,
            false => iterations(&mut mac)?,
        };
        let digest = hash.digest_algorithm();
        let len = digest.output_len();
        (
            hash,
            pkcs12_kdf(digest, FOR_MAC, &bmp(password), salt, n, len).into(),
        )
    };
    let key = hmac::Key::new(hash, &key);
    hmac::verify(&key, content, expected).map_err(|_| StoreFault::Password)
}
