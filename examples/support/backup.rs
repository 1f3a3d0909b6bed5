//! A task that is started again while it runs, as it happens with every scheduler. The run that would overlap is `skipped`.

use metrics_push::{Run, push_job};
use tokio::sync::{Mutex, Semaphore};

static ALONE: Mutex<()> = Mutex::const_new(());

/// Closed as soon as a run was in the way of another. Until then a backup takes its time, however fast the machine.
static OVERLAPPED: Semaphore = Semaphore::const_new(0);

/// A success adds to the group here; one that replaced it would forget when a run was last skipped.
#[push_job(every = "24h", run = run, on_success = add)]
pub(crate) async fn backup() {
    match ALONE.try_lock() {
        Ok(_alone) => copy(run).await,
        Err(_) => {
            run.skip("the backup before it still runs");
            OVERLAPPED.close();
        }
    }
}

async fn copy(run: &Run) {
    let _stage = run.stage("copy");
    overlapped().await;
    run.add_processed(1);
}

/// Waits until one has been in the way of another.
pub(crate) async fn overlapped() {
    // It has no permits: this waits until it is closed.
    let _ = OVERLAPPED.acquire().await;
}
