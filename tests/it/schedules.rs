//! Compares the check of schedules at compile time with the parser that runs use.

use metrics_push::__private::check_schedule;
use proptest::prelude::*;

#[path = "../../metrics-push-macros/src/cron.rs"]
mod attributes;

#[path = "../../metrics-push-macros/src/cron_disabled.rs"]
mod attributes_without_schedules;

/// Expressions, and whether they are valid.
const EXPRESSIONS: &[(&str, bool)] = &[
    ("0 3 * * 1-5", true),
    ("*/15 0-23/2 1,15 jan-MAR sun", true),
    (" 5  4\t3 2 1 ", true),
    ("5/10 0 * * *", true),
    ("00 03 01 01 07", true),
    ("0 0 31 2 *", true),
    ("@daily", true),
    ("@reboot", false),
    ("@DAILY", false),
    ("", false),
    ("* * * *", false),
    ("* * * * * *", false),
    ("0 3 * * * UTC", false),
    ("60 * * * *", false),
    ("* 24 * * *", false),
    ("* * 0 * *", false),
    ("* * 32 * *", false),
    ("* * * 13 *", false),
    ("* * * * 8", false),
    ("5-1 * * * *", false),
    ("*/0 * * * *", false),
    ("*/60 * * * *", false),
    ("1, * * * *", false),
    (",1 * * * *", false),
    ("1-2-3 * * * *", false),
    ("1/2/3 * * * *", false),
    ("+1 * * * *", false),
    ("-1 * * * *", false),
    ("*5 * * * *", false),
    ("** * * * *", false),
    ("? * * * *", false),
    ("H * * * *", false),
    ("* * L * *", false),
    ("* * 15W * *", false),
    ("* * * * 5L", false),
    ("* * * * 5#3", false),
    ("* * * JANUARY *", false),
    ("* * * * MONDAY", false),
    ("* * * MON *", false),
    ("JAN * * * *", false),
    ("99999999999999999999 * * * *", false),
    ("\u{0663} * * * *", false),
    ("0 3 * * 1\u{a0}", false),
];

#[test]
fn expressions_are_valid_in_attributes_if_they_are_at_run_time() {
    for (expression, is_valid) in EXPRESSIONS {
        let attribute = attributes::check(Some(expression));
        assert_eq!(attribute.is_ok(), *is_valid, "attribute: {expression:?}: {attribute:?}");
        let run = check_schedule(expression);
        assert_eq!(run.is_ok(), *is_valid, "run: {expression:?}: {run:?}");
        if let (Err(attribute), Err(run)) = (attribute, run) {
            assert_eq!(attribute, run.to_string());
        }
    }
}

proptest! {
    #[test]
    fn any_expression_has_the_same_result_in_attributes_and_at_run_time(
        fields in proptest::collection::vec("[0-9*/,-]{1,6}|[A-Z]{3}|[A-Za-z0-9#-]{1,5}", 4..7),
    ) {
        let expression = fields.join(" ");
        let attribute = attributes::check(Some(&expression));
        let run = check_schedule(&expression).map_err(|error| error.to_string());
        prop_assert_eq!(attribute, run);
    }
}

#[test]
fn schedule_without_its_feature_is_an_error_that_names_it() {
    for literal in [Some("@daily"), None] {
        let error = attributes_without_schedules::check(literal).unwrap_err();
        assert!(error.contains("needs the feature `schedule` of metrics-push"), "{error}");
    }
    assert!(attributes::check(None).is_ok());
}
