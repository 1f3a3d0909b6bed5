//! `LabelValue`: a label value of a call. A text is used in place. Any other value is rendered through `Display`.
//!
//! Autoderef specialisation: method lookup for `label(&value).value()` tries [`ViaText`], which is implemented for
//! texts only, and then [`ViaDisplay`]. Texts are not rendered, because that would take longer than finding the series.

use std::cell::Cell;
use std::fmt::Display;
use std::ops::Deref;

use crate::label_text::{Rendering, append, is_bounded};
use crate::metrics::ValueIter;

/// The value of a label for one call.
#[derive(Clone, Copy)]
pub enum LabelValue<'a> {
    /// A text, used in place.
    Text(&'a str),
    /// Any other value, rendered before the look-up.
    Display(&'a dyn Display),
}

/// Wraps the expression of a label, of any type that implements `Display`. Expansions call `value` on the result.
#[inline]
pub const fn label<T: ?Sized>(value: &T) -> ViaText<'_, T> {
    ViaText(ViaDisplay(value))
}

/// A type that contains its text.
pub trait AsText {
    /// Returns the text.
    fn as_text(&self) -> &str;
}

impl AsText for str {
    #[inline]
    fn as_text(&self) -> &str {
        self
    }
}

impl AsText for String {
    #[inline]
    fn as_text(&self) -> &str {
        self
    }
}

impl<T: AsText + ?Sized> AsText for &T {
    #[inline]
    fn as_text(&self) -> &str {
        (**self).as_text()
    }
}

/// The first step of method lookup: texts.
#[derive(Debug)]
pub struct ViaText<'a, T: ?Sized>(ViaDisplay<'a, T>);

/// The last step of method lookup: every other type.
#[derive(Debug)]
pub struct ViaDisplay<'a, T: ?Sized>(&'a T);

// The bound is on the `impl`, so that method lookup skips this method for other types.
impl<T: AsText + ?Sized> ViaText<'_, T> {
    /// Returns the text.
    #[inline]
    #[must_use]
    pub fn value(&self) -> LabelValue<'_> {
        LabelValue::Text(self.0.0.as_text())
    }
}

impl<T: ?Sized> ViaDisplay<'_, T> {
    /// Returns the value, which is rendered later.
    // The bound is on the method, so that the compiler reports a missing `Display` instead of a missing method.
    #[inline]
    #[must_use]
    pub const fn value(&self) -> LabelValue<'_>
    where
        T: Display,
    {
        LabelValue::Display(&self.0)
    }
}

impl<'a, T: ?Sized> Deref for ViaText<'a, T> {
    type Target = ViaDisplay<'a, T>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// Returns the values if all of them are texts of a permitted length.
#[inline]
pub(super) fn as_texts<'v>(values: &'v [LabelValue<'v>]) -> Option<impl ValueIter<'v>> {
    let text = |value: &LabelValue<'v>| match value {
        LabelValue::Text(text) if is_bounded(text) => Some(*text),
        _ => None,
    };
    values.iter().all(|value| text(value).is_some()).then(|| values.iter().filter_map(text))
}

/// Rendered label values, stored one after the other.
#[derive(Default)]
pub(super) struct RenderedValues {
    text: String,
    /// The position after each value.
    ends: Vec<usize>,
}

thread_local! {
    // Empty while the buffer is in use: a `Display` implementation may call a function with labels.
    static BUFFER: Cell<RenderedValues> = const { Cell::new(RenderedValues::new()) };
}

impl RenderedValues {
    const fn new() -> Self {
        Self { text: String::new(), ends: Vec::new() }
    }

    /// Renders the values, calls `access` with them, and stores the buffer for the next call on this thread. Calls
    /// `on_problem` with the positions of the values that it changes.
    pub(super) fn with<R>(
        values: &[LabelValue<'_>],
        on_problem: impl Fn(usize, Rendering),
        access: impl FnOnce(&Self) -> R,
    ) -> R {
        // The buffer is not accessible after its destructor has run.
        let mut rendered = BUFFER.try_with(Cell::take).unwrap_or_default();
        rendered.text.clear();
        rendered.ends.clear();
        for (position, value) in values.iter().enumerate() {
            let rendering = rendered.push(*value);
            if rendering != Rendering::Whole {
                on_problem(position, rendering);
            }
        }
        let result = access(&rendered);
        let _ = BUFFER.try_with(|buffer| buffer.set(rendered));
        result
    }

    fn push(&mut self, value: LabelValue<'_>) -> Rendering {
        let rendering = match value {
            LabelValue::Text(text) if is_bounded(text) => {
                self.text.push_str(text);
                Rendering::Whole
            }
            LabelValue::Text(text) => append(&mut self.text, &text),
            LabelValue::Display(value) => append(&mut self.text, value),
        };
        self.ends.push(self.text.len());
        rendering
    }

    pub(super) fn iter(&self) -> impl ValueIter<'_> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.text[start..*end])
    }
}
