//! Paths into JSON: `customer.address[0]["zip code"]`, with `*` for any field or element.

use serde_json::Value;

/// Values that a path with `*` can lead to at most.
const FOUND_MAX: usize = 10_000;

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Index(usize),
    Any,
}

/// A path that was understood.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JsonPath(Vec<Step>);

impl JsonPath {
    /// Reads a path; `$` before it and the first point may be left out.
    ///
    /// # Errors
    /// What can't be understood of it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text.trim().trim_start_matches('$');
        let mut steps = Vec::new();
        let fail = |rest: &str| format!("the path \"{text}\" can't be read at \"{rest}\"");
        while !rest.is_empty() {
            if let Some(inner) = rest.strip_prefix('[') {
                let (step, after) = bracket(inner).ok_or_else(|| fail(rest))?;
                steps.push(step);
                rest = after;
                continue;
            }
            let name = rest.strip_prefix('.').unwrap_or(rest);
            let end = name.find(['.', '[']).unwrap_or(name.len());
            let (name, after) = name.split_at(end);
            match name {
                "" => return Err(fail(rest)),
                "*" => steps.push(Step::Any),
                name => steps.push(Step::Field(name.to_owned())),
            }
            rest = after;
        }
        Ok(Self(steps))
    }

    /// The values that it leads to.
    pub fn find<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        let mut found = vec![value];
        for step in &self.0 {
            let mut next = Vec::new();
            for value in found {
                match (step, value) {
                    (Step::Field(name), Value::Object(fields)) => next.extend(fields.get(name)),
                    (Step::Index(at), Value::Array(items)) => next.extend(items.get(*at)),
                    (Step::Any, Value::Object(fields)) => next.extend(fields.values()),
                    (Step::Any, Value::Array(items)) => next.extend(items),
                    _ => {}
                }
                if next.len() > FOUND_MAX {
                    break;
                }
            }
            found = next;
        }
        found
    }
}

/// What stands between brackets, and what follows them.
fn bracket(inner: &str) -> Option<(Step, &str)> {
    if let Some(rest) = inner.strip_prefix("*]") {
        return Some((Step::Any, rest));
    }
    for quote in ['"', '\''] {
        if let Some(rest) = inner.strip_prefix(quote) {
            let (name, rest) = rest.split_once(quote)?;
            return Some((Step::Field(name.to_owned()), rest.strip_prefix(']')?));
        }
    }
    let (number, rest) = inner.split_once(']')?;
    Some((Step::Index(number.trim().parse().ok()?), rest))
}
