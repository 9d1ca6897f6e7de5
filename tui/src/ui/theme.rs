//! Colours by meaning. Only the terminal's own sixteen colours and its own background are used, so
//! that dark and light terminals both stay readable; meaning is never told by colour alone.

use crate::clusters::Colour;
use crate::model::Weight;
use ratatui::style::{Color, Modifier, Style};

/// Which set of styles is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ThemeName {
    #[default]
    Dark,
    Light,
    /// No colours: bold, dim and reversed only. `NO_COLOR` chooses it too.
    Mono,
}

/// Styles by what they say.
#[derive(Debug, Clone, Copy)]
pub struct Theme {
    pub text: Style,
    pub dim: Style,
    pub header: Style,
    pub accent: Style,
    pub good: Style,
    pub warn: Style,
    pub bad: Style,
    pub selected: Style,
    pub marked: Style,
    pub border: Style,
    pub key: Style,
    pub title: Style,
}

impl Theme {
    /// How a happening is marked: a sign that tells it without colours, and the colour.
    pub fn weight(&self, weight: Weight) -> (&'static str, Style) {
        match weight {
            Weight::Good => ("+", self.good),
            Weight::Info => (" ", self.text),
            Weight::Warning => ("!", self.warn),
            Weight::Bad => ("!!", self.bad),
        }
    }

    /// The name of a cluster, in its colour where there are colours.
    pub fn cluster(&self, colour: Option<Colour>) -> Style {
        let has_colours = self.good != self.text;
        let colour = colour.filter(|_| has_colours).map(|colour| match colour {
            Colour::Red => Color::Red,
            Colour::Green => Color::Green,
            Colour::Yellow => Color::Yellow,
            Colour::Blue => Color::Blue,
            Colour::Magenta => Color::Magenta,
            Colour::Cyan => Color::Cyan,
            Colour::White => Color::Gray,
        });
        colour.map_or(self.title, |colour| self.title.fg(colour))
    }

    pub fn new(name: ThemeName) -> Self {
        let plain = Style::new();
        let bold = plain.add_modifier(Modifier::BOLD);
        let mono = Self {
            text: plain,
            dim: plain.add_modifier(Modifier::DIM),
            header: bold,
            accent: bold,
            good: plain,
            warn: bold,
            bad: bold.add_modifier(Modifier::UNDERLINED),
            // Colours of single cells would become blocks of background where reversed.
            selected: plain
                .fg(Color::Reset)
                .bg(Color::Reset)
                .add_modifier(Modifier::REVERSED),
            marked: bold,
            border: plain.add_modifier(Modifier::DIM),
            key: bold,
            title: bold,
        };
        let dark = Self {
            dim: plain.fg(Color::DarkGray),
            header: bold.fg(Color::Cyan),
            accent: bold.fg(Color::Cyan),
            good: plain.fg(Color::Green),
            warn: plain.fg(Color::Yellow),
            bad: bold.fg(Color::Red),
            marked: bold.fg(Color::Magenta),
            border: plain.fg(Color::DarkGray),
            key: plain.fg(Color::Cyan),
            ..mono
        };
        match name {
            ThemeName::Mono => mono,
            ThemeName::Dark => dark,
            ThemeName::Light => Self {
                header: bold.fg(Color::Blue),
                accent: bold.fg(Color::Blue),
                warn: bold.fg(Color::Magenta),
                key: plain.fg(Color::Blue),
                ..dark
            },
        }
    }
}
