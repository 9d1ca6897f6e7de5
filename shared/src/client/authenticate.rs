//! Proves to a broker who this is: SaslHandshake, then as many SaslAuthenticate as the mechanism
//! has messages. The same again before the session ends (KIP-368).
//!
//! Kafka: `common/security/authenticator/SaslClientAuthenticator.java` (4.3).

use kafka_protocol::messages::{
    ApiKey, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest,
    SaslHandshakeResponse,
};
use ring::rand::{SecureRandom, SystemRandom};

use super::error::ClientError;
use super::security::Sasl;
use crate::error::ErrorCode;
use crate::protocol::{Request, StrBytes};
use crate::sasl::scram::ScramClient;
use crate::sasl::{base64_url, oauth, plain_message};

/// Before version 1 the messages of the mechanism came without frames of Kafka's.
const HANDSHAKE_VERSION: i16 = 1;

/// Sends one request of the authentication and waits for its answer.
pub(super) trait Exchange {
    async fn exchange<R: Request>(
        &self,
        request: &R,
        version: i16,
    ) -> Result<R::Response, ClientError>;

    /// The newest version of SaslAuthenticate that both sides speak.
    fn authenticate_version(&self) -> i16;

    fn fail(&self, reason: String, advice: String) -> ClientError;
}

/// Authenticates; the answer is how long the session lasts, in milliseconds, where it ends.
pub(super) async fn authenticate(
    link: &impl Exchange,
    sasl: &Sasl,
) -> Result<Option<u64>, ClientError> {
    let request = SaslHandshakeRequest::default().with_mechanism(text(sasl.mechanism()));
    let answer = link.exchange(&request, HANDSHAKE_VERSION).await?;
    check_handshake(link, sasl, &answer)?;
    match sasl {
        Sasl::Plain { username, password } => {
            let message = plain_message(username, password).map_err(|why| {
                link.fail(
                    why.to_owned(),
                    "check the user name and the password".to_owned(),
                )
            })?;
            Ok(send(link, sasl, message).await?.lifetime_ms)
        }
        Sasl::Scram {
            hash,
            username,
            password,
            is_token,
        } => {
            let mut client = ScramClient::new(*hash, username, password.clone(), &nonce(link)?);
            if *is_token {
                client = client.with_token_auth();
            }
            let refuse = |error: crate::sasl::scram::ScramError| {
                link.fail(error.to_string(), login_advice(sasl))
            };
            let first = send(link, sasl, client.first()).await?;
            let proof = client.finish(&first.message).map_err(refuse)?;
            let last = send(link, sasl, proof).await?;
            client.verify(&last.message).map_err(refuse)?;
            Ok(last.lifetime_ms)
        }
        Sasl::OauthBearer(provider) => {
            let advice = || "check the token endpoint, clientId and clientSecret".to_owned();
            let token = provider.token().await;
            let token = token.map_err(|why| link.fail(why, advice()))?;
            let message = oauth::first_message(&token, &provider.extensions);
            let message = message.map_err(|why| link.fail(why, advice()))?;
            let answer = match send(link, sasl, message).await {
                Ok(answer) => answer,
                Err(error) => {
                    provider.forget().await;
                    return Err(error);
                }
            };
            if let Some(status) = oauth::refusal(&answer.message) {
                provider.forget().await;
                // The broker waits for a last word before it ends the exchange in order.
                let _ = send(link, sasl, vec![1]).await;
                let reason = format!("it does not accept the token: {status}");
                return Err(link.fail(reason, token_advice()));
            }
            Ok(answer.lifetime_ms)
        }
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn nonce(link: &impl Exchange) -> Result<String, ClientError> {
    let mut bytes = [0; 24];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| link.fail("there is no randomness".to_owned(), String::new()))?;
    Ok(base64_url(&bytes))
}

fn check_handshake(
    link: &impl Exchange,
    sasl: &Sasl,
    answer: &SaslHandshakeResponse,
) -> Result<(), ClientError> {
    let mechanism = sasl.mechanism();
    match ErrorCode(answer.error_code) {
        ErrorCode::NONE => Ok(()),
        ErrorCode::UNSUPPORTED_SASL_MECHANISM => {
            let offered: Vec<&str> = answer.mechanisms.iter().take(20).map(|m| &**m).collect();
            let offered = match &offered[..] {
                [] => "none".to_owned(),
                offered => offered.join(", "),
            };
            let reason = format!("it does not offer {mechanism}; it offers {offered}");
            let advice = "set sasl.mechanism to one that it offers".to_owned();
            Err(link.fail(reason, advice))
        }
        ErrorCode::ILLEGAL_SASL_STATE => Err(link.fail(
            "it wants no SASL on this port".to_owned(),
            "set security.protocol to PLAINTEXT or SSL, or give the port of a SASL listener"
                .to_owned(),
        )),
        code => Err(link.fail(
            format!(
                "it refuses {mechanism}: {} ({})",
                code.name(),
                code.message()
            ),
            login_advice(sasl),
        )),
    }
}

struct Answered {
    message: Vec<u8>,
    lifetime_ms: Option<u64>,
}

async fn send(
    link: &impl Exchange,
    sasl: &Sasl,
    message: Vec<u8>,
) -> Result<Answered, ClientError> {
    let request = SaslAuthenticateRequest::default().with_auth_bytes(message.into());
    let version = link.authenticate_version();
    let answer: SaslAuthenticateResponse = link.exchange(&request, version).await?;
    let code = ErrorCode(answer.error_code);
    if code == ErrorCode::NONE {
        return Ok(Answered {
            message: answer.auth_bytes.to_vec(),
            lifetime_ms: u64::try_from(answer.session_lifetime_ms)
                .ok()
                .filter(|ms| *ms > 0),
        });
    }
    let said = answer.error_message.as_deref().unwrap_or(code.message());
    let said: String = said.chars().filter(|c| !c.is_control()).take(300).collect();
    let reason = match (code, sasl.user()) {
        (ErrorCode::SASL_AUTHENTICATION_FAILED, Some(user)) => {
            let mechanism = sasl.mechanism();
            format!("wrong user name or password ({mechanism} as {user}): {said}")
        }
        (ErrorCode::SASL_AUTHENTICATION_FAILED, None) => {
            format!("it does not accept the token: {said}")
        }
        _ => format!("{}: {said}", code.name()),
    };
    Err(link.fail(reason, login_advice(sasl)))
}

fn login_advice(sasl: &Sasl) -> String {
    match sasl {
        Sasl::Plain { .. } => "check username and password in sasl.jaas.config".to_owned(),
        Sasl::Scram { hash, .. } => format!(
            "check username and password in sasl.jaas.config, and that the user has {} credentials",
            hash.mechanism()
        ),
        Sasl::OauthBearer(_) => token_advice(),
    }
}

fn token_advice() -> String {
    "check scope, audience and issuer of the token against the broker's settings".to_owned()
}

/// The newest version of SaslAuthenticate among those of the broker.
pub(super) fn version_of(versions: &super::ApiVersions) -> i16 {
    let newest = versions.newest_common(ApiKey::SaslAuthenticate, i16::MAX);
    newest.unwrap_or(0)
}
