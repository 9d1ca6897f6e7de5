use std::collections::BTreeMap;

use super::codec::{Decoder, Encoder, Told};
use super::*;
use crate::derive::test_topic;
use crate::model::*;

fn at(ms: i64) -> Taken {
    Taken {
        monotonic_ms: ms,
        wall_ms: 1_760_000_000_000 + ms,
    }
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % sides
    }
}

fn topic(name: &str, dice: &mut Dice) -> Topic {
    let partition = |dice: &mut Dice| -> (&'static [i32], &'static [i32], i32) {
        match dice.roll(4) {
            0 => (&[1, 2, 3], &[1, 2, 3], 1),
            1 => (&[1, 2, 3], &[2], 2),
            2 => (&[3, 1, 2], &[], -1),
            _ => (&[2, 3], &[2, 3], 3),
        }
    };
    let partitions: Vec<_> = (0..=dice.roll(3)).map(|_| partition(dice)).collect();
    let mut topic = test_topic(name, &partitions);
    topic.is_internal = dice.roll(5) == 0;
    topic.id = (dice.roll(2) == 0).then(|| uuid::Uuid::from_u128(u128::from(dice.roll(3) + 1)));
    topic.partitions[0].offline = [3].into();
    topic.partitions[0].elr = (dice.roll(3) == 0).then(|| [1].into());
    topic.partitions[0].error = (dice.roll(4) == 0).then_some(PartError(5));
    topic
}

fn names(dice: &mut Dice) -> Vec<String> {
    let all = ["a", "b", "c", "d \"quoted\"", "e"];
    let kept = all.iter().filter(|_| dice.roll(4) > 0);
    kept.map(|name| (*name).to_owned()).collect()
}

fn metadata(dice: &mut Dice) -> ClusterMetadata {
    let broker = |id| Broker {
        id,
        host: format!("b{id}"),
        port: 9092,
        rack: (id == 1).then(|| "r".to_owned()),
        fenced: Some(id == 3),
    };
    let n = 2 + dice.roll(2) as i32;
    ClusterMetadata {
        cluster_id: Some("cluster".into()),
        controller_id: Some(1),
        brokers: (1..=n).map(broker).collect(),
        topics: names(dice)
            .iter()
            .map(|name| Arc::new(topic(name, dice)))
            .collect(),
        may_describe: Some(true),
    }
}

fn offsets(dice: &mut Dice, now: Taken) -> Offsets {
    let cell = |dice: &mut Dice| match dice.roll(6) {
        0 => Cell::Unknown,
        1 => Cell::Failed(PartError(6)),
        n => Cell::Known(n as i64 * 1_000_000_000_000),
    };
    let mut of = |name: String| {
        let partition = |partition, dice: &mut Dice| PartitionOffsets {
            partition,
            start: cell(dice),
            end: cell(dice),
        };
        let offsets = TopicOffsets {
            taken: now,
            topic_id: None,
            partitions: [partition(0, dice), partition(1, dice)].into(),
        };
        (Arc::from(name), Arc::new(offsets))
    };
    ["a", "b", "c"]
        .map(|name| of(name.to_owned()))
        .into_iter()
        .collect()
}

fn groups(dice: &mut Dice) -> Groups {
    let mut groups = Groups::default();
    for id in names(dice) {
        let group = Group {
            id: id.as_str().into(),
            kind: GroupKind::Consumer,
            state: Some(GroupState::Stable),
            protocol_type: "consumer".into(),
            coordinator: dice.roll(3) as i32,
        };
        groups.groups.insert(id.as_str().into(), Arc::new(group));
    }
    if dice.roll(3) == 0 {
        groups.faults.insert(2, Arc::new(fault()));
    }
    groups
}

fn fault() -> Fault {
    Fault::new(FaultKind::Unreachable, "read", "no answer").with_hint("look")
}

