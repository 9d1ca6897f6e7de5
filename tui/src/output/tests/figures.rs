//! `top` and the exporter's page over the same cluster as the tables.

use super::*;
use crate::derive::Verdict;

fn at(ms: i64) -> Taken {
    Taken {
        monotonic_ms: ms,
        wall_ms: ms,
    }
}

#[test]
fn a_glance_says_what_is_bad_what_is_not_known_and_where_to_look() {
    let top = top(&snapshot(), 2_000, 10);
    assert_eq!(top.verdict, Verdict::Unhealthy);
    assert_eq!(
        top.reasons,
        [
            "1 partition without a leader",
            "2 partitions under-replicated"
        ]
    );
    assert_eq!(
        top.unknown,
        [
            "min.insync.replicas of every topic",
            "the log directories of broker 2: no answer"
        ]
    );
    assert_eq!((top.under_min_isr, top.reassignments), (None, None));
    assert_eq!((top.groups, top.lag), (Some(1), Some(66)));
    assert_eq!(top.records_per_second, None, "there was one read only");
    let table = top.table();
    for line in [
        "unhealthy: 1 partition without a leader, 2 partitions under-replicated",
        "cluster MkU3OEVBNTcwNTJENDM2Qg  controller 2  brokers 2  fenced 0",
        "groups 1  lag 66  records/s - over 2.0 s",
    ] {
        assert!(table.lines().any(|found| found == line), "{table}");
    }
    let json: serde_json::Value = serde_json::from_str(&top.json()).unwrap();
    assert_eq!(json["worst_groups"][0]["id"], "billing");
    assert_eq!(json["under_min_isr"], serde_json::Value::Null);
}

#[test]
fn a_sum_over_groups_that_were_not_all_read_is_no_sum() {
    let mut snapshot = snapshot();
    let mut groups = Groups::clone(snapshot.groups.get().unwrap());
    let mut other = Group::clone(&groups.groups["billing"]);
    other.id = "unread".into();
    groups.groups.insert("unread".into(), Arc::new(other));
    snapshot.apply(Update::Groups(Ok(Arc::new(groups))), taken());
    let top = top(&snapshot, 2_000, 10);
    assert_eq!((top.groups, top.lag), (Some(2), None));
}

/// The value of a sample; `None` where there is none.
fn sample<'a>(page: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = page.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
}

#[test]
fn every_known_figure_is_a_sample_and_what_is_not_known_is_none() {
    let page = metrics(
        &snapshot(),
        &Histories::default(),
        Detail { partitions: true },
        at(4_500),
    );
    for (name, value) in [
        ("kafka_up", Some("1")),
        ("kafka_age_seconds{part=\"metadata\"}", Some("3.5")),
        ("kafka_age_seconds{part=\"quorum\"}", None),
        ("kafka_read_failed{part=\"metadata\"}", Some("0")),
        ("kafka_cluster_healthy", Some("0")),
        ("kafka_partitions", Some("3")),
        ("kafka_partitions_offline", Some("1")),
        ("kafka_partitions_under_min_isr", None),
        ("kafka_records_per_second", None),
        ("kafka_broker_up{broker=\"2\"}", Some("1")),
        ("kafka_broker_up{broker=\"3\"}", Some("0")),
        ("kafka_topic_end_offset_sum{topic=\"orders\"}", Some("170")),
        ("kafka_topic_end_offset_sum{topic=\"logs\"}", None),
        ("kafka_group_lag_records{group=\"billing\"}", Some("66")),
        (
            "kafka_group_state{group=\"billing\",state=\"Stable\"}",
            Some("1"),
        ),
        ("kafka_group_age_seconds{group=\"billing\"}", Some("3.5")),
    ] {
        assert_eq!(sample(&page, name), value, "{name}\n{page}");
    }
    let brief = metrics(
        &snapshot(),
        &Histories::default(),
        Detail::default(),
        at(4_500),
    );
    let name = "kafka_group_partition_lag_records{group=\"billing\",topic=\"orders\"";
    assert!(page.contains(name) && !brief.contains(name), "{page}");
}

