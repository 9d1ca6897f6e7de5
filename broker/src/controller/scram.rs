//! SCRAM credentials: what is kept of users' passwords.
//!
//! The request brings the salted password; the keys that are kept are derived from it here, and it
//! is forgotten: from the keys nobody can log in as the user elsewhere.
//!
//! Kafka: `controller/ScramControlManager.java` (4.3), KIP-554, RFC 5802.

use std::collections::BTreeMap;

use hmac::{Hmac, Mac};
use kafka_protocol::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use kafka_protocol::messages::alter_user_scram_credentials_response::AlterUserScramCredentialsResult;
use kafka_protocol::messages::{
    AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse,
};
use kafka_shared::error::{ApiError, ErrorCode};
use kafka_shared::schema::metadata::{
    MetadataRecord, RemoveUserScramCredentialRecord, UserScramCredentialRecord,
};
use sha2::{Digest, Sha256, Sha512};

use super::state::{Outcome, QuorumController};
use super::topics::{error_message, own};

/// Level of metadata.version from which on credentials are kept.
const SCRAM_SINCE: i16 = 11;

const ITERATIONS_MIN: i32 = 4096;
const ITERATIONS_MAX: i32 = 16384;

/// A mechanism; the numbers are those of requests and records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mechanism {
    Sha256 = 1,
    Sha512 = 2,
}

impl Mechanism {
    fn from_id(id: i8) -> Option<Self> {
        match id {
            1 => Some(Self::Sha256),
            2 => Some(Self::Sha512),
            _ => None,
        }
    }

    fn hash(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }

    fn hmac(self, key: &[u8], text: &[u8]) -> Vec<u8> {
        const ANY_LENGTH: &str = "a key of any length will do";
        match self {
            Self::Sha256 => {
                let mut mac = Hmac::<Sha256>::new_from_slice(key).expect(ANY_LENGTH);
                mac.update(text);
                mac.finalize().into_bytes().to_vec()
            }
            Self::Sha512 => {
                let mut mac = Hmac::<Sha512>::new_from_slice(key).expect(ANY_LENGTH);
                mac.update(text);
                mac.finalize().into_bytes().to_vec()
            }
        }
    }

    /// StoredKey and ServerKey.
    fn keys(self, salted_password: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let client_key = self.hmac(salted_password, b"Client Key");
        let server_key = self.hmac(salted_password, b"Server Key");
        (self.hash(&client_key), server_key)
    }
}

/// What a request wants of one user.
enum Change<'a> {
    Delete(&'a ScramCredentialDeletion),
    Upsert(&'a ScramCredentialUpsertion),
    Refused(ApiError),
}

impl QuorumController {
    /// AlterUserScramCredentials. Everything is said per user.
    pub fn alter_user_scram_credentials(
        &self,
        request: &AlterUserScramCredentialsRequest,
    ) -> Outcome<AlterUserScramCredentialsResponse> {
        let mut changes: BTreeMap<&str, Change<'_>> = BTreeMap::new();
        for deletion in &request.deletions {
            let checked = self.check_deletion(deletion);
            let change = checked.map_or_else(Change::Refused, |()| Change::Delete(deletion));
            add(&mut changes, deletion.name.as_str(), change);
        }
        for upsertion in &request.upsertions {
            let checked = self.check_upsertion(upsertion);
            let change = checked.map_or_else(Change::Refused, |()| Change::Upsert(upsertion));
            add(&mut changes, upsertion.name.as_str(), change);
        }
        let mut records: Vec<MetadataRecord> = Vec::new();
        let mut results = Vec::new();
        for (user, change) in changes {
            let error = match change {
                Change::Delete(deletion) => {
                    records.push(
                        RemoveUserScramCredentialRecord {
                            name: user.to_owned(),
                            mechanism: deletion.mechanism,
                        }
                        .into(),
                    );
                    None
                }
                Change::Upsert(upsertion) => match credential(upsertion) {
                    Ok(record) => {
                        records.push(record.into());
                        None
                    }
                    Err(error) => Some(error),
                },
                Change::Refused(error) => Some(error),
            };
            results.push(
                AlterUserScramCredentialsResult::default()
                    .with_user(own(user))
                    .with_error_code(error.as_ref().map_or(0, |error| error.code.0))
                    .with_error_message(error.as_ref().and_then(error_message)),
            );
        }
        let response = AlterUserScramCredentialsResponse::default().with_results(results);
        Outcome::atomic(records, response)
    }

    fn check_deletion(&self, deletion: &ScramCredentialDeletion) -> Result<(), ApiError> {
        self.check_scram_supported()?;
        let name = deletion.name.as_str();
        check_user_and_mechanism(name, deletion.mechanism)?;
        let key = (deletion.mechanism, name.into());
        if self.image.scram.contains_key(&key) {
            return Ok(());
        }
        Err(ApiError::new(
            ErrorCode::RESOURCE_NOT_FOUND,
            "Attempt to delete a user credential that does not exist",
        ))
    }

    fn check_upsertion(&self, upsertion: &ScramCredentialUpsertion) -> Result<(), ApiError> {
        self.check_scram_supported()?;
        check_user_and_mechanism(upsertion.name.as_str(), upsertion.mechanism)?;
        let unacceptable = |message| ApiError::new(ErrorCode::UNACCEPTABLE_CREDENTIAL, message);
        match upsertion.iterations {
            ..ITERATIONS_MIN => Err(unacceptable("Too few iterations")),
            ITERATIONS_MIN..=ITERATIONS_MAX => Ok(()),
            _ => Err(unacceptable("Too many iterations")),
        }
    }

    fn check_scram_supported(&self) -> Result<(), ApiError> {
        if self.metadata_version() >= SCRAM_SINCE {
            return Ok(());
        }
        Err(ApiError::new(
            ErrorCode::UNSUPPORTED_VERSION,
            "The current metadata.version does not support SCRAM",
        ))
    }
}

/// Notes what is wanted of a user. Two wishes for the same one are a mistake, unless the first was
/// refused already.
fn add<'a>(changes: &mut BTreeMap<&'a str, Change<'a>>, user: &'a str, change: Change<'a>) {
    let change = match changes.get(user) {
        None => change,
        Some(Change::Refused(_)) => return,
        Some(_) => Change::Refused(ApiError::new(
            ErrorCode::DUPLICATE_RESOURCE,
            "A user credential cannot be altered twice in the same request",
        )),
    };
    changes.insert(user, change);
}

