//! How the brokers of a saved cluster are connected to, as forms and options name it: read from the
//! client properties of its entry, and written into them.
//!
//! Invariants: nothing that could be a secret is read out of an entry; what is not changed keeps
//! its properties, also those that no form knows.

use std::path::Path;

use kafka_shared::client::security::jaas::Jaas;
use kafka_shared::secret::Source;

use super::entry::{Entry, Login};

const PROTOCOL: &str = "security.protocol";
const MECHANISM: &str = "sasl.mechanism";
const JAAS: &str = "sasl.jaas.config";

/// A file of certificates that an entry names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// The authorities that are trusted.
    Trusted,
    /// The own chain with its key.
    Own,
}

impl Store {
    /// Its properties; the first says where it is, the second what it is.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Trusted => &[
                "ssl.truststore.location",
                "ssl.truststore.type",
                "ssl.truststore.password",
            ],
            Self::Own => &[
                "ssl.keystore.location",
                "ssl.keystore.type",
                "ssl.keystore.password",
                "ssl.key.password",
            ],
        }
    }
}

/// A login as it may be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShownLogin {
    /// By Kafka's name.
    pub mechanism: String,
    pub user: String,
    /// Where the password is, as `env:NAME`; `None` where it stands in the file itself.
    pub password_from: Option<String>,
}

/// `${env:NAME}` as people type it: `env:NAME`; `None` for a text that is no reference.
pub fn place_of(reference: &str) -> Option<String> {
    let reference = Source::parse(reference).reference()?;
    let place = reference.strip_prefix("${")?.strip_suffix('}')?;
    Some(place.to_owned())
}

impl Entry {
    /// Who logs in; `None` where no property says so.
    pub fn login(&self) -> Option<ShownLogin> {
        let mechanism = self.settings.get(MECHANISM)?;
        let jaas = self.settings.get(JAAS).map(|text| Jaas::parse(text));
        let jaas = jaas.and_then(Result::ok);
        let option = |name| jaas.as_ref()?.option(name).map(|secret| secret.expose());
        Some(ShownLogin {
            mechanism: mechanism.clone(),
            user: option("username").unwrap_or_default().to_owned(),
            password_from: option("password").and_then(place_of),
        })
    }

    /// Logs in like this from now on, or not at all.
    pub fn set_login(&mut self, login: Option<&Login>) {
        for key in [MECHANISM, JAAS] {
            self.settings.remove(key);
        }
        self.settings
            .extend(login.into_iter().flat_map(Login::settings));
        self.set_protocol(self.has_tls(), login.is_some());
    }

    /// Whether the properties say that TLS is spoken.
    pub fn has_tls(&self) -> bool {
        self.protocol().ends_with("SSL")
    }

    pub fn set_tls(&mut self, tls: bool) {
        let has_login = match self.protocol() {
            "" => self.settings.contains_key(MECHANISM),
            protocol => protocol.starts_with("SASL"),
        };
        self.set_protocol(tls, has_login);
    }

    /// Where such certificates are.
    pub fn store(&self, store: Store) -> Option<&str> {
        let location = store.keys().first()?;
        self.settings.get(*location).map(String::as_str)
    }

    /// Takes these certificates, PEM, from now on, which means TLS; or none of its own.
    pub fn set_store(&mut self, store: Store, path: Option<&Path>) {
        for key in store.keys() {
            // The key in a PEM file may be encrypted as the one before was.
            if path.is_none() || *key != "ssl.key.password" {
                self.settings.remove(*key);
            }
        }
        let (Some(path), [location, kind, ..]) = (path, store.keys()) else {
            return;
        };
        let location = ((*location).to_owned(), path.display().to_string());
        let kind = ((*kind).to_owned(), "PEM".to_owned());
        self.settings.extend([location, kind]);
        self.set_tls(true);
    }

    fn protocol(&self) -> &str {
        self.settings.get(PROTOCOL).map_or("", String::as_str)
    }

    fn set_protocol(&mut self, has_tls: bool, has_login: bool) {
        let protocol = match (has_tls, has_login) {
            (false, false) => {
                // What is said nowhere is Kafka's default, or what the file of properties says.
                self.settings.remove(PROTOCOL);
                return;
            }
            (true, false) => "SSL",
            (false, true) => "SASL_PLAINTEXT",
            (true, true) => "SASL_SSL",
        };
        self.settings
            .insert(PROTOCOL.to_owned(), protocol.to_owned());
    }
}