#[test]
fn the_page_is_what_prometheus_reads_also_with_a_group_named_to_hurt() {
    let mut snapshot = snapshot();
    let evil: Arc<str> = "a\"} 1\nb\\".into();
    let mut groups = Groups::clone(snapshot.groups.get().unwrap());
    let mut group = Group::clone(&groups.groups["billing"]);
    group.id = Arc::clone(&evil);
    groups.groups.insert(Arc::clone(&evil), Arc::new(group));
    snapshot.apply(Update::Groups(Ok(Arc::new(groups))), taken());
    let committed = snapshot.committed["billing"].value().unwrap().clone();
    let commits = vec![(evil, Ok(committed))];
    snapshot.apply(Update::Committed(commits), taken());
    let page = metrics(
        &snapshot,
        &Histories::default(),
        Detail::default(),
        at(4_500),
    );
    assert!(page.contains(r#"{group="a\"} 1\nb\\"} "#), "{page}");
    let mut family = "";
    let mut families = Vec::new();
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split(' ').next().unwrap();
            families.push(family);
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            assert_eq!(kind, format!("{family} gauge"));
        } else {
            let name = line.split(['{', ' ']).next().unwrap();
            assert_eq!(name, family, "samples stand with their family");
            let value = line.rsplit(' ').next().unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
    let places: Vec<usize> = families
        .iter()
        .map(|family| {
            let mut metrics = METRICS.iter();
            let documented = metrics.position(|metric| metric.name == *family);
            documented.unwrap_or_else(|| panic!("{family} is not documented"))
        })
        .collect();
    assert!(places.len() > 20, "{families:?}");
    let n = families.len();
    families.sort_unstable();
    families.dedup();
    assert_eq!(families.len(), n, "no family comes twice");
}

#[test]
fn a_cluster_that_was_never_reached_is_down_and_nothing_else() {
    let page = metrics(
        &ClusterSnapshot::default(),
        &Histories::default(),
        Detail::default(),
        at(1),
    );
    assert_eq!(sample(&page, "kafka_up"), Some("0"));
    assert!(!page.contains("kafka_partitions"), "{page}");
}

#[test]
fn lag_in_time_and_verdicts_are_told_from_what_was_seen_meanwhile() {
    let mut snapshot = snapshot();
    let mut history = Histories::default();
    let commits = snapshot.committed["billing"].value().unwrap().clone();
    let read = |commits: &Committed, seconds: i64| {
        let mut commits = commits.clone();
        commits.taken = at(seconds * 1_000);
        vec![(Arc::from("billing"), Ok(Arc::new(commits)))]
    };
    let offsets = snapshot.offsets.value().unwrap().clone();
    for seconds in (10..=70).step_by(5) {
        let mut all = Offsets::clone(&offsets);
        for topic in all.values_mut() {
            let mut later = TopicOffsets::clone(topic);
            later.taken = at(seconds * 1_000);
            *topic = Arc::new(later);
        }
        let update = Update::Offsets {
            result: Ok(Arc::new(all)),
            complete: true,
        };
        snapshot.apply(update, at(seconds * 1_000));
        let read = read(&commits, seconds);
        snapshot.apply(Update::Committed(read.clone()), at(seconds * 1_000));
        history.note(&read, &snapshot, at(seconds * 1_000));
    }
    let detail = Detail { partitions: true };
    let page = metrics(&snapshot, &history, detail, at(70_000));
    // It has a member, commits the same offset again and again, and the log does not grow.
    let verdict = "kafka_group_verdict{group=\"billing\",verdict=\"stall\"}";
    assert_eq!(sample(&page, verdict), Some("1"), "{page}");
    // Where a log does not grow no time can be told from its ends.
    let seconds = "kafka_group_lag_seconds{group=\"billing\"}";
    assert_eq!(sample(&page, seconds), None, "{page}");
    let name = "kafka_group_partition_lag_seconds";
    assert!(page.contains(&format!("# TYPE {name} gauge")), "{page}");
}

#[test]
fn what_brokers_tell_is_served_as_the_screens_show_it() {
    let mut snapshot = snapshot();
    let plain = metrics(&snapshot, &Histories::default(), Detail::default(), at(0));
    assert!(
        !plain.contains("kafka_broker_bytes_in_per_second"),
        "{plain}"
    );
    for ms in [1_000, 3_000] {
        let mut reading = BrokerReading::new(at(ms));
        reading.count_mut(Flow::BytesIn).total = Some(ms as f64);
        reading.handlers_idle = Some(0.75);
        reading.produce_p99_ms = Some(12.5);
        let mut topic = TopicCounts::new("orders".into());
        topic.add(Flow::BytesIn, ms as f64 / 2.0);
        reading.topics.push(topic);
        let silent = Fault::new(FaultKind::Unreachable, "read metrics", "no answer");
        let told = vec![(1, Ok(Arc::new(reading))), (2, Err(Arc::new(silent)))];
        snapshot.apply(Update::Metrics(told), at(ms));
    }
    let page = metrics(
        &snapshot,
        &Histories::default(),
        Detail::default(),
        at(4_500),
    );
    for (name, value) in [
        (
            "kafka_broker_metrics_age_seconds{broker=\"1\"}",
            Some("1.5"),
        ),
        ("kafka_broker_metrics_age_seconds{broker=\"2\"}", None),
        ("kafka_broker_metrics_failed{broker=\"1\"}", Some("0")),
        ("kafka_broker_metrics_failed{broker=\"2\"}", Some("1")),
        (
            "kafka_broker_bytes_in_per_second{broker=\"1\"}",
            Some("1000"),
        ),
        ("kafka_broker_bytes_in_per_second{broker=\"2\"}", None),
        ("kafka_broker_bytes_out_per_second{broker=\"1\"}", None),
        (
            "kafka_broker_request_handlers_idle_ratio{broker=\"1\"}",
            Some("0.75"),
        ),
        (
            "kafka_broker_produce_p99_seconds{broker=\"1\"}",
            Some("0.0125"),
        ),
    ] {
        assert_eq!(sample(&page, name), value, "{name}\n{page}");
    }
}
