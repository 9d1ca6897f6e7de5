//! Runs on clusters that resist: throttles that may not be set or removed, brokers that can't be
//! asked, partitions that fall below what they need.

use super::*;

#[test]
fn a_throttle_that_may_not_be_set_ends_the_run_before_anything_moves() {
    let all: fn(&ConfigResource) -> bool = |_| true;
    let topics: fn(&ConfigResource) -> bool = |of| matches!(of, ConfigResource::Topic(_));
    for refused in [all, topics] {
        let mut fake = Fake::new(&[&[1], &[1]]);
        let mut run = fake.run(&[&[2], &[3]], Some(1000), 2);
        fake.refused = Some(refused);
        let mut looks = 0;
        while !run.is_over {
            fake.step(&mut run);
            looks += 1;
            assert!(looks < 10, "it goes on: {}", run.line());
        }
        assert!(looks > 2, "once may be too early");
        assert!(fake.running.is_empty() && fake.most == 0, "nothing moves");
        assert_eq!(run.counts().skipped, 2);
        let line = run.line();
        assert!(
            line.contains("its throttle can't be set") && line.contains("AUTHORIZATION"),
            "{line}"
        );
        assert!(
            fake.set
                .brokers
                .values()
                .all(|set| *set == BrokerThrottle::default())
        );
        assert!(run.ours.is_empty(), "nothing is half set");
    }
}

#[test]
fn what_can_not_be_read_is_not_taken_for_throttled() {
    let mut fake = Fake::new(&[&[1]]);
    let mut run = fake.run(&[&[2]], Some(1000), 1);
    fake.deaf = vec![2];
    for _ in 0..20 {
        fake.step(&mut run);
        assert!(fake.running.is_empty(), "broker 2 has no throttle");
    }
    // It was starting only.
    let mut later = (fake.clone(), run.clone());
    later.0.deaf.clear();
    later.0.finish(&mut later.1);
    assert_eq!(later.1.counts().done, 1);
    let mut looks = 0;
    while !run.is_over {
        fake.step(&mut run);
        looks += 1;
        assert!(looks < 200, "it waits for ever: {}", run.line());
    }
    assert!(fake.running.is_empty());
    assert!(
        run.line().contains("broker 2 can't be read"),
        "{}",
        run.line()
    );
    assert!(
        fake.set
            .brokers
            .values()
            .all(|set| *set == BrokerThrottle::default())
    );
}

#[test]
fn a_throttle_that_may_not_be_removed_any_more_is_left_and_named() {
    let mut fake = Fake::new(&[&[1]]);
    let mut run = fake.run(&[&[2]], Some(1000), 1);
    for _ in 0..3 {
        fake.step(&mut run);
    }
    fake.arrive();
    fake.refused = Some(|of| matches!(of, ConfigResource::Broker(1)));
    for _ in 0..10 {
        fake.step(&mut run);
    }
    assert!(run.is_over && run.counts().done == 1);
    assert_eq!(run.ours.rates.keys().collect::<Vec<_>>(), [&1]);
    assert!(run.line().contains("reassign janitor"), "{}", run.line());
    assert_eq!(fake.set.brokers[&2], BrokerThrottle::default());
}

#[test]
fn a_run_that_is_held_goes_on_by_itself_and_what_was_on_its_way_is_not_stopped() {
    let mut fake = Fake::new(&[&[1, 2, 3], &[1], &[1], &[1]]);
    fake.min_isr = 2;
    let mut run = fake.run(&[&[1, 2, 3], &[2], &[2], &[2]], Some(1000), 2);
    for _ in 0..2 {
        fake.step(&mut run);
    }
    assert_eq!(fake.running.len(), 2);
    fake.isr.insert(key(0), vec![3]);
    for _ in 0..3 {
        fake.step(&mut run);
    }
    assert!(matches!(run.brake, Brake::Stopped(_)));
    assert_eq!(fake.running.len(), 2, "what is on its way goes on");
    assert_eq!(
        fake.set.brokers[&2].rates[1].as_deref(),
        Some("500"),
        "at half the rate"
    );
    assert!(
        run.line().contains("held: t-0 below min.insync.replicas"),
        "{}",
        run.line()
    );
    fake.arrive();
    for _ in 0..3 {
        fake.step(&mut run);
    }
    assert_eq!(
        (run.counts().done, run.counts().waiting),
        (2, 1),
        "nothing new begins"
    );
    assert!(fake.running.is_empty());
    fake.isr.clear();
    for _ in 0..2 {
        fake.step(&mut run);
    }
    assert_eq!(fake.set.brokers[&2].rates[1].as_deref(), Some("1000"));
    fake.finish(&mut run);
    assert_eq!(run.counts().done, 3);
}

#[test]
fn a_run_says_what_it_waits_for() {
    let mut fake = Fake::new(&[&[1], &[1]]);
    let mut run = fake.run(&[&[3], &[2]], None, 2);
    fake.step(&mut run);
    fake.dead = vec![3];
    fake.step(&mut run);
    assert_eq!(
        run.line(),
        "0 of 2 moved, 2 on the way, waits for broker 3, which is down"
    );
    fake.dead = vec![2, 3];
    fake.isr.insert(key(1), Vec::new());
    fake.step(&mut run);
    assert_eq!((&run.waits_for[..], run.leaderless), (&[2, 3][..], 1));
    let line = run.line();
    assert!(
        line.contains("waits for brokers 2,3, which are down, 1 partition has no leader"),
        "{line}"
    );
    // They come back, and everything arrives.
    (fake.dead, fake.isr) = (Vec::new(), BTreeMap::new());
    fake.step(&mut run);
    assert_eq!(run.line(), "0 of 2 moved, 2 on the way");
    fake.finish(&mut run);
    assert!(run.waits_for.is_empty() && run.leaderless == 0);
}

#[test]
fn what_can_not_go_back_is_named_with_its_reason() {
    let mut fake = Fake::new(&[&[1]]);
    let mut run = fake.run(&[&[2, 3]], None, 1);
    fake.step(&mut run);
    fake.isr.insert(key(0), vec![2]);
    run.orders.wish = Wish::Cancel;
    fake.step(&mut run);
    assert_eq!(
        run.line(),
        "0 of 1 moved, 1 on the way, going back, t-0 goes on: no replica of before is in sync: \
         going back would lose records"
    );
    fake.isr.insert(key(0), vec![1, 2]);
    fake.step(&mut run);
    assert_eq!(run.line(), "0 of 1 moved, 1 on the way, going back");
    fake.finish(&mut run);
    assert_eq!(run.counts().cancelled, 1);
}
