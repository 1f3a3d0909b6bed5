//! Encoder for the Prometheus text format, version 0.0.4.
//!
//! The `prometheus` crate's encoder is slower, encodes all families at once and does not support untyped metrics. A
//! family is written as a HELP line, a TYPE line and one line per sample. Counts of histograms and summaries are exact
//! integers. Other numbers are written in the shortest form that parses to the same float. Timestamps are never
//! written, because the Pushgateway rejects them.

use prometheus::proto::{Metric, MetricFamily, MetricType};

use super::proto_compat::{counter_value, gauge_value, untyped_value};

/// Capacity reserved for the comments of a family, besides its name and its help text.
const COMMENTS_LENGTH: usize = "# HELP  \n# TYPE  histogram\n".len();

/// Capacity reserved for the first line.
const TYPICAL_LINE_LENGTH: usize = 64;
/// Capacity reserved for each later series, besides the length of the first one.
const TYPICAL_DIFFERENCE: usize = 24;

/// Appends a family to `text`. Appends nothing if the family has no metrics.
pub(crate) fn write_family(family: &MetricFamily, text: &mut String) {
    let metrics = family.get_metric();
    if metrics.is_empty() {
        return;
    }
    let mut samples = SampleWriter::start(family, metrics.len(), text);
    for metric in metrics {
        let labels = metric.get_label().iter().map(|label| (label.name(), label.value()));
        samples.write(labels, metric);
    }
}

/// Appends the comments of a family to `text`, and reserves space for the first line.
pub(super) fn write_head(kind: MetricType, name: &str, help: &str, text: &mut String) {
    let comments = COMMENTS_LENGTH + 2 * name.len() + help.len();
    text.reserve(comments + TYPICAL_LINE_LENGTH);
    if !help.is_empty() {
        text.extend(["# HELP ", name, " "]);
        push_escaped(text, help, |byte| matches!(byte, b'\\' | b'\n'));
        text.push('\n');
    }
    let type_name = match kind {
        MetricType::COUNTER => "counter",
        MetricType::GAUGE => "gauge",
        MetricType::SUMMARY => "summary",
        MetricType::UNTYPED => "untyped",
        MetricType::HISTOGRAM => "histogram",
    };
    text.extend(["# TYPE ", name, " ", type_name, "\n"]);
}

/// Writes the sample lines of one family.
pub(super) struct SampleWriter<'a> {
    name: &'a str,
    kind: MetricType,
    text: &'a mut String,
    /// The encoded labels of the current metric.
    labels: String,
    /// The number of series after the first one. It is 0 after the first one is written.
    later_series: usize,
}

