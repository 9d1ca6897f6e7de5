//! Java writes private keys of elliptic curves without the public key, and ring does not take those.

use super::StoreFault;
use super::der::{BIT_STRING, Der, INTEGER, OCTETS, OID, SEQUENCE, context, value};

/// 1.2.840.10045.2.1.
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];

/// The same key with the public key of its certificate in it; `None` where it is of another kind,
/// or has it already. Both are DER, the key PKCS#8.
pub fn with_public_key(key: &[u8], certificate: &[u8]) -> Option<Vec<u8>> {
    completed(key, certificate).ok().flatten()
}

fn completed(key: &[u8], certificate: &[u8]) -> Result<Option<Vec<u8>>, StoreFault> {
    let mut info = Der::new(key).sequence()?;
    let version = info.value(INTEGER)?;
    let algorithm = info.value(SEQUENCE)?;
    if Der::new(algorithm).value(OID)? != EC_PUBLIC_KEY {
        return Ok(None);
    }
    let mut private = Der::new(info.value(OCTETS)?).sequence()?;
    let private_version = private.value(INTEGER)?;
    let number = private.value(OCTETS)?;
    while !private.is_empty() {
        if private.any()?.0 == context(1) {
            return Ok(None);
        }
    }
    let public = public_key(certificate)?;
    let inner = [
        value(INTEGER, private_version),
        value(OCTETS, number),
        value(context(1), &value(BIT_STRING, public)),
    ];
    let outer = [
        value(INTEGER, version),
        value(SEQUENCE, algorithm),
        value(OCTETS, &value(SEQUENCE, &inner.concat())),
    ];
    Ok(Some(value(SEQUENCE, &outer.concat())))
}

/// The public key of a certificate, as the content of a bit string.
fn public_key(certificate: &[u8]) -> Result<&[u8], StoreFault> {
    let mut signed = Der::new(certificate).sequence()?.sequence()?;
    if signed.tag() == Some(context(0)) {
        signed.any()?;
    }
    // Serial number, algorithm, issuer, validity, subject.
    for _ in 0..5 {
        signed.any()?;
    }
    let mut info = signed.sequence()?;
    info.any()?;
    info.value(BIT_STRING)
}
