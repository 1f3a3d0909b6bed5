use metrics_push::push_job;

#[push_job(name = "")]
fn empty_name() {}

#[push_job(nome = "a", every = "24", max_runtime = "1 h", heartbeat = "0s", on_success = delete)]
fn every_mistake_at_once() {}

#[push_job(every = 24, run = "run", instance(a), grouping = region)]
fn wrong_types() {}

#[push_job(grouping(job = "a", le = 1, __x = 1, region = "eu", region = "us", instance = "a"), instance)]
fn labels() {}

#[push_job(retries = 3)]
fn unknown() {}

#[push_job(signals = none, kill, supervise)]
fn supervised_task() {}

#[push_job(run = run)]
fn later() -> impl Future<Output = ()> {
    async {}
}

#[push_job]
impl Job {}

#[push_job]
const fn constant() {}

struct Job;

fn main() {}
