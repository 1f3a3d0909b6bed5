use metrics_push::counted;

#[counted(name = "loads_total", name = "more_total", only = error, only = error)]
fn load() {}

fn main() {}
