use metrics_push::counted;

#[counted(name = "loads_total" help = "Loads.")]
fn missing_comma() {}

#[counted("loads_total")]
fn value_without_name() {}

#[counted(name)]
fn name_without_value() {}

#[counted(name =)]
fn name_without_value_after_equals() {}

fn main() {}
