//! Tests of pushes from threads, runtimes, destructors and panics.

use std::panic::catch_unwind;

use metrics_push::prometheus::Gauge;
use metrics_push::testing::FakeGateway;
use metrics_push::{Gateway, GroupingKey, Pusher};

fn pusher(gateway: &FakeGateway, job: &str) -> Pusher {
    let gauge = Gauge::new("context", "Where the push came from.").unwrap();
    Pusher::new(gateway.url(), job).unwrap().collector(gauge).unwrap()
}

fn assert_delivered(gateway: &FakeGateway, job: &str) {
    assert!(gateway.group(job, &[]).has_family("context"), "{job}");
}

#[test]
fn push_works_on_a_thread() {
    let gateway = FakeGateway::start();
    pusher(&gateway, "plain").push().unwrap();
    assert_delivered(&gateway, "plain");
    let second = pusher(&gateway, "second");
    std::thread::spawn(move || second.push().unwrap()).join().unwrap();
    assert_delivered(&gateway, "second");
}

#[tokio::test(flavor = "current_thread")]
async fn push_works_in_a_current_thread_runtime() {
    push_in_a_runtime().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn push_works_in_a_multi_thread_runtime() {
    push_in_a_runtime().await;
}

async fn push_in_a_runtime() {
    let gateway = FakeGateway::start();
    pusher(&gateway, "blocking").push().unwrap();
    pusher(&gateway, "awaited").push_async().await.unwrap();
    let (task, blocking_task) = (pusher(&gateway, "task"), pusher(&gateway, "blocking_task"));
    tokio::spawn(async move { task.push().unwrap() }).await.unwrap();
    tokio::task::spawn_blocking(move || blocking_task.push().unwrap()).await.unwrap();
    drop(PushInDrop(pusher(&gateway, "drop")));
    for job in ["blocking", "awaited", "task", "blocking_task", "drop"] {
        assert_delivered(&gateway, job);
    }
}

struct PushInDrop(Pusher);

impl Drop for PushInDrop {
    fn drop(&mut self) {
        self.0.push().unwrap();
    }
}

#[test]
fn push_works_in_drop_while_unwinding() {
    let gateway = FakeGateway::start();
    let in_drop = PushInDrop(pusher(&gateway, "unwinding"));
    catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _in_drop = in_drop;
        panic!("unwind");
    }))
    .unwrap_err();
    assert_delivered(&gateway, "unwinding");
}

#[test]
fn push_works_after_the_runtime_is_dropped() {
    let gateway = FakeGateway::start();
    let pusher = pusher(&gateway, "afterwards");
    tokio::runtime::Runtime::new().unwrap().block_on(async { pusher.add_async().await.unwrap() });
    gateway.clear();
    pusher.push().unwrap();
    assert_delivered(&gateway, "afterwards");
}

#[test]
fn push_async_works_without_a_runtime() {
    let gateway = FakeGateway::start();
    let pusher = pusher(&gateway, "no_runtime");
    block_on(pusher.push_async()).unwrap();
    assert_delivered(&gateway, "no_runtime");
}

/// A minimal executor: parks the thread until the future is woken.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(value) => return value,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

#[test]
fn push_replaces_add_merges_and_delete_removes() {
    let gateway = FakeGateway::start();
    let first = pusher(&gateway, "verbs");
    first.push().unwrap();
    let other = Gauge::new("other", "Another one.").unwrap();
    let second = Pusher::new(gateway.url(), "verbs").unwrap().collector(other).unwrap();
    second.add().unwrap();
    assert!(gateway.group("verbs", &[]).has_family("context"));
    second.push().unwrap();
    assert!(!gateway.group("verbs", &[]).has_family("context"));
    second.delete().unwrap();
    assert!(gateway.find_group("verbs", &[]).is_none());
}

#[test]
fn gateway_reads_back_the_metrics() {
    let fake = FakeGateway::start();
    let gauge = Gauge::new("stored", "A value.").unwrap();
    gauge.set(2.5);
    let pusher = Pusher::new(fake.url(), "read").unwrap().grouping("shard", "a/b").unwrap();
    pusher.collector(gauge).unwrap().push().unwrap();
    let gateway = Gateway::new(fake.url()).unwrap();
    gateway.ready().unwrap();
    let groups = gateway.metrics().unwrap();
    assert_eq!(groups[0].labels["shard"], "a/b");
    assert_eq!(groups[0].value("stored", &[]), Some(2.5));
    gateway.delete(&GroupingKey::new("read").unwrap().label("shard", "a/b").unwrap()).unwrap();
    assert!(gateway.metrics().unwrap().is_empty());
}

#[test]
fn credentials_are_sent_and_never_printed() {
    let gateway = FakeGateway::start();
    gateway.require_basic_auth("batch", "hunter2");
    let refused = pusher(&gateway, "auth").push().unwrap_err();
    assert!(refused.is_config() && refused.to_string().contains("credentials"), "{refused}");
    let wrong = pusher(&gateway, "auth")
        .map_gateway(|gateway| gateway.basic_auth("batch", "hunter3"))
        .push()
        .unwrap_err();
    assert!(!format!("{wrong:?}").contains("hunter3"), "{wrong:?}");
    pusher(&gateway, "auth")
        .map_gateway(|gateway| gateway.basic_auth("batch", "hunter2"))
        .push()
        .unwrap();
    gateway.require_bearer_token("t0ken");
    pusher(&gateway, "token").map_gateway(|gateway| gateway.bearer_token("t0ken")).push().unwrap();
    let with_userinfo = gateway.url().replace("http://", "http://batch:hunter2@");
    gateway.require_basic_auth("batch", "hunter2");
    let gauge = Gauge::new("context", "From a URL with credentials.").unwrap();
    let pusher = Pusher::new(with_userinfo, "userinfo").unwrap().collector(gauge).unwrap();
    pusher.push().unwrap();
    assert!(!format!("{pusher:?}").contains("hunter2"));
    for request in gateway.requests() {
        assert!(!request.path.contains("hunter2"), "{request:?}");
    }
}

#[test]
fn push_without_metrics_is_an_error() {
    let gateway = FakeGateway::start();
    let error = Pusher::new(gateway.url(), "empty").unwrap().push().unwrap_err();
    assert!(error.is_metric() && error.to_string().contains("has no metrics"), "{error}");
    assert!(gateway.requests().is_empty());
}
