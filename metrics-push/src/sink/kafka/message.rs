//! `OutgoingMessage`: a request as a message of Kafka.

use super::topic_url::MessageFormat;
use crate::push_request::{Payload, Verb};
use crate::sink::sample_times::RequestTimes;
use crate::sink::{influx, otlp};

/// The key is the path of the group, so that all messages of a group are in one partition, in order. A compacted topic
/// stores the last one, which therefore contains the times of earlier runs.
#[derive(Debug)]
pub(super) struct OutgoingMessage {
    /// The same for every attempt to send a request. Consumers skip a message whose id they have seen.
    pub(super) id: u128,
    /// The id that a message with only the end of the same run, without the program's own metrics, has.
    pub(super) run_id: Option<u128>,
    pub(super) key: String,
    pub(super) verb: Verb,
    /// Unix milliseconds.
    pub(super) created_at: u64,
    pub(super) content_type: &'static str,
    /// The names of the families in the value that are times of earlier runs, separated by commas.
    pub(super) retained: String,
    /// `None` deletes the group: a compacted topic removes its messages.
    pub(super) value: Option<Vec<u8>>,
}

impl OutgoingMessage {
    /// Encodes a payload; `None` if it has nothing to send in this format.
    pub(super) fn encode(format: MessageFormat, payload: &Payload<'_>) -> Option<Self> {
        let is_delete = payload.verb() == Verb::Delete;
        let time = payload.created_at();
        let (content_type, value) = match format {
            MessageFormat::Text => ("text/plain; version=0.0.4", payload.body().into_bytes()),
            // Consumers of these formats have no groups, and do not expect a message without a value.
            _ if is_delete => return None,
            MessageFormat::Otlp => {
                let times = RequestTimes { time, ..RequestTimes::default() };
                let parts = otlp::encode(payload, times);
                // Several encoded requests in a row are one request.
                ("application/x-protobuf", parts.into_iter().flat_map(|part| part.bytes).collect())
            }
            MessageFormat::Influx => {
                let lines = influx::encode(payload.key(), payload.families(), time);
                ("text/plain; charset=utf-8", lines.into_bytes())
            }
        };
        let is_empty = value.is_empty() && !is_delete;
        let id = payload.id();
        (!is_empty).then(|| Self {
            id,
            run_id: payload.run_id().filter(|run_id| *run_id != id),
            key: payload.key().url_path(),
            verb: payload.verb(),
            created_at: time,
            content_type,
            retained: payload.retained_names().collect::<Vec<_>>().join(","),
            value: (!is_delete).then_some(value),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::GroupingKey;
    use crate::push_request::{Families, LAST_COMPLETION, LAST_START, LAST_SUCCESS, PushRequest};

    fn key() -> GroupingKey {
        GroupingKey::new("nightly").unwrap().label("region", "eu").unwrap()
    }

    fn request(verb: Verb) -> PushRequest {
        let families = [("rows", "# TYPE rows gauge\nrows 3\n")];
        let families = families.map(|(name, text)| (name.into(), text.into()));
        let families = if verb == Verb::Delete { Families::new() } else { families.into() };
        PushRequest::with_created_at(1_700_000_000_123, verb, key(), families)
    }

    fn encode(format: MessageFormat, verb: Verb) -> Option<(String, Option<Vec<u8>>)> {
        let request = request(verb);
        let message = OutgoingMessage::encode(format, &Payload::from(&request))?;
        Some((message.key, message.value))
    }

    #[test]
    fn message_has_the_path_of_the_group_as_key_and_the_families_as_value() {
        let (key, value) = encode(MessageFormat::Text, Verb::Push).unwrap();
        assert_eq!(key, "/metrics/job/nightly/region/eu");
        assert_eq!(value.unwrap(), b"# TYPE rows gauge\nrows 3\n");
        let (_, value) = encode(MessageFormat::Influx, Verb::Add).unwrap();
        let line = String::from_utf8(value.unwrap()).unwrap();
        assert!(line.contains("job=nightly") && line.ends_with(" 1700000000123\n"), "{line}");
        assert!(encode(MessageFormat::Otlp, Verb::Add).unwrap().1.unwrap().starts_with(&[0x0a]));
    }

    #[test]
    fn message_names_the_times_of_earlier_runs() {
        let earlier = [(LAST_SUCCESS, "last 1\n"), ("batch_job_push_attempts", "attempts 1\n")];
        let earlier: Families = earlier.map(|(name, text)| (name.into(), text.into())).into();
        let request = request(Verb::Add);
        let mut payload = Payload::from(&request);
        let id = payload.id();
        payload.insert_missing(&earlier);
        let message = OutgoingMessage::encode(MessageFormat::Text, &payload).unwrap();
        assert_eq!((message.id, &*message.retained), (id, LAST_SUCCESS));
    }

    #[test]
    fn end_of_a_run_has_one_id_with_and_without_other_metrics() {
        let end = [(LAST_START, "start 1\n"), (LAST_COMPLETION, "end 2\n")];
        let end: Families = end.map(|(name, text)| (name.into(), text.into())).into();
        let encode = |request: &PushRequest| {
            OutgoingMessage::encode(MessageFormat::Text, &Payload::from(request)).unwrap()
        };
        let delivered =
            encode(&request(Verb::Push).merged_with(PushRequest::add(key(), end.clone())));
        let recovered = encode(&PushRequest::add(key(), end));
        assert_eq!((recovered.run_id, delivered.run_id), (None, Some(recovered.id)));
        assert_ne!(delivered.id, recovered.id);
        let start: Families = [(LAST_START.into(), "start 3\n".into())].into();
        let next = encode(&PushRequest::add(key(), start));
        assert!(next.run_id.is_none() && next.id != recovered.id);
    }

    #[test]
    fn delete_is_a_message_without_value() {
        assert_eq!(encode(MessageFormat::Text, Verb::Delete).unwrap().1, None);
        assert!(encode(MessageFormat::Influx, Verb::Delete).is_none());
        assert!(encode(MessageFormat::Otlp, Verb::Delete).is_none());
    }
}
