//! The life of groups on a gateway: what is removed, what stays, and what would go.

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

/// Pushes to an address that this library would never use.
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
fn a_dry_run_lists_what_would_go_and_removes_nothing() {
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
fn only_what_is_old_is_pruned() {
    let fake = FakeGateway::start();
    let gateway = Gateway::new(fake.url()).unwrap();
    push(&fake, "a");
    assert!(gateway.prune(WEEK, Removal::Apply).unwrap().is_empty());
    assert_eq!(gateway.prune(Duration::ZERO, Removal::Apply).unwrap().len(), 1);
    assert!(fake.groups().is_empty());
}

#[test]
fn a_ghost_with_an_odd_key_is_pruned_and_its_neighbour_is_not() {
    let fake = FakeGateway::start();
    let gateway = Gateway::new(fake.url()).unwrap();
    push(&fake, "a");
    // A clash that has its own empty `instance`: its ghost would break every scrape.
    push_raw(&fake, "/metrics/job/a/instance@base64/=", "# TYPE rows gauge\nrows 1\n");
    assert_eq!(fake.groups().len(), 2);
    let gone = gateway.prune(WEEK, Removal::Apply).unwrap();
    assert_eq!(gone.len(), 1);
    assert_eq!(gone[0].labels["instance"], "");
    assert!(fake.group("a", &[]).has_family("rows"));
}

#[test]
fn a_group_that_is_pushed_to_while_it_lingers_stays() {
    let fake = FakeGateway::start();
    let gateway = Gateway::new(fake.url()).unwrap();
    let key = GroupingKey::new("a").unwrap();
    push(&fake, "a");
    let linger = Duration::from_millis(500);
    std::thread::scope(|scope| {
        let asked = fake.requests().len();
        let delete = scope.spawn(|| gateway.delete_after(&key, linger, Removal::Apply));
        fake.wait_for(Duration::from_secs(10), |fake| fake.requests().len() > asked);
        push(&fake, "a");
        assert_eq!(delete.join().unwrap().unwrap(), None);
    });
    assert!(fake.find_group("a", &[]).is_some());
    assert!(gateway.delete_after(&key, Duration::ZERO, Removal::Apply).unwrap().is_some());
    assert!(fake.find_group("a", &[]).is_none());
    assert_eq!(gateway.delete_after(&key, Duration::ZERO, Removal::Apply).unwrap(), None);
}

#[test]
fn everything_is_wiped_only_where_that_is_allowed() {
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
fn it_can_all_be_awaited() {
    let fake = FakeGateway::builder().admin_api().start();
    let gateway = Gateway::new(fake.url()).unwrap();
    let key = GroupingKey::new("a").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for round in 0..3 {
            push(&fake, "a");
            let gone = match round {
                0 => gateway.prune_async(Duration::ZERO, Removal::Apply).await.unwrap().len(),
                1 => gateway.wipe_async(Removal::Apply).await.unwrap().len(),
                _ => {
                    let gone = gateway.delete_after_async(&key, Duration::ZERO, Removal::Apply);
                    usize::from(gone.await.unwrap().is_some())
                }
            };
            assert_eq!((gone, fake.groups().len()), (1, 0), "round {round}");
        }
    });
}