fn description(id: &str, dice: &mut Dice) -> GroupDescription {
    let member = |n: u64| Member {
        id: format!("m{n}").into(),
        client_id: "c".into(),
        host: "/h".into(),
        instance_id: None,
        rack: Some("r".into()),
        epoch: Some(4),
        subscribed: vec!["a".into()],
        assignment: vec![TopicAssignment {
            topic: "a".into(),
            partitions: [0, 1].into(),
        }],
        target: Vec::new(),
        undecoded: None,
        streams: (n == 1).then(|| {
            let tasks = SubtopologyTasks {
                subtopology: "0".into(),
                partitions: [2].into(),
            };
            Box::new(StreamsMember {
                process_id: "p".into(),
                topology_epoch: 1,
                endpoint: Some("h:1".into()),
                tags: vec![("zone".into(), "a".into())],
                tasks: Tasks {
                    active: vec![tasks],
                    ..Tasks::default()
                },
                ..StreamsMember::default()
            })
        }),
    };
    GroupDescription {
        id: id.into(),
        kind: GroupKind::Other("odd".into()),
        state: GroupState::Other("Odd".into()),
        protocol_type: "consumer".into(),
        assignor: "range".into(),
        coordinator: 1,
        group_epoch: Some(2),
        assignment_epoch: None,
        topology: (dice.roll(2) == 0).then(|| {
            let subtopologies = vec![Subtopology {
                id: "0".into(),
                source_topics: vec!["a".into()],
                ..Subtopology::default()
            }];
            Box::new(Topology {
                epoch: 1,
                subtopologies,
            })
        }),
        members: (0..dice.roll(3)).map(member).collect(),
    }
}

fn committed(dice: &mut Dice, now: Taken) -> Committed {
    let commit = CommittedPartition {
        partition: 0,
        offset: (dice.roll(3) > 0).then_some(dice.roll(3) as i64),
        leader_epoch: Some(1),
        metadata: Some("m".into()),
        error: (dice.roll(5) == 0).then_some(PartError(16)),
        lag: None,
    };
    Committed {
        taken: now,
        topics: Arc::new([(Arc::from("a"), vec![commit])].into()),
    }
}

fn log_dirs(dice: &mut Dice) -> LogDirs {
    let size = |dice: &mut Dice, is_future| ReplicaSize {
        size_bytes: dice.roll(2) as i64 * 1_000,
        offset_lag: 0,
        is_future,
        dir: 1,
    };
    let mut dirs = LogDirs::default();
    for name in names(dice) {
        let sizes = [((0, 1), size(dice, false)), ((1, 2), size(dice, false))];
        dirs.replicas.insert(name.as_str().into(), sizes.into());
        if dice.roll(4) == 0 {
            let future = [((0, 1), size(dice, true))];
            dirs.future.insert(name.as_str().into(), future.into());
        }
    }
    let dir = LogDir {
        path: "/d".to_owned(),
        error: (dice.roll(4) == 0).then_some(PartError(56)),
        total_bytes: Some(9),
        usable_bytes: None,
        cordoned: false,
        replicas: 2,
        size_bytes: dice.roll(2) as i64,
    };
    dirs.dirs.insert(1, vec![dir]);
    dirs.faults.insert(2, Arc::new(fault()));
    dirs
}

fn configs(dice: &mut Dice) -> Configs {
    let entry = ConfigEntry {
        name: "retention.ms".to_owned(),
        value: (dice.roll(3) > 0).then(|| dice.roll(2).to_string()),
        source: ConfigSource::DynamicDefaultBroker,
        is_read_only: false,
        is_sensitive: true,
        kind: ConfigKind::Long,
        documentation: None,
        synonyms: vec![ConfigSynonym {
            name: "log.retention.ms".to_owned(),
            value: None,
            source: ConfigSource::Default,
        }],
    };
    Configs {
        resource: ConfigResource::BrokerDefault,
        entries: vec![entry],
    }
}

fn reading(dice: &mut Dice, now: Taken) -> BrokerReading {
    let mut reading = BrokerReading::new(now);
    for flow in Flow::ALL {
        *reading.count_mut(flow) = Count {
            total: (dice.roll(3) > 0).then(|| dice.roll(1_000_000) as f64),
            one_minute: (dice.roll(3) == 0).then_some(0.5),
        };
    }
    for name in names(dice) {
        let mut topic = TopicCounts::new(name.as_str().into());
        if dice.roll(3) > 0 {
            topic.add(Flow::BytesIn, dice.roll(3) as f64);
        }
        reading.topics.push(topic);
    }
    reading.heap_used_bytes = (dice.roll(2) == 0).then_some(1.25e9);
    reading.follower_p99_ms = Some(dice.roll(9) as f64);
    (reading.figures, reading.bad_lines) = (9, dice.roll(2) as usize);
    reading
}

