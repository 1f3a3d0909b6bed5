//! What a gateway holds, read from its query API (`GET /api/v1/metrics`) into typed values.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use crate::error::{Error, Kind};
use crate::labels::{GroupingKey, JOB};

/// The gateway's own stamp of every push that it has accepted for a group.
const PUSH_TIME: &str = "push_time_seconds";

/// One group, as a gateway holds it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StoredGroup {
    /// The grouping labels, `job` among them.
    pub labels: BTreeMap<String, String>,
    /// Whether the last push to this group was accepted.
    pub last_push_successful: bool,
    /// The families by name, the gateway's own two time stamps among them.
    pub families: BTreeMap<String, StoredFamily>,
}

/// One metric family of a group.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StoredFamily {
    /// `counter`, `gauge`, `histogram`, `summary` or `untyped`.
    pub kind: String,
    /// The help text; empty, if there is none.
    pub help: String,
    /// One entry per label set.
    pub metrics: Vec<StoredMetric>,
}

/// One label set and its value.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StoredMetric {
    /// The labels, the grouping labels among them.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: StoredValue,
}

/// The value of a stored metric.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StoredValue {
    /// A counter's, a gauge's or an untyped value.
    Single(f64),
    /// Cumulative counts by upper bound, ascending.
    Histogram {
        /// Upper bounds and cumulative counts, the one for `+Inf` last.
        buckets: Vec<(f64, f64)>,
        /// The sum of all observations.
        sum: f64,
        /// How many there were.
        count: f64,
    },
    /// Values by quantile, ascending.
    Summary {
        /// Quantiles and their values.
        quantiles: Vec<(f64, f64)>,
        /// The sum of all observations.
        sum: f64,
        /// How many there were.
        count: f64,
    },
}

impl fmt::Display for StoredValue {
    /// A single value as it is; of a histogram or a summary its count and sum.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Single(value) => write!(f, "{value}"),
            Self::Histogram { sum, count, .. } | Self::Summary { sum, count, .. } => {
                write!(f, "count {count}, sum {sum}")
            }
        }
    }
}

impl StoredGroup {
    /// Whether this is the group with exactly this key.
    pub(crate) fn is_at(&self, key: &GroupingKey) -> bool {
        let own = std::iter::once((JOB, key.job())).chain(key.labels());
        // The gateway keeps labels whose value is empty, although they mean nothing.
        let stored = self.labels.iter().filter(|(_, value)| !value.is_empty());
        own.collect::<BTreeMap<_, _>>() == stored.map(|(n, v)| (n.as_str(), v.as_str())).collect()
    }

    /// Whether all it has is the memory of pushes that were refused.
    pub(crate) fn has_never_been_pushed_to(&self) -> bool {
        self.value(PUSH_TIME, &[]) == Some(0.0)
    }

    /// When something was last pushed to it with success, in Unix seconds by the gateway's clock.
    #[must_use]
    pub fn pushed_at(&self) -> Option<f64> {
        self.value(PUSH_TIME, &[]).filter(|seconds| *seconds > 0.0)
    }

    /// The single value of the metric that has exactly `labels` besides the grouping labels.
    #[must_use]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let own = |metric: &StoredMetric| {
            metric
                .labels
                .iter()
                .filter(|(name, value)| {
                    // The gateway adds an empty instance to what has none.
                    !self.labels.contains_key(*name) && !value.is_empty()
                })
                .count()
        };
        let metrics = &self.families.get(name)?.metrics;
        let found = metrics.iter().find(|metric| {
            own(metric) == labels.len()
                && labels
                    .iter()
                    .all(|(name, value)| metric.labels.get(*name).is_some_and(|v| v == value))
        })?;
        match found.value {
            StoredValue::Single(value) => Some(value),
            StoredValue::Histogram { .. } | StoredValue::Summary { .. } => None,
        }
    }
}

fn not_ours() -> Error {
    Error::new(Kind::Config, "the answer is not that of a Pushgateway's query API")
        .remedy("check the URL, and that the gateway is 0.10 or newer")
}

/// When a gateway was started, from what `GET /api/v1/status` says.
pub(crate) fn started_at(text: &str) -> Result<SystemTime, Error> {
    let answer: Value = serde_json::from_str(text).map_err(|error| not_ours().caused_by(error))?;
    let started = answer.pointer("/data/start_time").and_then(Value::as_str);
    started.and_then(instant).ok_or_else(not_ours)
}

/// An instant as RFC 3339 writes it: `2006-01-02T15:04:05.999+01:00`. Fractions of a second are left out.
fn instant(text: &str) -> Option<SystemTime> {
    let (date, time) = text.split_once('T')?;
    let zone_at = time.find(['Z', '+', '-'])?;
    let (time, zone) = time.split_at(zone_at);
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time.split('.').next()?, ':')?;
    let ahead = match zone.split_at(1) {
        ("Z", "") => 0,
        (sign, offset) => {
            let (hours, minutes) = offset.split_once(':')?;
            let seconds = hours.parse::<i64>().ok()? * 3_600 + minutes.parse::<i64>().ok()? * 60;
            if sign == "-" { -seconds } else { seconds }
        }
    };
    let seconds = days_since_epoch(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    let since_epoch = u64::try_from(seconds - ahead).ok()?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(since_epoch))
}

fn numbers(text: &str, separator: char) -> Option<[i64; 3]> {
    let parts: Option<Vec<i64>> = text.split(separator).map(|part| part.parse().ok()).collect();
    parts?.try_into().ok()
}

/// Of a day of the Gregorian calendar. Years begin with March here, so that a leap day ends one.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let of_years = 365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // Months of 31, 30, 31, 30 and 31 days repeat.
    of_years + (153 * month + 2) / 5 + day - 1 - 719_468
}

