use metrics_push::counted;

#[counted(help = "Loads.")]
fn help_of_the_shared_metric() {}

#[counted(labels(kind = 1))]
fn labels_of_the_shared_metric() {}

fn main() {}
