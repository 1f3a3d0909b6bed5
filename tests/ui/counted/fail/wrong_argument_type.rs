use metrics_push::counted;

#[counted(
    name = 3,
    help = HELP,
    labels = "kind",
    ok_if(is_some),
    only = success,
    max_series = "many",
    conventions = on,
    future = true,
    crate = "metrics_push",
)]
fn every_argument() {}

#[counted(max_series = 0)]
fn zero_series() {}

#[counted(crate = super::metrics_push)]
fn relative_path() {}

const HELP: &str = "Loads.";

fn main() {}
