//! The form that saves a cluster, and the same one that edits it: all that an entry of the
//! configuration file can say, but for client properties one by one.
//!
//! A field that is left as it was shown changes nothing, so that what a form can't show stays:
//! passwords that stand in the file, other mechanisms, other kinds of stores.

use std::path::PathBuf;

use crate::clusters::{
    Colour, Endpoints, Entry, Level, Login, SecretFrom, Store, legal_name, login_reference,
    shown_login,
};
use crate::connect::Workers;
use crate::ui::app::parse_bootstrap;
use crate::ui::event::{ClustersAction, Effect};
use crate::ui::screen::{Step, Toast};
use crate::ui::widgets::form::{Field, Form, Values, Wrong};

/// The last one stands for what only the file can say.
static MECHANISMS: [&str; 5] = ["none", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "other"];

/// What commands do that are not told: by the danger, only show their changes, or make them.
static COMMANDS: [&str; 3] = ["by danger", "dry run first", "execute"];

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
    Commands,
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
    /// Where an entry is edited.
    ClusterId,
}

const LOGIN_NOTE: &str = "user and where the password is: me:env:NAME; may stay empty";
const CA_NOTE: &str = "a PEM file to trust there; empty: the authorities of this machine";
const PASSWORD_NOTE: &str = "where it is, never itself: env:NAME, file:PATH or command:LINE";

/// What is said of a password that stands in the file itself.
const HIDDEN_NOTE: &str = "as it is saved, which is not shown; else env:NAME, file:PATH or \
                           command:LINE";

