//! What keys lead to: plans, confirmations, refusals, effects.

use std::sync::Arc;

use super::{Driver, fixture, taken};
use crate::model::{Fault, FaultKind};
use crate::ops::undo;
use crate::ops::{Action, ConfigChange, Plan, Report, Verification};
use crate::ui::event::{Answer, Effect, Event, JobId, SessionId};

fn driver() -> Driver {
    let mut driver = Driver::with(fixture::all());
    driver.take_effects();
    driver
}

fn executed(driver: &mut Driver) -> Option<(JobId, Arc<Plan>)> {
    driver
        .take_effects()
        .into_iter()
        .find_map(|effect| match effect {
            Effect::Execute { job, plan } => Some((job, plan)),
            _ => None,
        })
}

fn check_of(driver: &mut Driver) -> JobId {
    let effects = driver.take_effects().into_iter();
    effects
        .filter_map(|effect| match effect {
            Effect::Check { job, .. } => Some(job),
            _ => None,
        })
        .next_back()
        .unwrap()
}

fn done(subject: &str) -> Report {
    let mut report = Report::default();
    report.add(subject, Ok("done".to_owned()));
    report
}

fn refused(subject: &str, why: &str) -> Report {
    let mut report = Report::default();
    report.add(subject, Err(Fault::refused("try", why)));
    report
}

#[test]
fn a_topic_is_deleted_only_when_its_name_is_typed() {
    let mut driver = driver();
    driver.keys("3 G D enter");
    assert!(executed(&mut driver).is_none(), "nothing was typed");
    driver.keys("order enter");
    assert!(executed(&mut driver).is_none(), "not the whole name");
    driver.keys("s enter");
    let (job, plan) = executed(&mut driver).unwrap();
    assert_eq!(plan.action, Action::DeleteTopics(vec!["orders".to_owned()]));
    driver.keys("enter");
    assert!(executed(&mut driver).is_none(), "once is enough");
    driver.answer(job, Answer::Executed(Ok(done("orders"))));
    let verify = driver
        .take_effects()
        .into_iter()
        .find_map(|effect| match effect {
            Effect::Verify { job, .. } => Some(job),
            _ => None,
        });
    driver.answer(verify.unwrap(), Answer::Verified(Ok(Verification::Done)));
    assert!(driver.app.dialogs.is_empty(), "a success closes by itself");
    assert!(driver.screen(80, 24).contains("✓ delete topic \"orders\""));
}

#[test]
fn marked_topics_are_deleted_together() {
    let mut driver = driver();
    driver.keys("3 space space D");
    driver.event(Event::Terminal(crossterm::event::Event::Paste(
        "delete 2 topics".to_owned(),
    )));
    driver.keys("enter");
    let (_, plan) = executed(&mut driver).unwrap();
    let names = vec!["audit".to_owned(), "clicks".to_owned()];
    assert_eq!(plan.action, Action::DeleteTopics(names));
}

#[test]
fn one_key_marks_all_rows_that_are_shown_and_none_again() {
    let mut driver = driver();
    driver.keys("3 / c enter");
    let n = driver.screen(100, 24).matches(" ok ").count();
    driver.keys("*");
    let marked = |driver: &mut Driver| {
        let screen = driver.screen(100, 24);
        let (before, _) = screen.split_once(" marked")?;
        before.split_whitespace().next_back()?.parse::<usize>().ok()
    };
    let all = marked(&mut driver).expect("rows are marked");
    assert!(all >= n.max(1));
    driver.keys("*");
    assert_eq!(marked(&mut driver), None);
    driver.keys("* a");
    let screen = driver.screen(100, 24);
    let all = driver.app.snapshot().metadata.get().unwrap();
    let meant = all.topics.iter().filter(|topic| topic.name.contains('c'));
    match meant.count() {
        1 => assert!(screen.contains("reassign clicks"), "{screen}"),
        n => assert!(screen.contains(&format!("reassign {n} topics")), "{screen}"),
    }
}

