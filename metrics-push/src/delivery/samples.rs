//! Sends a payload to a sink that stores samples or messages, and splits it if the sink does not accept all of its families.
//!
//! Such a sink may refuse a whole request because of one family, and may not name the family. The outcome is sent first, so
//! that metrics of the program cannot delay it. A topic receives the message with the outcome again at the end, because
//! compaction removes all messages of a group except the last one. So the outcome is never split for a topic. If it is too
//! large, the largest details of the run are left out.

use crate::clock::Moment;
use crate::error::{Error, Kind};
use crate::log;
use crate::push_request::{Payload, is_outcome_family};
use crate::sink::{Acceptance, Accepted, Model, Rejection, Sink};

/// What became of the parts of a payload.
#[derive(Debug)]
pub(super) struct SentSamples {
    pub(super) acceptance: Acceptance,
    /// Why the sink did not accept some of the metrics.
    pub(super) refused: Option<Error>,
}

/// A part of a payload.
struct Part<'a> {
    payload: Payload<'a>,
    /// The part has the present time instead of the time of its request.
    is_restamped: bool,
}

/// Sends a payload. Splits it until each family that the sink does not accept is alone.
///
/// # Errors
/// If the sink did not accept the payload, or did not accept its outcome.
pub(super) async fn send(
    sink: &dyn Sink,
    payload: Payload<'_>,
    deadline: Moment,
) -> Result<SentSamples, Error> {
    let is_topic = sink.semantics().model == Model::Messages;
    let has_outcome = payload.has_outcome();
    let key = payload.key();
    let unknown_totals = payload.unknown_totals_before();
    let mut result = SentSamples { acceptance: Acceptance::Queued, refused: None };
    // A family that the sink has in a newer form counts as accepted.
    let (mut is_accepted, mut is_outcome_accepted) = (false, false);
    let mut parts = vec![Part { payload, is_restamped: false }];
    // The outcome in the form that the topic has accepted. If another part is accepted after it, it is sent again at the end.
    let mut last_outcome = None;
    while let Some(Part { payload, is_restamped }) = parts.pop() {
        let left = deadline.remaining();
        if left.is_zero() {
            let error = Error::new(Kind::Timeout, "the timeout passed before all parts were sent");
            return Err(error.at("url", sink).at("group", key));
        }
        let is_single = payload.families().nth(1).is_none();
        match sink.send(&payload, left).await {
            Ok(accepted) => {
                if let Accepted::Partially(error) = accepted {
                    result.refused.get_or_insert(error);
                }
            }
            Err(Rejection::Failed(error)) => return Err(error),
            Err(Rejection::TooOld(error)) if is_restamped => return Err(error),
            Err(Rejection::TooOld(error)) => {
                log::debug(format_args!("{key} is too old: {error:?}"));
                if let Some(payload) = restamped(&payload, Moment::now()) {
                    parts.push(Part { payload, is_restamped: true });
                    continue;
                }
            }
            Err(Rejection::InvalidMetrics(error)) if is_topic && payload.has_only_outcome() => {
                let payload = payload.without_largest_detail();
                parts.extend(payload.map(|payload| Part { payload, is_restamped }));
                result.refused.get_or_insert(error);
                continue;
            }
            Err(Rejection::InvalidMetrics(_) | Rejection::Superseded(_)) if !is_single => {
                parts.extend(payload.split().map(|payload| Part { payload, is_restamped }));
                continue;
            }
            // A run of another process has ended since the run started. Its totals are older than those after the run.
            Err(Rejection::Superseded(_)) if payload.has_totals_before() => {
                let payload = payload.with_totals_before(&unknown_totals);
                parts.push(Part { payload, is_restamped });
                continue;
            }
            Err(Rejection::Superseded(error)) => {
                log::debug(format_args!("{key} is superseded: {error:?}"));
            }
            Err(Rejection::InvalidMetrics(error)) => {
                result.refused.get_or_insert(error);
                continue;
            }
        }
        is_accepted = true;
        is_outcome_accepted |= payload.has_outcome();
        if is_topic && payload.has_outcome() {
            last_outcome = Some(Part { payload, is_restamped });
        } else if let Some(outcome) = last_outcome.take() {
            parts.insert(0, outcome);
        }
    }
    let is_delivered = if has_outcome { is_outcome_accepted } else { is_accepted };
    match result.refused {
        Some(error) if !is_delivered => Err(error),
        _ => Ok(result),
    }
}

