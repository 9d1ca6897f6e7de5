//! SCRAM-SHA-256 and SCRAM-SHA-512, the client's part and the keys that a server keeps.
//!
//! A [`ScramClient`] makes the first message, reads the server's first and makes the proof, and
//! reads the server's last: only a server that knows the password's keys can write that one.
//!
//! Invariants:
//! - The server's nonce begins with the client's, or the exchange is over.
//! - Fewer iterations than Kafka's minimum are refused as too weak to send a proof for, and more
//!   than [`ITERATIONS_MAX`] as an attempt to keep the client busy.
//! - The server's signature is compared in constant time.
//!
//! RFC 5802, RFC 7677; Kafka: `common/security/scram/internals/ScramSaslClient.java`,
//! `ScramFormatter.java`, `ScramMechanism.java` (4.3).

use std::num::NonZeroU32;

use ring::{digest, hmac, pbkdf2};

use super::{base64, from_base64};
use crate::secret::Secret;

/// Kafka's minimum for both mechanisms.
pub const ITERATIONS_MIN: u32 = 4096;

/// Kafka accepts at most 16384 when credentials are created. Brokers of other makers take more; a
/// server that asks for more than this keeps a client busy for seconds at every connection.
pub const ITERATIONS_MAX: u32 = 1_000_000;

/// No message of a server is longer.
const MESSAGE_BYTES_MAX: usize = 4096;

/// The hash of a mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScramHash {
    Sha256,
    Sha512,
}

impl ScramHash {
    /// The name of the mechanism.
    pub fn mechanism(self) -> &'static str {
        match self {
            ScramHash::Sha256 => "SCRAM-SHA-256",
            ScramHash::Sha512 => "SCRAM-SHA-512",
        }
    }

    /// By the name of the mechanism.
    pub fn of_mechanism(name: &str) -> Option<ScramHash> {
        [ScramHash::Sha256, ScramHash::Sha512]
            .into_iter()
            .find(|hash| hash.mechanism() == name)
    }

    fn hmac(self) -> hmac::Algorithm {
        match self {
            ScramHash::Sha256 => hmac::HMAC_SHA256,
            ScramHash::Sha512 => hmac::HMAC_SHA512,
        }
    }

    fn digest(self) -> &'static digest::Algorithm {
        match self {
            ScramHash::Sha256 => &digest::SHA256,
            ScramHash::Sha512 => &digest::SHA512,
        }
    }

    fn pbkdf2(self) -> pbkdf2::Algorithm {
        match self {
            ScramHash::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            ScramHash::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }

    /// `Hi(password, salt, iterations)`.
    pub fn salted_password(
        self,
        password: &Secret,
        salt: &[u8],
        iterations: NonZeroU32,
    ) -> Vec<u8> {
        let mut out = vec![0; self.digest().output_len()];
        let password = password.expose().as_bytes();
        pbkdf2::derive(self.pbkdf2(), iterations, salt, password, &mut out);
        out
    }

    pub fn client_key(self, salted_password: &[u8]) -> Vec<u8> {
        self.mac(salted_password, b"Client Key")
    }

    pub fn server_key(self, salted_password: &[u8]) -> Vec<u8> {
        self.mac(salted_password, b"Server Key")
    }

    /// `H(client_key)`, which is what a server keeps.
    pub fn stored_key(self, client_key: &[u8]) -> Vec<u8> {
        digest::digest(self.digest(), client_key).as_ref().to_vec()
    }

    fn mac(self, key: &[u8], text: &[u8]) -> Vec<u8> {
        let key = hmac::Key::new(self.hmac(), key);
        hmac::sign(&key, text).as_ref().to_vec()
    }
}

/// Why an exchange is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    #[error("the server's message can't be read")]
    Malformed,
    #[error("the server's nonce is not an answer to ours")]
    WrongNonce,
    #[error(
        "the server asks for {0} iterations; from {ITERATIONS_MIN} to {ITERATIONS_MAX} are accepted"
    )]
    Iterations(u32),
    #[error("the server says {0}")]
    Refused(String),
    #[error("the server did not prove that it knows the password: it may not be the one you mean")]
    WrongSignature,
}

/// The client's part of one exchange.
pub struct ScramClient {
    hash: ScramHash,
    password: Secret,
    nonce: String,
    first_bare: String,
    gs2_header: &'static str,
    server_signature: Vec<u8>,
}

impl std::fmt::Debug for ScramClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScramClient")
            .field("hash", &self.hash)
            .finish_non_exhaustive()
    }
}

