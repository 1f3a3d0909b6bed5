use metrics_push::push_job;

#[push_job(skip_if = |_| true, error_if = |_| false)]
fn never_returns() -> ! {
    loop {}
}

fn main() {}
