//! Tests of rings: several gateways that share the groups, and changes of the ring.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use metrics_push::testing::FakeGateway;
use metrics_push::{Config, Gateway, GroupingKey, Job, Outcome, Removal, Scope};

use super::{SHORT_TIMEOUT, SLACK, TIMEOUT, empty_registry, value};
use crate::temp_dir::TempDir;

/// Enough for each shard of a small ring to store some of them, whatever its port.
const JOBS: usize = 64;

const SUCCESS: &str = "last_success_timestamp_seconds";

fn gateways<const N: usize>() -> [FakeGateway; N] {
    std::array::from_fn(|_| FakeGateway::start())
}

/// The URL of the ring of these gateways.
fn ring(gateways: &[FakeGateway]) -> String {
    let hosts: Vec<_> = gateways.iter().map(|gateway| gateway.address().to_string()).collect();
    format!("shards+http://{}", hosts.join(";"))
}

fn open_scope(ring: &str, state: &TempDir, timeout: Duration) -> Scope {
    let config = Config::default().url(ring).unwrap().timeout(timeout);
    config.state_dir(state.path()).scope().unwrap()
}

fn name(number: usize) -> String {
    format!("job_{number}")
}

/// Finishes one run of each job with this outcome.
fn finish_runs(outcome: Outcome) {
    for number in 0..JOBS {
        let job = Job::with_name(name(number)).registry(empty_registry).whole_process();
        job.start().finish(outcome);
    }
}

/// The shards that have the group of a job.
fn shards_with(gateways: &[FakeGateway], number: usize) -> Vec<&FakeGateway> {
    let has_group = |gateway: &&FakeGateway| gateway.find_group(&name(number), &[]).is_some();
    gateways.iter().filter(has_group).collect()
}

/// Returns this value of each job. Fails if a group is not on exactly one shard.
#[track_caller]
fn values(gateways: &[FakeGateway], metric: &str) -> Vec<Option<f64>> {
    let value_of = |number| {
        let [shard] = shards_with(gateways, number)[..] else {
            panic!("job {number} is on {:?}", shards_with(gateways, number))
        };
        value(&shard.group(&name(number), &[]), metric)
    };
    (0..JOBS).map(value_of).collect()
}

fn counts(gateways: &[FakeGateway]) -> Vec<usize> {
    gateways.iter().map(|gateway| gateway.groups().len()).collect()
}

#[test]
fn each_group_is_stored_on_one_shard() {
    let (shards, state) = (gateways::<3>(), TempDir::new());
    let _scope = open_scope(&ring(&shards), &state, TIMEOUT);
    finish_runs(Outcome::Success);
    finish_runs(Outcome::Error);
    assert!(values(&shards, SUCCESS).iter().all(Option::is_some));
    assert!(counts(&shards).iter().all(|count| *count > 0), "{:?}", counts(&shards));
}

#[test]
fn dead_shard_delays_only_its_own_groups() {
    let (shards, state) = (gateways::<3>(), TempDir::new());
    let _scope = open_scope(&ring(&shards), &state, SHORT_TIMEOUT);
    shards[0].refuse_connections();
    let started = Instant::now();
    finish_runs(Outcome::Success);
    // The first runs of the dead shard wait for their timeout, the others make one attempt.
    assert!(started.elapsed() < 2 * SHORT_TIMEOUT + SLACK, "{:?}", started.elapsed());
    let delivered: usize = counts(&shards[1..]).iter().sum();
    assert_eq!(state.records().len(), JOBS - delivered);
    assert!(delivered > 0 && delivered < JOBS, "{delivered}");
    let states: Vec<_> = metrics_push::circuit_breakers().iter().map(|it| it.state).collect();
    let open = states.iter().filter(|state| **state != metrics_push::BreakerState::Closed);
    assert_eq!((states.len(), open.count()), (3, 1));

    shards[0].accept_connections();
    assert_eq!(metrics_push::recover(TIMEOUT).left, 0);
    assert!(values(&shards, SUCCESS).iter().all(Option::is_some));
}

#[test]
fn added_shard_takes_over_groups_with_their_last_success() {
    let (shards, state) = (gateways::<4>(), TempDir::new());
    let scope = open_scope(&ring(&shards[..3]), &state, TIMEOUT);
    finish_runs(Outcome::Success);
    let successes = values(&shards, SUCCESS);
    drop(scope);
    let _scope = open_scope(&ring(&shards), &state, TIMEOUT);
    finish_runs(Outcome::Error);
    assert_eq!(values(&shards, SUCCESS), successes);
    assert!(counts(&shards)[3] > 0, "{:?}", counts(&shards));
}

