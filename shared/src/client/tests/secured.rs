//! Connections that are secured: TLS and SASL against servers in this process, each step failing
//! once, sessions that are renewed, and clusters that are not the one that is meant.

use kafka_protocol::messages::{
    ApiKey, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest,
    SaslHandshakeResponse,
};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::client::security::{Sasl, TokenProvider, TokenSource};
use crate::sasl::scram::ScramHash;
use crate::sasl::{base64, from_base64};
use crate::tls::testing::Authority;
use crate::tls::{Tls, TlsSettings};

/// What a server does with the messages of a mechanism, for one connection.
type Mechanism = dyn Fn(usize, &[u8]) -> SaslAuthenticateResponse + Send + Sync;

/// A server that serves nothing before the mechanism is content.
async fn sasl_server(
    name: &'static str,
    mechanism: impl Fn(usize, &[u8]) -> SaslAuthenticateResponse + Send + Sync + 'static,
) -> Arc<Server> {
    let rounds = AtomicUsize::new(0);
    let mechanism: Box<Mechanism> = Box::new(mechanism);
    Server::speaking_all(move |_, header, mut body| match header.api() {
        Some(ApiKey::SaslHandshake) => {
            let request: SaslHandshakeRequest =
                codec::decode_request(&mut body, header.api_version).unwrap();
            rounds.store(0, Ordering::SeqCst);
            let code = if *request.mechanism == *name { 0 } else { 33 };
            let answer = SaslHandshakeResponse::default().with_error_code(code);
            reply(
                &header,
                &answer.with_mechanisms(vec![text(name), text("OTHER")]),
            )
        }
        Some(ApiKey::SaslAuthenticate) => {
            let request: SaslAuthenticateRequest =
                codec::decode_request(&mut body, header.api_version).unwrap();
            let round = rounds.fetch_add(1, Ordering::SeqCst);
            reply(&header, &mechanism(round, &request.auth_bytes))
        }
        Some(ApiKey::Metadata) => {
            let id = Some(text("cluster-a"));
            reply(&header, &MetadataResponse::default().with_cluster_id(id))
        }
        Some(ApiKey::CreateTopics) => reply(&header, &CreateTopicsResponse::default()),
        _ => reply(&header, &group_error(0)),
    })
    .await
}

fn refused(why: &str) -> SaslAuthenticateResponse {
    SaslAuthenticateResponse::default()
        .with_error_code(58)
        .with_error_message(Some(text(why)))
}

fn said(bytes: &[u8]) -> SaslAuthenticateResponse {
    SaslAuthenticateResponse::default().with_auth_bytes(Bytes::copy_from_slice(bytes))
}

fn with_sasl(sasl: Sasl) -> ConnectionConfig {
    ConnectionConfig {
        connect_timeout_ms: 20_000,
        security: Security {
            sasl: Some(sasl),
            tls: None,
        },
        ..quick()
    }
}

fn plain(password: &str) -> ConnectionConfig {
    with_sasl(Sasl::Plain {
        username: "alice".to_owned(),
        password: password.into(),
    })
}

async fn plain_server(lifetime_ms: i64) -> Arc<Server> {
    sasl_server("PLAIN", move |_, message| match message {
        b"\0alice\0sesame" => said(b"").with_session_lifetime_ms(lifetime_ms),
        _ => refused("Authentication failed: Invalid username or password"),
    })
    .await
}

async fn use_it(server: &Server, config: &ConnectionConfig) -> Result<(), ClientError> {
    let connection = Connection::connect(&server.endpoint, config).await?;
    connection
        .send(ListGroupsRequest::default())
        .await
        .map(drop)
}