pub(crate) fn parse(text: &str) -> Result<Vec<StoredGroup>, Error> {
    let answer: Value = serde_json::from_str(text).map_err(|error| not_ours().caused_by(error))?;
    let groups = answer.get("data").and_then(Value::as_array).ok_or_else(not_ours)?;
    groups.iter().map(|entry| group(entry).ok_or_else(not_ours)).collect()
}

fn group(entry: &Value) -> Option<StoredGroup> {
    let entry = entry.as_object()?;
    let mut families = BTreeMap::new();
    for (name, value) in entry {
        // Families stand beside the group's own fields; only they have a type.
        if value.get("type").is_some() {
            families.insert(name.clone(), family(value)?);
        }
    }
    Some(StoredGroup {
        labels: labels(entry)?,
        last_push_successful: entry.get("last_push_successful")?.as_bool()?,
        families,
    })
}

fn family(value: &Value) -> Option<StoredFamily> {
    Some(StoredFamily {
        kind: value.get("type")?.as_str()?.to_lowercase(),
        help: value.get("help").and_then(Value::as_str).unwrap_or_default().to_owned(),
        metrics: value.get("metrics")?.as_array()?.iter().map(metric).collect::<Option<_>>()?,
    })
}

fn metric(value: &Value) -> Option<StoredMetric> {
    let fields = value.as_object()?;
    let value = if let Some(buckets) = fields.get("buckets") {
        let (sum, count) = (number(fields.get("sum")?)?, number(fields.get("count")?)?);
        StoredValue::Histogram { buckets: pairs(buckets)?, sum, count }
    } else if let Some(count) = fields.get("count") {
        // A summary without quantiles has no such field.
        let quantiles = fields.get("quantiles").map_or(Some(Vec::new()), pairs)?;
        StoredValue::Summary { quantiles, sum: number(fields.get("sum")?)?, count: number(count)? }
    } else {
        StoredValue::Single(number(fields.get("value")?)?)
    };
    Some(StoredMetric { labels: labels(fields)?, value })
}

fn labels(fields: &Map<String, Value>) -> Option<BTreeMap<String, String>> {
    let Some(labels) = fields.get("labels") else { return Some(BTreeMap::new()) };
    let pairs = labels.as_object()?.iter();
    pairs.map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

fn pairs(value: &Value) -> Option<Vec<(f64, f64)>> {
    let mut pairs: Vec<_> = value
        .as_object()?
        .iter()
        .map(|(bound, count)| Some((bound.parse().ok()?, number(count)?)))
        .collect::<Option<_>>()?;
    pairs.sort_by(|(left, _), (right, _): &(f64, f64)| left.total_cmp(right));
    Some(pairs)
}

/// Numbers arrive as strings, `NaN` and `+Inf` among them.
fn number(value: &Value) -> Option<f64> {
    value.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_says_when_it_was_started() {
        let started = |time: &str| {
            let text =
                format!(r#"{{"status":"success","data":{{"flags":{{}},"start_time":"{time}"}}}}"#);
            started_at(&text)
                .ok()
                .map(|time| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs())
        };
        for (time, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59.999Z", 951_868_799),
            ("2024-03-01T00:00:00+00:00", 1_709_251_200),
            ("2026-11-25T21:14:01.123456789+01:30", 1_795_635_841),
            ("2026-11-25T12:14:01-07:30", 1_795_635_841),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
        ] {
            assert_eq!(started(time), Some(seconds), "{time}");
        }
        for time in ["", "now", "2026-11-25", "2026-11-25T21:14Z", "2026-11-25T21:14:01"] {
            assert_eq!(started(time), None, "{time}");
        }
    }

    const ANSWER: &str = r#"{"status":"success","data":[{
        "labels":{"job":"x"},"last_push_successful":true,
        "c":{"time_stamp":"2026-01-01T00:00:00Z","type":"COUNTER","metrics":[
            {"labels":{"a":"b","instance":"","job":"x"},"value":"7"},
            {"labels":{"instance":"","job":"x"},"value":"NaN"}]},
        "h":{"type":"HISTOGRAM","help":"hist","metrics":[
            {"buckets":{"+Inf":"2","1":"1"},"count":"2","labels":{"job":"x"},"sum":"3"}]},
        "s":{"type":"SUMMARY","metrics":[
            {"count":"3","labels":{"job":"x"},"quantiles":{"0.5":"1"},"sum":"2"}]}}]}"#;

    #[test]
    fn every_type_becomes_a_typed_value() {
        let group = parse(ANSWER).unwrap().remove(0);
        assert_eq!(group.labels["job"], "x");
        assert_eq!(group.value("c", &[("a", "b")]), Some(7.0));
        assert!(group.value("c", &[]).unwrap().is_nan());
        assert_eq!(group.value("c", &[("a", "z")]), None);
        assert_eq!(group.families["h"].help, "hist");
        assert_eq!(
            group.families["h"].metrics[0].value,
            StoredValue::Histogram {
                buckets: vec![(1.0, 1.0), (f64::INFINITY, 2.0)],
                sum: 3.0,
                count: 2.0
            }
        );
        assert_eq!(
            group.families["s"].metrics[0].value,
            StoredValue::Summary { quantiles: vec![(0.5, 1.0)], sum: 2.0, count: 3.0 }
        );
    }

    #[test]
    fn an_answer_of_something_else_is_an_error() {
        for text in ["", "<html>", "{}", r#"{"data":[{"labels":3}]}"#] {
            assert!(parse(text).unwrap_err().is_config(), "{text}");
        }
    }
}
