//! Compares the two readers of durations: that of the attributes, and that of variables and the command.

use std::time::Duration;

use metrics_push::parse_duration;
use proc_macro2::Span;
use syn::LitStr;

#[path = "../../metrics-push-macros/src/duration.rs"]
#[expect(dead_code, reason = "the attributes use the rest")]
mod attributes;

/// Texts, and the milliseconds that they mean.
const DURATIONS: &[(&str, Option<u64>)] = &[
    ("10s", Some(10_000)),
    ("1500ms", Some(1_500)),
    ("2m", Some(120_000)),
    ("24h", Some(86_400_000)),
    ("7d", Some(604_800_000)),
    ("1h30m", Some(5_400_000)),
    ("1.5h", Some(5_400_000)),
    (".5s", Some(500)),
    ("0.5", Some(500)),
    ("90", Some(90_000)),
    ("1e3", Some(1_000_000)),
    (" 1.5 h ", Some(5_400_000)),
    ("1h 30m", Some(5_400_000)),
    ("30m1h", Some(5_400_000)),
    ("1m1m", Some(120_000)),
    ("+5s", Some(5_000)),
    ("1d2h3m4s5ms", Some(93_784_005)),
    ("", None),
    (" ", None),
    ("0", None),
    ("0h", None),
    ("s", None),
    ("-1s", None),
    ("-1", None),
    ("1h-5m", None),
    ("1 fortnight", None),
    ("1H", None),
    ("1us", None),
    ("1h30", None),
    ("1,5h", None),
    ("1_000s", None),
    ("NaN", None),
    ("inf", None),
    ("1e400", None),
    ("99999999999999999999d", None),
    ("1.5.5h", None),
    ("٣s", None),
    ("1h\0", None),
];

#[test]
fn duration_grammar_is_the_same_in_attributes_and_variables() {
    for (text, milliseconds) in DURATIONS {
        let expected = milliseconds.map(Duration::from_millis);
        let attribute = attributes::parse_literal(&LitStr::new(text, Span::call_site())).ok();
        assert_eq!(attribute, expected, "attribute: {text:?}");
        assert_eq!(parse_duration(text).ok(), expected, "variable: {text:?}");
    }
}
