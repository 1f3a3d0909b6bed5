use metrics_push::counted;

#[counted(ok_if = Option::is_some, error_if = Option::is_none)]
fn two_predicates() -> Option<u32> {
    None
}

#[counted(ok_if = |_| true)]
fn never() -> ! {
    loop {}
}

#[counted(ok_if = Option::is_some)]
#[track_caller]
fn tracking() -> Option<u32> {
    None
}

#[counted(future)]
async fn already_async() {}

#[counted(help = "Loads.")]
fn help_of_all() {}

#[counted(labels(kind = 1))]
fn labels_of_some() {}

fn main() {}
