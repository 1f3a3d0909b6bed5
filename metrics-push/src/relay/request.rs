//! `TopicRequest`: the request that a message contains.

use super::key_path::key_of_path;
use crate::error::{Error, Kind};
use crate::exposition::Exposition;
use crate::labels::GroupingKey;
use crate::log;
use crate::push_request::{Families, PushRequest, Verb, is_outcome_family, is_retained_family};
use crate::sink::kafka::TopicMessage;

#[derive(Debug)]
pub(super) struct TopicRequest {
    /// The same for all repetitions of a message.
    pub(super) id: Option<u128>,
    /// The id of a message that reports the end of the same run without the program's own metrics.
    pub(super) run_id: Option<u128>,
    pub(super) request: PushRequest,
}

impl TopicRequest {
    /// Reads a message.
    ///
    /// # Errors
    /// `is_metric` if it is not a request in the text format.
    pub(super) fn parse(message: TopicMessage) -> Result<Self, Error> {
        let at_position = |error: Error| {
            error.at("partition", message.position.partition).at("offset", message.position.offset)
        };
        parse(&message).map_err(at_position)
    }
}

fn parse(message: &TopicMessage) -> Result<TopicRequest, Error> {
    let header = |name: &str| {
        let (_, value) = message.headers.iter().find(|(known, _)| known == name)?;
        std::str::from_utf8(value).ok()
    };
    let path = message.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
    let key = path.and_then(key_of_path).ok_or_else(|| invalid("key"))?;
    let created_at = header("made").and_then(|time| time.parse().ok());
    let created_at = created_at.ok_or_else(|| invalid("header \"made\""))?;
    let (verb, mut families) = match (&message.value, header("verb").and_then(Verb::parse)) {
        (None, _) => (Verb::Delete, Default::default()),
        (Some(value), Some(verb @ (Verb::Push | Verb::Add))) => read_families(value, verb, &key)?,
        (Some(_), _) => return Err(invalid("header \"verb\"")),
    };
    let id = |name| header(name).and_then(|id| u128::from_str_radix(id, 16).ok());
    let retained = header("retained").unwrap_or_default();
    let retained = take_retained(&mut families, retained);
    let mut request = PushRequest::with_created_at(created_at, verb, key, families);
    request.set_retained(retained);
    Ok(TopicRequest { id: id("id"), run_id: id("run"), request })
}

/// Reads the families of a request. If some of the program's own metrics are invalid, returns only the families about
/// the run, with `Verb::Add`.
fn read_families(value: &[u8], verb: Verb, key: &GroupingKey) -> Result<(Verb, Families), Error> {
    let read = |text: &[u8]| Exposition::default().with(text)?.families_for(key);
    let error = match read(value) {
        Ok(families) => return Ok((verb, families)),
        Err(error) => error,
    };
    let Ok(outcome) = read(&outcome_lines(value)) else { return Err(error) };
    log::warn_once(format_args!(
        "{error:?}; the outcome of {key} is delivered without the program's own metrics"
    ));
    Ok((Verb::Add, outcome))
}

/// Returns the lines of the families about a run.
fn outcome_lines(text: &[u8]) -> Vec<u8> {
    let lines = text.split_inclusive(|byte| *byte == b'\n').filter(|line| {
        let line = String::from_utf8_lossy(line);
        let comment = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE "));
        is_outcome_family(comment.unwrap_or(&line))
    });
    lines.flatten().copied().collect()
}

/// Takes the times of earlier runs, whose names are separated by commas, unless there is nothing else.
fn take_retained(families: &mut Families, names: &str) -> Families {
    let is_retained =
        |name: &str| is_retained_family(name) && names.split(',').any(|it| it == name);
    if families.keys().all(|name| is_retained(name)) {
        return Families::new();
    }
    let (retained, own) =
        std::mem::take(families).into_iter().partition(|(name, _)| is_retained(name));
    *families = own;
    retained
}

