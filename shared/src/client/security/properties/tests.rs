//! Files as people have them, and what is said of those that can't be followed.

use super::*;
use crate::tls::testing::Authority;

async fn parse(text: &str, folder: &Path) -> Result<ClientProperties, PropertiesFault> {
    read(&Properties::parse(text).unwrap(), folder).await
}

fn here() -> &'static Path {
    Path::new(".")
}

#[tokio::test]
async fn nothing_said_is_plaintext() {
    let read = parse("", here()).await.unwrap();
    assert_eq!(read.security.protocol(), "PLAINTEXT");
    assert!(read.warnings.is_empty());
    let text = "bootstrap.servers = a:1, SSL://[::1]:2\nclient.id=me\nrequest.timeout.ms=5\n\
                acks=all\nssl.truststore.location=/x";
    let read = parse(text, here()).await.unwrap();
    assert_eq!(
        read.bootstrap,
        [Endpoint::new("a", 1), Endpoint::new("::1", 2)]
    );
    assert_eq!(
        (read.client_id.as_deref(), read.request_timeout_ms),
        (Some("me"), Some(5))
    );
    let told = "ssl.truststore.location has no effect: security.protocol is PLAINTEXT";
    assert_eq!(read.warnings, [told]);
}

#[tokio::test]
async fn passwords_come_from_the_file_or_from_where_it_points() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("password"), "qu\"ote;\n").unwrap();
    let jaas = "sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \\\n\
                \x20 username=\"alice\" password=\"${file:password}\";";
    for (mechanism, hash) in [
        ("SCRAM-SHA-256", ScramHash::Sha256),
        ("SCRAM-SHA-512", ScramHash::Sha512),
    ] {
        let text = format!("security.protocol=sasl_plaintext\nsasl.mechanism={mechanism}\n{jaas}");
        let read = parse(&text, folder.path()).await.unwrap();
        assert_eq!(read.security.protocol(), "SASL_PLAINTEXT");
        let Some(Sasl::Scram {
            hash: got,
            username,
            password,
            is_token,
        }) = read.security.sasl
        else {
            panic!("no SCRAM");
        };
        assert_eq!(
            (got, &*username, password.expose()),
            (hash, "alice", "qu\"ote;")
        );
        assert!(!is_token);
    }
    let text = "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n\
                sasl.jaas.config=M required username=\"u\" password=\"sesame\";";
    let read = parse(text, here()).await.unwrap();
    assert!(!format!("{read:?}").contains("sesame"));
    let sasl = read.security.sasl.unwrap();
    assert_eq!((sasl.mechanism(), sasl.user()), ("PLAIN", Some("u")));
}

#[tokio::test]
async fn pem_stores_are_read_whatever_their_type_is_called() {
    let authority = Authority::new();
    let identity = authority.identity(&["client"]);
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("ca.pem", &authority.pem);
    write(
        "client.pem",
        &format!("{}{}", identity.key.expose(), identity.chain),
    );
    let base = "security.protocol=SSL\nssl.truststore.location=ca.pem\n";
    for text in [
        base.to_owned(),
        format!("{base}ssl.truststore.type=PEM\nssl.keystore.location=client.pem\n"),
        format!("{base}ssl.endpoint.identification.algorithm=\n"),
        format!("{base}ssl.enabled.protocols=TLSv1.3\n"),
    ] {
        let read = parse(&text, folder.path()).await.unwrap();
        assert_eq!(read.security.protocol(), "SSL");
    }
    let inline = Properties::from_iter([
        ("security.protocol", "SSL"),
        ("ssl.truststore.type", "PEM"),
        ("ssl.truststore.certificates", &authority.pem),
        ("ssl.keystore.certificate.chain", &identity.chain),
        ("ssl.keystore.key", identity.key.expose()),
    ]);
    let read_back = Properties::parse(&inline.to_text(&[])).unwrap();
    assert!(
        read(&read_back, here())
            .await
            .unwrap()
            .security
            .tls
            .is_some()
    );
    let inline = Properties::parse(&inline.to_text(&[]).replace("ssl.keystore.key", "x")).unwrap();
    let error = read(&inline, here()).await.unwrap_err();
    assert!(error.reason.contains("belong together"), "{error}");
}

