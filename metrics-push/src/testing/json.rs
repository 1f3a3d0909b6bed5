//! The answers of the query API, written as JSON without a library.
//!
//! Shape and field names are those of Pushgateway 1.5.1, down to numbers that are strings.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use super::family::{Family, Labels, Metric, Value};
use super::go_format::{lossy, print_float};
use super::path::Key;
use super::store::{FAILURE_TIME, Families, PUSH_TIME, Store, Timed};

/// What `/api/v1/metrics` answers.
pub(super) fn metrics(store: &Store) -> String {
    let groups: Vec<_> =
        store.groups().iter().map(|(key, families)| group(key, families)).collect();
    success(&format!("[{}]", groups.join(",")))
}

/// What `/api/v1/status` answers.
pub(super) fn status(started: SystemTime, flags: &BTreeMap<String, String>) -> String {
    let build = BTreeMap::from([
        ("version".to_owned(), quote("1.5.1")),
        ("revision".to_owned(), quote("metrics-push FakeGateway")),
    ]);
    let flags = flags.iter().map(|(name, value)| (name.clone(), quote(value))).collect();
    success(&object(&BTreeMap::from([
        ("flags".to_owned(), object(&flags)),
        ("start_time".to_owned(), quote(&rfc3339(started))),
        ("build_information".to_owned(), object(&build)),
    ])))
}

fn success(data: &str) -> String {
    format!("{{\"status\":\"success\",\"data\":{data}}}")
}

fn group(key: &Key, families: &Families) -> String {
    let labels = key.iter().map(|(name, value)| (name.clone(), lossy(value))).collect();
    let failed = stamp_of(families, FAILURE_TIME) > stamp_of(families, PUSH_TIME);
    let mut fields = BTreeMap::from([
        ("labels".to_owned(), strings(&labels)),
        ("last_push_successful".to_owned(), (!failed).to_string()),
    ]);
    // A family may have the name of one of the fields above, and then it wins.
    fields.extend(families.iter().map(|(name, timed)| (name.clone(), family(timed))));
    object(&fields)
}

fn stamp_of(families: &Families, name: &str) -> f64 {
    match families.get(name).and_then(|timed| timed.family.metrics.first()) {
        Some(Metric { value: Value::Number(seconds), .. }) => *seconds,
        _ => 0.0,
    }
}

fn family(Timed { family, at }: &Timed) -> String {
    let Family { help, kind, metrics, .. } = family;
    let metrics: Vec<_> = metrics.iter().map(metric).collect();
    let mut fields = BTreeMap::from([
        ("time_stamp".to_owned(), quote(&rfc3339(*at))),
        ("type".to_owned(), quote(&kind.word().to_uppercase())),
        ("metrics".to_owned(), format!("[{}]", metrics.join(","))),
    ]);
    if !help.is_empty() {
        fields.insert("help".into(), quote(help));
    }
    object(&fields)
}

fn metric(metric: &Metric) -> String {
    let mut fields = BTreeMap::from([("labels".to_owned(), strings(&metric.labels))]);
    let mut field = |name: &str, value: String| fields.insert(name.to_owned(), value);
    match &metric.value {
        Value::Number(value) => {
            field("value", quote(&print_float(*value)));
        }
        Value::Histogram { buckets, sum, count } => {
            let buckets =
                buckets.iter().map(|(bound, count)| (print_float(*bound), count.to_string()));
            field("buckets", strings(&buckets.collect()));
            field("sum", quote(&print_float(*sum)));
            field("count", quote(&count.to_string()));
        }
        Value::Summary { quantiles, sum, count } => {
            let quantiles =
                quantiles.iter().map(|(rank, value)| (print_float(*rank), print_float(*value)));
            field("quantiles", strings(&quantiles.collect()));
            field("sum", quote(&print_float(*sum)));
            field("count", quote(&count.to_string()));
        }
    }
    object(&fields)
}

fn strings(map: &Labels) -> String {
    object(&map.iter().map(|(name, value)| (name.clone(), quote(value))).collect())
}

/// An object whose values are JSON already.
fn object(fields: &BTreeMap<String, String>) -> String {
    let fields: Vec<_> =
        fields.iter().map(|(name, value)| format!("{}:{value}", quote(name))).collect();
    format!("{{{}}}", fields.join(","))
}

fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\0'..='\x1f' => quoted.push_str(&format!("\\u{:04x}", u32::from(character))),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

/// A time in UTC, to the nanosecond.
fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let nanos = since.subsec_nanos();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
}

/// The date that many days after the first of January 1970.
///
/// The year is taken to begin in March, so that the leap day comes last.
const fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right_around_leap_days() {
        for (days, expected) in [
            (0, (1970, 1, 1)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (20_779, (2026, 11, 22)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(date(days), expected, "{days}");
        }
    }

    #[test]
    fn text_is_quoted_so_that_any_reader_gets_it_back() {
        let text = "a\"b\\c\nd\te\u{1}é";
        assert_eq!(quote(text), r#""a\"b\\c\nd\u0009e\u0001é""#);
    }
}
