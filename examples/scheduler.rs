//! A long-lived process with many task functions. Each call is a run of the job of its function.
//!
//! ```sh
//! cargo run --example scheduler
//! ```
//!
//! No task waits for the gateway: outcomes are queued, merged per group, and delivered before the process exits.

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

/// One group per tenant: the value of the label is an argument.
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

/// Panics. The scheduler continues.
#[push_job(every = "1h")]
async fn reindex() {
    sleep(Duration::from_millis(1)).await;
    panic!("the index is gone");
}

/// Runs past the timeout in `main`, which drops the future. The outcome is `cancelled`.
#[push_job(every = "24h", max_runtime = "10ms")]
async fn archive() {
    sleep(Duration::from_secs(3_600)).await;
}

#[push_job(run = run)]
fn rotate_logs() {
    run.skip("there is nothing to rotate");
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let showcase = support::Showcase::open()?;
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
        // The second run overlaps with the first and is skipped.
        tasks.spawn(backup());
    }
    tasks.spawn(async { while reminders().await.is_err() {} });
    while tasks.join_next().await.is_some() {}
    showcase.show(&["invoices", "reindex", "archive", "rotate_logs", "reminders", "backup"])
}
