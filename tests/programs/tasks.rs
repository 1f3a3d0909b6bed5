//! A process with two jobs as task functions, one of which is cancelled.

use std::time::Duration;

#[metrics_push::push_job(name = "cancelled_task")]
async fn endless() {
    std::future::pending::<()>().await;
}

#[metrics_push::push_job(name = "blocking_task", grouping(shard = shard))]
fn blocking(shard: u8) -> u8 {
    shard + 1
}

#[tokio::main]
async fn main() {
    let cancelled = tokio::time::timeout(Duration::from_millis(20), endless()).await;
    assert!(cancelled.is_err());
    assert_eq!(tokio::task::spawn_blocking(|| blocking(1)).await.unwrap(), 2);
}
