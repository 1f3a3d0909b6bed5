//! `StoredGroup`: a group as the gateway's query API describes it, the readers of its JSON,
//! and the parser of the response to `GET /api/v1/status`.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use crate::error::{Error, Kind};
use crate::labels::{GroupingKey, JOB};
use crate::sink::group_states::PUSH_TIME;

/// A group that a gateway stores.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StoredGroup {
    /// The grouping labels, including `job`.
    pub labels: BTreeMap<String, String>,
    /// True if the gateway accepted the last push to this group.
    pub last_push_successful: bool,
    /// The families by name, including the two timestamps that the gateway adds.
    pub families: BTreeMap<String, StoredFamily>,
}

/// One metric family of a group.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StoredFamily {
    /// `counter`, `gauge`, `histogram`, `summary` or `untyped`.
    pub kind: String,
    /// The help text; empty if there is none.
    pub help: String,
    /// One metric per label set.
    pub metrics: Vec<StoredMetric>,
}

/// One label set and its value.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StoredMetric {
    /// The labels, including the grouping labels.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: StoredValue,
}

/// The value of a stored metric.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StoredValue {
    /// The value of a counter, a gauge or an untyped metric.
    Single(f64),
    /// A histogram.
    Histogram {
        /// Upper bounds and cumulative counts, ascending; `+Inf` is last.
        buckets: Vec<(f64, f64)>,
        /// The sum of all observations.
        sum: f64,
        /// The number of observations.
        count: f64,
    },
    /// A summary.
    Summary {
        /// Quantiles and their values, ascending.
        quantiles: Vec<(f64, f64)>,
        /// The sum of all observations.
        sum: f64,
        /// The number of observations.
        count: f64,
    },
}

impl fmt::Display for StoredValue {
    /// Writes a single value as it is, and the count and sum of a histogram or summary.
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
    /// Returns the key of the group; `None` if its labels are not valid in a key.
    pub(crate) fn grouping_key(&self) -> Option<GroupingKey> {
        grouping_key(&self.labels)
    }

    /// Returns true if the group has this key.
    pub(crate) fn has_key(&self, key: &GroupingKey) -> bool {
        self.grouping_key().as_ref() == Some(key)
    }

    /// Returns the time of the last push to the group that the gateway accepted, in Unix seconds by the gateway's clock.
    #[must_use]
    pub fn pushed_at(&self) -> Option<f64> {
        self.value(PUSH_TIME, &[]).filter(|seconds| *seconds > 0.0)
    }

