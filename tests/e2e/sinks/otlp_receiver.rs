//! A receiver of OTLP over HTTP that decodes requests with a protobuf library.

use std::io::Read as _;

use flate2::read::GzDecoder;
use prost::Message as _;

use super::otlp_messages::{
    Data, ExportMetricsServiceRequest, HistogramDataPoint, KeyValue, Metric, NumberDataPoint,
    SummaryDataPoint, pairs,
};
use super::recorder::{RecordedRequest, Recorder, response};
use super::{Receiver, Values, series};

pub(super) struct OtlpReceiver(Recorder);

impl OtlpReceiver {
    /// Starts a receiver that accepts all data points.
    pub(super) fn start() -> Self {
        Self::responding(|_| response("200 OK", "Content-Type: application/x-protobuf\r\n", b""))
    }

    pub(super) fn responding(respond: fn(usize) -> Vec<u8>) -> Self {
        Self(Recorder::start(respond))
    }

    pub(super) fn requests(&self) -> Vec<RecordedRequest> {
        self.0.requests()
    }

    /// Returns the metrics of a job, of all requests in their order.
    pub(super) fn metrics(&self, job: &str) -> Vec<Metric> {
        let requests = self.requests();
        let resources = requests.iter().flat_map(|request| decoded(request).resource_metrics);
        let of_job = resources.filter(|resource| {
            let attributes = resource.resource.as_ref().unwrap();
            pairs(&attributes.attributes).eq([("service.name", job)])
        });
        of_job.flat_map(|resource| resource.scope_metrics).flat_map(|scope| scope.metrics).collect()
    }
}

/// Decodes a request as the protocol requires.
fn decoded(request: &RecordedRequest) -> ExportMetricsServiceRequest {
    assert!(request.head.starts_with("POST /v1/metrics HTTP/1.1\r\n"), "{request:?}");
    assert!(request.has_header("content-type: application/x-protobuf"), "{request:?}");
    if !request.has_header("content-encoding: gzip") {
        return ExportMetricsServiceRequest::decode(&request.body[..]).unwrap();
    }
    let mut body = Vec::new();
    GzDecoder::new(&request.body[..]).read_to_end(&mut body).unwrap();
    ExportMetricsServiceRequest::decode(&body[..]).unwrap()
}

/// A sample of a metric: the suffix of its name, its time, its attributes and its value.
type Sample<'a> = (&'static str, u64, &'a [KeyValue], f64);

fn number(point: &NumberDataPoint) -> Sample<'_> {
    let NumberDataPoint { time_unix_nano, attributes, as_double, .. } = point;
    ("", *time_unix_nano, attributes, *as_double)
}

fn samples(metric: &Metric) -> Vec<Sample<'_>> {
    match metric.data.as_ref().unwrap() {
        Data::Gauge(gauge) => gauge.data_points.iter().map(number).collect(),
        Data::Sum(sum) => sum.data_points.iter().map(number).collect(),
        Data::Histogram(histogram) => histogram.data_points.iter().map(histogram_count).collect(),
        Data::Summary(summary) => summary.data_points.iter().map(summary_count).collect(),
    }
}

fn summary_count(point: &SummaryDataPoint) -> Sample<'_> {
    ("_count", point.time_unix_nano, &point.attributes, point.count as f64)
}

fn histogram_count(point: &HistogramDataPoint) -> Sample<'_> {
    ("_count", point.time_unix_nano, &point.attributes, point.count as f64)
}

impl Receiver for OtlpReceiver {
    fn url(&self) -> String {
        format!("otlp+http://{}", self.0.address())
    }

    fn values(&self, job: &str) -> Values {
        let metrics = self.metrics(job);
        let mut samples: Vec<_> = metrics
            .iter()
            .flat_map(|metric| samples(metric).into_iter().map(move |sample| (metric, sample)))
            .collect();
        // The newest sample of a series replaces the others.
        samples.sort_by_key(|(_, (_, time, ..))| *time);
        let named = samples.into_iter().map(|(metric, (suffix, _, attributes, value))| {
            (series(&format!("{}{suffix}", metric.name), pairs(attributes)), value)
        });
        named.collect()
    }
}
