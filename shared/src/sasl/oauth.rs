//! OAUTHBEARER: the message around a token, what a token endpoint's answer says, and tokens
//! without a signature for development.
//!
//! RFC 7628, RFC 6749 §4.4; Kafka: `oauthbearer/internals/OAuthBearerClientInitialResponse.java`,
//! `oauthbearer/ClientCredentialsJwtRetriever.java`, `OAuthBearerUnsecuredLoginCallbackHandler.java`
//! (4.3).

use std::collections::BTreeMap;

use serde_json::Value;

use super::{base64_url, from_base64};
use crate::secret::Secret;

/// A token and until when it is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub text: Secret,
    /// Milliseconds since the epoch; None where nothing tells.
    pub expires_at_ms: Option<i64>,
}

/// The client's first message.
///
/// # Errors
/// A token or an extension that could end its field early.
pub fn first_message(
    token: &Secret,
    extensions: &BTreeMap<String, String>,
) -> Result<Vec<u8>, String> {
    let is_token = |c: char| c.is_ascii_graphic();
    if token.is_empty() || !token.expose().chars().all(is_token) {
        return Err("the token holds characters that no token may have".to_owned());
    }
    let mut message = format!("n,,\u{1}auth=Bearer {}\u{1}", token.expose());
    for (name, value) in extensions {
        let is_legal = !name.is_empty()
            && name != "auth"
            && name.chars().all(|c| c.is_ascii_alphabetic())
            && value
                .chars()
                .all(|c| matches!(c, ' '..='~' | '\t' | '\r' | '\n'));
        if !is_legal {
            return Err(format!("\"{name}\" is no extension of a token"));
        }
        message.push_str(&format!("{name}={value}\u{1}"));
    }
    message.push('\u{1}');
    Ok(message.into_bytes())
}

/// Reads a server's answer to the first message: empty when it is content, else JSON with a
/// status. None when it is content.
pub fn refusal(answer: &[u8]) -> Option<String> {
    if answer.is_empty() {
        return None;
    }
    let value: Option<Value> = serde_json::from_slice(answer).ok();
    let field = |name: &str| value.as_ref().and_then(|value| value.get(name)?.as_str());
    let status = field("status").unwrap_or("an answer that can't be read");
    Some(
        status
            .chars()
            .filter(|c| !c.is_control())
            .take(200)
            .collect(),
    )
}

/// Reads what a token endpoint answered.
///
/// # Errors
/// Why it holds no token; never the answer itself.
pub fn read_response(body: &[u8], now_ms: i64) -> Result<Token, String> {
    let value: Value =
        serde_json::from_slice(body).map_err(|_| "the answer is no JSON".to_owned())?;
    let text = value.get("access_token").and_then(Value::as_str);
    let text = text.filter(|text| !text.is_empty());
    let text = text.ok_or("the answer holds no access_token")?;
    let lifetime = value.get("expires_in").and_then(|value| match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_i64(),
    });
    let told = lifetime.map(|seconds: i64| now_ms.saturating_add(seconds.saturating_mul(1000)));
    let expires_at_ms = [told, expiry_of(text)].into_iter().flatten().min();
    Ok(Token {
        text: Secret::new(text),
        expires_at_ms,
    })
}

/// The expiry that a JWT itself tells, in milliseconds since the epoch.
pub fn expiry_of(token: &str) -> Option<i64> {
    let claims = from_base64(token.split('.').nth(1)?)?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    let seconds = claims.get("exp")?.as_f64()?;
    Some((seconds * 1000.0) as i64)
}

/// When to fetch the next token: Kafka's default of four fifths of the lifetime.
pub fn refresh_at_ms(token: &Token, fetched_at_ms: i64) -> Option<i64> {
    let lifetime_ms = token.expires_at_ms?.saturating_sub(fetched_at_ms).max(0);
    Some(fetched_at_ms.saturating_add(lifetime_ms / 5 * 4))
}

