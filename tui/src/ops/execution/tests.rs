use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::model::*;
use crate::ops::reassign::preview;
use crate::ops::{AlterConfigs, ConfigChange};

mod resisting;

/// A cluster that does what it is told: partitions are moved a step later.
#[derive(Clone, Debug, Default)]
struct Fake {
    replicas: BTreeMap<TopicPartition, Vec<i32>>,
    running: Assignment,
    /// By partition; where nothing is said everything is in sync.
    isr: BTreeMap<TopicPartition, Vec<i32>>,
    dead: Vec<i32>,
    min_isr: i32,
    set: ThrottlesSet,
    elected: Vec<TopicPartition>,
    /// Live brokers whose configuration can't be read.
    deaf: Vec<i32>,
    /// What may not be altered.
    refused: Option<fn(&ConfigResource) -> bool>,
    /// The most partitions that were on their way at a time.
    most: usize,
}

const N_BROKERS: i32 = 5;

fn key(partition: i32) -> TopicPartition {
    TopicPartition::new("t", partition)
}

impl Fake {
    fn new(partitions: &[&[i32]]) -> Self {
        let replicas = partitions.iter().enumerate();
        let replicas = replicas.map(|(at, list)| (key(at as i32), list.to_vec()));
        let mut fake = Self {
            replicas: replicas.collect(),
            min_isr: 1,
            ..Self::default()
        };
        for id in 1..=N_BROKERS {
            fake.set.brokers.insert(id, BrokerThrottle::default());
        }
        fake.set
            .topics
            .insert("t".to_owned(), TopicThrottle::default());
        fake
    }

    fn snapshot(&self) -> ClusterSnapshot {
        let broker = |id| Broker {
            id,
            host: String::new(),
            port: 0,
            rack: None,
            fenced: Some(self.dead.contains(&id)),
        };
        let partition = |(key, settled): (&TopicPartition, &Vec<i32>)| {
            let mut replicas = settled.clone();
            if let Some(target) = self.running.get(key) {
                replicas = target.clone();
                replicas.extend(settled.iter().filter(|id| !target.contains(id)));
            }
            let isr = self.isr.get(key).unwrap_or(settled);
            Partition {
                id: key.partition,
                leader: isr.first().copied().unwrap_or(NO_LEADER),
                isr: isr.clone().into(),
                replicas: replicas.into(),
                ..Partition::default()
            }
        };
        let topic = Topic {
            name: "t".into(),
            id: None,
            is_internal: false,
            error: None,
            partitions: self.replicas.iter().map(partition).collect(),
        };
        let metadata = ClusterMetadata {
            brokers: (1..=N_BROKERS).map(broker).collect(),
            topics: vec![Arc::new(topic)],
            ..ClusterMetadata::default()
        };
        let ongoing = |(key, target): (&TopicPartition, &Vec<i32>)| {
            let before = &self.replicas[key];
            let mut replicas = target.clone();
            replicas.extend(before.iter().filter(|id| !target.contains(id)));
            let not_in = |list: &[i32], of: &[i32]| -> Vec<i32> {
                of.iter().copied().filter(|id| !list.contains(id)).collect()
            };
            let ongoing = OngoingReassignment {
                replicas,
                adding: not_in(before, target),
                removing: not_in(target, before),
            };
            (key.clone(), ongoing)
        };
        let settings = TopicSettings {
            min_insync_replicas: Some(self.min_isr),
            ..TopicSettings::default()
        };
        let mut snapshot = ClusterSnapshot::default();
        let at = Taken::default();
        let running: Reassignments = self.running.iter().map(ongoing).collect();
        snapshot.apply(Update::Metadata(Ok(Arc::new(metadata))), at);
        snapshot.apply(Update::Reassignments(Ok(Arc::new(running))), at);
        let settings = std::collections::HashMap::from([(Arc::from("t"), settings)]);
        snapshot.apply(Update::Settings(Ok(Arc::new(settings))), at);
        snapshot
    }