#[tokio::test]
async fn plain_says_who_it_is_and_a_wrong_password_is_told_as_that() {
    let server = plain_server(0).await;
    assert_eq!(use_it(&server, &plain("sesame")).await, Ok(()));
    let error = use_it(&server, &plain("wrong")).await.unwrap_err();
    assert!(matches!(error, ClientError::Sasl { .. }) && !error.is_retriable());
    let told = "wrong user name or password (PLAIN as alice): Authentication failed: Invalid \
                username or password";
    assert!(error.to_string().ends_with(told), "{error}");
    assert!(
        error.hint().contains("sasl.jaas.config"),
        "{}",
        error.hint()
    );
    assert!(!format!("{error:?} {:?}", plain("hunter2")).contains("hunter2"));
}

#[tokio::test]
async fn a_mechanism_that_is_not_offered_is_told_with_those_that_are() {
    let server = sasl_server("SCRAM-SHA-512", |_, _| refused("")).await;
    let error = use_it(&server, &plain("sesame")).await.unwrap_err();
    let told = "it does not offer PLAIN; it offers SCRAM-SHA-512, OTHER";
    assert!(error.to_string().ends_with(told), "{error}");
}

/// A SCRAM server that knows the password, or believes another one.
fn scram_answer(round: usize, message: &[u8], password: &'static str) -> SaslAuthenticateResponse {
    let hash = ScramHash::Sha256;
    let message = String::from_utf8(message.to_vec()).unwrap();
    static EXCHANGE: Mutex<String> = Mutex::new(String::new());
    if round == 0 {
        let bare = message.strip_prefix("n,,").unwrap();
        let nonce = bare.split_once("r=").unwrap().1;
        let first = format!("r={nonce}server,s=c2FsdA==,i=4096");
        *EXCHANGE.lock() = format!("{bare},{first}");
        return said(first.as_bytes());
    }
    let (without_proof, proof) = message.split_once(",p=").unwrap();
    let auth = format!("{},{without_proof}", EXCHANGE.lock());
    let rounds = std::num::NonZeroU32::new(4096).unwrap();
    let salted = hash.salted_password(&password.into(), b"salt", rounds);
    let mac = |key: &[u8]| {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key);
        ring::hmac::sign(&key, auth.as_bytes()).as_ref().to_vec()
    };
    let stored_key = hash.stored_key(&hash.client_key(&salted));
    let proof = from_base64(proof).unwrap();
    let client_key: Vec<u8> = proof
        .iter()
        .zip(mac(&stored_key))
        .map(|(a, b)| a ^ b)
        .collect();
    // One that only pretends accepts everybody.
    if password != "pretender" && hash.stored_key(&client_key) != stored_key {
        return refused("Authentication failed during authentication due to invalid credentials");
    }
    said(format!("v={}", base64(&mac(&hash.server_key(&salted)))).as_bytes())
}

#[tokio::test]
async fn scram_proves_both_sides() {
    let scram = |password: &str| {
        with_sasl(Sasl::Scram {
            hash: ScramHash::Sha256,
            username: "alice".to_owned(),
            password: password.into(),
            is_token: false,
        })
    };
    let server = sasl_server("SCRAM-SHA-256", |round, said| {
        scram_answer(round, said, "sesame")
    })
    .await;
    assert_eq!(use_it(&server, &scram("sesame")).await, Ok(()));
    let error = use_it(&server, &scram("wrong")).await.unwrap_err();
    assert!(
        error.to_string().contains("wrong user name or password"),
        "{error}"
    );
    let server = sasl_server("SCRAM-SHA-256", |round, said| {
        scram_answer(round, said, "pretender")
    })
    .await;
    let error = use_it(&server, &scram("sesame")).await.unwrap_err();
    assert!(error.to_string().contains("did not prove"), "{error}");
}

