//! The smallest job. The optional argument is the time it works, in milliseconds.

use std::time::Duration;

use metrics_push::push_job;

#[push_job(name = "one_shot")]
fn main() {
    if let Some(time) = std::env::args().nth(1) {
        std::thread::sleep(Duration::from_millis(time.parse().unwrap()));
    }
}
