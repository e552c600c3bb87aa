//! How long a connection may wait for its next request, apart from how long that may take to arrive.
//!
//! A balancer keeps connections open between requests and takes one whenever it likes: whoever closes first loses a request, so the
//! server has to wait for longer than the balancer. The library has one time for both, and a client that sends a head byte by byte
//! should not get the longer one. So: the first head has the head's time from the start, as has every other one from its first
//! byte; between an answer and that byte the connection is idle. What the library has read before that answer is not seen here: of
//! a head that began then the time begins with its next byte.
//!
//! A time that is over looks to the library like a client that has closed: between requests it closes in order. Bytes that are
//! there are read before the clock is looked at, so a request that has arrived is answered.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::http::admission::connections::Seat;

/// A connection that ends when nothing comes for too long.
pub(super) struct Patient<S> {
    stream: S,
    answers: Arc<Answers>,
    header: Duration,
    idle: Duration,
    /// Answers that had been given when the present wait began.
    seen: u64,
    /// True from a head's first byte.
    in_head: bool,
    timer: Pin<Box<Sleep>>,
}

/// What the service tells the connection.
#[derive(Debug, Default)]
pub(super) struct Answers {
    in_progress: AtomicBool,
    given: AtomicU64,
}

/// A request in progress, until its answer is written or given up.
pub(super) struct InProgress {
    answers: Arc<Answers>,
    seat: Seat,
}

/// An answer's body, and what its end is to be told to.
pub(super) struct Tracked {
    body: Body,
    _in_progress: InProgress,
}

impl<S> Patient<S> {
    /// The head's time begins now.
    pub fn new(stream: S, header: Duration, idle: Duration) -> Self {
        let timer = Box::pin(tokio::time::sleep(header));
        Self { stream, answers: Arc::default(), header, idle, seen: 0, in_head: true, timer }
    }

    /// For the service.
    pub fn answers(&self) -> Arc<Answers> {
        Arc::clone(&self.answers)
    }

    fn wait(&mut self, time: Duration) {
        self.timer.as_mut().reset(Instant::now() + time);
    }

    /// After an answer a new wait begins.
    fn notice_answers(&mut self) {
        let given = self.answers.given.load(Ordering::Acquire);
        if given != self.seen {
            (self.seen, self.in_head) = (given, false);
            self.wait(self.idle);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if self.answers.in_progress.load(Ordering::Acquire) {
            // A body, or a look whether the client is still there: these have times of their own.
            return read;
        }
        self.notice_answers();
        match read {
            Poll::Pending => self.timer.as_mut().poll(context).map(Ok),
            Poll::Ready(Ok(())) if buffer.filled().len() > before && !self.in_head => {
                let header = self.header;
                self.in_head = true;
                self.wait(header);
                read
            }
            Poll::Ready(_) => read,
        }
    }
}

impl<S: AsyncWrite + Unpin> Patient<S> {
    /// An answer that is still being taken has a time of its own: idleness begins with its last byte.
    fn wrote(&mut self, written: &Poll<io::Result<usize>>) {
        if !self.in_head && matches!(written, Poll::Ready(Ok(_))) {
            self.wait(self.idle);
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Answers {
    /// A request has arrived.
    pub fn begin(self: &Arc<Self>, seat: Seat) -> InProgress {
        self.in_progress.store(true, Ordering::Release);
        seat.works();
        InProgress { answers: Arc::clone(self), seat }
    }
}

impl InProgress {
    /// It is in progress for as long as its answer has something to send.
    pub fn until_sent(self, response: Response) -> axum::http::Response<Tracked> {
        response.map(|body| Tracked { body, _in_progress: self })
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.answers.given.fetch_add(1, Ordering::Release);
        self.answers.in_progress.store(false, Ordering::Release);
        self.seat.rests();
    }
}

impl HttpBody for Tracked {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn what_has_arrived_is_read_though_the_time_is_over() {
        let (mut client, server) = duplex(64);
        let mut patient = Patient::new(server, Duration::ZERO, Duration::ZERO);
        tokio::time::sleep(Duration::from_millis(1)).await;
        client.write_all(b"GET").await.unwrap();
        let mut bytes = [0; 8];
        assert_eq!(patient.read(&mut bytes).await.unwrap(), 3);
        assert_eq!(patient.read(&mut bytes).await.unwrap(), 0, "as if the client had closed");
    }
}
