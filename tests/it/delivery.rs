//! Delivery: what a gateway does to a push, and what becomes of the push then.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use metrics_push::prometheus::{Counter, Gauge, Registry};
use metrics_push::testing::{FakeGateway, Fault, Group};
use metrics_push::{Config, Error, Job, Outcome, Pusher, Scope};

use crate::place::Place;

/// Long enough for a few attempts, short enough for a test.
const BUDGET: Duration = Duration::from_millis(700);
/// What a machine that has other things to do may add.
const SLACK: Duration = Duration::from_millis(1_500);

fn nothing() -> &'static Registry {
    static NOTHING: std::sync::OnceLock<Registry> = std::sync::OnceLock::new();
    NOTHING.get_or_init(Registry::new)
}

/// A job whose runs wait for their receipt.
fn job(name: &'static str) -> Job {
    Job::new(name).registry(nothing).whole_process()
}

fn config(gateway: &FakeGateway) -> Config {
    Config::default().url(gateway.url()).unwrap().timeout(BUDGET)
}

fn deployed(gateway: &FakeGateway, state: &Place) -> Scope {
    config(gateway).state_dir(state.path()).scope().unwrap()
}

fn succeed(name: &'static str) {
    job(name).start().finish(Outcome::Success);
}

fn fail(name: &'static str) {
    job(name).start().finish(Outcome::Error);
}

fn value(group: &Group, name: &str) -> Option<f64> {
    group.get(&format!("batch_job_{name}"), &[])
}

fn pusher(gateway: &FakeGateway) -> Pusher {
    let counter = Counter::new("rows_total", "Rows.").unwrap();
    Pusher::new(gateway.url(), "direct").unwrap().collector(counter).unwrap().timeout(BUDGET)
}

fn refusal(gateway: &FakeGateway) -> Error {
    let started = Instant::now();
    let error = pusher(gateway).push().unwrap_err();
    assert!(started.elapsed() < BUDGET + SLACK, "{:?}", started.elapsed());
    error
}

