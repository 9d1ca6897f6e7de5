//! Proposals of a large cluster: made beside the screens, shown when they are there, given up.

use super::{Driver, fixture};
use crate::model::Update;
use crate::ops::undo;
use crate::ui::event::{Answer, Effect, JobId};
use crate::ui::screens::ProposeWish;

/// Ten topics of 1,000 partitions, all led by the first two of three brokers.
fn driver() -> Driver {
    let mut metadata = fixture::metadata();
    let partition = |id| match id % 2 {
        0 => fixture::partition(id, 1, &[1, 2], &[1, 2]),
        _ => fixture::partition(id, 2, &[2, 1], &[1, 2]),
    };
    let topic =
        |at: usize| fixture::topic(&format!("large-{at}"), (0..1_000).map(partition).collect());
    metadata.topics = (0..10).map(topic).collect();
    let mut driver = Driver::with(fixture::all());
    driver.feed(vec![Update::Metadata(Ok(std::sync::Arc::new(metadata)))]);
    driver.take_effects();
    driver
}

fn wish(driver: &mut Driver) -> (JobId, Box<ProposeWish>) {
    let mut effects = driver.take_effects().into_iter();
    let found = effects.find_map(|effect| match effect {
        Effect::Propose { job, wish } => Some((job, wish)),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("{}", driver.screen(100, 20)))
}

#[test]
fn a_large_cluster_is_planned_beside_the_screens() {
    let mut driver = driver();
    driver.keys("3 g a");
    let (job, wish) = wish(&mut driver);
    let screen = driver.screen(100, 20);
    assert!(
        screen.contains("planning …") && screen.contains("esc stops it"),
        "{screen}"
    );
    driver.keys("x");
    assert!(driver.screen(100, 20).contains("still being planned"));
    let made = wish.make(&|| true);
    let n = made.preview.rows.len();
    assert!(n > 600, "broker 3 gets its share: {n}");
    driver.answer(job, Answer::Proposed(Ok(Box::new(made))));
    let screen = driver.screen(100, 20);
    assert!(
        screen.contains("of 1,000 partitions change") && screen.contains("+3"),
        "{screen}"
    );
    // What was proposed stays as it is while the cluster is read again.
    driver.feed(vec![fixture::moving()]);
    assert!(
        driver
            .take_effects()
            .iter()
            .all(|e| !matches!(e, Effect::Propose { .. }))
    );

    // One partition less is compared anew.
    driver.keys("g u");
    let (job, wish) = self::wish(&mut driver);
    driver.answer(job, Answer::Proposed(Ok(Box::new(wish.make(&|| true)))));
    let screen = driver.screen(100, 20);
    assert!(
        screen.contains(&format!("{} of 1,000 partitions", n - 1)),
        "{screen}"
    );
}

#[test]
fn who_leaves_stops_the_planning_and_a_late_answer_finds_nobody() {
    let mut driver = driver();
    driver.keys("3 g a");
    let (job, wish) = wish(&mut driver);
    driver.keys("esc");
    let stopped = |effect: &Effect| matches!(effect, Effect::Cancel(ended) if *ended == job);
    assert!(driver.take_effects().iter().any(stopped));
    driver.answer(job, Answer::Proposed(Ok(Box::new(wish.make(&|| true)))));
    assert!(
        driver.screen(100, 20).contains("large-9"),
        "the list of topics"
    );
    // Work that is not wanted ends with a reason.
    driver.keys("3 g a");
    let (job, wish) = self::wish(&mut driver);
    let made = wish.make(&|| false);
    assert!(
        made.fault
            .as_ref()
            .is_some_and(|fault| fault.why.contains("cancelled"))
    );
    driver.answer(job, Answer::Proposed(Ok(Box::new(made))));
    let screen = driver.screen(100, 20);
    assert!(screen.contains("no proposal: it was cancelled"), "{screen}");
}

#[test]
fn a_plan_of_many_partitions_is_made_beside_the_screens_too() {
    let mut driver = driver();
    driver.keys("3 g space j space j space a");
    let (job, wish) = wish(&mut driver);
    driver.answer(job, Answer::Proposed(Ok(Box::new(wish.make(&|| true)))));
    driver.keys("x");
    assert!(driver.screen(100, 20).contains("planning …"));
    let mut effects = driver.take_effects().into_iter();
    let found = effects.find_map(|effect| match effect {
        Effect::Plan {
            job,
            wish,
            snapshot,
        } => Some((job, wish, snapshot)),
        _ => None,
    });
    let (job, wish, snapshot) = found.unwrap();
    assert!(wish.n_named() > 1_000);
    let plan = wish.plan(&snapshot).unwrap();
    let inverse = undo::Inverse::of(&plan, 0);
    driver.answer(job, Answer::Planned(Ok(Box::new(plan))));
    let screen = driver.screen(100, 30);
    assert!(
        screen.contains("press y to execute") && screen.contains("large-0-0"),
        "{screen}"
    );

    // What takes so much back is planned there, too.
    driver.keys("esc esc u");
    let mut effects = driver.take_effects().into_iter();
    let job = effects.find_map(|effect| match effect {
        Effect::LastChange { job, .. } => Some(job),
        _ => None,
    });
    let entry = undo::Entry {
        path: "made.json".into(),
        inverse: inverse.unwrap(),
        is_undone: false,
    };
    let last = undo::Last {
        entry: Some(entry),
        ..undo::Last::default()
    };
    driver.answer(job.unwrap(), Answer::LastChange(Box::new(last), Vec::new()));
    let mut effects = driver.take_effects().into_iter();
    let is_beside = |effect| matches!(effect, Effect::Plan { wish, .. } if wish.n_named() > 1_000);
    assert!(effects.any(is_beside), "{}", driver.screen(100, 30));
}
