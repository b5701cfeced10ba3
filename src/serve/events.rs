//! The body of a streamed answer. It is dropped with the connection, and by that the engine knows that its client is gone.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Bytes, HttpBody};
use hyper::body::Frame;
use tokio::sync::mpsc::UnboundedReceiver;

use super::job::Event;
use super::refusal::Refusal;
use super::reply::Chunks;

/// Server-sent events, one after the other as the engine tells of them.
#[derive(Debug)]
pub(super) struct Events {
    from: UnboundedReceiver<Event>,
    chunks: Chunks,
    is_done: bool,
}

impl Events {
    /// The events that come `from` the engine.
    pub(super) fn new(from: UnboundedReceiver<Event>, chunks: Chunks) -> Self {
        Self { from, chunks, is_done: false }
    }
}

impl HttpBody for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        while !self.is_done {
            let event = match self.from.poll_recv(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(event)) => event,
                Poll::Ready(None) => Event::Failed(Refusal::stopping()),
            };
            let (text, is_last) = self.chunks.take(event);
            self.is_done = is_last;
            if !text.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(text.into()))));
            }
        }
        Poll::Ready(None)
    }
}