    fn run(&self, target: &[&[i32]], throttle: Option<i64>, batch: usize) -> Run {
        let snapshot = self.snapshot();
        let target = target.iter().enumerate();
        let target = target
            .map(|(at, list)| (key(at as i32), list.to_vec()))
            .collect();
        let seen = preview(snapshot.metadata.get().unwrap(), None, &target);
        let orders = Orders {
            wish: Wish::Run,
            throttle,
            batch,
        };
        Run::of(&seen, "test", None, orders, 0).unwrap()
    }

    fn look(&self, run: &mut Run) -> Vec<Todo> {
        let set = ThrottlesSet {
            brokers: self
                .set
                .brokers
                .iter()
                .filter(|(id, _)| !self.dead.contains(id) && !self.deaf.contains(id))
                .map(|(id, set)| (*id, set.clone()))
                .collect(),
            topics: self.set.topics.clone(),
            ..ThrottlesSet::default()
        };
        run.decide(&View {
            snapshot: &self.snapshot(),
            throttles: &set,
        })
    }

    fn take(&mut self, todo: Todo) {
        match todo {
            Todo::Alter(alter) => self.alter(&alter),
            Todo::Start(target) => {
                assert!(!target.is_empty());
                self.running.extend(target);
                self.most = self.most.max(self.running.len());
            }
            Todo::Cancel(keys) => keys.iter().for_each(|key| {
                self.running.remove(key);
            }),
            Todo::Elect(keys) => self.elected.extend(keys),
        }
    }