#[test]
fn a_change_that_nothing_takes_back_says_so_before_it_is_made() {
    let mut driver = driver();
    driver.keys("3 G +");
    driver.keys("ctrl-u 9 enter");
    let screen = driver.screen(100, 30);
    assert!(
        screen.contains("no undo") && screen.contains("keeps 9 partitions: none can be removed"),
        "{screen}"
    );
    driver.keys("esc esc D");
    let screen = driver.screen(100, 30);
    assert!(
        screen.contains("no undo") && screen.contains("is deleted with its records"),
        "{screen}"
    );
}

#[test]
fn a_new_topic_is_checked_by_the_broker_and_its_refusal_stands_in_the_dialog() {
    let mut driver = driver();
    driver.keys("3 n new tab 5 tab 2 tab retention.ms=1 enter");
    let job = check_of(&mut driver);
    driver.keys("y");
    assert!(
        executed(&mut driver).is_none(),
        "the broker has not answered yet"
    );
    driver.answer(
        job,
        Answer::Checked(Ok(refused("new", "POLICY_VIOLATION: too many"))),
    );
    driver.keys("y");
    assert!(executed(&mut driver).is_none());
    assert!(
        driver
            .screen(80, 24)
            .contains("refuses: POLICY_VIOLATION: too many")
    );
    driver.keys("esc");
    // The form is still there, filled in.
    driver.keys("enter");
    let job = check_of(&mut driver);
    driver.answer(job, Answer::Checked(Ok(done("new"))));
    driver.keys("y");
    let (_, plan) = executed(&mut driver).unwrap();
    let Action::CreateTopic(create) = &plan.action else {
        panic!("{plan:?}")
    };
    assert_eq!((create.name.as_str(), create.partitions), ("new", Some(5)));
    assert_eq!(create.replication_factor, Some(2));
    assert_eq!(
        create.configs,
        [("retention.ms".to_owned(), "1".to_owned())]
    );
}

#[test]
fn a_form_says_which_field_is_wrong() {
    let mut driver = driver();
    driver.keys("3 n a/b enter");
    assert!(driver.screen(80, 24).contains("'/' can't be in a name"));
    driver.keys("backspace backspace tab many enter");
    assert!(driver.screen(80, 24).contains("\"many\" is not a number"));
    assert!(
        driver
            .take_effects()
            .iter()
            .all(|e| !matches!(e, Effect::Check { .. }))
    );
}

#[test]
fn an_answer_to_a_dialog_that_is_gone_finds_nobody() {
    let mut driver = driver();
    driver.keys("3 n new enter");
    let job = check_of(&mut driver);
    driver.keys("esc esc n other enter");
    let effects = driver.take_effects();
    assert!(
        effects
            .iter()
            .any(|e| matches!(e, Effect::Cancel(gone) if *gone == job))
    );
    driver.answer(job, Answer::Checked(Ok(refused("new", "no"))));
    assert!(!driver.screen(80, 24).contains("refuses"));
}

#[test]
fn a_failed_execution_is_told_and_leaves_the_dialog_open() {
    let mut driver = driver();
    driver.keys("3 G e y");
    let (job, plan) = executed(&mut driver).unwrap();
    assert!(matches!(&plan.action, Action::ElectPreferredLeaders(keys) if keys.len() == 1));
    let fault = Fault::new(
        FaultKind::Unreachable,
        "elect",
        "connect to b1:9092: refused",
    );
    driver.answer(
        job,
        Answer::Executed(Err(fault.with_hint("is it running?"))),
    );
    let screen = driver.screen(80, 24);
    assert!(
        screen.contains("refused") && screen.contains("is it running?"),
        "{screen}"
    );
}