#[test]
fn groups_of_a_removed_shard_move_to_the_others() {
    let (shards, state) = (gateways::<3>(), TempDir::new());
    let scope = open_scope(&ring(&shards), &state, TIMEOUT);
    finish_runs(Outcome::Success);
    let successes = values(&shards, SUCCESS);
    drop(scope);
    let _scope = open_scope(&ring(&shards[1..]), &state, TIMEOUT);
    finish_runs(Outcome::Error);
    assert_eq!(values(&shards, SUCCESS), successes);
    assert_eq!(counts(&shards)[0], 0);
}

/// Another process could have changed the URL of the removed shard in the state directory.
#[test]
fn removed_shard_gets_no_credentials() {
    let (shards, state) = (gateways::<3>(), TempDir::new());
    let open = |ring: &str| {
        let config = Config::default().url(ring).unwrap().timeout(TIMEOUT).state_dir(state.path());
        config.basic_auth("batch", "hunter2").header("X-Tenant", "hunter2").scope().unwrap()
    };
    let scope = open(&ring(&shards));
    finish_runs(Outcome::Success);
    drop(scope);
    let _scope = open(&ring(&shards[1..]));
    finish_runs(Outcome::Success);
    assert_eq!(counts(&shards)[0], 0);
    for shard in &shards {
        for request in shard.requests() {
            let is_removal = request.method == "DELETE";
            assert!(!is_removal || shard.url() == shards[0].url());
            for header in ["authorization", "x-tenant"] {
                assert_eq!(request.header(header).is_none(), is_removal, "{request:?}");
            }
        }
    }
}

#[test]
fn group_is_deleted_from_an_earlier_shard_that_was_down() {
    let (shards, state) = (gateways::<3>(), TempDir::new());
    let scope = open_scope(&ring(&shards), &state, TIMEOUT);
    finish_runs(Outcome::Success);
    drop(scope);
    shards[0].refuse_connections();
    let scope = open_scope(&ring(&shards[1..]), &state, TIMEOUT);
    finish_runs(Outcome::Success);
    drop(scope);
    let left = counts(&shards)[0];
    assert!(left > 0);
    shards[0].accept_connections();
    // Other processes do not wait for a server that was down a moment ago.
    std::fs::remove_dir_all(state.path().join("outages")).unwrap();
    let _scope = open_scope(&ring(&shards[1..]), &state, TIMEOUT);
    finish_runs(Outcome::Success);
    assert_eq!(counts(&shards)[0], 0);
}

#[test]
fn request_for_a_ring_is_delivered_after_a_change_of_the_ring() {
    let (shards, state) = (gateways::<4>(), TempDir::new());
    shards.iter().for_each(FakeGateway::refuse_connections);
    let scope = open_scope(&ring(&shards[..3]), &state, SHORT_TIMEOUT);
    finish_runs(Outcome::Success);
    assert_eq!(state.records().len(), JOBS);
    drop(scope);
    shards.iter().for_each(FakeGateway::accept_connections);
    let _scope = open_scope(&ring(&shards), &state, TIMEOUT);
    assert!(
        metrics_push::spooled_requests().iter().all(metrics_push::SpooledRequest::is_configured)
    );
    let recovery = metrics_push::recover(TIMEOUT);
    assert_eq!((recovery.delivered, recovery.left), (JOBS, 0));
    assert!(values(&shards, SUCCESS).iter().all(Option::is_some));
    assert!(counts(&shards)[3] > 0, "{:?}", counts(&shards));
}

#[test]
fn request_for_another_ring_stays_on_disk() {
    let (shards, state) = (gateways::<4>(), TempDir::new());
    shards.iter().for_each(FakeGateway::refuse_connections);
    let scope = open_scope(&ring(&shards[..2]), &state, SHORT_TIMEOUT);
    finish_runs(Outcome::Success);
    drop(scope);
    shards.iter().for_each(FakeGateway::accept_connections);
    let _scope = open_scope(&ring(&shards[2..]), &state, TIMEOUT);
    assert_eq!(metrics_push::recover(TIMEOUT).delivered, 0);
    assert!(
        !metrics_push::spooled_requests().iter().any(metrics_push::SpooledRequest::is_configured)
    );
    assert_eq!((state.records().len(), counts(&shards)), (JOBS, vec![0; 4]));
}

