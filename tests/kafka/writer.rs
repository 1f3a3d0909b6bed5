//! `Writer`: writes messages to the topic of a test, as jobs do.

use std::time::Duration;

use metrics_push::testing::FakeGateway;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::cluster::{Cluster, Received, TOPIC};
use crate::wait::wait_until;

/// Writes requests to the topic, as jobs do.
pub(crate) struct Writer(BaseProducer);

impl Writer {
    pub(crate) fn new(cluster: &Cluster) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", cluster.mock.bootstrap_servers());
        Self(config.set("linger.ms", "0").create().unwrap())
    }

    /// Writes an add of the gauge `value` to a group.
    pub(crate) fn add(&self, group: &str, value: u64) {
        let text = format!("# TYPE value gauge\nvalue {value}\n");
        self.write(group, &format!("{value:x}{group}"), &text);
    }

    /// Writes an add of a value to the first groups of [`wait_for_values`].
    pub(crate) fn add_to_all(&self, groups: u64, value: u64) {
        (0..groups).for_each(|number| self.add(&group_name(number), value));
        self.flush();
    }

    /// Writes an add. The message has a hash of `id` as its id.
    pub(crate) fn write(&self, group: &str, id: &str, text: &str) {
        let id = id.bytes().fold(7_u128, |hash, byte| hash.wrapping_mul(257) + u128::from(byte));
        let id = format!("{id:032x}");
        let headers = [("verb", "add"), ("made", "1700000000000"), ("id", &id)];
        self.send(&format!("/metrics/job/{group}"), headers, text);
    }

    /// Writes a message of another topic.
    pub(crate) fn copy(&self, message: &Received) {
        let headers = message.headers.iter().map(|(name, value)| (&**name, &**value));
        self.send(&message.key, headers, message.value.as_deref().unwrap());
    }

    fn send<'a>(
        &self,
        key: &str,
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
        text: &str,
    ) {
        let headers = headers.into_iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value) })
        });
        let record = BaseRecord::to(TOPIC).key(key).payload(text).headers(headers);
        self.0.send(record).map_err(|(error, _)| error).unwrap();
    }

    /// Waits until the brokers have stored all messages.
    pub(crate) fn flush(&self) {
        self.0.flush(Duration::from_secs(60)).unwrap();
    }
}

fn group_name(number: u64) -> String {
    format!("group_{number}")
}

/// Waits until each of the first groups has its value.
#[track_caller]
pub(crate) fn wait_for_values(gateway: &FakeGateway, groups: u64, value: impl Fn(u64) -> u64) {
    for number in 0..groups {
        let name = group_name(number);
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let expected = value(number) as f64;
        wait_until(|| {
            let found = gateway.find_group(&name, &[]).and_then(|group| group.get("value", &[]));
            if found == Some(expected) {
                return Ok(());
            }
            Err(format!("{name} has {found:?} instead of {expected}"))
        });
    }
}
