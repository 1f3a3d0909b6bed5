//! Checks the literal of `schedule`, with the feature of that name.
//!
//! The grammar is that of `metrics_push::Job::schedule`, which uses a library for cron expressions. A test compares both.

const SHORT_FORMS: [&str; 7] =
    ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

struct Field {
    name: &'static str,
    /// The values, for messages.
    values: &'static str,
    min: u64,
    max: u64,
    /// Names of values. The first one is that of the smallest value.
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", values: "0-59", min: 0, max: 59, names: &[] },
    Field { name: "hour", values: "0-23", min: 0, max: 23, names: &[] },
    Field { name: "day of month", values: "1-31", min: 1, max: 31, names: &[] },
    Field {
        name: "month",
        values: "1-12 or JAN-DEC",
        min: 1,
        max: 12,
        names: &[
            "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
        ],
    },
    Field {
        name: "day of week",
        values: "0-7 or SUN-SAT",
        min: 0,
        max: 7,
        names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
    },
];

/// Returns why an expression is invalid, with the remedy. An expression that is not a literal is checked when a run starts.
pub(crate) fn check(literal: Option<&str>) -> Result<(), String> {
    let Some(expression) = literal else { return Ok(()) };
    if SHORT_FORMS.contains(&expression.trim()) {
        return Ok(());
    }
    let fields: Vec<&str> = expression.split_ascii_whitespace().collect();
    if fields.len() != FIELDS.len() {
        let remedy = "write for example \"0 3 * * 1-5\" or \"@daily\"";
        return Err(format!(
            "invalid schedule {expression:?}: expected five fields or a short form; {remedy}"
        ));
    }
    let invalid = FIELDS.iter().zip(fields).find(|(field, text)| !field.accepts(text));
    invalid.map_or(Ok(()), |(Field { name, values, .. }, text)| {
        Err(format!(
            "invalid schedule {expression:?}: invalid {name} {text:?}; use {values}, in lists, ranges and steps such as 1,3, 1-5 and */2"
        ))
    })
}

impl Field {
    fn accepts(&self, text: &str) -> bool {
        text.split(',').all(|item| {
            let (range, step) =
                item.split_once('/').map_or((item, None), |(range, step)| (range, Some(step)));
            self.accepts_range(range) && step.is_none_or(|step| self.accepts_step(step))
        })
    }

    /// Returns true for `*`, `1` and `1-5`.
    fn accepts_range(&self, text: &str) -> bool {
        match text.split_once('-') {
            Some((first, last)) => {
                let ends = self.value(first).zip(self.value(last));
                ends.is_some_and(|(first, last)| first <= last)
            }
            None => text == "*" || self.value(text).is_some(),
        }
    }

    fn accepts_step(&self, text: &str) -> bool {
        number(text).is_some_and(|step| (1..=self.max).contains(&step))
    }

    fn value(&self, text: &str) -> Option<u64> {
        let name =
            self.names.iter().zip(self.min..).find(|(name, _)| name.eq_ignore_ascii_case(text));
        name.map(|(_, value)| value)
            .or_else(|| number(text).filter(|value| (self.min..=self.max).contains(value)))
    }
}

fn number(text: &str) -> Option<u64> {
    // `parse` accepts a sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}