fn check_user_and_mechanism(user: &str, mechanism: i8) -> Result<(), ApiError> {
    if user.is_empty() {
        return Err(ApiError::new(
            ErrorCode::UNACCEPTABLE_CREDENTIAL,
            "Username must not be empty",
        ));
    }
    if Mechanism::from_id(mechanism).is_none() {
        return Err(unknown_mechanism());
    }
    Ok(())
}

fn unknown_mechanism() -> ApiError {
    ApiError::new(
        ErrorCode::UNSUPPORTED_SASL_MECHANISM,
        "Unknown SCRAM mechanism",
    )
}

fn credential(upsertion: &ScramCredentialUpsertion) -> Result<UserScramCredentialRecord, ApiError> {
    let mechanism = Mechanism::from_id(upsertion.mechanism).ok_or_else(unknown_mechanism)?;
    if upsertion.salted_password.is_empty() {
        // Java's HMAC takes no empty key, and this is what becomes of it.
        return Err(ErrorCode::UNKNOWN_SERVER_ERROR.into());
    }
    let (stored_key, server_key) = mechanism.keys(&upsertion.salted_password);
    Ok(UserScramCredentialRecord {
        name: upsertion.name.as_str().to_owned(),
        mechanism: upsertion.mechanism,
        salt: upsertion.salt.to_vec().into(),
        stored_key: stored_key.into(),
        server_key: server_key.into(),
        iterations: upsertion.iterations,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_keys_are_those_of_the_rfcs_example() {
        // RFC 7677: user "user", password "pencil", 4096 iterations; the salted password is
        // PBKDF2-HMAC-SHA-256 of it with the salt W22ZaJ0SNY7soEsUEjb6gQ==.
        let salted = [
            0xc4, 0xa4, 0x95, 0x10, 0x32, 0x3a, 0xb4, 0xf9, 0x52, 0xca, 0xc1, 0xfa, 0x99, 0x44,
            0x19, 0x39, 0xe7, 0x8e, 0xa7, 0x4d, 0x6b, 0xe8, 0x1d, 0xdf, 0x70, 0x96, 0xe8, 0x75,
            0x13, 0xdc, 0x61, 0x5d,
        ];
        let (stored, server) = Mechanism::Sha256.keys(&salted);
        assert_eq!(
            (hex(&stored).as_str(), hex(&server).as_str()),
            (
                "586e5df283e6dceb5c3e791d8b8528ec191e664045ce971792e2e6b5bb13e2a6",
                "c1f3cbc1c13a9d35a14c0990eed97629ea225863e566a4314ab99f3f00e5d9d5"
            )
        );
        let (stored, server) = Mechanism::Sha512.keys(&salted);
        assert!(hex(&stored).starts_with("65cc4eacc595a618209ea69ef61c5826"));
        assert!(hex(&server).starts_with("a5acb33dd32f25da22ff602c22d639b4"));
    }
}
