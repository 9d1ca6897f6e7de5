//! Looking at the cluster as it was: a moment earlier or later, at a time, and what is different
//! between two times.

use std::sync::Arc;

use crate::clusters::Target;
use crate::derive;
use crate::model::{Absences, Moment, Taken};
use crate::recording::Tape;
use crate::ui::app::{App, World};
use crate::ui::command::Id;
use crate::ui::dialogs::TextDialog;
use crate::ui::event::Effect;
use crate::ui::format;
use crate::ui::screen::{Changed, Place, Step, Toast};

const NO_TIME: &str = "is no time: 14:00, 2026-11-21 14:00, or 10m for an age";

/// Why nothing can be changed while the past is looked at.
pub(super) fn no_change(world: &World) -> Toast {
    Toast::bad(match world.tape {
        Some(_) => "this is a recording: nothing can be changed",
        None => "nothing is changed from the past: :now goes back to the present",
    })
}

impl App {
    /// Shows a recording, from its end back.
    pub(super) fn play(&mut self, tape: Option<Arc<Tape>>, effects: &mut Vec<Effect>) {
        let Some(tape) = tape else { return };
        let world = &mut self.world;
        world.snapshot = tape.snapshot.clone();
        world.feed = tape.feed.clone();
        world.history = tape.history.clone();
        world.past = tape.last();
        world.read_only = true;
        world.target = Target {
            name: Some(format!("recording of {}", tape.cluster)),
            read_only: true,
            ..Target::default()
        };
        self.session.id += 1;
        let mut notes = Vec::new();
        if tape.is_torn {
            notes.push("its last line is torn".to_owned());
        }
        if tape.n_lost > 0 {
            notes.push(format!("{} reads are missing in it", tape.n_lost));
        }
        if tape.to.is_none() {
            notes.push("nothing is recorded in it".to_owned());
        }
        if !notes.is_empty() {
            self.say(Toast::info(format!("the recording: {}", notes.join(", "))));
        }
        self.world.tape = Some(tape);
        self.changed = Changed::ALL;
        self.follow(vec![Step::Go(Place::Overview)], effects);
    }

    /// Goes to another moment.
    pub(super) fn travel(&mut self, command: Id, argument: &str) {
        let world = &self.world;
        let shown = world.past.as_ref().map_or(world.now, |past| past.at);
        let wanted = match command {
            Id::Earlier => match world.history.before(shown) {
                Some(moment) => Ok(Some(Arc::clone(moment))),
                None => Err(nothing_older(world)),
            },
            Id::Later => match world.history.after(shown) {
                Some(moment) if world.past.is_some() => Ok(Some(Arc::clone(moment))),
                _ => Ok(None),
            },
            Id::At => at(world, argument).map(Some),
            _ => Ok(None),
        };
        match wanted {
            Ok(moment) => {
                // The present of a recording is its end.
                let end = || self.world.tape.as_ref().and_then(|tape| tape.last());
                self.world.past = moment.or_else(end);
                self.changed = Changed::ALL;
            }
            Err(why) => self.say(Toast::bad(why)),
        }
    }
}

fn nothing_older(world: &World) -> String {
    match world.history.oldest() {
        Some(oldest) => format!(
            "nothing is kept from before {}",
            format::clock_ms(oldest.at.wall_ms)
        ),
        None => "nothing is kept yet".to_owned(),
    }
}

/// Now, or the end of the recording that is looked at.
fn end(world: &World) -> Taken {
    let end = world.tape.as_ref().and_then(|tape| tape.to);
    end.unwrap_or(world.now)
}

/// The moment at a time that was typed.
fn at(world: &World, text: &str) -> Result<Arc<Moment>, String> {
    let wall_ms = format::parse_time(text, end(world).wall_ms)
        .ok_or_else(|| format!("\"{text}\" {NO_TIME}"))?;
    let moment = world.history.at(wall_ms);
    moment.cloned().ok_or_else(|| nothing_older(world))
}

/// Shows what is different since a time, or between two.
pub(super) fn diff(world: &World, argument: &str) -> Vec<Step> {
    match compare(world, argument) {
        Ok(dialog) => vec![Step::Dialog(Box::new(dialog))],
        Err(why) => vec![Step::Say(Toast::bad(why))],
    }
}

fn compare(world: &World, argument: &str) -> Result<TextDialog, String> {
    // A date and its time are two words, so each split is tried.
    let words: Vec<&str> = argument.split_whitespace().collect();
    let is_time = |text: &str| format::parse_time(text, end(world).wall_ms).is_some();
    let split = (1..=words.len()).find_map(|n| {
        let (first, second) = (words[..n].join(" "), words[n..].join(" "));
        let is_whole = is_time(&first) && (second.is_empty() || is_time(&second));
        is_whole.then_some((first, second))
    });
    let (first, second) = split.ok_or_else(|| format!("\"{argument}\" {NO_TIME}"))?;
    let from = at(world, &first)?;
    let (to_at, to) = if second.is_empty() {
        (end(world), None)
    } else {
        let to = at(world, &second)?;
        (to.at, Some(to))
    };
    let now = to
        .as_ref()
        .map_or(&world.snapshot, |moment| &moment.snapshot);
    let before = derive::Before::all(&from.snapshot);
    let told = before.happenings(now, &mut Absences::default(), to_at);
    let theme = &world.theme;
    let mut lines = Vec::new();
    for happening in &told {
        let (sign, style) = theme.weight(happening.weight);
        let text = format!("{sign:2} {}", format::clean(&happening.text));
        lines.push((text, style));
    }
    if lines.is_empty() {
        lines.push(("nothing is different".to_owned(), theme.dim));
    }
    let title = format!(
        "from {} to {}",
        format::clock_ms(from.at.wall_ms),
        format::clock_ms(to_at.wall_ms)
    );
    let copy: Vec<&str> = lines.iter().map(|(text, _)| text.as_str()).collect();
    let copy = format!("{title}\n{}\n", copy.join("\n"));
    Ok(TextDialog::new(title, lines, copy))
}
