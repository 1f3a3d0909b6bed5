//! `TrackedBody`: a request body that records whether the client has started to read it.
//!
//! The client's errors do not show whether a request left this machine before it timed out. hyper reads the body after it
//! has a connection and before it writes the first byte of the request, so a request whose body is unread was not sent.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use http_body::{Frame, SizeHint};
use reqwest::Body;

/// The bytes of a body. Clones share them.
pub(crate) type BodyBytes = <Body as http_body::Body>::Data;

pub(super) struct TrackedBody {
    body: Body,
    is_read: Arc<AtomicBool>,
}

impl TrackedBody {
    /// Returns the body, and a flag that is set when the client starts to read it. hyper never reads an empty body, so the
    /// flag of an empty body is set from the start.
    pub(super) fn wrap(bytes: BodyBytes) -> (Body, Arc<AtomicBool>) {
        if bytes.is_empty() {
            return (Body::from(bytes), Arc::new(AtomicBool::new(true)));
        }
        let is_read = Arc::new(AtomicBool::new(false));
        (Body::wrap(Self { body: Body::from(bytes), is_read: Arc::clone(&is_read) }), is_read)
    }
}

impl http_body::Body for TrackedBody {
    type Data = BodyBytes;
    type Error = reqwest::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.is_read.store(true, Ordering::Relaxed);
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
