//! Handshakes with servers in this process: who is trusted, who is not, and what is said then.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::testing::Authority;
use super::*;

/// One connection of a client to a server, up to a byte that comes back.
async fn meet(acceptor: Option<TlsAcceptor>, settings: &TlsSettings) -> Result<(), TlsFault> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = crate::task::spawn("test-server", async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        match acceptor {
            Some(acceptor) => {
                let Ok(mut stream) = acceptor.accept(socket).await else {
                    return;
                };
                let _ = stream.write_all(b"!").await;
                let _ = stream.shutdown().await;
            }
            None => socket.write_all(b"+OK not TLS at all\r\n").await.unwrap(),
        }
    });
    let tls = Tls::new(settings)?;
    let socket = TcpStream::connect(address).await.unwrap();
    let connected = tls.connect("localhost", socket).await;
    let met = match connected {
        Err(fault) => Err(fault),
        // What a server thinks of a client's certificate comes with the first byte.
        Ok(mut stream) => match stream.read_u8().await {
            Ok(_) => Ok(()),
            Err(error) => Err(tls.explain(&error).expect("it is TLS that failed")),
        },
    };
    server.await.unwrap();
    met
}

#[tokio::test]
async fn a_server_of_a_trusted_authority_is_taken() {
    let authority = Authority::new();
    let acceptor = authority.acceptor(&["localhost"], false);
    assert_eq!(meet(Some(acceptor), &authority.settings()).await, Ok(()));
}

#[tokio::test]
async fn a_certificate_for_another_host_is_told_by_its_names_unless_nobody_asks() {
    let authority = Authority::new();
    let acceptor = authority.acceptor(&["kafka.internal", "10.0.0.1"], false);
    let mut settings = authority.settings();
    let fault = meet(Some(acceptor.clone()), &settings).await.unwrap_err();
    let told = "the certificate is for kafka.internal, 10.0.0.1, not localhost";
    assert_eq!(fault.reason, told);
    assert!(
        fault
            .advice
            .contains("ssl.endpoint.identification.algorithm=")
    );
    settings.verify_host_name = false;
    assert_eq!(meet(Some(acceptor), &settings).await, Ok(()));
}

#[tokio::test]
async fn without_the_check_of_the_name_the_authority_still_counts() {
    let (authority, other) = (Authority::new(), Authority::new());
    for verify_host_name in [true, false] {
        let settings = TlsSettings {
            verify_host_name,
            ..other.settings()
        };
        let acceptor = authority.acceptor(&["localhost"], false);
        let fault = meet(Some(acceptor), &settings).await.unwrap_err();
        assert!(fault.reason.contains("not trusted here"), "{fault:?}");
        assert!(
            fault.advice.contains("ssl.truststore.location"),
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_gets_it_or_the_lack_is_told() {
    let authority = Authority::new();
    let acceptor = authority.acceptor(&["localhost"], true);
    let mut settings = authority.settings();
    let fault = meet(Some(acceptor.clone()), &settings).await.unwrap_err();
    assert_eq!(fault.reason, "it wants a certificate of this client");
    assert!(fault.advice.contains("ssl.keystore.location"), "{fault:?}");
    settings.identity = Some(Authority::new().identity(&["client"]));
    let fault = meet(Some(acceptor.clone()), &settings).await.unwrap_err();
    assert!(fault.reason.contains("does not accept"), "{fault:?}");
    settings.identity = Some(authority.identity(&["client"]));
    assert_eq!(meet(Some(acceptor), &settings).await, Ok(()));
}

#[tokio::test]
async fn a_port_without_tls_is_told_from_one_with_bad_tls() {
    let authority = Authority::new();
    let fault = meet(None, &authority.settings()).await.unwrap_err();
    assert_eq!(fault.reason, "what it answered is not TLS");
    assert!(fault.advice.contains("security.protocol"), "{fault:?}");
}

#[test]
fn texts_that_are_no_certificates_or_keys_are_refused_and_not_shown() {
    let authority = Authority::new();
    let identity = authority.identity(&["client"]);
    let with = |chain: &str, key: &str| TlsSettings {
        identity: Some(Identity {
            chain: chain.to_owned(),
            key: key.into(),
        }),
        ..authority.settings()
    };
    let encrypted = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nc2VzYW1l\n";
    let other = authority.identity(&["other"]);
    for (settings, told) in [
        (
            TlsSettings {
                trust: Trust::Pem("sesame".to_owned()),
                ..TlsSettings::default()
            },
            "there is no certificate in the truststore",
        ),
        (with(&identity.chain, "sesame"), "no private key"),
        (
            with("", identity.key.expose()),
            "no certificate in the keystore",
        ),
        (with(&identity.chain, encrypted), "is encrypted"),
        (
            with(&identity.chain, other.key.expose()),
            "the key and the certificate",
        ),
    ] {
        let fault = Tls::new(&settings).unwrap_err();
        assert!(fault.reason.contains(told), "{fault:?}");
        assert!(!format!("{fault:?}").contains("sesame"), "{fault:?}");
        assert!(!format!("{settings:?}").contains("PRIVATE KEY"));
    }
}
