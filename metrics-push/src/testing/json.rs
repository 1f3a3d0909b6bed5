//! The responses of the query API, with the shape and field names of Pushgateway 1.5.1.
//!
//! As in the real gateway, numbers are strings and objects have sorted keys.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::family::{Metric, MetricValue};
use super::go_format::{format_float, lossy};
use super::path::GroupKey;
use super::store::{FAILURE_TIME, GroupFamilies, GroupStore, PUSH_TIME, PushedFamily};

/// The response of `/api/v1/metrics`.
pub(super) fn metrics(store: &GroupStore) -> String {
    success(&store.groups().iter().map(|(key, families)| group(key, families)).collect())
}

/// The response of `/api/v1/status`.
pub(super) fn status(started: SystemTime, flags: &BTreeMap<String, String>) -> String {
    success(&json!({
        "build_information": { "revision": "metrics-push FakeGateway", "version": "1.5.1" },
        "flags": flags,
        "start_time": rfc3339(started),
    }))
}

fn success(data: &Value) -> String {
    format!(r#"{{"status":"success","data":{data}}}"#)
}

fn group(key: &GroupKey, families: &GroupFamilies) -> Value {
    let is_failed = timestamp(families, FAILURE_TIME) > timestamp(families, PUSH_TIME);
    let mut fields = Map::new();
    fields.insert("labels".into(), object(key.iter().map(|(name, value)| (name, lossy(value)))));
    fields.insert("last_push_successful".into(), (!is_failed).into());
    // A family replaces a field with the same name, as in the real gateway.
    fields.extend(families.iter().map(|(name, pushed)| (name.clone(), family(pushed))));
    Value::Object(fields)
}

fn timestamp(families: &GroupFamilies, name: &str) -> f64 {
    match families.get(name).and_then(|pushed| pushed.family.metrics.first()) {
        Some(Metric { value: MetricValue::Number(seconds), .. }) => *seconds,
        _ => 0.0,
    }
}

fn family(PushedFamily { family, pushed_at }: &PushedFamily) -> Value {
    let mut fields = json!({
        "metrics": family.metrics.iter().map(metric).collect::<Value>(),
        "time_stamp": rfc3339(*pushed_at),
        "type": family.kind.word().to_uppercase(),
    });
    if !family.help.is_empty() {
        fields["help"] = family.help.as_str().into();
    }
    fields
}

fn metric(metric: &Metric) -> Value {
    let labels = &metric.labels;
    match &metric.value {
        MetricValue::Number(value) => json!({ "labels": labels, "value": format_float(*value) }),
        MetricValue::Histogram { buckets, sum, count } => json!({
            "buckets": object(buckets.iter().map(|(bound, n)| (format_float(*bound), n.to_string()))),
            "count": count.to_string(),
            "labels": labels,
            "sum": format_float(*sum),
        }),
        MetricValue::Summary { quantiles, sum, count } => json!({
            "count": count.to_string(),
            "labels": labels,
            "quantiles": object(quantiles.iter().map(|(rank, value)| (format_float(*rank), format_float(*value)))),
            "sum": format_float(*sum),
        }),
    }
}

fn object(fields: impl Iterator<Item = (impl Into<String>, String)>) -> Value {
    fields.map(|(name, value)| (name.into(), value)).collect()
}

/// Formats a time in UTC with nanoseconds.
fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let nanos = since.subsec_nanos();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
}

/// Returns the date of a number of days after 1 January 1970.
///
/// The calculation uses years that start in March, so that the leap day is the last day.
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
    fn date_is_correct_around_leap_days() {
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
    fn json_reads_back_special_characters() {
        let text = "a\"b\\c\nd\te\u{1}é";
        let flags = BTreeMap::from([(text.to_owned(), text.to_owned())]);
        let json: Value = serde_json::from_str(&status(UNIX_EPOCH, &flags)).unwrap();
        assert_eq!(json["data"]["flags"][text], text);
        assert_eq!(json["data"]["start_time"], "1970-01-01T00:00:00.000000000Z");
    }
}