impl ScramClient {
    /// `nonce` is printable ASCII without commas and never used before.
    // Differs from Kafka: neither prepares names and passwords with SASLprep, and so does this; but
    // a nonce is never sent twice.
    pub fn new(hash: ScramHash, username: &str, password: Secret, nonce: &str) -> ScramClient {
        let name = username.replace('=', "=3D").replace(',', "=2C");
        ScramClient {
            hash,
            password,
            nonce: nonce.to_owned(),
            first_bare: format!("n={name},r={nonce}"),
            gs2_header: "n,,",
            server_signature: Vec::new(),
        }
    }

    /// As for a user whose token is a delegation token.
    #[must_use]
    pub fn with_token_auth(mut self) -> ScramClient {
        self.first_bare.push_str(",tokenauth=true");
        self
    }

    /// The client's first message.
    pub fn first(&self) -> Vec<u8> {
        format!("{}{}", self.gs2_header, self.first_bare).into_bytes()
    }

    /// Reads the server's first message; the answer is the client's final one, with the proof.
    ///
    /// # Errors
    /// The message can't be read, isn't for this exchange, or asks for too little or too much work.
    pub fn finish(&mut self, server_first: &[u8]) -> Result<Vec<u8>, ScramError> {
        let server_first = text(server_first)?;
        if let Some(error) = server_first.strip_prefix("e=") {
            return Err(refused(error));
        }
        let [nonce, salt, iterations] = fields(server_first, ["r", "s", "i"])?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(ScramError::WrongNonce);
        }
        let salt = from_base64(salt).ok_or(ScramError::Malformed)?;
        let iterations: u32 = iterations.parse().map_err(|_| ScramError::Malformed)?;
        let rounds = NonZeroU32::new(iterations);
        let rounds = rounds.filter(|n| (ITERATIONS_MIN..=ITERATIONS_MAX).contains(&n.get()));
        let rounds = rounds.ok_or(ScramError::Iterations(iterations))?;
        let salted = self.hash.salted_password(&self.password, &salt, rounds);
        let channel = base64(self.gs2_header.as_bytes());
        let without_proof = format!("c={channel},r={nonce}");
        let auth_message = format!("{},{server_first},{without_proof}", self.first_bare);
        let client_key = self.hash.client_key(&salted);
        let stored_key = self.hash.stored_key(&client_key);
        let signature = self.hash.mac(&stored_key, auth_message.as_bytes());
        let proof: Vec<u8> = client_key
            .iter()
            .zip(&signature)
            .map(|(a, b)| a ^ b)
            .collect();
        let server_key = self.hash.server_key(&salted);
        self.server_signature = self.hash.mac(&server_key, auth_message.as_bytes());
        Ok(format!("{without_proof},p={}", base64(&proof)).into_bytes())
    }

    /// Reads the server's final message.
    ///
    /// # Errors
    /// The server refuses, or does not know the password itself.
    pub fn verify(&self, server_final: &[u8]) -> Result<(), ScramError> {
        let server_final = text(server_final)?;
        if let Some(error) = server_final.strip_prefix("e=") {
            return Err(refused(error));
        }
        let [signature] = fields(server_final, ["v"])?;
        let signature = from_base64(signature).ok_or(ScramError::Malformed)?;
        let is_there = !self.server_signature.is_empty();
        if is_there && is_equal(&self.server_signature, &signature) {
            Ok(())
        } else {
            Err(ScramError::WrongSignature)
        }
    }
}

/// Compares without telling by time where the first difference is.
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    let differences = a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b));
    a.len() == b.len() && std::hint::black_box(differences) == 0
}

fn text(message: &[u8]) -> Result<&str, ScramError> {
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(ScramError::Malformed);
    }
    std::str::from_utf8(message).map_err(|_| ScramError::Malformed)
}

/// Only words of the kind that RFC 5802 has; anything else could be made to look like something.
fn refused(error: &str) -> ScramError {
    let word = error.split(',').next().unwrap_or_default();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if !word.is_empty() && word.len() <= 64 && word.chars().all(is_word) {
        ScramError::Refused(word.to_owned())
    } else {
        ScramError::Malformed
    }
}

