//! Signals sent at any time of a short job: before its start, during its start, in its body, and at its end.

use std::os::unix::process::ExitStatusExt as _;
use std::thread;
use std::time::{Duration, Instant};

use metrics_push::testing::FakeGateway;
use rustix::process::{Pid, Signal, kill_process};

use crate::child::{FinishedJob, JobCommand, PanicStrategy, RunningJob, job};
use crate::lifecycle::outcomes;

/// The number of jobs that receive a signal, for each ending.
const JOBS: u32 = 120;

/// Returns the command of a job whose group has the label `moment="{ending}-{number}"`.
fn numbered_job(gateway: &FakeGateway, ending: &str, number: u32) -> JobCommand {
    let grouping = format!("moment={ending}-{number}");
    job(PanicStrategy::Unwind, &[ending])
        .gateway(&gateway.url())
        .variable("METRICS_PUSH_GROUPING", grouping)
}

/// Returns the mean duration of a job that receives no signal.
fn mean_duration(gateway: &FakeGateway, ending: &str) -> Duration {
    let started = Instant::now();
    for number in 0..5 {
        numbered_job(gateway, ending, JOBS + number).run_to_end();
    }
    started.elapsed() / 5
}

/// Returns the signal for this job: TERM, INT, HUP and QUIT in turn, each for two jobs.
fn signal_for(number: u32) -> Signal {
    [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT][number as usize / 2 % 4]
}

fn send(signal: Signal, running: &RunningJob) {
    let id = Pid::from_raw(running.id().cast_signed()).unwrap();
    // The test has not waited for the process, so its id is valid even after its exit.
    kill_process(id, signal).unwrap();
}

fn was_killed_by(signal: Signal, ended: &FinishedJob) -> bool {
    ended.status.signal() == Some(signal.as_raw())
}

/// Returns the number of completions that the gateway received from a job, and whether it received any request.
fn completions_of(gateway: &FakeGateway, ending: &str, number: u32) -> (usize, bool) {
    let path = format!("/metrics/job/ending/moment/{ending}-{number}");
    let sent: Vec<_> = gateway.requests().into_iter().filter(|sent| sent.path == path).collect();
    let has_completion =
        |body: &[u8]| String::from_utf8_lossy(body).contains("batch_job_last_completion_");
    (sent.iter().filter(|sent| has_completion(&sent.body)).count(), !sent.is_empty())
}

/// Returns the outcomes of a job's group, and fails unless the gateway received its completion once.
#[track_caller]
fn outcomes_reported_once(
    gateway: &FakeGateway,
    ending: &str,
    number: u32,
    ended: &FinishedJob,
) -> Vec<&'static str> {
    assert_eq!(completions_of(gateway, ending, number).0, 1, "{ending}, {number}: {ended:?}");
    outcomes(&gateway.group("ending", &[("moment", &format!("{ending}-{number}"))]))
}

/// Sends signals to jobs with this ending, at times spread over the duration of a job.
fn signal_at_any_time(ending: &str, outcome: &'static str) {
    let gateway = FakeGateway::start();
    let undisturbed = numbered_job(&gateway, ending, JOBS).run_to_end().status;
    let max_delay = mean_duration(&gateway, ending) * 5 / 4;
    for number in 0..JOBS {
        let running = numbered_job(&gateway, ending, number).start();
        thread::sleep(max_delay * number / JOBS);
        let signal = signal_for(number);
        send(signal, &running);
        let ended = running.wait();
        let context = format!("{ending}, {number}, {signal:?}: {ended:?}");
        let was_killed = was_killed_by(signal, &ended);
        assert!(was_killed || ended.status == undisturbed, "{context}");
        assert_eq!(ended.log_lines, Vec::<String>::new(), "{context}");
        // Before the handlers are installed, a signal kills the process without a report.
        let (completions, is_known) = completions_of(&gateway, ending, number);
        let has_body_begun = ended.stdout.contains("before");
        if !has_body_begun && !is_known {
            assert!(was_killed && completions == 0, "{context}");
            continue;
        }
        let reported = outcomes_reported_once(&gateway, ending, number, &ended);
        // A signal after the run has finished does not change its outcome.
        let is_own_outcome = has_body_begun && reported == [outcome];
        assert!(is_own_outcome || (was_killed && reported == ["signal"]), "{reported:?} {context}");
    }
}

#[test]
fn signal_at_any_time_never_causes_a_wrong_report() {
    let endings =
        [("ok", "success"), ("err", "error"), ("exit-3", "exit_code"), ("panic", "panic")];
    thread::scope(|scope| {
        for (ending, outcome) in endings {
            scope.spawn(move || signal_at_any_time(ending, outcome));
        }
    });
}

#[test]
fn first_of_signal_and_return_decides_the_outcome() {
    const ENDING: &str = "wait-for-input";
    let gateway = FakeGateway::start();
    for number in 0..JOBS {
        let mut running = numbered_job(&gateway, ENDING, number).with_input().start().ready();
        let gap = Duration::from_micros(20) * number;
        let (is_first, signal) = (number % 2 == 0, signal_for(number));
        if is_first {
            send(signal, &running);
            thread::sleep(gap);
            running.close_input();
        } else {
            running.close_input();
            thread::sleep(gap);
            send(signal, &running);
        }
        let ended = running.wait();
        let reported = outcomes_reported_once(&gateway, ENDING, number, &ended);
        let was_killed = was_killed_by(signal, &ended);
        let is_signal = reported == ["signal"] && was_killed;
        let is_success = reported == ["success"] && (was_killed || ended.status.success());
        assert!(
            is_signal || (is_success && !is_first),
            "{number}, {signal:?}: {reported:?} {ended:?}"
        );
    }
}
