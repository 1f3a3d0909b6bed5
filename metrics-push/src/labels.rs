//! Names, labels and the grouping key: what is valid, and how a key becomes the path of a URL.
//!
//! One encoder serves every request. It sends a value as a plain path segment where that is safe and
//! as base64 where it is not, so that what the gateway stores is the label set that was asked for.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;

use crate::error::Error;
use crate::log::excerpt;

/// The most characters of a label's value in a text for people. What is sent is never cut.
const LONGEST_SHOWN: usize = 100;

/// The label that every group has.
pub(crate) const JOB: &str = "job";

/// Metrics that a gateway adds to every group: it would overwrite others of these names without a word.
pub(crate) const GATEWAYS_OWN: [&str; 2] = ["push_time_seconds", "push_failure_time_seconds"];

/// Whether Prometheus accepts `name` for a metric.
///
/// The rule is the data model's: `[a-zA-Z_:][a-zA-Z0-9_:]*`.
pub(crate) const fn is_metric_name(name: &str) -> bool {
    is_name(name.as_bytes(), true)
}

/// Whether Prometheus accepts `name` for a label.
///
/// The rule is the data model's: `[a-zA-Z_][a-zA-Z0-9_]*`, and two leading underscores are reserved.
pub(crate) const fn is_label_name(name: &str) -> bool {
    let name = name.as_bytes();
    is_name(name, false) && !(name.len() >= 2 && name[0] == b'_' && name[1] == b'_')
}

const fn is_name(name: &[u8], colons: bool) -> bool {
    let mut position = 0;
    while position < name.len() {
        let fits = match name[position] {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => true,
            b'0'..=b'9' => position > 0,
            b':' => colons,
            _ => false,
        };
        if !fits {
            return false;
        }
        position += 1;
    }
    position > 0
}

/// Checks a label name, with an error that says what is allowed.
///
/// # Errors
/// `is_config`, if the data model does not allow the name.
pub(crate) fn check_label_name(name: &str) -> Result<(), Error> {
    if is_label_name(name) {
        return Ok(());
    }
    Err(Error::config(format!("label name {name:?} is not allowed")).remedy(
        "use letters, digits and underscores, not starting with a digit or with two underscores",
    ))
}

/// What a value shows. One that fails to show itself is cut short; it must not take the job with it.
pub(crate) fn shown(value: &dyn fmt::Display) -> String {
    use fmt::Write as _;

    let mut text = String::new();
    let _ = write!(text, "{value}");
    text
}

