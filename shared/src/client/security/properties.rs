//! Kafka's own client properties, as its tools read them with `--command-config`.
//!
//! Owns: which keys matter to a connection, what they mean, and what to say of those that can't be
//! followed. Keys of producers and consumers are left alone.
//!
//! Invariants: a secret leaves here as a [`Secret`] only; an error names the key and never the
//! value of one that may hold a secret; what can't be followed and would make a connection less
//! safe is an error and no warning.
//!
//! Kafka: `clients/CommonClientConfigs.java`, `common/config/{SslConfigs,SaslConfigs}.java`,
//! `common/security/ssl/DefaultSslEngineFactory.java` (4.3).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::jaas::Jaas;
use super::token::{TokenEndpoint, TokenProvider, TokenSource};
use super::{Sasl, Security};
use crate::config::properties::Properties;
use crate::http;
use crate::sasl::scram::ScramHash;
use crate::secret::{Secret, Source, read_text};
use crate::tls::{Identity, Tls, TlsFault, TlsSettings, Trust};
use crate::types::Endpoint;

mod stores;

use stores::Loaded;

/// What a file of client properties says about connections.
#[derive(Clone, Debug, Default)]
pub struct ClientProperties {
    pub bootstrap: Vec<Endpoint>,
    pub client_id: Option<String>,
    pub request_timeout_ms: Option<u64>,
    /// `socket.connection.setup.timeout.ms`.
    pub connect_timeout_ms: Option<u64>,
    pub security: Security,
    /// What is left out, and what is odd.
    pub warnings: Vec<String>,
}

/// Why properties can't be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct PropertiesFault {
    /// The key, or the file.
    pub key: String,
    pub reason: String,
    pub advice: String,
}

fn fault(key: &str, reason: impl ToString, advice: impl ToString) -> PropertiesFault {
    PropertiesFault {
        key: key.to_owned(),
        reason: reason.to_string(),
        advice: advice.to_string(),
    }
}

/// Reads a file, with the secrets that it refers to.
///
/// # Errors
/// The file can't be read, or what it says can't be followed.
pub async fn read_file(path: &Path) -> Result<ClientProperties, PropertiesFault> {
    let properties = load(path).await?;
    let folder = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    read(&properties, folder.parent().unwrap_or(Path::new("."))).await
}

/// The keys and values of a file.
///
/// # Errors
/// The file can't be read.
pub async fn load(path: &Path) -> Result<Properties, PropertiesFault> {
    let name = path.display().to_string();
    let text = read_text(path).await;
    let text = text.map_err(|why| fault(&name, why, "check the path and the rights"))?;
    Properties::parse(&text).map_err(|why| fault(&name, why, "it is read as Java reads it"))
}

/// Follows properties. Relative paths of secrets count from `folder`, those of stores from the
/// current folder, as with Kafka's tools, or else from `folder`.
///
/// # Errors
/// What can't be followed.
pub async fn read(
    properties: &Properties,
    folder: &Path,
) -> Result<ClientProperties, PropertiesFault> {
    let reader = Reader { properties, folder };
    let protocol = reader.text("security.protocol").await?;
    let protocol = protocol.unwrap_or_default().trim().to_ascii_uppercase();
    let (has_tls, has_sasl) = match protocol.as_str() {
        "" | "PLAINTEXT" => (false, false),
        "SSL" => (true, false),
        "SASL_PLAINTEXT" => (false, true),
        "SASL_SSL" => (true, true),
        _ => {
            let reason = format!("\"{protocol}\" is no security protocol");
            let advice = "it is PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL";
            return Err(fault("security.protocol", reason, advice));
        }
    };
    let tls = match has_tls {
        true => {
            let settings = reader.tls().await?;
            Some(Tls::new(&settings).map_err(|fault| of_tls(&fault))?)
        }
        false => None,
    };
    let sasl = match has_sasl {
        true => Some(reader.sasl().await?),
        false => None,
    };
    Ok(ClientProperties {
        bootstrap: reader.bootstrap().await?,
        client_id: reader.text("client.id").await?.filter(|id| !id.is_empty()),
        request_timeout_ms: reader.number("request.timeout.ms").await?,
        connect_timeout_ms: reader.number("socket.connection.setup.timeout.ms").await?,
        security: Security { tls, sasl },
        warnings: reader.warnings(&protocol, has_tls, has_sasl),
    })
}

