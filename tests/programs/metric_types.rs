//! A job with a metric of each type. Each argument is a label value of a gauge.

use metrics_push::{Job, Outcome, counter, gauge_vec, histogram_with_buckets};

fn main() {
    let job = Job::new("metric_types").whole_process();
    let run = job.start_with(&[("shard", &"a b,c=d")]);
    counter("orders_total", "Orders.").unwrap().add(17);
    let sizes = histogram_with_buckets("size_bytes", "Sizes.", &[1.0, 10.0]).unwrap();
    for size in [0.5, 5.0, 6.0, 50.0] {
        sizes.observe(size);
    }
    let rows = gauge_vec("rows", "Rows.", &["of"]).unwrap();
    for value in std::env::args().skip(1) {
        rows.with_label_values(&[&value]).set(3.5);
    }
    run.finish(Outcome::Success);
}
