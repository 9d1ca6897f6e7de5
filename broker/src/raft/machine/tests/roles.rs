//! Roles that a script may begin with: each stands for the inputs that lead to it and for all that
//! the machine says on the way.
//!
//! ```text
//! unattached voters=1,2,3 epoch=5 [log=…] [end=N] [snapshot=…] [voted=N]     knows no leader
//! follower   voters=1,2,3 epoch=5 leader=2 …                  fetches from it for the first time
//! candidate  voters=1,2,3 epoch=5 …                           asks all others for their votes
//! leader     voters=1,2,3 epoch=5 …                           elected by the first that suffice
//! lone-leader                                                 of epoch 1, without other voters
//! ```
//!
//! Further words are those of `start`.

use super::script::{Words, at};

/// The line itself unless it begins with a role.
pub(super) fn expanded(line: &str) -> Vec<String> {
    let (role, words) = line.split_once(' ').unwrap_or((line, ""));
    match role {
        "unattached" => unattached(words),
        "follower" => follower(words),
        "candidate" => candidate(words),
        "leader" => leader(words),
        "lone-leader" => lone_leader(),
        _ => vec![line.to_owned()],
    }
}

/// What the lines of a role name.
struct Situation<'a> {
    words: Words<'a>,
    epoch: i64,
    voters: Vec<&'a str>,
    /// `OFFSET@EPOCH`
    log_end: String,
}

impl<'a> Situation<'a> {
    fn of(words: &'a str) -> Self {
        let words = Words(words.split_whitespace().collect());
        let log = words.named("log").and_then(|log| log.rsplit(',').next());
        let last_epoch = log.map_or(0, |entry| at(entry).last_epoch);
        Self {
            epoch: words.named("epoch").unwrap().parse().unwrap(),
            voters: words.named("voters").unwrap().split(',').collect(),
            log_end: format!("{}@{last_epoch}", words.number("end", 0)),
            words,
        }
    }

    /// The machine is the first of the voters.
    fn peers(&self) -> &[&'a str] {
        &self.voters[1..]
    }

    /// What a snapshot holds is committed.
    fn fetch(&self, from: &str) -> String {
        let (epoch, log_end) = (self.epoch, &self.log_end);
        let snapshot = self.words.named("snapshot").map(at);
        let high_watermark = snapshot.map_or(0, |id| id.end_offset);
        format!("    to {from}: fetch epoch={epoch} at={log_end} hw={high_watermark}")
    }
}

fn unattached(words: &str) -> Vec<String> {
    let situation = Situation::of(words);
    let epoch = situation.epoch;
    let voted = situation.words.named("voted").unwrap_or("-");
    vec![
        format!("start {words}"),
        format!("    persist epoch={epoch} leader=- voted={voted}"),
        situation.fetch("boot"),
        format!("    news leader=-@{epoch}"),
    ]
}

fn follower(words: &str) -> Vec<String> {
    let situation = Situation::of(words);
    let epoch = situation.epoch;
    let leader = situation.words.named("leader").unwrap();
    vec![
        format!("start {words}"),
        format!("    persist epoch={epoch} leader={leader} voted=-"),
        situation.fetch(leader),
        format!("    news leader={leader}@{epoch}"),
    ]
}

fn candidate(words: &str) -> Vec<String> {
    let situation = Situation::of(words);
    let (epoch, log_end) = (situation.epoch, &situation.log_end);
    let peers = situation.peers().join(", ");
    vec![
        format!("start {words} voted=1"),
        format!("    persist epoch={epoch} leader=- voted=1"),
        format!("    to {peers}: vote epoch={epoch} end={log_end}"),
        format!("    news leader=-@{epoch}"),
    ]
}

fn leader(words: &str) -> Vec<String> {
    let situation = Situation::of(words);
    let epoch = situation.epoch;
    let voters = situation.voters.join(", ");
    let granting = &situation.peers()[..situation.voters.len() / 2];
    let mut lines = candidate(words);
    lines.extend(granting.iter().map(|id| format!("answer {id} granted")));
    lines.push(format!("    persist epoch={epoch} leader=1 voted=-"));
    let start_offset = situation.words.number("end", 0);
    lines.push(format!("    lead epoch={epoch} from={start_offset}"));
    // Whoever starts the log writes its level and its voters; a snapshot has them already.
    let bootstrap = match situation.words.named("snapshot") {
        None => format!(", level 1, voters [{voters}]"),
        Some(_) => String::new(),
    };
    let by = [&["1"], granting].concat().join(", ");
    lines.push(format!(
        "    write leader 1 of [{voters}] by [{by}]{bootstrap}"
    ));
    let peers = situation.peers().join(", ");
    lines.push(format!("    to {peers}: begin epoch={epoch}"));
    lines.push(format!("    news leader=1@{epoch}"));
    lines
}

/// The only voter stands at once, in the epoch after the one that it knows.
fn lone_leader() -> Vec<String> {
    let lines = [
        "start voters=1",
        "    persist epoch=0 leader=- voted=-",
        "    persist epoch=1 leader=- voted=1",
        "    persist epoch=1 leader=1 voted=-",
        "    lead epoch=1 from=0",
        "    write leader 1 of [1] by [1], level 1, voters [1]",
        "    news leader=1@1",
    ];
    lines.map(str::to_owned).to_vec()
}
