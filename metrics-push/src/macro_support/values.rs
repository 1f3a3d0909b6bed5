//! Label values of a call: texts as they are, and whatever else as it shows itself.
//!
//! What is a text is told as a result's outcome is (see [`judge`](super::judge())): by method lookup. To have a text
//! show itself would take longer than to find its series.

use std::cell::Cell;
use std::fmt::{Display, Write as _};
use std::ops::Deref;

use crate::metrics::Values;

/// The value of a label, for this call.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    /// A text.
    Text(&'a str),
    /// Anything else.
    Shown(&'a dyn Display),
}

/// Asks `.value()` of an expression of any type that can be shown.
#[inline]
pub fn label<T: ?Sized>(value: &T) -> <T as Labelled>::Label<'_> {
    value.label()
}

/// Anything at all, so that of an expression with a mistake of its own the compiler says that mistake alone: its type
/// is unknown, and so is then the type of its label, of which no method is looked up.
pub trait Labelled {
    /// [`Label`].
    type Label<'a>
    where
        Self: 'a;

    /// Makes it.
    fn label(&self) -> Self::Label<'_>;
}

impl<T: ?Sized> Labelled for T {
    type Label<'a>
        = Label<'a, T>
    where
        Self: 'a;

    #[inline]
    fn label(&self) -> Label<'_, T> {
        Label(Shown(self))
    }
}

/// The first step: texts.
#[derive(Debug)]
pub struct Label<'a, T: ?Sized>(Shown<'a, T>);

/// The last step: whatever else there is.
#[derive(Debug)]
pub struct Shown<'a, T: ?Sized>(&'a T);

impl Label<'_, str> {
    /// The text.
    #[inline]
    #[must_use]
    pub const fn value(&self) -> Value<'_> {
        Value::Text(self.0.0)
    }
}

impl Label<'_, &str> {
    /// The text.
    #[inline]
    #[must_use]
    pub const fn value(&self) -> Value<'_> {
        Value::Text(self.0.0)
    }
}

impl Label<'_, String> {
    /// The text.
    #[inline]
    #[must_use]
    pub const fn value(&self) -> Value<'_> {
        Value::Text(self.0.0.as_str())
    }
}

impl Label<'_, &String> {
    /// The text.
    #[inline]
    #[must_use]
    pub const fn value(&self) -> Value<'_> {
        Value::Text(self.0.0.as_str())
    }
}

impl<T: ?Sized> Shown<'_, T> {
    /// What is to be shown.
    // The bound is the method's: as one of the block, it would hide the method where it doesn't hold, and the
    // compiler would speak of methods instead of what can't be shown.
    #[inline]
    #[must_use]
    pub const fn value(&self) -> Value<'_>
    where
        T: Display,
    {
        Value::Shown(&self.0)
    }
}

impl<'a, T: ?Sized> Deref for Label<'a, T> {
    type Target = Shown<'a, T>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// The values, if all of them are texts.
#[inline]
pub(super) fn texts<'v>(values: &'v [Value<'v>]) -> Option<impl Values<'v>> {
    let text = |value: &Value<'v>| match value {
        Value::Text(text) => Some(*text),
        Value::Shown(_) => None,
    };
    values.iter().all(|value| text(value).is_some()).then(|| values.iter().filter_map(text))
}

/// Values as they show themselves, one after the other.
#[derive(Default)]
pub(super) struct Rendered {
    text: String,
    /// Where each value ends.
    ends: Vec<usize>,
}

thread_local! {
    // Taken while in use: a value's `Display` may lead here again.
    static SPARE: Cell<Rendered> = const { Cell::new(Rendered::new()) };
}

impl Rendered {
    const fn new() -> Self {
        Self { text: String::new(), ends: Vec::new() }
    }

    /// Has the values show themselves, looks at them, and keeps the memory for the next call on this thread.
    pub(super) fn with<R>(values: &[Value<'_>], look: impl FnOnce(&Self) -> R) -> R {
        // Out of reach only in a thread's last moments: then there is no memory to keep.
        let mut rendered = SPARE.try_with(Cell::take).unwrap_or_default();
        rendered.text.clear();
        rendered.ends.clear();
        values.iter().for_each(|value| rendered.push(*value));
        let found = look(&rendered);
        let _ = SPARE.try_with(|spare| spare.set(rendered));
        found
    }

    fn push(&mut self, value: Value<'_>) {
        match value {
            Value::Text(text) => self.text.push_str(text),
            Value::Shown(value) => {
                // What a `Display` wrote before it failed is all there is to show.
                let _ = write!(self.text, "{value}");
            }
        }
        self.ends.push(self.text.len());
    }

    pub(super) fn values(&self) -> impl Values<'_> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.text[start..*end])
    }
}
