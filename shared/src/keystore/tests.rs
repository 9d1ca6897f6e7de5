//! Stores of keytool and OpenSSL, opened, refused and damaged.

use proptest::prelude::*;

use super::*;

use golden::bytes;

fn secret(text: &str) -> Option<Secret> {
    Some(Secret::new(text))
}

fn lines(text: &str) -> Vec<&str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect()
}

#[test]
fn the_key_and_its_chain_come_out_of_every_kind_of_store() {
    let own = secret("other-secret");
    for (name, text, key_password, has_authority) in [
        ("jks", golden::KEY_JKS, own.as_ref(), true),
        ("p12", golden::KEY_P12, None, true),
        ("legacy p12", golden::LEGACY_P12, None, true),
        ("openssl", golden::OPENSSL_P12, None, true),
    ] {
        let store = read(
            &bytes(text),
            secret("changeit").as_ref(),
            key_password,
            true,
        );
        let store = store.unwrap_or_else(|fault| panic!("{name}: {fault}"));
        let [entry] = &store.keys[..] else {
            panic!("{name}: {store:?}");
        };
        assert_eq!(
            lines(entry.key_pem().expose()),
            lines(golden::KEY_PEM),
            "{name}"
        );
        let mut chain = golden::CLIENT_PEM.to_owned();
        if has_authority {
            chain.push_str(golden::CA_PEM);
        }
        assert_eq!(lines(&entry.chain_pem()), lines(&chain), "{name}");
        assert!(store.trusted.is_empty(), "{name}");
        assert_eq!(
            lines(&store.trust_pem()),
            lines(golden::CLIENT_PEM),
            "{name}"
        );
        let shown = format!("{store:?}");
        assert!(shown.len() < 200, "no key in it: {shown}");
    }
}

#[test]
fn trusted_certificates_come_out_with_the_password_and_those_in_the_open_without() {
    let password = secret("changeit");
    for (name, text, without) in [
        ("jks", golden::TRUST_JKS, true),
        ("p12", golden::TRUST_P12, false),
        ("openssl", golden::OPENSSL_TRUST_P12, false),
    ] {
        let read = |password| read(&bytes(text), password, None, false);
        let store = read(password.as_ref()).unwrap();
        assert_eq!(lines(&store.trust_pem()), lines(golden::CA_PEM), "{name}");
        let store = read(None).unwrap();
        assert_eq!(!store.trust_pem().is_empty(), without, "{name}");
    }
}

#[test]
fn a_wrong_password_is_told_as_the_store_s_or_the_key_s() {
    let wrong = secret("guessed");
    let right = secret("changeit");
    for text in [
        golden::TRUST_JKS,
        golden::TRUST_P12,
        golden::OPENSSL_TRUST_P12,
        golden::KEY_JKS,
        golden::KEY_P12,
        golden::LEGACY_P12,
        golden::OPENSSL_P12,
    ] {
        let fault = read(&bytes(text), wrong.as_ref(), None, true).unwrap_err();
        assert_eq!(fault, StoreFault::Password);
    }
    for key_password in [None, wrong.as_ref()] {
        let fault = read(&bytes(golden::KEY_JKS), right.as_ref(), key_password, true);
        assert_eq!(fault.unwrap_err(), StoreFault::KeyPassword);
    }
    for text in [golden::KEY_P12, golden::LEGACY_P12] {
        let fault = read(&bytes(text), right.as_ref(), wrong.as_ref(), true);
        assert_eq!(fault.unwrap_err(), StoreFault::KeyPassword);
    }
    let fault = read(&bytes(golden::KEY_JKS), None, None, true).unwrap_err();
    assert_eq!(fault, StoreFault::NoPassword);
    let unwanted = read(&bytes(golden::KEY_JKS), right.as_ref(), None, false).unwrap();
    assert_eq!(lines(&unwanted.trust_pem()), lines(golden::CLIENT_PEM));
}

#[test]
fn an_encrypted_key_in_pem_is_decrypted() {
    let text = format!("{}{}", golden::CLIENT_PEM, golden::ENCRYPTED_PEM);
    assert!(is_encrypted_pem(&text) && !is_encrypted_pem(golden::KEY_PEM));
    let key = decrypt_pem(&text, &Secret::new("other-secret")).unwrap();
    assert_eq!(lines(key.expose()), lines(golden::KEY_PEM));
    let fault = decrypt_pem(&text, &Secret::new("guessed")).unwrap_err();
    assert_eq!(fault, StoreFault::KeyPassword);
    let fault = decrypt_pem(golden::KEY_PEM, &Secret::new("guessed")).unwrap_err();
    assert!(matches!(fault, StoreFault::Damaged(_)));
}

#[test]
fn a_key_of_a_curve_gets_the_public_key_that_java_leaves_out() {
    let store = read(
        &bytes(golden::KEY_P12),
        secret("changeit").as_ref(),
        None,
        true,
    )
    .unwrap();
    let entry = &store.keys[0];
    let whole = with_public_key(&entry.key, &entry.chain[0]).unwrap();
    assert_eq!(
        with_public_key(&whole, &entry.chain[0]),
        None,
        "it is there"
    );
    let key = |der: &[u8]| {
        let algorithm = &ring::signature::ECDSA_P256_SHA256_ASN1_SIGNING;
        let random = ring::rand::SystemRandom::new();
        ring::signature::EcdsaKeyPair::from_pkcs8(algorithm, der, &random).is_ok()
    };
    assert_eq!((key(&entry.key), key(&whole)), (false, true));
    for end in 0..whole.len() {
        let _ = with_public_key(&whole[..end], &entry.chain[0]);
        let _ = with_public_key(&entry.key, &entry.chain[0][..end.min(entry.chain[0].len())]);
    }
}

#[test]
fn what_is_no_store_is_told_as_that() {
    for (bytes, kind) in [
        (&b"-----BEGIN CERTIFICATE-----"[..], Kind::Other),
        (&[], Kind::Other),
        (&[0xce, 0xce, 0xce, 0xce, 0, 0, 0, 2], Kind::Jceks),
        (&[0xfe, 0xed, 0xfe, 0xed], Kind::Jks),
        (&[0x30, 0x80], Kind::Pkcs12),
    ] {
        assert_eq!(Kind::of(bytes), kind);
        assert!(read(bytes, None, None, true).is_err());
    }
}

/// What may be wrong with a store on its way.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let stores = [
        golden::TRUST_JKS,
        golden::KEY_JKS,
        golden::KEY_P12,
        golden::LEGACY_P12,
        golden::OPENSSL_TRUST_P12,
    ];
    let one = prop::sample::select(stores.to_vec());
    let change = (any::<prop::sample::Index>(), any::<u8>());
    (
        one,
        prop::collection::vec(change, 0..4),
        any::<prop::sample::Index>(),
    )
        .prop_map(|(text, changes, end)| {
            let mut store = bytes(text);
            for (at, byte) in changes {
                let at = at.index(store.len().min(600));
                store[at] = byte;
            }
            let end = end.index(store.len() * 2);
            store.truncate(end.max(1));
            store
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Without the store's password nothing checks it first, so that every length is tried.
    #[test]
    fn a_damaged_store_is_an_error_and_never_a_panic(store in damaged(), checked in any::<bool>()) {
        let password = secret("changeit");
        let given = password.as_ref().filter(|_| checked);
        let _ = read(&store, given, password.as_ref(), true);
    }
}
