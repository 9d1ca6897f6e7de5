//! `wait`: until a condition holds, or the time is over.

use std::sync::Arc;
use std::time::Duration;

use crate::derive::{Condition, Needs, Reading};
use crate::model::{Fault, FaultKind, Group, Update};
use crate::output::{EXIT_NO, WaitJson};

use super::{GlobalArgs, Io, Session, groups, shared};

/// What to wait for.
#[derive(Clone, Debug, clap::Args)]
pub struct WaitArgs {
    /// For example 'urp == 0 and reassignments == 0' or 'lag("billing") < 100'
    ///
    /// Words: urp, offline, under_min_isr, at_min_isr, not_preferred, reassignments, brokers,
    /// fenced, topics, partitions, groups, controller, exists("topic"), partitions("topic"),
    /// lag("group"), members("group"), state("group"). Joined by and, or, not and parentheses.
    pub condition: String,
    /// Give up after this long: 30s, 10m, 2h
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration)]
    pub timeout: Duration,
    /// Look again after this long
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    pub every: Duration,
    /// So many looks in a row must find it true
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub stable: u32,
}

/// `500ms`, `30s`, `10m`, `2h`, `1d`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err("a number with ms, s, m, h or d, such as 30s".to_owned()),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| format!("\"{text}\" has no number"))?;
    let ms = number
        .checked_mul(unit_ms)
        .filter(|ms| (1..=365 * 86_400_000).contains(ms));
    ms.map(Duration::from_millis)
        .ok_or_else(|| "between 1 ms and a year".to_owned())
}

/// What a look may take that begins when the time is over, or shortly before.
const LAST_LOOK: Duration = Duration::from_secs(1);

pub(super) async fn run(
    global: &GlobalArgs,
    args: &WaitArgs,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let condition = Condition::parse(&args.condition).map_err(|why| {
        Fault::refused(format!("read the condition '{}'", args.condition), why)
            .with_hint("`kafka-tui wait --help` shows what can be asked")
    })?;
    let needs = condition.needs();
    let begin = tokio::time::Instant::now();
    let deadline = begin + args.timeout;
    let mut session = None;
    let mut told: Option<Reading> = None;
    let (mut n_looks, mut n_true) = (0, 0);
    let outcome = loop {
        let look = look(global, &mut session, &condition, &needs);
        let until = deadline.max(tokio::time::Instant::now() + LAST_LOOK);
        let looked = tokio::time::timeout_at(until, look).await;
        n_looks += 1;
        match looked {
            Ok(Ok(reading)) => {
                n_true = if reading.holds == Some(true) {
                    n_true + 1
                } else {
                    0
                };
                if told.as_ref() != Some(&reading) {
                    io.tell(&line(&reading));
                    told = Some(reading);
                }
                if n_true >= args.stable {
                    break Ok(true);
                }
            }
            // What is refused now is refused for ever; what is not there may come.
            Ok(Err(fault)) if fault.kind == FaultKind::Refused => return Err(fault),
            Ok(Err(fault)) => {
                n_true = 0;
                session = None;
                if told.take().is_some() || n_looks == 1 {
                    io.tell(&format!("{fault}\n"));
                }
                if tokio::time::Instant::now() >= deadline {
                    break Err(fault);
                }
            }
            Err(_) => break Ok(false),
        }
        let now = tokio::time::Instant::now();
        if now >= deadline {
            break Ok(false);
        }
        // The last look is at the very end.
        tokio::time::sleep_until(deadline.min(now + args.every)).await;
    };
    let holds = outcome?;
    let waited_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    let values = told.map(|reading| reading.values).unwrap_or_default();
    io.print(
        global.output,
        &WaitJson {
            condition: args.condition.clone(),
            holds,
            waited_ms,
            values: values.into_iter().collect(),
        },
    );
    Ok(if holds { 0 } else { EXIT_NO })
}

fn line(reading: &Reading) -> String {
    let values: Vec<String> = reading
        .values
        .iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    format!("{}\n", values.join(", "))
}

/// Reads what the condition is about, and then the condition.
async fn look(
    global: &GlobalArgs,
    session: &mut Option<Session>,
    condition: &Condition,
    needs: &Needs,
) -> Result<Reading, Fault> {
    let session = match session {
        Some(session) => {
            let metadata = session.client.metadata().await?;
            session.apply(Update::Metadata(Ok(Arc::new(metadata))));
            session
        }
        None => session.insert(Session::open(global).await?),
    };
    let metadata = session.metadata()?;
    if needs.settings {
        let settings = session.client.topic_settings(&metadata).await;
        session.apply(Update::Settings(shared(settings)));
    }
    if needs.reassignments {
        let running = session.client.reassignments().await;
        session.apply(Update::Reassignments(shared(running)));
    }
    if needs.quorum {
        let quorum = session.client.quorum().await;
        session.apply(Update::Quorum(shared(quorum)));
    }
    if needs.groups {
        let listed = session.client.groups_in(&metadata).await?;
        let wanted: Vec<Arc<Group>> = needs
            .group_ids
            .iter()
            .filter_map(|id| listed.groups.get(id).cloned())
            .collect();
        session.apply(Update::Groups(Ok(Arc::new(listed))));
        if !wanted.is_empty() {
            groups::read(session, &wanted).await?;
        }
    }
    Ok(condition.read(&session.snapshot))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        let ms = |text| duration(text).map(|d| d.as_millis());
        assert_eq!(ms("30s"), Ok(30_000));
        assert_eq!(ms("500ms"), Ok(500));
        assert_eq!(ms("2h"), Ok(7_200_000));
        for bad in ["", "10", "s", "0s", "10x", "99999999999999999999d", "400d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
