//! The check that a push has to pass: could everything the gateway then holds be scraped at once?
//!
//! The real gateway answers that by gathering all it has, its own metrics included, which is why
//! one group's type can be in another group's way, and why one broken group stops every push.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::LazyLock;

use super::exposition::escape_value;
use super::family::{Family, Kind, Labels, Metric, Value};
use super::go_format::print_float;
use super::path::is_label_name;

/// The families the real gateway exports about itself; theirs is the type that counts.
const OWN: [(Kind, &[&str]); 3] = [
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

/// A family and the grouping labels it is held under; `unreadable` names one that is not UTF-8.
#[derive(Clone, Copy)]
pub(super) struct Held<'a> {
    pub(super) family: &'a Family,
    pub(super) unreadable: Option<&'a str>,
}

/// The kind of one of the gateway's own families.
pub(super) fn own_kind(name: &str) -> Option<Kind> {
    static KINDS: LazyLock<HashMap<&str, Kind>> = LazyLock::new(|| {
        OWN.iter().flat_map(|(kind, names)| names.iter().map(|name| (*name, *kind))).collect()
    });
    KINDS.get(name).copied()
}

/// Everything that keeps the families from being scraped together; empty if nothing does.
pub(super) fn problems<'a>(held: impl Iterator<Item = Held<'a>>) -> Vec<String> {
    let mut by_name: BTreeMap<&str, Vec<Held<'a>>> = BTreeMap::new();
    for one in held {
        by_name.entry(&one.family.name).or_default().push(one);
    }
    let mut seen: BTreeMap<&str, Kind> = BTreeMap::new();
    let mut problems = Vec::new();
    for (name, families) in by_name {
        let kind = families[0].family.kind;
        let collision = match own_kind(name) {
            Some(own) if own != kind => {
                let (is, should) = (kind.word().to_uppercase(), own.word().to_uppercase());
                Some(format!(
                    "gathered metric family {name} has type {is} but should have {should}"
                ))
            }
            Some(_) => None,
            None => suffix_collision(name, kind, |other| {
                own_kind(other).or_else(|| seen.get(other).copied())
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

/// All metrics under one name: each fit to be scraped, no two the same.
fn check_metrics(kind: Kind, families: &[Held<'_>], problems: &mut Vec<String>) {
    let mut seen: HashSet<&Labels> = HashSet::new();
    for held in families {
        for metric in &held.family.metrics {
            let fault = if held.family.kind == kind {
                fault_of(metric, held.unreadable).or_else(|| {
                    let is_new = seen.insert(&metric.labels);
                    (!is_new).then(|| {
                        "was collected before with the same name and label values".to_owned()
                    })
                })
            } else {
                Some(format!("is not a {}", kind.word().to_uppercase()))
            };
            if let Some(fault) = fault {
                let text = describe(held.family.kind, metric);
                problems
                    .push(format!("collected metric {:?} {{ {text}}} {fault}", held.family.name));
            }
        }
    }
}

/// What is wrong with a metric whatever else there is.
pub(super) fn fault_of(metric: &Metric, unreadable: Option<&str>) -> Option<String> {
    for name in metric.labels.keys() {
        if !is_label_name(name) {
            return Some(format!("has a label with an invalid name: {name}"));
        }
        if matches!(metric.value, Value::Summary { .. }) && name == "quantile" {
            return Some("must not have an explicit \"quantile\" label".into());
        }
        if unreadable == Some(name) {
            let value = &metric.labels[name];
            return Some(format!("has a label named {name:?} whose value is not utf8: {value:?}"));
        }
    }
    None
}

/// A name that is also the name of some histogram's or summary's samples.
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

/// A metric in the notation of the real gateway's messages.
fn describe(kind: Kind, metric: &Metric) -> String {
    let mut text = String::new();
    for (name, value) in &metric.labels {
        // Writing to a string cannot fail.
        let _ = write!(text, "label:<name:{name:?} value:\"{}\" > ", escape_value(value));
    }
    let _ = match &metric.value {
        Value::Number(value) => write!(text, "{kind}:<value:{} > ", print_float(*value)),
        Value::Histogram { sum, count, .. } | Value::Summary { sum, count, .. } => {
            let sum = print_float(*sum);
            write!(text, "{kind}:<sample_count:{count} sample_sum:{sum} > ")
        }
    };
    text
}
