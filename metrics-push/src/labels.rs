//! Valid metric and label names, and `GroupingKey`, which becomes the path of a URL.
//!
//! One encoder serves all requests. It writes a label value as a plain path segment if that is safe, and as base64 otherwise,
//! so that the gateway stores exactly this value.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::Error;
use crate::label_text::{self, Rendering};
use crate::log::{self, excerpt};

/// The maximum length of a label value in messages. Requests contain the whole value.
const MAX_DISPLAYED_CHARS: usize = 100;

/// All ASCII characters except the unreserved ones of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The label that every group has.
pub(crate) const JOB: &str = "job";

/// The metrics that a gateway adds to every group. It silently overwrites pushed metrics with these names.
pub(crate) const RESERVED_METRICS: [&str; 2] = ["push_time_seconds", "push_failure_time_seconds"];

/// Returns true for a valid metric name of the Prometheus data model: `[a-zA-Z_:][a-zA-Z0-9_:]*`.
pub(crate) const fn is_metric_name(name: &str) -> bool {
    let name = name.as_bytes();
    let mut position = 0;
    while position < name.len() {
        let is_valid = match name[position] {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | b':' => true,
            b'0'..=b'9' => position > 0,
            _ => false,
        };
        if !is_valid {
            return false;
        }
        position += 1;
    }
    position > 0
}

/// Returns true for a valid label name of the Prometheus data model: `[a-zA-Z_][a-zA-Z0-9_]*`. Names that start with two
/// underscores are reserved.
pub(crate) const fn is_label_name(name: &str) -> bool {
    if !is_metric_name(name) {
        return false;
    }
    let name = name.as_bytes();
    let mut position = 0;
    while position < name.len() {
        if name[position] == b':' {
            return false;
        }
        position += 1;
    }
    !(name.len() >= 2 && name[0] == b'_' && name[1] == b'_')
}

/// Checks a label name.
///
/// # Errors
/// `is_config` if the name is not valid.
pub(crate) fn check_label_name(name: &str) -> Result<(), Error> {
    if is_label_name(name) {
        return Ok(());
    }
    Err(Error::config(format!("invalid label name {name:?}")).remedy(
        "use letters, digits and underscores, and do not start with a digit or two underscores",
    ))
}

/// The key of a group on a gateway: the job and its further grouping labels.
///
/// A value longer than 1,024 bytes is cut, and ends with a checksum of the whole value, so that different values belong to
/// different groups. Labels are ordered by name. Labels with an empty value are dropped: Prometheus treats an empty label
/// like a missing one, and an empty `instance` can make all scrapes of the gateway fail.
///
/// ```
/// # fn main() -> Result<(), metrics_push::Error> {
/// use metrics_push::GroupingKey;
///
/// let key = GroupingKey::new("nightly_import")?.label("region", "eu")?;
/// assert_eq!(key.to_string(), r#"{job="nightly_import",region="eu"}"#);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupingKey {
    job: String,
    labels: BTreeMap<String, String>,
}

impl GroupingKey {
    /// Creates the key of `job` without further labels.
    ///
    /// # Errors
    /// `is_config` if the name is empty.
    pub fn new(job: impl Into<String>) -> Result<Self, Error> {
        let job = job.into();
        if job.is_empty() {
            return Err(Error::config("the job name is empty")
                .remedy("set a job name, which every group needs"));
        }
        let job = bounded_value(JOB, job);
        Ok(Self { job, labels: BTreeMap::new() })
    }