#[test]
fn a_read_only_session_refuses_with_the_reason() {
    let mut driver = Driver::new(Some("b1:9092"), true);
    driver.feed(fixture::all());
    driver.take_effects();
    for keys in ["3 D", "3 n", "3 p", "2 d", "3 a", "3 e", ":elect enter"] {
        driver.keys(keys);
        let screen = driver.screen(80, 24);
        assert!(screen.contains("read-only"), "{keys}: {screen}");
        assert!(driver.app.dialogs.is_empty(), "{keys}");
        driver.keys("esc");
    }
    assert!(executed(&mut driver).is_none());
}

#[test]
fn a_setting_is_changed_after_a_look_at_before_and_after() {
    let mut driver = driver();
    driver.keys("3 G c G e backspace backspace enter");
    let job = check_of(&mut driver);
    driver.answer(job, Answer::Checked(Ok(done("retention.ms"))));
    let screen = driver.screen(80, 24);
    assert!(
        screen.contains("3600000") && screen.contains("→ 36000"),
        "{screen}"
    );
    driver.keys("y");
    let (_, plan) = executed(&mut driver).unwrap();
    let Action::AlterConfigs(alter) = &plan.action else {
        panic!("{plan:?}")
    };
    let wanted = ConfigChange::Set {
        name: "retention.ms".to_owned(),
        value: "36000".to_owned(),
    };
    assert_eq!(alter.changes, [wanted]);
    driver.keys("esc esc k D");
    assert!(
        driver
            .screen(80, 24)
            .contains("retention.bytes is not set for topic")
    );
}

#[test]
fn a_drained_broker_is_planned_from_what_was_shown() {
    let mut driver = driver();
    driver.keys("2 G d");
    let screen = driver.screen(100, 30);
    assert!(
        screen.contains("orders-0 has 3 replicas and only 2 brokers"),
        "{screen}"
    );
    driver.keys("esc 3 G k a b ctrl-u 1,2 enter x y");
    let (_, plan) = executed(&mut driver).unwrap_or_else(|| panic!("{}", driver.screen(100, 30)));
    let Action::Reassign(reassign) = &plan.action else {
        panic!("{plan:?}")
    };
    assert!(
        reassign
            .target
            .values()
            .all(|replicas| !replicas.contains(&3))
    );
    assert!(
        reassign
            .based_on
            .values()
            .any(|replicas| replicas.contains(&3))
    );
    assert_eq!(reassign.target.len(), reassign.based_on.len());
}

#[test]
fn replicas_are_edited_by_hand_and_left_alone_again() {
    let mut driver = driver();
    driver.keys("3 G a g e ctrl-u 3,1 enter");
    let screen = driver.screen(100, 20);
    assert!(screen.contains("3,1"), "{screen}");
    driver.keys("e ctrl-u 3,9 enter");
    assert!(driver.screen(100, 20).contains("there is no broker 9"));
    driver.keys("esc");
    for _ in 0..2 {
        driver.keys("g u j u");
    }
    driver.keys("x");
    assert!(driver.screen(100, 20).contains("nothing changes"));
}

#[test]
fn a_cancel_that_would_lose_records_is_not_sent() {
    let mut driver = driver();
    driver.feed(vec![fixture::moving()]);
    driver.keys("5 x y");
    let (_, plan) = executed(&mut driver).unwrap();
    assert!(matches!(&plan.action, Action::CancelReassignments(keys) if keys.len() == 1));
}

#[test]
fn commands_take_names_and_unknown_ones_are_named() {
    let mut driver = driver();
    driver.keys(":topic space clicks enter");
    assert!(driver.screen(80, 24).contains("overview › topics › clicks"));
    driver.keys(":g space reports enter");
    assert!(driver.screen(80, 24).contains("groups › reports"));
    driver.keys(":frobnicate enter");
    assert!(driver.screen(80, 24).contains("no command \"frobnicate\""));
    driver.keys("esc esc :broker space x enter");
    assert!(driver.screen(80, 24).contains("\"x\" is no broker id"));
    driver.keys("esc ctrl-p rdr enter");
    assert!(driver.screen(80, 24).contains("› orders"));
    driver.keys(":topics space cli enter");
    assert!(driver.screen(80, 24).contains("1 of 3 · /cli"));
}

