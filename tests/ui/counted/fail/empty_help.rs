use metrics_push::counted;

#[counted(name = "loads_total", help = "")]
fn load() {}

fn main() {}
