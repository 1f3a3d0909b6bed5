//! Tests of the attempts of a push: their number, timeouts and delays within the timeout of the push.

use std::time::{Duration, Instant};

use metrics_push::testing::{FakeGateway, Fault};
use metrics_push::{Config, Outcome};

use super::{TIMEOUT, config, job, push_error, pusher, succeed, value};
use crate::temp_dir::TempDir;

#[test]
fn hanging_gateway_is_retried_within_the_timeout() {
    let gateway = FakeGateway::start();
    gateway.fail_next(1, Fault::hang());
    pusher(&gateway).push().unwrap();
    assert_eq!(gateway.requests().len(), 2);
}

#[test]
fn redirect_error_hides_secrets_in_the_target() {
    let gateway = FakeGateway::start();
    gateway.fault(Fault::redirect(302, "http://user:hunter2@elsewhere/login?session=hunter2"));
    let error = push_error(&gateway).to_string();
    assert!(error.contains("elsewhere/login") && !error.contains("hunter2"), "{error}");
}

#[test]
fn refused_connection_is_unreachable() {
    let gateway = FakeGateway::start();
    gateway.refuse_connections();
    let error = push_error(&gateway);
    assert!(error.is_unreachable() && error.to_string().contains("check the URL"), "{error:?}");
}

/// The timeout of the push ends the second attempt.
#[test]
fn timeout_of_the_last_attempt_does_not_hide_the_cause() {
    let gateway = FakeGateway::start();
    gateway.fault(Fault::hang());
    gateway.fail_next(1, Fault::close());
    // Less than the full time of a second attempt.
    let timeout = Duration::from_millis(900);
    let pusher = pusher(&gateway).map_gateway(|gateway| gateway.timeout(timeout));
    let error = pusher.push().unwrap_err();
    assert!(error.is_unreachable(), "{error:?}");
    assert!(gateway.requests().len() > 1);
}

#[test]
fn retry_after_of_zero_still_backs_off() {
    let gateway = FakeGateway::start();
    gateway.fault(Fault::status(503).header("Retry-After", "0"));
    pusher(&gateway)
        .map_gateway(|gateway| gateway.timeout(Duration::from_secs(1)))
        .push()
        .unwrap_err();
    assert!(gateway.requests().len() < 30, "{} requests", gateway.requests().len());
}

#[test]
fn truncated_response_is_retried() {
    let gateway = FakeGateway::start();
    for bytes in 0..40 {
        gateway.fail_next(1, Fault::cut_off(bytes));
        pusher(&gateway).push().unwrap_or_else(|error| panic!("after {bytes} bytes: {error:?}"));
    }
    assert!(gateway.requests().len() >= 60, "{}", gateway.requests().len());
}

#[test]
fn gateway_that_recovers_within_the_timeout_is_reached() {
    let gateway = FakeGateway::start();
    gateway.refuse_connections();
    std::thread::scope(|scope| {
        let push = scope.spawn(|| pusher(&gateway).push());
        gateway.accept_connections();
        push.join().unwrap().unwrap();
    });
}

#[test]
fn number_of_attempts_is_exported() {
    let gateway = FakeGateway::start();
    let state = TempDir::new();
    let _scope = config(&gateway).state_dir(state.path()).scope().unwrap();
    let run = job("retried").start();
    gateway.wait_for(TIMEOUT, |gateway| gateway.find_group("retried", &[]).is_some());
    gateway.fail_next(2, Fault::status(503));
    run.finish(Outcome::Success);
    let group = gateway.group("retried", &[]);
    assert_eq!(value(&group, "push_attempts"), Some(3.0));
    assert_eq!(value(&group, "spool_pending"), Some(0.0));
    assert_eq!(value(&group, "spool_dropped"), Some(0.0));
}

#[test]
fn retry_after_delays_the_next_attempt() {
    let gateway = FakeGateway::start();
    gateway.fail_next(1, Fault::status(429).header("Retry-After", "1"));
    pusher(&gateway).push().unwrap();
    let requests = gateway.requests();
    let pause = requests[1].received - requests[0].received;
    assert!(pause >= Duration::from_secs(1), "{pause:?}");
}

#[test]
fn retry_after_beyond_the_timeout_ends_the_push() {
    let gateway = FakeGateway::start();
    gateway.fault(Fault::status(503).header("Retry-After", "3600"));
    let started = Instant::now();
    let error = pusher(&gateway)
        .map_gateway(|gateway| gateway.timeout(Duration::from_secs(60)))
        .push()
        .unwrap_err();
    assert!(
        started.elapsed() < Duration::from_secs(30) && error.status() == Some(503),
        "{error:?}"
    );
    assert_eq!(gateway.requests().len(), 1);
}

#[test]
fn rotated_token_is_read_again_after_a_rejection() {
    let (gateway, directory) = (FakeGateway::start(), TempDir::new());
    std::fs::create_dir_all(directory.path()).unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "old\n").unwrap();
    gateway.require_bearer_token("new");
    let (config, errors) = Config::from_variables(|name| match name {
        "METRICS_PUSH_URL" => Some(gateway.url().into()),
        "METRICS_PUSH_TOKEN_FILE" => Some(file.clone().into()),
        "METRICS_PUSH_STATE_DIR" => Some("off".into()),
        _ => None,
    });
    assert!(errors.is_empty(), "{errors:?}");
    let _scope = config.scope().unwrap();
    let rotate = file.clone();
    gateway.fail_next(1, Fault::status(401).when(move |_| std::fs::write(&rotate, "new").is_ok()));
    succeed("rotated");
    assert_eq!(value(&gateway.group("rotated", &[]), "last_run_success"), Some(1.0));
}

#[test]
fn error_shortens_a_value_of_two_megabytes() {
    let gateway = FakeGateway::start();
    gateway.fault(Fault::status(400));
    let pusher = pusher(&gateway).grouping("shard", "x".repeat(2_000_000)).unwrap();
    let error = pusher.push().unwrap_err();
    let text = format!("{error:?}");
    assert!(text.len() < 2_000, "{} bytes", text.len());
    let name = "x".repeat(2_000_000) + "-";
    let refused = metrics_push::GroupingKey::new("job").unwrap().label(name, "v").unwrap_err();
    assert!(refused.to_string().len() < 2_000, "{} bytes", refused.to_string().len());
}