fn update(dice: &mut Dice, now: Taken) -> Update {
    fn or_fault<T>(dice: &mut Dice, value: T) -> Result<Arc<T>, Arc<Fault>> {
        if dice.roll(6) == 0 {
            return Err(Arc::new(fault()));
        }
        Ok(Arc::new(value))
    }
    match dice.roll(12) {
        11 => {
            let of = [1, 2].map(|id| {
                let new = reading(dice, now);
                (id, or_fault(dice, new))
            });
            Update::Metrics(of.into_iter().take(1 + dice.roll(2) as usize).collect())
        }
        0 => {
            let new = metadata(dice);
            Update::Metadata(or_fault(dice, new))
        }
        1 => {
            let new = offsets(dice, now);
            Update::Offsets {
                result: or_fault(dice, new),
                complete: true,
            }
        }
        2 => {
            let mut new = offsets(dice, now);
            new.retain(|name, _| &**name != "b");
            Update::Offsets {
                result: or_fault(dice, new),
                complete: false,
            }
        }
        3 => {
            let settings = TopicSettings {
                min_insync_replicas: Some(dice.roll(2) as i32),
                cleanup_policy: Some("delete".into()),
                retention_ms: None,
                retention_bytes: Some(-1),
            };
            let all = [(Arc::from("a"), settings)].into_iter().collect();
            Update::Settings(or_fault(dice, all))
        }
        4 => {
            let new = log_dirs(dice);
            Update::LogDirs(or_fault(dice, new))
        }
        5 => {
            let new = groups(dice);
            Update::Groups(or_fault(dice, new))
        }
        6 => {
            let of = ["a", "b"].map(|id| {
                let new = description(id, dice);
                (Arc::from(id), or_fault(dice, new))
            });
            Update::Descriptions(of.into())
        }
        7 => {
            let of = ["a", "b"].map(|id| {
                let new = committed(dice, now);
                (Arc::from(id), or_fault(dice, new))
            });
            Update::Committed(of.into())
        }
        8 => {
            let new = configs(dice);
            Update::Configs(ConfigResource::BrokerDefault, or_fault(dice, new))
        }
        9 => {
            let quorum = Quorum {
                leader_id: dice.roll(3) as i32,
                ..Quorum::default()
            };
            Update::Quorum(or_fault(dice, quorum))
        }
        _ => {
            let ongoing = OngoingReassignment {
                replicas: vec![1, 2],
                adding: vec![2],
                removing: Vec::new(),
            };
            let all = [(TopicPartition::new("a", 0), ongoing)].into_iter();
            let n = dice.roll(2) as usize;
            Update::Reassignments(or_fault(dice, all.take(n).collect()))
        }
    }
}

/// Everything that screens are drawn from, in an order of its own.
fn shown(snapshot: &ClusterSnapshot) -> String {
    fn part<T: std::fmt::Debug>(part: &Resource<T>) -> String {
        format!("{:?} {:?} {:?}\n", part.taken(), part.get(), part.fault())
    }
    let mut text = part(&snapshot.metadata) + &part(&snapshot.groups) + &part(&snapshot.quorum);
    text += &part(&snapshot.reassignments);
    text += &format!(
        "{:?}{:?}",
        snapshot.offsets.taken(),
        snapshot.offsets.fault()
    );
    let offsets = snapshot.offsets.get().into_iter().flatten();
    text += &format!("{:?}\n", offsets.collect::<BTreeMap<_, _>>());
    let settings = snapshot.settings.get().into_iter().flatten();
    text += &format!("{:?}\n", settings.collect::<BTreeMap<_, _>>());
    if let Some(dirs) = snapshot.log_dirs.get() {
        let sizes: BTreeMap<_, _> = dirs.replicas.iter().collect();
        let future: BTreeMap<_, _> = dirs.future.iter().collect();
        text += &format!("{:?}{sizes:?}{future:?}{:?}\n", dirs.dirs, dirs.faults);
    }
    let of = snapshot.descriptions.iter().map(|(id, of)| (id, part(of)));
    text += &format!("{:?}\n", of.collect::<BTreeMap<_, _>>());
    let of = snapshot.committed.iter().map(|(id, of)| (id, part(of)));
    text += &format!("{:?}\n", of.collect::<BTreeMap<_, _>>());
    let of = snapshot.configs.iter().map(|(id, of)| (id, part(of)));
    text += &format!("{:?}\n", of.collect::<BTreeMap<_, _>>());
    for (id, metrics) in &snapshot.metrics {
        text += &format!("{id} {:?}{}", metrics.before, part(&metrics.reading));
    }
    text
}