/// The body of a request for a token by client credentials.
pub fn client_credentials_body(scope: Option<&str>) -> String {
    match scope.filter(|scope| !scope.is_empty()) {
        Some(scope) => format!("grant_type=client_credentials&scope={}", form_text(scope)),
        None => "grant_type=client_credentials".to_owned(),
    }
}

/// Text as forms of the web have it.
pub fn form_text(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// A token without a signature, which only brokers for development accept.
pub fn unsecured(claims: &BTreeMap<String, Value>, now_ms: i64, lifetime_s: i64) -> Token {
    let seconds = |ms: i64| ms as f64 / 1000.0;
    let expires_at_ms = now_ms.saturating_add(lifetime_s.saturating_mul(1000));
    let mut all = claims.clone();
    all.entry("iat".to_owned())
        .or_insert_with(|| Value::from(seconds(now_ms)));
    all.entry("exp".to_owned())
        .or_insert_with(|| Value::from(seconds(expires_at_ms)));
    let body = serde_json::to_vec(&all).unwrap_or_default();
    let header = base64_url(br#"{"alg":"none"}"#);
    let text = format!("{header}.{}.", base64_url(&body));
    Token {
        expires_at_ms: expiry_of(&text),
        text: Secret::new(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_message_is_that_of_rfc_7628() {
        let extensions = BTreeMap::from([("traceId".to_owned(), "123".to_owned())]);
        let message = first_message(&"tok.en".into(), &extensions).unwrap();
        assert_eq!(message, b"n,,\x01auth=Bearer tok.en\x01traceId=123\x01\x01");
        let none = BTreeMap::new();
        for token in ["", "a b", "a\u{1}auth=x", "ä"] {
            assert!(first_message(&token.into(), &none).is_err(), "{token}");
        }
        for (name, value) in [("auth", "x"), ("a b", "x"), ("a", "x\u{1}y"), ("", "x")] {
            let extensions = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            assert!(first_message(&"t".into(), &extensions).is_err(), "{name}");
        }
    }

    #[test]
    fn a_refusal_says_its_status_and_contentment_says_nothing() {
        assert_eq!(refusal(b""), None);
        let told = refusal(br#"{"status":"invalid_token","scope":"x"}"#);
        assert_eq!(told.as_deref(), Some("invalid_token"));
        assert!(refusal(b"\xff").is_some());
    }

    #[test]
    fn the_earlier_of_two_expiries_counts() {
        let claims = BTreeMap::from([("sub".to_owned(), Value::from("alice"))]);
        let jwt = unsecured(&claims, 1_000_000, 60);
        assert_eq!(jwt.expires_at_ms, Some(1_060_000));
        let answer = |lifetime: &str| {
            let text = jwt.text.expose();
            let body = format!(r#"{{"access_token":"{text}","expires_in":{lifetime}}}"#);
            read_response(body.as_bytes(), 1_000_000)
                .unwrap()
                .expires_at_ms
        };
        assert_eq!(answer("30"), Some(1_030_000));
        assert_eq!(answer("\"30\""), Some(1_030_000));
        assert_eq!(answer("3600"), Some(1_060_000));
        assert_eq!(answer("null"), Some(1_060_000));
        let opaque = read_response(br#"{"access_token":"opaque"}"#, 5).unwrap();
        assert_eq!(opaque.expires_at_ms, None);
        assert_eq!(refresh_at_ms(&opaque, 5), None);
        assert_eq!(refresh_at_ms(&jwt, 1_000_000), Some(1_048_000));
    }

    #[test]
    fn an_answer_without_a_token_is_told_without_being_shown() {
        for body in ["", "[]", r#"{"token":"sesame"}"#, r#"{"access_token":""}"#] {
            let error = read_response(body.as_bytes(), 0).unwrap_err();
            assert!(!error.contains("sesame"), "{error}");
        }
    }

    #[test]
    fn a_scope_is_written_as_a_form_field() {
        assert_eq!(
            client_credentials_body(Some("a b&c/ä")),
            "grant_type=client_credentials&scope=a+b%26c%2F%C3%A4"
        );
        assert_eq!(
            client_credentials_body(Some("")),
            client_credentials_body(None)
        );
    }
}
