//! What a command does, and what the steps do that screens and dialogs ask for.

use tui_input::Input;

use super::{App, CLIPBOARD_BYTES_MAX, DEPTH_MAX, parse_bootstrap, time_travel, undoing};
use crate::clusters::Target;
use crate::model::{ClusterSnapshot, Fault, TopicPartition, Update};
use crate::ops::{self, Action, Plan, Report};
use crate::ui::command::{self, Command, Id, Scope};
use crate::ui::cx::Cx;
use crate::ui::dialogs::{Help, Jump, Palette, PlanDialog, refusal};
use crate::ui::event::{Effect, PlanWish};
use crate::ui::format;
use crate::ui::screen::{Changed, Place, Step, Toast, Tone};
use crate::ui::screens;

impl App {
    /// Runs a command, or says why not.
    pub(super) fn run(&mut self, command: &Command, argument: &str, effects: &mut Vec<Effect>) {
        let cx = self.world.cx();
        let refused = self
            .screens
            .last()
            .and_then(|s| refusal(&**s, command, &cx));
        if let Some(why) = refused {
            let what = if command.hint.is_empty() {
                command.name
            } else {
                command.hint
            };
            return self.say(Toast::bad(format!("{what}: {why}")));
        }
        // A name after the command means that thing, not the selected row.
        let own = if argument.is_empty() || command.scope != Scope::Everywhere {
            self.screens
                .last_mut()
                .and_then(|screen| screen.run(command.id, argument, &cx))
        } else {
            None
        };
        if let Some(steps) = own {
            return self.follow(steps, effects);
        }
        if self.run_in_list(command.id, argument) {
            return;
        }
        self.run_everywhere(command, argument, effects);
    }

    /// Whether it was a command about the list with the focus.
    fn run_in_list(&mut self, id: Id, argument: &str) -> bool {
        let cx = self.world.cx();
        let Some(list) = self.screens.last_mut().and_then(|screen| screen.list()) else {
            return false;
        };
        match id {
            Id::Up => list.move_by(-1),
            Id::Down => list.move_by(1),
            Id::HalfPageUp => list.move_pages(-1),
            Id::HalfPageDown => list.move_pages(1),
            Id::PageUp => list.move_pages(-2),
            Id::PageDown => list.move_pages(2),
            Id::Top => list.move_to(0),
            Id::Bottom => list.move_to(usize::MAX),
            Id::SortNext => list.sort_next(1, &cx),
            Id::SortPrevious => list.sort_next(-1, &cx),
            Id::SortReverse => list.sort_reverse(&cx),
            Id::Mark => list.toggle_mark(),
            Id::MarkAll => list.toggle_all_marks(),
            Id::Filter if !argument.is_empty() => list.set_filter(argument, &cx),
            Id::Filter => {
                let before = list.filter().text().to_owned();
                self.filter = Some((Input::new(before.clone()), before));
            }
            _ => return false,
        }
        true
    }

    fn run_everywhere(&mut self, command: &Command, argument: &str, effects: &mut Vec<Effect>) {
        let cx = self.world.cx();
        let scopes = self.scopes();
        let with_filter = |place: Place| {
            let mut steps = vec![Step::Go(place)];
            if !argument.is_empty() {
                steps.push(Step::Run(Id::Filter, argument.to_owned()));
            }
            steps
        };
        let steps = match command.id {
            Id::Help => match self.screens.last() {
                Some(screen) => vec![Step::Dialog(Box::new(Help::of(&**screen, &scopes, &cx)))],
                None => Vec::new(),
            },
            Id::Command => vec![Step::Dialog(Box::new(Palette::new(scopes, &cx)))],
            Id::Jump => vec![Step::Dialog(Box::new(Jump::new(&cx)))],
            Id::Overview => vec![Step::Go(Place::Overview)],
            Id::Brokers => vec![Step::Go(Place::Brokers)],
            Id::Topics => with_filter(Place::Topics),
            Id::Groups => with_filter(Place::Groups),
            Id::Reassignments => vec![Step::Go(Place::Reassignments)],
            Id::Quorum => vec![Step::Go(Place::Quorum)],
            Id::Changes => with_filter(Place::Changes),
            Id::Acls => with_filter(Place::Acls),
            Id::Users => with_filter(Place::Users),
            Id::Quotas => with_filter(Place::Quotas),
            Id::Transactions => vec![Step::Go(Place::Transactions)],
            Id::Earlier | Id::Later | Id::At | Id::Now => return self.travel(command.id, argument),
            Id::Diff => time_travel::diff(&self.world, argument),
            Id::Local => vec![Step::Go(Place::Local)],
            Id::Clusters => vec![Step::Go(Place::Clusters)],
            Id::Connectors => vec![Step::Go(Place::Connectors)],
            Id::Apply if argument.is_empty() => {
                vec![Step::Dialog(Box::new(screens::apply_form()))]
            }
            Id::Apply => vec![Step::Go(Place::Declared(argument.to_owned()))],
            Id::Cluster => {
                let wanted = Step::Run(Id::EnterCluster, argument.to_owned());
                let wanted = Some(wanted).filter(|_| !argument.is_empty());
                let go = Step::Go(Place::Clusters);
                [go].into_iter().chain(wanted).collect()
            }
            Id::Topic | Id::Group | Id::Broker | Id::Messages | Id::Producers | Id::Configs => {
                self.named_place(command, argument)
            }
            Id::CreateTopic => vec![Step::Dialog(Box::new(screens::create_topic_form(argument)))],
            Id::ElectPreferred => vec![Step::Plan(all_not_preferred(&cx))],
            Id::Undo => vec![Step::Effect(undoing::last_change(&cx))],
            Id::Connect if argument.is_empty() => {
                vec![Step::Dialog(Box::new(screens::connect_form(
                    &self.world.target.address(),
                )))]
            }
            Id::Connect => vec![Step::Connect(argument.to_owned())],
            Id::Refresh => {
                effects.push(Effect::Refresh);
                vec![Step::Say(Toast::info("reading everything again"))]
            }
            Id::Back => return self.back(effects),
            Id::Suspend => return effects.push(Effect::Suspend),
            Id::Quit => return effects.push(Effect::Quit),
            _ => Vec::new(),
        };
        self.follow(steps, effects);
    }

