//! Keys, clicks and pastes: to the dialog on top, else to the line of the filter, else through the
//! table of commands.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseEvent, MouseEventKind};

use crate::ui::app::App;
use crate::ui::command::{self, Id};
use crate::ui::event::Effect;
use crate::ui::screen::Changed;
use crate::ui::widgets::form;
use crate::ui::widgets::list::{Clicked, Rows};

impl App {
    pub(super) fn on_terminal(
        &mut self,
        event: crossterm::event::Event,
        effects: &mut Vec<Effect>,
    ) {
        use crossterm::event::Event as Terminal;
        // Keys that follow fast on a change of screens mean the rows of the new one.
        if self.changed == Changed::ALL {
            self.make_rows();
        }
        self.dirty = true;
        match event {
            Terminal::Key(key) if key.kind != KeyEventKind::Release => self.on_key(key, effects),
            Terminal::Mouse(mouse) => self.on_mouse(mouse, effects),
            Terminal::Paste(text) => self.on_paste(&text),
            _ => {}
        }
    }

    fn on_key(&mut self, key: KeyEvent, effects: &mut Vec<Effect>) {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && key.code == KeyCode::Char('c') {
            return effects.push(Effect::Quit);
        }
        if control && key.code == KeyCode::Char('z') {
            return effects.push(Effect::Suspend);
        }
        let had_toast = self.toasts.pop_front().is_some();
        if let Some(dialog) = self.dialogs.last_mut() {
            let steps = dialog.key(key, &self.world.cx());
            return self.follow(steps, effects);
        }
        if self.filter.is_some() {
            return self.on_filter_key(key);
        }
        let command = command::by_key(&self.scopes(), key);
        match command {
            // The first esc takes the message away.
            Some(command) if command.id == Id::Back && had_toast => {}
            Some(command) => self.run(command, "", effects),
            None => {}
        }
    }

    fn on_filter_key(&mut self, key: KeyEvent) {
        let Some((input, before)) = &mut self.filter else {
            return;
        };
        match key.code {
            KeyCode::Enter => self.filter = None,
            KeyCode::Esc => {
                let before = std::mem::take(before);
                self.filter = None;
                self.set_filter(&before);
            }
            KeyCode::Down | KeyCode::Up => {
                let lines = if key.code == KeyCode::Down { 1 } else { -1 };
                if let Some(list) = self.list() {
                    list.move_by(lines);
                }
            }
            KeyCode::Backspace if input.value().is_empty() => self.filter = None,
            _ => {
                if form::edit(input, key) {
                    let text = input.value().to_owned();
                    self.set_filter(&text);
                }
            }
        }
    }

    fn on_paste(&mut self, text: &str) {
        if let Some(dialog) = self.dialogs.last_mut() {
            dialog.paste(text, &self.world.cx());
        } else if let Some((input, _)) = &mut self.filter {
            form::paste(input, text);
            let text = input.value().to_owned();
            self.set_filter(&text);
        }
    }

    fn on_mouse(&mut self, mouse: MouseEvent, effects: &mut Vec<Effect>) {
        let lines = match mouse.kind {
            MouseEventKind::ScrollDown => Some(3),
            MouseEventKind::ScrollUp => Some(-3),
            _ => None,
        };
        if let Some(dialog) = self.dialogs.last_mut() {
            if let Some(lines) = lines {
                dialog.wheel(lines);
            }
            return;
        }
        if let Some(lines) = lines {
            if let Some(list) = self.list() {
                list.move_by(lines);
            }
            return;
        }
        if mouse.kind == MouseEventKind::Down(crossterm::event::MouseButton::Left)
            && let Some(screen) = self.screens.last_mut()
        {
            self.toasts.clear();
            let clicked = screen.click(mouse.column, mouse.row, &self.world.cx());
            if clicked == Clicked::SelectedRow {
                let open = command::available(&self.scopes()).find(|c| c.id == Id::Open);
                if let Some(open) = open {
                    self.run(open, "", effects);
                }
            }
        }
    }

    pub(super) fn list(&mut self) -> Option<&mut dyn Rows> {
        self.screens.last_mut()?.list()
    }

    pub(super) fn set_filter(&mut self, text: &str) {
        let cx = self.world.cx();
        if let Some(list) = self.screens.last_mut().and_then(|screen| screen.list()) {
            list.set_filter(text, &cx);
        }
    }
}
