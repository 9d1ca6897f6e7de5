use super::*;

/// Runs a command line without a cluster; returns exit code, stdout and stderr.
fn run_line(line: &str, answer: Option<&str>) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut ask = |_: &str| answer.map(str::to_owned);
    let args = std::iter::once("kafka-tui")
        .chain(line.split_whitespace())
        .map(OsString::from);
    let mut io = Io {
        out: &mut out,
        err: &mut err,
        ask: &mut ask,
    };
    let code = match parse(args, &mut io) {
        Err(code) => code,
        Ok(cli) => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let Some(Command::Scripted(command)) = cli.command else {
                panic!("the test names a command that prints and exits");
            };
            runtime.block_on(run(&cli.global, command, &mut io))
        }
    };
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (code, text(out), text(err))
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn what_would_not_be_recorded_or_replayed_is_refused() {
    for line in ["--record f topics list", "--replay f topics list"] {
        let (code, _, err) = run_line(line, None);
        assert_eq!(code, 2, "{line}");
        assert!(err.contains("are for the screens"), "{err}");
    }
}

#[test]
fn help_documents_the_exit_codes() {
    let (code, out, _) = run_line("--help", None);
    assert_eq!(code, 0);
    for (code, meaning) in EXIT_CODES {
        assert!(out.contains(&format!("{code}  {meaning}")), "{out}");
    }
}

#[test]
fn mistakes_are_usage_errors() {
    for line in [
        "topics",
        "topics create",
        "topics create t --config novalue",
        "topics create t --partitions 1 --replica-assignment 1:2",
        "configs describe",
        "configs describe --topic t --broker 1",
        "reassign plan",
        "reassign plan --drain 1 --balance all",
        "partitions add t",
        "partitions add --total 3",
        "elect --every soon",
        "elect --every 15m --dry-run",
        "topics create t --dry-run --execute",
        "undo --dry-run --execute",
        "clusters add a -b k:1 --dry-run-first=maybe",
        "connect list --url http://h:1 --login me:sesame",
        "reassign run",
        "reassign run plan.json --throttle fast",
        "reassign run plan.json --batch 0",
        "reassign set --throttle 1M --unthrottled",
        "reassign plan --leaders --replication-factor 2",
        "undo made.json --list",
        "--output yaml topics list",
        "--bootstrap nonsense topics list",
    ] {
        let (code, out, err) = run_line(line, None);
        assert_eq!((code, out.as_str()), (2, ""), "{line}: {err}");
        assert!(
            err.contains("error:") || err.contains("Usage:"),
            "{line}: {err}"
        );
    }
}

#[test]
fn a_cluster_that_can_t_be_reached_is_exit_code_5_with_a_hint() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let (code, out, err) = run_line(&format!("-b {address} topics list"), None);
    assert_eq!((code, out.as_str()), (5, ""));
    assert!(
        err.contains(&address.to_string()) && err.contains("\nhint: "),
        "{err}"
    );
}

#[test]
fn bad_arguments_are_refused_before_anybody_is_asked() {
    for (line, why) in [
        (
            "-b 127.0.0.1:1 configs describe --broker x",
            "neither an id nor `default`",
        ),
        ("-b 127.0.0.1:1 topics alter t", "no change is named"),
        (
            "-b 127.0.0.1:1 topics create t --replica-assignment 1:x",
            "no list of replicas",
        ),
    ] {
        let (code, _, err) = run_line(line, None);
        assert_eq!(code, 4, "{err}");
        assert!(err.contains(why), "{err}");
    }
    let (code, _, err) = run_line("reassign execute --file /nowhere/plan.json", None);
    assert_eq!(code, 3, "{err}");
}

#[test]
fn every_shell_has_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (code, out, _) = run_line(&format!("completions {shell}"), None);
        assert_eq!(code, 0);
        assert!(
            out.contains("kafka-tui") && out.contains("reassign"),
            "{shell}"
        );
    }
}

#[test]
fn runs_and_undos_are_dry_unless_they_shall_be_executed() {
    let command = |line: &str| {
        let args = std::iter::once("kafka-tui").chain(line.split_whitespace());
        let cli = Cli::try_parse_from(args.map(OsString::from)).unwrap();
        format!("{:?}", cli.command.unwrap())
    };
    for line in [
        "reassign run plan.json",
        "undo",
        "reassign janitor",
        "plan made.json",
    ] {
        assert!(command(line).contains("execute: false"), "{line}");
        assert!(command(&format!("{line} --execute")).contains("execute: true"));
    }
    let run = command("reassign run p.json --throttle 20MiB --batch 3");
    assert!(
        run.contains("throttle: Some(20971520), batch: Some(3)"),
        "{run}"
    );
    assert!(command("elect --every 15m").contains("every: Some(900s)"));
}

