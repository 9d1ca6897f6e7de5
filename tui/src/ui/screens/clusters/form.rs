//! The form that saves a cluster: all that an entry of the configuration file can say, but for
//! client properties one by one.

use std::path::PathBuf;

use crate::clusters::{
    Colour, Endpoints, Entry, Level, Login, SecretFrom, legal_name, login_reference,
};
use crate::connect::Workers;
use crate::ui::app::parse_bootstrap;
use crate::ui::event::{ClustersAction, Effect};
use crate::ui::screen::{Step, Toast};
use crate::ui::widgets::form::{Field, Form, Values, Wrong};

const MECHANISMS: [&str; 4] = ["none", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// The fields in their order.
#[derive(Clone, Copy)]
enum At {
    Name,
    Brokers,
    Properties,
    Login,
    User,
    Password,
    Tls,
    Authority,
    Colour,
    Danger,
    Rights,
    Certificate,
    Registry,
    RegistryCa,
    Connect,
    ConnectLogin,
    ConnectCa,
    Metrics,
    MetricsLogin,
    MetricsCa,
}

const LOGIN_NOTE: &str = "user and where the password is: me:env:NAME; may stay empty";
const CA_NOTE: &str = "a PEM file to trust there; empty: the authorities of this machine";

pub(super) fn add_form() -> Form {
    let fields = vec![
        Field::text("name", "", "letters, digits, '-', '_' and '.'"),
        Field::text(
            "brokers",
            "",
            "host:port,…; empty if the properties name them",
        ),
        Field::text(
            "properties",
            "",
            "a file of Kafka's client properties; may stay empty",
        ),
        Field::choice("login", &MECHANISMS, 0),
        Field::text("user", "", "for a login without a file of properties"),
        Field::text(
            "password",
            "",
            "where it is, never itself: env:NAME, file:PATH or command:LINE",
        ),
        Field::choice("TLS", &["no", "yes"], 0),
        Field::text(
            "authority",
            "",
            "a PEM file to trust; empty: those of this machine",
        ),
        Field::text("colour", "", Colour::NAMES.join(", ")),
        Field::choice("danger", &Level::NAMES, 1),
        Field::choice("rights", &["read-write", "read-only"], 0),
        Field::text(
            "identity",
            "",
            "the own certificate chain with its key, PEM, for mTLS",
        ),
        Field::text(
            "registry",
            "",
            "the schema registry, http://host:8081; who asks: basic.auth.user.info of the properties",
        ),
        Field::text("its CA", "", CA_NOTE),
        Field::text(
            "Connect",
            "",
            "workers of Kafka Connect: http://host:8083,…",
        ),
        Field::text("its login", "", LOGIN_NOTE),
        Field::text("its CA", "", CA_NOTE),
        Field::text(
            "metrics",
            "",
            "http://{host}:7071/metrics, or 1=http://…,2=http://… by broker",
        ),
        Field::text("its login", "", LOGIN_NOTE),
        Field::text("its CA", "", CA_NOTE),
    ];
    Form::new("save a cluster", fields, |values, cx| {
        let entry = entry_of(values)?;
        let job = cx.new_job();
        let text = format!("connecting to {} before it is saved …", entry.name);
        Ok(vec![
            Step::Close,
            Step::Say(Toast::info(text)),
            Step::Effect(Effect::Clusters {
                job,
                action: ClustersAction::Add {
                    entry: Box::new(entry),
                    replace: false,
                },
            }),
        ])
    })
}

fn absolute(path: &str) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

/// What was filled in; `None` where a field stayed empty.
fn filled<'v>(values: &'v Values<'_>, at: At) -> Option<&'v str> {
    Some(values.get(at as usize)).filter(|text| !text.is_empty())
}

fn wrong(at: At, why: impl Into<String>) -> Wrong {
    Wrong::new(at as usize, why)
}

fn entry_of(values: &Values<'_>) -> Result<Entry, Wrong> {
    let text = |at: At| values.get(at as usize).to_owned();
    let path = |at: At| filled(values, at).map(absolute);
    let name = text(At::Name);
    legal_name(&name).map_err(|fault| wrong(At::Name, fault.hint.unwrap_or(fault.why)))?;
    let bootstrap = text(At::Brokers);
    let properties = path(At::Properties);
    if !bootstrap.is_empty() || properties.is_none() {
        parse_bootstrap(&bootstrap).map_err(|why| wrong(At::Brokers, why))?;
    }
    let color = match filled(values, At::Colour) {
        None => None,
        Some(name) => {
            let why = || format!("one of {}", Colour::NAMES.join(", "));
            Some(Colour::named(name).ok_or_else(|| wrong(At::Colour, why()))?)
        }
    };
    let mut entry = Entry {
        name,
        bootstrap,
        properties,
        color,
        danger: Level::named(&text(At::Danger)).unwrap_or_default(),
        read_only: text(At::Rights) == "read-only",
        registry: filled(values, At::Registry).map(str::to_owned),
        registry_ca: path(At::RegistryCa),
        connect: list(filled(values, At::Connect)),
        connect_login: login(values, At::ConnectLogin)?,
        connect_ca: path(At::ConnectCa),
        metrics_login: login(values, At::MetricsLogin)?,
        metrics_ca: path(At::MetricsCa),
        ..Entry::default()
    };
    if let Some(url) = &entry.registry {
        let read: Result<kafka_shared::http::Url, String> = url.parse();
        read.map_err(|why| wrong(At::Registry, why))?;
    }
    if !entry.connect.is_empty() {
        let login = entry.connect_login.as_deref();
        let workers = Workers::new(&entry.connect, login, PathBuf::new(), true);
        workers.map_err(|fault| wrong(At::Connect, fault.why))?;
    }
    let endpoints = list(filled(values, At::Metrics));
    entry.metrics = Endpoints::of_options(&endpoints).map_err(|why| wrong(At::Metrics, why))?;
    security(values, &mut entry)?;
    Ok(entry)
}

fn list(text: Option<&str>) -> Vec<String> {
    let parts = text.into_iter().flat_map(|text| text.split(','));
    let parts = parts.map(str::trim).filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

/// Who asks, as it is saved.
fn login(values: &Values<'_>, at: At) -> Result<Option<String>, Wrong> {
    let Some(text) = filled(values, at) else {
        return Ok(None);
    };
    let place = text.split_once(':').map(|(_, place)| place);
    let place: Option<Result<SecretFrom, String>> = place.map(str::parse);
    match place {
        None => Err(wrong(at, LOGIN_NOTE)),
        Some(Err(why)) => Err(wrong(at, why)),
        Some(Ok(_)) => Ok(Some(login_reference(text))),
    }
}

/// How the brokers are connected to.
fn security(values: &Values<'_>, entry: &mut Entry) -> Result<(), Wrong> {
    let mechanism = values.get(At::Login as usize);
    let has_login = mechanism != "none";
    if has_login {
        let user = filled(values, At::User).ok_or_else(|| wrong(At::User, "who logs in?"))?;
        let from: Result<SecretFrom, String> = values.get(At::Password as usize).parse();
        let login = Login {
            mechanism: mechanism.to_owned(),
            username: user.to_owned(),
            password: from.map_err(|why| wrong(At::Password, why))?,
        };
        entry.settings.extend(login.settings());
    }
    let stores = [
        ("ssl.truststore", At::Authority),
        ("ssl.keystore", At::Certificate),
    ];
    let mut has_tls = values.get(At::Tls as usize) == "yes";
    for (key, at) in stores {
        if let Some(path) = filled(values, at) {
            let path = absolute(path).display().to_string();
            let set = [
                (format!("{key}.type"), "PEM".to_owned()),
                (format!("{key}.location"), path),
            ];
            entry.settings.extend(set);
            has_tls = true;
        }
    }
    let protocol = match (has_tls, has_login) {
        (false, false) => return Ok(()),
        (true, false) => "SSL",
        (false, true) => "SASL_PLAINTEXT",
        (true, true) => "SASL_SSL",
    };
    let key = "security.protocol".to_owned();
    entry.settings.insert(key, protocol.to_owned());
    Ok(())
}
