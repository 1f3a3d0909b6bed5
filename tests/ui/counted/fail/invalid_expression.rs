use metrics_push::counted;

#[counted(name = "display_total", labels(fixed = "a", kind = kind))]
fn label_value_without_display(kind: Option<u8>) {}

#[counted(name = "undefined_total", labels(kind = missing.kind))]
fn label_value_of_undefined_variable() {}

#[counted(ok_if = |n| n.is_some())]
fn predicate_of_another_type() -> u32 {
    1
}

fn main() {}