    /// Adds a label, or replaces its value. An empty value removes the label.
    ///
    /// # Errors
    /// `is_config` if the name is not a valid label name, or is `job`.
    pub fn label(
        mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Self, Error> {
        let (name, value) = (name.into(), value.into());
        check_label_name(&name)?;
        if name == JOB {
            return Err(Error::config("invalid grouping label \"job\": its value is the job name")
                .remedy("set the job name instead"));
        }
        if value.is_empty() {
            self.labels.remove(&name);
        } else {
            let value = bounded_value(&name, value);
            self.labels.insert(name, value);
        }
        Ok(self)
    }

    /// Returns the job name.
    #[must_use]
    pub fn job(&self) -> &str {
        &self.job
    }

    /// Returns the further labels, ordered by name.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns true if the key has this label. Every key has `job`.
    #[must_use]
    pub fn has_label(&self, name: &str) -> bool {
        name == JOB || self.labels.contains_key(name)
    }

    /// Returns the path below the gateway's base URL. It starts with a slash and does not end with one.
    ///
    /// The rules are those of the Pushgateway's README, section "Use in general".
    pub(crate) fn url_path(&self) -> String {
        let mut path = String::from("/metrics");
        push_pair(&mut path, JOB, &self.job);
        for (name, value) in self.labels() {
            push_pair(&mut path, name, value);
        }
        path
    }
}

/// Returns the value of a grouping label, cut if it is too long.
fn bounded_value(label: &str, value: String) -> String {
    if label_text::is_bounded(&value) {
        return value;
    }
    log_rendering(label, Rendering::Cut);
    label_text::bounded(&value).into_owned()
}

/// Formats the value of a grouping label.
pub(crate) fn format_grouping(label: &str, value: &dyn fmt::Display) -> String {
    let (text, rendering) = label_text::render(value);
    log_rendering(label, rendering);
    text
}

fn log_rendering(label: &str, rendering: Rendering) {
    if let Some(problem) = rendering.problem() {
        log::warn_once(format_args!("grouping label {label:?}: {problem}"));
    }
}

/// Returns the path of a listed group, which can have labels that a [`GroupingKey`] cannot have.
pub(crate) fn exact_path(labels: &BTreeMap<String, String>) -> String {
    let mut path = String::from("/metrics");
    // The gateway requires the job first.
    let (job, others): (Vec<_>, Vec<_>) = labels.iter().partition(|(name, _)| *name == JOB);
    for (name, value) in job.into_iter().chain(others) {
        push_pair(&mut path, name, value);
    }
    path
}

/// Appends `/name/value`, or `/name@base64/value` if a plain segment would change the value.
fn push_pair(path: &mut String, name: &str, value: &str) {
    path.push('/');
    path.push_str(name);
    if value.is_empty() {
        // The gateway decodes "=" to an empty value; an empty segment is not valid.
        path.push_str("@base64/=");
    } else if value.contains('/') || value == "." || value == ".." {
        // The gateway splits at a percent-encoded slash, too, and removes dot segments.
        path.push_str("@base64/");
        // The Pushgateway accepts base64 without padding, but some compatible servers do not.
        path.push_str(&URL_SAFE.encode(value));
    } else {
        path.push('/');
        path.extend(utf8_percent_encode(value, RESERVED));
    }
}

/// Shortens long values.
impl fmt::Display for GroupingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{JOB}={:?}", excerpt(&self.job, MAX_DISPLAYED_CHARS))?;
        for (name, value) in self.labels() {
            let (name, value) =
                (excerpt(name, MAX_DISPLAYED_CHARS), excerpt(value, MAX_DISPLAYED_CHARS));
            write!(f, ",{name}={value:?}")?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for GroupingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_of_job(job: &str) -> String {
        GroupingKey::new(job).unwrap().url_path()
    }

    #[test]
    fn path_has_one_segment_for_any_value() {
        for (value, segment) in [
            ("plain", "/plain"),
            ("a b", "/a%20b"),
            ("a+b", "/a%2Bb"),
            ("a%41", "/a%2541"),
            ("q?x", "/q%3Fx"),
            ("h#x", "/h%23x"),
            ("etl:daily", "/etl%3Adaily"),
            ("http:x", "/http%3Ax"),
            ("é", "/%C3%A9"),
            ("a;b,c=d&e@f", "/a%3Bb%2Cc%3Dd%26e%40f"),
            ("line\nbreak", "/line%0Abreak"),
            ("...", "/..."),
            ("%2e%2e", "/%252e%252e"),
            ("a/b", "@base64/YS9i"),
            ("/", "@base64/Lw=="),
            (".", "@base64/Lg=="),
            ("..", "@base64/Li4="),
            ("ÿ/ÿ", "@base64/w78vw78="),
        ] {
            assert_eq!(path_of_job(value), format!("/metrics/job{segment}"), "{value:?}");
        }
    }

    #[test]
    fn path_of_a_listed_group_has_all_its_labels() {
        let labels = [("instance", ""), ("job", "x"), ("a", "b/c")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(exact_path(&labels.into()), "/metrics/job/x/a@base64/Yi9j/instance@base64/=");
    }

    #[test]
    fn path_contains_a_long_value_in_full() {
        let long = "x".repeat(255);
        assert_eq!(path_of_job(&long), format!("/metrics/job/{long}"));
    }

    #[test]
    fn display_shortens_a_long_value() {
        let long = "é".repeat(2_000_000);
        let key = GroupingKey::new(&*long).and_then(|key| key.label("a", &*long)).unwrap();
        let start = "é".repeat(100);
        assert_eq!(key.to_string(), format!(r#"{{job="{start}…",a="{start}…"}}"#));
    }

    #[test]
    fn labels_are_ordered_and_empty_ones_dropped() {
        let key = GroupingKey::new("import")
            .and_then(|key| key.label("shard", "2"))
            .and_then(|key| key.label("instance", ""))
            .and_then(|key| key.label("region", "eu"))
            .unwrap();
        assert_eq!(key.url_path(), "/metrics/job/import/region/eu/shard/2");
        assert!(key.has_label("job") && key.has_label("shard") && !key.has_label("instance"));
    }

    #[test]
    fn empty_value_removes_the_label() {
        let key = GroupingKey::new("import")
            .and_then(|key| key.label("region", "eu"))
            .and_then(|key| key.label("region", ""))
            .unwrap();
        assert_eq!(key.to_string(), r#"{job="import"}"#);
    }

    #[test]
    fn invalid_key_is_an_error_with_the_remedy() {
        let text = |result: Result<GroupingKey, Error>| result.unwrap_err().to_string();
        assert!(text(GroupingKey::new("")).contains("the job name is empty"));
        for name in ["b-c", "__x", "9a", "foo.bar", "", "é"] {
            let error = text(GroupingKey::new("j").and_then(|key| key.label(name, "v")));
            assert!(
                error.contains("invalid label name") && error.contains("underscores"),
                "{error}"
            );
        }
        assert!(
            text(GroupingKey::new("j").and_then(|key| key.label("job", "v"))).contains("\"job\"")
        );
    }

    #[test]
    fn colon_is_valid_in_metric_names_only() {
        assert!(is_metric_name("job:errors:rate5m") && !is_label_name("a:b"));
        assert!(is_label_name("_private") && !is_label_name("__reserved"));
        assert!(!is_metric_name("my-metric") && !is_metric_name(""));
    }
}
