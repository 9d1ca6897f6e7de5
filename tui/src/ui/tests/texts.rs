use super::{Driver, fixture};
use crate::model::ReadReport;
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
