//! TLS as a client: whom to trust, who to be, and what went wrong in words.
//!
//! Owns: making a rustls configuration out of PEM, handshakes, the check of the host name (on
//! unless it is switched off), and the translation of TLS errors into what a person can act on.
//!
//! Invariants: certificates are always checked against the trusted authorities, also where the
//! host name is not; private keys are [`Secret`]s until rustls holds them.
//!
//! Kafka: `common/security/ssl/DefaultSslEngineFactory.java` (4.3).

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore,
    SignatureScheme,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::keystore;
use crate::secret::Secret;

/// More certificates are not taken out of one text.
const CERTIFICATES_MAX: usize = 2_000;

/// How to speak TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    pub trust: Trust,
    /// Who this program is, where the server asks (mTLS).
    pub identity: Option<Identity>,
    /// Whether the certificate has to be for the host that was connected to.
    pub verify_host_name: bool,
    /// Whether TLS 1.2 is offered beside 1.3.
    pub tls_1_2: bool,
    pub tls_1_3: bool,
}

impl Default for TlsSettings {
    fn default() -> TlsSettings {
        TlsSettings {
            trust: Trust::Platform,
            identity: None,
            verify_host_name: true,
            tls_1_2: true,
            tls_1_3: true,
        }
    }
}

/// Which authorities are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Those of the operating system.
    Platform,
    /// The certificates of a PEM text.
    Pem(String),
}

/// A certificate chain, the own one first, and its key; both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub chain: String,
    pub key: Secret,
}

/// What went wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFault {
    pub reason: String,
    pub advice: String,
}

impl TlsFault {
    fn new(reason: impl Into<String>, advice: impl Into<String>) -> TlsFault {
        TlsFault {
            reason: reason.into(),
            advice: advice.into(),
        }
    }
}

/// Everything that a handshake needs.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    has_identity: bool,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("has_identity", &self.has_identity)
            .finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the certificates and the key.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(settings: &TlsSettings) -> Result<Tls, TlsFault> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = Arc::new(roots(&settings.trust)?);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone());
        let verifier = verifier.build().map_err(|error| {
            TlsFault::new(
                format!("the trusted certificates can't be used: {error}"),
                "check ssl.truststore.location",
            )
        })?;
        let verifier: Arc<dyn ServerCertVerifier> = match settings.verify_host_name {
            true => verifier,
            false => Arc::new(AnyName(verifier)),
        };
        let wanted = [
            (settings.tls_1_3, &rustls::version::TLS13),
            (settings.tls_1_2, &rustls::version::TLS12),
        ];
        let versions: Vec<_> = wanted
            .into_iter()
            .filter_map(|(is_wanted, version)| is_wanted.then_some(version))
            .collect();
        let advice = "ssl.enabled.protocols takes TLSv1.2 and TLSv1.3";
        let signing = provider.key_provider;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .map_err(|_| TlsFault::new("no version of TLS is left to speak", advice))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match &settings.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let chain = certificates(&identity.chain, "the keystore")?;
                let key = private_key(&identity.key)?;
                let key = match (&key, chain.first()) {
                    (PrivateKeyDer::Pkcs8(pkcs8), Some(own)) => {
                        let whole = keystore::with_public_key(pkcs8.secret_pkcs8_der(), own);
                        whole.map_or(key, |der| PrivateKeyDer::Pkcs8(der.into()))
                    }
                    _ => key,
                };
                let wrong = |error: rustls::Error| {
                    TlsFault::new(
                        format!("the key and the certificate of the keystore: {error}"),
                        "the first certificate of the chain has to be the key's own",
                    )
                };
                let key = signing.load_private_key(key).map_err(wrong)?;
                let own = CertifiedKey::new(chain, key);
                // A certificate of version 1 can't be compared; whether it is one is for the
                // broker to say.
                if let Err(error @ rustls::Error::InconsistentKeys(_)) = own.keys_match() {
                    return Err(wrong(error));
                }
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own)))
            }
        };
        Ok(Tls {
            config: Arc::new(config),
            has_identity: settings.identity.is_some(),
        })
    }

    /// The platform's authorities, no certificate of its own.
    ///
    /// # Errors
    /// The platform has no authorities.
    pub fn platform() -> Result<Tls, TlsFault> {
        Tls::new(&TlsSettings::default())
    }

    /// Makes the handshake. `host` is the name that the certificate has to be for.
    ///
    /// # Errors
    /// What went wrong, and what to do about it.
    pub async fn connect(
        &self,
        host: &str,
        socket: TcpStream,
    ) -> Result<TlsStream<TcpStream>, TlsFault> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            TlsFault::new(
                format!("\"{host}\" is no name that a certificate could be for"),
                "use a DNS name or an address",
            )
        })?;
        let connector = TlsConnector::from(self.config.clone());
        let connected = connector.connect(name, socket).await;
        connected.map_err(|error| self.explain(&error).unwrap_or_else(|| lost(&error)))
    }

    /// What a failed read or write on a TLS connection means, if TLS is what failed: servers refuse
    /// a client's certificate only after the handshake.
    pub fn explain(&self, error: &io::Error) -> Option<TlsFault> {
        let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
        Some(explain(inner, self.has_identity))
    }
}