fn of_tls(tls: &TlsFault) -> PropertiesFault {
    fault("ssl", &tls.reason, &tls.advice)
}

struct Reader<'a> {
    properties: &'a Properties,
    folder: &'a Path,
}

impl Reader<'_> {
    /// A value with what it refers to put in. An empty one is there.
    async fn secret(&self, key: &str) -> Result<Option<Secret>, PropertiesFault> {
        match self.properties.get(key) {
            None => Ok(None),
            Some(value) => self.resolve(key, value).await.map(Some),
        }
    }

    async fn resolve(&self, key: &str, value: &str) -> Result<Secret, PropertiesFault> {
        let read = Source::parse(value).read(self.folder).await;
        read.map_err(|error| fault(key, error, "check where the value comes from"))
    }

    async fn text(&self, key: &str) -> Result<Option<String>, PropertiesFault> {
        let value = self.secret(key).await?;
        Ok(value.map(|value| value.expose().to_owned()))
    }

    async fn number(&self, key: &str) -> Result<Option<u64>, PropertiesFault> {
        let Some(text) = self.text(key).await? else {
            return Ok(None);
        };
        let advice = "it is a number of milliseconds";
        let number = text.trim().parse();
        number
            .map(Some)
            .map_err(|_| fault(key, format!("\"{text}\" is no number"), advice))
    }

    async fn bootstrap(&self) -> Result<Vec<Endpoint>, PropertiesFault> {
        let key = "bootstrap.servers";
        let text = self.text(key).await?.unwrap_or_default();
        let parts = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        // Kafka takes a protocol in front of the host and ignores it.
        let host = |part: &str| {
            part.rsplit_once("://")
                .map_or(part, |(_, rest)| rest)
                .parse()
        };
        let endpoints: Result<Vec<Endpoint>, _> = parts.map(host).collect();
        endpoints.map_err(|error| fault(key, error, "host:port, separated by commas"))
    }

    /// A path as Kafka's tools take it: from the current folder.
    fn path(&self, text: &str) -> PathBuf {
        let path = Path::new(text);
        match path.is_relative() && !path.exists() {
            true => self.folder.join(path),
            false => path.to_owned(),
        }
    }

    async fn tls(&self) -> Result<TlsSettings, PropertiesFault> {
        let algorithm = self.text("ssl.endpoint.identification.algorithm").await?;
        let verify_host_name = match algorithm.as_deref().map(str::trim) {
            None => true,
            Some("") => false,
            Some(name) if name.eq_ignore_ascii_case("https") => true,
            Some(name) => {
                let reason = format!("\"{name}\" is unknown");
                let key = "ssl.endpoint.identification.algorithm";
                return Err(fault(key, reason, "it is https, or empty for no check"));
            }
        };
        let versions = self.text("ssl.enabled.protocols").await?;
        let versions = versions.unwrap_or_else(|| "TLSv1.2,TLSv1.3".to_owned());
        let has = |name: &str| versions.split(',').any(|each| each.trim() == name);
        Ok(TlsSettings {
            trust: self.trust().await?,
            identity: self.identity().await?,
            verify_host_name,
            tls_1_2: has("TLSv1.2"),
            tls_1_3: has("TLSv1.3"),
        })
    }

    async fn trust(&self) -> Result<Trust, PropertiesFault> {
        if let Some(pem) = self.text("ssl.truststore.certificates").await? {
            return Ok(Trust::Pem(pem));
        }
        let key = "ssl.truststore.location";
        match self.text(key).await? {
            None => Ok(Trust::Platform),
            Some(path) => {
                let password = self.password("ssl.truststore.password").await?;
                let path = self.path(path.trim());
                match stores::load(key, &path, password, None).await? {
                    Loaded::Pem(pem) => Ok(Trust::Pem(pem.expose().to_owned())),
                    Loaded::Store(store) => {
                        let pem = store.trust_pem();
                        if pem.is_empty() {
                            let reason =
                                format!("there is no trusted certificate in {}", path.display());
                            let advice = "without ssl.truststore.password only what is not \
                                          encrypted is seen; list it with keytool -list -keystore";
                            return Err(fault(key, reason, advice));
                        }
                        Ok(Trust::Pem(pem))
                    }
                }
            }
        }
    }

    async fn identity(&self) -> Result<Option<Identity>, PropertiesFault> {
        let key_text = self.secret("ssl.keystore.key").await?;
        let chain = self.text("ssl.keystore.certificate.chain").await?;
        let own = self.password("ssl.key.password").await?;
        if let (Some(key), Some(chain)) = (&key_text, &chain) {
            let key = stores::open_key(key.clone(), own)?;
            let chain = chain.clone();
            return Ok(Some(Identity { chain, key }));
        }
        if key_text.is_some() != chain.is_some() {
            let reason = "ssl.keystore.key and ssl.keystore.certificate.chain belong together";
            return Err(fault("ssl.keystore.key", reason, "give both or none"));
        }
        let key = "ssl.keystore.location";
        let Some(path) = self.text(key).await? else {
            return Ok(None);
        };
        let path = self.path(path.trim());
        let password = self.password("ssl.keystore.password").await?;
        match stores::load(key, &path, password, Some(own.clone())).await? {
            Loaded::Pem(pem) => Ok(Some(Identity {
                chain: stores::without_keys(pem.expose()),
                key: stores::open_key(pem, own)?,
            })),
            Loaded::Store(store) => match store.keys.first() {
                Some(entry) if !entry.chain.is_empty() => Ok(Some(Identity {
                    chain: entry.chain_pem(),
                    key: entry.key_pem(),
                })),
                _ => {
                    let place = path.display();
                    let reason = format!("there is no private key with a certificate in {place}");
                    let advice = "list it with keytool -list -keystore: it has to have a \
                                  PrivateKeyEntry";
                    Err(fault(key, reason, advice))
                }
            },
        }
    }

    /// A password with its key, for what is to be said of it.
    async fn password(
        &self,
        key: &'static str,
    ) -> Result<(&'static str, Option<Secret>), PropertiesFault> {
        Ok((key, self.secret(key).await?))
    }

    async fn sasl(&self) -> Result<Sasl, PropertiesFault> {
        let key = "sasl.mechanism";
        let mechanism = self.text(key).await?.map(|name| name.trim().to_owned());
        let known = "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and OAUTHBEARER are spoken here";
        match mechanism.as_deref() {
            None => Err(fault(
                key,
                "it is not set, and GSSAPI is Kafka's default",
                known,
            )),
            Some("PLAIN") => {
                let (username, password) = self.login().await?;
                Ok(Sasl::Plain { username, password })
            }
            Some("OAUTHBEARER") => self.oauth().await,
            Some(name) => match ScramHash::of_mechanism(name) {
                None => Err(fault(key, format!("\"{name}\" is not spoken here"), known)),
                Some(hash) => {
                    let (username, password) = self.login().await?;
                    let jaas = self.jaas()?;
                    let is_token = jaas.option("tokenauth");
                    let is_token = is_token.is_some_and(|text| text.expose() == "true");
                    Ok(Sasl::Scram {
                        hash,
                        username,
                        password,
                        is_token,
                    })
                }
            },
        }
    }

    fn jaas(&self) -> Result<Jaas, PropertiesFault> {
        let key = "sasl.jaas.config";
        let advice = "for example sasl.jaas.config=org.apache.kafka.common.security.plain.\
                      PlainLoginModule required username=\"…\" password=\"…\";";
        let text = self.properties.get(key);
        let text = text.ok_or_else(|| fault(key, "it is not set", advice))?;
        Jaas::parse(text).map_err(|why| fault(key, why, advice))
    }

    /// An option of the login module, with what it refers to put in.
    async fn option(&self, jaas: &Jaas, name: &str) -> Result<Option<Secret>, PropertiesFault> {
        match jaas.option(name) {
            None => Ok(None),
            Some(value) => {
                let key = format!("sasl.jaas.config, option {name}");
                self.resolve(&key, value.expose()).await.map(Some)
            }
        }
    }

    /// User name and password of PLAIN and SCRAM.
    async fn login(&self) -> Result<(String, Secret), PropertiesFault> {
        let jaas = self.jaas()?;
        let missing = |name: &str| {
            let reason = format!("its login module has no {name}");
            fault(
                "sasl.jaas.config",
                reason,
                "write username=\"…\" password=\"…\"",
            )
        };
        let username = self.option(&jaas, "username").await?;
        let username = username.ok_or_else(|| missing("username"))?;
        let password = self.option(&jaas, "password").await?;
        let password = password.ok_or_else(|| missing("password"))?;
        Ok((username.expose().to_owned(), password))
    }

    async fn oauth(&self) -> Result<Sasl, PropertiesFault> {
        // With everything in properties of its own the login module has nothing to say (KIP-1139).
        let jaas = match self.properties.get("sasl.jaas.config") {
            Some(_) => self.jaas()?,
            None => Jaas::parse("OAuthBearerLoginModule required;").map_err(|why| {
                fault(
                    "sasl.jaas.config",
                    why,
                    "see the documentation of OAUTHBEARER",
                )
            })?,
        };
        let mut extensions = BTreeMap::new();
        for (name, _) in jaas.options() {
            if let Some(extension) = name.strip_prefix("extension_")
                && let Some(value) = self.option(&jaas, name).await?
            {
                extensions.insert(extension.to_owned(), value.expose().to_owned());
            }
        }
        let key = "sasl.oauthbearer.token.endpoint.url";
        let url = self.text(key).await?.unwrap_or_default();
        let source = match url.trim() {
            "" => self.unsecured(&jaas).await?,
            url => match url.strip_prefix("file:") {
                Some(path) => TokenSource::File(PathBuf::from(file_path(path))),
                None => {
                    let url = url.parse().map_err(|why| {
                        fault(key, why, "for example https://idp.example/oauth2/token")
                    })?;
                    TokenSource::Endpoint(self.token_endpoint(&jaas, url).await?)
                }
            },
        };
        let provider = TokenProvider::new(source, extensions);
        Ok(Sasl::OauthBearer(Arc::new(provider)))
    }

    async fn token_endpoint(
        &self,
        jaas: &Jaas,
        url: http::Url,
    ) -> Result<TokenEndpoint, PropertiesFault> {
        let either = async |key: &str, option: &str| match self.secret(key).await? {
            Some(value) => Ok(Some(value)),
            None => self.option(jaas, option).await,
        };
        let prefix = "sasl.oauthbearer.client.credentials.client";
        let client_id = either(&format!("{prefix}.id"), "clientId").await?;
        let secret = either(&format!("{prefix}.secret"), "clientSecret").await?;
        let missing = |name: &str| {
            let reason = format!("its login module has no {name}");
            fault(
                "sasl.jaas.config",
                reason,
                "write clientId=\"…\" clientSecret=\"…\"",
            )
        };
        let scope = either("sasl.oauthbearer.scope", "scope").await?;
        let escape = self.text("sasl.oauthbearer.header.urlencode").await?;
        let timeout_ms = self.number("sasl.login.read.timeout.ms").await?;
        Ok(TokenEndpoint {
            url,
            client_id: client_id
                .ok_or_else(|| missing("clientId"))?
                .expose()
                .to_owned(),
            client_secret: secret.ok_or_else(|| missing("clientSecret"))?,
            scope: scope.map(|scope| scope.expose().to_owned()),
            escape_credentials: escape.as_deref() == Some("true"),
            http: http::Client {
                tls: self.endpoint_tls(jaas).await?.map(Arc::new),
                timeout_ms: timeout_ms.unwrap_or(10_000),
                body_bytes_max: 1024 * 1024,
            },
        })
    }

    /// TLS to the token endpoint is a matter of the login module's own `ssl.` options.
    async fn endpoint_tls(&self, jaas: &Jaas) -> Result<Option<Tls>, PropertiesFault> {
        let mut own = Properties::new();
        for (name, value) in jaas.options().filter(|(name, _)| name.starts_with("ssl.")) {
            own.set(name, value.expose());
        }
        if own.is_empty() {
            return Ok(Tls::platform().ok());
        }
        let reader = Reader {
            properties: &own,
            folder: self.folder,
        };
        let settings = reader.tls().await?;
        Tls::new(&settings)
            .map(Some)
            .map_err(|fault| of_tls(&fault))
    }

    async fn unsecured(&self, jaas: &Jaas) -> Result<TokenSource, PropertiesFault> {
        let mut claims = BTreeMap::new();
        let mut lifetime_s = 3600;
        for (name, _) in jaas.options() {
            let Some(value) = self.option(jaas, name).await? else {
                continue;
            };
            let text = value.expose();
            if let Some(claim) = name.strip_prefix("unsecuredLoginStringClaim_") {
                claims.insert(claim.to_owned(), Value::from(text));
            } else if let Some(claim) = name.strip_prefix("unsecuredLoginNumberClaim_") {
                let number = text.parse::<f64>().map(Value::from).unwrap_or(Value::Null);
                claims.insert(claim.to_owned(), number);
            } else if let Some(claim) = name.strip_prefix("unsecuredLoginListClaim_") {
                let separator = text.chars().next().unwrap_or(',');
                let items = text.split(separator).skip(1).map(Value::from);
                claims.insert(claim.to_owned(), items.collect());
            } else if name == "unsecuredLoginLifetimeSeconds" {
                lifetime_s = text.parse().unwrap_or(lifetime_s);
            }
        }
        if !claims.contains_key("sub") {
            let advice = "set it, with clientId and clientSecret in sasl.jaas.config; \
                          unsecuredLoginStringClaim_sub=\"…\" makes tokens for development";
            let key = "sasl.oauthbearer.token.endpoint.url";
            return Err(fault(key, "it is not set", advice));
        }
        Ok(TokenSource::Unsecured { claims, lifetime_s })
    }

    fn warnings(&self, protocol: &str, has_tls: bool, has_sasl: bool) -> Vec<String> {
        let mut warnings = Vec::new();
        for entry in self.properties.overridden() {
            let line = entry.line;
            warnings.push(format!("{} of line {line} is set again later", entry.key));
        }
        let shown = if protocol.is_empty() {
            "PLAINTEXT"
        } else {
            protocol
        };
        for (key, _) in self.properties.iter() {
            let is_unused = (key.starts_with("ssl.") && !has_tls && !key.ends_with(".password"))
                || (key.starts_with("sasl.") && !has_sasl);
            if is_unused {
                warnings.push(format!("{key} has no effect: security.protocol is {shown}"));
            } else if matches!(
                key,
                "ssl.cipher.suites"
                    | "ssl.provider"
                    | "ssl.engine.factory.class"
                    | "security.providers"
            ) {
                warnings.push(format!("{key} has no effect here"));
            }
        }
        warnings
    }
}

/// The path of a `file:` address, as in `file:///etc/token`.
fn file_path(rest: &str) -> &str {
    match rest.strip_prefix("//") {
        Some(path) => path.strip_prefix("localhost").unwrap_or(path),
        None => rest,
    }
}

#[cfg(test)]
mod tests;
