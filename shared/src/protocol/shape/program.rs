//! Turns a layout of the table at one version into a list of steps.
//!
//! Fields of fixed size that follow each other are one step, and an array of elements of fixed size
//! is passed over in one step, so that walking a message costs little more than reading its
//! lengths. The notation is described in `table.rs`; it is data of this crate, so a mistake in it
//! is a panic, and a test compiles every layout at every version.

/// What to do at a place of a message.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// So many bytes that can have any value.
    Skip(u32),
    String(Length),
    Bytes(Length),
    Array(Box<Array>),
    /// A byte that says whether the struct is there, then the struct.
    MaybeStruct(Box<[Step]>),
    /// The tagged fields at the end of a struct; those that are known.
    Tagged(Box<[Tagged]>),
}

/// How a length is written, and whether there may be none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Length {
    Int16 { nullable: bool },
    Int32 { nullable: bool },
    Compact { nullable: bool },
}

impl Length {
    #[inline]
    pub(super) fn is_nullable(self) -> bool {
        match self {
            Length::Int16 { nullable } | Length::Int32 { nullable } => nullable,
            Length::Compact { nullable } => nullable,
        }
    }
}

#[derive(Debug, PartialEq)]
pub(super) struct Array {
    pub(super) length: Length,
    /// The bytes of the smallest element; at least one.
    pub(super) element_bytes_min: usize,
    /// Every element has `element_bytes_min` bytes and there is nothing to check in it.
    pub(super) is_fixed: bool,
    /// An element takes more memory when decoded than it has bytes.
    pub(super) is_counted: bool,
    pub(super) element: Box<[Step]>,
}

#[derive(Debug, PartialEq)]
pub(super) struct Tagged {
    pub(super) tag: u32,
    pub(super) steps: Box<[Step]>,
}

/// The steps of a whole message.
#[derive(Debug, PartialEq)]
pub(super) struct Program {
    pub(super) steps: Box<[Step]>,
}

/// The steps of `text` at `version`, which has compact lengths from `first_flexible` on.
pub(super) fn compile(text: &str, version: i16, first_flexible: i16) -> Program {
    let mut parser = Parser {
        text: text.as_bytes(),
        at: 0,
        version,
        first_flexible,
    };
    let steps = parser.fields();
    assert!(
        parser.at == text.len(),
        "layout {text} ends at {}",
        parser.at
    );
    Program {
        steps: steps.into(),
    }
}

/// A field's type, before it is known whether the version has the field.
enum Kind {
    Fixed(u32),
    String,
    Bytes,
    Array(Box<Kind>),
    Struct(Vec<Step>),
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    version: i16,
    first_flexible: i16,
}