/// A label that the format adds: the bound of a bucket, or a quantile.
type ExtraLabel = Option<(&'static str, f64)>;

impl<'a> SampleWriter<'a> {
    /// Appends the comments of a family to `text`. `series` is the number of its series and may be 0.
    pub(super) fn start(family: &'a MetricFamily, series: usize, text: &'a mut String) -> Self {
        let (name, kind, labels) = (family.name(), family.get_field_type(), String::new());
        write_head(kind, name, family.help(), text);
        Self { name, kind, text, labels, later_series: series.saturating_sub(1) }
    }

    /// Appends the lines of a metric with these labels. The labels in `metric` are ignored.
    pub(super) fn write<'l>(
        &mut self,
        labels: impl Iterator<Item = (&'l str, &'l str)>,
        metric: &Metric,
    ) {
        self.encode_labels(labels);
        let start = self.text.len();
        match self.kind {
            MetricType::COUNTER => self.number(counter_value(metric)),
            MetricType::GAUGE => self.number(gauge_value(metric)),
            MetricType::UNTYPED => self.number(untyped_value(metric)),
            MetricType::HISTOGRAM => self.histogram(metric),
            MetricType::SUMMARY => self.summary(metric),
        }
        let length = self.text.len() - start;
        // Reserved memory that is not used costs nothing, but a text that outgrows its memory is copied. The first series may be
        // much longer than the others, so the system may refuse the memory.
        let later = std::mem::take(&mut self.later_series) * (length + TYPICAL_DIFFERENCE);
        let _ = self.text.try_reserve(later);
    }

    fn encode_labels<'l>(&mut self, labels: impl Iterator<Item = (&'l str, &'l str)>) {
        self.labels.clear();
        for (name, value) in labels {
            if !self.labels.is_empty() {
                self.labels.push(',');
            }
            self.labels.push_str(name);
            self.labels.push_str("=\"");
            push_label_value(&mut self.labels, value);
            self.labels.push('"');
        }
    }

    fn number(&mut self, value: f64) {
        self.series("", None);
        self.value(value);
    }

    fn histogram(&mut self, metric: &Metric) {
        let histogram = metric.get_histogram();
        for bucket in histogram.get_bucket() {
            self.series("_bucket", Some(("le", bucket.upper_bound())));
            self.count(bucket.cumulative_count());
        }
        if histogram.get_bucket().iter().all(|bucket| bucket.upper_bound() != f64::INFINITY) {
            self.series("_bucket", Some(("le", f64::INFINITY)));
            self.count(histogram.get_sample_count());
        }
        self.series("_sum", None);
        self.value(histogram.get_sample_sum());
        self.series("_count", None);
        self.count(histogram.get_sample_count());
    }

    fn summary(&mut self, metric: &Metric) {
        let summary = metric.get_summary();
        for quantile in summary.get_quantile() {
            self.series("", Some(("quantile", quantile.quantile())));
            self.value(quantile.value());
        }
        self.series("_sum", None);
        self.value(summary.sample_sum());
        self.series("_count", None);
        self.count(summary.sample_count());
    }

    /// Writes the name and the labels of a line.
    fn series(&mut self, suffix: &str, extra: ExtraLabel) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        if self.labels.is_empty() && extra.is_none() {
            self.text.push(' ');
            return;
        }
        self.text.push('{');
        self.text.push_str(&self.labels);
        if let Some((name, value)) = extra {
            if !self.labels.is_empty() {
                self.text.push(',');
            }
            self.text.push_str(name);
            self.text.push_str("=\"");
            push_number(self.text, value);
            self.text.push('"');
        }
        self.text.push_str("} ");
    }

    fn value(&mut self, value: f64) {
        push_number(self.text, value);
        self.text.push('\n');
    }

    fn count(&mut self, count: u64) {
        push_integer(self.text, count);
        self.text.push('\n');
    }
}

/// Appends the value of a label with its escape sequences, without quotes.
pub(crate) fn push_label_value(text: &mut String, value: &str) {
    push_escaped(text, value, |byte| matches!(byte, b'\\' | b'\n' | b'"'));
}

/// Appends `value` with a backslash before each special character, which must be ASCII.
fn push_escaped(text: &mut String, value: &str, is_special: impl Fn(u8) -> bool) {
    let mut rest = value;
    while let Some(position) = rest.bytes().position(&is_special) {
        let (plain, escaped) = rest.split_at(position);
        let (character, after) = escaped.split_at(1);
        text.extend([plain, "\\", if character == "\n" { "n" } else { character }]);
        rest = after;
    }
    text.push_str(rest);
}

/// 2 to the power of 53. Every integer up to this number has an exact float.
const MAX_EXACT_INTEGER: f64 = 9_007_199_254_740_992.0;

/// Appends a number in the shortest form that parses to the same float.
pub(crate) fn push_number(text: &mut String, value: f64) {
    let magnitude = value.abs();
    // Fast path: most values are integers.
    if magnitude <= MAX_EXACT_INTEGER && magnitude == (magnitude as u64) as f64 {
        if value.is_sign_negative() {
            text.push('-');
        }
        push_integer(text, magnitude as u64);
    } else if value.is_finite() {
        text.push_str(zmij::Buffer::new().format_finite(value));
    } else {
        text.push_str(match value {
            f64::INFINITY => "+Inf",
            f64::NEG_INFINITY => "-Inf",
            _ => "NaN",
        });
    }
}

fn push_integer(text: &mut String, number: u64) {
    const MAX_DIGITS: usize = 20;
    let mut digits = [b'0'; MAX_DIGITS];
    let mut start = MAX_DIGITS;
    let mut rest = number;
    while rest > 0 || start == MAX_DIGITS {
        start -= 1;
        digits[start] += (rest % 10) as u8;
        rest /= 10;
    }
    text.push_str(str::from_utf8(&digits[start..]).unwrap_or_default());
}

#[cfg(test)]
#[path = "text_encoder/tests.rs"] // A bench includes this file under another path.
mod tests;
