//! Literals checked while compiling: metric and label names, buckets, durations.
//!
//! The rules are Prometheus' own: its data model (never negotiable), the names that other parts of
//! the system own, and the naming conventions, which `conventions = off` switches off.

use std::time::Duration;

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::{Lit, LitStr};

use crate::args::{Pair, as_literal};
use crate::errors::{Errors, excerpt};
use crate::tokens::{as_group, is_punct, open_all, split_at_commas};

/// What a metric's name promises.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Timer,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conventions {
    On,
    Off,
}

/// Metrics that the gateway adds to every group itself.
const OF_THE_GATEWAY: [&str; 2] = ["push_time_seconds", "push_failure_time_seconds"];

/// Labels with a meaning of their own inside histograms and summaries.
const OF_BUCKETS: [&str; 2] = ["le", "quantile"];

/// Labels of the grouping key: the gateway sets them on everything it holds.
const OF_THE_GROUP: [&str; 2] = ["job", "instance"];

/// Suffixes of the series that histograms are made of.
const OF_HISTOGRAMS: [&str; 3] = ["_bucket", "_count", "_sum"];

/// Units that are multiples or fractions of the second, which is the base unit.
const OTHER_UNITS: [&str; 10] = [
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
pub(crate) fn metric(name: &LitStr, kind: Kind, conventions: Conventions, errors: &mut Errors) {
    let text = name.value();
    if !is_name(&text, ':') {
        errors.at(name, format!(
            "{text:?} is not a metric name, which has letters, digits and underscores, and no digit first; write {:?}",
            suggestion(&text),
        ));
    } else if OF_THE_GATEWAY.contains(&text.as_str()) {
        errors.at(name, format!("{text:?} is the gateway's own metric; choose another name"));
    } else if text.starts_with("batch_job_") {
        errors.at(name, format!("{text:?}: `batch_job_` is the prefix of what every run reports; choose another name"));
    } else if conventions == Conventions::On {
        convention(name, &text, kind, errors);
    }
}

fn convention(name: &LitStr, text: &str, kind: Kind, errors: &mut Errors) {
    const OFF: &str = "or add `conventions = off` if the name can't change";
    if text.contains(':') {
        let better = text.replace(':', "_");
        errors.at(name, format!("colons are for recording rules; write {better:?}, {OFF}"));
        return;
    }
    match kind {
        Kind::Counter if !text.ends_with("_total") => {
            let stem = stem(text, &OF_HISTOGRAMS);
            errors.at(
                name,
                format!("a counter's name ends in `_total`; write \"{stem}_total\", {OFF}"),
            );
        }
        Kind::Timer if !text.ends_with("_seconds") => {
            let stem = stem(stem(stem(text, &["_total"]), &OF_HISTOGRAMS), &OTHER_UNITS);
            let stem = stem.trim_end_matches("_seconds");
            errors.at(name, format!(
                "durations are in seconds, and the name ends in `_seconds`; write \"{stem}_seconds\", {OFF}"
            ));
        }
        _ => {}
    }
}

fn stem<'a>(text: &'a str, suffixes: &[&str]) -> &'a str {
    suffixes.iter().find_map(|suffix| text.strip_suffix(suffix)).unwrap_or(text)
}

/// Checks the labels of a metric. `own` are those that the attribute adds itself.
pub(crate) fn labels(labels: &[Pair], own: &[&str], errors: &mut Errors) {
    for (position, label) in labels.iter().enumerate() {
        let name = label.name.unraw().to_string();
        check_label(&label.name, errors);
        if OF_THE_GROUP.contains(&name.as_str()) {
            errors.at(&label.name, format!(
                "`{name}` is a label of the group that the gateway sets on all its metrics; choose another name"
            ));
        }
        if own.contains(&name.as_str()) {
            errors.at(
                &label.name,
                format!("`{name}` is a label that the attribute adds itself; choose another name"),
            );
        }
        check_twice(labels, position, errors);
    }
}

/// Checks the labels of a grouping key.
pub(crate) fn grouping(labels: &[Pair], has_instance: bool, errors: &mut Errors) {
    for (position, label) in labels.iter().enumerate() {
        check_label(&label.name, errors);
        if label.name == "job" {
            errors.at(&label.name, "the `job` label is the job's name; write `name = \"..\"`");
        }
        if label.name == "instance" && has_instance {
            errors.at(&label.name, "`instance` is given twice; keep the argument or the label");
        }
        check_twice(labels, position, errors);
    }
}