#[test]
fn what_is_played_is_what_was_recorded_however_it_changes() {
    for seed in 0..40 {
        let mut dice = Dice(seed);
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
        let (mut live, mut played) = (ClusterSnapshot::default(), ClusterSnapshot::default());
        for n in 0..80 {
            let now = at(n * 700);
            let update = update(&mut dice, now);
            let line = encoder.line(&update, now).unwrap();
            assert!(
                line.ends_with('\n') && line.matches('\n').count() == 1,
                "{line}"
            );
            live.apply(update, now);
            match decoder.read(&line) {
                Ok(Told::Update(update, at)) => drop(played.apply(update, at)),
                other => panic!("seed {seed}: {other:?}: {line}"),
            }
            assert_eq!(shown(&played), shown(&live), "seed {seed} {n}: {line}");
        }
        // A file that begins here needs nothing of what came before.
        let (mut begun, mut decoder) = (ClusterSnapshot::default(), Decoder::default());
        for line in encoder.all() {
            match decoder.read(&line) {
                Ok(Told::Update(update, at)) => drop(begun.apply(update, at)),
                other => panic!("{other:?}"),
            }
        }
        let topics = |snapshot: &ClusterSnapshot| {
            let metadata = snapshot.metadata.get();
            metadata.map(|metadata| metadata.topics.len())
        };
        assert_eq!(topics(&begun), topics(&live), "seed {seed}");
    }
}

#[test]
fn what_did_not_change_costs_a_line_of_fixed_length() {
    let mut encoder = Encoder::default();
    let mut dice = Dice(7);
    let one: (&[i32], &[i32], i32) = (&[1, 2], &[1, 2], 1);
    let mut metadata = metadata(&mut dice);
    metadata.topics = (0..500)
        .map(|n| Arc::new(test_topic(&format!("t{n:03}"), &[one; 10])))
        .collect();
    let taken = at(1);
    let of = |end: i64| {
        let offsets = metadata.topics.iter().map(|topic| {
            let partition = PartitionOffsets {
                partition: 0,
                start: Cell::Known(0),
                end: Cell::Known(end),
            };
            let offsets = TopicOffsets {
                taken,
                topic_id: None,
                partitions: [partition].into(),
            };
            (Arc::clone(&topic.name), Arc::new(offsets))
        });
        Update::Offsets {
            result: Ok(Arc::new(offsets.collect())),
            complete: true,
        }
    };
    let metadata_again = || Update::Metadata(Ok(Arc::new(metadata.clone())));
    let mut lengths = Vec::new();
    for update in [metadata_again(), metadata_again(), of(5), of(5)] {
        lengths.push(encoder.line(&update, at(1)).unwrap().len());
    }
    assert!(lengths[0] > 100_000 && lengths[1] < 200, "{lengths:?}");
    assert!(lengths[2] > 10_000 && lengths[3] < 200, "{lengths:?}");
}

/// Records updates in a folder of its own, and gives the file with what it should say.
fn recorded(folder: &Path, n: i64, bytes_max: u64) -> (std::path::PathBuf, ClusterSnapshot) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let file = folder.join("recording");
    let mut live = ClusterSnapshot::default();
    runtime.block_on(async {
        let options = Options {
            file: file.clone(),
            bytes_max,
        };
        let recorder = Recorder::start(&options, "here:9092").unwrap();
        let mut dice = Dice(2);
        for ms in (0..n).map(|n| n * 1_000) {
            let update = if ms == 0 {
                Update::Metadata(Ok(Arc::new(metadata(&mut dice))))
            } else {
                update(&mut dice, at(ms))
            };
            recorder.note(&update, at(ms));
            live.apply(update, at(ms));
            // The disk of a test may be slow; that reads are lost then is for another test.
            if ms % 100_000 == 0 {
                recorder.flush().await.unwrap();
            }
        }
        recorder.flush().await.unwrap();
        let again = Recorder::start(&options, "here:9092").unwrap_err();
        assert_eq!(again.kind, FaultKind::AlreadyExists);
    });
    (file, live)
}

#[test]
fn a_file_is_played_to_its_last_whole_line() {
    let folder = tempfile::tempdir().unwrap();
    let (file, live) = recorded(folder.path(), 60, 1 << 30);
    let tape = Tape::read(&file).unwrap();
    assert_eq!(shown(&tape.snapshot), shown(&live));
    assert_eq!((tape.from, tape.to), (Some(at(0)), Some(at(59_000))));
    assert_eq!(
        (&*tape.cluster, tape.is_torn, tape.n_lost),
        ("here:9092", false, 0)
    );
    assert!(tape.feed.iter().len() > 0);
    let last = tape.last().unwrap();
    assert_eq!(last.at, at(59_000), "its end can be looked at");
    assert!(tape.history.len() > 2, "and what was before");

    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() - 5]).unwrap();
    let torn = Tape::read(&file).unwrap();
    assert!(torn.is_torn);
    assert_eq!(torn.to, Some(at(58_000)));

    let mut lines: Vec<&[u8]> = whole.split_inclusive(|b| *b == b'\n').collect();
    lines[3] = b"{\"at\":[1,2],\"part\":{\"unheard_of\":1}}\n";
    std::fs::write(&file, lines.concat()).unwrap();
    let damaged = Tape::read(&file).unwrap_err();
    assert!(damaged.why.contains("line 4 is damaged"), "{damaged}");
}

