//! Runs the jobs named by its arguments, one after the other. Each succeeds.

use std::sync::LazyLock;

use metrics_push::prometheus::Registry;
use metrics_push::{Job, Outcome};

fn main() {
    for name in std::env::args().skip(1) {
        let job = Job::with_name(name).registry(empty_registry).whole_process();
        job.start().finish(Outcome::Success);
    }
}

fn empty_registry() -> &'static Registry {
    static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::new);
    &REGISTRY
}
