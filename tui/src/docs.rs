//! The reference that `kafka-tui docs` writes: keys and commands of every screen, the command line,
//! the configuration file, the exporter's metrics. Made from what the program itself goes by, so that it can't fall behind.

mod configuration;
mod twins;

use std::fmt::Write as _;

use crate::output::METRICS;
use crate::ui::command::{Argument, COMMANDS, Command, Scope};
use twins::Twin;

/// One page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Of the file, when it is written to a folder.
    pub file: &'static str,
    /// Markdown.
    pub text: String,
}

/// A screen, or what all of them have.
struct Part {
    scope: Scope,
    title: &'static str,
    /// In `screenshots/`.
    picture: Option<&'static str>,
}

const fn part(scope: Scope, title: &'static str, picture: Option<&'static str>) -> Part {
    Part {
        scope,
        title,
        picture,
    }
}

/// In the order in which they are met. A scope that is not here stands at the end by its own name.
const PARTS: &[Part] = &[
    part(Scope::Everywhere, "Everywhere", Some("help.png")),
    part(Scope::List, "Every list", None),
    part(Scope::Panes, "Screens with more than one list", None),
    part(Scope::Start, "Without a cluster", Some("start.png")),
    part(Scope::Overview, "Overview", Some("overview.png")),
    part(Scope::Brokers, "Brokers", Some("brokers.png")),
    part(Scope::Broker, "One broker", Some("broker.png")),
    part(Scope::Topics, "Topics", Some("topics.png")),
    part(Scope::Declared, "Declared topics", Some("declared.png")),
    part(Scope::Topic, "One topic", Some("topic.png")),
    part(Scope::Groups, "Groups", Some("groups.png")),
    part(Scope::Group, "One group", Some("group.png")),
    part(
        Scope::Timeline,
        "A group's rebalances",
        Some("timeline.png"),
    ),
    part(Scope::Messages, "Messages", Some("messages.png")),
    part(Scope::Configs, "Settings", Some("configs.png")),
    part(
        Scope::Reassign,
        "A reassignment that is planned",
        Some("reassign.png"),
    ),
    part(
        Scope::Reassignments,
        "Running reassignments",
        Some("reassignments.png"),
    ),
    part(Scope::Quorum, "The quorum", Some("quorum.png")),
    part(Scope::Changes, "Changes", Some("changes.png")),
    part(Scope::Acls, "ACLs", Some("acls.png")),
    part(Scope::Users, "Users", Some("users.png")),
    part(Scope::Quotas, "Quotas", Some("quotas.png")),
    part(
        Scope::Transactions,
        "Transactions",
        Some("transactions.png"),
    ),
    part(
        Scope::Producers,
        "Producers of a topic",
        Some("producers.png"),
    ),
    part(Scope::Connectors, "Kafka Connect", Some("connectors.png")),
    part(Scope::Local, "Local brokers", Some("local.png")),
    part(Scope::Clusters, "Saved clusters", Some("clusters.png")),
];

/// What else there is a picture of.
const MORE: &[(&str, &str)] = &[
    ("A plan, before it is executed", "plan.png"),
    ("May this broker stop?", "may-stop.png"),
    ("Where a group goes on", "reset.png"),
    ("One message in full", "message.png"),
    ("A value in Avro, by a schema registry", "avro.png"),
    ("Moves in batches, planned", "run.png"),
    ("Traffic, as the brokers' metrics tell", "metrics.png"),
    ("What one broker's metrics tell", "broker-metrics.png"),
    ("A cluster that has died", "lost.png"),
];

