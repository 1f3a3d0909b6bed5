//! Recover: delivers what earlier processes could not, now and on request.
//!
//! Every run does this on its way, as soon as its gateway is known to be there; this is for a command or a timer that
//! does nothing else.

use std::time::Duration;

use crate::clock::Moment;
use crate::config::Deployment;
use crate::courier::courier;
use crate::delivery::Receipt;
use crate::job::recovery;
use crate::spool::Spool;

/// What became of the outcomes that waited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// How many groups have got what waited for them.
    pub delivered: usize,
    /// For how many groups something waits on.
    pub left: usize,
    /// How many runs whose process had died were reported as abandoned.
    pub abandoned: usize,
}

/// Delivers what waits in the state directory for the gateways this process is configured for, and reports runs whose
/// process died, within `budget`.
///
/// What a gateway holds that is newer stays. Several processes may do this at once, and while jobs run. Waits; inside
/// a runtime, call it where blocking is allowed.
///
/// ```
/// let recovery = metrics_push::recover(std::time::Duration::from_secs(10));
/// println!("{} delivered, {} left", recovery.delivered, recovery.left);
/// ```
pub fn recover(budget: Duration) -> Recovery {
    let deadline = Moment::now().after(budget);
    let deployment = Deployment::current();
    let of_journal = recovery::recover(&deployment, budget);
    let mut recovery =
        Recovery { abandoned: of_journal.reported, left: of_journal.left, ..Recovery::default() };
    let mut tickets = Vec::new();
    for route in &deployment.sinks {
        let keys = route.spool().map(Spool::keys).unwrap_or_default();
        tickets.extend(keys.into_iter().map(|key| courier().replay(route, key, budget)));
    }
    for ticket in tickets {
        match ticket.wait(deadline.remaining()) {
            Some(Receipt::Delivered { .. }) => recovery.delivered += 1,
            // Nobody tries it again.
            Some(Receipt::Unsure { .. }) => {}
            _ => recovery.left += 1,
        }
    }
    recovery
}