#[test]
fn each_way_to_fail_is_told_by_its_kind() {
    type Check = fn(&Error) -> bool;
    let status = |status: u16| Fault::status(status);
    let long = Duration::from_secs(60);
    let rows: [(&str, Fault, Check); 26] = [
        ("malformed", status(400).body("text format parsing error"), Error::is_rejected),
        ("no credentials", status(401), Error::is_config),
        ("forbidden", status(403), Error::is_config),
        ("not found", status(404), Error::is_config),
        ("wrong method", status(405), Error::is_config),
        ("slow request", status(408), Error::is_retryable),
        ("conflict", status(409), Error::is_rejected),
        ("too large", status(413), Error::is_rejected),
        ("too early", status(425), Error::is_retryable),
        ("too many", status(429), Error::is_retryable),
        ("broken", status(500), Error::is_retryable),
        ("bad gateway", status(502), Error::is_retryable),
        ("unavailable", status(503), Error::is_retryable),
        ("gateway time-out", status(504), Error::is_retryable),
        ("moved", Fault::redirect(301, "http://elsewhere/"), Error::is_config),
        ("found", Fault::redirect(302, "http://elsewhere/"), Error::is_config),
        ("see other", Fault::redirect(303, "http://elsewhere/"), Error::is_config),
        ("temporary", Fault::redirect(307, "http://elsewhere/"), Error::is_config),
        ("permanent", Fault::redirect(308, "http://elsewhere/"), Error::is_config),
        ("log-in page", status(200).body("<html>log in</html>"), Error::is_config),
        ("endless page", Fault::endless(), Error::is_config),
        ("closed", Fault::close(), Error::is_unreachable),
        ("closed after storing", Fault::close().after_storing(), Error::is_unreachable),
        ("silent", Fault::hang(), Error::is_timeout),
        ("stalled", Fault::stall(long), Error::is_timeout),
        ("drips", Fault::drip(Duration::from_millis(100)), Error::is_timeout),
    ];
    for (name, fault, check) in rows {
        let gateway = FakeGateway::start();
        gateway.fault(fault);
        let error = refusal(&gateway);
        assert!(check(&error), "{name}: {error:?}");
        assert!(error.to_string().contains(&gateway.url()), "{name}: {error}");
        assert!(error.to_string().contains(r#"{job="direct"}"#), "{name}: {error}");
        let attempts = gateway.requests().iter().filter(|r| r.method == "PUT").count();
        // One that is not answered has taken all the time there was.
        let is_tried_again = error.is_retryable() && !error.is_timeout();
        assert_eq!(attempts > 1, is_tried_again, "{name}: {attempts} attempts");
    }
}

#[test]
fn a_gateway_that_is_silent_is_asked_again_before_the_time_is_over() {
    let gateway = FakeGateway::start();
    gateway.fail_next(1, Fault::hang());
    let started = Instant::now();
    pusher(&gateway).timeout(Duration::from_secs(4)).push().unwrap();
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[test]
fn a_redirect_is_told_without_what_its_target_keeps_secret() {
    let gateway = FakeGateway::start();
    gateway.fault(Fault::redirect(302, "http://user:hunter2@elsewhere/login?session=hunter2"));
    let error = refusal(&gateway).to_string();
    assert!(error.contains("elsewhere/login") && !error.contains("hunter2"), "{error}");
}

#[test]
fn nobody_there_is_told_as_such() {
    let gateway = FakeGateway::start();
    gateway.refuse_connections();
    let error = refusal(&gateway);
    assert!(error.is_unreachable() && error.to_string().contains("check the address"), "{error:?}");
}

#[test]
fn an_answer_cut_off_anywhere_is_tried_again() {
    let gateway = FakeGateway::start();
    for bytes in 0..40 {
        gateway.fail_next(1, Fault::cut_off(bytes));
        pusher(&gateway).push().unwrap_or_else(|error| panic!("after {bytes} bytes: {error:?}"));
    }
    assert!(gateway.requests().len() >= 60, "{}", gateway.requests().len());
}

#[test]
fn a_gateway_that_comes_back_in_time_is_found() {
    let gateway = FakeGateway::start();
    gateway.refuse_connections();
    std::thread::scope(|scope| {
        let push = scope.spawn(|| pusher(&gateway).timeout(Duration::from_secs(20)).push());
        gateway.accept_connections();
        push.join().unwrap().unwrap();
    });
}

#[test]
fn a_job_tells_how_many_attempts_its_push_took() {
    let gateway = FakeGateway::start();
    let state = Place::new();
    let _scope =
        config(&gateway).timeout(Duration::from_secs(20)).state_dir(state.path()).scope().unwrap();
    let run = job("stubborn").start();
    gateway.wait_for(SLACK, |gateway| gateway.find_group("stubborn", &[]).is_some());
    gateway.fail_next(2, Fault::status(503));
    run.finish(Outcome::Success);
    let group = gateway.group("stubborn", &[]);
    assert_eq!(value(&group, "push_attempts"), Some(3.0));
    assert_eq!(value(&group, "spool_parcels"), Some(0.0));
    assert_eq!(value(&group, "spool_dropped"), Some(0.0));
}

#[test]
fn the_server_says_when_to_come_again() {
    let gateway = FakeGateway::start();
    gateway.fail_next(1, Fault::status(429).header("Retry-After", "1"));
    pusher(&gateway).timeout(Duration::from_secs(20)).push().unwrap();
    let requests = gateway.requests();
    let pause = requests[1].received - requests[0].received;
    assert!(pause >= Duration::from_secs(1), "{pause:?}");
}

#[test]
fn who_is_told_to_come_after_the_budget_does_not_wait_for_it() {
    let gateway = FakeGateway::start();
    gateway.fault(Fault::status(503).header("Retry-After", "3600"));
    let started = Instant::now();
    let error = pusher(&gateway).timeout(Duration::from_secs(60)).push().unwrap_err();
    assert!(
        started.elapsed() < Duration::from_secs(30) && error.status() == Some(503),
        "{error:?}"
    );
    assert_eq!(gateway.requests().len(), 1);
}

#[test]
fn what_could_not_be_delivered_goes_with_the_next_run_of_any_job() {
    let (gateway, state) = (FakeGateway::start(), Place::new());
    let _scope = deployed(&gateway, &state);
    gateway.refuse_connections();
    let started = Instant::now();
    succeed("unlucky");
    assert!(started.elapsed() < BUDGET + SLACK, "{:?}", started.elapsed());
    assert_eq!(state.records().len(), 1);
    gateway.accept_connections();
    succeed("later");
    gateway.wait_for(Duration::from_secs(10), |gateway| {
        gateway
            .find_group("unlucky", &[])
            .is_some_and(|group| value(&group, "last_run_success") == Some(1.0))
    });
    gateway.wait_for(Duration::from_secs(10), |_| state.records().is_empty());
}

#[test]
fn a_waiting_success_and_a_fresh_failure_arrive_as_one() {
    let (gateway, state) = (FakeGateway::start(), Place::new());
    let _scope = deployed(&gateway, &state);
    gateway.refuse_connections();
    succeed("nightly");
    gateway.accept_connections();
    fail("nightly");
    let group = gateway.group("nightly", &[]);
    let (success, failure) = (
        value(&group, "last_success_timestamp_seconds").unwrap(),
        value(&group, "last_failure_timestamp_seconds").unwrap(),
    );
    assert!(success < failure);
    assert_eq!(value(&group, "last_run_success"), Some(0.0));
    assert!(state.records().is_empty());
}

#[test]
fn recovery_delivers_all_that_waits() {
    let (gateway, state) = (FakeGateway::start(), Place::new());
    let _scope = deployed(&gateway, &state);
    gateway.refuse_connections();
    for name in ["one", "two", "three"] {
        fail(name);
    }
    let recovery = metrics_push::recover(BUDGET);
    assert_eq!((recovery.delivered, recovery.left), (0, 3));
    gateway.accept_connections();
    let recovery = metrics_push::recover(Duration::from_secs(20));
    assert_eq!((recovery.delivered, recovery.left), (3, 0));
    for name in ["one", "two", "three"] {
        assert_eq!(value(&gateway.group(name, &[]), "last_run_success"), Some(0.0), "{name}");
    }
    assert_eq!(metrics_push::recover(BUDGET), metrics_push::Recovery::default());
}

#[test]
fn a_replay_never_moves_a_group_back() {
    let gateway = FakeGateway::start();
    let (here, there) = (Place::new(), Place::new());
    gateway.refuse_connections();
    let scope = deployed(&gateway, &here);
    fail("shared");
    drop(scope);
    gateway.accept_connections();
    let scope = deployed(&gateway, &there);
    succeed("shared");
    drop(scope);
    let before = gateway.group("shared", &[]);
    let _scope = deployed(&gateway, &here);
    assert_eq!(metrics_push::recover(Duration::from_secs(20)).delivered, 1);
    let after = gateway.group("shared", &[]);
    for name in
        ["last_run_success", "last_completion_timestamp_seconds", "pushed_at_timestamp_seconds"]
    {
        assert_eq!(value(&after, name), value(&before, name), "{name}");
    }
    // The failure did happen, and nobody had told of it.
    let failure = value(&after, "last_failure_timestamp_seconds").unwrap();
    assert!(failure < value(&after, "last_success_timestamp_seconds").unwrap());
    assert!(here.records().is_empty());
}

#[test]
fn wrong_settings_lose_nothing_once_they_are_mended() {
    let (gateway, state) = (FakeGateway::start(), Place::new());
    gateway.require_bearer_token("right");
    {
        let config = config(&gateway).bearer_token("wrong").timeout(Duration::from_secs(30));
        let _scope = config.state_dir(state.path()).scope().unwrap();
        let started = Instant::now();
        succeed("locked_out");
        assert!(started.elapsed() < Duration::from_secs(15), "waiting does not help");
    }
    let _scope = config(&gateway).bearer_token("right").state_dir(state.path()).scope().unwrap();
    assert_eq!(metrics_push::recover(Duration::from_secs(20)).delivered, 1);
    assert_eq!(value(&gateway.group("locked_out", &[]), "last_run_success"), Some(1.0));
}

#[test]
fn a_rotated_token_is_read_again_when_it_is_refused() {
    let (gateway, place) = (FakeGateway::start(), Place::new());
    std::fs::create_dir_all(place.path()).unwrap();
    let file = place.path().join("token");
    std::fs::write(&file, "old\n").unwrap();
    gateway.require_bearer_token("new");
    let (config, problems) = Config::from_variables(|name| match name {
        "METRICS_PUSH_URL" => Some(gateway.url().into()),
        "METRICS_PUSH_TOKEN_FILE" => Some(file.clone().into()),
        "METRICS_PUSH_STATE_DIR" => Some("off".into()),
        _ => None,
    });
    assert!(problems.is_empty(), "{problems:?}");
    let _scope = config.scope().unwrap();
    let rotate = file.clone();
    gateway.fail_next(1, Fault::status(401).when(move |_| std::fs::write(&rotate, "new").is_ok()));
    succeed("rotated");
    assert_eq!(value(&gateway.group("rotated", &[]), "last_run_success"), Some(1.0));
}

fn clashing() -> &'static Registry {
    static CLASHING: std::sync::OnceLock<Registry> = std::sync::OnceLock::new();
    CLASHING.get_or_init(|| {
        let registry = Registry::new();
        registry.register(Box::new(Counter::new("orders", "As a counter.").unwrap())).unwrap();
        registry
    })
}

/// A gateway on which another group has `orders` as a gauge.
fn gateway_with_orders() -> FakeGateway {
    let gateway = FakeGateway::start();
    let orders = Gauge::new("orders", "As a gauge.").unwrap();
    Pusher::new(gateway.url(), "other").unwrap().collector(orders).unwrap().push().unwrap();
    gateway
}

#[test]
fn a_refused_metric_does_not_take_the_outcome_with_it() {
    let (gateway, state) = (gateway_with_orders(), Place::new());
    let _scope = deployed(&gateway, &state);
    Job::new("clash").registry(clashing).whole_process().start().finish(Outcome::Success);
    let group = gateway.group("clash", &[]);
    assert_eq!(value(&group, "last_run_success"), Some(1.0));
    assert!(!group.has_family("orders"));
    assert!(state.records().is_empty());
}

#[test]
fn a_push_that_is_too_large_still_tells_the_outcome() {
    let gateway = FakeGateway::start();
    gateway.fault(Fault::status(413).when(|request| request.text().contains("orders")));
    let _scope = config(&gateway).scope().unwrap();
    Job::new("large").registry(clashing).whole_process().start().finish(Outcome::Error);
    assert_eq!(value(&gateway.group("large", &[]), "last_run_success"), Some(0.0));
}

#[test]
fn a_refused_first_push_leaves_no_ghost() {
    let gateway = gateway_with_orders();
    let push = |job: &str| {
        let orders = Counter::new("orders", "As a counter.").unwrap();
        Pusher::new(gateway.url(), job).unwrap().collector(orders).unwrap().push()
    };
    let error = push("mistyped").unwrap_err();
    assert!(error.is_rejected() && error.to_string().contains("\"orders\""), "{error:?}");
    assert!(gateway.find_group("mistyped", &[]).is_none());
}

#[test]
fn a_refused_push_leaves_a_group_that_holds_something_alone() {
    let gateway = gateway_with_orders();
    let rows = Counter::new("rows", "Rows.").unwrap();
    Pusher::new(gateway.url(), "known").unwrap().collector(rows).unwrap().push().unwrap();
    let orders = Counter::new("orders", "As a counter.").unwrap();
    Pusher::new(gateway.url(), "known").unwrap().collector(orders).unwrap().push().unwrap_err();
    assert!(gateway.group("known", &[]).has_family("rows"));
}

#[test]
fn a_dead_gateway_delays_no_other() {
    let (dead, alive, state) = (FakeGateway::start(), FakeGateway::start(), Place::new());
    dead.fault(Fault::hang());
    let config = config(&dead).url(alive.url()).unwrap().state_dir(state.path());
    let _scope = config.timeout(Duration::from_secs(3)).scope().unwrap();
    let started = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            alive.wait_for(Duration::from_secs(2), |alive| {
                let group = alive.find_group("both", &[]);
                group.is_some_and(|group| value(&group, "last_run_success") == Some(1.0))
            });
        });
        succeed("both");
    });
    assert!(started.elapsed() < Duration::from_secs(3) + SLACK, "{:?}", started.elapsed());
    assert_eq!(state.records().len(), 1, "for the dead one alone");
    dead.heal();
    assert_eq!(metrics_push::recover(Duration::from_secs(20)).delivered, 1);
    assert_eq!(value(&dead.group("both", &[]), "last_run_success"), Some(1.0));
}

