//! Compile-time checks of metric names, label names and buckets.
//!
//! Three sets of rules apply: the data model of Prometheus, the names that Prometheus, the Pushgateway and
//! this library reserve, and the naming conventions, which `conventions = off` disables.

use std::collections::HashSet;

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::{Lit, LitStr};

use crate::arguments::Label;
use crate::errors::{Errors, excerpt, valid_name};
use crate::tokens::{as_group, as_literal, flatten, is_punct, split_at_commas};

/// The type of a metric, which determines the suffix of its name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetricKind {
    Counter,
    /// A histogram of durations in seconds.
    Histogram,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conventions {
    On,
    Off,
}

/// Metrics that the Pushgateway adds to every group.
const GATEWAY_METRICS: [&str; 2] = ["push_time_seconds", "push_failure_time_seconds"];

/// Labels that histograms and summaries use for buckets and quantiles.
const BUCKET_LABELS: [&str; 2] = ["le", "quantile"];

/// Labels that the Pushgateway sets on every metric of a group.
const GROUPING_LABELS: [&str; 2] = ["job", "instance"];

/// Suffixes of the series of a histogram.
const HISTOGRAM_SUFFIXES: [&str; 3] = ["_bucket", "_count", "_sum"];

/// Suffixes of units other than the base unit, the second.
const TIME_UNIT_SUFFIXES: [&str; 10] = [
    "_ms",
    "_millis",
    "_milliseconds",
    "_us",
    "_micros",
    "_microseconds",
    "_ns",
    "_nanoseconds",
    "_minutes",
    "_hours",
];

/// Checks the name of a metric.
pub(crate) fn metric_name(
    name: &LitStr,
    kind: MetricKind,
    conventions: Conventions,
    errors: &mut Errors,
) {
    let text = name.value();
    let problem = if !is_name(&text, ':') {
        let valid = valid_name(&text);
        Some(format!(
            "expected letters, digits and underscores, and no digit at the start; write for example {valid:?}"
        ))
    } else if GATEWAY_METRICS.contains(&text.as_str()) {
        Some("the Pushgateway adds a metric with this name to every group; use another name".into())
    } else if text.starts_with("batch_job_") {
        Some(
            "the prefix `batch_job_` is reserved for the metrics of a run; use another name".into(),
        )
    } else if conventions == Conventions::On {
        convention(&text, kind).map(|(rule, better)| {
            format!("{rule}; write {better:?}, or add `conventions = off` if the name can't change")
        })
    } else {
        None
    };
    if let Some(problem) = problem {
        errors.at(name, format!("invalid metric name {text:?}: {problem}"));
    }
}

/// Returns the convention that the name violates, and a name that follows it.
fn convention(name: &str, kind: MetricKind) -> Option<(&'static str, String)> {
    if name.contains(':') {
        return Some(("colons are reserved for recording rules", name.replace(':', "_")));
    }
    match kind {
        MetricKind::Counter if !name.ends_with("_total") => {
            let stem = without_suffix(name, &HISTOGRAM_SUFFIXES);
            Some(("the name of a counter must end in `_total`", format!("{stem}_total")))
        }
        MetricKind::Histogram if !name.ends_with("_seconds") => {
            let stem = without_suffix(name, &["_total"]);
            let stem = without_suffix(stem, &HISTOGRAM_SUFFIXES);
            let stem = without_suffix(stem, &TIME_UNIT_SUFFIXES).trim_end_matches("_seconds");
            let rule = "the metric is in seconds, so its name must end in `_seconds`";
            Some((rule, format!("{stem}_seconds")))
        }
        MetricKind::Counter | MetricKind::Histogram => None,
    }
}

fn without_suffix<'a>(text: &'a str, suffixes: &[&str]) -> &'a str {
    suffixes.iter().find_map(|suffix| text.strip_suffix(suffix)).unwrap_or(text)
}

/// Checks the labels of a metric. The attribute itself adds the labels in `reserved`.
pub(crate) fn metric_labels(labels: &[Label], reserved: &[&str], errors: &mut Errors) {
    unique_labels(labels, errors);
    for label in labels {
        let name = label.name.unraw().to_string();
        label_name(&label.name, errors);
        if GROUPING_LABELS.contains(&name.as_str()) {
            errors.at(&label.name, format!(
                "invalid label name `{name}`: the Pushgateway sets this label on every metric of a group; use another name"
            ));
        }
        if reserved.contains(&name.as_str()) {
            errors.at(
                &label.name,
                format!(
                    "invalid label name `{name}`: the attribute adds this label; use another name"
                ),
            );
        }
    }
}