/// The connection ended or broke before the handshake was done.
fn lost(error: &io::Error) -> TlsFault {
    let reason = match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
            "it closed the connection in the handshake, as a port does that speaks no TLS"
                .to_owned()
        }
        _ => error.to_string(),
    };
    let advice = "give the port of a TLS listener, or set security.protocol to PLAINTEXT or \
                  SASL_PLAINTEXT";
    TlsFault::new(reason, advice)
}

const TRUST: &str = "give its authority's certificate: ssl.truststore.location=ca.pem, or a \
                     truststore of Java's with ssl.truststore.password";
const KEYSTORE: &str = "give a certificate that it accepts: ssl.keystore.location=client.pem (key \
                        and chain), or a keystore of Java's with ssl.keystore.password";

fn explain(error: &rustls::Error, has_identity: bool) -> TlsFault {
    match error {
        rustls::Error::InvalidCertificate(error) => certificate(error),
        rustls::Error::AlertReceived(alert) => alerted(*alert, has_identity),
        rustls::Error::InvalidMessage(_) => TlsFault::new(
            "what it answered is not TLS",
            "give the port of a TLS listener, or set security.protocol to PLAINTEXT or \
             SASL_PLAINTEXT",
        ),
        rustls::Error::PeerIncompatible(why) => TlsFault::new(
            format!("there is no way that both sides speak ({why:?})"),
            "it may speak only TLS older than 1.2, or other ciphers",
        ),
        other => TlsFault::new(other.to_string(), "check the certificates on both sides"),
    }
}

fn certificate(error: &CertificateError) -> TlsFault {
    match error {
        CertificateError::NotValidForName => TlsFault::new(
            "the certificate is for another host",
            "use a name that the certificate is for, or switch the check off with an empty \
             ssl.endpoint.identification.algorithm=",
        ),
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => {
            let names: Vec<&str> = presented.iter().map(|name| plain_name(name)).collect();
            let names = match &names[..] {
                [] => "no host at all (it has no subjectAltName)".to_owned(),
                names => names[..names.len().min(5)].join(", "),
            };
            let reason = format!("the certificate is for {names}, not {}", expected.to_str());
            let advice = "use a name that the certificate is for, or switch the check off with an \
                          empty ssl.endpoint.identification.algorithm=";
            TlsFault::new(reason, advice)
        }
        // The latter is an authority of the same name with another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => TlsFault::new(
            "its certificate comes from an authority that is not trusted here",
            TRUST,
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsFault::new(
            "its certificate has expired",
            "renew the broker's certificate, and check the clock of this machine",
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            TlsFault::new(
                "its certificate is not valid yet",
                "check the clock of this machine and of the one that made the certificate",
            )
        }
        CertificateError::Revoked => TlsFault::new(
            "its certificate was revoked",
            "renew the broker's certificate",
        ),
        CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            TlsFault::new(
                "its certificate is that of an authority (CA:TRUE), which no server may use",
                "give the broker a certificate that the authority has signed",
            )
        }
        other => TlsFault::new(format!("its certificate: {other}"), TRUST),
    }
}