impl Parser<'_> {
    fn is_flexible(&self) -> bool {
        self.version >= self.first_flexible
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn accept(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// The fields of a struct, up to its closing bracket or the end of the text.
    fn fields(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut tagged = Vec::new();
        while self.peek().is_some_and(|byte| byte != b')') {
            self.field(&mut steps, &mut tagged);
            self.accept(b' ');
        }
        if self.is_flexible() {
            steps.push(Step::Tagged(tagged.into()));
        }
        steps
    }

    fn field(&mut self, steps: &mut Vec<Step>, tagged: &mut Vec<Tagged>) {
        let kind = self.kind();
        let nullable = self.accept(b'?') && self.range();
        let tag = self.accept(b'#').then(|| self.number() as u32);
        let is_present = !self.accept(b'@') || self.range();
        if !is_present {
            return;
        }
        match tag {
            None => self.emit(kind, nullable, steps),
            Some(tag) => {
                let mut contents = Vec::new();
                self.emit(kind, nullable, &mut contents);
                tagged.push(Tagged {
                    tag,
                    steps: contents.into(),
                });
            }
        }
    }

    fn kind(&mut self) -> Kind {
        let byte = self.peek().expect("a field has a type");
        self.at += 1;
        match byte {
            b'b' => Kind::Fixed(1),
            b'h' => Kind::Fixed(2),
            b'i' => Kind::Fixed(4),
            b'l' => Kind::Fixed(8),
            b'u' => Kind::Fixed(16),
            b's' => Kind::String,
            b'y' => Kind::Bytes,
            b'[' => {
                let element = self.kind();
                assert!(self.accept(b']'), "an array is closed");
                Kind::Array(Box::new(element))
            }
            b'(' => {
                let steps = self.fields();
                assert!(self.accept(b')'), "a struct is closed");
                Kind::Struct(steps)
            }
            other => panic!("layout has no type {}", char::from(other)),
        }
    }

    fn number(&mut self) -> i16 {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        let digits = std::str::from_utf8(&self.text[start..self.at]).expect("digits are text");
        digits.parse().expect("a layout's numbers are small")
    }

    /// Whether the version is in the range that follows; no range is every version.
    fn range(&mut self) -> bool {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return true;
        }
        let first = self.number();
        let last = if self.accept(b'-') {
            self.number()
        } else {
            assert!(self.accept(b'+'), "a range has an end or a plus");
            i16::MAX
        };
        (first..=last).contains(&self.version)
    }

    fn length(&self, is_string: bool, nullable: bool) -> Length {
        match (self.is_flexible(), is_string) {
            (true, _) => Length::Compact { nullable },
            (false, true) => Length::Int16 { nullable },
            (false, false) => Length::Int32 { nullable },
        }
    }

    /// Adds the steps of a field that the version has.
    fn emit(&self, kind: Kind, nullable: bool, steps: &mut Vec<Step>) {
        match kind {
            Kind::Fixed(count) => push(steps, Step::Skip(count)),
            Kind::String => steps.push(Step::String(self.length(true, nullable))),
            Kind::Bytes => steps.push(Step::Bytes(self.length(false, nullable))),
            Kind::Struct(body) if nullable => steps.push(Step::MaybeStruct(body.into())),
            Kind::Struct(body) => body.into_iter().for_each(|step| push(steps, step)),
            Kind::Array(element) => {
                let is_counted = !matches!(*element, Kind::Fixed(_));
                let mut body = Vec::new();
                self.emit(*element, false, &mut body);
                steps.push(Step::Array(Box::new(Array {
                    length: self.length(false, nullable),
                    element_bytes_min: bytes_min(&body).max(1),
                    is_fixed: matches!(body[..], [Step::Skip(_)]),
                    is_counted,
                    element: body.into(),
                })));
            }
        }
    }
}

/// Appends a step; bytes to skip are joined to those of the step before.
fn push(steps: &mut Vec<Step>, step: Step) {
    match (steps.last_mut(), &step) {
        (Some(Step::Skip(before)), Step::Skip(count)) => *before += count,
        _ => steps.push(step),
    }
}

/// The fewest bytes that can be walked by these steps.
fn bytes_min(steps: &[Step]) -> usize {
    let length_bytes = |length: &Length| match length {
        Length::Int16 { .. } => 2,
        Length::Int32 { .. } => 4,
        Length::Compact { .. } => 1,
    };
    let step_bytes = |step: &Step| match step {
        Step::Skip(count) => *count as usize,
        Step::String(length) | Step::Bytes(length) => length_bytes(length),
        Step::Array(array) => length_bytes(&array.length),
        Step::MaybeStruct(_) | Step::Tagged(_) => 1,
    };
    steps.iter().map(step_bytes).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_becomes_few_steps() {
        let string = Step::String(Length::Int16 { nullable: false });
        assert_eq!(
            *compile("i h@2+ b l@1-1 s", 1, 9).steps,
            [Step::Skip(13), string]
        );
        let array = |length, element: Vec<Step>, element_bytes_min, is_fixed, is_counted| {
            let element = element.into();
            let array = Array {
                length,
                element_bytes_min,
                is_fixed,
                is_counted,
                element,
            };
            Step::Array(Box::new(array))
        };
        let plain = Length::Int32 { nullable: false };
        let nullable = Length::Int32 { nullable: true };
        assert_eq!(
            *compile("[i] [(i i)]?1+ [s]", 1, 9).steps,
            [
                array(plain, vec![Step::Skip(4)], 4, true, false),
                array(nullable, vec![Step::Skip(8)], 8, true, true),
                array(
                    plain,
                    vec![Step::String(Length::Int16 { nullable: false })],
                    2,
                    false,
                    true
                ),
            ]
        );
        let tags = || Step::Tagged(Box::new([]));
        let compact = Length::Compact { nullable: false };
        let tagged = Tagged {
            tag: 1,
            steps: [Step::Skip(4), tags()].into(),
        };
        assert_eq!(
            *compile("[(b)] (i)#1@2+", 2, 2).steps,
            [
                array(compact, vec![Step::Skip(1), tags()], 2, false, true),
                Step::Tagged([tagged].into()),
            ]
        );
    }
}
