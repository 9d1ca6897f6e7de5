//! The filter of a list by the names of its rows.

/// What `/` was given: text that must be part of the name; `!` in front turns it round.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    text: String,
    lower: String,
    inverse: bool,
    exact_case: bool,
}

impl Filter {
    pub fn new(text: &str) -> Self {
        let (inverse, wanted) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        Self {
            text: text.to_owned(),
            lower: wanted.to_lowercase(),
            inverse,
            // Small letters find both, as in vim's smartcase.
            exact_case: wanted.chars().any(char::is_uppercase),
        }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn is_empty(&self) -> bool {
        self.lower.is_empty()
    }

    pub fn accepts(&self, name: &str) -> bool {
        if self.is_empty() {
            return true;
        }
        let wanted = self.text.strip_prefix('!').unwrap_or(&self.text);
        let found = if self.exact_case {
            name.contains(wanted)
        } else if name.is_ascii() {
            contains_ignoring_case(name.as_bytes(), self.lower.as_bytes())
        } else {
            name.to_lowercase().contains(&self.lower)
        };
        found != self.inverse
    }
}

fn contains_ignoring_case(name: &[u8], lower: &[u8]) -> bool {
    name.windows(lower.len())
        .any(|part| part.eq_ignore_ascii_case(lower))
}