#[test]
fn esc_goes_back_one_thing_at_a_time() {
    let mut driver = driver();
    driver.keys("3 / ord enter space enter");
    assert!(driver.screen(80, 24).contains("overview › topics › orders"));
    driver.keys("esc");
    assert!(driver.screen(80, 24).contains("1 of 3 · /ord · 1 marked"));
    driver.keys("esc");
    assert!(!driver.screen(80, 24).contains("marked"));
    driver.keys("esc");
    assert!(driver.screen(80, 24).contains("topics  3 ─"));
    driver.keys("esc esc esc");
    assert!(driver.screen(80, 24).contains(" overview ─"));
    assert!(
        driver
            .take_effects()
            .iter()
            .all(|effect| !matches!(effect, Effect::Quit))
    );
}

#[test]
fn data_of_another_cluster_is_ignored() {
    let mut driver = driver();
    driver.keys(":connect space other:9092 enter");
    let update = fixture::all().remove(0);
    driver.event(Event::Data {
        session: SessionId(1),
        update,
        at: taken(0),
    });
    assert!(driver.screen(80, 24).contains("connecting to other:9092"));
    driver.keys(":connect space nonsense enter");
    assert!(
        driver
            .screen(80, 24)
            .contains("\"nonsense\" is not host:port")
    );
}

#[test]
fn an_idle_screen_waits_for_the_moment_its_data_is_old() {
    let mut driver = driver();
    driver.screen(80, 24);
    assert!(!driver.app.is_dirty());
    let first = driver.app.tick_in_ms().unwrap();
    assert!((4_000..=6_000).contains(&first), "{first}");
    driver.now_ms = 30_000;
    driver.event(Event::Tick);
    assert!(driver.app.is_dirty());
    assert!(driver.screen(80, 24).contains("30s old"));
    assert_eq!(driver.app.tick_in_ms(), Some(1_000));
}

#[test]
fn what_is_on_the_screen_is_what_is_polled() {
    let mut driver = driver();
    driver.keys("3 G enter");
    let interest = |driver: &mut Driver| {
        let effects = driver.take_effects().into_iter();
        effects
            .filter_map(|effect| match effect {
                Effect::SetInterest(interest) => Some(interest),
                _ => None,
            })
            .next_back()
    };
    let seen = interest(&mut driver).unwrap();
    assert_eq!(seen.topics, [Arc::from("orders")]);
    assert!(seen.all_groups);
    driver.keys("j k");
    assert_eq!(interest(&mut driver), None, "the same is not said twice");
    driver.keys("esc");
    assert_eq!(
        interest(&mut driver).map(|interest| interest.topics.len()),
        Some(0)
    );
}

#[test]
fn a_tail_keeps_the_newest_and_counts_what_it_let_go() {
    let mut driver = driver();
    driver.keys("3 G m t");
    let job = driver
        .take_effects()
        .into_iter()
        .find_map(|effect| match effect {
            Effect::TailMessages { job, .. } => Some(job),
            _ => None,
        })
        .unwrap();
    let batch = |from: i64| -> Answer {
        Answer::Tailed(
            (from..from + 500)
                .map(|o| Ok(fixture::message(0, o, "v")))
                .collect(),
        )
    };
    for n in 0..5 {
        driver.answer(job, batch(n * 500));
    }
    let screen = driver.screen(80, 24);
    assert!(
        screen.contains("500 older messages were let go"),
        "{screen}"
    );
    assert!(screen.contains("2,499"), "{screen}");
    driver.keys("p");
    driver.answer(job, batch(5_000));
    let screen = driver.screen(80, 24);
    assert!(
        screen.contains("held, 500 waiting") && screen.contains("2,499"),
        "{screen}"
    );
    driver.keys("p");
    assert!(driver.screen(80, 24).contains("5,499"));
    driver.keys("esc");
    assert!(
        driver
            .take_effects()
            .iter()
            .any(|e| matches!(e, Effect::Cancel(j) if *j == job))
    );
}

