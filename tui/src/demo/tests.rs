use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;

type Members = &'static [(&'static str, &'static [&'static str])];
type Topics = &'static [(&'static str, i32)];

fn assign(members: Members, topics: Topics) -> Vec<(String, Vec<String>)> {
    let subscriptions = members
        .iter()
        .map(|(id, topics)| {
            let topics = topics.iter().map(|topic| Arc::from(*topic)).collect();
            ((*id).to_owned(), topics)
        })
        .collect();
    let partitions: BTreeMap<Arc<str>, Vec<i32>> = topics
        .iter()
        .map(|(topic, n)| (Arc::from(*topic), (0..*n).collect()))
        .collect();
    range_assignment(&subscriptions, &partitions)
        .into_iter()
        .map(|(member, owned)| {
            let names = owned
                .iter()
                .flat_map(|a| a.partitions.iter().map(|p| format!("{}{p}", a.topic)));
            (member, names.collect())
        })
        .collect()
}

#[test]
fn ranges_are_those_of_kafkas_assignor() {
    let cases: [(Members, Topics, &str); 5] = [
        (
            &[("c0", &["t", "u"]), ("c1", &["t", "u"])],
            &[("t", 3), ("u", 3)],
            "c0: t0 t1 u0 u1, c1: t2 u2",
        ),
        (
            &[("c0", &["t"]), ("c1", &["t"]), ("c2", &["t"])],
            &[("t", 2)],
            "c0: t0, c1: t1, c2:",
        ),
        (
            &[("c0", &["t"]), ("c1", &["t", "u"]), ("c2", &["t"])],
            &[("t", 3), ("u", 2)],
            "c0: t0, c1: t1 u0 u1, c2: t2",
        ),
        (&[("c0", &["gone"])], &[("t", 1)], "c0:"),
        (&[("c0", &[])], &[("t", 1)], "c0:"),
    ];
    for (members, topics, expected) in cases {
        let assigned: Vec<String> = assign(members, topics)
            .into_iter()
            .map(|(member, owned)| {
                format!("{member}: {}", owned.join(" "))
                    .trim_end()
                    .to_owned()
            })
            .collect();
        assert_eq!(assigned.join(", "), expected);
    }
}

proptest! {
    #[test]
    fn every_partition_has_one_owner_and_the_shares_differ_by_one(members in 1..9usize, n in 0..40i32) {
        let subscriptions = (0..members).map(|at| (at.to_string(), vec![Arc::from("t")])).collect();
        let partitions = [(Arc::from("t"), (0..n).collect())].into();
        let assigned = range_assignment(&subscriptions, &partitions);
        let counts: Vec<usize> = assigned
            .values()
            .map(|owned| owned.iter().map(|a| a.partitions.len()).sum())
            .collect();
        let mut all: Vec<i32> = assigned
            .values()
            .flatten()
            .flat_map(|owned| owned.partitions.iter().copied())
            .collect();
        all.sort_unstable();
        prop_assert_eq!(all, (0..n).collect::<Vec<_>>());
        prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1);
    }
}

#[test]
fn the_folder_is_private_and_goes_when_it_is_dropped() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = DemoFolder::new().unwrap();
    let path = folder.path().to_owned();
    std::fs::write(path.join("file"), "x").unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    drop(folder);
    assert!(!path.exists());
}