/// Ends a task whose outcome is not delivered, the next one in `state`.
fn spool_task(number: usize, state: &Place) {
    Job::named(format!("task_{number}")).start().finish(Outcome::Success);
    let deadline = Instant::now() + Duration::from_secs(10);
    while state.records().len() <= number {
        assert!(Instant::now() < deadline, "task {number} is neither delivered nor spooled");
        std::thread::yield_now();
    }
}

#[test]
fn a_gateway_that_is_down_is_left_alone_until_a_last_word_finds_it_again() {
    const TASKS: usize = 12;
    let (gateway, state) = (FakeGateway::start(), Place::new());
    let config = config(&gateway).state_dir(state.path()).timeout(Duration::from_millis(200));
    let _scope = config.scope().unwrap();
    gateway.fault(Fault::status(503));
    for number in 0..TASKS {
        spool_task(number, &state);
    }
    let keys: std::collections::BTreeSet<_> =
        gateway.requests().iter().map(|request| request.path.clone()).collect();
    assert!(keys.len() <= 3, "the gateway was asked for {keys:?}");
    gateway.heal();
    succeed("last_word");
    gateway.wait_for(Duration::from_secs(10), |gateway| gateway.groups().len() == TASKS + 1);
}

#[test]
fn a_gateway_that_had_no_time_to_answer_is_not_left_alone() {
    const TASKS: usize = 6;
    let (gateway, state) = (FakeGateway::start(), Place::new());
    let config = config(&gateway).state_dir(state.path()).timeout(Duration::from_millis(200));
    let _scope = config.scope().unwrap();
    gateway.fault(Fault::hang());
    for number in 0..TASKS {
        spool_task(number, &state);
    }
    let keys: std::collections::BTreeSet<_> =
        gateway.requests().iter().map(|request| request.path.clone()).collect();
    assert_eq!(keys.len(), TASKS, "the gateway was asked for {keys:?}");
}

