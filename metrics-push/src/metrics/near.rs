//! Nearness: what of very many metrics is scattered over more memory than caches hold.

use std::hint::black_box;

use super::proto::{LabelPair, Metric};

/// How many metrics are brought near at once: few enough that they are still there when they are read.
pub(super) const BATCH: usize = 32;

/// Looks at every label of a few metrics. Looking at several at a time waits for memory once where reading one after
/// the other waits each time.
pub(super) fn bring_near(metrics: &[Metric]) {
    let labels = metrics.iter().flat_map(Metric::get_label);
    let ends = |label: &LabelPair| first(label.name()) ^ first(label.value());
    black_box(labels.fold(0, |seen, label| seen ^ ends(label)));
}

fn first(text: &str) -> u8 {
    text.as_bytes().first().copied().unwrap_or_default()
}
