//! Tests of `Gateway::prune`, `wipe` and `delete_after`.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use metrics_push::prometheus::Gauge;
use metrics_push::testing::FakeGateway;
use metrics_push::{Gateway, GroupingKey, Pusher, Removal};

const WEEK: Duration = Duration::from_secs(7 * 24 * 3_600);

fn push(gateway: &FakeGateway, job: &str) {
    let gauge = Gauge::new("rows", "Rows.").unwrap();
    Pusher::new(gateway.url(), job).unwrap().collector(gauge).unwrap().push().unwrap();
}

/// Pushes to a path that this library does not use.
fn push_raw(gateway: &FakeGateway, path: &str, body: &str) {
    let mut stream = std::net::TcpStream::connect(gateway.address()).unwrap();
    let length = body.len();
    write!(
        stream,
        "PUT {path} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    stream.read_to_string(&mut String::new()).unwrap();
}

#[test]
fn dry_run_lists_groups_and_removes_nothing() {
    let fake = FakeGateway::builder().admin_api().start();
    let gateway = Gateway::new(fake.url()).unwrap();
    push(&fake, "a");
    push(&fake, "b");
    let key = GroupingKey::new("a").unwrap();
    assert_eq!(gateway.prune(Duration::ZERO, Removal::DryRun).unwrap().len(), 2);
    assert_eq!(gateway.wipe(Removal::DryRun).unwrap().len(), 2);
    let found = gateway.delete_after(&key, Duration::ZERO, Removal::DryRun).unwrap().unwrap();
    assert_eq!(found.labels["job"], "a");
    assert_eq!(fake.groups().len(), 2);
}

#[test]
fn prune_removes_old_groups_only() {
    let fake = FakeGateway::start();
    let gateway = Gateway::new(fake.url()).unwrap();
    push(&fake, "a");
    assert!(gateway.prune(WEEK, Removal::Apply).unwrap().is_empty());
    assert_eq!(gateway.prune(Duration::ZERO, Removal::Apply).unwrap().len(), 1);
    assert!(fake.groups().is_empty());
}

#[test]
fn prune_removes_an_empty_group_by_its_exact_labels() {
    let fake = FakeGateway::start();
    let gateway = Gateway::new(fake.url()).unwrap();
    push(&fake, "a");
    // The rejected push leaves a group with an empty `instance`, which makes all scrapes fail.
    push_raw(&fake, "/metrics/job/a/instance@base64/=", "# TYPE rows gauge\nrows 1\n");
    assert_eq!(fake.groups().len(), 2);
    let removed = gateway.prune(WEEK, Removal::Apply).unwrap();
    assert_eq!(removed.len(), 1);
    assert_eq!(removed[0].labels["instance"], "");
    assert!(fake.group("a", &[]).has_family("rows"));
}

#[test]
fn delete_after_keeps_a_group_with_a_new_push() {
    let fake = FakeGateway::start();
    let gateway = Gateway::new(fake.url()).unwrap();
    let key = GroupingKey::new("a").unwrap();
    push(&fake, "a");
    // Longer than a busy machine needs for a push.
    let linger = Duration::from_secs(5);
    std::thread::scope(|scope| {
        let queries = fake.requests().len();
        let delete = scope.spawn(|| gateway.delete_after(&key, linger, Removal::Apply));
        fake.wait_for(Duration::from_secs(10), |fake| fake.requests().len() > queries);
        push(&fake, "a");
        assert_eq!(delete.join().unwrap().unwrap(), None);
    });
    assert!(fake.find_group("a", &[]).is_some());
    assert!(gateway.delete_after(&key, Duration::ZERO, Removal::Apply).unwrap().is_some());
    assert!(fake.find_group("a", &[]).is_none());
    assert_eq!(gateway.delete_after(&key, Duration::ZERO, Removal::Apply).unwrap(), None);
}

#[test]
fn wipe_needs_the_admin_api() {
    let fake = FakeGateway::start();
    push(&fake, "a");
    let error = Gateway::new(fake.url()).unwrap().wipe(Removal::Apply).unwrap_err();
    assert!(error.is_config() && error.to_string().contains("--web.enable-admin-api"), "{error}");
    let fake = FakeGateway::builder().admin_api().start();
    push(&fake, "a");
    assert_eq!(Gateway::new(fake.url()).unwrap().wipe(Removal::Apply).unwrap().len(), 1);
    assert!(fake.groups().is_empty());
}

#[test]
fn async_cleanup_methods_remove_groups() {
    let fake = FakeGateway::builder().admin_api().start();
    let gateway = Gateway::new(fake.url()).unwrap();
    let key = GroupingKey::new("a").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for round in 0..3 {
            push(&fake, "a");
            let removed = match round {
                0 => gateway.prune_async(Duration::ZERO, Removal::Apply).await.unwrap().len(),
                1 => gateway.wipe_async(Removal::Apply).await.unwrap().len(),
                _ => {
                    let removed = gateway.delete_after_async(&key, Duration::ZERO, Removal::Apply);
                    usize::from(removed.await.unwrap().is_some())
                }
            };
            assert_eq!((removed, fake.groups().len()), (1, 0), "round {round}");
        }
    });
}
