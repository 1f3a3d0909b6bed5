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
            others.push(is_attempted.then(|| replay(route, key, DeliveryClass::Spooled)));
        }
    }
    receipts.extend(others.into_iter().map(|receipt| receipt.and_then(wait)));
    receipts
}
