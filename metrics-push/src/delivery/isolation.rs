//! Isolation: a metric of the program that is refused must not keep the outcome from being known, nor harm others.

use std::sync::Arc;

use super::Delivery;
use crate::error::Error;
use crate::notice;
use crate::parcel::Parcel;
use crate::sink::Acceptance;

/// Whether the sink has understood the request, and does not want these metrics.
pub(super) fn is_about_metrics(error: &Error) -> bool {
    matches!(error.status(), Some(400 | 413 | 422)) && error.is_rejected()
}

impl Delivery {
    /// Sends what tells the outcome again, alone: a metric of the program must not keep it from being known.
    pub(super) async fn isolate(
        &mut self,
        parcel: &Parcel,
        refused: Error,
    ) -> Result<Acceptance, Error> {
        let Some(alone) = parcel.outcome_alone() else {
            self.remove_ghost().await;
            return Err(refused);
        };
        let alone = Arc::new(alone);
        self.fresh = Some(Arc::clone(&alone));
        self.refused = Some(refused);
        let answer = self.send(&alone).await;
        if answer.as_ref().is_err_and(is_about_metrics) {
            self.remove_ghost().await;
        }
        answer
    }

    /// A first push that is refused leaves a group behind that can make the gateway refuse everybody's.
    async fn remove_ghost(&self) {
        match self.route.sink().remove_ghost(&self.key, self.time_of_attempt()).await {
            Ok(true) => notice::debug(format_args!(
                "the empty group that the refused push left behind is removed: {}",
                self.key
            )),
            Ok(false) => {}
            Err(error) => notice::debug(format_args!("{error:?}; an empty group may be left")),
        }
    }
}
