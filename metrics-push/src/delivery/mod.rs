//! Delivery: getting one parcel accepted, within its time; the receipt says what became of it.

use crate::clock::Moment;
use crate::error::{Error, Kind};
use crate::parcel::Parcel;
use crate::sink::{Acceptance, Sink};

/// What became of a parcel.
#[derive(Clone, Debug)]
pub(crate) enum Receipt {
    /// The sink has taken it.
    Delivered(Acceptance),
    /// It is gone, and this is why.
    Dropped(Error),
}

impl Receipt {
    /// The receipt as a result.
    ///
    /// # Errors
    /// Why the parcel was not delivered.
    pub(crate) fn into_result(self) -> Result<Acceptance, Error> {
        match self {
            Self::Delivered(acceptance) => Ok(acceptance),
            Self::Dropped(error) => Err(error),
        }
    }
}

/// Delivers `parcel`, if it can be done until `deadline`.
pub(crate) async fn deliver(sink: &Sink, parcel: &Parcel, deadline: Moment) -> Receipt {
    let time_left = deadline.remaining();
    if time_left.is_zero() {
        return Receipt::Dropped(
            Error::new(Kind::Timeout, "the time for the push was over before it could be sent")
                .at("url", sink)
                .at("group", parcel.key()),
        );
    }
    match sink.send(parcel, time_left).await {
        Ok(acceptance) => Receipt::Delivered(acceptance),
        Err(error) => Receipt::Dropped(error),
    }
}
