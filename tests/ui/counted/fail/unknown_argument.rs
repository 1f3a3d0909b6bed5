use metrics_push::counted;

#[counted(nmae = "loads_total")]
fn misspelt() {}

#[counted(lable(kind = "a"))]
fn misspelt_list() {}

#[counted(buckets = [1.0])]
fn argument_of_another_attribute() {}

fn main() {}
