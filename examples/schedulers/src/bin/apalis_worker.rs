//! An apalis worker with annotated tasks. apalis retries, times out and catches panics; each outcome is reported.
//!
//! ```sh
//! cargo run --package metrics-push-schedulers --bin apalis_worker
//! ```
//!
//! Each attempt is a call of the function, so each attempt is a run.

#[path = "../../../support/backup.rs"]
mod backup;
#[path = "../../../support/reminders.rs"]
mod reminders;
#[path = "../../../support/mod.rs"]
mod support;

use std::error::Error;
use std::io;
use std::time::Duration;

use apalis::layers::WorkerBuilderExt as _;
use apalis::layers::retry::RetryPolicy;
use apalis::prelude::*;
use backup::backup;
use metrics_push::push_job;
use reminders::reminders;
use tokio::time::sleep;

/// Enough time for all tasks in the queue.
const WORKER_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Clone, Debug)]
enum Task {
    Invoice { tenant: u32 },
    Reminders,
    Reindex,
    Archive,
    Backup,
}

/// One group per tenant: the label is an argument of the function.
#[push_job(grouping(tenant = tenant), run = run, every = "1h")]
async fn invoice(tenant: u32) -> Result<(), io::Error> {
    run.add_processed(u64::from(tenant));
    if tenant == 3 { Err(io::Error::other("the address is missing")) } else { Ok(()) }
}

/// Panics: reported as `panic`. apalis catches it, and the worker continues.
#[push_job(every = "1h")]
async fn reindex() -> Result<(), io::Error> {
    panic!("the index is corrupt");
}

/// Exceeds the timeout of apalis, which drops the future: reported as `cancelled`.
#[push_job(every = "1h", max_runtime = "1m")]
async fn archive() -> Result<(), io::Error> {
    sleep(Duration::from_secs(3_600)).await;
    Ok(())
}

async fn perform(task: Task) -> Result<(), BoxDynError> {
    match task {
        Task::Invoice { tenant } => invoice(tenant).await?,
        Task::Reminders => reminders().await?,
        Task::Reindex => reindex().await?,
        Task::Archive => archive().await?,
        Task::Backup => backup().await,
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let gateway = support::ExampleGateway::start()?;
    let mut queue = MemoryStorage::new();
    for tenant in 1..=3 {
        queue.push(Task::Invoice { tenant }).await?;
    }
    for task in [Task::Reminders, Task::Reindex, Task::Archive, Task::Backup, Task::Backup] {
        queue.push(task).await?;
    }
    let worker = WorkerBuilder::new("tasks")
        .backend(queue)
        .retry(RetryPolicy::retries(2))
        .timeout(Duration::from_millis(200))
        .catch_panic()
        .build(perform);
    worker
        .run_until(async {
            sleep(WORKER_TIMEOUT).await;
            Ok::<_, io::Error>(())
        })
        .await?;
    gateway.print_groups(&["invoice", "reminders", "reindex", "archive", "backup"])
}
