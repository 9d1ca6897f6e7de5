mod output;

use std::collections::BTreeSet;
use std::path::Path;

use clap::{CommandFactory as _, Parser as _};

use super::*;
use crate::cli::Cli;

fn text_of(file: &str) -> String {
    let pages = pages(&Cli::command());
    let page = pages.into_iter().find(|page| page.file == file);
    page.map(|page| page.text).unwrap_or_default()
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn readme() -> String {
    std::fs::read_to_string(workspace().join("README.md")).unwrap()
}

#[test]
fn every_key_and_every_command_of_the_screens_is_in_the_reference() {
    let page = text_of("keys.md");
    for command in COMMANDS {
        assert!(page.contains(&cell(command.doc)), "{:?}", command.id);
        if !command.name.is_empty() {
            let typed = format!("`:{}", command.name);
            assert!(page.contains(&typed), "{typed}");
        }
    }
    for line in page.lines().filter(|line| line.starts_with("| ")) {
        let bars = line.replace("\\|", "").matches('|').count();
        assert_eq!(bars, 5, "{line}");
    }
}

#[test]
fn every_command_and_option_that_is_not_hidden_is_in_the_reference() {
    fn check(page: &str, command: &clap::Command) {
        let subs = command.get_subcommands();
        for sub in subs.filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
            let name = sub.get_bin_name().unwrap_or_default();
            assert!(
                page.contains(&format!("`{name}`")) || sub.get_name() == "help",
                "{name}"
            );
            check(page, sub);
        }
        for long in command.get_arguments().filter_map(|arg| arg.get_long()) {
            assert!(page.contains(&format!("--{long}")) || long == "version" || long == "help");
        }
    }
    let mut program = Cli::command();
    program.build();
    let page = text_of("commands.md");
    check(&page, &program);
    assert!(!page.contains("daemon"), "what is hidden stays hidden");
    for (code, meaning) in crate::output::EXIT_CODES {
        assert!(page.contains(&format!("{code}  {meaning}")), "{code}");
    }
}

/// All commands that are not hidden, below and with this one.
fn visible(command: &clap::Command) -> Vec<&clap::Command> {
    let subs = command.get_subcommands();
    let subs = subs.filter(|sub| !sub.is_hide_set() && sub.get_name() != "help");
    std::iter::once(command)
        .chain(subs.flat_map(visible))
        .collect()
}

#[test]
fn every_command_option_and_argument_says_what_it_is_for() {
    let mut program = Cli::command();
    program.build();
    let mut silent = Vec::new();
    for command in visible(&program) {
        let name = command.get_bin_name().unwrap_or_default();
        if command.get_about().is_none() {
            silent.push(name.to_owned());
        }
        let args = command.get_arguments().filter(|arg| !arg.is_hide_set());
        for arg in args.filter(|arg| arg.get_help().is_none()) {
            silent.push(format!("{name} {}", arg.get_id()));
        }
    }
    assert!(silent.is_empty(), "{silent:#?}");
}