fn invalid(part: &str) -> Error {
    Error::new(Kind::Metric, format!("invalid message: its {part} is not that of a request"))
        .remedy("use a topic to which only jobs write")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::GroupingKey;
    use crate::push_request::LAST_SUCCESS;
    use crate::sink::kafka::Position;

    fn message(key: &str, value: Option<&str>, headers: &[(&str, &str)]) -> TopicMessage {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).into()));
        TopicMessage {
            position: Position { partition: 0, offset: 7 },
            key: Some(key.into()),
            value: value.map(Into::into),
            headers: headers.collect(),
        }
    }

    #[test]
    fn message_is_read_as_the_request_that_it_was_made_of() {
        let headers = [("verb", "add"), ("made", "1700000000123"), ("id", "ff"), ("run", "10")];
        let value = "# TYPE rows gauge\nrows 3\n";
        let parsed =
            TopicRequest::parse(message("/metrics/job/a%20b/r@base64/eC95", Some(value), &headers));
        let TopicRequest { id, run_id, request } = parsed.unwrap();
        let key = GroupingKey::new("a b").unwrap().label("r", "x/y").unwrap();
        assert_eq!((id, run_id), (Some(255), Some(16)));
        assert_eq!((request.key(), request.verb()), (&key, Verb::Add));
        assert_eq!((request.created_at(), request.body().as_str()), (1_700_000_000_123, value));
        let deleted = TopicRequest::parse(message("/metrics/job/a", None, &headers)).unwrap();
        assert_eq!(deleted.request.verb(), Verb::Delete);
    }

    #[test]
    fn times_of_earlier_runs_are_not_part_of_the_request() {
        let headers = [("verb", "add"), ("made", "1"), ("retained", LAST_SUCCESS)];
        let parse = |value: &str| {
            let parsed = TopicRequest::parse(message("/metrics/job/a", Some(value), &headers));
            parsed.unwrap().request
        };
        let request = parse(&format!("rows 3\n{LAST_SUCCESS} 1\n"));
        assert!(request.families().keys().eq(["rows"]), "{request:?}");
        assert!(request.retained().keys().eq([LAST_SUCCESS]), "{request:?}");
        let request = parse(&format!("{LAST_SUCCESS} 1\n"));
        assert!(request.families().keys().eq([LAST_SUCCESS]) && request.retained().is_empty());
    }

    #[test]
    fn outcome_is_read_if_the_programs_own_metrics_are_invalid() {
        let headers = [("verb", "push"), ("made", "1"), ("retained", LAST_SUCCESS)];
        let outcome = "# HELP batch_job_last_run_success Help.\n# TYPE batch_job_last_run_success gauge\n\
                       batch_job_last_run_success 1\n";
        let earlier = format!("{LAST_SUCCESS} 1\n");
        for own in [
            "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n# TYPE h_count gauge\nh_count 1\n",
            "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"1\"} 1\n",
            "a{job=\"b\"} 1\n",
            "a 1\na 1\n",
            "a 1 1700000000000\n",
        ] {
            let value = [outcome, &earlier, own].concat();
            let parsed = TopicRequest::parse(message("/metrics/job/a", Some(&value), &headers));
            let request = parsed.unwrap().request;
            assert_eq!((request.verb(), request.body().as_str()), (Verb::Add, outcome));
            assert!(request.retained().keys().eq([LAST_SUCCESS]), "{request:?}");
        }
        let invalid = outcome.replace(" 1\n", " one\n");
        let parsed = TopicRequest::parse(message("/metrics/job/a", Some(&invalid), &headers));
        assert!(parsed.is_err());
    }

    #[test]
    fn message_that_is_not_a_request_is_an_error_with_its_position() {
        let complete = [("verb", "add"), ("made", "1")];
        for (key, value, headers) in [
            ("nightly", "a 1\n", &complete[..]),
            ("/metrics/region/eu", "a 1\n", &complete[..]),
            ("/metrics/job/a", "a 1\n", &complete[1..]),
            ("/metrics/job/a", "a 1\n", &complete[..1]),
            ("/metrics/job/a", "{\"a\": 1}\n", &complete[..]),
            ("/metrics/job/a", "", &complete[..]),
            ("/metrics/job/a", "a{job=\"b\"} 1\n", &complete[..]),
        ] {
            let error = TopicRequest::parse(message(key, Some(value), headers)).unwrap_err();
            assert!(error.is_metric() && error.to_string().contains("offset: 7"), "{error}");
        }
    }
}
