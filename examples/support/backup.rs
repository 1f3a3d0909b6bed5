//! A task that is started again while it runs. The overlapping run is skipped.

use metrics_push::{Run, push_job};
use tokio::sync::{Mutex, Semaphore};

static ALONE: Mutex<()> = Mutex::const_new(());

/// Closed when a run has been skipped. The first run waits for that, so that the example behaves the same on any machine.
static OVERLAPPED: Semaphore = Semaphore::const_new(0);

/// `on_success = add` keeps the time of the last skipped run. A push replaces the group and removes it.
#[push_job(every = "24h", run = run, on_success = add)]
pub(crate) async fn backup() {
    match ALONE.try_lock() {
        Ok(_alone) => copy(run).await,
        Err(_) => {
            run.skip("the previous backup is still running");
            OVERLAPPED.close();
        }
    }
}

async fn copy(run: &Run) {
    let _stage = run.stage("copy");
    overlapped().await;
    run.add_processed(1);
}

/// Waits until a run has been skipped.
pub(crate) async fn overlapped() {
    // The semaphore has no permits, so `acquire` waits until it is closed.
    let _ = OVERLAPPED.acquire().await;
}
