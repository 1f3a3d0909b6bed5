use metrics_push::counted;

#[counted(ok_if = |_| true)]
fn never_returns() -> ! {
    loop {}
}

#[counted(ok_if = Option::is_some)]
#[track_caller]
fn tracks_its_caller() -> Option<u32> {
    None
}

#[counted(future)]
async fn is_async() {}

fn main() {}
