//! The same functions, measured with other crates: by attribute where the crate has one, else by hand.

use std::sync::LazyLock;
use std::time::Instant;

use autometrics::autometrics;
use autometrics::settings::AutometricsSettings;
use metered::{HitCount, ResponseTime, metered};
use metrics_exporter_prometheus::PrometheusBuilder;
use metrics_helper_macros::instrument;
use prometheus::{DEFAULT_BUCKETS, Registry};

use crate::by_hand::{Output, bare, bare_async, service};

/// A counter and a histogram of `metered`, which keeps metrics in an object.
#[derive(Default)]
pub(crate) struct Metered {
    metrics: Measured,
}

pub(crate) static METERED: LazyLock<Metered> = LazyLock::new(Metered::default);

#[metered(registry = Measured)]
impl Metered {
    #[inline]
    #[measure([HitCount, ResponseTime])]
    pub(crate) fn both(&self, number: u64) -> Output {
        bare(number)
    }

    #[inline]
    #[measure([HitCount, ResponseTime])]
    pub(crate) async fn both_async(&self, number: u64) -> Output {
        bare_async(number).await
    }
}

/// A counter and a histogram of `prometheus-client`, without and with a label.
struct Client {
    calls: prometheus_client::metrics::counter::Counter,
    seconds: prometheus_client::metrics::histogram::Histogram,
    calls_by_label: ByLabel<prometheus_client::metrics::counter::Counter>,
    seconds_by_label: ByLabel<prometheus_client::metrics::histogram::Histogram>,
}

type ByLabel<M> = prometheus_client::metrics::family::Family<[(&'static str, &'static str); 1], M>;

static CLIENT: LazyLock<Client> = LazyLock::new(|| {
    let seconds =
        || prometheus_client::metrics::histogram::Histogram::new(DEFAULT_BUCKETS.iter().copied());
    Client {
        calls: Default::default(),
        seconds: seconds(),
        calls_by_label: Default::default(),
        seconds_by_label: ByLabel::new_with_constructor(seconds),
    }
});

#[inline]
pub(crate) fn client(number: u64) -> Output {
    let start = Instant::now();
    let output = bare(number);
    CLIENT.seconds.observe(start.elapsed().as_secs_f64());
    CLIENT.calls.inc();
    output
}

#[inline]
pub(crate) fn client_by_label(number: u64) -> Output {
    let labels = [("service", service(number))];
    let start = Instant::now();
    let output = bare(number);
    CLIENT.seconds_by_label.get_or_create(&labels).observe(start.elapsed().as_secs_f64());
    CLIENT.calls_by_label.get_or_create(&labels).inc();
    output
}

#[prometric_derive::metrics(scope = "prometric", static)]
struct Prometric {
    /// Calls.
    #[metric]
    calls: prometric::Counter,
    /// Duration of calls.
    #[metric]
    seconds: prometric::Histogram,
    /// Calls.
    #[metric(labels = ["service"])]
    labelled_calls: prometric::Counter,
    /// Duration of calls.
    #[metric(labels = ["service"])]
    labelled_seconds: prometric::Histogram,
}

#[inline]
pub(crate) fn prometric(number: u64) -> Output {
    let start = Instant::now();
    let output = bare(number);
    PROMETRIC.seconds().observe(start.elapsed().as_secs_f64());
    PROMETRIC.calls().inc();
    output
}

#[inline]
pub(crate) fn prometric_by_label(number: u64) -> Output {
    let start = Instant::now();
    let output = bare(number);
    PROMETRIC.labelled_seconds(service(number)).observe(start.elapsed().as_secs_f64());
    PROMETRIC.labelled_calls(service(number)).inc();
    output
}

#[inline]
#[autometrics]
pub(crate) fn auto(number: u64) -> Output {
    bare(number)
}

#[inline]
#[autometrics]
pub(crate) async fn auto_async(number: u64) -> Output {
    bare_async(number).await
}

#[inline]
#[instrument(counter = "helper_calls_total", histogram = "helper_seconds")]
pub(crate) fn helper(number: u64) -> Output {
    bare(number)
}

#[inline]
#[instrument(counter = "helper_async_calls_total", histogram = "helper_async_seconds")]
pub(crate) async fn helper_async(number: u64) -> Output {
    bare_async(number).await
}

#[inline]
pub(crate) fn helper_by_label(number: u64) -> Output {
    #[instrument(counter = "labelled_total", histogram = "labelled_seconds", labels(service))]
    fn call(number: u64, service: &'static str) -> Output {
        bare(number)
    }
    call(number, service(number))
}

#[inline]
pub(crate) fn facade(number: u64) -> Output {
    let start = Instant::now();
    let output = bare(number);
    metrics::histogram!("facade_seconds").record(start.elapsed().as_secs_f64());
    metrics::counter!("facade_calls_total").increment(1);
    output
}

#[inline]
pub(crate) fn facade_by_label(number: u64) -> Output {
    let start = Instant::now();
    let output = bare(number);
    let service = service(number);
    metrics::histogram!("facade_labelled_seconds", "service" => service)
        .record(start.elapsed().as_secs_f64());
    metrics::counter!("facade_labelled_calls_total", "service" => service).increment(1);
    output
}

/// Installs a recorder for the `metrics` facade, which otherwise records nothing, and a separate registry for
/// `autometrics`, whose counter has the same name as ours.
pub(crate) fn install() {
    AutometricsSettings::builder().prometheus_registry(Registry::new()).init();
    let builder = PrometheusBuilder::new().set_buckets(&DEFAULT_BUCKETS[..]).unwrap();
    builder.install_recorder().unwrap();
}