#[test]
fn what_is_no_recording_or_a_newer_one_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f");
    for (text, why) in [
        ("", "it is no recording"),
        ("hello\n", "it is no recording"),
        (
            "{\"kafka_tui_recording\":3,\"new\":true}\n",
            "it is of version 3",
        ),
        ("{\"kafka_tui_recording\":1}\n", "its header is damaged"),
    ] {
        std::fs::write(&file, text).unwrap();
        let fault = Tape::read(&file).unwrap_err();
        assert!(fault.why.contains(why), "{text:?}: {fault}");
    }
    let missing = Tape::read(&folder.path().join("nothing")).unwrap_err();
    assert_eq!(missing.kind, FaultKind::NotFound);
}

#[test]
fn a_recording_is_bounded_and_its_two_files_are_one() {
    let folder = tempfile::tempdir().unwrap();
    let (file, live) = recorded(folder.path(), 3_000, 128 * 1024);
    let older = folder.path().join("recording.1");
    let size = |path: &Path| std::fs::metadata(path).unwrap().len();
    assert!(size(&older) < 80 * 1024, "{}", size(&older));
    assert!(size(&file) < 80 * 1024, "{}", size(&file));
    let both = Tape::read(&file).unwrap();
    assert_eq!(both.to, Some(at(2_999_000)));
    let topics = |snapshot: &ClusterSnapshot| shown(snapshot).lines().next().map(str::to_owned);
    assert_eq!(topics(&both.snapshot), topics(&live));
    // Without the older one it begins later, and says the same of the end.
    std::fs::remove_file(&older).unwrap();
    let newer = Tape::read(&file).unwrap();
    assert!(newer.history.len() < both.history.len());
    assert_eq!(topics(&newer.snapshot), topics(&live));
}

#[test]
fn two_moments_are_compared_and_what_is_not_recorded_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (file, _) = recorded(folder.path(), 60, 1 << 30);
    let ((_, first), (_, last)) = between(&file, at(20_500).wall_ms, None).unwrap();
    assert_eq!((first, last), (at(20_000), at(59_000)));
    let to = Some(at(40_000).wall_ms);
    let ((_, first), (_, last)) = between(&file, at(20_000).wall_ms, to).unwrap();
    assert_eq!((first, last), (at(20_000), at(40_000)));
    let fault = between(&file, at(-1).wall_ms, None).unwrap_err();
    assert!(fault.hint.unwrap().starts_with("it begins at "));
}

#[test]
fn what_comes_too_fast_is_counted_and_another_cluster_begins_anew() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f");
    let n = 100_000;
    runtime.block_on(async {
        let options = Options {
            file: file.clone(),
            bytes_max: 1 << 30,
        };
        let recorder = Recorder::start(&options, "one").unwrap();
        let mut dice = Dice(3);
        let update = Update::Metadata(Ok(Arc::new(metadata(&mut dice))));
        for ms in 0..n {
            recorder.note(&update, at(ms));
        }
        recorder.flush().await.unwrap();
        recorder.cluster("two", at(n));
        // The clock of another session may have begun again.
        recorder.note(&update, at(5));
        recorder.flush().await.unwrap();
    });
    let (mut n_updates, mut n_lost, mut clusters) = (0, 0, Vec::new());
    let is_torn = play(&file, |played| match played {
        Played::Update(..) => n_updates += 1,
        Played::Lost(lost) => n_lost += lost,
        Played::Cluster(name) => clusters.push(name),
    });
    assert_eq!(is_torn, Ok(false));
    assert_eq!(n_updates + n_lost, n as u64 + 1);
    assert_eq!(clusters, ["one", "two"]);
    let tape = Tape::read(&file).unwrap();
    let (from, to) = (tape.from.unwrap(), tape.to.unwrap());
    assert!(to.monotonic_ms >= from.monotonic_ms, "time never goes back");
}
