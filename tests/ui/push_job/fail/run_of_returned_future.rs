use metrics_push::push_job;

#[push_job(run = run)]
fn import() -> impl Future<Output = ()> {
    std::future::ready(())
}

fn main() {}
