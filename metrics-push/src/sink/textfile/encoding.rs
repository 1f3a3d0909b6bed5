//! The content of the files: families in the text format, with the grouping labels in each sample.
//!
//! Every family starts with a comment, so that a file can be split into its families again.

use std::fmt::Write as _;

use crate::checksum::checksum_of;
use crate::error::{Error, Kind};
use crate::exposition::EncodedFamily;
use crate::labels::GroupingKey;
use crate::push_request::Families;

/// The families that the node exporter exports about its own process. The collector ignores those of other processes.
const OWN_FAMILIES: [&str; 9] = [
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_threads",
    "process_virtual_memory_bytes",
    "process_virtual_memory_max_bytes",
    "promhttp_metric_handler_errors_total",
];

/// Returns the name of the file of a group.
pub(super) fn file_name(key: &GroupingKey) -> String {
    format!("metrics_push_{:032x}.prom", checksum_of(&[key.url_path().as_bytes()]))
}

/// Returns true if the file is that of a group.
pub(super) fn is_group_file(name: &str) -> bool {
    let checksum = name.strip_prefix("metrics_push_").and_then(|rest| rest.strip_suffix(".prom"));
    checksum.is_some_and(|it| it.len() == 32 && it.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Returns false for the families that the node exporter has about its own process.
pub(super) fn is_exported(family: &str) -> bool {
    !family.starts_with("go_") && !OWN_FAMILIES.contains(&family)
}

/// Splits the content of a file into its families. Lines before the first comment are dropped.
pub(super) fn parse_file(text: &str) -> Families {
    let mut families = Families::new();
    let mut current = None;
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let name = comment.split(' ').nth(1).unwrap_or_default();
            if current.as_deref() != Some(name) {
                current = Some(name.to_owned());
            }
        }
        if let Some(name) = &current {
            let family = families.entry(name.clone()).or_default();
            family.push_str(line);
            family.push('\n');
        }
    }
    families
}

/// The labels of a group as the text format writes them.
#[derive(Debug)]
pub(super) struct GroupLabels<'a> {
    key: &'a GroupingKey,
    job_label: &'a str,
    text: String,
}

impl<'a> GroupLabels<'a> {
    /// Returns the grouping labels, with the job in `job_label`.
    ///
    /// # Errors
    /// `is_config` if a grouping label has this name as well.
    pub(super) fn new(key: &'a GroupingKey, job_label: &'a str) -> Result<Self, Error> {
        if key.labels().any(|(name, _)| name == job_label) {
            return Err(Error::config(format!(
                "the grouping label {job_label:?} is also the label of the job"
            ))
            .remedy("set another name with ?job_label= in the URL"));
        }
        let mut text = String::new();
        for (name, value) in [(job_label, key.job())].into_iter().chain(key.labels()) {
            let comma = if text.is_empty() { "" } else { "," };
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(text, "{comma}{name}=\"{value}\"");
        }
        Ok(Self { key, job_label, text })
    }

    /// Adds the labels to all samples of a family.
    ///
    /// # Errors
    /// `is_metric` if a sample has one of the labels, or the text is not in the form that this crate writes.
    pub(super) fn add_to(&self, family: &str, text: &str) -> Result<String, Error> {
        let invalid = |what| {
            Error::new(Kind::Metric, what)
                .at("metric", family)
                .remedy("rename the label, or set another name with ?job_label= in the URL")
        };
        let parsed =
            EncodedFamily::parse(text).ok_or_else(|| invalid("the metric cannot be read"))?;
        let is_reserved = |name: &str| {
            name == self.job_label || self.key.labels().any(|(label, _)| label == name)
        };
        let mut labelled = String::with_capacity(text.len() * 2);
        for comment in text.lines().filter(|line| line.starts_with("# ")) {
            labelled.push_str(comment);
            labelled.push('\n');
        }
        if !labelled.contains("# TYPE ") {
            let _ = writeln!(labelled, "# TYPE {family} {}", parsed.metric_type.as_str());
        }
        for (sample, line) in
            parsed.samples().zip(text.lines().filter(|line| !line.starts_with("# ")))
        {
            let sample = sample.ok_or_else(|| invalid("the metric cannot be read"))?;
            if let Some((label, _)) = sample.labels.iter().find(|(name, _)| is_reserved(name)) {
                return Err(invalid("the metric has a label of the group").at("label", label));
            }
            let rest = &line[sample.name.len()..];
            let rest = rest.strip_prefix('{').unwrap_or(rest);
            let separator = match (sample.labels.is_empty(), rest.starts_with('}')) {
                (false, _) => ",",
                (true, true) => "",
                (true, false) => "}",
            };
            let _ = writeln!(labelled, "{}{{{}{separator}{rest}", sample.name, self.text);
        }
        Ok(labelled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> GroupingKey {
        GroupingKey::new("a\\b\"c\nd").unwrap().label("region", "eu").unwrap()
    }

    #[test]
    fn labels_are_added_to_all_forms_of_samples() {
        let key = key();
        let labels = GroupLabels::new(&key, "job").unwrap();
        let text = labels.add_to("x", "# HELP x A { and }.\nx 1\nx{} 2\nx{a=\"}\"} 3\n").unwrap();
        let group = "job=\"a\\\\b\\\"c\\nd\",region=\"eu\"";
        assert_eq!(
            text,
            format!(
                "# HELP x A {{ and }}.\n# TYPE x untyped\nx{{{group}}} 1\nx{{{group}}} 2\nx{{{group},a=\"}}\"}} 3\n"
            )
        );
    }

    #[test]
    fn file_is_split_into_the_families_that_it_was_written_from() {
        let key = key();
        let labels = GroupLabels::new(&key, "job").unwrap();
        let h = "# HELP h H.\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 2\nh_count 1\n";
        let families: Families = [("h", h), ("x", "x 1\n"), ("y", "# TYPE y counter\ny 2\n")]
            .map(|(name, text)| (name.to_owned(), labels.add_to(name, text).unwrap()))
            .into();
        let text: String = families.values().map(String::as_str).collect();
        assert_eq!(parse_file(&text), families);
    }

    #[test]
    fn text_of_another_program_is_not_an_error() {
        for text in ["", "\n", "x 1", "# HELP", "# \n# \n", "# TYPE x gauge\nx"] {
            let _ = parse_file(text);
        }
    }

    #[test]
    fn families_of_the_exporter_itself_are_not_exported() {
        for name in ["process_open_fds", "process_cpu_seconds_total", "go_goroutines"] {
            assert!(!is_exported(name), "{name}");
        }
        for name in ["process_orders_total", "batch_job_info", "golden_rows"] {
            assert!(is_exported(name), "{name}");
        }
    }

    #[test]
    fn grouping_label_with_the_name_of_the_job_label_is_an_error() {
        assert!(GroupLabels::new(&key(), "region").unwrap_err().is_config());
    }

    #[test]
    fn file_name_is_the_same_in_all_versions() {
        let key = GroupingKey::new("nightly").unwrap().label("region", "eu").unwrap();
        assert_eq!(file_name(&key).len(), "metrics_push_.prom".len() + 32);
    }
}
