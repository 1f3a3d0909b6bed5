//! `async fn`: borrows, `Send`, cancellation and size.

use std::cell::Cell;
use std::mem::size_of_val;
use std::rc::Rc;

use metrics_push::{counted, timed};

use super::{block_on, calls, pause};

fn assert_send<T: Send>(value: T) -> T {
    value
}

#[test]
fn async_borrowed_arguments_compile() {
    #[counted]
    async fn copied(from: &str, to: &mut Vec<String>) -> usize {
        pause().await;
        to.push(from.to_owned());
        to.len()
    }
    #[counted]
    async fn chosen<'a>(from: &'a [&'a str]) -> Vec<&'a str> {
        pause().await;
        from.to_vec()
    }
    let mut to = Vec::new();
    assert_eq!(block_on(copied("a", &mut to)), 1);
    assert_eq!(block_on(chosen(&["a", "b"])), ["a", "b"]);
}

#[tokio::test]
async fn annotated_futures_remain_send() {
    #[counted(name = "send_total", labels(n = cell.get()))]
    #[timed(outcome, name = "send_seconds")]
    async fn with_cell(cell: Cell<u32>) -> u32 {
        pause().await;
        cell.get()
    }
    #[counted]
    async fn several<'a>(x: &[&'a str], y: &str) -> Vec<&'a str> {
        pause().await;
        x.iter().filter(|text| **text != y).copied().collect()
    }
    #[counted]
    async fn pointer() -> *const u8 {
        std::ptr::null()
    }
    #[metrics_push::push_job(name = "send", grouping(n = n), run = run)]
    async fn job(n: u32) -> u32 {
        pause().await;
        run.add_processed(1);
        n
    }
    let owned = async {
        let text = "b".to_owned();
        several(&["a", "b"], &text).await.len()
    };
    assert_eq!(tokio::spawn(with_cell(Cell::new(1))).await.unwrap(), 1);
    assert_eq!(tokio::spawn(owned).await.unwrap(), 1);
    assert_eq!(tokio::spawn(job(2)).await.unwrap(), 2);
    assert!(assert_send(pointer()).await.is_null());
}

#[test]
fn futures_that_are_not_send_compile() {
    #[counted]
    async fn local(shared: Rc<Cell<u32>>) -> u32 {
        pause().await;
        shared.get()
    }
    assert_eq!(block_on(local(Rc::new(Cell::new(1)))), 1);
}

#[tokio::test]
async fn unselected_and_aborted_futures_are_cancelled() {
    #[counted]
    async fn endless() {
        std::future::pending::<()>().await;
    }
    #[counted]
    async fn aborted() {
        std::future::pending::<()>().await;
    }
    tokio::select! {
        biased;
        () = endless() => unreachable!("it never completes"),
        () = pause() => {}
    }
    let task = tokio::spawn(aborted());
    tokio::task::yield_now().await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(
        (calls!("endless"), calls!("aborted")),
        ("cancelled 1".into(), "cancelled 1".into())
    );
}

/// Maximum number of bytes by which an annotated future is larger than the bare one.
const MAX_GUARD_SIZE: usize = 64;

#[test]
fn timed_future_grows_by_the_guard_only() {
    async fn bare(block: [u8; 1024]) -> u8 {
        pause().await;
        block[0]
    }
    #[timed]
    async fn annotated(block: [u8; 1024]) -> u8 {
        pause().await;
        block[0]
    }
    let (bare, annotated) = (size_of_val(&bare([0; 1024])), size_of_val(&annotated([0; 1024])));
    assert!(annotated <= bare + MAX_GUARD_SIZE, "{annotated} bytes, bare {bare}");
}

#[test]
#[deny(unreachable_code, unused_braces, unused_parens, clippy::let_unit_value, clippy::unused_unit)]
fn unit_bodies_trigger_no_lint() {
    #[counted]
    async fn unit() {
        pause().await;
    }
    #[counted]
    async fn infinite(stop: bool) {
        loop {
            if stop {
                return;
            }
        }
    }
    block_on(unit());
    block_on(infinite(true));
}