/// All pages; `command` is the program's command line.
pub fn pages(command: &clap::Command) -> Vec<Page> {
    let mut pages = vec![
        Page {
            file: "keys.md",
            text: keys(),
        },
        Page {
            file: "commands.md",
            text: commands(command),
        },
        Page {
            file: "configuration.md",
            text: configuration::page(),
        },
        Page {
            file: "metrics.md",
            text: metrics(),
        },
        Page {
            file: "output.md",
            text: include_str!("docs/output.md").to_owned(),
        },
    ];
    let mut index = "# kafka-tui\n\n".to_owned();
    for page in &pages {
        let title = page.text.lines().next().unwrap_or_default();
        let title = title.trim_start_matches("# ");
        let _ = writeln!(index, "- [{title}]({})", page.file);
    }
    index.push_str("\nPictures of the screens:\n\n");
    let pictures = PARTS
        .iter()
        .filter_map(|part| Some((part.title, part.picture?)));
    for (title, picture) in pictures.chain(MORE.iter().copied()) {
        let _ = writeln!(index, "- [{title}](../screenshots/{picture})");
    }
    pages.insert(
        0,
        Page {
            file: "README.md",
            text: index,
        },
    );
    pages
}

/// A cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// A text between backticks; one that holds a backtick gets two around it.
fn code(text: &str) -> String {
    match text.contains('`') {
        true => format!("`` {} ``", cell(text)),
        false => format!("`{}`", cell(text)),
    }
}

fn keys() -> String {
    let mut text = "# Keys and commands of the screens\n\nA command is typed after `:`; what it \
                    takes stands in capitals. ✎ changes something, and is refused with \
                    `--read-only`: it is shown as a plan first, in which `y` executes it, `c` \
                    copies the line of Kafka's own tools that does the same, and `esc` leaves \
                    everything as it is. In a form, `tab` goes to the next field and `enter` goes \
                    on. The mouse selects, opens, sorts by a header and scrolls.\n"
        .to_owned();
    for part in PARTS {
        scope(&mut text, part.scope, part.title, part.picture);
    }
    let mut others: Vec<Scope> = Vec::new();
    for command in COMMANDS {
        let is_known = PARTS.iter().any(|part| part.scope == command.scope);
        if !is_known && !others.contains(&command.scope) {
            others.push(command.scope);
        }
    }
    for other in others {
        scope(&mut text, other, &format!("{other:?}"), None);
    }
    text
}

fn scope(text: &mut String, scope: Scope, title: &str, picture: Option<&str>) {
    let mut commands = COMMANDS.iter().filter(|c| c.scope == scope).peekable();
    let _ = writeln!(text, "\n## {title}\n");
    if let Some(picture) = picture {
        let _ = writeln!(text, "![{title}](../screenshots/{picture})\n");
    }
    if commands.peek().is_none() {
        text.push_str("The keys of every list.\n");
        return;
    }
    text.push_str("| key | command | | for scripts |\n| --- | --- | --- | --- |\n");
    for command in commands {
        let keys: Vec<String> = command.keys.iter().map(|key| code(&key.label())).collect();
        let sign = if command.writes { "✎ " } else { "" };
        let _ = writeln!(
            text,
            "| {} | {} | {sign}{} | {} |",
            keys.join(" "),
            named(command),
            cell(command.doc),
            scripted(command)
        );
    }
}

/// What does the same in a script.
fn scripted(command: &Command) -> String {
    match twins::twin(command) {
        Twin::Command(words) => code(&format!("kafka-tui {words}")),
        Twin::Option(option) => code(&format!("kafka-tui {option}")),
        Twin::Screen => String::new(),
    }
}

/// How a command is typed, with its other names.
fn named(command: &Command) -> String {
    if command.name.is_empty() {
        return String::new();
    }
    let argument = match command.argument {
        Argument::None => "",
        Argument::Topic => " TOPIC",
        Argument::Group => " GROUP",
        Argument::Broker => " BROKER",
        #[allow(unreachable_patterns, reason = "arguments of other kinds are texts")]
        _ => " TEXT",
    };
    let mut text = code(&format!(":{}{argument}", command.name));
    for alias in command.aliases {
        let _ = write!(text, " {}", code(&format!(":{alias}")));
    }
    text
}

fn metrics() -> String {
    let mut text = "# Metrics\n\nOf `kafka-tui exporter`, all of them gauges. What is not known has \
                    no sample; it is never 0. Names stay.\n\n| name | labels | |\n| --- | --- | --- |\n"
        .to_owned();
    for metric in METRICS {
        let (name, help) = (code(metric.name), cell(metric.help));
        let _ = writeln!(text, "| {name} | {} | {help} |", metric.labels);
    }
    text
}

