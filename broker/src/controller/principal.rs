//! Who a request is from, as brokers tell the controller when they pass a request on.
//!
//! Kafka: `common/security/authenticator/DefaultKafkaPrincipalBuilder.java`,
//! `DefaultPrincipalData.json` (4.3), KIP-590.

use std::fmt;
use std::sync::Arc;

use kafka_shared::schema;
use kafka_shared::schema::{Schema, SchemaError};

schema! {
    /// The serialized form of a principal.
    pub struct DefaultPrincipalData, versions 0..=0, flexible 0 {
        principal_type: String;
        name: String;
        token_authenticated: bool;
    }
}

/// A user, as authentication found out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    /// `User` for all that Kafka itself makes.
    pub principal_type: Arc<str>,
    pub name: Arc<str>,
    /// Whether a delegation token was the proof.
    pub is_token_authenticated: bool,
}

impl Principal {
    /// Who is not authenticated at all.
    pub fn anonymous() -> Self {
        Self {
            principal_type: "User".into(),
            name: "ANONYMOUS".into(),
            is_token_authenticated: false,
        }
    }

    /// The form in which an Envelope carries it.
    ///
    /// # Errors
    /// If a part is too long for a string of the protocol.
    pub fn serialize(&self) -> Result<Vec<u8>, SchemaError> {
        let data = DefaultPrincipalData {
            principal_type: self.principal_type.as_ref().to_owned(),
            name: self.name.as_ref().to_owned(),
            token_authenticated: self.is_token_authenticated,
        };
        data.encode_versioned(0)
    }

    /// Reads what [`Self::serialize`] or Apache Kafka wrote.
    ///
    /// # Errors
    /// If it is something else.
    pub fn deserialize(bytes: &[u8]) -> Result<Self, SchemaError> {
        let (_, data) = DefaultPrincipalData::decode_versioned(bytes)?;
        Ok(Self {
            principal_type: data.principal_type.into(),
            name: data.name.into(),
            is_token_authenticated: data.token_authenticated,
        })
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.principal_type, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_anonymous_user_has_the_bytes_that_apache_kafka_writes() {
        let recorded = b"\0\0\x05User\x0aANONYMOUS\0\0";
        assert_eq!(Principal::anonymous().serialize().unwrap(), recorded);
        let read = Principal::deserialize(recorded).unwrap();
        assert_eq!(read, Principal::anonymous());
        assert_eq!(read.to_string(), "User:ANONYMOUS");
    }

    #[test]
    fn every_principal_is_read_as_it_was_written() {
        let principal = Principal {
            principal_type: "Group".into(),
            name: "n".repeat(300).into(),
            is_token_authenticated: true,
        };
        let mut bytes = principal.serialize().unwrap();
        assert_eq!(Principal::deserialize(&bytes).unwrap(), principal);
        // A later Kafka may add tagged fields.
        bytes.pop();
        bytes.extend([1, 7, 2, b'x', b'y']);
        assert_eq!(Principal::deserialize(&bytes).unwrap(), principal);
    }

    #[test]
    fn broken_principals_are_refused() {
        let whole = Principal::anonymous().serialize().unwrap();
        for end in 0..whole.len() {
            assert!(Principal::deserialize(&whole[..end]).is_err(), "{end}");
        }
        for broken in [
            &b"\0\x01\x05User\x02a\0\0"[..],
            b"\0\0\0\x02a\0\0",
            b"\0\0\x02\xff\x02a\0\0",
            b"\0\0\xff\xff\xff\xff\x0f",
        ] {
            assert!(Principal::deserialize(broken).is_err(), "{broken:?}");
        }
    }
}