/// The first attributes of a message, which have to have these names; extensions may follow.
fn fields<'a, const N: usize>(
    message: &'a str,
    names: [&str; N],
) -> Result<[&'a str; N], ScramError> {
    let mut parts = message.split(',');
    let mut values = [""; N];
    for (value, name) in values.iter_mut().zip(names) {
        let part = parts.next().ok_or(ScramError::Malformed)?;
        let (key, text) = part.split_once('=').ok_or(ScramError::Malformed)?;
        if key != name {
            return Err(ScramError::Malformed);
        }
        *value = text;
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 7677 §3.
    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                                s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                                p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    fn client(password: &str) -> ScramClient {
        ScramClient::new(ScramHash::Sha256, "user", password.into(), NONCE)
    }

    #[test]
    fn sha_256_is_as_in_rfc_7677() {
        let mut client = client("pencil");
        assert_eq!(client.first(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let answer = client.finish(SERVER_FIRST.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(answer).unwrap(), CLIENT_FINAL);
        assert_eq!(client.verify(SERVER_FINAL.as_bytes()), Ok(()));
    }

    /// As RFC 5802 prescribes it, with the other hash: a server of the same keys agrees.
    #[test]
    fn sha_512_agrees_with_a_server_that_keeps_the_keys() {
        let hash = ScramHash::Sha512;
        let mut client = ScramClient::new(hash, "a=b,c", "pencil".into(), "clientnonce");
        assert_eq!(client.first(), b"n,,n=a=3Db=2Cc,r=clientnonce");
        let server_first = "r=clientnonceserver,s=c2FsdA==,i=8192";
        let answer = client.finish(server_first.as_bytes()).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (without_proof, proof) = answer.split_once(",p=").unwrap();
        let rounds = NonZeroU32::new(8192).unwrap();
        let salted = hash.salted_password(&"pencil".into(), b"salt", rounds);
        let stored_key = hash.stored_key(&hash.client_key(&salted));
        let auth = format!("n=a=3Db=2Cc,r=clientnonce,{server_first},{without_proof}");
        let signature = hash.mac(&stored_key, auth.as_bytes());
        let proof = from_base64(proof).unwrap();
        let client_key: Vec<u8> = proof.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        assert_eq!(hash.stored_key(&client_key), stored_key);
        let server = hash.mac(&hash.server_key(&salted), auth.as_bytes());
        let server_final = format!("v={}", base64(&server));
        assert_eq!(client.verify(server_final.as_bytes()), Ok(()));
    }

    #[test]
    fn a_server_that_does_not_know_the_password_is_found_out() {
        let mut client = client("pencil");
        assert_eq!(
            client.verify(SERVER_FINAL.as_bytes()),
            Err(ScramError::WrongSignature),
            "before anything was proved"
        );
        client.finish(SERVER_FIRST.as_bytes()).unwrap();
        for (answer, error) in [
            (
                "v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
                ScramError::WrongSignature,
            ),
            ("v=", ScramError::WrongSignature),
            ("v=6rri", ScramError::WrongSignature),
            ("v=!", ScramError::Malformed),
            ("", ScramError::Malformed),
            (
                "e=invalid-proof",
                ScramError::Refused("invalid-proof".to_owned()),
            ),
            ("e=\u{1b}[2J", ScramError::Malformed),
        ] {
            assert_eq!(client.verify(answer.as_bytes()), Err(error), "{answer}");
        }
    }

    #[test]
    fn a_first_message_that_is_wrong_gets_no_proof() {
        for (message, error) in [
            ("r=other,s=c2FsdA==,i=4096", ScramError::WrongNonce),
            (
                "r=rOprNGfwEbeRWgbNEkqO,s=c2FsdA==,i=4096",
                ScramError::WrongNonce,
            ),
            (
                "r=rOprNGfwEbeRWgbNEkqOx,s=c2FsdA==,i=4095",
                ScramError::Iterations(4095),
            ),
            (
                "r=rOprNGfwEbeRWgbNEkqOx,s=c2FsdA==,i=1000001",
                ScramError::Iterations(1_000_001),
            ),
            (
                "r=rOprNGfwEbeRWgbNEkqOx,s=c2FsdA==,i=0",
                ScramError::Iterations(0),
            ),
            (
                "r=rOprNGfwEbeRWgbNEkqOx,s=c2FsdA==,i=-1",
                ScramError::Malformed,
            ),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=?,i=4096", ScramError::Malformed),
            (
                "r=rOprNGfwEbeRWgbNEkqOx,i=4096,s=c2FsdA==",
                ScramError::Malformed,
            ),
            (
                "m=ext,r=rOprNGfwEbeRWgbNEkqOx,s=c2FsdA==,i=4096",
                ScramError::Malformed,
            ),
            (
                "e=unknown-user",
                ScramError::Refused("unknown-user".to_owned()),
            ),
            ("", ScramError::Malformed),
        ] {
            let got = client("pencil").finish(message.as_bytes());
            assert_eq!(got, Err(error), "{message}");
        }
    }

    proptest! {
        #[test]
        fn no_message_of_a_server_makes_it_panic(first: Vec<u8>, last: Vec<u8>) {
            let mut client = client("pencil");
            let _ = client.finish(&first);
            prop_assert!(client.verify(&last).is_err());
        }
    }
}
