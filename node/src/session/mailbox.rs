//! A socket's mailbox: what its partition has put there for it to send, handed over without a lock.
//!
//! One writer, the partition's task, and one reader, the socket's. A wake-up takes everything that waits, so that many
//! frames share one write to the network. Nothing is allocated while a socket is idle. How much may wait is the core's
//! business, which counts the bytes.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use crossbeam_utils::atomic::AtomicCell;
use futures_util::task::AtomicWaker;
use peal_proto::CloseCode;

use crate::core::Frame;

/// What waits to be sent, in order.
pub(crate) type Batch = Vec<Frame>;

/// What a socket finds in its mailbox.
#[derive(Debug)]
pub(crate) enum Mail {
    /// Send these.
    Frames(Batch),
    /// Close with this code, for this reason.
    Close(CloseCode, String),
    /// Ping, or give up if nothing came since the last ping.
    Ping,
}

/// Shared by a partition and one socket.
#[derive(Default)]
pub(crate) struct Mailbox {
    waiting: AtomicCell<Option<Box<Batch>>>,
    ping: AtomicBool,
    close: OnceLock<(CloseCode, String)>,
    waker: AtomicWaker,
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("close", &self.close).finish_non_exhaustive()
    }
}

impl Mailbox {
    /// Adds frames behind those that wait. Only the partition's task calls this.
    pub(crate) fn put(&self, frames: &mut Batch) {
        let batch = match self.waiting.take() {
            Some(mut waiting) => {
                waiting.append(frames);
                waiting
            }
            None => Box::new(std::mem::take(frames)),
        };
        self.waiting.store(Some(batch));
        self.waker.wake();
    }

    /// Asks for a ping.
    pub(crate) fn ping(&self) {
        self.ping.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Asks the socket to close; the first reason stands.
    pub(crate) fn close(&self, code: CloseCode, reason: String) {
        if self.close.set((code, reason)).is_ok() {
            self.waker.wake();
        }
    }

    /// Waits for mail. Frames come before a close, so that what was sent first is written first.
    pub(crate) fn poll(&self, context: &mut Context<'_>) -> Poll<Mail> {
        self.waker.register(context.waker());
        if let Some(batch) = self.waiting.take() {
            return Poll::Ready(Mail::Frames(*batch));
        }
        self.poll_signal()
    }

    /// As [`Mailbox::poll`], but leaves frames where they are: for a socket that is writing.
    pub(crate) fn poll_only_signals(&self, context: &mut Context<'_>) -> Poll<Mail> {
        self.waker.register(context.waker());
        self.poll_signal()
    }

    fn poll_signal(&self) -> Poll<Mail> {
        if let Some((code, reason)) = self.close.get() {
            return Poll::Ready(Mail::Close(*code, reason.clone()));
        }
        if self.ping.swap(false, Ordering::AcqRel) {
            return Poll::Ready(Mail::Ping);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use peal_proto::{Cursor, Generation, Offset, Position};

    use super::*;

    fn frame(offset: u64) -> Frame {
        let cursor = Cursor { generation: Generation::new(1), position: Position::behind(Offset::new(offset)) };
        Frame::Notification { cursor, replaced: 0, value: Bytes::new() }
    }

    #[test]
    fn the_hand_over_takes_no_lock() {
        assert!(AtomicCell::<Option<Box<Batch>>>::is_lock_free());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn frames_arrive_once_and_in_order_while_both_sides_run() {
        const FRAMES: u64 = 20_000;
        let mailbox = Arc::new(Mailbox::default());
        let reader = tokio::spawn({
            let mailbox = Arc::clone(&mailbox);
            async move {
                let mut next = 0;
                while next < FRAMES {
                    let Mail::Frames(batch) = std::future::poll_fn(|context| mailbox.poll(context)).await else {
                        panic!("nothing but frames was put");
                    };
                    for got in batch {
                        assert_eq!(got, frame(next));
                        next += 1;
                    }
                }
            }
        });
        for offset in 0..FRAMES {
            mailbox.put(&mut vec![frame(offset)]);
            if offset % 64 == 0 {
                tokio::task::yield_now().await;
            }
        }
        reader.await.unwrap();
    }

    #[tokio::test]
    async fn frames_come_before_the_close_that_followed_them() {
        let mailbox = Mailbox::default();
        mailbox.put(&mut vec![frame(1)]);
        mailbox.close(CloseCode::GoingAway, "leaving".into());
        mailbox.close(CloseCode::TooSlow, "too late".into());
        let first = std::future::poll_fn(|context| mailbox.poll(context)).await;
        assert!(matches!(first, Mail::Frames(frames) if frames.len() == 1));
        let then = std::future::poll_fn(|context| mailbox.poll(context)).await;
        assert!(matches!(then, Mail::Close(CloseCode::GoingAway, _)));
    }
}
