//! Dialect: in what form a gateway is sent its requests: as is wanted, until it turns out to read nothing but plain text.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::answer::is_misread;
use super::wire::{Body, Wire};
use crate::clock::Moment;
use crate::error::Error;
use crate::http::Response;
use crate::log;
use crate::push_request::Payload;

#[derive(Debug)]
pub(super) struct Dialect {
    wanted: Wire,
    reads_plain_only: AtomicBool,
}

impl Dialect {
    pub(super) fn new(wanted: Wire) -> Self {
        Self { wanted, reads_plain_only: AtomicBool::new(false) }
    }

    /// Has a request sent to the gateway at `url` as it is wanted; and once more as plain text, if it doesn't read that.
    ///
    /// Encoding is part of the time. It can't be cut short, and nothing else is sent meanwhile: of 100,000 series it takes
    /// some milliseconds as text, and less than a tenth of a second in any form.
    pub(super) async fn send<F: Future<Output = Result<Response, Error>>>(
        &self,
        payload: &Payload<'_>,
        timeout: Duration,
        url: &str,
        send: impl Fn(Body, Duration) -> F,
    ) -> Result<Response, Error> {
        let until = Moment::now().after(timeout);
        let body = self.wire().encode(payload);
        let is_plain = body.is_plain();
        let reply = send(body, until.remaining()).await?;
        if is_plain || !is_misread(&reply) {
            return Ok(reply);
        }
        let plain = Wire::default().encode(payload);
        let reply = send(plain, until.remaining()).await?;
        if matches!(reply.status, 200..=299) {
            self.keep_to_plain(url);
        }
        Ok(reply)
    }

    fn wire(&self) -> Wire {
        let is_plain = self.reads_plain_only.load(Ordering::Relaxed);
        if is_plain { Wire::default() } else { self.wanted }
    }

    fn keep_to_plain(&self, url: &str) {
        if !self.reads_plain_only.swap(true, Ordering::Relaxed) {
            log::warn(format_args!(
                "the gateway at {url} reads neither gzip nor protobuf, or not both: from now on it is sent plain text; \
                 a Pushgateway reads them from version 1.5 on"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::{Ready, ready};
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::labels::GroupingKey;
    use crate::push_request::{Families, PushRequest};

    const TIMEOUT: Duration = Duration::from_secs(60);

    fn request() -> PushRequest {
        let families = Families::from([("x".to_owned(), "# TYPE x gauge\nx 1\n".to_owned())]);
        PushRequest::push(GroupingKey::new("job").unwrap(), families)
    }

    fn reply(status: u16) -> Ready<Result<Response, Error>> {
        let body = "text format parsing error".to_owned();
        ready(Ok(Response { status, location: None, retry_after: None, body }))
    }

    /// What is sent of one request, and the time it is given, to a gateway that reads protobuf or doesn't.
    fn sent(dialect: &Dialect, reads_protobuf: bool) -> Vec<(bool, Duration)> {
        let sent = RefCell::new(Vec::new());
        let send = |body: Body, timeout| {
            sent.borrow_mut().push((body.is_plain(), timeout));
            reply(if reads_protobuf || body.is_plain() { 200 } else { 400 })
        };
        let request = request();
        let payload = Payload::from(&request);
        let whole = pin!(dialect.send(&payload, TIMEOUT, "http://gateway", send));
        let Poll::Ready(reply) = whole.poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("nothing in it waits")
        };
        assert_eq!(reply.unwrap().status, 200);
        sent.take()
    }

    #[test]
    fn encoding_is_part_of_an_attempts_time() {
        let times = sent(&Dialect::new(Wire::default().protobuf()), false);
        let [(false, first), (true, second)] = times[..] else { panic!("{times:?}") };
        assert!(second < first && first < TIMEOUT, "{times:?}");
    }

    #[test]
    fn a_gateway_that_reads_plain_text_alone_is_sent_nothing_else_from_then_on() {
        let dialect = Dialect::new(Wire::default().protobuf());
        let forms = |sent: Vec<(bool, Duration)>| sent.into_iter().map(|(is_plain, _)| is_plain);
        assert!(forms(sent(&dialect, true)).eq([false]));
        assert!(forms(sent(&dialect, false)).eq([false, true]));
        assert!(forms(sent(&dialect, false)).eq([true]));
    }
}