/// Checks the labels of a grouping key.
pub(crate) fn grouping_labels(labels: &[Label], errors: &mut Errors) {
    unique_labels(labels, errors);
    for label in labels {
        label_name(&label.name, errors);
        if label.name == "job" {
            errors.at(
                &label.name,
                "invalid grouping label `job`: its value is the name of the job; write `name = \"..\"` instead",
            );
        }
    }
}

fn label_name(label: &Ident, errors: &mut Errors) {
    let name = label.unraw().to_string();
    let problem = if !is_name(&name, '_') {
        "expected letters, digits and underscores; use another name"
    } else if name.starts_with("__") {
        "names with two leading underscores are reserved for Prometheus; remove one underscore"
    } else if BUCKET_LABELS.contains(&name.as_str()) {
        "this label is reserved for histograms and summaries; use another name"
    } else {
        return;
    };
    errors.at(label, format!("invalid label name `{name}`: {problem}"));
}

fn unique_labels(labels: &[Label], errors: &mut Errors) {
    let mut seen = HashSet::new();
    for Label { name, .. } in labels {
        if !seen.insert(name.unraw()) {
            errors.at(name, format!("duplicate label `{}`; remove one of the two", name.unraw()));
        }
    }
}

fn is_name(name: &str, extra: char) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == extra)
}

/// Checks that the elements of a list such as `[0.1, 1, 5]` are finite and increasing.
///
/// Returns the expression to emit, with integers converted to floats. An expression that is not a list is
/// returned unchanged, and the compiler checks its type.
pub(crate) fn buckets(value: &TokenStream, errors: &mut Errors) -> TokenStream {
    const REMEDY: &str = "write the upper bounds, for example `buckets = [0.1, 1, 10]`";
    if as_literal(value).is_some() {
        let found = excerpt(value);
        let message =
            format!("invalid `buckets`: expected a list or a constant, found {found}; {REMEDY}");
        errors.at(value, message);
    }
    let tokens = flatten(value.clone());
    let list = match &tokens[..] {
        [list] => as_group(Some(list), Delimiter::Bracket),
        _ => None,
    };
    let Some(list) = list else { return value.clone() };
    if list.stream().is_empty() {
        errors.at(list, format!("invalid `buckets`: the list is empty; {REMEDY}"));
    }
    let mut previous = f64::NEG_INFINITY;
    let elements = split_at_commas(list.stream()).into_iter().map(TokenStream::from_iter);
    let bounds = elements.map(|element| {
        bucket(&element, &mut previous, errors);
        as_float(element)
    });
    quote!(&[#(#bounds),*])
}

fn bucket(element: &TokenStream, previous: &mut f64, errors: &mut Errors) {
    let text = excerpt(element);
    match bound(element) {
        Some(bound) if !bound.is_finite() => errors.at(
            element,
            format!("invalid bucket {text}: it must be finite; remove it, the bucket `+Inf` always exists"),
        ),
        Some(bound) if bound <= *previous => errors.at(
            element,
            format!("invalid bucket {text}: it must be greater than the previous one, {previous}; write the buckets in increasing order"),
        ),
        Some(bound) => *previous = bound,
        None => {}
    }
}

/// Returns the value of a literal, or of a constant such as `f64::INFINITY`.
fn bound(element: &TokenStream) -> Option<f64> {
    let tokens: Vec<TokenTree> = element.clone().into_iter().collect();
    if is_punct(tokens.first(), '-') {
        return bound(&tokens[1..].iter().cloned().collect()).map(|bound| -bound);
    }
    match tokens.last() {
        Some(TokenTree::Ident(word)) if word == "INFINITY" => return Some(f64::INFINITY),
        Some(TokenTree::Ident(word)) if word == "NAN" => return Some(f64::NAN),
        _ => {}
    }
    match as_literal(element)? {
        Lit::Float(float) => float.base10_parse().ok(),
        Lit::Int(integer) => integer.base10_parse::<u64>().ok().map(|integer| integer as f64),
        _ => None,
    }
}

fn as_float(element: TokenStream) -> TokenStream {
    let mut tokens: Vec<TokenTree> = element.clone().into_iter().collect();
    let number = tokens.pop().map(ToTokens::into_token_stream).unwrap_or_default();
    match as_literal(&number) {
        Some(Lit::Int(integer)) if integer.suffix().is_empty() => {
            let mut float =
                proc_macro2::Literal::f64_suffixed(integer.base10_parse().unwrap_or(0.0));
            float.set_span(integer.span());
            quote!(#(#tokens)* #float)
        }
        _ => element,
    }
}
