use metrics_push::counted;

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

#[counted(name = "kinds_total", labels())]
fn no_labels() {}

#[counted(name = "kinds_total", labels(kind, other = ))]
fn labels_without_values(kind: &str) {}

fn main() {}
