//! Topics as files declare them: what is executed is what was compared as it is asked for now, and
//! nothing older.

use super::{Driver, fixture};
use crate::model::Fault;
use crate::ops::declared::{Compared, Drift, DriftState, Prepared, Wanted};
use crate::ops::{Action, ApplyTopics, CreateTopic};
use crate::ui::event::{Answer, Effect, JobId};

/// A comparison that says that this topic is to be made.
fn found(topic: &str) -> Answer {
    let create = CreateTopic {
        name: topic.to_owned(),
        partitions: Some(1),
        replication_factor: Some(1),
        ..CreateTopic::default()
    };
    let compared = Compared {
        topics: vec![Drift {
            topic: topic.to_owned(),
            at: None,
            state: DriftState::New,
            differences: Vec::new(),
            obstacles: Vec::new(),
        }],
        undeclared: Vec::new(),
        action: Some(Action::Apply(ApplyTopics {
            steps: vec![Action::CreateTopic(create)],
        })),
        files: vec!["t.toml".to_owned()],
    };
    Answer::Declared(Ok(Box::new(Prepared {
        compared,
        updates: Vec::new(),
    })))
}

/// The screen is open; nothing was compared yet.
fn opened() -> Driver {
    let mut driver = Driver::with(fixture::all());
    driver.keys(":apply space t.toml enter");
    driver
}

/// The watch that looks now, with what is asked of it.
fn watch(driver: &Driver) -> (JobId, Wanted) {
    let watches = driver.effects.iter().rev();
    let mut watches = watches.filter_map(|effect| match effect {
        Effect::WatchDeclared { job, wanted, .. } => Some((*job, wanted.clone())),
        _ => None,
    });
    watches.next().expect("it looks")
}

/// The topics of the plans that are shown, each of which the brokers are asked to check.
fn planned(driver: &Driver) -> Vec<&str> {
    let plans = driver.effects.iter().filter_map(|effect| match effect {
        Effect::Check { plan, .. } => Some(plan),
        _ => None,
    });
    let topics = plans.flat_map(|plan| plan.action.steps()).map(|step| {
        let Action::CreateTopic(create) = step else {
            panic!("it makes topics");
        };
        &*create.name
    });
    topics.collect()
}

#[test]
fn what_was_compared_before_the_pace_was_another_is_not_executed() {
    // The throttle and the batch, and what else changes what is compared.
    for keys in [":pace space 20M space 3 enter", "p", "D"] {
        let mut driver = opened();
        let (first, before) = watch(&driver);
        driver.answer(first, found("older"));
        driver.keys(keys);
        let (second, wanted) = watch(&driver);
        assert!(wanted != before && second != first, "{keys}");
        let is_cancelled = (driver.effects.iter())
            .any(|effect| matches!(effect, Effect::Cancel(job) if *job == first));
        assert!(
            is_cancelled,
            "{keys}: who looked for the older one looks no more"
        );
        driver.keys("x");
        let screen = driver.screen(100, 30);
        assert!(
            screen.contains("comparing as it is asked for now"),
            "{screen}"
        );
        // What was on its way from the one before changes nothing.
        driver.answer(first, found("older"));
        assert_eq!(planned(&driver), Vec::<&str>::new(), "{keys}");
        driver.answer(second, found("newer"));
        assert_eq!(planned(&driver), ["newer"], "{keys}");
    }
}

#[test]
fn an_execution_that_waits_is_forgotten_where_something_else_is_asked_for_or_fails() {
    let mut driver = opened();
    let (first, _) = watch(&driver);
    driver.answer(first, found("older"));
    driver.keys(":pace space 20M enter x :pace space 30M enter");
    let (second, wanted) = watch(&driver);
    assert_eq!(wanted.pace.map(|(rate, _)| rate), Some(Some(30_000_000)));
    driver.answer(second, found("newer"));
    assert_eq!(planned(&driver), Vec::<&str>::new(), "x was for 20M");
    driver.keys(":pace space 40M enter x");
    let (third, _) = watch(&driver);
    let fault = Fault::refused("read t.toml", "line 3: no such word");
    driver.answer(third, Answer::Declared(Err(fault)));
    driver.answer(third, found("mended"));
    assert_eq!(
        planned(&driver),
        Vec::<&str>::new(),
        "it was told that it failed"
    );
    driver.keys("x");
    assert_eq!(planned(&driver), ["mended"]);
}

#[test]
fn what_can_not_be_compared_any_more_is_not_executed() {
    let mut driver = opened();
    let (job, _) = watch(&driver);
    driver.answer(job, found("older"));
    let fault = Fault::refused("read t.toml", "line 3: no such word");
    driver.answer(job, Answer::Declared(Err(fault)));
    driver.keys("x");
    let screen = driver.screen(100, 30);
    assert_eq!(planned(&driver), Vec::<&str>::new());
    assert!(screen.contains("line 3: no such word"), "{screen}");
    driver.answer(job, found("older"));
    driver.keys("x");
    assert_eq!(planned(&driver), ["older"]);
}