#[tokio::test]
async fn a_token_is_shown_and_its_refusal_told() {
    let source = |sub: &str| {
        let claims = [("sub".to_owned(), serde_json::Value::from(sub))];
        let source = TokenSource::Unsecured {
            claims: claims.into(),
            lifetime_s: 60,
        };
        let provider = TokenProvider::new(source, Default::default());
        with_sasl(Sasl::OauthBearer(Arc::new(provider)))
    };
    let server = sasl_server("OAUTHBEARER", |round, message| {
        let message = std::str::from_utf8(message).unwrap();
        let token = message.strip_prefix("n,,\u{1}auth=Bearer ");
        let claims = token.and_then(|token| from_base64(token.split('.').nth(1)?));
        let claims = String::from_utf8(claims.unwrap_or_default()).unwrap();
        match round {
            0 if claims.contains("\"alice\"") => said(b""),
            0 => said(br#"{"status":"invalid_token"}"#),
            _ => refused("{\"status\":\"invalid_token\"}"),
        }
    })
    .await;
    assert_eq!(use_it(&server, &source("alice")).await, Ok(()));
    let error = use_it(&server, &source("bob")).await.unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("it does not accept the token: invalid_token"),
        "{error}"
    );
}

#[tokio::test]
async fn a_session_is_renewed_before_it_ends_and_requests_wait_meanwhile() {
    let server = plain_server(200).await;
    let connection = Connection::connect(&server.endpoint, &plain("sesame"))
        .await
        .unwrap();
    // First once when connecting, then at least twice more.
    while server.requests(ApiKey::SaslAuthenticate) < 3 {
        connection.send(ListGroupsRequest::default()).await.unwrap();
    }
    assert_eq!(server.connections(), 1);
    assert!(connection.is_usable());
}

#[tokio::test]
async fn a_session_that_cannot_be_renewed_is_not_used_for_anything_new() {
    let is_known = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let known = is_known.clone();
    let server = sasl_server("PLAIN", move |_, _| match known.load(Ordering::SeqCst) {
        true => said(b"").with_session_lifetime_ms(100),
        false => refused("the user was removed"),
    })
    .await;
    let connection = Connection::connect(&server.endpoint, &plain("sesame"))
        .await
        .unwrap();
    is_known.store(false, Ordering::SeqCst);
    while connection.is_usable() {
        let _ = connection.send(ListGroupsRequest::default()).await;
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_port_that_wants_sasl_or_none_is_told_from_the_other() {
    let server = Server::speaking_all(|_, header, _| match header.api() {
        Some(ApiKey::SaslHandshake) => reply(
            &header,
            &SaslHandshakeResponse::default().with_error_code(34),
        ),
        _ => Act::Close,
    })
    .await;
    let error = use_it(&server, &plain("sesame")).await.unwrap_err();
    assert!(
        error.to_string().ends_with("it wants no SASL on this port"),
        "{error}"
    );
    let error = use_it(&server, &quick()).await.unwrap_err();
    assert!(
        error.to_string().ends_with("as one does that wants SASL"),
        "{error}"
    );
    assert!(error.hint().contains("sasl.mechanism"), "{}", error.hint());
}

/// Puts TLS in front of a server.
async fn with_tls(server: &Server, acceptor: TlsAcceptor) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::new("localhost", listener.local_addr().unwrap().port());
    let behind = (server.endpoint.host.clone(), server.endpoint.port);
    drop(task::spawn("test-tls", async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let (acceptor, behind) = (acceptor.clone(), behind.clone());
            drop(task::spawn("test-tls-connection", async move {
                let mut other = TcpStream::connect(behind).await.unwrap();
                match acceptor.accept(socket).into_fallible().await {
                    Ok(mut stream) => {
                        let _ = tokio::io::copy_bidirectional(&mut stream, &mut other).await;
                    }
                    // As brokers do, the reason is told in an alert.
                    Err((_, mut socket)) => {
                        let _ = socket.write_all(&[0x15, 3, 3, 0, 2, 2, 10]).await;
                    }
                }
            }));
        }
    }));
    endpoint
}

fn secured(settings: &TlsSettings, base: ConnectionConfig) -> ConnectionConfig {
    let tls = Some(Tls::new(settings).unwrap());
    let sasl = base.security.sasl.clone();
    ConnectionConfig {
        connect_timeout_ms: 20_000,
        security: Security { tls, sasl },
        ..base
    }
}