#[tokio::test]
async fn stores_of_java_are_used_with_their_passwords_and_refused_with_what_to_check() {
    use crate::keystore::golden;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("trust.jks", &golden::bytes(golden::TRUST_JKS));
    write("trust.p12", &golden::bytes(golden::TRUST_P12));
    write("key.jks", &golden::bytes(golden::KEY_JKS));
    write("key.p12", &golden::bytes(golden::LEGACY_P12));
    let pem = format!("{}{}", golden::ENCRYPTED_PEM, golden::CLIENT_PEM);
    write("key.pem", pem.as_bytes());
    let trust = "security.protocol=SSL\nssl.truststore.location=trust.jks\n";
    let store = "ssl.keystore.location=key.jks\nssl.keystore.password=changeit\n";
    for text in [
        trust.to_owned(),
        format!("{trust}ssl.truststore.password=changeit\n"),
        "security.protocol=SSL\nssl.truststore.type=PKCS12\nssl.truststore.location=trust.p12\n\
         ssl.truststore.password=changeit"
            .to_owned(),
        format!("{trust}{store}ssl.key.password=other-secret"),
        format!("{trust}ssl.keystore.location=key.p12\nssl.keystore.password=changeit"),
        format!("{trust}ssl.keystore.location=key.pem\nssl.key.password=other-secret"),
    ] {
        match parse(&text, folder.path()).await {
            Ok(read) => assert!(read.security.tls.is_some(), "{text}"),
            Err(error) => panic!("{text}: {error}"),
        }
    }
    for (text, reason, advice) in [
        (
            format!("{trust}ssl.truststore.password=guessed"),
            "trust.jks (JKS): its password is wrong, or it is damaged",
            "check ssl.truststore.password",
        ),
        (
            format!("{trust}{store}"),
            "the password of its key is wrong",
            "the key has another password than the store: set ssl.key.password",
        ),
        (
            format!("{trust}{store}ssl.key.password=guessed"),
            "the password of its key is wrong",
            "check ssl.key.password",
        ),
        (
            format!("{trust}ssl.keystore.location=trust.jks\nssl.keystore.password=changeit"),
            "there is no private key with a certificate in",
            "PrivateKeyEntry",
        ),
        (
            "security.protocol=SSL\nssl.truststore.location=trust.p12".to_owned(),
            "there is no trusted certificate in",
            "ssl.truststore.password",
        ),
        (
            format!("{trust}ssl.keystore.location=key.pem"),
            "the private key of the keystore is encrypted",
            "set ssl.key.password",
        ),
    ] {
        let error = parse(&text, folder.path()).await.unwrap_err();
        assert!(error.reason.contains(reason), "{text}: {error}");
        assert!(error.advice.contains(advice), "{text}: {}", error.advice);
        let told = format!("{error} {}", error.advice);
        assert!(
            !told.contains("guessed") && !told.contains("changeit"),
            "{told}"
        );
    }
}

#[tokio::test]
async fn stores_of_other_kinds_are_refused_with_the_command_that_converts_them() {
    let folder = tempfile::tempdir().unwrap();
    let jceks = folder.path().join("it's.jceks");
    let ber = folder.path().join("keys.p12");
    std::fs::write(&jceks, [0xce, 0xce, 0xce, 0xce, 0, 0, 0, 2]).unwrap();
    std::fs::write(&ber, [0x30, 0x80, 0x02, 0x01, 0x03]).unwrap();
    let text = "security.protocol=SSL\nssl.truststore.location=it's.jceks";
    let error = parse(text, folder.path()).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("(JCEKS): a JCEKS store is not read here"),
        "{error}"
    );
    let name = folder.path().display();
    let command = format!(
        "(umask 077; keytool -importkeystore -srckeystore '{name}/it'\\''s.jceks' -destkeystore \
         store.p12 -deststoretype PKCS12 && openssl pkcs12 -in store.p12 -nokeys -out ca.pem)"
    );
    assert!(error.advice.contains(&command), "{}", error.advice);
    let text = "security.protocol=SSL\nssl.keystore.location=keys.p12";
    let error = parse(text, folder.path()).await.unwrap_err();
    let command = format!("openssl pkcs12 -in {name}/keys.p12 -nodes -out client.pem");
    assert!(error.advice.contains(&command), "{}", error.advice);
}