/// The job that looks for the last change.
fn looking_back(driver: &mut Driver) -> JobId {
    let mut effects = driver.take_effects().into_iter();
    let job = effects.find_map(|effect| match effect {
        Effect::LastChange { job, .. } => Some(job),
        _ => None,
    });
    job.expect("it looks for the last change")
}

#[test]
fn the_last_change_can_be_taken_back() {
    let mut driver = driver();
    driver.keys("u");
    let job = looking_back(&mut driver);
    driver.answer(job, Answer::LastChange(Box::default(), Vec::new()));
    assert!(driver.screen(80, 24).contains("nothing to undo"));
    let inverse = |name: &str| undo::Inverse {
        version: 1,
        cluster_id: None,
        made_at: String::new(),
        change: format!("create topic \"{name}\""),
        is_undo: false,
        changes: Vec::new(),
        undo: Some(Action::DeleteTopics(vec![name.to_owned()])),
        irrevocable: Vec::new(),
        created: Default::default(),
    };
    let deleted = undo::Inverse {
        change: "delete topic \"old\"".to_owned(),
        undo: None,
        irrevocable: vec!["topic \"old\" is deleted with its records".to_owned()],
        ..inverse("old")
    };
    let last = |entry: Option<&str>| undo::Last {
        entry: entry.map(|name| undo::Entry {
            path: "made.json".into(),
            inverse: inverse(name),
            is_undone: false,
        }),
        since: vec![deleted.clone()],
    };
    driver.keys("esc u");
    let job = looking_back(&mut driver);
    driver.answer(job, Answer::LastChange(Box::new(last(None)), Vec::new()));
    let screen = driver.screen(120, 24);
    assert!(
        screen.contains("\"delete topic \"old\"\" is later and can't be taken back"),
        "{screen}"
    );
    driver.keys("esc U");
    let job = looking_back(&mut driver);
    driver.answer(
        job,
        Answer::LastChange(Box::new(last(Some("gone"))), Vec::new()),
    );
    let screen = driver.screen(80, 24);
    assert!(screen.contains("topic \"gone\" does not exist"), "{screen}");
    driver.keys("esc u");
    let job = looking_back(&mut driver);
    driver.answer(
        job,
        Answer::LastChange(Box::new(last(Some("orders"))), Vec::new()),
    );
    let screen = driver.screen(80, 24);
    assert!(
        screen.contains("undo: create topic \"orders\"")
            && screen.contains("\"old\" is deleted with its records"),
        "{screen}"
    );
    driver.keys("orders enter");
    let (_, plan) = executed(&mut driver).expect("it is executed once it was confirmed");
    assert_eq!(plan.undoes.as_deref(), Some("made.json".as_ref()));
}

#[test]
fn whether_a_broker_may_stop_is_told_with_what_it_would_do() {
    let mut driver = Driver::with(fixture::all());
    driver.keys("2 w");
    let screen = driver.screen(100, 24);
    assert!(screen.contains("may broker 1 stop now?"), "{screen}");
    assert!(screen.contains("yes, nothing would be missed"), "{screen}");
    assert!(
        screen.contains("- another controller will be elected"),
        "{screen}"
    );
    driver.keys("esc j w");
    let screen = driver.screen(100, 24);
    assert!(
        screen.contains("may broker 2 stop now?") && screen.contains("clicks-1"),
        "{screen}"
    );
    assert!(
        screen.contains("! 1 partition would have no replica in sync left"),
        "{screen}"
    );
}
