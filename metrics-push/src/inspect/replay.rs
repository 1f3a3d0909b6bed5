//! Delivers the spooled requests of a pipeline on demand.

use crate::clock::Moment;
use crate::delivery::{DeliveryClass, Receipt, Route};
use crate::dispatcher::dispatcher;
use crate::labels::GroupingKey;
use crate::oneshot::Receiver;
use crate::pipeline::Pipeline;

/// Delivers all spooled requests until the deadline and returns their receipts; `None` for a request that stays on the
/// disk without an attempt. The first request of each route shows whether its sink responds. If it does not, the others
/// are not attempted.
pub(super) fn replay_all(pipeline: &Pipeline, deadline: Moment) -> Vec<Option<Receipt>> {
    let replay = |route: &Route, key: &GroupingKey, class| {
        dispatcher().replay(route, key.clone(), deadline.remaining(), class)
    };
    let wait = |receipt: Receiver<Receipt>| receipt.wait(deadline.remaining());

    // Otherwise the first delivery would list the spooled requests again.
    let now = Moment::now();
    pipeline.all_routes().for_each(|route| _ = route.take_drain_request(now));
    let spooled: Vec<_> = pipeline.spooled_keys().collect();
    spooled.iter().for_each(|(route, keys)| route.expect_groups(keys));
    let first = |(route, keys): &(&Route, Vec<GroupingKey>)| {
        Some(replay(route, keys.first()?, DeliveryClass::Final))
    };
    let firsts: Vec<_> = spooled.iter().filter_map(first).collect();
    let mut receipts: Vec<_> = firsts.into_iter().map(wait).collect();

    let mut others = Vec::new();
    for (route, keys) in &spooled {
        for key in keys.iter().skip(1) {
            let is_attempted = !route.is_down() && !deadline.remaining().is_zero();
            if !is_attempted {
                route.request_drain();
            }
            others.push(is_attempted.then(|| replay(route, key, DeliveryClass::Spooled)));
        }
    }
    // Wait for the last receipt first, so that the earlier ones do not wake this thread one by one.
    receipts.extend(others.into_iter().rev().map(|receipt| receipt.and_then(wait)));
    receipts
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Config;
    use crate::push_request::{Families, PushRequest};

    #[test]
    fn groups_that_are_not_attempted_are_drained_later() {
        let name = format!("metrics-push-replay-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        // No server listens on this port.
        let config = Config::default().url("http://127.0.0.1:1").unwrap().state_dir(&directory);
        let pipeline = Pipeline::with_targets(&config, config.targets().unwrap()).unwrap();
        let route = pipeline.all_routes().next().unwrap();
        for job in ["first", "second"] {
            let families = Families::from([("rows".into(), "rows 1\n".into())]);
            let request = PushRequest::add(GroupingKey::new(job).unwrap(), families);
            route.spool().unwrap().store(&request).unwrap();
        }
        let receipts = replay_all(&pipeline, Moment::now().after(Duration::from_millis(300)));
        assert!(matches!(receipts[..], [Some(Receipt::Spooled { .. }), None]), "{receipts:?}");
        assert!(route.take_drain_request(Moment::now()));
        std::fs::remove_dir_all(directory).unwrap();
    }
}
