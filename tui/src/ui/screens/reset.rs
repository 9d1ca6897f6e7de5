//! Where a group shall go on: asked for in a form, read from the cluster, shown as a plan.

use std::path::PathBuf;
use std::sync::Arc;

use crossterm::event::KeyEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use crate::model::Taken;
use crate::ops::Action;
use crate::ops::offsets::{ResetRequest, ResetTo, parse_duration, parse_scope};
use crate::ui::cx::Cx;
use crate::ui::event::{Answer, Effect, JobId};
use crate::ui::format;
use crate::ui::screen::{Dialog, Step, Toast};
use crate::ui::widgets::form::{Field, Form, Wrong};

/// What is asked for, before a file is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResetWish {
    /// Without the offsets of `file`, if there is one.
    pub request: ResetRequest,
    pub file: Option<PathBuf>,
}

const TO_NOTE: &str = "earliest, latest; 1200 an offset; +100 or -100 records; 14:00, \
                       2026-11-21 14:00, 90m ago; group NAME; file PATH";

/// The form, and the reading that follows it.
#[derive(Debug)]
pub struct ResetDialog {
    form: Form,
    job: Option<JobId>,
}

impl ResetDialog {
    /// For a group, and for one topic of it if there is one.
    pub fn new(group: &str, topic: Option<&str>) -> Self {
        let scope = "empty: everything that it has committed; TOPIC, or TOPIC:0,3 for some \
                     partitions, with blanks between";
        let fields = vec![
            Field::text("to", "", TO_NOTE),
            Field::text("only", topic.unwrap_or(""), scope),
        ];
        let title = format!("where {} goes on", format::clean(group));
        let group = group.to_owned();
        let form = Form::new(title, fields, move |values, cx| {
            let (to, file) = parse_to(values.get(0), cx.now).map_err(|why| Wrong::new(0, why))?;
            let scope = parse_scope([values.get(1)]).map_err(|fault| {
                let hint = fault.hint.unwrap_or_default();
                Wrong::new(1, format!("{}: {hint}", fault.why))
            })?;
            let request = ResetRequest {
                group: group.clone(),
                scope,
                to,
            };
            let wish = Box::new(ResetWish { request, file });
            let job = cx.new_job();
            Ok(vec![
                Step::Effect(Effect::PrepareReset { job, wish }),
                Step::Say(Toast::info("reading what stands there …")),
            ])
        });
        Self { form, job: None }
    }
}

/// Reads where to; with a file's path where one is named.
fn parse_to(text: &str, now: Taken) -> Result<(ResetTo, Option<PathBuf>), String> {
    let text = text.trim();
    let rest = |word: &str| {
        let rest = text.strip_prefix(word)?;
        let rest = rest.strip_prefix(' ')?.trim();
        (!rest.is_empty()).then(|| rest.to_owned())
    };
    if let Some(path) = rest("file") {
        return Ok((ResetTo::File(Default::default()), Some(PathBuf::from(path))));
    }
    if let Some(group) = rest("group") {
        return Ok((ResetTo::Group(group), None));
    }
    let plain = text.replace([',', '_'], "");
    let is_signed = plain.starts_with(['+', '-']);
    let to = match text {
        "" => return Err(format!("where to? {TO_NOTE}")),
        "earliest" | "start" => ResetTo::Earliest,
        "latest" | "end" => ResetTo::Latest,
        "current" => ResetTo::Current,
        _ => match plain.parse::<i64>() {
            Ok(by) if is_signed => ResetTo::Shift(by),
            Ok(offset) => ResetTo::Offset(offset),
            Err(_) => {
                let ago = text.strip_suffix("ago").and_then(parse_duration);
                let at = || format::parse_time(text, now.wall_ms);
                match ago.map(ResetTo::Ago).or_else(|| at().map(ResetTo::Time)) {
                    Some(to) => to,
                    None => return Err(format!("\"{text}\" is none of: {TO_NOTE}")),
                }
            }
        },
    };
    Ok((to, None))
}

impl Dialog for ResetDialog {
    fn key(&mut self, key: KeyEvent, cx: &Cx<'_>) -> Vec<Step> {
        let steps = self.form.key(key, cx);
        for step in &steps {
            if let Step::Effect(Effect::PrepareReset { job, .. }) = step {
                self.job = Some(*job);
            }
        }
        steps
    }

    fn paste(&mut self, text: &str, cx: &Cx<'_>) {
        self.form.paste(text, cx);
    }

    fn on_answer(&mut self, job: JobId, answer: &mut Option<Answer>, _cx: &Cx<'_>) -> Vec<Step> {
        if self.job != Some(job) {
            return Vec::new();
        }
        self.job = None;
        match answer.take() {
            Some(Answer::ResetPrepared(Ok(alter))) => {
                vec![Step::Plan(Action::AlterOffsets(Arc::unwrap_or_clone(
                    alter,
                )))]
            }
            Some(Answer::ResetPrepared(Err(fault))) => vec![Step::Say(Toast::fault(&fault))],
            _ => Vec::new(),
        }
    }

    fn on_close(&mut self) -> Vec<JobId> {
        self.job.take().into_iter().collect()
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) -> Option<Position> {
        self.form.draw(cx, area, buffer)
    }

    fn hints(&self) -> Vec<(&'static str, &'static str)> {
        self.form.hints()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_to_is_written_in_few_words() {
        // Saturday, 2026-11-21 10:00:00 UTC.
        let now = Taken {
            monotonic_ms: 0,
            wall_ms: 1_795_255_200_000,
        };
        let to = |text: &str| parse_to(text, now);
        for (text, wanted) in [
            ("earliest", ResetTo::Earliest),
            (" latest ", ResetTo::Latest),
            ("1,200", ResetTo::Offset(1_200)),
            ("+100", ResetTo::Shift(100)),
            ("-1_000", ResetTo::Shift(-1_000)),
            ("09:00", ResetTo::Time(now.wall_ms - 3_600_000)),
            ("90m", ResetTo::Time(now.wall_ms - 5_400_000)),
            ("1h 30m ago", ResetTo::Ago(5_400_000)),
            ("2026-11-21 09:00", ResetTo::Time(now.wall_ms - 3_600_000)),
            ("group other one", ResetTo::Group("other one".to_owned())),
        ] {
            assert_eq!(to(text), Ok((wanted, None)), "{text}");
        }
        let (read, path) = to("file /tmp/offsets.csv").unwrap();
        assert_eq!(read, ResetTo::File(Default::default()));
        assert_eq!(path, Some(PathBuf::from("/tmp/offsets.csv")));
        for text in [
            "",
            "file",
            "group ",
            "sometime",
            "12:99",
            "99999999999999999999",
        ] {
            assert!(to(text).is_err(), "{text}");
        }
    }
}
