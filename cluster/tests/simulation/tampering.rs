//! What is done to a healthy cluster to prove that the oracle notices: a store that lies once, a network that swallows a
//! frame. Each act here breaks one promise of the contract.

use std::sync::{Mutex, PoisonError};

use bytes::BytesMut;
use peal_proto::frame::{GapReason, NodeFrame, write_gap, write_notification};
use peal_proto::{Cursor, Position};

/// The device whose frames are tampered with.
const DEVICE: usize = 0;

/// An act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// The last entry of each batch is not parked, and answered as if it were.
    ForgetEntry,
    /// Commits of nodes say that everything in the log is settled.
    CommitEarly,
    /// Commits of nodes are answered and not kept.
    CommitNever,
    /// Trims drop everything that their users have.
    TrimAll,
    /// Pages hold no gaps.
    HideGaps,
    /// A slice of the fan-out holds one notification twice.
    AppendTwice,
    /// A slice of the fan-out lacks one notification.
    AppendLess,
    /// The last two notifications of a slice that are for the same user change places.
    AppendSwapped,
    /// A notification of a slice goes to a user who is no member.
    AppendUninvited,
    /// A notification of an event for one user stands twice in its slice.
    TellTwice,
    /// A part of a batch is answered as if it were in the log.
    LosePart,
    /// The first two items of a part of a batch change places.
    SwapItems,
    /// The status of an event counts one member less.
    Miscount,
    /// Receipts are answered as if they were in the log.
    LoseReceipts,
    /// Receipts stand twice in the log: which they may.
    RepeatReceipts,
    /// Receipts of what is delivered after it was parked are answered as if they were in the log.
    LoseReplayed,
    /// Receipts of what is replaced are answered as if they were in the log.
    LoseReplaced,
    /// Notifications are read without their deadlines.
    ForgetDeadlines,
    /// Every entry takes the place of the one that its user has, whatever their collapse keys.
    ReplaceOthers,
    /// Parts of accounts are answered as if they were changed.
    ForgetParts,
    /// Maps that move partitions are answered as if they were stored.
    LoseWaves,
    /// The first node hears of no map but the first.
    HideMaps,
    /// A frame does not reach its client.
    DropFrame,
    /// A frame reaches its client twice: which it may.
    RepeatFrame,
    /// A frame reaches its client again, as if it were another.
    ForgeFrame,
    /// Two frames change places.
    SwapFrames,
    /// A client is told of a gap instead of a notification.
    InventGap,
}

/// Does one act, once or whenever it can.
#[derive(Debug)]
pub(crate) struct Tamperer {
    act: Act,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Opportunities that are let pass.
    passes: u32,
    done: bool,
    /// The frame that waits for the next, to be behind it.
    kept: Option<String>,
    /// Where the last frame led.
    last: Option<Cursor>,
}

impl Tamperer {
    /// At the opportunity behind so many others.
    pub(crate) fn new(act: Act, passes: u32) -> Self {
        Self { act, state: Mutex::new(State { passes, done: false, kept: None, last: None }) }
    }

    /// Whether this is the opportunity for an act.
    pub(crate) fn strikes(&self, act: Act) -> bool {
        self.act == act && self.state.lock().unwrap_or_else(PoisonError::into_inner).strikes()
    }

    /// Whether this act is done at every opportunity.
    pub(crate) fn always(&self, act: Act) -> bool {
        let does = self.act == act;
        self.state.lock().unwrap_or_else(PoisonError::into_inner).done |= does;
        does
    }

    /// Whether it was done.
    pub(crate) fn has_struck(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).done
    }

    /// The frames that reach a device instead of this one.
    pub(crate) fn frames(&self, device: usize, text: &str) -> Vec<String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let same = vec![text.to_owned()];
        if device != DEVICE {
            return same;
        }
        let NodeFrame::Notification { cursor, replaced, notification } = NodeFrame::parse(text).unwrap() else {
            return same;
        };
        if let Some(kept) = state.kept.take() {
            return vec![text.to_owned(), kept];
        }
        let from = state.last.replace(cursor);
        let mut strikes = |act| self.act == act && state.strikes();
        if strikes(Act::DropFrame) {
            return Vec::new();
        }
        if strikes(Act::RepeatFrame) {
            return vec![text.to_owned(); 2];
        }
        if strikes(Act::ForgeFrame) {
            let next = Cursor { position: Position::behind(cursor.position.next()), ..cursor };
            return vec![
                text.to_owned(),
                written(|out| write_notification(out, next, replaced, notification.get().as_bytes())),
            ];
        }
        if strikes(Act::InventGap) {
            return vec![written(|out| write_gap(out, from.unwrap_or(cursor), cursor, GapReason::Quota))];
        }
        if strikes(Act::SwapFrames) {
            state.kept = Some(text.to_owned());
            return Vec::new();
        }
        same
    }
}

fn written(write: impl FnOnce(&mut BytesMut)) -> String {
    let mut out = BytesMut::new();
    write(&mut out);
    String::from_utf8(out.to_vec()).unwrap()
}

impl State {
    fn strikes(&mut self) -> bool {
        if self.done {
            return false;
        }
        self.done = self.passes == 0;
        self.passes = self.passes.saturating_sub(1);
        self.done
    }
}
