//! What has waited on disk for the same group, and travels with what is fresh.

use std::sync::Arc;

use super::{Delivery, replay};
use crate::error::Error;
use crate::parcel::{Parcel, Verb};
use crate::spool::Spooled;

/// The parcel from disk that travels with a fresh one.
#[derive(Debug)]
pub(super) enum Waited {
    Nothing,
    /// To be compared with what the sink holds.
    Unchecked(Spooled),
    /// What is left of it, and the record it comes from.
    Checked(Option<Parcel>, Spooled),
}

impl Delivery {
    /// Finds out what of a parcel that has waited is still news.
    pub(super) async fn check_waited(&mut self) -> Result<(), Error> {
        let Waited::Unchecked(spooled) = &self.waited else { return Ok(()) };
        let spooled = spooled.clone();
        let is_replaced = self.fresh.as_ref().is_some_and(|fresh| fresh.verb() != Verb::Add);
        let news = if is_replaced {
            None
        } else if self.route.sink().adds_up() {
            // It has no newer or older.
            Some(spooled.parcel.clone())
        } else {
            match self.route.sink().group(&self.key, self.time_of_attempt()).await {
                Ok(Some(group)) => replay::what_is_news(spooled.parcel.clone(), &group),
                Ok(None) => Some(spooled.parcel.clone()),
                Err(error) if error.is_retryable() || error.is_about_credentials() => {
                    return Err(error);
                }
                // A sink that can't be asked knows no newer or older.
                Err(_) => Some(spooled.parcel.clone()),
            }
        };
        self.waited = Waited::Checked(news, spooled);
        Ok(())
    }

    /// What is to be sent: what has waited first, by the merge rule.
    pub(super) fn load(&self) -> Option<Arc<Parcel>> {
        let news = match &self.waited {
            // An outcome that travels alone has the waiting one's in it.
            Waited::Checked(news, _) if self.refused.is_none() => news.clone(),
            _ => None,
        };
        match (news, self.fresh.clone()) {
            (Some(news), Some(fresh)) => Some(Arc::new(news.then(Arc::unwrap_or_clone(fresh)))),
            (news, fresh) => fresh.or(news.map(Arc::new)),
        }
    }
}
