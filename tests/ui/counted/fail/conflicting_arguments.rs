use metrics_push::counted;

#[counted(ok_if = Option::is_some, error_if = Option::is_none)]
fn two_predicates() -> Option<u32> {
    None
}

fn main() {}