#[tokio::test]
async fn sasl_goes_through_tls_and_large_requests_too() {
    let (server, authority) = (plain_server(0).await, Authority::new());
    let endpoint = with_tls(&server, authority.acceptor(&["localhost"], false)).await;
    let config = secured(&authority.settings(), plain("sesame"));
    let connection = Connection::connect(&endpoint, &config).await.unwrap();
    let group = |n: usize| text(&format!("{n:0>30000}")).into();
    let request = DescribeGroupsRequest::default().with_groups((0..30).map(group).collect());
    let requests = [(); 4].map(|()| connection.send_unchecked(&request, 5));
    // What the server answers fits no such request; that it answers is what counts.
    for answer in futures_util::future::join_all(requests).await {
        let error = answer.err();
        assert!(!matches!(
            error,
            Some(ClientError::Timeout { .. } | ClientError::Closed { .. })
        ));
    }
}

#[tokio::test]
async fn each_way_of_missing_each_other_over_tls_is_told() {
    let (server, authority) = (plain_server(0).await, Authority::new());
    let cases: [(&[&str], bool, ConnectionConfig, &str, &str); 4] = [
        (
            &["kafka.internal"],
            false,
            secured(&authority.settings(), plain("sesame")),
            "the certificate is for kafka.internal, not localhost",
            "ssl.endpoint.identification.algorithm=",
        ),
        (
            &["localhost"],
            false,
            secured(&Authority::new().settings(), plain("sesame")),
            "its certificate comes from an authority that is not trusted here",
            "ssl.truststore.location",
        ),
        (
            &["localhost"],
            true,
            secured(&authority.settings(), plain("sesame")),
            "it wants a certificate of this client",
            "ssl.keystore.location",
        ),
        (
            &["localhost"],
            false,
            quick(),
            "the port speaks TLS, and this connection does not",
            "security.protocol",
        ),
    ];
    for (names, wants_client, config, told, advice) in cases {
        let endpoint = with_tls(&server, authority.acceptor(names, wants_client)).await;
        let error = Connection::connect(&endpoint, &config).await.unwrap_err();
        assert!(matches!(error, ClientError::Tls { .. }), "{error:?}");
        assert!(error.to_string().ends_with(told), "{error}");
        assert!(error.hint().contains(advice), "{}", error.hint());
    }
    let config = secured(&authority.settings(), quick());
    let error = Connection::connect(&server.endpoint, &config)
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("as a port does that speaks no TLS"),
        "{error}"
    );
}

#[tokio::test]
async fn no_change_goes_to_another_cluster_than_the_one_that_is_meant() {
    let server = plain_server(0).await;
    let change = || CreateTopicsRequest::default();
    for (saved, is_right) in [
        (Some("cluster-a"), true),
        (Some("cluster-b"), false),
        (None, true),
    ] {
        let before = server.requests(ApiKey::CreateTopics);
        let guard = ClusterGuard::new(saved.map(str::to_owned));
        let config = ConnectionConfig {
            guard: Some(Arc::new(guard)),
            ..plain("sesame")
        };
        let connection = Connection::connect(&server.endpoint, &config)
            .await
            .unwrap();
        connection.send(ListGroupsRequest::default()).await.unwrap();
        let asked = server.requests(ApiKey::Metadata);
        for _ in 0..2 {
            let sent = connection.send(change()).await;
            if is_right {
                sent.unwrap();
                continue;
            }
            let error = sent.unwrap_err();
            let told =
                "belongs to cluster cluster-a, not cluster-b: this is not the cluster you saved";
            assert!(error.to_string().ends_with(told), "{error}");
            assert!(!error.may_have_been_done());
        }
        let sent = server.requests(ApiKey::CreateTopics) - before;
        assert_eq!(sent, if is_right { 2 } else { 0 });
        assert_eq!(
            server.requests(ApiKey::Metadata) - asked,
            1,
            "once for a connection"
        );
    }
}