/// The address of a group on a gateway: the job and its further grouping labels.
///
/// Labels are kept sorted and those with an empty value are dropped: Prometheus knows no difference
/// between an empty label and an absent one, and an empty `instance` would break the gateway for everybody.
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
    /// The group of `job` without further labels.
    ///
    /// # Errors
    /// `is_config`, if the name is empty.
    pub fn new(job: impl Into<String>) -> Result<Self, Error> {
        let job = job.into();
        if job.is_empty() {
            return Err(Error::config("the job name is empty")
                .remedy("name the job: the gateway addresses every group by it"));
        }
        Ok(Self { job, labels: BTreeMap::new() })
    }

    /// The same key with one more label, or with another value for a label it has.
    ///
    /// An empty value removes the label.
    ///
    /// # Errors
    /// `is_config`, if the name is no label name, or is `job`.
    pub fn label(
        mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Self, Error> {
        let (name, value) = (name.into(), value.into());
        check_label_name(&name)?;
        if name == JOB {
            return Err(Error::config("\"job\" is given as a further grouping label")
                .remedy("name the job where the key is made"));
        }
        if value.is_empty() {
            self.labels.remove(&name);
        } else {
            self.labels.insert(name, value);
        }
        Ok(self)
    }

    /// The job.
    #[must_use]
    pub fn job(&self) -> &str {
        &self.job
    }

    /// The further labels, sorted by name.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether `name` is one of the key's labels, `job` included.
    #[must_use]
    pub fn has_label(&self, name: &str) -> bool {
        name == JOB || self.labels.contains_key(name)
    }

    /// The path below the gateway's base URL, with a leading slash and none at the end.
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

/// The path of a group as a gateway lists it, which may have labels that no [`GroupingKey`] has.
pub(crate) fn exact_path(labels: &BTreeMap<String, String>) -> String {
    let mut path = String::from("/metrics");
    // The gateway wants the job first.
    let (job, others): (Vec<_>, Vec<_>) = labels.iter().partition(|(name, _)| *name == JOB);
    for (name, value) in job.into_iter().chain(others) {
        push_pair(&mut path, name, value);
    }
    path
}

/// Appends `/name/value`, or `/name@base64/value` where a plain segment would not arrive as it was sent.
fn push_pair(path: &mut String, name: &str, value: &str) {
    path.push('/');
    path.push_str(name);
    // A slash would end the segment even when percent-encoded, and dots would be resolved away.
    if value.is_empty() {
        // What the gateway reads as base64 of nothing; a segment without anything in it is no segment.
        path.push_str("@base64/=");
    } else if value.contains('/') || value == "." || value == ".." {
        path.push_str("@base64/");
        // The padding is optional for the Pushgateway and required by some compatible servers.
        path.push_str(&URL_SAFE.encode(value));
    } else {
        path.push('/');
        push_percent_encoded(path, value);
    }
}

/// RFC 3986: everything but unreserved characters is encoded, byte by byte.
fn push_percent_encoded(path: &mut String, value: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path.push('%');
            path.push(char::from(HEX[usize::from(byte >> 4)]));
            path.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

/// For people: long values are cut.
impl fmt::Display for GroupingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{JOB}={:?}", excerpt(&self.job, LONGEST_SHOWN))?;
        for (name, value) in self.labels() {
            let (name, value) = (excerpt(name, LONGEST_SHOWN), excerpt(value, LONGEST_SHOWN));
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
    fn nasty_values_become_one_safe_segment() {
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
    fn a_listed_group_is_addressed_by_all_its_labels() {
        let labels = [("instance", ""), ("job", "x"), ("a", "b/c")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(exact_path(&labels.into()), "/metrics/job/x/a@base64/Yi9j/instance@base64/=");
    }

    #[test]
    fn a_long_value_is_not_cut() {
        let long = "x".repeat(255);
        assert_eq!(path_of_job(&long), format!("/metrics/job/{long}"));
    }

    #[test]
    fn a_value_that_fails_to_show_itself_is_cut_short() {
        struct Broken;
        impl fmt::Display for Broken {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("half")?;
                Err(fmt::Error)
            }
        }
        assert_eq!(shown(&Broken), "half");
        assert_eq!(shown(&7), "7");
    }

    #[test]
    fn a_long_value_is_cut_where_people_read_it() {
        let long = "é".repeat(2_000_000);
        let key = GroupingKey::new(&*long).and_then(|key| key.label("a", &*long)).unwrap();
        let shown = "é".repeat(100);
        assert_eq!(key.to_string(), format!(r#"{{job="{shown}…",a="{shown}…"}}"#));
    }

    #[test]
    fn labels_are_sorted_and_empty_ones_dropped() {
        let key = GroupingKey::new("import")
            .and_then(|key| key.label("shard", "2"))
            .and_then(|key| key.label("instance", ""))
            .and_then(|key| key.label("region", "eu"))
            .unwrap();
        assert_eq!(key.url_path(), "/metrics/job/import/region/eu/shard/2");
        assert!(key.has_label("job") && key.has_label("shard") && !key.has_label("instance"));
    }

    #[test]
    fn an_empty_value_removes_the_label() {
        let key = GroupingKey::new("import")
            .and_then(|key| key.label("region", "eu"))
            .and_then(|key| key.label("region", ""))
            .unwrap();
        assert_eq!(key.to_string(), r#"{job="import"}"#);
    }

    #[test]
    fn invalid_keys_are_refused_with_the_remedy() {
        let text = |result: Result<GroupingKey, Error>| result.unwrap_err().to_string();
        assert!(text(GroupingKey::new("")).contains("the job name is empty"));
        for name in ["b-c", "__x", "9a", "foo.bar", "", "é"] {
            let error = text(GroupingKey::new("j").and_then(|key| key.label(name, "v")));
            assert!(error.contains("is not allowed") && error.contains("underscores"), "{error}");
        }
        assert!(
            text(GroupingKey::new("j").and_then(|key| key.label("job", "v"))).contains("\"job\"")
        );
    }

    #[test]
    fn metric_names_may_have_colons_and_label_names_may_not() {
        assert!(is_metric_name("job:errors:rate5m") && !is_label_name("a:b"));
        assert!(is_label_name("_private") && !is_label_name("__reserved"));
        assert!(!is_metric_name("my-metric") && !is_metric_name(""));
    }
}
