//! An apalis worker with annotated tasks. apalis retries tasks, times them out and catches their panics; `#[push_job]`
//! reports their outcomes.
//!
//! ```sh
//! cargo run --package metrics-push-schedulers --bin apalis_worker
//! ```
//!
//! Each attempt calls the function, so each attempt is a run.

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

/// How long the worker runs: much longer than all tasks take.
const WORK_TIME: Duration = Duration::from_secs(2);

#[derive(Clone, Debug)]
enum Task {
    Invoice { tenant: u32 },
    Reminders,
    Reindex,
    Archive,
    Backup,
}

/// Pushes to one group per tenant: the value of the grouping label is an argument.
#[push_job(grouping(tenant = tenant), run = run, every = "1h")]
async fn invoice(tenant: u32) -> Result<(), io::Error> {
    run.add_processed(u64::from(tenant));
    if tenant == 3 { Err(io::Error::other("the address is missing")) } else { Ok(()) }
}

/// Panics. apalis catches the panic, and the worker continues.
#[push_job(every = "1h")]
async fn reindex() -> Result<(), io::Error> {
    panic!("the index is gone");
}

/// Runs past apalis' timeout, which drops the future. The outcome is `cancelled`.
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
            sleep(WORK_TIME).await;
            Ok::<_, io::Error>(())
        })
        .await?;
    gateway.print_status()
}