    /// Returns the value of the metric that has exactly `labels` in addition to the grouping labels; `None` if it is
    /// missing, a histogram or a summary.
    #[must_use]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let own_label_count = |metric: &StoredMetric| {
            metric
                .labels
                .iter()
                .filter(|(name, value)| {
                    // The gateway adds an empty `instance` to metrics without one.
                    !self.labels.contains_key(*name) && !value.is_empty()
                })
                .count()
        };
        let metrics = &self.families.get(name)?.metrics;
        let found = metrics.iter().find(|metric| {
            own_label_count(metric) == labels.len()
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

pub(super) fn invalid_response() -> Error {
    Error::new(Kind::Config, "the response is not from a Pushgateway's query API").remedy(
        "check the port (9091 by default; 9090 is Prometheus) and the path prefix of the URL, \
             and that the gateway is 1.2 or newer",
    )
}

/// Parses the start time in the response to `GET /api/v1/status`.
pub(super) fn parse_start_time(text: &str) -> Result<SystemTime, Error> {
    let response: Value =
        serde_json::from_str(text).map_err(|error| invalid_response().caused_by(error))?;
    let start_time = response.pointer("/data/start_time").and_then(Value::as_str);
    start_time.and_then(parse_rfc3339).ok_or_else(invalid_response)
}

/// Parses a time such as `2006-01-02T15:04:05.999+01:00`, without the fraction of the second. The range of each number
/// prevents an overflow.
fn parse_rfc3339(text: &str) -> Option<SystemTime> {
    let (date, time) = text.split_once('T')?;
    let zone_at = time.find(['Z', '+', '-'])?;
    let (time, zone) = time.split_at(zone_at);
    let [year, month, day] = three_numbers(date, '-', [0..=9_999, 1..=12, 1..=31])?;
    let time = time.split('.').next()?;
    let [hour, minute, second] = three_numbers(time, ':', [0..=23, 0..=59, 0..=60])?;
    let utc_offset = match zone.split_at(1) {
        ("Z", "") => 0,
        (sign, offset) => {
            let (hours, minutes) = offset.split_once(':')?;
            let seconds = number_in(hours, 0..=23)? * 3_600 + number_in(minutes, 0..=59)? * 60;
            if sign == "-" { -seconds } else { seconds }
        }
    };
    let seconds = days_since_epoch(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    let since_epoch = u64::try_from(seconds - utc_offset).ok()?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(since_epoch))
}

fn three_numbers(
    text: &str,
    separator: char,
    ranges: [RangeInclusive<i64>; 3],
) -> Option<[i64; 3]> {
    let parts: [&str; 3] = text.split(separator).collect::<Vec<_>>().try_into().ok()?;
    let numbers = parts.into_iter().zip(ranges).map(|(part, range)| number_in(part, range));
    numbers.collect::<Option<Vec<_>>>()?.try_into().ok()
}

fn number_in(text: &str, range: RangeInclusive<i64>) -> Option<i64> {
    text.parse().ok().filter(|number| range.contains(number))
}

/// Returns the number of days from 1970-01-01 to a date of the Gregorian calendar. The calculation starts years in March,
/// so that a leap day is the last day of its year.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days_of_years =
        365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // From March on, the lengths of the months repeat every five months: 31, 30, 31, 30, 31.
    days_of_years + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// Parses the name of a member.
pub(super) fn parse_name(json: &[u8]) -> Option<String> {
    serde_json::from_slice(json).ok()
}

/// Parses the labels of a group.
pub(super) fn parse_labels(value: &[u8]) -> Option<BTreeMap<String, String>> {
    serde_json::from_slice(value).ok()
}

/// Parses the value of a family that has exactly one metric; `None` if it has another number, or the metric is a
/// histogram or summary.
pub(super) fn parse_single_value(value: &[u8]) -> Option<f64> {
    let family = parse_family(value)?;
    match &family.metrics[..] {
        [StoredMetric { value: StoredValue::Single(value), .. }] => Some(*value),
        _ => None,
    }
}

/// Returns the key of a group with these labels; `None` if they are not valid in a key. Labels with an empty value, which
/// the gateway stores, are not part of a key.
pub(super) fn grouping_key(labels: &BTreeMap<String, String>) -> Option<GroupingKey> {
    let key = GroupingKey::new(labels.get(JOB)?).ok()?;
    let mut others = labels.iter().filter(|(name, _)| *name != JOB);
    others.try_fold(key, |key, (name, value)| key.label(name, value)).ok()
}

pub(super) fn parse_family(value: &[u8]) -> Option<StoredFamily> {
    let value: Value = serde_json::from_slice(value).ok()?;
    let kind = value.get("type")?.as_str()?.to_lowercase();
    let metrics = value.get("metrics")?.as_array()?;
    Some(StoredFamily {
        metrics: metrics.iter().filter_map(|metric| stored_metric(&kind, metric)).collect(),
        help: value.get("help").and_then(Value::as_str).unwrap_or_default().to_owned(),
        kind,
    })
}

fn stored_metric(kind: &str, metric: &Value) -> Option<StoredMetric> {
    let fields = metric.as_object()?;
    let number = |name: &str| fields.get(name).and_then(number);
    let value = match kind {
        "histogram" => {
            let (sum, count) = (number("sum")?, number("count")?);
            StoredValue::Histogram { buckets: buckets(fields.get("buckets"), count)?, sum, count }
        }
        "summary" => {
            let quantiles = fields.get("quantiles").map_or(Some(Vec::new()), pairs)?;
            StoredValue::Summary { quantiles, sum: number("sum")?, count: number("count")? }
        }
        // The gateway also writes one value, 0, for a gauge histogram.
        _ => StoredValue::Single(number("value")?),
    };
    Some(StoredMetric { labels: labels(fields)?, value })
}

fn labels(fields: &Map<String, Value>) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    let Some(fields) = fields.get("labels") else { return Some(labels) };
    for (name, value) in fields.as_object()? {
        labels.insert(name.clone(), value.as_str()?.to_owned());
    }
    Some(labels)
}

/// Returns the upper bounds and cumulative counts of a histogram. The buckets are an object, or those of a native
/// histogram: a list, each with its boundary rule, bounds and own count. A histogram without observations has none.
fn buckets(value: Option<&Value>, count: f64) -> Option<Vec<(f64, f64)>> {
    let mut buckets = match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(native)) => native_buckets(native)?,
        Some(classic) => pairs(classic)?,
    };
    if !buckets.iter().any(|(bound, _)| *bound == f64::INFINITY) {
        buckets.push((f64::INFINITY, count));
    }
    Some(buckets)
}

