//! A scheduler in a long-lived process. Each task function is a job, and each call is a run.
//!
//! ```sh
//! cargo run --example scheduler
//! ```
//!
//! No task waits for the gateway. Outcomes are queued, merged per group, and delivered before the process exits.

#[path = "support/backup.rs"]
mod backup;
#[path = "support/reminders.rs"]
mod reminders;
#[path = "support/mod.rs"]
mod support;

use std::error::Error;
use std::io;
use std::time::Duration;

use backup::backup;
use metrics_push::{Run, push_job};
use reminders::reminders;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};

/// One group per tenant: the label is an argument of the function.
#[push_job(name = "invoices", grouping(tenant = tenant), run = run, every = "1h")]
async fn invoices(tenant: u32) -> Result<(), io::Error> {
    send(run, u64::from(tenant) * 10).await;
    if tenant == 3 { Err(io::Error::other("the mail server is down")) } else { Ok(()) }
}

async fn send(run: &Run, letters: u64) {
    for letter in 1..=letters {
        sleep(Duration::from_micros(100)).await;
        run.add_processed(1);
        run.progress(letter, letters);
    }
}

/// Panics: reported as `panic`. The scheduler continues.
#[push_job(every = "1h")]
async fn reindex() {
    sleep(Duration::from_millis(1)).await;
    panic!("the index is corrupt");
}

/// Exceeds the timeout of the scheduler, which drops the future: reported as `cancelled`.
#[push_job(every = "24h", max_runtime = "10ms")]
async fn archive() {
    sleep(Duration::from_secs(3_600)).await;
}

/// Has no work: reported as `skipped`.
#[push_job(run = run)]
fn rotate_logs() {
    run.skip("no logs to rotate");
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let gateway = support::ExampleGateway::start()?;
    let mut ticks = interval(Duration::from_millis(20));
    let mut tasks = JoinSet::new();
    for _ in 0..3 {
        ticks.tick().await;
        for tenant in 1..=3 {
            tasks.spawn(async move { drop(invoices(tenant).await) });
        }
        tasks.spawn(reindex());
        tasks.spawn(async { drop(timeout(Duration::from_millis(10), archive()).await) });
        tasks.spawn_blocking(rotate_logs);
        // Still running at the next tick, so that the next call skips its work.
        tasks.spawn(backup());
    }
    tasks.spawn(async { while reminders().await.is_err() {} });
    while tasks.join_next().await.is_some() {}
    gateway.print_status()
}
