//! tokio-cron-scheduler with annotated tasks. Each outcome of a run is reported, and the scheduler continues.
//!
//! ```sh
//! cargo run --package metrics-push-schedulers --bin cron_scheduler
//! ```
//!
//! The scheduler decides when a task runs; `every` only declares how often a success is expected.

#[path = "../../../support/backup.rs"]
mod backup;
#[path = "../../../support/mod.rs"]
mod support;

use std::error::Error;
use std::future::Future;
use std::io;
use std::time::Duration;

use backup::{backup, wait_for_overlap};
use metrics_push::push_job;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// How long the example waits for the scheduler before it fails.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Each run holds a permit. Once closed, no further run starts.
static RUNS: Semaphore = Semaphore::const_new(MAX_RUNS as usize);
const MAX_RUNS: u32 = 100;

/// Fails. The outcome is `error`.
#[push_job(every = "1s")]
async fn reindex() -> Result<(), io::Error> {
    Err(io::Error::other("the index is locked"))
}

/// Panics. The scheduler catches the panic; the outcome is `panic`.
#[push_job(every = "1s")]
async fn archive() {
    panic!("the disk is full");
}

/// Runs past the timeout in `main`, which drops the future. The outcome is `cancelled`.
#[push_job(every = "1s", max_runtime = "10s")]
async fn report() {
    sleep(Duration::from_secs(3_600)).await;
}

/// Retries inside one run, and reports the number of attempts in a gauge of the run.
#[push_job(every = "1s", run = run)]
async fn sync_orders() -> Result<(), Box<dyn Error + Send + Sync>> {
    let attempts = run.gauge("sync_orders_attempts", "Attempts of the last run.")?;
    for attempt in 1..=3 {
        attempts.inc();
        match fetch(attempt) {
            Ok(orders) => {
                run.add_processed(orders);
                return Ok(());
            }
            Err(error) => eprintln!("attempt {attempt}: {error}"),
        }
        sleep(Duration::from_millis(1)).await;
    }
    Err("the shop did not respond".into())
}

fn fetch(attempt: u32) -> Result<u64, io::Error> {
    if attempt < 3 { Err(io::Error::other("the shop is busy")) } else { Ok(17) }
}

/// Returns a scheduler job that runs the task every second.
fn every_second<F>(task: fn() -> F) -> Result<Job, JobSchedulerError>
where
    F: Future<Output: Send> + Send + 'static,
{
    Job::new_async("* * * * * *", move |_id, _scheduler| {
        Box::pin(async move {
            let Ok(_permit) = RUNS.acquire().await else { return };
            // `#[push_job]` has reported the result; the scheduler does not need it.
            drop(task().await);
        })
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let gateway = support::ExampleGateway::start()?;
    let mut scheduler = JobScheduler::new().await?;
    scheduler.add(every_second(reindex)?).await?;
    scheduler.add(every_second(archive)?).await?;
    scheduler.add(every_second(|| timeout(Duration::from_millis(10), report()))?).await?;
    scheduler.add(every_second(sync_orders)?).await?;
    scheduler.add(every_second(backup)?).await?;
    scheduler.start().await?;
    timeout(TIMEOUT, wait_for_overlap()).await?;
    // Wait for the runs in progress. Otherwise the end of the runtime would cancel them.
    let _permits = RUNS.acquire_many(MAX_RUNS).await?;
    RUNS.close();
    scheduler.shutdown().await?;
    gateway.print_status()
}
