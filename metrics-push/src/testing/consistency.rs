//! The consistency check: a push is accepted if everything that the gateway then contains can be scraped.
//!
//! The real gateway checks that by gathering all metrics, including those about itself. So the type of a metric in one group
//! can make a push to another group fail, and one inconsistent group makes every push fail.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::LazyLock;

use super::exposition::escape_value;
use super::family::{Family, Kind, LabelMap, Metric, MetricValue};
use super::go_format::format_float;
use super::path::is_label_name;

/// The families that the real gateway exports about itself. A pushed family with such a name must have the same type.
const BUILTIN_FAMILIES: [(Kind, &[&str]); 3] = [
    (
        Kind::Counter,
        &[
            "go_memstats_alloc_bytes_total",
            "go_memstats_frees_total",
            "go_memstats_lookups_total",
            "go_memstats_mallocs_total",
            "process_cpu_seconds_total",
            "pushgateway_http_requests_total",
        ],
    ),
    (
        Kind::Gauge,
        &[
            "go_goroutines",
            "go_info",
            "go_memstats_alloc_bytes",
            "go_memstats_buck_hash_sys_bytes",
            "go_memstats_gc_sys_bytes",
            "go_memstats_heap_alloc_bytes",
            "go_memstats_heap_idle_bytes",
            "go_memstats_heap_inuse_bytes",
            "go_memstats_heap_objects",
            "go_memstats_heap_released_bytes",
            "go_memstats_heap_sys_bytes",
            "go_memstats_last_gc_time_seconds",
            "go_memstats_mcache_inuse_bytes",
            "go_memstats_mcache_sys_bytes",
            "go_memstats_mspan_inuse_bytes",
            "go_memstats_mspan_sys_bytes",
            "go_memstats_next_gc_bytes",
            "go_memstats_other_sys_bytes",
            "go_memstats_stack_inuse_bytes",
            "go_memstats_stack_sys_bytes",
            "go_memstats_sys_bytes",
            "go_threads",
            "process_max_fds",
            "process_open_fds",
            "process_resident_memory_bytes",
            "process_start_time_seconds",
            "process_virtual_memory_bytes",
            "process_virtual_memory_max_bytes",
            "pushgateway_build_info",
        ],
    ),
    (
        Kind::Summary,
        &[
            "go_gc_duration_seconds",
            "pushgateway_http_push_duration_seconds",
            "pushgateway_http_push_size_bytes",
        ],
    ),
];

/// A family of a group, and the name of a grouping label whose value is not valid UTF-8.
#[derive(Clone, Copy)]
pub(super) struct GatheredFamily<'a> {
    pub(super) family: &'a Family,
    pub(super) invalid_label: Option<&'a str>,
}

/// Returns the kind of a family that the gateway exports about itself.
pub(super) fn builtin_kind(name: &str) -> Option<Kind> {
    static KINDS: LazyLock<HashMap<&str, Kind>> = LazyLock::new(|| {
        BUILTIN_FAMILIES
            .iter()
            .flat_map(|(kind, names)| names.iter().map(|name| (*name, *kind)))
            .collect()
    });
    KINDS.get(name).copied()
}

/// Returns the reasons why the families cannot be scraped together.
pub(super) fn problems<'a>(gathered: impl Iterator<Item = GatheredFamily<'a>>) -> Vec<String> {
    let mut by_name: BTreeMap<&str, Vec<GatheredFamily<'a>>> = BTreeMap::new();
    for one in gathered {
        by_name.entry(&one.family.name).or_default().push(one);
    }
    let mut seen: BTreeMap<&str, Kind> = BTreeMap::new();
    let mut problems = Vec::new();
    for (name, families) in by_name {
        let kind = families[0].family.kind;
        let collision = match builtin_kind(name) {
            Some(own) if own != kind => {
                let (is, should) = (kind.word().to_uppercase(), own.word().to_uppercase());
                Some(format!(
                    "gathered metric family {name} has type {is} but should have {should}"
                ))
            }
            Some(_) => None,
            None => suffix_collision(name, kind, |other| {
                builtin_kind(other).or_else(|| seen.get(other).copied())
            }),
        };
        if let Some(collision) = collision {
            problems.push(collision);
        } else {
            seen.insert(name, kind);
            check_metrics(kind, &families, &mut problems);
        }
    }
    problems
}

/// Checks the metrics with one name: each must be valid, and no two may have the same labels.
fn check_metrics(kind: Kind, families: &[GatheredFamily<'_>], problems: &mut Vec<String>) {
    let mut seen: HashSet<&LabelMap> = HashSet::new();
    for gathered in families {
        for metric in &gathered.family.metrics {
            let problem = if gathered.family.kind == kind {
                metric_problem(metric, gathered.invalid_label).or_else(|| {
                    let is_new = seen.insert(&metric.labels);
                    (!is_new).then(|| {
                        "was collected before with the same name and label values".to_owned()
                    })
                })
            } else {
                Some(format!("is not a {}", kind.word().to_uppercase()))
            };
            if let Some(problem) = problem {
                let text = describe(gathered.family.kind, metric);
                problems.push(format!(
                    "collected metric {:?} {{ {text}}} {problem}",
                    gathered.family.name
                ));
            }
        }
    }
}

/// Returns why a metric is invalid regardless of other metrics.
pub(super) fn metric_problem(metric: &Metric, invalid_label: Option<&str>) -> Option<String> {
    for name in metric.labels.keys() {
        if !is_label_name(name) {
            return Some(format!("has a label with an invalid name: {name}"));
        }
        if matches!(metric.value, MetricValue::Summary { .. }) && name == "quantile" {
            return Some("must not have an explicit \"quantile\" label".into());
        }
        if invalid_label == Some(name) {
            let value = &metric.labels[name];
            return Some(format!("has a label named {name:?} whose value is not utf8: {value:?}"));
        }
    }
    None
}

/// Returns an error if the name collides with the samples of a histogram or summary.
pub(super) fn suffix_collision(
    name: &str,
    kind: Kind,
    kind_of: impl Fn(&str) -> Option<Kind>,
) -> Option<String> {
    for suffix in ["_count", "_sum", "_bucket"] {
        let base = name.strip_suffix(suffix).filter(|base| !base.is_empty());
        let owner = base.and_then(|base| Some((base, kind_of(base)?)));
        if let Some((base, owner)) = owner.filter(|(_, owner)| has_sample(*owner, suffix)) {
            return Some(format!(
                "collected metric named {name:?} collides with previously collected {owner} named {base:?}"
            ));
        }
        let part = format!("{name}{suffix}");
        if has_sample(kind, suffix) && kind_of(&part).is_some() {
            return Some(format!(
                "collected histogram or summary named {name:?} collides with previously collected metric named {part:?}"
            ));
        }
    }
    None
}

fn has_sample(kind: Kind, suffix: &str) -> bool {
    kind == Kind::Histogram || (kind == Kind::Summary && suffix != "_bucket")
}

/// Formats a metric as the messages of the real gateway do.
fn describe(kind: Kind, metric: &Metric) -> String {
    let mut text = String::new();
    for (name, value) in &metric.labels {
        // Writing to a `String` does not fail.
        let _ = write!(text, "label:<name:{name:?} value:\"{}\" > ", escape_value(value));
    }
    let _ = match &metric.value {
        MetricValue::Number(value) => write!(text, "{kind}:<value:{} > ", format_float(*value)),
        MetricValue::Histogram { sum, count, .. } | MetricValue::Summary { sum, count, .. } => {
            let sum = format_float(*sum);
            write!(text, "{kind}:<sample_count:{count} sample_sum:{sum} > ")
        }
    };
    text
}
