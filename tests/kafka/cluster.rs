//! `Cluster`: mock brokers with one topic, and a consumer that reads all of its messages.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Timestamp};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{Offset, TopicPartitionList};

pub(crate) const TOPIC: &str = "batch_jobs";
pub(crate) const PARTITIONS: i32 = 4;

/// How long a test waits until a broker returns what it has received.
const VISIBLE_TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) struct Cluster {
    pub(crate) mock: MockCluster<'static, DefaultProducerContext>,
}

/// A message of the topic.
#[derive(Clone)]
pub(crate) struct Received {
    pub(crate) partition: i32,
    pub(crate) key: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) value: Option<String>,
    pub(crate) timestamp: Timestamp,
}

impl Received {
    pub(crate) fn id(&self) -> &str {
        &self.headers["id"]
    }

    pub(crate) fn verb(&self) -> &str {
        &self.headers["verb"]
    }

    pub(crate) fn created_at(&self) -> u64 {
        self.headers["made"].parse().unwrap()
    }

    /// Returns the value of a series in the text format.
    pub(crate) fn series(&self, name: &str) -> Option<f64> {
        let lines = self.value.as_deref().unwrap_or_default().lines();
        lines.into_iter().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    /// Returns the outcome, if the message reports the end of a run.
    pub(crate) fn outcome(&self) -> Option<&str> {
        let lines = self.value.as_deref().unwrap_or_default().lines();
        lines.into_iter().find_map(|line| {
            let rest = line.strip_prefix("batch_job_last_run_outcome{outcome=\"")?;
            rest.strip_suffix("\"} 1")
        })
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = self.outcome().unwrap_or("no outcome");
        let (key, id) = (&self.key, &self.id()[..8]);
        write!(f, "{} {key} made {} id {id}: {outcome}", self.verb(), self.created_at())
    }
}

impl Cluster {
    pub(crate) fn start(brokers: i32) -> Self {
        let mock = MockCluster::new(brokers).unwrap();
        mock.create_topic(TOPIC, PARTITIONS, brokers.min(3)).unwrap();
        Self { mock }
    }

    /// Returns the URL of the sink.
    pub(crate) fn url(&self) -> String {
        format!("kafka://{}/{TOPIC}", self.mock.bootstrap_servers().replace(',', ";"))
    }

    /// Returns a consumer that starts at the first message of each partition.
    fn consumer(&self) -> BaseConsumer {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.mock.bootstrap_servers())
            .set("group.id", "tests")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "10");
        let consumer: BaseConsumer = config.create().unwrap();
        let mut partitions = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            partitions.add_partition_offset(TOPIC, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&partitions).unwrap();
        consumer
    }

    /// Returns all messages; those of one partition in order.
    pub(crate) fn messages(&self) -> Vec<Received> {
        let consumer = self.consumer();
        let deadline = Instant::now() + VISIBLE_TIMEOUT;
        let (mut received, mut ended) = (Vec::new(), BTreeSet::new());
        while i32::try_from(ended.len()).unwrap() < PARTITIONS {
            assert!(Instant::now() < deadline, "the brokers do not respond");
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => received.push(read(&message)),
                Some(Err(rdkafka::error::KafkaError::PartitionEOF(partition))) => {
                    ended.insert(partition);
                }
                Some(Err(_)) | None => {}
            }
        }
        received
    }

    /// Returns the messages that report the end of a run.
    pub(crate) fn outcomes(&self) -> Vec<Received> {
        self.messages().into_iter().filter(|message| message.outcome().is_some()).collect()
    }
}

fn read(message: &impl rdkafka::Message) -> Received {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let headers = message.headers().unwrap().iter();
    Received {
        partition: message.partition(),
        key: text(message.key().unwrap()),
        headers: headers.map(|it| (it.key.to_owned(), text(it.value.unwrap()))).collect(),
        value: message.payload().map(text),
        timestamp: message.timestamp(),
    }
}

/// Returns the messages, except those whose `id` is the `id` or `run` of an earlier message.
pub(crate) fn without_repeated(messages: Vec<Received>) -> Vec<Received> {
    let mut ids = BTreeSet::new();
    let mut is_new = |message: &Received| {
        let is_new = ids.insert(message.id().to_owned());
        ids.extend(message.headers.get("run").cloned());
        is_new
    };
    messages.into_iter().filter(|message| is_new(message)).collect()
}
