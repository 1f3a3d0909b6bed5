//! `TrackedBody`: a request body that records whether the client has started to read it.
//!
//! The client's errors do not show whether a request left this machine before it timed out. hyper reads the body after it
//! has a connection and before it writes the first byte of the request, so a request whose body is unread was not sent.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use http_body::{Frame, SizeHint};
use reqwest::Body;

/// Bytes that can be shared between threads.
pub(crate) type BodyBytes = <Body as http_body::Body>::Data;

/// The body of a request, in parts that are sent one after the other. Clones share the bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestBody(Vec<BodyBytes>);

impl RequestBody {
    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(BodyBytes::len).sum()
    }
}

impl From<Vec<u8>> for RequestBody {
    fn from(bytes: Vec<u8>) -> Self {
        Self(vec![bytes.into()])
    }
}

/// The parts own their bytes, which are not copied.
impl<T: AsRef<[u8]> + Send + 'static> FromIterator<T> for RequestBody {
    fn from_iter<I: IntoIterator<Item = T>>(parts: I) -> Self {
        Self(parts.into_iter().map(BodyBytes::from_owner).collect())
    }
}

pub(super) struct TrackedBody {
    parts: std::vec::IntoIter<BodyBytes>,
    is_read: Arc<AtomicBool>,
}

impl TrackedBody {
    /// Returns the body, and a flag that is set when the client starts to read it. hyper never reads an empty body, so the
    /// flag of an empty body is set from the start.
    pub(super) fn wrap(body: RequestBody) -> (Body, Arc<AtomicBool>) {
        if body.len() == 0 {
            return (Body::default(), Arc::new(AtomicBool::new(true)));
        }
        let is_read = Arc::new(AtomicBool::new(false));
        let parts = body.0.into_iter();
        (Body::wrap(Self { parts, is_read: Arc::clone(&is_read) }), is_read)
    }
}

impl http_body::Body for TrackedBody {
    type Data = BodyBytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.is_read.store(true, Ordering::Relaxed);
        Poll::Ready(self.parts.next().map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.parts.as_slice().is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.parts.as_slice().iter().map(|part| part.len() as u64).sum())
    }
}
