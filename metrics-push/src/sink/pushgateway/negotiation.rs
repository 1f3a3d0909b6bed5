//! `Negotiation`: chooses the encoding for one gateway. It starts with the configured encoding and switches to plain
//! text if the gateway cannot read that encoding.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::encoding::{Body, Encoding};
use super::response::is_misread;
use crate::clock::Moment;
use crate::error::Error;
use crate::http::Response;
use crate::log;
use crate::push_request::Payload;

#[derive(Debug)]
pub(super) struct Negotiation {
    configured: Encoding,
    is_text_only: AtomicBool,
}

impl Negotiation {
    pub(super) fn new(configured: Encoding) -> Self {
        Self { configured, is_text_only: AtomicBool::new(false) }
    }

    /// Sends a request to the gateway at `url`. Sends it again as plain text if the gateway could not read the encoding.
    ///
    /// The timeout includes the time for encoding, which blocks: 100,000 series take a few milliseconds as text and
    /// less than 100 ms in any encoding.
    pub(super) async fn send<F: Future<Output = Result<Response, Error>>>(
        &self,
        payload: &Payload<'_>,
        timeout: Duration,
        url: &str,
        send: impl Fn(Body, Duration) -> F,
    ) -> Result<Response, Error> {
        let deadline = Moment::now().after(timeout);
        let body = self.encoding().encode(payload);
        let is_plain_text = body.is_plain_text();
        let response = send(body, deadline.remaining()).await?;
        if is_plain_text || !is_misread(&response) {
            return Ok(response);
        }
        let plain_text = Encoding::default().encode(payload);
        let response = send(plain_text, deadline.remaining()).await?;
        if matches!(response.status, 200..=299) {
            self.switch_to_text(url);
        }
        Ok(response)
    }

    fn encoding(&self) -> Encoding {
        if self.is_text_only.load(Ordering::Relaxed) {
            Encoding::default()
        } else {
            self.configured
        }
    }

    fn switch_to_text(&self, url: &str) {
        if !self.is_text_only.swap(true, Ordering::Relaxed) {
            log::warn(format_args!(
                "the gateway at {url} cannot read gzip or protobuf, so this process sends it plain text from now on; \
                 use Pushgateway 1.5 or newer, or unset METRICS_PUSH_GZIP and METRICS_PUSH_PROTOBUF"
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

    fn response(status: u16) -> Ready<Result<Response, Error>> {
        let body = "text format parsing error".to_owned();
        ready(Ok(Response { status, body, ..Response::default() }))
    }

    /// Sends one request. Returns for each attempt whether it was plain text, and its timeout.
    fn attempts(negotiation: &Negotiation, supports_protobuf: bool) -> Vec<(bool, Duration)> {
        let attempts = RefCell::new(Vec::new());
        let send = |body: Body, timeout| {
            attempts.borrow_mut().push((body.is_plain_text(), timeout));
            response(if supports_protobuf || body.is_plain_text() { 200 } else { 400 })
        };
        let request = request();
        let payload = Payload::from(&request);
        let sending = pin!(negotiation.send(&payload, TIMEOUT, "http://gateway", send));
        let Poll::Ready(response) = sending.poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("`send` must not be pending")
        };
        assert_eq!(response.unwrap().status, 200);
        attempts.take()
    }

    #[test]
    fn negotiation_deducts_the_encoding_from_the_timeout() {
        let attempts = attempts(&Negotiation::new(Encoding::default().protobuf()), false);
        let [(false, first), (true, second)] = attempts[..] else { panic!("{attempts:?}") };
        assert!(second < first && first < TIMEOUT, "{attempts:?}");
    }

    #[test]
    fn negotiation_sends_only_text_after_a_misread() {
        let negotiation = Negotiation::new(Encoding::default().protobuf());
        let is_text = |supports_protobuf| -> Vec<bool> {
            let attempts = attempts(&negotiation, supports_protobuf);
            attempts.into_iter().map(|(is_plain_text, _)| is_plain_text).collect()
        };
        assert_eq!(is_text(true), [false]);
        assert_eq!(is_text(false), [false, true]);
        assert_eq!(is_text(false), [true]);
    }
}
