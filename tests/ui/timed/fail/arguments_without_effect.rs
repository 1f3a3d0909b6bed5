use metrics_push::timed;

#[timed(ok_if = Option::is_some)]
fn predicate_without_outcome() -> Option<u32> {
    None
}

#[timed(outcome)]
fn outcome_of_some() {}

#[timed(outcome = true, in_flight())]
fn flags_with_values() {}

#[timed(in_fligth)]
fn misspelt() {}

#[timed]
enum Enumeration {}

fn main() {}
