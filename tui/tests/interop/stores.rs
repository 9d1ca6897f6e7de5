//! Truststores and keystores that keytool made, of both kinds, against a broker that wants a
//! certificate: Kafka's own client properties, as people have them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::TINY;
use crate::blind::words;
use crate::cluster::Cluster;
use crate::secured::open;
use crate::shell;

/// Whom the broker sees.
pub const PRINCIPAL: &str = "CN=java-client";

const STORE: &str = "store-of-java";
const KEY: &str = "key-of-java";

pub fn keytool(folder: &Path, args: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new("keytool");
    command.current_dir(folder).args(args);
    let done = shell::run(&mut command, None, Duration::from_secs(120))?;
    done.success().with_context(|| format!("keytool {args:?}"))
}

/// Makes a key with a password of its own in a JKS store; its certificate as PEM.
pub fn make_key(folder: &Path) -> anyhow::Result<String> {
    let made = [
        "-genkeypair",
        "-alias",
        "client",
        "-dname",
        PRINCIPAL,
        "-keyalg",
        "EC",
    ];
    let store = [
        "-keystore",
        "key.jks",
        "-storetype",
        "JKS",
        "-storepass",
        STORE,
    ];
    keytool(folder, &[&made[..], &store, &["-keypass", KEY]].concat())?;
    let told = [
        "-exportcert",
        "-rfc",
        "-alias",
        "client",
        "-keystore",
        "key.jks",
    ];
    keytool(folder, &[&told[..], &["-storepass", STORE]].concat())
}

pub fn connect(cluster: &mut Cluster) -> anyhow::Result<()> {
    let secured = cluster.secured();
    let folder = secured.file("key.jks");
    let folder = folder.parent().context("a folder")?;
    for (store, kind) in [("trust.jks", "JKS"), ("trust.p12", "PKCS12")] {
        let add = [
            "-importcert",
            "-noprompt",
            "-alias",
            "ca",
            "-file",
            "ca.pem",
        ];
        let to = ["-keystore", store, "-storetype", kind, "-storepass", STORE];
        keytool(folder, &[&add[..], &to].concat())?;
    }
    let from = [
        "-importkeystore",
        "-srckeystore",
        "key.jks",
        "-srcstorepass",
        STORE,
    ];
    let from = [&from[..], &["-srcalias", "client", "-srckeypass", KEY]].concat();
    for (store, more) in [
        ("key.p12", None),
        ("legacy.p12", Some("-J-Dkeystore.pkcs12.legacy")),
    ] {
        let to = [
            "-destkeystore",
            store,
            "-deststoretype",
            "PKCS12",
            "-deststorepass",
            STORE,
        ];
        let more: Vec<&str> = more.into_iter().collect();
        keytool(folder, &[&more[..], &from, &to].concat())?;
    }
    let path = |name: &str| secured.file(name).display().to_string();
    let properties = |name: &str, trust: &str, key: &str, passwords: &str| {
        let text = format!(
            "bootstrap.servers=127.0.0.1:{}\nsecurity.protocol=SSL\n\
             ssl.truststore.location={}\nssl.keystore.location={}\n{passwords}",
            secured.certificate_port,
            path(trust),
            path(key)
        );
        secured.write(name, &text)
    };
    let trust = format!("ssl.truststore.password={STORE}\n");
    let store = format!("{trust}ssl.keystore.password={STORE}\n");
    for (name, trust, key, passwords) in [
        // As Kafka has it by default: no type is named, and it is JKS.
        (
            "jks",
            "trust.jks",
            "key.jks",
            format!("{store}ssl.key.password={KEY}\n"),
        ),
        (
            "p12",
            "trust.p12",
            "key.p12",
            format!("{store}ssl.keystore.type=PKCS12\n"),
        ),
        ("legacy", "trust.jks", "legacy.p12", store.clone()),
    ] {
        let properties = properties(name, trust, key, &passwords)?;
        let mut terminal = open(&properties)?;
        terminal.wait_for("live").with_context(|| name.to_owned())?;
        terminal.keys("3")?;
        terminal.wait_for("orders")?;
        terminal.keys("q")?;
        ensure!(terminal.wait_for_end()?.success(), "it ends");
    }

    for (name, passwords, told) in [
        (
            "wrong-trust",
            "ssl.truststore.password=guessed-by-us\n".to_owned(),
            "check ssl.truststore.password",
        ),
        ("no-key-password", store.clone(), "set ssl.key.password"),
        (
            "wrong-key",
            format!("{store}ssl.key.password=guessed-by-us\n"),
            "check ssl.key.password",
        ),
    ] {
        let properties = properties(name, "trust.jks", "key.jks", &passwords)?;
        let mut terminal = open(&properties)?;
        for size in [(80, 24), TINY, (80, 24)] {
            terminal.resize(size.0, size.1)?;
            terminal
                .wait_until(told, |terminal| words(terminal).contains(told))
                .with_context(|| format!("{name} at {size:?}"))?;
            let text = terminal.text();
            let secrets = [STORE, KEY, "guessed-by-us"];
            ensure!(
                !secrets.iter().any(|secret| text.contains(secret)),
                "{text}"
            );
        }
        terminal.keys("q")?;
        ensure!(terminal.wait_for_end()?.success(), "it ends");
    }

    // Whose name the certificate does not have is let in where the check is switched off.
    let text = format!(
        "bootstrap.servers=localhost:{}\nsecurity.protocol=SSL\n\
         ssl.endpoint.identification.algorithm=\nssl.truststore.location={}\n{trust}\
         ssl.keystore.location={}\nssl.keystore.password={STORE}\n",
        secured.certificate_port,
        path("trust.jks"),
        path("key.p12"),
    );
    let mut terminal = open(&secured.write("no-name", &text)?)?;
    terminal.wait_for("live")?;
    terminal.keys("q")?;
    ensure!(terminal.wait_for_end()?.success(), "it ends");
    Ok(())
}
