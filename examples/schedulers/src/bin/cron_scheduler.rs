//! tokio-cron-scheduler with decorated tasks: each way that a run can end is told apart, and the scheduler lives on.
//!
//! ```sh
//! cargo run --package metrics-push-schedulers --bin cron_scheduler
//! ```
//!
//! The schedule is the scheduler's affair and `every` the watcher's: it says how often a success is expected.

#[path = "../../../support/backup.rs"]
mod backup;
#[path = "../../../support/mod.rs"]
mod support;

use std::error::Error;
use std::future::Future;
use std::io;
use std::time::Duration;

use backup::{backup, overlapped};
use metrics_push::push_job;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// When to give up on a scheduler that does not tick.
const PATIENCE: Duration = Duration::from_secs(60);

/// A permit for each run that may be under way; closed, no other begins.
static RUNS: Semaphore = Semaphore::const_new(MOST_RUNS as usize);
const MOST_RUNS: u32 = 100;

/// Fails: `error`.
#[push_job(every = "1s")]
async fn reindex() -> Result<(), io::Error> {
    Err(io::Error::other("the index is locked"))
}

/// Panics: `panic`. The scheduler catches it, the outcome is told all the same.
#[push_job(every = "1s")]
async fn archive() {
    panic!("the disk is full");
}

/// Takes longer than it is let: dropped on the way, so `cancelled`.
#[push_job(every = "1s", max_runtime = "10s")]
async fn report() {
    sleep(Duration::from_secs(3_600)).await;
}

/// Is tried again until it works: one run, which tells how many attempts it took.
#[push_job(every = "1s", run = run)]
async fn sync_orders() -> Result<(), Box<dyn Error + Send + Sync>> {
    let attempts = run.gauge("sync_orders_attempts", "How often the last run had to try.")?;
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
    Err("the shop did not answer".into())
}

fn fetch(attempt: u32) -> Result<u64, io::Error> {
    if attempt < 3 { Err(io::Error::other("the shop is busy")) } else { Ok(17) }
}

/// A task for every second.
fn every_second<F>(task: fn() -> F) -> Result<Job, JobSchedulerError>
where
    F: Future<Output: Send> + Send + 'static,
{
    Job::new_async("* * * * * *", move |_id, _scheduler| {
        Box::pin(async move {
            let Ok(_permit) = RUNS.acquire().await else { return };
            // What a task returns is told to Prometheus; a scheduler has no use for it.
            drop(task().await);
        })
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let showcase = support::Showcase::open()?;
    let mut scheduler = JobScheduler::new().await?;
    scheduler.add(every_second(reindex)?).await?;
    scheduler.add(every_second(archive)?).await?;
    scheduler.add(every_second(|| timeout(Duration::from_millis(10), report()))?).await?;
    scheduler.add(every_second(sync_orders)?).await?;
    scheduler.add(every_second(backup)?).await?;
    scheduler.start().await?;
    timeout(PATIENCE, overlapped()).await?;
    // Those that are under way come to their end; the runtime would cancel them with its own.
    let _all = RUNS.acquire_many(MOST_RUNS).await?;
    RUNS.close();
    scheduler.shutdown().await?;
    showcase.show(&["reindex", "archive", "report", "sync_orders", "backup"])
}
