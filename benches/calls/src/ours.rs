//! Functions with our attributes.

use metrics_push::{counted, timed};

use crate::by_hand::{Output, bare, bare_async, service};

#[inline]
#[counted]
pub(crate) fn counter(number: u64) -> Output {
    bare(number)
}

#[inline]
#[timed]
pub(crate) fn time(number: u64) -> Output {
    bare(number)
}

#[inline]
#[counted]
#[timed]
pub(crate) fn both(number: u64) -> Output {
    bare(number)
}

#[inline]
#[counted(name = "our_labelled_total", labels(service = service(number)))]
pub(crate) fn counter_by_label(number: u64) -> Output {
    bare(number)
}

#[inline]
#[counted(name = "our_labelled_both_total", labels(service = service(number)))]
#[timed(name = "our_labelled_both_seconds", labels(service = service(number)))]
pub(crate) fn both_by_label(number: u64) -> Output {
    bare(number)
}

#[inline]
#[counted]
pub(crate) async fn counter_async(number: u64) -> Output {
    bare_async(number).await
}

#[inline]
#[timed]
pub(crate) async fn time_async(number: u64) -> Output {
    bare_async(number).await
}

#[inline]
#[counted]
#[timed]
pub(crate) async fn both_async(number: u64) -> Output {
    bare_async(number).await
}

#[inline]
#[counted(name = "our_labelled_async_total", labels(service = service(number)))]
#[timed(name = "our_labelled_async_seconds", labels(service = service(number)))]
pub(crate) async fn both_by_label_async(number: u64) -> Output {
    bare_async(number).await
}