fn commands(program: &clap::Command) -> String {
    let mut program = program.clone();
    program.build();
    let mut text = "# Commands\n\nEvery command takes the options of the program too; \
                    `--output json` prints one JSON document whose fields stay.\n"
        .to_owned();
    command(&mut text, &program, 2, None);
    text
}

/// What a command takes as those above it do is told there only.
fn command(text: &mut String, of: &clap::Command, depth: usize, above: Option<&clap::Command>) {
    let is_above = |arg: &clap::Arg| {
        let above = above.into_iter().flat_map(clap::Command::get_arguments);
        arg.is_global_set()
            && above
                .into_iter()
                .any(|other| other.get_id() == arg.get_id())
    };
    let name = of.get_bin_name().unwrap_or_else(|| of.get_name());
    let _ = writeln!(text, "\n{} {}\n", "#".repeat(depth.min(5)), code(name));
    let about = of.get_long_about().or_else(|| of.get_about());
    if let Some(about) = about {
        let _ = writeln!(text, "{about}\n");
    }
    let is_shown = |arg: &&clap::Arg| {
        let is_help = matches!(arg.get_id().as_str(), "help" | "version");
        !arg.is_hide_set() && !is_help && !is_above(arg)
    };
    let mut args = of.get_arguments().filter(is_shown).peekable();
    if args.peek().is_some() {
        text.push_str("| | |\n| --- | --- |\n");
        for arg in args {
            let help = arg.get_long_help().or_else(|| arg.get_help());
            let help = help.map(ToString::to_string).unwrap_or_default();
            let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
            let told = std::iter::once(cell(&help)).chain(extra(arg));
            let told: Vec<String> = told.filter(|text| !text.is_empty()).collect();
            let _ = writeln!(text, "| {} | {} |", usage(arg), told.join("; "));
        }
    }
    let after = of.get_after_help().map(ToString::to_string);
    let after = after.unwrap_or_default();
    if let (Some((_, examples)), Some(_)) = (after.split_once(":\n"), above) {
        let _ = writeln!(text, "\n```\n{}\n```", unindented(examples));
    }
    let subcommands = of.get_subcommands();
    for sub in subcommands.filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
        command(text, sub, depth + 1, Some(of));
    }
    if above.is_none() {
        let codes = after.trim_start_matches("Exit codes:\n");
        let _ = writeln!(text, "\n## Exit codes\n\n```\n{codes}\n```");
    }
}

fn unindented(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    lines.join("\n")
}

fn usage(arg: &clap::Arg) -> String {
    let values: Vec<String> = arg
        .get_value_names()
        .unwrap_or_default()
        .iter()
        .map(ToString::to_string)
        .collect();
    let takes = arg.get_action().takes_values();
    let value = if takes {
        values.join(" ")
    } else {
        String::new()
    };
    let long = arg.get_long().map(|long| format!("--{long}"));
    let short = arg.get_short().map(|short| format!("-{short}"));
    let names: Vec<String> = short.into_iter().chain(long).collect();
    let text = match (names.is_empty(), value.is_empty()) {
        (true, _) => value,
        (false, true) => names.join(", "),
        (false, false) => format!("{} {value}", names.join(", ")),
    };
    code(&text)
}

/// The default and what is possible.
fn extra(arg: &clap::Arg) -> Vec<String> {
    let mut told = Vec::new();
    if !arg.get_action().takes_values() {
        return told;
    }
    let possible: Vec<String> = arg
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| value.get_name().to_owned())
        .collect();
    if !possible.is_empty() && possible.len() < 20 {
        told.push(format!("one of {}", code(&possible.join(", "))));
    }
    let defaults: Vec<String> = arg
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy().into_owned())
        .collect();
    if !defaults.is_empty() && !arg.is_hide_default_value_set() {
        told.push(format!("{} by default", code(&defaults.join(","))));
    }
    told
}

#[cfg(test)]
mod tests;