/// The name out of `DnsName("kafka.internal")`.
fn plain_name(presented: &str) -> &str {
    let quoted = presented.split('"').nth(1);
    quoted.unwrap_or_else(|| {
        let inner = presented
            .split_once('(')
            .map_or(presented, |(_, rest)| rest);
        inner.trim_end_matches(')')
    })
}

/// The server has refused something.
fn alerted(alert: AlertDescription, has_identity: bool) -> TlsFault {
    use AlertDescription as A;
    match alert {
        A::CertificateRequired | A::NoCertificate => {
            TlsFault::new("it wants a certificate of this client", KEYSTORE)
        }
        A::BadCertificate | A::HandshakeFailure | A::CertificateUnknown if !has_identity => {
            let reason = format!(
                "it refused the handshake ({alert:?}), as one does that wants a certificate of the \
                 client"
            );
            TlsFault::new(reason, KEYSTORE)
        }
        A::BadCertificate
        | A::CertificateUnknown
        | A::UnknownCA
        | A::CertificateExpired
        | A::CertificateRevoked
        | A::UnsupportedCertificate
        | A::DecryptError
        | A::AccessDenied => {
            let reason = format!("it does not accept this client's certificate ({alert:?})");
            TlsFault::new(reason, KEYSTORE)
        }
        A::ProtocolVersion => TlsFault::new(
            "it speaks no version of TLS that is spoken here (1.2 and 1.3)",
            "see ssl.enabled.protocols on both sides",
        ),
        other => TlsFault::new(
            format!("it refused the handshake ({other:?})"),
            "the broker's log says why",
        ),
    }
}

fn roots(trust: &Trust) -> Result<RootCertStore, TlsFault> {
    let mut store = RootCertStore::empty();
    match trust {
        Trust::Platform => {
            let found = rustls_native_certs::load_native_certs();
            let (added, _) = store.add_parsable_certificates(found.certs);
            if added == 0 {
                let reason = "this machine trusts no authority: it has no certificates of any";
                return Err(TlsFault::new(reason, TRUST));
            }
        }
        Trust::Pem(text) => {
            for certificate in certificates(text, "the truststore")? {
                store.add(certificate).map_err(|error| {
                    let reason = format!("a certificate of the truststore: {error}");
                    TlsFault::new(reason, "check ssl.truststore.location")
                })?;
            }
        }
    }
    Ok(store)
}

fn certificates(pem: &str, place: &str) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let advice = "a PEM text has lines -----BEGIN CERTIFICATE-----";
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .take(CERTIFICATES_MAX)
        .collect();
    match all {
        Ok(all) if all.is_empty() => {
            let reason = format!("there is no certificate in {place}");
            Err(TlsFault::new(reason, advice))
        }
        Ok(all) => Ok(all),
        Err(error) => Err(TlsFault::new(format!("{place}: {error}"), advice)),
    }
}

fn private_key(pem: &Secret) -> Result<PrivateKeyDer<'static>, TlsFault> {
    if pem.expose().contains("Proc-Type: 4") {
        return Err(TlsFault::new(
            "the private key of the keystore is encrypted in OpenSSL's old way, which is not read \
             here, and not by Kafka either",
            "decrypt it into a file that only you can read: (umask 077; openssl pkey -in KEY.pem \
             -out PLAIN.pem)",
        ));
    }
    PrivateKeyDer::from_pem_slice(pem.expose().as_bytes()).map_err(|_| {
        TlsFault::new(
            "there is no private key in the keystore that can be read",
            "a PEM key has a line -----BEGIN PRIVATE KEY-----",
        )
    })
}

/// Checks everything but the host name.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // The name comes last: who gets as far has a certificate of a trusted authority.
        let verified =
            self.0
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