fn check_label(label: &Ident, errors: &mut Errors) {
    let name = label.unraw().to_string();
    if !is_name(&name, '_') {
        errors.at(
            label,
            format!("`{name}` is not a label name; use letters, digits and underscores"),
        );
    } else if name.starts_with("__") {
        errors.at(
            label,
            format!("`{name}`: two leading underscores are Prometheus' own; remove one"),
        );
    } else if OF_BUCKETS.contains(&name.as_str()) {
        errors.at(
            label,
            format!("`{name}` is the label of histograms and summaries; choose another name"),
        );
    }
}

fn check_twice(labels: &[Pair], position: usize, errors: &mut Errors) {
    let name = &labels[position].name;
    if labels[..position].iter().any(|earlier| earlier.name.unraw() == name.unraw()) {
        errors.at(name, format!("label `{}` is given twice; keep one of the two", name.unraw()));
    }
}

fn is_name(name: &str, extra: char) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == extra)
}

fn suggestion(name: &str) -> String {
    let fitting: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    match fitting.trim_matches('_') {
        "" => "jobs_total".to_owned(),
        rest if rest.starts_with(|first: char| first.is_ascii_digit()) => format!("_{rest}"),
        rest => rest.to_owned(),
    }
}

/// Checks `[0.1, 1, 5]`: finite and increasing. The elements of other expressions are left to rustc.
///
/// The result is the expression to emit, with integers turned into floats.
pub(crate) fn buckets(value: &TokenStream, errors: &mut Errors) -> TokenStream {
    const FORM: &str = "write the upper bounds: `buckets = [0.1, 1, 10]`";
    if as_literal(value).is_some() {
        errors.at(
            value,
            format!("`buckets` is a list or a constant, found {}; {FORM}", excerpt(value)),
        );
    }
    let tokens = open_all(value.clone());
    let list = match &tokens[..] {
        [list] => as_group(Some(list), Delimiter::Bracket),
        _ => None,
    };
    let Some(list) = list else { return value.clone() };
    if list.stream().is_empty() {
        errors.at(list, format!("`buckets` is empty; {FORM}"));
    }
    let mut last = f64::NEG_INFINITY;
    let elements = split_at_commas(list.stream()).into_iter().map(TokenStream::from_iter);
    let bounds = elements.map(|element| {
        check_bound(&element, &mut last, errors);
        as_float(element)
    });
    quote!(&[#(#bounds),*])
}

fn check_bound(element: &TokenStream, last: &mut f64, errors: &mut Errors) {
    let text = excerpt(element);
    match bound(element) {
        Some(bound) if !bound.is_finite() => errors.at(
            element,
            format!("bucket {text} is not finite; leave it out, the last bucket `+Inf` is always there"),
        ),
        Some(bound) if bound <= *last => errors.at(
            element,
            format!("bucket {text} is not above the one before it, {last}; write them in increasing order"),
        ),
        Some(bound) => *last = bound,
        None => {}
    }
}

/// The value of a literal, or of one of the float constants that can't be a bound.
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

/// Reads `"24h"`, `"1h30m"`, `"500ms"`.
pub(crate) fn duration(literal: &LitStr) -> syn::Result<Duration> {
    const FORM: &str = "write numbers with units: \"24h\", \"1h30m\", \"500ms\" (d, h, m, s, ms)";
    let text = literal.value();
    match parse_duration(&text) {
        Some(Duration::ZERO) => {
            Err(syn::Error::new_spanned(literal, format!("{text:?} is no time at all; {FORM}")))
        }
        Some(duration) => Ok(duration),
        None => {
            Err(syn::Error::new_spanned(literal, format!("{text:?} is not a duration; {FORM}")))
        }
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let mut total = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let milliseconds = match &rest[..unit] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(milliseconds)?)?;
        rest = &rest[unit..];
    }
    (!text.is_empty()).then(|| Duration::from_millis(total))
}

/// A duration as an expression that `const` contexts take.
pub(crate) fn duration_tokens(duration: Duration) -> TokenStream {
    match (duration.subsec_millis(), duration.as_secs()) {
        (0, seconds) => quote!(::core::time::Duration::from_secs(#seconds)),
        _ => {
            let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
            quote!(::core::time::Duration::from_millis(#milliseconds))
        }
    }
}