/// Returns the families whose value is valid at the present time as well: the times of events, and the library's totals.
/// `None` if there are none.
fn restamped<'a>(payload: &Payload<'a>, now: Moment) -> Option<Payload<'a>> {
    payload.retain_at(now.unix_millis(), |name, _| {
        is_outcome_family(name)
            && ["_timestamp_seconds", "_total"].iter().any(|suffix| name.ends_with(suffix))
    })
}

#[cfg(test)]
mod tests {
    use std::fmt;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    use super::*;
    use crate::error::Retry;
    use crate::labels::GroupingKey;
    use crate::push_request::{Families, PushRequest, Total, Totals};
    use crate::sink::{OnFailure, OnRepeat, Semantics, SendFuture};
    use crate::sync::Mutex;

    /// A sink that decides about each request.
    struct ScriptedSink<F> {
        model: Model,
        answer: F,
        /// The names and the time of each request.
        requests: Mutex<SentRequests>,
    }

    impl<F> fmt::Debug for ScriptedSink<F> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("ScriptedSink")
        }
    }

    impl<F> fmt::Display for ScriptedSink<F> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("scripted://")
        }
    }

    impl<F> Sink for ScriptedSink<F>
    where
        F: Fn(&Payload<'_>) -> Result<Accepted, Rejection> + Send + Sync,
    {
        fn semantics(&self) -> Semantics {
            let (on_repeat, on_failure) = (OnRepeat::Idempotent, OnFailure::Spools);
            Semantics { model: self.model, on_repeat, on_failure }
        }

        fn send<'a>(&'a self, payload: &'a Payload<'a>, _timeout: Duration) -> SendFuture<'a> {
            let names = payload.families().map(|(name, _)| name.to_owned()).collect();
            self.requests.lock().push((names, payload.created_at()));
            Box::pin(std::future::ready((self.answer)(payload)))
        }
    }

    const SUCCESS: &str = "batch_job_last_success_timestamp_seconds";
    const FLAG: &str = "batch_job_last_run_success";

    fn refused() -> Error {
        Error::new(Kind::Refused { status: 400, retry: Retry::Never }, "refused")
    }

    type SentRequests = Vec<(Vec<String>, u64)>;

    /// Sends the families of an outcome, `own` gauges and a counter. Returns the result and the requests that arrived.
    fn send_with(
        own: &[&str],
        answer: impl Fn(&[&str], u64) -> Result<Accepted, Rejection> + Send + Sync,
    ) -> (Result<SentSamples, Error>, SentRequests) {
        send_to(Model::Samples, own, answer)
    }

    fn send_to(
        model: Model,
        own: &[&str],
        answer: impl Fn(&[&str], u64) -> Result<Accepted, Rejection> + Send + Sync,
    ) -> (Result<SentSamples, Error>, SentRequests) {
        let mut families = Families::new();
        for name in own.iter().chain(&[SUCCESS, FLAG]) {
            families.insert((*name).into(), format!("# TYPE {name} gauge\n{name} 1\n"));
        }
        let key = GroupingKey::new("job").unwrap();
        let request =
            PushRequest::with_created_at(1, crate::push_request::Verb::Push, key, families);
        let answer = |payload: &Payload<'_>| {
            let names: Vec<_> = payload.families().map(|(name, _)| name).collect();
            answer(&names, payload.created_at())
        };
        let sink = ScriptedSink { model, answer, requests: Mutex::default() };
        let result = send_now(&sink, Payload::from(&request));
        (result, sink.requests.lock().clone())
    }

    fn send_now(sink: &dyn Sink, payload: Payload<'_>) -> Result<SentSamples, Error> {
        let deadline = Moment::now().after(Duration::from_secs(60));
        let sending = pin!(send(sink, payload, deadline));
        let Poll::Ready(result) = sending.poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("`send` must not be pending")
        };
        result
    }

    #[test]
    fn samples_are_sent_in_one_request_if_the_sink_accepts_them() {
        let (result, requests) = send_with(&["rows"], |_, _| Ok(Accepted::Queued));
        assert!(result.unwrap().refused.is_none());
        assert_eq!(requests.len(), 1);
    }

    #[test]
    fn splitting_stores_all_good_families_for_every_position_of_a_bad_one() {
        let own = ["a", "b", "c", "d", "e"];
        for bad in own {
            let (result, requests) = send_with(&own, |names, _| {
                let is_bad = names.contains(&bad);
                if is_bad {
                    Err(Rejection::InvalidMetrics(refused()))
                } else {
                    Ok(Accepted::Queued)
                }
            });
            assert!(result.unwrap().refused.is_some(), "{bad}");
            let accepted: Vec<_> = requests
                .iter()
                .filter(|(names, _)| !names.iter().any(|name| name == bad))
                .collect();
            let mut stored: Vec<_> = accepted.iter().flat_map(|(names, _)| names.clone()).collect();
            stored.sort();
            let expected = own.iter().filter(|name| **name != bad).chain(&[FLAG, SUCCESS]);
            let mut expected: Vec<_> = expected.map(ToString::to_string).collect();
            expected.sort();
            assert_eq!(stored, expected, "{bad}");
            // The outcome is the second request, after the whole one.
            assert_eq!(requests[1].0, [FLAG, SUCCESS], "{bad}");
            assert!(requests.len() < 2 * (own.len() + 2), "{requests:?}");
        }
    }

    #[test]
    fn last_part_for_a_topic_is_the_outcome() {
        let (result, requests) = send_to(Model::Messages, &["a", "b", "c"], |names, _| {
            let is_too_large = names.len() > 2;
            if is_too_large {
                Err(Rejection::InvalidMetrics(refused()))
            } else {
                Ok(Accepted::Queued)
            }
        });
        assert!(result.unwrap().refused.is_none());
        let names: Vec<_> = requests.iter().map(|(names, _)| names.join(" ")).collect();
        let outcome = [FLAG, SUCCESS].join(" ");
        assert_eq!(names[1..], [&outcome, "a b c", "a", "b c", &outcome]);
    }

    const STAGES: &str = "batch_job_stage_duration_seconds";
    const INFO: &str = "batch_job_info";

    /// Sends an outcome and these families to a topic that accepts messages with at most `max` families. Returns the result and
    /// the families of each message.
    fn send_to_topic(other: &[&str], max: usize) -> (Result<SentSamples, Error>, Vec<Vec<String>>) {
        let (result, requests) = send_to(Model::Messages, other, |names, _| {
            let is_too_large = names.len() > max;
            if is_too_large {
                Err(Rejection::InvalidMetrics(refused()))
            } else {
                Ok(Accepted::Queued)
            }
        });
        (result, requests.into_iter().map(|(names, _)| names).collect())
    }

    #[test]
    fn outcome_that_is_too_large_for_a_topic_is_sent_without_the_largest_details() {
        let (result, messages) = send_to_topic(&[INFO, STAGES], 2);
        assert!(result.unwrap().refused.is_some());
        assert_eq!(messages[1..], [vec![INFO, FLAG, SUCCESS], vec![FLAG, SUCCESS]]);
    }

    #[test]
    fn outcome_beside_other_metrics_is_reduced_once() {
        let (result, messages) = send_to_topic(&["a", INFO, STAGES], 2);
        assert!(result.unwrap().refused.is_some());
        let [_whole, outcome, reduced, sent @ ..] = &messages[..] else { panic!("{messages:?}") };
        assert_eq!(outcome, &[INFO, FLAG, SUCCESS, STAGES]);
        assert_eq!(reduced, &[INFO, FLAG, SUCCESS]);
        assert_eq!(sent, [vec![FLAG, SUCCESS], vec!["a"], vec![FLAG, SUCCESS]]);
    }

    #[test]
    fn outcome_without_details_that_is_too_large_for_a_topic_is_an_error() {
        let (result, messages) = send_to_topic(&[INFO, STAGES], 1);
        assert!(result.unwrap_err().is_rejected());
        assert_eq!(messages.last().unwrap(), &[FLAG, SUCCESS]);
    }

    #[test]
    fn superseded_families_are_not_an_error_and_the_newer_ones_are_sent() {
        let (result, requests) = send_with(&["rows"], |names, _| {
            let is_news = names == [SUCCESS];
            if is_news { Ok(Accepted::Queued) } else { Err(Rejection::Superseded(refused())) }
        });
        assert!(result.unwrap().refused.is_none());
        assert!(requests.contains(&(vec![SUCCESS.to_owned()], 1)), "{requests:?}");
    }

    #[test]
    fn total_is_sent_alone_if_the_total_before_the_run_is_superseded() {
        const RUNS: &str = "batch_job_runs_total";
        const OTHER: &str = "batch_job_records_total";
        let families = [RUNS, OTHER].map(|name| (name.into(), format!("{name} 2\n")));
        let key = GroupingKey::new("job").unwrap();
        let request = PushRequest::push(key, families.into());
        let before = Total { since: 1, text: format!("{RUNS} 1\n") };
        let totals = Totals::from([(RUNS.to_owned(), before)]);
        let accepted = Mutex::new(Vec::new());
        let answer = |payload: &Payload<'_>| {
            if payload.has_totals_before() {
                return Err(Rejection::Superseded(refused()));
            }
            let totals = payload.families().map(|(name, _)| (name, payload.total_before(name)));
            accepted.lock().extend(totals.map(|(name, it)| (name.to_owned(), it.cloned())));
            Ok(Accepted::Queued)
        };
        let sink = ScriptedSink { model: Model::Samples, answer, requests: Mutex::default() };
        let payload = Payload::from(&request).with_totals_before(&totals);
        assert!(send_now(&sink, payload).unwrap().refused.is_none());
        let unknown = Total { since: 1, text: String::new() };
        let expected = [(OTHER.to_owned(), None), (RUNS.to_owned(), Some(unknown))];
        let mut accepted = accepted.lock().clone();
        accepted.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(accepted, expected);
    }

    #[test]
    fn samples_that_are_too_old_are_reduced_to_timestamps_with_the_present_time() {
        let (result, requests) = send_with(&["rows"], |_, created_at| {
            let is_old = created_at == 1;
            if is_old { Err(Rejection::TooOld(refused())) } else { Ok(Accepted::Queued) }
        });
        assert!(result.unwrap().refused.is_none());
        let [_, (names, created_at)] = &requests[..] else { panic!("{requests:?}") };
        assert!(names == &[SUCCESS] && *created_at > 1, "{requests:?}");
    }

    #[test]
    fn present_time_that_the_sink_calls_too_old_is_an_error() {
        let (result, requests) = send_with(&[], |_, _| Err(Rejection::TooOld(refused())));
        assert!(result.unwrap_err().is_rejected());
        assert_eq!(requests.len(), 2);
    }

    #[test]
    fn refused_outcome_is_an_error_although_other_metrics_are_accepted() {
        let (result, _) = send_with(&["rows"], |names, _| {
            if names == ["rows"] {
                Ok(Accepted::Queued)
            } else {
                Err(Rejection::InvalidMetrics(refused()))
            }
        });
        assert!(result.unwrap_err().is_rejected());
    }

    #[test]
    fn failure_ends_the_attempt() {
        let unavailable = || Error::new(Kind::Unreachable, "unreachable");
        let (result, requests) = send_with(&["rows"], |_, _| Err(Rejection::Failed(unavailable())));
        assert!(result.unwrap_err().is_unreachable());
        assert_eq!(requests.len(), 1);
    }

    #[test]
    fn partial_acceptance_returns_the_reason() {
        let (result, requests) = send_with(&["rows"], |_, _| Ok(Accepted::Partially(refused())));
        assert!(result.unwrap().refused.is_some());
        assert_eq!(requests.len(), 1);
    }
}
