//! In place of `kafka`, without that feature.

pub(crate) fn run_broker() {
    panic!("the kind needs the feature \"kafka\" of metrics-push-benches");
}

pub(crate) fn run_relay() {
    run_broker();
}
