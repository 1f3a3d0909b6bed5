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
fn every_mistake_at_once() {}

#[counted(max_series = 0)]
fn too_few() {}

#[counted(crate = super::metrics_push)]
fn relative() {}

#[counted(name = "kinds_total", labels())]
fn no_labels() {}

#[counted(name = "kinds_total", labels(kind, other = ))]
fn labels_without_values(kind: &str) {}

const HELP: &str = "Loads.";

fn main() {}