/// The words of a line as a shell takes them apart.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, false);
    for c in line.chars() {
        match c {
            '\'' => {
                quote = !quote;
                word.get_or_insert_default();
            }
            ' ' if !quote => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[test]
fn every_example_is_a_command_line_that_is_taken() {
    let mut program = Cli::command();
    program.build();
    let helps = visible(&program).into_iter().skip(1);
    let helps = helps.filter_map(|command| command.get_after_help().map(ToString::to_string));
    let mut n = 0;
    for help in helps {
        for line in help.lines().filter(|line| line.starts_with("  kafka-tui ")) {
            // A remark follows as in a shell.
            let call = line.trim().split(" # ").next().unwrap_or_default().trim();
            let taken = Cli::try_parse_from(words(call));
            assert!(taken.is_ok(), "{call}: {}", taken.unwrap_err());
            n += 1;
        }
    }
    assert!(n > 20, "{n} examples");
}

#[test]
fn every_key_of_the_configuration_is_in_the_reference_and_no_other() {
    let shown = serde_json::to_value(crate::clusters::Entry::default()).unwrap();
    let mut keys: BTreeSet<String> = shown.as_object().unwrap().keys().cloned().collect();
    // They may hold secrets, and are not shown.
    keys.extend(["settings", "connect_login", "metrics_login"].map(str::to_owned));
    let told: BTreeSet<String> = configuration::ENTRY
        .iter()
        .map(|row| row.0.to_owned())
        .collect();
    assert_eq!(told, keys);
}

#[test]
fn every_picture_is_in_the_reference_and_in_the_readme() {
    let folder = workspace().join("screenshots");
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    let there: BTreeSet<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".png"))
        .collect();
    let parts = PARTS.iter().filter_map(|part| part.picture);
    let named = parts.chain(MORE.iter().map(|(_, picture)| *picture));
    let named: BTreeSet<String> = named.map(str::to_owned).collect();
    assert_eq!(named, there, "named in the reference, and in screenshots/");
    let readme = readme();
    for picture in there {
        let shown = format!("](screenshots/{picture})");
        assert!(readme.contains(&shown), "README does not show {picture}");
    }
}

/// The commands that README shows, without their options: `kafka-tui topics list|create` is two.
fn shown_commands(readme: &str) -> Vec<Vec<String>> {
    let mut shown = Vec::new();
    let mut is_code = false;
    for line in readme.lines() {
        if line.starts_with("```") {
            is_code = !is_code;
            continue;
        }
        if !is_code {
            continue;
        }
        let line = line.split(" #").next().unwrap_or_default();
        for call in line.split("kafka-tui ").skip(1) {
            let words = call.split_whitespace();
            let is_word = |word: &&str| {
                let legal = |c: char| c.is_ascii_lowercase() || matches!(c, '-' | '|');
                !word.starts_with('-') && word.chars().all(legal)
            };
            let path: Vec<&str> = words.take_while(is_word).collect();
            let [first, rest @ ..] = &path[..] else {
                continue;
            };
            let second = rest
                .first()
                .map_or(vec![], |word| word.split('|').collect());
            if second.is_empty() {
                shown.push(vec![(*first).to_owned()]);
            }
            for second in second {
                shown.push(vec![(*first).to_owned(), second.to_owned()]);
            }
        }
    }
    shown
}

#[test]
fn readme_shows_no_command_that_is_not_there() {
    let readme = readme();
    let program = Cli::command();
    let shown = shown_commands(&readme);
    assert!(shown.len() > 20, "{shown:?}");
    for path in &shown {
        let found = program.find_subcommand(&path[0]);
        let found = found.unwrap_or_else(|| panic!("README shows `kafka-tui {}`", path[0]));
        let takes_more = found.get_subcommands().next().is_some();
        if let Some(second) = path.get(1).filter(|_| takes_more) {
            assert!(
                found.find_subcommand(second).is_some(),
                "README shows `kafka-tui {} {second}`",
                path[0]
            );
        }
    }
}

#[test]
fn readme_names_no_key_that_means_nothing() {
    let readme = readme();
    let table = readme
        .lines()
        .skip_while(|line| !line.starts_with("| key |"));
    let rows = table.skip(2).take_while(|line| line.starts_with('|'));
    let labels: BTreeSet<String> = COMMANDS
        .iter()
        .flat_map(|command| command.keys)
        .map(|key| key.label())
        .chain(["b".to_owned(), ":".to_owned()])
        .collect();
    let mut n = 0;
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        for keys in [cells.get(1), cells.get(3)].into_iter().flatten() {
            for key in keys.split('`').skip(1).step_by(2) {
                n += 1;
                let is_command = key.starts_with(':') && key.len() > 1;
                assert!(is_command || labels.contains(key), "`{key}` in: {row}");
            }
        }
    }
    assert!(n >= 15, "the table of keys was not found");
}