fn native_buckets(native: &[Value]) -> Option<Vec<(f64, f64)>> {
    let mut buckets: Vec<_> = native
        .iter()
        .map(|bucket| match bucket.as_array()?.as_slice() {
            [_rule, _lower, upper, count] => Some((number(upper)?, number(count)?)),
            _ => None,
        })
        .collect::<Option<_>>()?;
    sort_by_bound(&mut buckets);
    let mut total = 0.0;
    for (_, count) in &mut buckets {
        total += *count;
        *count = total;
    }
    Some(buckets)
}

fn pairs(value: &Value) -> Option<Vec<(f64, f64)>> {
    let mut pairs: Vec<_> = value
        .as_object()?
        .iter()
        .map(|(bound, count)| Some((bound.parse().ok()?, number(count)?)))
        .collect::<Option<_>>()?;
    sort_by_bound(&mut pairs);
    Some(pairs)
}

fn sort_by_bound(pairs: &mut [(f64, f64)]) {
    pairs.sort_by(|(left, _), (right, _)| left.total_cmp(right));
}

/// Parses a number. The API writes numbers as strings, because JSON has neither `NaN` nor `+Inf`.
fn number(value: &Value) -> Option<f64> {
    value.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::groups_reader::GroupsReader;
    use super::super::listing::Listing;
    use super::*;

    fn parse_groups(text: &str) -> Result<Vec<StoredGroup>, Error> {
        let mut listing = Listing::new(GroupsReader::default());
        let _ = listing.read(text.as_bytes());
        listing.finish().map(GroupsReader::into_groups)
    }

    #[test]
    fn start_time_includes_its_time_zone() {
        let started = |time: &str| {
            let text =
                format!(r#"{{"status":"success","data":{{"flags":{{}},"start_time":"{time}"}}}}"#);
            parse_start_time(&text)
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

    #[test]
    fn start_time_out_of_range_is_an_error() {
        let max = i64::MAX;
        let digits = "9".repeat(10_000);
        for time in [
            "9223372036854775808-01-01T00:00:00Z".to_owned(),
            format!("{max}-01-01T00:00:00Z"),
            format!("{max}-{max}-{max}T{max}:{max}:{max}Z"),
            format!("2026-{max}-01T00:00:00Z"),
            format!("2026-01-{max}T00:00:00Z"),
            format!("2026-01-01T{max}:00:00Z"),
            format!("2026-01-01T00:{max}:00Z"),
            format!("2026-01-01T00:00:{max}Z"),
            format!("2026-01-01T00:00:00+{max}:00"),
            format!("2026-01-01T00:00:00-00:{max}"),
            format!("{digits}-01-01T00:00:00Z"),
            format!("2026-01-01T00:00:{digits}Z"),
            "10000-01-01T00:00:00Z".to_owned(),
            "2026-00-01T00:00:00Z".to_owned(),
            "2026-13-01T00:00:00Z".to_owned(),
            "2026-01-32T00:00:00Z".to_owned(),
            "2026-01-01T24:00:00Z".to_owned(),
            "2026-01-01T00:60:00Z".to_owned(),
            "2026-01-01T00:00:00+24:00".to_owned(),
            "0001-01-01T00:00:00Z".to_owned(),
        ] {
            let text = format!(r#"{{"data":{{"start_time":"{time}"}}}}"#);
            assert!(parse_start_time(&text).unwrap_err().is_config(), "{time}");
        }
        let fraction = format!(r#"{{"data":{{"start_time":"1970-01-01T00:00:00.{digits}Z"}}}}"#);
        assert_eq!(parse_start_time(&fraction).unwrap(), SystemTime::UNIX_EPOCH);
    }

    const RESPONSE: &str = r#"{"status":"success","data":[{
        "labels":{"job":"x"},"last_push_successful":true,
        "c":{"time_stamp":"2026-01-01T00:00:00Z","type":"COUNTER","metrics":[
            {"labels":{"a":"b","instance":"","job":"x"},"value":"7"},
            {"labels":{"instance":"","job":"x"},"value":"NaN"}]},
        "h":{"type":"HISTOGRAM","help":"hist","metrics":[
            {"buckets":{"+Inf":"2","1":"1"},"count":"2","labels":{"job":"x"},"sum":"3"}]},
        "s":{"type":"SUMMARY","metrics":[
            {"count":"3","labels":{"job":"x"},"quantiles":{"0.5":"1"},"sum":"2"}]}}]}"#;

    #[test]
    fn parsed_groups_have_a_value_for_every_type() {
        let group = parse_groups(RESPONSE).unwrap().remove(0);
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
    fn response_of_another_server_is_an_error() {
        for text in [
            "",
            "<html>",
            "{}",
            "[]",
            r#"{"data":{}}"#,
            r#"{"data":null}"#,
            r#"{"data":["#,
            r#"{"data":[0]}"#,
            r#"{"data":[[]]}"#,
            r#"{"data":[{"labels":{"job":"x"}"#,
            r#"{"data":[}]}"#,
        ] {
            assert!(parse_groups(text).unwrap_err().is_config(), "{text}");
        }
    }

    /// The responses of three versions, which store the group of the job `batch`: that of 1.5 is recorded, the others are
    /// written after the handler of the version. 1.2 is the first version with a query API, and 1.8 the first one with
    /// native histograms.
    const VERSIONS: [&str; 3] = [
        include_str!("responses/pushgateway-1.2.json"),
        include_str!("responses/pushgateway-1.5.json"),
        include_str!("responses/pushgateway-1.11.json"),
    ];

    /// Returns the number of metrics in each family of the first group.
    fn count_metrics(text: &str) -> BTreeMap<String, usize> {
        let mut response: Value = serde_json::from_str(text).unwrap();
        let families = response["data"][0].as_object_mut().map(std::mem::take).unwrap();
        let count =
            |(name, family): (String, Value)| Some((name, family["metrics"].as_array()?.len()));
        families.into_iter().filter_map(count).collect()
    }

    #[test]
    fn responses_of_all_versions_are_read() {
        for text in VERSIONS {
            let groups = parse_groups(text).unwrap();
            assert_eq!(groups.len(), 1, "{text}");
            let group = &groups[0];
            assert_eq!((group.labels["job"].as_str(), group.last_push_successful), ("batch", true));
            assert!(group.pushed_at() > Some(1.5e9), "{text}");
            assert_eq!(group.value("rows_total", &[]), Some(7.0), "{text}");
            assert!(group.families["batch_seconds"].help.starts_with("Duration"), "{text}");
            let read = group.families.iter();
            let read: BTreeMap<_, _> =
                read.map(|(name, family)| (name.clone(), family.metrics.len())).collect();
            assert_eq!(read, count_metrics(text), "{text}");
        }
    }

    #[test]
    fn native_histogram_has_cumulative_buckets() {
        let group = parse_groups(VERSIONS[2]).unwrap().remove(0);
        let buckets =
            |family: &str, metric: usize| match &group.families[family].metrics[metric].value {
                StoredValue::Histogram { buckets, .. } => buckets.clone(),
                other => panic!("{family} is {other:?}"),
            };
        let infinite = f64::INFINITY;
        // The gateway's bound is not the nearest number to the square root of two.
        let bound = "1.414213562373095".parse().unwrap();
        let zero_bucket = (2.938735877055719e-39, 1.0);
        assert_eq!(
            buckets("batch_seconds", 0),
            [zero_bucket, (bound, 3.0), (2.0, 4.0), (infinite, 4.0)]
        );
        let with_fractions = [(-1.0, 0.5), (2.0, 2.0), (infinite, 2.0)];
        assert_eq!(buckets("batch_float_seconds", 0), with_fractions);
        assert_eq!(buckets("batch_float_seconds", 1), [(0.5, 1.5), (infinite, 2.5)]);
        for metric in 0..2 {
            assert_eq!(buckets("batch_empty_seconds", metric), [(infinite, 0.0)]);
        }
    }

    #[test]
    fn missing_buckets_and_quantiles_are_empty_lists() {
        let group = |fields: &str| {
            let text = format!(r#"{{"data":[{{"labels":{{"job":"x"}},{fields}}}]}}"#);
            parse_groups(&text).unwrap().remove(0)
        };
        for buckets in ["", r#""buckets":null,"#] {
            let group = group(&format!(
                r#""h":{{"type":"HISTOGRAM","metrics":[{{{buckets}"count":"3","sum":"6"}}]}}"#
            ));
            let expected = StoredValue::Histogram {
                buckets: vec![(f64::INFINITY, 3.0)],
                sum: 6.0,
                count: 3.0,
            };
            assert_eq!(group.families["h"].metrics[0].value, expected, "{buckets}");
        }
        let group = group(r#""s":{"type":"SUMMARY","metrics":[{"count":"3","sum":"6"}]}"#);
        let expected = StoredValue::Summary { quantiles: Vec::new(), sum: 6.0, count: 3.0 };
        assert_eq!(group.families["s"].metrics[0].value, expected);
    }

    /// Replaces each value in turn, and returns the texts.
    fn mutations(text: &str) -> Vec<String> {
        const VALUES: [&str; 9] = [
            "null",
            "0",
            "true",
            r#""x""#,
            "[]",
            "{}",
            r#"[[0,"1","2"]]"#,
            r#"{"type":"GAUGE"}"#,
            r#""\"}],{""#,
        ];
        let value: Value = serde_json::from_str(text).unwrap();
        let mut paths = Vec::new();
        collect_paths(&value, String::new(), &mut paths);
        let mutated = |path: &str, new: &str| {
            let mut mutated = value.clone();
            *mutated.pointer_mut(path).unwrap() = serde_json::from_str(new).unwrap();
            mutated.to_string()
        };
        paths.iter().flat_map(|path| VALUES.map(|new| mutated(path, new))).collect()
    }

    fn collect_paths(value: &Value, path: String, paths: &mut Vec<String>) {
        let child = |name: &str| format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
        match value {
            Value::Array(items) => {
                for (number, item) in items.iter().enumerate() {
                    collect_paths(item, child(&number.to_string()), paths);
                }
            }
            Value::Object(members) => {
                for (name, member) in members {
                    collect_paths(member, child(name), paths);
                }
            }
            _ => {}
        }
        if !path.is_empty() {
            paths.push(path);
        }
    }

    #[test]
    fn changed_group_of_another_job_does_not_hide_a_group() {
        let own = r#"{"batch_job_last_start_timestamp_seconds":{"type":"GAUGE","metrics":[
            {"labels":{"instance":"","job":"own"},"value":"1.5"}]},
            "labels":{"job":"own"},"last_push_successful":true}"#;
        let expected = parse_groups(&format!(r#"{{"data":[{own}]}}"#)).unwrap().remove(0);
        let key = GroupingKey::new("own").unwrap();
        for version in VERSIONS {
            let value: Value = serde_json::from_str(version).unwrap();
            let other = value["data"][0].to_string();
            for other in mutations(&other) {
                for text in [
                    format!(r#"{{"status":"success","data":[{other},{own}]}}"#),
                    format!(r#"{{"data":[{own},{other}],"status":"success"}}"#),
                ] {
                    let groups = parse_groups(&text).unwrap();
                    assert!(groups.contains(&expected), "{text}");
                    let states = super::super::parse_states(&text).unwrap();
                    let state = states.get(&key).unwrap();
                    let start = state.value("batch_job_last_start_timestamp_seconds");
                    assert_eq!(start, Some(1.5), "{text}");
                }
            }
        }
    }
}
