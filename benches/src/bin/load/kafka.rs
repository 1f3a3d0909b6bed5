//! The broker and the relay of the kind `kafka-N`, each of them a process of this program.

use std::io::Read as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use metrics_push::{Config, Relay};
use rdkafka::mocking::MockCluster;

const TOPIC: &str = "batch_jobs";

/// The broker stores 5 MB of each partition.
const PARTITIONS: i32 = 64;

/// Prints the address of a broker and serves it until stdin is closed.
pub(crate) fn run_broker() {
    let cluster = MockCluster::new(1).expect("the broker starts");
    cluster.create_topic(TOPIC, PARTITIONS, 1).expect("the topic is new");
    println!("kafka://{}/{TOPIC}", cluster.bootstrap_servers());
    wait_for_end_of_input();
}

/// Relays from the first URL of the environment to the others until stdin is closed, and prints what it has done.
pub(crate) fn run_relay() {
    let (config, problems) = Config::from_env();
    assert!(problems.is_empty(), "{problems:?}");
    let relay = Relay::start(&config, "load").expect("the configuration is valid");
    println!("started");
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            wait_for_end_of_input();
            stop.store(true, Ordering::Relaxed);
        });
        relay.run(&stop);
    });
    eprintln!("{:?}", relay.stats());
}

fn wait_for_end_of_input() {
    // An error ends the input as well.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
