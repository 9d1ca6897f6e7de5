//! Runs the scripts in `scripts/`: commands to a shard, and below each what came out of it.
//!
//! A scenario starts with `# what it shows`. A command is a line of words and `key=value`; what it
//! leads to is indented below. `UPDATE_EXPECT=1` writes the results into the files. Member ids end in
//! a counter (`c-1`) instead of random numbers, times are in milliseconds or have a unit (`3s`).
//!
//! The script's log starts empty, commits what is appended at once, and can `hold` (append without
//! committing), `release`, `time-out` and `fail CODE` (refuse the next append). `reload` builds the
//! shard again from the bytes in the log, as another broker would.

use std::fmt::Write as _;
use std::path::PathBuf;

use uuid::Uuid;

use super::classic::{MemberSettings, Protocol};
use super::*;
use crate::coordinator::timer::TimerQueue;

#[test]
fn scripts_give_the_results_written_in_them() {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/coordinator/group/scripts");
    let mut paths: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    let mut wrong = Vec::new();
    for path in paths {
        let script = std::fs::read_to_string(&path).unwrap();
        let result = run(&script);
        if result != script {
            if std::env::var_os("UPDATE_EXPECT").is_some() {
                std::fs::write(&path, &result).unwrap();
            } else {
                wrong.push(format!(
                    "{}:\n{}",
                    path.display(),
                    first_difference(&script, &result)
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn first_difference(script: &str, result: &str) -> String {
    let mut scenario = "";
    for (number, (expected, actual)) in script.lines().zip(result.lines()).enumerate() {
        if expected.starts_with('#') {
            scenario = expected;
        }
        if expected != actual {
            return format!(
                "{scenario}\nline {}\n  expected {expected}\n  got      {actual}",
                number + 1
            );
        }
    }
    "one is longer than the other".to_owned()
}

fn run(script: &str) -> String {
    let mut world = World::default();
    for line in script.lines().filter(|line| !line.starts_with("  ")) {
        writeln!(world.out, "{line}").unwrap();
        if line.starts_with('#') {
            world = World {
                out: world.out,
                ..World::default()
            };
        } else if !line.is_empty() {
            world.command(line);
        }
    }
    world.out
}

/// Random histories: whatever happens, the log alone gives the same groups and offsets, time goes on,
/// and everybody who waits is answered in the end.
#[test]
fn any_history_can_be_loaded_again_and_leaves_nobody_waiting() {
    let words = |list: &'static [&'static str]| proptest::sample::select(list);
    let member = words(&[
        "m=c-1",
        "m=c-2",
        "m=c-3",
        "m=i1-1 static=i1",
        "m=i1-2 static=i1",
    ]);
    let step = (words(STEPS), words(&["g", "h"]), member, 0..4);
    let steps = proptest::collection::vec(step, 1..60);
    let config = proptest::test_runner::Config {
        cases: 300,
        ..Default::default()
    };
    proptest::proptest!(config, |(steps in steps)| {
        let mut world = World::default();
        world.config.group_initial_rebalance_delay_ms = 1000;
        for (step, group, member, generation) in steps {
            let line = step.replace("GROUP", group).replace("MEMBER", member);
            world.command(&line.replace("GEN", &format!("gen={generation}")));
            if world.is_holding && generation == 0 {
                world.settle(Stored::Committed);
            }
        }
        world.settle(Stored::Committed);
        world.fail = None;
        // Nobody comes back: the time-outs answer all who wait, and empty all groups.
        world.tick(20 * 60_000);
        let answered = world.out.matches("] join").count() + world.out.matches("] sync").count();
        proptest::prop_assert_eq!(answered as u64, world.next_token - 1, "{}", world.out);
        // When an empty group could not be stored, the log has it as it was before.
        let is_exact = !world.out.contains("append fails");
        let states = |world: &World| {
            let groups = world.shard.list_groups(&[], &[]);
            let exact = |group: ListedGroup| (group.group_id, is_exact.then_some(group.protocol_type));
            groups.into_iter().map(exact).collect::<Vec<_>>()
        };
        let offsets = |world: &World| ["g", "h"].map(|group| {
            let group_id = group.into();
            let request = FetchRequest { group_id, topics: None, require_stable: false };
            world.shard.fetch_offsets(&request)
        });
        let groups = world.shard.list_groups(&[], &[]);
        proptest::prop_assert!(groups.iter().all(|group| group.state == "Empty"), "{}", world.out);
        let before = (states(&world), offsets(&world));
        world.reload();
        proptest::prop_assert_eq!(before, (states(&world), offsets(&world)), "{}", world.out);
    });
}

const STEPS: &[&str] = &[
    "join GROUP v=3",
    "join GROUP",
    "join GROUP static=i1",
    "join GROUP static=i1 protocols=sticky,range",
    "join GROUP MEMBER",
    "join GROUP MEMBER protocols=range,sticky",
    "sync GROUP MEMBER GEN assign=c-1:A,c-2:B,i1-1:C",
    "heartbeat GROUP MEMBER GEN",
    "leave GROUP MEMBER",
    "commit GROUP t-0=1 MEMBER GEN",
    "commit GROUP t-1=2 u-0=3",
    "delete-offsets GROUP t-0",
    "delete GROUP",
    "delete-topic u",
    "tick 1s",
    "tick 10s",
    "fail",
    "hold",
];

type EncodedRecord = (Vec<u8>, Option<Vec<u8>>);

struct World {
    out: String,
    config: GroupCoordinatorConfig,
    now_ms: i64,
    shard: GroupShard,
    timers: TimerQueue<TimerKey, TimerEvent>,
    log: Vec<EncodedRecord>,
    held: Vec<Continuation>,
    is_holding: bool,
    fail: Option<ErrorCode>,
    next_uuid: u128,
    next_token: Token,
}

impl Default for World {
    fn default() -> Self {
        let mut world = Self {
            out: String::new(),
            config: GroupCoordinatorConfig::default(),
            now_ms: 0,
            shard: GroupShard::default(),
            timers: TimerQueue::default(),
            log: Vec::new(),
            held: Vec::new(),
            is_holding: false,
            fail: None,
            next_uuid: 1,
            next_token: 1,
        };
        world.reload();
        world
    }
}

/// The words and settings of one command.
struct Args<'a>(Vec<&'a str>);

impl<'a> Args<'a> {
    fn get(&self, key: &str) -> Option<&'a str> {
        self.0
            .iter()
            .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    fn text(&self, key: &str, default: &'a str) -> Arc<str> {
        Arc::from(self.get(key).unwrap_or(default))
    }

    fn number(&self, key: &str, default: i64) -> i64 {
        self.get(key).map_or(default, millis)
    }

    fn has(&self, word: &str) -> bool {
        self.0.contains(&word)
    }

    fn list(&self, key: &str) -> Vec<&'a str> {
        self.get(key)
            .into_iter()
            .flat_map(|list| list.split(','))
            .collect()
    }

    fn member(&self) -> Arc<str> {
        expand(self.get("m").unwrap_or_default())
    }

    fn instance(&self) -> Option<Arc<str>> {
        self.get("static").map(Arc::from)
    }

    /// `topic-partition` words, with what follows a `=` or `@`.
    fn topics<T>(&self, item: impl Fn(i32, &str) -> T) -> Vec<TopicItems<T>> {
        let mut topics: Vec<TopicItems<T>> = Vec::new();
        for word in &self.0 {
            let (tp, rest) = word.split_once('=').unwrap_or((word, ""));
            let Some((topic, partition)) = tp.rsplit_once('-') else {
                continue;
            };
            let Ok(partition) = partition.parse() else {
                continue;
            };
            if topics.last().is_none_or(|last| *last.topic != *topic) {
                let topic_id = topic_id(topic);
                topics.push(TopicItems {
                    topic: topic.into(),
                    topic_id,
                    partitions: Vec::new(),
                });
            }
            topics
                .last_mut()
                .unwrap()
                .partitions
                .push(item(partition, rest));
        }
        topics
    }
}

/// Topics have the id of their first letter, but for those in capitals, which have none.
fn topic_id(topic: &str) -> Uuid {
    match topic.as_bytes()[0] {
        b'A'..=b'Z' => Uuid::nil(),
        letter => Uuid::from_u128(letter.into()),
    }
}

fn millis(text: &str) -> i64 {
    let units = [
        ("ms", 1),
        ("s", 1000),
        ("min", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
    ];
    for (unit, factor) in units.into_iter().rev() {
        if let Some(Ok(number)) = text.strip_suffix(unit).map(str::parse::<i64>) {
            return number * factor;
        }
    }
    text.parse().unwrap_or_else(|_| panic!("number {text}"))
}

/// `c-1` → `c-00000000-0000-0000-0000-000000000001`.
fn expand(id: &str) -> Arc<str> {
    match id
        .rsplit_once('-')
        .map(|(prefix, number)| (prefix, number.parse()))
    {
        Some((prefix, Ok(number))) => format!("{prefix}-{}", Uuid::from_u128(number)).into(),
        _ => Arc::from(id),
    }
}

/// The reverse of [`expand`].
fn short(id: &str) -> String {
    if let Some((prefix, uuid)) = id.len().checked_sub(36).map(|at| id.split_at(at))
        && let Ok(uuid) = uuid.parse::<Uuid>()
    {
        return format!("{prefix}{}", uuid.as_u128());
    }
    if id.is_empty() {
        "\"\"".to_owned()
    } else {
        id.to_owned()
    }
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn text(bytes: &[u8]) -> String {
    match bytes {
        [] => "\"\"".to_owned(),
        // A consumer's metadata begins with its version.
        [0, _, ..] => {
            let topics = classic::subscription_topics(bytes).unwrap();
            format!("topics:{}", topics.join("+"))
        }
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// A consumer's metadata: version 3, topics, no user data.
fn subscription(topics: &str) -> Bytes {
    let mut out = vec![0, 3];
    let topics: Vec<&str> = topics.split('+').collect();
    out.extend((topics.len() as u32).to_be_bytes());
    for topic in topics {
        out.extend((topic.len() as u16).to_be_bytes());
        out.extend(topic.as_bytes());
    }
    out.extend((-1i32).to_be_bytes());
    out.into()
}

impl World {
    fn say(&mut self, line: impl AsRef<str>) {
        writeln!(self.out, "  {}", line.as_ref()).unwrap();
    }

    /// Calls a handler and does what it wants done.
    fn call<T>(&mut self, f: impl FnOnce(&mut GroupShard, &Cx<'_>, &mut Effects) -> T) -> T {
        let mut fx = Effects::default();
        let result = f(
            &mut self.shard,
            &Cx {
                now_ms: self.now_ms,
                config: &self.config,
            },
            &mut fx,
        );
        self.apply(fx);
        result
    }

    fn apply(&mut self, fx: Effects) {
        for change in fx.timers {
            self.timers.apply(self.now_ms, change);
        }
        for (token, reply) in fx.replies {
            let line = match reply {
                Reply::Join(reply) => show_join(&reply),
                Reply::Sync(reply) if reply.error.is_none() => format!(
                    "sync: {} protocol={}/{}",
                    text(&reply.assignment),
                    reply.protocol_type.unwrap(),
                    reply.protocol_name.unwrap(),
                ),
                Reply::Sync(reply) => format!("sync: {}", reply.error.name()),
            };
            self.say(format!("[{token}] {line}"));
        }
        let mut stored = Stored::Committed;
        for record in fx.records {
            if let Some(error) = self.fail {
                stored = Stored::Failed(error);
                continue;
            }
            self.say(format!("append {}", show_record(&record)));
            self.log.push(record.encode().unwrap());
            if fx.replay {
                self.shard.replay(self.log.len() as i64 - 1, None, record);
            }
        }
        if stored != Stored::Committed {
            let error = self.fail.take().unwrap();
            self.say(format!("append fails: {}", error.name()));
        } else if self.is_holding {
            self.held.extend(fx.then);
            return;
        } else {
            self.shard.advance_committed(self.log.len() as i64);
        }
        if let Some(then) = fx.then {
            self.call(|shard, cx, fx| shard.on_stored(cx, then, stored, fx));
        }
    }

    fn settle(&mut self, stored: Stored) {
        self.is_holding = false;
        if stored == Stored::Committed {
            self.shard.advance_committed(self.log.len() as i64);
        }
        for then in std::mem::take(&mut self.held) {
            self.call(|shard, cx, fx| shard.on_stored(cx, then, stored, fx));
        }
    }

    fn reload(&mut self) {
        self.shard = GroupShard::default();
        self.timers = TimerQueue::default();
        for (offset, (key, value)) in self.log.iter().enumerate() {
            if let Some(record) = Record::decode(key, value.as_deref()).unwrap() {
                self.shard.replay(offset as i64, None, record);
            }
        }
        self.shard.advance_committed(self.log.len() as i64);
        self.call(|shard, cx, fx| shard.on_loaded(cx, fx));
    }

    fn tick(&mut self, duration_ms: i64) {
        let end_ms = self.now_ms + duration_ms;
        while let Some(due_ms) = self.timers.next_due_ms().filter(|due_ms| *due_ms <= end_ms) {
            self.now_ms = due_ms;
            while let Some((key, event)) = self.timers.pop_due(due_ms) {
                let before = self.out.len();
                let name = show_timer(&key);
                self.say(format!("at {due_ms}: {name}"));
                let after = self.out.len();
                self.call(|shard, cx, fx| shard.on_timer(cx, &key, event, fx));
                if self.out.len() == after {
                    // Nothing came of it.
                    self.out.truncate(before);
                }
            }
        }
        self.now_ms = end_ms;
    }

    fn command(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap();
        let args = Args(words.collect());
        let group_id: Arc<str> = Arc::from(*args.0.first().unwrap_or(&""));
        match name {
            "config" => self.configure(&args),
            "tick" => self.tick(millis(&group_id)),
            "reload" => self.reload(),
            "hold" => self.is_holding = true,
            "release" => self.settle(Stored::Committed),
            "time-out" => self.settle(Stored::TimedOut(ErrorCode::COORDINATOR_NOT_AVAILABLE)),
            "fail" => self.fail = Some(ErrorCode::NOT_COORDINATOR),
            "unload" => self.call(|shard, cx, fx| shard.on_unloaded(cx, fx)),
            "raw" => self.append_raw(&args),
            "timers" => {
                for (due_ms, key) in self.timers.sorted() {
                    self.say(format!("{due_ms}: {}", show_timer(&key)));
                }
            }
            "join" => self.join(group_id, &args),
            "sync" => self.sync(group_id, &args),
            "heartbeat" => {
                let request = HeartbeatRequest {
                    group_id,
                    generation_id: args.number("gen", 1) as i32,
                    member_id: args.member(),
                    instance_id: args.instance(),
                };
                let result = self.call(|shard, _, fx| shard.heartbeat(&request, fx));
                self.say(result.map_or_else(|error| error.name(), |()| "ok"));
            }
            "leave" => {
                let by_id = args.list("m").into_iter().map(|id| LeavingMember {
                    member_id: expand(id),
                    instance_id: args.instance(),
                });
                let by_instance = args.list("instances").into_iter().map(|id| LeavingMember {
                    member_id: Arc::from(""),
                    instance_id: Some(Arc::from(id)),
                });
                let members = by_id.chain(by_instance).collect();
                let request = LeaveRequest { group_id, members };
                let result = self.call(|shard, cx, fx| shard.leave(cx, &request, fx));
                self.say_errors(result);
            }
            "describe" => {
                let group = self
                    .shard
                    .describe_group(&group_id, args.number("v", 6) as i16);
                self.say(show_described(&group));
            }
            "list" => {
                let filter = |key| {
                    args.list(key)
                        .into_iter()
                        .map(str::to_owned)
                        .collect::<Vec<_>>()
                };
                for group in self.shard.list_groups(&filter("states"), &filter("types")) {
                    let (state, group_type) = (group.state, group.group_type.name());
                    let line = format!(
                        "{} {state} {group_type} protocol_type={}",
                        group.group_id,
                        short(&group.protocol_type)
                    );
                    self.say(line);
                }
            }
            "delete" => {
                let ids: Vec<Arc<str>> = args.0.iter().map(|id| Arc::from(*id)).collect();
                let errors = self.call(|shard, _, fx| shard.delete_groups(&ids, fx));
                self.say_errors(Ok(errors));
            }
            "delete-topic" => {
                let topics = [(topic_id(&group_id), group_id.clone())];
                self.call(|shard, _, fx| shard.on_topics_deleted(&topics, fx));
            }
            _ => self.offset_command(name, group_id, &args),
        }
    }

    fn configure(&mut self, args: &Args<'_>) {
        let config = &mut self.config;
        config.group_initial_rebalance_delay_ms = args.number("delay", 3000) as i32;
        config.group_max_size = args.number("max_size", i64::from(i32::MAX)) as i32;
        config.offset_metadata_max_bytes = args.number("metadata", 4096) as i32;
    }

    fn say_errors(&mut self, result: Result<Vec<ErrorCode>, ErrorCode>) {
        match result {
            Ok(errors) => {
                let names: Vec<_> = errors.iter().map(|error| error.name()).collect();
                self.say(names.join(" "));
            }
            Err(error) => self.say(error.name()),
        }
    }

    fn join(&mut self, group_id: Arc<str>, args: &Args<'_>) {
        let metadata = args
            .get("topics")
            .map_or_else(|| bytes("meta"), subscription);
        let protocols = args.get("protocols").unwrap_or("range");
        let request = JoinRequest {
            version: args.number("v", 9) as i16,
            group_id,
            member_id: args.member(),
            instance_id: args.instance(),
            client_id: args.text("client", "c"),
            client_host: Arc::from("/127.0.0.1"),
            protocol_type: args.text("type", "consumer"),
            settings: MemberSettings {
                protocols: protocols
                    .split(',')
                    .filter(|name| !name.is_empty())
                    .map(|name| Protocol {
                        name: name.into(),
                        metadata: metadata.clone(),
                    })
                    .collect(),
                rebalance_timeout_ms: args.number("rebalance", 60_000) as i32,
                session_timeout_ms: args.number("session", 10_000) as i32,
            },
            new_member_uuid: Uuid::from_u128(self.next_uuid),
        };
        if request.member_id.is_empty() {
            self.next_uuid += 1;
        }
        let token = self.token(args);
        self.call(|shard, cx, fx| shard.join(cx, &request, token, fx));
    }

    fn token(&mut self, args: &Args<'_>) -> Token {
        let token = args.number("as", self.next_token as i64) as Token;
        self.next_token = token + 1;
        token
    }

    fn sync(&mut self, group_id: Arc<str>, args: &Args<'_>) {
        let request = SyncRequest {
            group_id,
            generation_id: args.number("gen", 1) as i32,
            member_id: args.member(),
            instance_id: args.instance(),
            protocol_type: args.get("type").map(Arc::from),
            protocol_name: args.get("protocol").map(Arc::from),
            assignments: args
                .list("assign")
                .into_iter()
                .map(|pair| pair.split_once(':').unwrap())
                .map(|(id, assignment)| (expand(id), bytes(assignment)))
                .collect(),
        };
        let token = self.token(args);
        self.call(|shard, _, fx| shard.sync(&request, token, fx));
    }

    fn offset_command(&mut self, name: &str, group_id: Arc<str>, args: &Args<'_>) {
        match name {
            "commit" => {
                let request = CommitRequest {
                    version: args.number("v", 9) as i16,
                    group_id,
                    member_id: args.member(),
                    instance_id: args.instance(),
                    generation_id: args.number("gen", -1) as i32,
                    retention_time_ms: args.number("retention", -1),
                    topics: args.topics(|partition, rest| {
                        let (offset, metadata) = rest.split_once('@').unwrap_or((rest, ""));
                        CommitPartition {
                            partition,
                            offset: offset.parse().unwrap(),
                            leader_epoch: 7,
                            metadata: Some(metadata.into()),
                        }
                    }),
                };
                let result = self.call(|shard, cx, fx| shard.commit_offsets(cx, &request, fx));
                self.say_partitions(result);
            }
            "fetch" => {
                let topics = args.topics(|partition, _| partition);
                let request = FetchRequest {
                    group_id,
                    topics: Some(topics).filter(|topics| !topics.is_empty()),
                    require_stable: args.has("stable"),
                };
                for topic in self.shard.fetch_offsets(&request) {
                    for partition in topic.partitions {
                        let line = format!(
                            "{}-{} {} epoch={} {} {}",
                            topic.topic,
                            partition.partition,
                            partition.offset,
                            partition.leader_epoch,
                            short(&partition.metadata),
                            partition.error.name(),
                        );
                        self.say(line);
                    }
                }
            }
            "delete-offsets" => {
                let topics = args.topics(|partition, _| partition);
                let request = DeleteOffsetsRequest { group_id, topics };
                let result = self.call(|shard, _, fx| shard.delete_offsets(&request, fx));
                self.say_partitions(result);
            }
            _ => panic!("command {name}"),
        }
    }

    fn say_partitions(&mut self, result: Result<Vec<TopicItems<PartitionError>>, ErrorCode>) {
        match result {
            Ok(topics) => {
                for topic in topics {
                    for partition in topic.partitions {
                        let error = partition.error.name();
                        self.say(format!("{}-{} {error}", topic.topic, partition.partition));
                    }
                }
            }
            Err(error) => self.say(error.name()),
        }
    }

    /// Puts a record of another type of group into the log: its type and group.
    fn append_raw(&mut self, args: &Args<'_>) {
        let record_type = args.number("type", 3) as i16;
        let group_id = args.0[0];
        let mut key = record_type.to_be_bytes().to_vec();
        key.extend((group_id.len() as u16).to_be_bytes());
        key.extend(group_id.as_bytes());
        key.extend(args.list("member").into_iter().flat_map(|member| {
            let length = (member.len() as u16).to_be_bytes();
            length.into_iter().chain(member.bytes()).collect::<Vec<_>>()
        }));
        let value = (!args.has("tombstone")).then(|| vec![0, 0, 0, 0, 0, 1, 0]);
        self.log.push((key, value));
    }
}

fn show_timer(key: &TimerKey) -> String {
    match key {
        TimerKey::Heartbeat {
            group_id,
            member_id,
        } => {
            format!("session {group_id} {}", short(member_id))
        }
        TimerKey::Join { group_id } => format!("joining {group_id}"),
        TimerKey::Sync { group_id } => format!("syncing {group_id}"),
        TimerKey::Expiration => "expiration".to_owned(),
    }
}

fn show_join(reply: &JoinReply) -> String {
    if !reply.error.is_none() {
        return format!("join: {} {}", reply.error.name(), short(&reply.member_id));
    }
    let mut line = format!(
        "join: {} gen={} protocol={}/{} leader={}",
        short(&reply.member_id),
        reply.generation_id,
        reply.protocol_type.as_deref().unwrap(),
        reply.protocol_name.as_deref().unwrap(),
        short(reply.leader.as_deref().unwrap()),
    );
    if reply.skip_assignment {
        line.push_str(" skip_assignment");
    }
    for member in &reply.members {
        write!(
            line,
            " {}:{}",
            short(&member.member_id),
            text(&member.metadata)
        )
        .unwrap();
        if let Some(instance_id) = &member.instance_id {
            write!(line, "/{instance_id}").unwrap();
        }
    }
    line
}

fn show_record(record: &Record) -> String {
    match record {
        Record::OffsetCommit {
            group_id,
            topic,
            partition,
            value: None,
        } => {
            format!("offset {group_id} {topic}-{partition} deleted")
        }
        Record::OffsetCommit {
            group_id,
            topic,
            partition,
            value: Some(value),
        } => {
            let mut line = format!(
                "offset {group_id} {topic}-{partition}={} at {}",
                value.offset, value.commit_timestamp_ms
            );
            if let Some(expire_timestamp_ms) = value.expire_timestamp_ms {
                write!(line, " until {expire_timestamp_ms}").unwrap();
            }
            line
        }
        Record::GroupMetadata {
            group_id,
            value: None,
        } => format!("group {group_id} deleted"),
        Record::GroupMetadata {
            group_id,
            value: Some(value),
        } => {
            let mut line = format!(
                "group {group_id} gen={} protocol={}/{} leader={} since={}",
                value.generation,
                value.protocol_type.as_deref().unwrap_or("none"),
                value.protocol.as_deref().unwrap_or("none"),
                value.leader.as_deref().map_or("none".to_owned(), short),
                value.state_timestamp_ms.unwrap(),
            );
            for member in &value.members {
                write!(line, " {}:{}", short(&member.id), text(&member.assignment)).unwrap();
                if let Some(instance_id) = &member.instance_id {
                    write!(line, "/{instance_id}").unwrap();
                }
            }
            line
        }
        Record::Unserved { .. } => unreachable!("never written"),
    }
}

fn show_described(group: &DescribedGroup) -> String {
    let mut line = format!(
        "{} {} {} protocol={}/{}",
        group.group_id,
        group.error.name(),
        group.state,
        short(&group.protocol_type),
        short(&group.protocol),
    );
    if let Some(message) = &group.error_message {
        write!(line, " ({message})").unwrap();
    }
    for member in &group.members {
        write!(
            line,
            " {}:{}>{}",
            short(&member.member_id),
            text(&member.metadata),
            text(&member.assignment)
        )
        .unwrap();
    }
    line
}