#[test]
fn a_plan_that_is_none_is_refused_before_anything_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.json");
    std::fs::write(&path, "{}").unwrap();
    for command in ["reassign run", "reassign execute --file", "plan", "undo"] {
        let line = format!(
            "--bootstrap 127.0.0.1:1 --timeout-ms 50 {command} {}",
            path.display()
        );
        let (code, out, err) = run_line(&line, None);
        let is_refused = code == 4 || command == "undo";
        assert!(
            is_refused && code != 0 && out.is_empty(),
            "{command}: {code} {err}"
        );
    }
    let missing = folder.path().join("missing.json");
    let line = format!("plan {} --bootstrap 127.0.0.1:1", missing.display());
    assert_eq!(run_line(&line, None).0, 3);
}

#[test]
fn a_saved_cluster_is_edited_by_what_is_named_and_stays_as_it_is_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let run = |line: &str| {
        let line = format!("--config-file {} clusters {line}", path.display());
        run_line(&line, None)
    };
    let (code, _, err) = run(
        "add prod -b k:9093 --user me --password-from env:PW --tls --ca /ca.pem --color red \
         --connect http://c:8083 --connect-login me:env:C --no-test --read-only",
    );
    assert_eq!(code, 0, "{err}");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("# mine\n{text}\n# the end\n")).unwrap();
    let (code, out, err) =
        run("edit prod --danger high --dry-run-first=false --read-write -o json");
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("\"done\": \"changed\""), "{out}");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.starts_with("# mine\n") && text.ends_with("# the end\n"),
        "{text}"
    );
    assert!(
        text.contains("danger = \"high\"") && !text.contains("read_only"),
        "{text}"
    );
    assert!(
        text.contains("username=\\\"me\\\" password=\\\"${env:PW}\\\"")
            || text.contains("username=\"me\" password=\"${env:PW}\""),
        "{text}"
    );
    // Nothing of how it is reached was changed: nobody was asked.
    let (code, _, err) = run("edit prod --rename live --clear color,connect,connect-login");
    assert_eq!(code, 0, "{err}");
    let (code, out, _) = run("edit live --user me");
    assert!(code == 0 && out.contains("unchanged"), "{out}");
    let (code, _, err) = run("edit live --clear login,tls,ca --dry-run-first --no-test");
    assert_eq!(code, 0, "{err}");
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        text,
        "# mine\n[clusters.live]\nbootstrap = \"k:9093\"\ndanger = \"high\"\ndry_run = true\n\n# the end\n"
    );
    for (line, wanted, why) in [
        ("edit gone --danger low", 3, "there are live"),
        ("edit live --connect-login me:env:X", 4, "no worker"),
        ("edit live --connect-login me:sesame", 2, "env:NAME"),
        ("edit live --password-from sesame", 2, "env:NAME"),
        ("edit live --clear bootstrap", 4, "no address"),
        ("edit live --user me", 4, "where the password is"),
        (
            "add other -b k:1 --password-from env:X",
            4,
            "nobody is named",
        ),
        ("edit live -b 127.0.0.1:1 --timeout-ms 300", 5, "--no-test"),
    ] {
        let (code, out, err) = run(line);
        assert_eq!((code, out.as_str()), (wanted, ""), "{line}: {err}");
        assert!(
            err.contains(why) && !err.contains("sesame"),
            "{line}: {err}"
        );
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

/// Every command with all of its words.
fn commands(of: &clap::Command, words: &str, all: &mut Vec<(String, clap::Command)>) {
    for inner in of.get_subcommands() {
        let words = format!("{words} {}", inner.get_name());
        match inner.get_subcommands().next() {
            Some(_) => commands(inner, &words, all),
            None => all.push((words.trim().to_owned(), inner.clone())),
        }
    }
}

#[test]
fn what_can_be_executed_can_be_tried_and_the_other_way_round() {
    let mut all = Vec::new();
    commands(&Cli::command(), "", &mut all);
    let mut changing = 0;
    for (words, command) in all {
        let has = |name| {
            command
                .get_arguments()
                .any(|arg| arg.get_long() == Some(name))
        };
        let both = (has("dry-run"), has("execute"), has("yes"));
        assert!(
            matches!(both, (true, true, true) | (false, false, _)),
            "{words}: {both:?}"
        );
        changing += usize::from(both.0);
    }
    assert!(changing > 35, "{changing}");
}