#[test]
fn order_and_spelling_of_a_ring_do_not_move_groups() {
    let (shards, state) = (gateways::<3>(), TempDir::new());
    let scope = open_scope(&ring(&shards), &state, TIMEOUT);
    finish_runs(Outcome::Success);
    let before = counts(&shards);
    drop(scope);
    let [a, b, c] = std::array::from_fn(|index| shards[index].address());
    let _scope = open_scope(&format!("SHARDS+http://{c}/; http://{a};{b};"), &state, TIMEOUT);
    finish_runs(Outcome::Success);
    assert_eq!(counts(&shards), before);
    assert!(shards.iter().all(|shard| shard.requests().iter().all(|it| it.method != "DELETE")));
}

#[test]
fn misplaced_copies_are_pruned() {
    let shards = gateways::<3>();
    // Without a state directory, no process has a record of the earlier shard of a group.
    for ring in [ring(&shards[..2]), ring(&shards)] {
        let _scope = Config::default().url(ring).unwrap().timeout(TIMEOUT).scope().unwrap();
        finish_runs(Outcome::Success);
    }
    let gateway = Gateway::new(ring(&shards)).unwrap();
    let moved = counts(&shards)[2];
    assert!(moved > 0);
    assert_eq!(gateway.metrics().unwrap().len(), JOBS, "copies are merged");
    assert_eq!(gateway.prune_misplaced(Removal::DryRun).unwrap().len(), moved);
    assert_eq!(counts(&shards).iter().sum::<usize>(), JOBS + moved);
    assert_eq!(gateway.prune_misplaced(Removal::Apply).unwrap().len(), moved);
    assert!(values(&shards, SUCCESS).iter().all(Option::is_some));
    assert_eq!(gateway.prune_misplaced(Removal::Apply).unwrap(), []);
}

#[test]
fn only_copy_of_a_group_is_not_pruned() {
    let shards = gateways::<3>();
    let _scope = Config::default().url(ring(&shards[..2])).unwrap().scope().unwrap();
    finish_runs(Outcome::Success);
    let gateway = Gateway::new(ring(&shards)).unwrap();
    assert_eq!(gateway.prune_misplaced(Removal::Apply).unwrap(), []);
    assert_eq!(gateway.metrics().unwrap().len(), JOBS);
}

#[test]
fn delete_removes_a_group_from_all_shards() {
    let shards = gateways::<3>();
    let key = GroupingKey::new("everywhere").unwrap();
    for shard in &shards {
        let metrics = "rows 1\n".parse().unwrap();
        Gateway::new(shard.url()).unwrap().push(&key, &metrics).unwrap();
    }
    let gateway = Gateway::new(ring(&shards)).unwrap();
    gateway.ready().unwrap();
    assert_eq!(gateway.metrics().unwrap().len(), 1);
    gateway.delete(&key).unwrap();
    assert_eq!(counts(&shards), [0, 0, 0]);
    shards[1].refuse_connections();
    let error = gateway.delete(&key).unwrap_err();
    assert!(error.is_unreachable() && error.to_string().contains(&shards[1].url()), "{error}");
}

#[test]
fn shards_of_a_gateway_are_queried_one_by_one() {
    let shards = gateways::<3>();
    let gateway = Gateway::new(ring(&shards)).unwrap();
    let urls: BTreeSet<_> = gateway.shards().iter().map(Gateway::url).collect();
    assert_eq!(urls, shards.iter().map(FakeGateway::url).collect());
    shards[0].refuse_connections();
    let queried = gateway.shards().iter().filter(|shard| shard.metrics().is_ok()).count();
    assert!(queried == 2 && gateway.metrics().is_err());
    let single = Gateway::new(shards[1].url()).unwrap();
    assert_eq!(single.shards().len(), 1);
}

#[test]
fn shards_of_a_gateway_have_normalised_urls() {
    let gateway = Gateway::new("shards+http://B.example:80;a.EXAMPLE:91").unwrap();
    let urls: Vec<_> = gateway.shards().iter().map(Gateway::url).collect();
    assert_eq!(urls, ["http://a.example:91", "http://b.example"]);
}
