//! Prints families in the text format, version 0.0.4.
//!
//! `Display` of [`Sample`], [`Family`] and `Group` use it too, so that a failed assertion prints what a scrape returns.

use std::fmt::{self, Write as _};

use super::family::{Family, Sample};
use super::go_format::format_sample;

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        let mut separator = '{';
        let is_last = |name: &str| self.last == Some(name);
        let first = self.labels.iter().filter(|(name, _)| !is_last(name));
        let last = self.labels.iter().filter(|(name, _)| is_last(name));
        for (name, value) in first.chain(last) {
            write!(f, "{separator}{name}=\"{}\"", escape_value(value))?;
            separator = ',';
        }
        if separator == ',' {
            f.write_char('}')?;
        }
        write!(f, " {}", format_sample(self.value))
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_head(f, self)?;
        for sample in self.samples() {
            writeln!(f, "{sample}")?;
        }
        Ok(())
    }
}

/// Prints families of many groups. Families with the same name are merged, and everything is sorted.
pub(super) fn print<'a>(families: impl IntoIterator<Item = &'a Family>) -> String {
    let mut families: Vec<&Family> = families.into_iter().collect();
    families.sort_by(|a, b| a.name.cmp(&b.name));
    let mut text = String::new();
    // A push in protobuf can contain families without metrics. The real gateway does not print them.
    families.retain(|family| !family.metrics.is_empty());
    for same_name in families.chunk_by(|a, b| a.name == b.name) {
        // Writing to a `String` does not fail.
        let _ = write_head(&mut text, same_name[0]);
        let mut metrics: Vec<_> = same_name
            .iter()
            .flat_map(|family| family.metrics.iter().map(|m| (*family, m)))
            .collect();
        metrics.sort_by(|(_, a), (_, b)| {
            a.labels
                .len()
                .cmp(&b.labels.len())
                .then_with(|| a.labels.values().cmp(b.labels.values()))
        });
        for (family, metric) in metrics {
            for sample in family.metric_samples(metric) {
                let _ = writeln!(text, "{sample}");
            }
        }
    }
    text
}

fn write_head(out: &mut impl fmt::Write, family: &Family) -> fmt::Result {
    if !family.help.is_empty() {
        writeln!(out, "# HELP {} {}", family.name, escape_help(&family.help))?;
    }
    writeln!(out, "# TYPE {} {}", family.name, family.kind)
}

fn escape_help(text: &str) -> String {
    text.replace('\\', r"\\").replace('\n', r"\n")
}

pub(super) fn escape_value(text: &str) -> String {
    escape_help(text).replace('"', r#"\""#)
}
