use metrics_push::counted;

#[counted(name = "unlabelled_total", labels(fixed = "a", kind = kind))]
fn label_without_display(kind: Option<u8>) {}

#[counted(name = "unknown_total", labels(kind = missing.kind))]
fn label_of_nothing() {}

#[counted(ok_if = |n| n.is_some())]
fn predicate_of_another_type() -> u32 {
    1
}

fn main() {}