    fn alter(&mut self, alter: &AlterConfigs) {
        for change in &alter.changes {
            let name = change.name();
            match &alter.resource {
                ConfigResource::Broker(id) => {
                    assert!(!self.dead.contains(id), "a dead broker takes no changes");
                    let at = RATES.iter().position(|rate| *rate == name).unwrap();
                    let rates = &mut self.set.brokers.get_mut(id).unwrap().rates;
                    rates[at] = match change {
                        ConfigChange::Set { value, .. } => Some(value.clone()),
                        ConfigChange::Delete { .. } => None,
                        other => panic!("{other:?}"),
                    };
                }
                ConfigResource::Topic(topic) => {
                    let at = REPLICAS.iter().position(|list| *list == name).unwrap();
                    let list = &mut self.set.topics.get_mut(topic).unwrap().replicas[at];
                    match change {
                        ConfigChange::Append { value, .. } => {
                            list.extend(value.split(',').map(str::to_owned));
                        }
                        ConfigChange::Subtract { value, .. } => {
                            list.retain(|entry| !value.split(',').any(|gone| gone == entry));
                        }
                        ConfigChange::Delete { .. } => list.clear(),
                        other => panic!("{other:?}"),
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// One look; what is refused is told to the run as the shell tells it.
    fn step(&mut self, run: &mut Run) {
        for todo in self.look(run) {
            match (&todo, self.refused) {
                (Todo::Alter(alter), Some(refused)) if refused(&alter.resource) => {
                    let why = "CLUSTER_AUTHORIZATION_FAILED";
                    run.note_defiance(&Fault::refused("change it", why));
                }
                _ => self.take(todo),
            }
        }
    }

    /// What is on its way arrives.
    fn arrive(&mut self) {
        let running = std::mem::take(&mut self.running);
        self.replicas.extend(running);
    }

    /// Looks and does what is said, until nothing is left.
    fn finish(&mut self, run: &mut Run) {
        for _ in 0..200 {
            for todo in self.look(run) {
                self.take(todo);
            }
            if run.is_over {
                return;
            }
            self.arrive();
        }
        panic!("it never ends: {}", run.line());
    }
}

#[test]
fn throttles_come_before_the_moves_and_go_after_them() {
    let mut fake = Fake::new(&[&[1, 2], &[2, 3]]);
    let mut run = fake.run(&[&[1, 4], &[4, 3]], Some(1000), 1);
    let first = fake.look(&mut run);
    assert!(first.iter().all(|todo| matches!(todo, Todo::Alter(_))));
    first.into_iter().for_each(|todo| fake.take(todo));
    let rate = |fake: &Fake, id: i32| fake.set.brokers[&id].rates.clone();
    assert_eq!(rate(&fake, 4), [Some("1000".into()), Some("1000".into())]);
    assert_eq!(rate(&fake, 5), [None, None]);
    let lists = &fake.set.topics["t"].replicas;
    assert_eq!(lists[0], ["0:1", "0:2", "1:2", "1:3"]);
    assert_eq!(lists[1], ["0:4", "1:4"]);
    let second = fake.look(&mut run);
    assert_eq!(second, [Todo::Start([(key(0), vec![1, 4])].into())]);
    fake.take(second[0].clone());
    assert_eq!(fake.look(&mut run), [], "one at a time");
    fake.isr.insert(key(1), vec![3, 4]);
    fake.finish(&mut run);
    assert_eq!(fake.replicas[&key(1)], [4, 3]);
    assert_eq!((fake.most, run.counts().done), (1, 2));
    assert_eq!(fake.set.brokers[&4], BrokerThrottle::default());
    assert_eq!(fake.set.topics["t"], TopicThrottle::default());
    assert_eq!(
        fake.elected,
        [key(1)],
        "its preferred leader is another one"
    );
    assert!(run.ours.is_empty());
}

#[test]
fn an_operators_own_throttles_stay_as_they_are() {
    let mut fake = Fake::new(&[&[1, 2]]);
    let own = [Some("77".to_owned()), None];
    fake.set.brokers.get_mut(&1).unwrap().rates = own.clone();
    fake.set.topics.get_mut("t").unwrap().replicas = [
        vec!["0:1".to_owned(), "9:9".to_owned()],
        vec!["*".to_owned()],
    ];
    let before = fake.set.clone();
    let mut run = fake.run(&[&[1, 3]], Some(1000), 1);
    for todo in fake.look(&mut run) {
        fake.take(todo);
    }
    let during = [Some("77".to_owned()), Some("1000".to_owned())];
    assert_eq!(fake.set.brokers[&1].rates, during);
    assert_eq!(fake.set.topics["t"].replicas[0], ["0:1", "9:9", "0:2"]);
    // While it runs somebody takes a rate over.
    fake.set.brokers.get_mut(&3).unwrap().rates[0] = Some("5".to_owned());
    fake.finish(&mut run);
    let mut expected = before;
    expected.brokers.get_mut(&3).unwrap().rates[0] = Some("5".to_owned());
    assert_eq!(fake.set, expected);
}

#[test]
fn the_throttle_and_the_batch_change_while_it_runs() {
    let mut fake = Fake::new(&[&[1], &[1], &[1], &[1]]);
    let mut run = fake.run(&[&[2], &[2], &[2], &[2]], Some(1000), 1);
    for _ in 0..2 {
        fake.look(&mut run)
            .into_iter()
            .for_each(|todo| fake.take(todo));
    }
    run.orders.take(&NewOrders {
        throttle: Some(5000),
        batch: Some(3),
        ..NewOrders::default()
    });
    for _ in 0..2 {
        fake.look(&mut run)
            .into_iter()
            .for_each(|todo| fake.take(todo));
    }
    assert_eq!(fake.set.brokers[&2].rates[1].as_deref(), Some("5000"));
    assert_eq!(fake.running.len(), 3);
    run.orders.take(&NewOrders {
        wish: Some(Wish::Pause),
        ..NewOrders::default()
    });
    fake.arrive();
    for _ in 0..3 {
        fake.look(&mut run)
            .into_iter()
            .for_each(|todo| fake.take(todo));
    }
    assert!(fake.running.is_empty() && !run.is_over);
    assert_eq!(
        run.line(),
        "3 of 4 moved, 1 waiting, paused, at most 5 kB/s"
    );
    // Nothing is on its way, so that nothing needs to be throttled.
    assert_eq!(fake.set.brokers[&2], BrokerThrottle::default());
    run.orders.wish = Wish::Run;
    fake.finish(&mut run);
    assert_eq!(run.counts().done, 4);
}

#[test]
fn partitions_that_miss_replicas_hold_it_or_slow_it_down() {
    let mut fake = Fake::new(&[&[1, 2, 3], &[1], &[1], &[1], &[1]]);
    fake.min_isr = 2;
    let target: [&[i32]; 5] = [&[1, 2, 3], &[2], &[2], &[2], &[2]];
    // Partitions of a single replica are below it too, and always were: they miss nothing.
    let mut run = fake.run(&target, Some(1000), 4);
    fake.isr.insert(key(0), vec![1]);
    for _ in 0..3 {
        fake.look(&mut run)
            .into_iter()
            .for_each(|todo| fake.take(todo));
    }
    assert_eq!(
        run.brake,
        Brake::Stopped("t-0 below min.insync.replicas".to_owned())
    );
    assert!(fake.running.is_empty());
    fake.isr.insert(key(0), vec![1, 2]);
    for _ in 0..3 {
        fake.look(&mut run)
            .into_iter()
            .for_each(|todo| fake.take(todo));
    }
    assert_eq!(
        run.brake,
        Brake::Slow("t-0 at min.insync.replicas".to_owned())
    );
    assert_eq!(fake.running.len(), 2, "half the batch");
    assert_eq!(fake.set.brokers[&2].rates[1].as_deref(), Some("500"));
    fake.isr.clear();
    fake.finish(&mut run);
}

#[test]
fn a_move_off_a_dead_broker_is_not_held_by_what_it_mends() {
    let mut fake = Fake::new(&[&[1, 2]]);
    (fake.min_isr, fake.dead) = (2, vec![2]);
    let mut run = fake.run(&[&[1, 3]], Some(1000), 1);
    fake.isr.insert(key(0), vec![1]);
    for _ in 0..2 {
        fake.look(&mut run)
            .into_iter()
            .for_each(|todo| fake.take(todo));
    }
    assert_eq!((&run.brake, fake.running.len()), (&Brake::Free, 1));
}

#[test]
fn a_partition_whose_replicas_are_all_gone_holds_nothing() {
    let mut fake = Fake::new(&[&[1], &[4], &[4, 5]]);
    fake.dead = vec![4];
    let mut run = fake.run(&[&[2], &[4], &[4, 5]], Some(1000), 1);
    fake.isr.insert(key(1), vec![]);
    fake.isr.insert(key(2), vec![]);
    let mut look_twice = |fake: &mut Fake| {
        for _ in 0..2 {
            fake.look(&mut run)
                .into_iter()
                .for_each(|todo| fake.take(todo));
        }
        run.brake.clone()
    };
    let held = Brake::Stopped("t-2 below min.insync.replicas".to_owned());
    assert_eq!(look_twice(&mut fake), held, "5 can come back into it");
    fake.dead = vec![4, 5];
    assert_eq!(look_twice(&mut fake), Brake::Free);
    assert_eq!(fake.running.len(), 1);
}

#[test]
fn a_cancel_goes_back_except_where_that_loses_records() {
    let mut fake = Fake::new(&[&[1], &[1], &[1]]);
    let mut run = fake.run(&[&[2], &[2], &[2]], Some(1000), 2);
    for _ in 0..2 {
        fake.look(&mut run)
            .into_iter()
            .for_each(|todo| fake.take(todo));
    }
    fake.isr.insert(key(0), vec![2]);
    run.orders.wish = Wish::Cancel;
    fake.look(&mut run)
        .into_iter()
        .for_each(|todo| fake.take(todo));
    assert_eq!(fake.running.keys().collect::<Vec<_>>(), [&key(0)]);
    assert!(run.moves[0].note.as_ref().unwrap().contains("lose records"));
    fake.finish(&mut run);
    let states: Vec<MoveState> = run.moves.iter().map(|one| one.state).collect();
    assert_eq!(
        states,
        [MoveState::Done, MoveState::Cancelled, MoveState::Cancelled]
    );
    assert_eq!(fake.set.topics["t"], TopicThrottle::default());
    run.orders.take(&NewOrders {
        wish: Some(Wish::Run),
        ..NewOrders::default()
    });
    assert_eq!(
        run.orders.wish,
        Wish::Cancel,
        "what goes back does not turn round"
    );
}

#[test]
fn what_others_do_meanwhile_is_left_to_them() {
    let mut fake = Fake::new(&[&[1], &[1], &[1]]);
    let mut run = fake.run(&[&[2], &[2], &[2]], None, 3);
    fake.running.insert(key(0), vec![3]);
    fake.replicas.insert(key(1), vec![4]);
    fake.replicas.remove(&key(2));
    assert_eq!(fake.look(&mut run), []);
    let notes: Vec<&str> = run
        .moves
        .iter()
        .filter_map(|one| one.note.as_deref())
        .collect();
    assert_eq!(
        notes,
        [
            "somebody else moves it to [3]",
            "it has the replicas [4] now",
            "the partition is gone"
        ]
    );
    assert!(run.is_over);
}

#[test]
fn what_somebody_cancels_is_not_begun_again() {
    let mut fake = Fake::new(&[&[1], &[1]]);
    let mut run = fake.run(&[&[2], &[2]], None, 2);
    for _ in 0..2 {
        for todo in fake.look(&mut run) {
            fake.take(todo);
        }
    }
    fake.running.remove(&key(0));
    fake.finish(&mut run);
    assert_eq!(run.moves[0].note.as_deref(), Some("somebody cancelled it"));
    assert_eq!((run.counts().skipped, run.counts().done), (1, 1));
}

#[test]
fn a_broker_that_has_not_heard_of_the_end_of_a_move_is_waited_for() {
    for told in [vec![1], vec![2, 1]] {
        let mut fake = Fake::new(&[&[1]]);
        let mut run = fake.run(&[&[2]], None, 1);
        for _ in 0..2 {
            for todo in fake.look(&mut run) {
                fake.take(todo);
            }
        }
        fake.running.remove(&key(0));
        fake.replicas.insert(key(0), told);
        assert_eq!(fake.look(&mut run), []);
        assert!(!run.is_over && run.moves[0].note.is_none());
        fake.replicas.insert(key(0), vec![2]);
        fake.finish(&mut run);
        assert_eq!(run.counts().done, 1);
    }
}

#[test]
fn a_rate_on_a_broker_that_died_is_named_and_found_by_the_janitor() {
    let mut fake = Fake::new(&[&[1]]);
    let mut run = fake.run(&[&[2]], Some(1000), 1);
    for _ in 0..2 {
        fake.look(&mut run)
            .into_iter()
            .for_each(|todo| fake.take(todo));
    }
    fake.arrive();
    fake.dead = vec![1];
    fake.isr.insert(key(0), vec![2]);
    fake.finish(&mut run);
    assert!(run.line().contains("throttles are left"), "{}", run.line());
    fake.set.brokers.get_mut(&3).unwrap().rates[0] = Some("9".to_owned());
    fake.set.topics.get_mut("t").unwrap().replicas[0].push("0:5".to_owned());
    let runs = [run];
    let found = |running: &Reassignments, all| janitor::left_over(&fake.set, running, &runs, all);
    let ours = found(&Reassignments::new(), false);
    assert_eq!(ours.len(), 2, "both rates of broker 1");
    assert!(
        ours.iter()
            .all(|left| left.set_by.as_deref() == Some("test"))
    );
    assert_eq!(found(&Reassignments::new(), true).len(), 4);
    let snapshot = Fake {
        running: [(key(0), vec![3])].into(),
        ..fake.clone()
    }
    .snapshot();
    let running = snapshot.reassignments.get().unwrap();
    assert_eq!(
        found(running, true).len(),
        0,
        "what is moved is throttled rightly"
    );
}

#[test]
fn orders_and_runs_go_through_their_files() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::at(folder.path(), Some("c"));
    let fake = Fake::new(&[&[1]]);
    let mut run = fake.run(&[&[2]], Some(1000), 1);
    store.begin(&run).unwrap();
    assert_eq!(store.unfinished().as_ref(), Some(&run));
    assert!(store.begin(&run).unwrap_err().why.contains("has not ended"));
    let held = store.hold().unwrap().expect("it is free");
    assert!(store.hold().unwrap().is_none(), "one process at a time");
    drop(held);
    assert!(store.hold().unwrap().is_some());
    let (pause, faster) = (
        NewOrders {
            wish: Some(Wish::Pause),
            ..NewOrders::default()
        },
        NewOrders {
            throttle: Some(7),
            ..NewOrders::default()
        },
    );
    store.order(&run.id, &pause).unwrap();
    store.order(&run.id, &faster).unwrap();
    store.take_orders(&mut run);
    assert_eq!(
        (run.orders.wish, run.orders.throttle),
        (Wish::Pause, Some(7))
    );
    run.orders.wish = Wish::Run;
    store.take_orders(&mut run);
    assert_eq!(run.orders.wish, Wish::Run, "an order is taken once");
    run.is_over = true;
    store.save(&run).unwrap();
    assert_eq!(store.unfinished(), None);
}

#[test]
fn rates_are_read_with_their_units() {
    for (text, rate) in [
        ("20000000", Ok(20_000_000)),
        ("20M", Ok(20_000_000)),
        (" 20 MB/s ", Ok(20_000_000)),
        ("3KiB", Ok(3_072)),
        ("2G", Ok(2_000_000_000)),
        ("0", Err(())),
        ("-1", Err(())),
        ("M", Err(())),
        ("1.5M", Err(())),
        ("99999999999G", Err(())),
        ("", Err(())),
    ] {
        assert_eq!(parse_rate(text).map_err(drop), rate, "{text}");
    }
}

/// What may go wrong, or be asked for, at a step.
#[derive(Clone, Debug)]
enum Event {
    Look,
    Arrive,
    /// Killed after so many of what was to be sent; what was saved is read again.
    Kill(usize),
    Order(NewOrders),
}

fn event() -> impl Strategy<Value = Event> {
    let orders = (
        prop_oneof![Just(None), Just(Some(Wish::Run)), Just(Some(Wish::Pause))],
        prop::option::of(1..9_000i64),
        any::<bool>(),
        prop::option::of(1..4usize),
    );
    let orders = orders.prop_map(|(wish, throttle, unthrottled, batch)| NewOrders {
        wish,
        throttle,
        unthrottled,
        batch,
    });
    prop_oneof![
        4 => Just(Event::Look),
        2 => Just(Event::Arrive),
        3 => (0..4usize).prop_map(Event::Kill),
        1 => orders.prop_map(Event::Order),
    ]
}

proptest! {
    #[test]
    fn killed_anywhere_it_ends_with_no_throttle_of_its_own_and_all_of_the_operators(
        events in prop::collection::vec(event(), 0..30),
        own_rate in prop::option::of(1..9_000i64),
        own_entry in prop::option::of(prop_oneof![Just("*"), Just("0:1"), Just("7:7")]),
        cancel in any::<bool>(),
    ) {
        let mut fake = Fake::new(&[&[1, 2], &[2, 3], &[3, 4], &[4, 5]]);
        // An operator's rate is told from ours by its value: ours are whole numbers here too, so
        // it is kept apart.
        let own_rate = own_rate.map(|rate| (100_000 + rate).to_string());
        fake.set.brokers.get_mut(&3).unwrap().rates = [own_rate.clone(), own_rate];
        let own_entry: Vec<String> = own_entry.into_iter().map(str::to_owned).collect();
        fake.set.topics.get_mut("t").unwrap().replicas = [own_entry.clone(), own_entry];
        let before = (fake.set.clone(), fake.replicas.clone());
        let mut run = fake.run(&[&[1, 3], &[2, 4], &[5, 4], &[4, 1]], Some(1_000), 2);
        let mut batch_max = 2;
        for event in events {
            match event {
                Event::Look => fake.look(&mut run).into_iter().for_each(|todo| fake.take(todo)),
                Event::Arrive => fake.arrive(),
                Event::Order(orders) => run.orders.take(&orders),
                Event::Kill(sent) => {
                    let todos = fake.look(&mut run);
                    let saved = serde_json::to_string(&run).unwrap();
                    todos.into_iter().take(sent).for_each(|todo| fake.take(todo));
                    run = serde_json::from_str(&saved).unwrap();
                }
            }
            batch_max = batch_max.max(run.orders.batch);
        }
        run.orders.wish = if cancel { Wish::Cancel } else { Wish::Run };
        fake.finish(&mut run);
        prop_assert_eq!(&fake.set, &before.0);
        prop_assert!(run.ours.is_empty(), "{:?}", run.ours);
        prop_assert!(fake.most <= batch_max);
        for one in &run.moves {
            let expected = if one.state == MoveState::Done { &one.to } else { &one.from };
            prop_assert_eq!(&fake.replicas[&one.key()], expected);
            prop_assert!(cancel || one.state == MoveState::Done, "{:?}", one);
        }
    }
}
