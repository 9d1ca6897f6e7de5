//! What brokers tell of themselves, on their screens and on those of topics.

use std::sync::Arc;

use super::{Driver, fixture, taken};
use crate::metrics::reading;
use crate::model::{Fault, Update};

/// A page of a broker that takes in 2,000 messages and 1 MiB a second.
fn page(seconds: i64) -> String {
    let (messages, bytes) = (2_000 * seconds, 1_048_576 * seconds);
    format!(
        "kafka_server_brokertopicmetrics_messagesin_total {messages}\n\
         kafka_server_brokertopicmetrics_bytesin_total {bytes}\n\
         kafka_server_brokertopicmetrics_bytesin_total{{topic=\"orders\"}} {bytes}\n\
         kafka_server_brokertopicmetrics_bytesrejected_total {bytes}\n\
         kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent 0.25\n\
         jvm_memory_bytes_used{{area=\"heap\"}} 5.36870912E8\n\
         jvm_memory_bytes_max{{area=\"heap\"}} 1.073741824E9\n"
    )
}

/// Broker 1 tells, broker 2 does not answer, broker 3 has no endpoint.
fn driver() -> Driver {
    let mut driver = Driver::with(fixture::all());
    let endpoints = ["1=http://b1:1/m".to_owned(), "2=http://b2:1/m".to_owned()];
    let endpoints = crate::clusters::Endpoints::of_options(&endpoints).unwrap();
    driver.app.world.target.metrics = endpoints;
    let shared = |name: &str| Arc::from(name);
    for seconds in [10, 12] {
        driver.now_ms = seconds * 1_000;
        let read = reading(&page(seconds), taken(driver.now_ms), shared).unwrap();
        let refused = Fault::refused("read a broker's metrics", "http://b2:1/m: it answers 503");
        let results = vec![(1, Ok(Arc::new(read))), (2, Err(Arc::new(refused)))];
        driver.feed(vec![Update::Metrics(results)]);
    }
    driver
}

#[test]
fn brokers_show_what_they_tell_and_where_the_rest_comes_from() {
    let mut driver = driver();
    driver.keys("2");
    let screen = driver.screen(200, 12);
    for told in [
        "rates by metrics of 1, others by log ends",
        "! metrics not read: broker 2: http://b2:1/m: it answers 503",
        "2,000/s",
        "1.00 MiB/s",
        "25%",
        "50%",
    ] {
        assert!(screen.contains(told), "{told}:\n{screen}");
    }
    // Broker 3 leads partitions that grow.
    let row = screen
        .lines()
        .find(|line| line.contains("b3:9092"))
        .unwrap();
    assert!(row.contains("50.0/s"), "{row}");
    for (width, height) in [(80, 24), (40, 10)] {
        let screen = driver.screen(width, height);
        assert!(screen.contains("! metrics not read"), "{screen}");
    }
}

#[test]
fn one_broker_shows_its_share_its_trouble_and_its_load() {
    let mut driver = driver();
    driver.keys("2 enter");
    let screen = driver.screen(120, 20);
    for told in [
        // What broker 2 has is not known, so nobody's share is.
        "metrics of 10:00:12  messages 2,000/s  in 1.00 MiB/s  out …",
        "rejected 1.00 MiB/s",
        "handlers idle 25%  heap 512 MiB of 1.00 GiB",
    ] {
        assert!(screen.contains(told), "{told}:\n{screen}");
    }
    // The replicas keep their room on a small terminal.
    let screen = driver.screen(40, 12);
    assert!(screen.contains("clicks-0"), "{screen}");
}

#[test]
fn a_topic_shows_what_all_brokers_that_tell_have_of_it() {
    let mut driver = driver();
    driver.keys("3");
    let screen = driver.screen(200, 12);
    let row = screen.lines().find(|line| line.contains("orders")).unwrap();
    assert!(
        screen.contains("IN/S") && row.contains("1.00 MiB/s"),
        "{screen}"
    );
    driver.keys("G enter");
    let screen = driver.screen(120, 20);
    assert!(
        screen.contains("by metrics  messages …  in 1.00 MiB/s  out …"),
        "{screen}"
    );
}
