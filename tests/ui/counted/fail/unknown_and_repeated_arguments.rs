use metrics_push::counted;

#[counted(nmae = "loads_total")]
fn misspelt() {}

#[counted(lable(kind = "a"))]
fn misspelt_list() {}

#[counted(buckets = [1.0])]
fn of_another_attribute() {}

#[counted(name = "loads_total", name = "more_total", only = error, only = error)]
fn repeated() {}

#[counted(name = "loads_total" help = "Loads.")]
fn comma_forgotten() {}

#[counted("loads_total")]
fn without_a_key() {}

#[counted(name)]
fn without_a_value() {}

#[counted(name =)]
fn half_typed() {}

fn main() {}
