//! What is looked for outside before it is planned: the last change, to take it back, and
//! throttles that were left behind. And the run, which is executed outside too.

use super::App;
use crate::model::{Fault, Update};
use crate::ops::Action;
use crate::ops::execution::Run;
use crate::ops::execution::janitor::LeftOver;
use crate::ops::undo::Last;
use crate::ui::cx::Cx;
use crate::ui::event::{Effect, PlanWish};
use crate::ui::screen::{Changed, Step, Toast};

/// Looks for what undoes the last change.
pub(super) fn last_change(cx: &Cx<'_>) -> Effect {
    Effect::LastChange {
        job: cx.new_job(),
        metadata: cx.snapshot.metadata.value().cloned(),
    }
}

/// Plans to remove the throttles that were found.
pub(super) fn clear(found: Result<Vec<LeftOver>, Fault>) -> Vec<Step> {
    match found {
        Err(fault) => vec![Step::Say(Toast::fault(&fault))],
        Ok(left) if left.is_empty() => {
            vec![Step::Say(Toast::info("no throttle is left over"))]
        }
        Ok(left) => vec![Step::Plan(Action::ClearThrottles(left))],
    }
}

impl App {
    /// How far the run is.
    pub(super) fn on_run(&mut self, run: Option<Box<Run>>) {
        let was_over = self.world.run.as_ref().is_none_or(|run| run.is_over);
        if let Some(now) = run.as_ref().filter(|run| run.is_over && !was_over) {
            let toast = match now.counts().skipped == 0 && now.ours.is_empty() {
                true => Toast::good(format!("{}: {}", now.title, now.line())),
                false => Toast::bad(format!("{}: {}", now.title, now.line())),
            };
            self.say(toast);
        }
        self.world.run = run;
        self.changed = self.changed.and(Changed::REASSIGNMENTS);
        self.dirty = true;
    }

    /// Shows the plan that takes a change back; `updates` were read for it.
    pub(super) fn undo(
        &mut self,
        last: Box<Last>,
        updates: Vec<Update>,
        effects: &mut Vec<Effect>,
    ) {
        let now = self.world.now;
        for update in updates {
            self.on_update(update, now);
        }
        match (&last.entry, last.stays().first()) {
            (None, None) => self.say(Toast::info("there is nothing to undo")),
            (None, Some(stays)) => self.say(Toast::bad(stays)),
            (Some(_), _) => {
                let snapshot = self.world.snapshot.clone();
                self.plan_wish(PlanWish::Undo(last), snapshot, effects);
            }
        }
    }
}