/// A listener that does with each connection what it is told to, until it is dropped with its test.
fn raw_server(serve: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            serve(stream.unwrap());
        }
    });
    url
}

fn push_large(url: &str) -> Error {
    let registry = Registry::new();
    let help = "x".repeat(8 * 1024 * 1024);
    registry.register(Box::new(Counter::new("rows_total", help).unwrap())).unwrap();
    let started = Instant::now();
    let pusher = Pusher::new(url, "large").unwrap().gatherer(&registry).timeout(BUDGET);
    let error = pusher.push().unwrap_err();
    assert!(started.elapsed() < BUDGET + SLACK, "{:?}", started.elapsed());
    error
}

#[test]
fn a_server_that_takes_a_body_byte_by_byte_is_given_up() {
    let url = raw_server(std::mem::forget);
    assert!(push_large(&url).is_timeout());
}

#[test]
fn a_connection_reset_in_the_middle_of_a_body_is_tried_again() {
    let attempts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&attempts);
    let url = raw_server(move |mut stream| {
        counted.fetch_add(1, Ordering::Relaxed);
        let mut some = [0; 4096];
        // What was not read resets the connection when it is closed.
        let _ = stream.read(&mut some);
    });
    let error = push_large(&url);
    assert!(error.is_unreachable(), "{error:?}");
    assert!(attempts.load(Ordering::Relaxed) > 1);
}

