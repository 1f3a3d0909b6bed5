use metrics_push::timed;

#[timed(ok_if = Option::is_some)]
fn predicate_without_outcome() -> Option<u32> {
    None
}

#[timed(outcome)]
fn outcome_without_name() {}

fn main() {}
