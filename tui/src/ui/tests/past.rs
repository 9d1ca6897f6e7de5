//! The feed of changes, and the cluster as it was.

use std::sync::Arc;

use super::{Driver, fixture};
use crate::model::Update;

/// Broker 2 has lost orders-1 and its leadership of clicks-1.
fn ill() -> Update {
    let mut metadata = fixture::metadata();
    metadata.brokers[1].fenced = Some(true);
    metadata.topics[1] = fixture::topic(
        "clicks",
        vec![
            fixture::partition(0, 1, &[1, 2], &[1]),
            fixture::partition(1, -1, &[2, 3], &[2]),
            fixture::partition(2, 3, &[3, 1], &[3, 1]),
        ],
    );
    Update::Metadata(Ok(Arc::new(metadata)))
}

fn well() -> Update {
    Update::Metadata(Ok(Arc::new(fixture::metadata())))
}

/// A cluster that was ill from 10 s to 32.5 s.
fn recovered() -> Driver {
    let mut driver = Driver::with(fixture::all());
    for (now_ms, update) in [
        (10_000, ill()),
        (22_000, ill()),
        (32_500, well()),
        (43_000, well()),
    ] {
        driver.now_ms = now_ms;
        driver.feed(vec![update]);
    }
    driver
}

#[test]
fn the_newest_change_comes_first_with_its_time_and_leads_to_its_subject() {
    let mut driver = Driver::with(fixture::all());
    driver.keys("9");
    assert!(driver.screen(80, 24).contains("nothing has changed since"));
    let mut driver = recovered();
    driver.keys("9");
    let screen = driver.screen(100, 24);
    let lines: Vec<&str> = screen.lines().skip(3).take(6).map(str::trim_end).collect();
    assert_eq!(
        lines,
        [
            " 10:00:32        10s  +   clicks-0: replica 2 is back in sync after 22.5 s",
            " 10:00:32        10s  +   clicks-1: has a leader again, 2",
            " 10:00:32        10s  +   broker 2 is no longer fenced",
            " 10:00:10        10s  !   clicks-0: replica 2 fell out of sync",
            " 10:00:10        10s  !!  clicks-1: no leader any more, it was 2",
            " 10:00:10        10s  !!  broker 2 is fenced: the controller misses it",
        ],
        "{screen}"
    );
    driver.keys("j enter");
    assert!(driver.screen(100, 24).contains("clicks"), "the topic");
    // A filter looks into the text.
    driver.keys("esc / fenced enter");
    let screen = driver.screen(100, 24);
    assert!(
        screen.contains("no longer fenced") && !screen.contains("clicks-0"),
        "{screen}"
    );
}

#[test]
fn brackets_go_through_the_past_where_nothing_can_be_changed() {
    let mut driver = recovered();
    driver.keys("2");
    let present = driver.screen(100, 24);
    assert!(
        present.contains("live") && !present.contains("fenced)"),
        "{present}"
    );
    driver.keys("[");
    let screen = driver.screen(100, 24);
    assert!(screen.contains("AS OF 10:00:32, 10s ago"), "{screen}");
    driver.keys("[");
    let screen = driver.screen(100, 24);
    assert!(screen.contains("AS OF 10:00:22, 21s ago"), "{screen}");
    assert!(screen.contains("3 brokers (1 fenced)"), "{screen}");
    // What comes in meanwhile does not disturb it.
    driver.now_ms = 50_000;
    driver.feed(vec![well()]);
    assert!(driver.screen(100, 24).contains("(1 fenced)"));
    driver.keys("3 D");
    let screen = driver.screen(100, 24);
    assert!(screen.contains("this is the past"), "{screen}");
    driver.keys("esc [ [ [ [");
    let screen = driver.screen(100, 24);
    assert!(
        screen.contains("nothing is kept from before 10:00:00"),
        "{screen}"
    );
    driver.keys("esc ] ] ] ] ]");
    let screen = driver.screen(100, 24);
    assert!(
        screen.contains("live") && !screen.contains("AS OF"),
        "{screen}"
    );
}

#[test]
fn a_time_is_gone_to_and_two_times_are_compared() {
    let mut driver = recovered();
    driver.keys(": at");
    driver.keys("space 10:00:25 enter");
    assert!(
        driver.screen(100, 24).contains("AS OF 10:00:22"),
        "{}",
        driver.screen(100, 24)
    );
    driver.keys(": now enter");
    assert!(driver.screen(100, 24).contains("live"));
    driver.keys(": diff space 10:00:15 enter");
    let screen = driver.screen(100, 24);
    assert!(screen.contains("from 10:00:10 to 10:00:43"), "{screen}");
    assert!(
        screen.contains("+  broker 2 is no longer fenced"),
        "{screen}"
    );
    driver.keys("esc : diff space 10:00:05 space 10:00:40 enter");
    let screen = driver.screen(100, 24);
    assert!(screen.contains("from 10:00:00 to 10:00:32"), "{screen}");
    assert!(screen.contains("nothing is different"), "{screen}");
    driver.keys("esc : diff space yesterday enter");
    assert!(driver.screen(100, 24).contains("\"yesterday\" is no time"));
}