#[test]
fn a_server_that_speaks_something_else_is_no_gateway() {
    let url = raw_server(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"220 mail.example ESMTP\r\n");
    });
    let counter = Counter::new("rows_total", "Rows.").unwrap();
    let pusher = Pusher::new(url, "mail").unwrap().collector(counter).unwrap().timeout(BUDGET);
    let error = pusher.push().unwrap_err();
    assert!(error.is_unreachable() && !error.is_rejected(), "{error:?}");
}

#[test]
fn a_value_of_two_megabytes_is_not_told_in_full() {
    let gateway = FakeGateway::start();
    let pusher = pusher(&gateway).grouping("shard", "x".repeat(2_000_000)).unwrap();
    let error = pusher.push().unwrap_err();
    let told = format!("{error:?}");
    assert!(told.len() < 2_000, "{} bytes", told.len());
    let name = "x".repeat(2_000_000) + "-";
    let refused = metrics_push::GroupingKey::new("job").unwrap().label(name, "v").unwrap_err();
    assert!(refused.to_string().len() < 2_000, "{} bytes", refused.to_string().len());
}

#[test]
fn a_run_ends_as_it_would_whatever_the_gateway_does() {
    type Trouble = fn(&FakeGateway);
    let rows: [(&str, Trouble); 7] = [
        ("refuses", FakeGateway::refuse_connections),
        ("is silent", |gateway| gateway.fault(Fault::hang())),
        ("drips", |gateway| gateway.fault(Fault::drip(Duration::from_millis(100)))),
        ("never ends", |gateway| gateway.fault(Fault::endless())),
        ("closes", |gateway| gateway.fault(Fault::close())),
        ("redirects", |gateway| gateway.fault(Fault::redirect(302, "http://elsewhere/"))),
        ("is overloaded", |gateway| gateway.fault(Fault::status(503))),
    ];
    for (name, trouble) in rows {
        let (gateway, state) = (FakeGateway::start(), Place::new());
        let _scope = deployed(&gateway, &state);
        trouble(&gateway);
        let started = Instant::now();
        let result: Result<u8, &str> = job("troubled").run(|_| Err("as it would"));
        assert_eq!(result, Err("as it would"), "{name}");
        assert!(started.elapsed() < BUDGET + SLACK, "{name}: {:?}", started.elapsed());
        assert_eq!(state.records().len(), 1, "{name}: it waits");
        gateway.heal();
        assert_eq!(metrics_push::recover(Duration::from_secs(20)).delivered, 1, "{name}");
        assert_eq!(value(&gateway.group("troubled", &[]), "last_run_success"), Some(0.0), "{name}");
    }
}

#[test]
fn a_push_that_was_applied_and_not_acknowledged_is_told_once_more_and_changes_nothing() {
    let (gateway, state) = (FakeGateway::start(), Place::new());
    let _scope = deployed(&gateway, &state);
    gateway.fault(Fault::close().after_storing());
    succeed("unsure");
    let before = gateway.group("unsure", &[]);
    gateway.heal();
    assert_eq!(metrics_push::recover(Duration::from_secs(20)).delivered, 1);
    let after = gateway.group("unsure", &[]);
    for name in ["last_success_timestamp_seconds", "last_run_duration_seconds", "last_run_success"]
    {
        assert_eq!(value(&after, name), value(&before, name), "{name}");
    }
}
