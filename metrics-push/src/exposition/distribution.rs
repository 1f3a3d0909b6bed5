//! `Distribution`: one histogram or summary, read from its samples.
//!
//! In the text, a histogram or summary consists of several samples. The protobuf formats have one message for it.

use std::collections::HashMap;

use super::sample::{EncodedFamily, LabelPairs, MetricType, Sample};

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Distribution<'a> {
    /// Without `le` and `quantile`.
    pub(crate) labels: LabelPairs<'a>,
    pub(crate) count: u64,
    pub(crate) sum: f64,
    /// Upper bounds and cumulative counts.
    pub(crate) buckets: Vec<(f64, u64)>,
    /// Quantiles and values.
    pub(crate) quantiles: Vec<(f64, f64)>,
}

impl<'a> Distribution<'a> {
    /// Reads the histograms or summaries of the family with this name, in the order of the text. Returns `None` if a sample
    /// belongs to neither.
    pub(crate) fn read_all(name: &str, family: &EncodedFamily<'a>) -> Option<Vec<Self>> {
        let mut reader = Reader::default();
        family.samples().try_for_each(|sample| reader.add(name, family.metric_type, sample?))?;
        Some(reader.list)
    }
}

#[derive(Default)]
struct Reader<'a> {
    list: Vec<Distribution<'a>>,
    positions: HashMap<LabelPairs<'a>, usize>,
}

impl<'a> Reader<'a> {
    fn add(&mut self, family: &str, metric_type: MetricType, mut sample: Sample<'a>) -> Option<()> {
        match (sample.name.strip_prefix(family)?, metric_type) {
            ("_count", _) => self.entry(&sample).count = sample.count()?,
            ("_sum", _) => self.entry(&sample).sum = sample.number()?,
            ("_bucket", MetricType::Histogram) => {
                let bound = sample.take_number("le")?;
                self.entry(&sample).buckets.push((bound, sample.count()?));
            }
            ("", MetricType::Summary) => {
                let quantile = sample.take_number("quantile")?;
                self.entry(&sample).quantiles.push((quantile, sample.number()?));
            }
            _ => return None,
        }
        Some(())
    }

    /// Returns the distribution with the labels of the sample, after inserting one if there is none.
    fn entry(&mut self, sample: &Sample<'a>) -> &mut Distribution<'a> {
        let next = self.list.len();
        let position = *self.positions.entry(sample.labels.clone()).or_insert(next);
        if position == next {
            self.list.push(Distribution { labels: sample.labels.clone(), ..Default::default() });
        }
        &mut self.list[position]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Option<Vec<(f64, u64)>> {
        let family = EncodedFamily::parse(text).unwrap();
        let list = Distribution::read_all(name, &family)?;
        assert_eq!(list.len(), 2, "{list:?}");
        Some(list[1].buckets.clone())
    }

    #[test]
    fn samples_with_the_same_labels_are_one_histogram() {
        let text = "# TYPE h histogram\n\
                    h_bucket{le=\"1\"} 1\nh_bucket{a=\"b\",le=\"1\"} 2\nh_bucket{a=\"b\",le=\"+Inf\"} 3\n\
                    h_sum{a=\"b\"} 0.5\nh_count{a=\"b\"} 3\nh_count 1\n";
        assert_eq!(read("h", text), Some(vec![(1.0, 2), (f64::INFINITY, 3)]));
        let family = EncodedFamily::parse(text).unwrap();
        let last = Distribution::read_all("h", &family).unwrap().remove(1);
        assert_eq!((last.labels, last.count, last.sum), (vec![("a", "b".into())], 3, 0.5));
    }

    #[test]
    fn sample_of_another_kind_is_not_read() {
        for text in ["# TYPE h histogram\nh 1\n", "# TYPE h summary\nh_bucket{le=\"1\"} 1\n"] {
            let family = EncodedFamily::parse(text).unwrap();
            assert_eq!(Distribution::read_all("h", &family), None, "{text}");
        }
    }
}
