//! A signal at any moment of a short job's life: before it has begun, while it starts, in its body, as it ends.

use std::os::unix::process::ExitStatusExt as _;
use std::thread;
use std::time::{Duration, Instant};

use metrics_push::testing::FakeGateway;
use rustix::process::{Pid, Signal, kill_process};

use crate::child::{Ended, Panics, Running, Start, job};
use crate::lifecycle::outcomes;

/// How many jobs of each kind are signalled.
const MOMENTS: u32 = 120;

/// One of many jobs; its group is its own.
fn one(gateway: &FakeGateway, ending: &str, number: u32) -> Start {
    let grouping = format!("moment={ending}-{number}");
    job(Panics::Unwind, &[ending])
        .gateway(&gateway.url())
        .variable("METRICS_PUSH_GROUPING", grouping)
}

/// How long an undisturbed job takes here.
fn usual(gateway: &FakeGateway, ending: &str) -> Duration {
    let begun = Instant::now();
    for number in 0..5 {
        one(gateway, ending, MOMENTS + number).run_to_end();
    }
    begun.elapsed() / 5
}

/// Each of those that a job listens to, turn and turn about.
fn signal(number: u32) -> Signal {
    [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT][number as usize / 2 % 4]
}

fn send(signal: Signal, running: &Running) {
    let id = Pid::from_raw(running.id().cast_signed()).unwrap();
    // Not yet waited for, so it is there even if it has ended.
    kill_process(id, signal).unwrap();
}

fn died_of(signal: Signal, ended: &Ended) -> bool {
    ended.status.signal() == Some(signal.as_raw())
}

/// What the gateway was told of a job's ends, and whether it knows of the job at all.
fn told(gateway: &FakeGateway, ending: &str, number: u32) -> (usize, bool) {
    let path = format!("/metrics/job/ending/moment/{ending}-{number}");
    let sent: Vec<_> = gateway.requests().into_iter().filter(|sent| sent.path == path).collect();
    let is_end = |body: &[u8]| String::from_utf8_lossy(body).contains("batch_job_last_completion_");
    (sent.iter().filter(|sent| is_end(&sent.body)).count(), !sent.is_empty())
}

/// What the gateway holds of a job that has begun; it was told of its end once.
#[track_caller]
fn told_once(gateway: &FakeGateway, ending: &str, number: u32, ended: &Ended) -> Vec<&'static str> {
    assert_eq!(told(gateway, ending, number).0, 1, "{ending}, {number}: {ended:?}");
    outcomes(&gateway.group("ending", &[("moment", &format!("{ending}-{number}"))]))
}

/// Signals jobs of this kind at moments spread over their whole life.
fn signal_at_any_moment(ending: &str, outcome: &'static str) {
    let gateway = FakeGateway::start();
    let own = one(&gateway, ending, MOMENTS).run_to_end().status;
    let longest = usual(&gateway, ending) * 5 / 4;
    for number in 0..MOMENTS {
        let running = one(&gateway, ending, number).start();
        thread::sleep(longest * number / MOMENTS);
        let signal = signal(number);
        send(signal, &running);
        let ended = running.wait();
        let what = format!("{ending}, {number}, {signal:?}: {ended:?}");
        let died = died_of(signal, &ended);
        assert!(died || ended.status == own, "{what}");
        assert_eq!(ended.notices, Vec::<String>::new(), "{what}");
        // Until it listens, a signal ends it as it does any program.
        let (ends, is_known) = told(&gateway, ending, number);
        let has_body_begun = ended.stdout.contains("before");
        if !has_body_begun && !is_known {
            assert!(died && ends == 0, "{what}");
            continue;
        }
        let held = told_once(&gateway, ending, number, &ended);
        // A run that was over when the signal came is what it was.
        let is_own = has_body_begun && held == [outcome];
        assert!(is_own || (died && held == ["signal"]), "{held:?} {what}");
    }
}

#[test]
fn a_signal_at_any_moment_of_a_short_job_is_told_once_and_ends_it_or_comes_too_late() {
    let endings =
        [("ok", "success"), ("err", "error"), ("exit-3", "exit_code"), ("panic", "panic")];
    thread::scope(|scope| {
        for (ending, outcome) in endings {
            scope.spawn(move || signal_at_any_moment(ending, outcome));
        }
    });
}

#[test]
fn of_a_signal_and_the_end_of_the_body_the_first_counts() {
    const ENDING: &str = "wait-for-input";
    let gateway = FakeGateway::start();
    for number in 0..MOMENTS {
        let mut running = one(&gateway, ENDING, number).with_input().start().ready();
        let apart = Duration::from_micros(20) * number;
        let (is_first, signal) = (number % 2 == 0, signal(number));
        if is_first {
            send(signal, &running);
            thread::sleep(apart);
            running.close_input();
        } else {
            running.close_input();
            thread::sleep(apart);
            send(signal, &running);
        }
        let ended = running.wait();
        let held = told_once(&gateway, ENDING, number, &ended);
        let died = died_of(signal, &ended);
        let is_told = held == ["signal"] && died;
        let is_too_late = held == ["success"] && (died || ended.status.success());
        assert!(is_told || (is_too_late && !is_first), "{number}, {signal:?}: {held:?} {ended:?}");
    }
}