/// The form of a new entry, filled in with what was tried before.
pub(super) fn add(draft: &Entry) -> Form {
    let blank = Entry::default();
    Form::new("save a cluster", fields(draft), move |values, cx| {
        let entry = Filled::new(values, &blank).entry()?;
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

/// The form of an entry that is there, filled in with what it was to become; `is_here`: one is on
/// this cluster now.
pub(super) fn edit(saved: Entry, draft: &Entry, is_here: bool) -> Form {
    let mut fields = fields(draft);
    let learns_id = saved.cluster_id.is_some() && draft.cluster_id.is_none();
    fields.push(Field::choice(
        "cluster id",
        &["keep", "learn anew"],
        usize::from(learns_id),
    ));
    let title = format!("edit {}", saved.name);
    let form = Form::new(title, fields, move |values, cx| {
        let after = Filled::new(values, &saved).entry()?;
        let learns_id = values.get(At::ClusterId as usize) != "keep";
        let after = after.in_place_of(&saved, learns_id);
        if after == saved {
            let text = format!("{} is as it was", saved.name);
            return Ok(vec![Step::Close, Step::Say(Toast::info(text))]);
        }
        let job = cx.new_job();
        let text = format!("changing {} …", saved.name);
        Ok(vec![
            Step::Close,
            Step::Say(Toast::info(text)),
            Step::Effect(Effect::Clusters {
                job,
                action: ClustersAction::Edit {
                    before: Box::new(saved.clone()),
                    after: Box::new(after),
                },
            }),
        ])
    });
    match is_here {
        true => form.intro(vec![
            "This session goes on as it was begun; enter in the list begins another.".to_owned(),
        ]),
        false => form,
    }
}

fn fields(entry: &Entry) -> Vec<Field> {
    let path = |path: &Option<PathBuf>| {
        let path = path.as_ref().map(|path| path.display().to_string());
        path.unwrap_or_default()
    };
    let store = |store| entry.store(store).unwrap_or_default();
    let login = entry.login().unwrap_or_default();
    let mechanisms = &MECHANISMS[..MECHANISMS.len() - 1];
    let (mechanisms, mechanism) = match mechanisms.iter().position(|of| *of == login.mechanism) {
        Some(at) => (mechanisms, at),
        None if login.mechanism.is_empty() => (mechanisms, 0),
        None => (&MECHANISMS[..], MECHANISMS.len() - 1),
    };
    let password = login.password_from.unwrap_or_default();
    let password_note = match (login.mechanism.is_empty(), password.is_empty()) {
        (false, true) => HIDDEN_NOTE,
        _ => PASSWORD_NOTE,
    };
    let other_login = |label, saved: &Option<String>| match saved {
        None => Field::text(label, "", LOGIN_NOTE),
        Some(saved) => match shown_login(saved) {
            Some(shown) => Field::text(label, &shown, LOGIN_NOTE),
            None => Field::text(label, "", HIDDEN_NOTE),
        },
    };
    let metrics = entry.metrics.as_ref().map(Endpoints::options);
    let commands = match entry.dry_run {
        None => 0,
        Some(true) => 1,
        Some(false) => 2,
    };
    vec![
        Field::text("name", &entry.name, "letters, digits, '-', '_' and '.'"),
        Field::text(
            "brokers",
            &entry.bootstrap,
            "host:port,…; empty if the properties name them",
        ),
        Field::text(
            "properties",
            &path(&entry.properties),
            "a file of Kafka's client properties; may stay empty",
        ),
        Field::choice("login", mechanisms, mechanism),
        Field::text(
            "user",
            &login.user,
            "for a login without a file of properties",
        ),
        Field::text("password", &password, password_note),
        Field::choice("TLS", &["no", "yes"], usize::from(entry.has_tls())),
        Field::text(
            "authority",
            store(Store::Trusted),
            "a PEM file to trust; empty: those of this machine",
        ),
        Field::text(
            "colour",
            entry.color.map_or("", Colour::name),
            Colour::NAMES.join(", "),
        ),
        Field::choice("danger", &Level::NAMES, entry.danger as usize),
        Field::choice("commands", &COMMANDS, commands),
        Field::choice(
            "rights",
            &["read-write", "read-only"],
            usize::from(entry.read_only),
        ),
        Field::text(
            "identity",
            store(Store::Own),
            "the own certificate chain with its key, PEM, for mTLS",
        ),
        Field::text(
            "registry",
            entry.registry.as_deref().unwrap_or_default(),
            "the schema registry, http://host:8081; who asks: basic.auth.user.info of the properties",
        ),
        Field::text("its CA", &path(&entry.registry_ca), CA_NOTE),
        Field::text(
            "Connect",
            &entry.connect.join(","),
            "workers of Kafka Connect: http://host:8083,…",
        ),
        other_login("its login", &entry.connect_login),
        Field::text("its CA", &path(&entry.connect_ca), CA_NOTE),
        Field::text(
            "metrics",
            &metrics.unwrap_or_default().join(","),
            "http://{host}:7071/metrics, or 1=http://…,2=http://… by broker",
        ),
        other_login("its login", &entry.metrics_login),
        Field::text("its CA", &path(&entry.metrics_ca), CA_NOTE),
    ]
}

fn wrong(at: At, why: impl Into<String>) -> Wrong {
    Wrong::new(at as usize, why)
}

fn list(text: Option<&str>) -> Vec<String> {
    let parts = text.into_iter().flat_map(|text| text.split(','));
    let parts = parts.map(str::trim).filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

/// A form that is handed in.
struct Filled<'a> {
    values: &'a Values<'a>,
    /// What it was filled in with.
    saved: &'a Entry,
    /// The fields as they were then.
    before: Vec<Field>,
}

impl<'a> Filled<'a> {
    fn new(values: &'a Values<'a>, saved: &'a Entry) -> Self {
        Self {
            values,
            saved,
            before: fields(saved),
        }
    }

    /// What stands in a field; `None` where it is empty.
    fn get(&self, at: At) -> Option<&str> {
        Some(self.values.get(at as usize)).filter(|text| !text.is_empty())
    }

    fn text(&self, at: At) -> String {
        self.get(at).unwrap_or_default().to_owned()
    }

    /// Whether a field says something else than when it was shown.
    fn is_changed(&self, at: At) -> bool {
        Values::new(&self.before).get(at as usize) != self.values.get(at as usize)
    }

    /// What a field is to be saved as: where it was not changed as it was, which may be relative to
    /// another folder.
    fn path(&self, at: At, saved: &Option<PathBuf>) -> Option<PathBuf> {
        let absolute = |path: &str| std::path::absolute(path).unwrap_or_else(|_| path.into());
        match self.is_changed(at) {
            true => self.get(at).map(absolute),
            false => saved.clone(),
        }
    }

    /// Who asks, as it is saved.
    fn asks(&self, at: At, saved: &Option<String>) -> Result<Option<String>, Wrong> {
        if !self.is_changed(at) {
            return Ok(saved.clone());
        }
        let read = self.get(at).map(login_reference).transpose();
        read.map_err(|why| wrong(at, why))
    }

    fn entry(&self) -> Result<Entry, Wrong> {
        let saved = self.saved;
        let name = self.text(At::Name);
        legal_name(&name).map_err(|fault| wrong(At::Name, fault.hint.unwrap_or(fault.why)))?;
        let bootstrap = self.text(At::Brokers);
        let properties = self.path(At::Properties, &saved.properties);
        let servers = saved.settings.contains_key("bootstrap.servers");
        if !bootstrap.is_empty() || (properties.is_none() && !servers) {
            parse_bootstrap(&bootstrap).map_err(|why| wrong(At::Brokers, why))?;
        }
        let color = match self.get(At::Colour) {
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
            danger: Level::named(&self.text(At::Danger)).unwrap_or_default(),
            dry_run: match COMMANDS
                .iter()
                .position(|of| *of == self.text(At::Commands))
            {
                Some(1) => Some(true),
                Some(2) => Some(false),
                _ => None,
            },
            read_only: self.text(At::Rights) == "read-only",
            registry: self.get(At::Registry).map(str::to_owned),
            registry_ca: self.path(At::RegistryCa, &saved.registry_ca),
            connect: list(self.get(At::Connect)),
            connect_login: self.asks(At::ConnectLogin, &saved.connect_login)?,
            connect_ca: self.path(At::ConnectCa, &saved.connect_ca),
            metrics_login: self.asks(At::MetricsLogin, &saved.metrics_login)?,
            metrics_ca: self.path(At::MetricsCa, &saved.metrics_ca),
            ..saved.clone()
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
        let endpoints = list(self.get(At::Metrics));
        entry.metrics = Endpoints::of_options(&endpoints).map_err(|why| wrong(At::Metrics, why))?;
        self.access(&mut entry)?;
        Ok(entry)
    }

    /// How the brokers are connected to.
    fn access(&self, entry: &mut Entry) -> Result<(), Wrong> {
        if self.is_changed(At::Tls) {
            entry.set_tls(self.text(At::Tls) == "yes");
        }
        for (store, at) in [
            (Store::Trusted, At::Authority),
            (Store::Own, At::Certificate),
        ] {
            if self.is_changed(at) {
                let path = self.path(at, &None);
                entry.set_store(store, path.as_deref());
            }
        }
        let login = [At::Login, At::User, At::Password];
        if login.iter().any(|at| self.is_changed(*at)) {
            let login = self.login()?;
            entry.set_login(login.as_ref());
        }
        Ok(())
    }

    fn login(&self) -> Result<Option<Login>, Wrong> {
        let mechanism = self.text(At::Login);
        match &*mechanism {
            "none" => return Ok(None),
            "other" => {
                let why = "only the file can say this one; choose another, or leave user and \
                           password as they were";
                return Err(wrong(At::Login, why));
            }
            _ => {}
        }
        let user = self.get(At::User);
        let user = user.ok_or_else(|| wrong(At::User, "who logs in?"))?;
        let from: Result<SecretFrom, String> = self.text(At::Password).parse();
        Ok(Some(Login {
            mechanism,
            username: user.to_owned(),
            password: from.map_err(|why| wrong(At::Password, why))?,
        }))
    }
}