#[tokio::test]
async fn tokens_come_from_an_endpoint_a_file_or_are_made() {
    let base = "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=OAUTHBEARER\n";
    let module = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required";
    let url = "sasl.oauthbearer.token.endpoint.url";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t"), "tok.en\n").unwrap();
    let file = format!("{base}{url}=file://{}/t", folder.path().display());
    let made = format!(
        "{base}sasl.jaas.config={module} unsecuredLoginStringClaim_sub=\"alice\" \
         extension_a=\"b\";"
    );
    for (text, begins) in [(&file, "tok.en"), (&made, "eyJhbGciOiJub25lIn0.")] {
        let read = parse(text, here()).await.unwrap();
        let Some(Sasl::OauthBearer(provider)) = read.security.sasl else {
            panic!("no OAUTHBEARER");
        };
        let token = provider.token().await.unwrap();
        assert!(token.expose().starts_with(begins));
    }
    for text in [
        format!(
            "{base}{url}=https://idp/t\nsasl.jaas.config={module} clientId=\"i\" \
             clientSecret=\"sesame\" scope=\"s\";"
        ),
        format!(
            "{base}{url}=http://idp/t\nsasl.oauthbearer.client.credentials.client.id=i\n\
             sasl.oauthbearer.client.credentials.client.secret=sesame\nsasl.oauthbearer.scope=s"
        ),
    ] {
        let read = format!("{:?}", parse(&text, here()).await.unwrap());
        assert!(
            read.contains("client_id: \"i\"") && read.contains("scope: Some(\"s\")"),
            "{read}"
        );
        assert!(!read.contains("sesame"), "{read}");
    }
}

#[tokio::test]
async fn what_cannot_be_followed_is_named_by_its_key_and_never_by_a_secret() {
    let sasl = "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=";
    for (text, key, told) in [
        (
            "security.protocol=TLS".to_owned(),
            "security.protocol",
            "no security protocol",
        ),
        (
            "bootstrap.servers=nowhere".to_owned(),
            "bootstrap.servers",
            "host:port",
        ),
        (
            "request.timeout.ms=soon".to_owned(),
            "request.timeout.ms",
            "no number",
        ),
        (
            "security.protocol=SASL_SSL".to_owned(),
            "sasl.mechanism",
            "GSSAPI",
        ),
        (format!("{sasl}GSSAPI"), "sasl.mechanism", "not spoken here"),
        (format!("{sasl}PLAIN"), "sasl.jaas.config", "not set"),
        (
            format!("{sasl}PLAIN\nsasl.jaas.config=M required username=\"a\" password=\"sesame\""),
            "sasl.jaas.config",
            "the ;",
        ),
        (
            format!("{sasl}PLAIN\nsasl.jaas.config=M required password=\"sesame\";"),
            "sasl.jaas.config",
            "no username",
        ),
        (
            format!(
                "{sasl}PLAIN\nsasl.jaas.config=M required username=u password=\"${{env:NO_SUCH_V}}\";"
            ),
            "sasl.jaas.config, option password",
            "NO_SUCH_V",
        ),
        (
            format!("{sasl}OAUTHBEARER"),
            "sasl.oauthbearer.token.endpoint.url",
            "not set",
        ),
        (
            "security.protocol=SSL\nssl.endpoint.identification.algorithm=none".to_owned(),
            "ssl.endpoint.identification.algorithm",
            "unknown",
        ),
        (
            "security.protocol=SSL\nssl.truststore.location=/no/such".to_owned(),
            "ssl.truststore.location",
            "No such file",
        ),
        (
            "security.protocol=SSL\nssl.truststore.certificates=x\nssl.enabled.protocols=TLSv1"
                .to_owned(),
            "ssl",
            "no certificate",
        ),
    ] {
        let error = parse(&text, here()).await.unwrap_err();
        assert_eq!(error.key, key, "{text}");
        assert!(error.to_string().contains(told), "{text}: {error}");
        assert!(!format!("{error:?}").contains("sesame"), "{error:?}");
    }
}
