use metrics_push::counted;

#[counted(name = "my-metric_total")]
fn dash() {}

#[counted(name = "")]
fn empty() {}

#[counted(name = "9_lives_total")]
fn digit() {}

#[counted(name = "loads")]
fn no_total() {}

#[counted(name = "loads_count")]
fn suffix_of_histograms() {}

#[counted(name = "job:loads_total")]
fn recording_rule() {}

#[counted(name = "push_time_seconds", conventions = off)]
fn of_the_gateway() {}

#[counted(name = "batch_job_total")]
fn of_runs() {}

#[counted(
    name = "labels_total",
    labels(
        le = 1,
        quantile = 1,
        __x = 1,
        job = 1,
        instance = 1,
        function = 1,
        module = 1,
        outcome = 1,
        ärger = 1,
        kind = 1,
        kind = 2,
    ),
)]
fn labels() {}

#[counted(name = "loads_total", help = "")]
fn without_a_text() {}

fn main() {}