    /// `:topic NAME` and the like; without a name the list of candidates.
    fn named_place(&self, command: &Command, argument: &str) -> Vec<Step> {
        let cx = self.world.cx();
        if argument.is_empty() {
            let text = format!("{} ", command.name);
            let palette = Palette::with_text(self.scopes(), &text, &cx);
            return vec![Step::Dialog(Box::new(palette))];
        }
        let name = argument.to_owned();
        let place = match command.id {
            Id::Topic => Place::Topic(name),
            Id::Group => Place::Group(name),
            Id::Messages => Place::Messages(name),
            Id::Producers => Place::Producers(name),
            Id::Configs => Place::Configs(crate::model::ConfigResource::Topic(name)),
            _ => match argument.parse() {
                Ok(id) => Place::Broker(id),
                Err(_) => {
                    let text = format!("\"{argument}\" is no broker id");
                    return vec![Step::Say(Toast::bad(text))];
                }
            },
        };
        vec![Step::Go(place)]
    }

    fn back(&mut self, effects: &mut Vec<Effect>) {
        if let Some(list) = self.list() {
            if list.clear_marks() {
                return;
            }
            if !list.filter().text().is_empty() {
                return self.set_filter("");
            }
        }
        self.follow(vec![Step::Back], effects);
    }

    pub(super) fn follow(&mut self, steps: Vec<Step>, effects: &mut Vec<Effect>) {
        for step in steps {
            self.dirty = true;
            match step {
                Step::Go(place) => self.go(place, effects),
                Step::Push(place) => self.open(place, effects),
                Step::Back => {
                    if self.screens.len() > 1
                        && let Some(mut screen) = self.screens.pop()
                    {
                        effects.extend(screen.on_close().into_iter().map(Effect::Cancel));
                        self.changed = Changed::ALL;
                    }
                }
                Step::Dialog(dialog) => self.dialogs.push(dialog),
                Step::Close => self.close_dialog(effects),
                Step::CloseAll => {
                    while !self.dialogs.is_empty() {
                        self.close_dialog(effects);
                    }
                }
                Step::Plan(action) => self.plan(action, effects),
                Step::PlanTransfer(transfer, there) => {
                    let plan = ops::plan(Action::Transfer(transfer), &self.world.snapshot);
                    self.show_plan_on(plan, there.as_deref(), effects);
                }
                Step::PlanOn(action, updates) => self.plan_on(action, updates, effects),
                Step::Run(id, argument) => {
                    let scopes = self.scopes();
                    if let Some(command) = command::by_id(&scopes, id, &argument) {
                        self.run(command, &argument, effects);
                    }
                }
                Step::Connect(address) => match parse_bootstrap(&address) {
                    Ok(bootstrap) => self.enter(Target::at(bootstrap), effects),
                    Err(why) => self.say(Toast::bad(why)),
                },
                Step::Enter(target) => self.enter(*target, effects),
                Step::Effect(Effect::Copy(text)) if text.len() > CLIPBOARD_BYTES_MAX => {
                    self.say(Toast::bad(
                        "not copied: terminals take no text of that size",
                    ));
                    return;
                }
                Step::Effect(effect) => effects.push(effect),
                Step::Say(toast) => self.say(toast),
            }
        }
    }

    fn close_dialog(&mut self, effects: &mut Vec<Effect>) {
        if let Some(mut dialog) = self.dialogs.pop() {
            effects.extend(dialog.on_close().into_iter().map(Effect::Cancel));
        }
    }

