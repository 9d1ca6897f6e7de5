//! The page about the configuration file and the environment.

use std::fmt::Write as _;

/// Key, what stands there, what it is for.
pub(super) type Row = (&'static str, &'static str, &'static str);

/// Of one entry of `[clusters.NAME]`.
pub(super) const ENTRY: &[Row] = &[
    (
        "bootstrap",
        "host:port,…",
        "brokers to ask first; may be left to the properties",
    ),
    (
        "properties",
        "path",
        "a file of Kafka's client properties; relative to this file",
    ),
    (
        "settings",
        "table",
        "client properties by Kafka's names, beside or instead of the file",
    ),
    (
        "color",
        "red, green, yellow, blue, magenta, cyan or white",
        "what the cluster's name is shown in; `colour` is read too",
    ),
    (
        "danger",
        "low, normal or high",
        "what has to be confirmed by typing: nothing, what destroys data, also what moves data or \
         leaders",
    ),
    (
        "dry_run",
        "true or false",
        "whether commands only show their changes there unless --execute is given; if absent, where \
         danger is high",
    ),
    (
        "read_only",
        "true or false",
        "refuses every change, unless --read-write is given",
    ),
    (
        "registry",
        "address",
        "the schema registry, as http://host:8081; who asks there is in the settings: \
         basic.auth.user.info, bearer.auth.token",
    ),
    (
        "registry_ca",
        "path",
        "a PEM file with the authorities to trust for the schema registry; the platform's if absent",
    ),
    (
        "cluster_id",
        "text",
        "learned at the first connection; changes are refused where another cluster answers",
    ),
    (
        "connect",
        "list of addresses",
        "workers of Kafka Connect, as http://host:8083; the first that answers is asked",
    ),
    (
        "connect_login",
        "user:${env:NAME}",
        "the user for these workers, and where the password is: env, file or command",
    ),
    (
        "connect_ca",
        "path",
        "certificates of the authorities that vouch for them, PEM; relative to this file",
    ),
    (
        "metrics",
        "address, or table of addresses",
        "where brokers tell their figures as Prometheus reads them: http://{host}:7071/metrics with \
         {host} and {id} filled in, or { 1 = \"http://…\", 2 = \"http://…\" }",
    ),
    (
        "metrics_login",
        "user:${env:NAME}",
        "the user for these pages, as connect_login",
    ),
    (
        "metrics_ca",
        "path",
        "certificates of the authorities that vouch for them, PEM; relative to this file",
    ),
];

/// Of the environment.
pub(super) const VARIABLES: &[Row] = &[
    (
        "KAFKA_BOOTSTRAP",
        "host:port,…",
        "brokers, where no option names a cluster",
    ),
    (
        "KAFKA_TUI_DRY_RUN",
        "true or false",
        "as dry_run, for clusters that are not saved",
    ),
    (
        "KAFKA_TUI_CONFIG",
        "path",
        "the configuration file, instead of the usual place",
    ),
    (
        "XDG_CONFIG_HOME",
        "path",
        "the usual place is kafka-tui/config.toml in it; ~/.config if unset",
    ),
    (
        "XDG_STATE_HOME",
        "path",
        "local brokers and what can be undone; ~/.local/state if unset",
    ),
    ("NO_COLOR", "anything", "no colours, as --theme mono"),
    ("TERM", "dumb", "no colours either"),
];

const EXAMPLE: &str = r#"default = "dev"

[clusters.dev]
bootstrap = "localhost:9092"
danger = "low"

[clusters.prod]
bootstrap = "kafka1:9093,kafka2:9093"
properties = "prod.properties"
color = "red"
danger = "high"
read_only = true
"#;

fn table(text: &mut String, title: &str, rows: &[Row]) {
    let _ = writeln!(text, "| {title} | value | |\n| --- | --- | --- |");
    for (key, value, what) in rows {
        let _ = writeln!(
            text,
            "| `{key}` | {} | {} |",
            super::cell(value),
            super::cell(what)
        );
    }
}

pub(super) fn page() -> String {
    let mut text = "# Configuration\n\nClusters are saved in `~/.config/kafka-tui/config.toml`; \
                    `kafka-tui clusters add` and the screen of saved clusters write it, and so can \
                    you. Passwords are never in it: `${env:NAME}`, `${file:PATH}` and \
                    `${command:LINE}` say where they are.\n\n```toml\n"
        .to_owned();
    text.push_str(EXAMPLE);
    text.push_str("```\n\n`default` names the cluster that is meant where none is named.\n\n");
    table(&mut text, "`[clusters.NAME]`", ENTRY);
    text.push('\n');
    table(&mut text, "variable", VARIABLES);
    text
}
