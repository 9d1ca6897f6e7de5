use std::sync::Arc;

use super::{Driver, fixture, taken};
use crate::model::{Cell, Offsets, PartError, PartitionOffsets, ReadReport, TopicOffsets, Update};
use crate::ui::event::{Answer, Effect};

#[test]
fn a_message_of_one_endless_line_is_read_to_its_end() {
    let mut driver = Driver::with(fixture::all());
    driver.keys("3 G m");
    let effects = driver.take_effects();
    let job = effects.into_iter().find_map(|effect| match effect {
        Effect::ReadMessages { job, .. } => Some(job),
        _ => None,
    });
    let value = format!("{}LAST", "v".repeat(1_900_000));
    let messages = vec![fixture::message(0, 7, &value)];
    let read = Answer::Read(Ok((messages, ReadReport::default())));
    driver.answer(job.unwrap(), read);
    driver.keys("g enter");
    let top = driver.screen(80, 24);
    assert!(
        top.contains("partition 0   offset 7") && !top.contains("LAST"),
        "{top}"
    );
    driver.keys("G");
    assert!(
        driver.screen(80, 24).contains("vvvLAST"),
        "{}",
        driver.screen(80, 24)
    );
    // What was at the top stays in sight when the terminal is another size.
    driver.keys("g");
    let narrow = driver.screen(50, 24);
    assert!(narrow.contains("partition 0   offset 7"), "{narrow}");
    driver.keys("k G");
    assert!(driver.screen(50, 24).contains("LAST"));
}

#[test]
fn the_rate_of_a_topic_that_is_known_in_part_is_told_as_that() {
    let mut driver = Driver::with(fixture::all());
    let offsets = |end: i64, other: Cell<i64>| {
        let partition = |partition, end| PartitionOffsets {
            partition,
            start: Cell::Known(0),
            end,
        };
        let topic = TopicOffsets {
            taken: taken(end),
            topic_id: None,
            partitions: [partition(0, Cell::Known(end)), partition(1, other)].into(),
        };
        Update::Offsets {
            result: Ok(Arc::new(Offsets::from([(
                "orders".into(),
                Arc::new(topic),
            )]))),
            complete: false,
        }
    };
    for (end, other, told) in [
        (10_000_000, Cell::Known(10_000_000), "/s"),
        (20_000_000, Cell::Failed(PartError(6)), "≥1,000/s"),
    ] {
        driver.now_ms = end;
        driver.feed(vec![offsets(end, other)]);
        let screen = driver.screen(160, 45);
        let mut lines = screen.lines();
        let is_told = lines.any(|line| line.contains("orders") && line.contains(told));
        assert!(is_told, "{screen}");
    }
}