    pub(super) fn go(&mut self, place: Place, effects: &mut Vec<Effect>) {
        if place.needs_cluster() && !self.is_connected() {
            return self.say(Toast {
                tone: Tone::Bad,
                text: "there is no cluster yet".to_owned(),
                hint: Some("connect to one with :connect HOST:PORT, or start a broker".to_owned()),
            });
        }
        self.filter = None;
        // Every way back ends at the overview, or at the start where there is no cluster.
        let root = if self.is_connected() {
            Place::Overview
        } else {
            Place::Start
        };
        let keep = usize::from(self.screens.first().is_some_and(|s| s.place() == root));
        while self.screens.len() > keep
            && let Some(mut screen) = self.screens.pop()
        {
            effects.extend(screen.on_close().into_iter().map(Effect::Cancel));
        }
        self.changed = Changed::ALL;
        if keep == 0 {
            self.open(root.clone(), effects);
        }
        if place == root {
            return;
        }
        let parent = match &place {
            Place::Topic(_) => Some(Place::Topics),
            Place::Group(_) => Some(Place::Groups),
            Place::Broker(_) => Some(Place::Brokers),
            _ => None,
        };
        if let Some(parent) = parent {
            self.open(parent, effects);
        }
        self.open(place, effects);
    }

    fn open(&mut self, place: Place, effects: &mut Vec<Effect>) {
        if self.screens.len() >= DEPTH_MAX {
            let mut oldest = self.screens.remove(1);
            effects.extend(oldest.on_close().into_iter().map(Effect::Cancel));
        }
        let cx = self.world.cx();
        let mut screen = screens::open(place, &cx);
        let steps = screen.on_open(&cx);
        self.screens.push(screen);
        // Its rows are made before the next key or drawing, unless another screen covers it.
        self.changed = Changed::ALL;
        self.follow(steps, effects);
    }

    fn plan(&mut self, action: Action, effects: &mut Vec<Effect>) {
        let snapshot = self.world.snapshot.clone();
        self.plan_wish(PlanWish::Action(Box::new(action)), snapshot, effects);
    }

    /// Plans at once, or beside the screens what they would wait for.
    pub(super) fn plan_wish(
        &mut self,
        wish: PlanWish,
        snapshot: ClusterSnapshot,
        effects: &mut Vec<Effect>,
    ) {
        if wish.n_named() > PLANNED_AT_ONCE && self.world.past.is_none() {
            let job = self.world.cx().new_job();
            effects.extend(self.planning.replace(job).map(Effect::Cancel));
            effects.push(Effect::Plan {
                job,
                wish,
                snapshot: Box::new(snapshot),
            });
            return self.say(Toast::info("planning …"));
        }
        self.show_plan(wish.plan(&snapshot), effects);
    }

    /// Plans with what was read for it, which is not kept.
    fn plan_on(&mut self, action: Action, updates: Vec<Update>, effects: &mut Vec<Effect>) {
        let mut snapshot = self.world.snapshot.clone();
        for update in updates {
            snapshot.apply(update, self.world.now);
        }
        self.plan_wish(PlanWish::Action(Box::new(action)), snapshot, effects);
    }

    pub(super) fn show_plan(&mut self, plan: Result<Plan, Fault>, effects: &mut Vec<Effect>) {
        self.show_plan_on(plan, None, effects);
    }

    /// Shows a plan, of another cluster where one is given.
    fn show_plan_on(
        &mut self,
        plan: Result<Plan, Fault>,
        there: Option<&Target>,
        effects: &mut Vec<Effect>,
    ) {
        if self.world.past.is_some() {
            return self.say(time_travel::no_change(&self.world));
        }
        match plan {
            Ok(plan) if plan.is_empty() => {
                let why = match plan.not_done.first() {
                    Some(first) if plan.not_done.len() == 1 => first.clone(),
                    Some(first) => format!("{first}; and {} more", plan.not_done.len() - 1),
                    None => "everything is so already".to_owned(),
                };
                self.say(Toast::info(format!("nothing to do: {why}")));
            }
            Ok(plan) => {
                let (dialog, effect) = PlanDialog::new(plan, there, &self.world.cx());
                effects.extend(effect);
                self.dialogs.push(Box::new(dialog));
            }
            Err(fault) => self.say(Toast::fault(&fault)),
        }
    }
}

/// Partitions that a change may name to be planned between two keys.
const PLANNED_AT_ONCE: usize = 1_000;

/// What came of a plan whose dialog was closed before its answer came.
pub(super) fn told_without_dialog(result: Result<Report, Fault>) -> Vec<Step> {
    let toast = match result {
        Err(fault) => Toast::fault(&fault),
        Ok(report) => match (report.faults().next(), &report.items[..]) {
            (Some((subject, fault)), _) => Toast::bad(format!("{subject}: {}", fault.why)),
            (None, [item]) => Toast::good(format!("done: {}", item.subject)),
            (None, items) => Toast::good(format!("done: {}", format::plural(items.len(), "item"))),
        },
    };
    vec![Step::Say(toast), Step::Effect(Effect::Refresh)]
}

/// The election of the preferred leader of every partition that another one leads.
fn all_not_preferred(cx: &Cx<'_>) -> Action {
    let mut keys = Vec::new();
    for topic in cx
        .snapshot
        .metadata
        .get()
        .iter()
        .flat_map(|m| m.topics.iter())
    {
        for partition in &topic.partitions {
            if partition.preferred_leader() != Some(partition.leader) {
                keys.push(TopicPartition {
                    topic: topic.name.clone(),
                    partition: partition.id,
                });
            }
        }
    }
    Action::ElectPreferredLeaders(keys)
}
