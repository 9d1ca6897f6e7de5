//! The table against what Apache Kafka 4.3.1 advertises on its broker listener.

use std::collections::BTreeMap;

use kafka_shared::protocol::api::codec_versions;

use super::*;

/// `kafka-broker-api-versions` against Apache Kafka 4.3.1: key, lowest and highest version.
const KAFKA: &[(i16, i16, i16)] = &[
    (0, 0, 13),
    (1, 4, 18),
    (2, 1, 11),
    (3, 0, 13),
    (8, 2, 10),
    (9, 1, 10),
    (10, 0, 6),
    (11, 0, 9),
    (12, 0, 4),
    (13, 0, 5),
    (14, 0, 5),
    (15, 0, 6),
    (16, 0, 5),
    (17, 0, 1),
    (18, 0, 4),
    (19, 2, 7),
    (20, 1, 6),
    (21, 0, 2),
    (22, 0, 5),
    (23, 2, 4),
    (24, 0, 5),
    (25, 0, 4),
    (26, 0, 5),
    (27, 1, 2),
    (28, 0, 5),
    (29, 1, 3),
    (30, 1, 3),
    (31, 1, 3),
    (32, 1, 4),
    (33, 0, 2),
    (34, 1, 2),
    (35, 1, 5),
    (36, 0, 2),
    (37, 0, 3),
    (38, 1, 3),
    (39, 1, 2),
    (40, 1, 2),
    (41, 1, 3),
    (42, 0, 2),
    (43, 0, 2),
    (44, 0, 1),
    (45, 0, 1),
    (46, 0, 0),
    (47, 0, 0),
    (48, 0, 1),
    (49, 0, 1),
    (50, 0, 0),
    (51, 0, 0),
    (55, 0, 2),
    (57, 0, 2),
    (60, 0, 2),
    (61, 0, 0),
    (64, 0, 0),
    (65, 0, 0),
    (66, 0, 2),
    (68, 0, 1),
    (69, 0, 1),
    (74, 0, 1),
    (75, 0, 0),
    (76, 1, 1),
    (77, 1, 1),
    (78, 1, 2),
    (79, 1, 2),
    (80, 0, 1),
    (81, 0, 0),
    (83, 0, 0),
    (84, 0, 0),
    (85, 0, 1),
    (86, 0, 0),
    (87, 0, 1),
    (88, 0, 0),
    (89, 0, 0),
    (90, 0, 1),
    (91, 0, 0),
    (92, 0, 0),
];

/// ApiVersions of Apache Kafka 4.3.1 on its controller listener.
const KAFKA_CONTROLLER: &[(i16, i16, i16)] = &[
    (1, 4, 18),
    (17, 0, 1),
    (18, 0, 4),
    (19, 2, 7),
    (20, 1, 6),
    (29, 1, 3),
    (30, 1, 3),
    (31, 1, 3),
    (32, 1, 4),
    (33, 0, 2),
    (36, 0, 2),
    (37, 0, 3),
    (38, 1, 3),
    (39, 1, 2),
    (40, 1, 2),
    (41, 1, 3),
    (43, 0, 2),
    (44, 0, 1),
    (45, 0, 1),
    (46, 0, 0),
    (49, 0, 1),
    (50, 0, 0),
    (51, 0, 0),
    (52, 0, 2),
    (53, 0, 1),
    (54, 0, 1),
    (55, 0, 2),
    (56, 2, 3),
    (57, 0, 2),
    (58, 0, 0),
    (59, 0, 1),
    (60, 0, 2),
    (62, 0, 4),
    (63, 0, 2),
    (64, 0, 0),
    (67, 0, 0),
    (70, 0, 0),
    (73, 0, 0),
    (80, 0, 1),
    (81, 0, 0),
    (82, 0, 0),
];

#[test]
fn every_api_of_a_controller_is_served_in_kafkas_versions() {
    for api in controller::TABLE {
        let row = (api.key as i16, *api.versions.start(), *api.versions.end());
        assert!(KAFKA_CONTROLLER.contains(&row), "{:?} {row:?}", api.key);
    }
}

#[test]
fn what_brokers_forward_is_what_controllers_take_from_an_envelope() {
    let forwarded = |table: &'static [Api]| -> Vec<(ApiKey, RangeInclusive<i16>)> {
        let rows = table.iter().filter(|api| api.is_forwarded);
        rows.map(|api| (api.key, api.versions.clone())).collect()
    };
    let taken = forwarded(controller::TABLE);
    for row in forwarded(TABLE) {
        assert!(taken.contains(&row), "{row:?}");
    }
}

#[test]
fn every_api_that_is_served_is_served_in_kafkas_versions() {
    let kafka: BTreeMap<i16, (i16, i16)> = KAFKA
        .iter()
        .map(|(key, min, max)| (*key, (*min, *max)))
        .collect();
    for api in TABLE {
        let advertised = (api.advertised_min(), *api.versions.end());
        assert_eq!(
            kafka.get(&(api.key as i16)),
            Some(&advertised),
            "{:?}",
            api.key
        );
    }
}

#[test]
fn nothing_is_served_that_cannot_be_decoded_and_encoded() {
    for api in TABLE.iter().chain(controller::TABLE) {
        let codec = codec_versions(api.key);
        assert!(
            codec.start() <= api.versions.start() && api.versions.end() <= codec.end(),
            "{:?}: {:?} is not within {codec:?}",
            api.key,
            api.versions
        );
    }
}

#[test]
fn the_table_is_in_the_order_of_keys_and_has_none_twice() {
    for table in [TABLE, controller::TABLE] {
        let keys: Vec<i16> = table.iter().map(|api| api.key as i16).collect();
        assert!(keys.is_sorted_by(|a, b| a < b), "{keys:?}");
    }
}

#[test]
fn everything_that_the_first_milestone_promises_is_in_the_table() {
    let promised = [
        0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 21, 22, 23, 32, 33, 35, 37, 42,
        43, 44, 45, 46, 47, 55, 60, 61, 74, 75,
    ];
    for key in promised {
        assert!(find(key).is_some(), "API key {key}");
    }
}

#[test]
fn the_bits_of_allowed_operations_are_those_of_kafka() {
    assert_eq!(cluster::TOPIC_OPERATIONS, 3576);
    assert_eq!(cluster::CLUSTER_OPERATIONS, 8096);
}
