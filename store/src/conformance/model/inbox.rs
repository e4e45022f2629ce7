//! Calls of the inbox, in one partition.

use std::time::Duration;

use peal_proto::frame::GapReason;
use peal_proto::{CollapseKey, Offset, Partition, Position, Timestamp, UserId};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::Stores;
use crate::inbox::{Entry, Item, Marker, PageRequest, Parked, Retention};

const PARTITION: Partition = Partition::new(1);
const START: Timestamp = Timestamp::from_millis(1_795_341_600_000);

#[derive(Debug, Clone)]
pub(super) enum InboxStep {
    /// An entry for each of the users, with one of a few collapse keys or none.
    Park {
        users: Vec<(u64, Option<u8>)>,
        expires_minutes: Option<u64>,
        twice: bool,
    },
    OfKey {
        user: u64,
        key: u8,
    },
    Trim {
        user: u64,
        back: u64,
    },
    Pages {
        user: u64,
        back: u64,
        entries_max: usize,
        bytes_max: usize,
    },
    Wait {
        minutes: u64,
    },
}

/// Which of the inbox's two ways to lose an entry a sequence meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    Quota,
    Expiry,
}

impl Loss {
    pub(super) fn retention(self) -> Retention {
        match self {
            Self::Quota => Retention { notifications_max: 5, bytes_max: 40, ttl: Duration::from_secs(1 << 30) },
            Self::Expiry => Retention { notifications_max: 10_000, bytes_max: 1 << 30, ttl: Duration::from_secs(3600) },
        }
    }
}

pub(super) fn steps(loss: Loss) -> impl Strategy<Value = InboxStep> {
    let (expires_minutes, wait_minutes) = match loss {
        Loss::Quota => (Just(None).boxed(), 0..1_u64),
        Loss::Expiry => (proptest::option::of(1..90_u64).boxed(), 1..40_u64),
    };
    let user = (0..3_u64, prop_oneof![3 => Just(None), 2 => (0..2_u8).prop_map(Some)]);
    let park = (vec(user, 1..8), expires_minutes, any::<bool>());
    let pages = (0..3_u64, 0..20_u64, 1..5_usize, 1..40_usize);
    prop_oneof![
        3 => park.prop_map(|(users, expires_minutes, twice)| InboxStep::Park { users, expires_minutes, twice }),
        1 => (0..3_u64, 0..2_u8).prop_map(|(user, key)| InboxStep::OfKey { user, key }),
        1 => (0..3_u64, 0..20_u64).prop_map(|(user, back)| InboxStep::Trim { user, back }),
        3 => pages.prop_map(|(user, back, entries_max, bytes_max)| {
            InboxStep::Pages { user, back, entries_max, bytes_max }
        }),
        1 => wait_minutes.prop_map(|minutes| InboxStep::Wait { minutes }),
    ]
}

fn collapse(key: u8) -> CollapseKey {
    format!("k{key}").parse().unwrap()
}

/// What was parked so far.
pub(super) struct InboxCaller {
    marker: Option<Marker>,
    /// The last offset parked.
    offset: u64,
    now: Timestamp,
    /// Whether anything may be expired by now.
    expires: bool,
}

impl Default for InboxCaller {
    fn default() -> Self {
        Self { marker: None, offset: 0, now: START, expires: false }
    }
}

/// One item of a page, without where exactly a gap ends.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Notification(u64, u32, String),
    Gap(GapReason),
}

impl InboxCaller {
    pub(super) async fn call(&mut self, stores: &Stores, step: &InboxStep) -> String {
        match *step {
            InboxStep::Park { ref users, expires_minutes, twice } => {
                let entries = self.entries(users, expires_minutes);
                if twice {
                    self.park(stores, entries.clone()).await;
                }
                let floor = self.park(stores, entries).await;
                // Whether an expired entry holds the floor until it is swept is not promised.
                if self.expires { String::new() } else { format!("{floor:?}") }
            }
            InboxStep::OfKey { user, key } => {
                let keys = vec![(UserId::new(user).unwrap(), collapse(key))];
                format!("{:?}", stores.inbox.of_keys(PARTITION, keys, self.now).await.unwrap())
            }
            InboxStep::Trim { user, back } => {
                let trims = vec![(UserId::new(user).unwrap(), self.back(back))];
                let floor = stores.inbox.trim(PARTITION, trims).await.unwrap();
                if self.expires { String::new() } else { format!("{floor:?}") }
            }
            InboxStep::Pages { user, back, entries_max, bytes_max } => {
                let (user, from) = (UserId::new(user).unwrap(), self.back(back));
                let request = PageRequest { user, from, entries_max, bytes_max };
                format!("{:?}", self.pages(stores, request).await)
            }
            InboxStep::Wait { minutes } => {
                self.expires |= minutes > 0; // by the time to live
                self.now = self.now.after(Duration::from_secs(60 * minutes));
                String::new()
            }
        }
    }

    /// The position so far behind the last offset parked.
    fn back(&self, offsets: u64) -> Position {
        Position::at(Offset::new(self.offset.saturating_sub(offsets)))
    }

    fn entries(&mut self, users: &[(u64, Option<u8>)], expires_minutes: Option<u64>) -> Vec<Entry> {
        // Half a minute off, so that nothing expires at the very moment of a call.
        let expires = expires_minutes.map(|minutes| self.now.after(Duration::from_secs(60 * minutes - 30)));
        self.expires |= expires.is_some();
        let entry = |(user, key): &(u64, Option<u8>)| {
            self.offset += 1;
            let value = format!("{user}@{}", self.offset).into();
            Entry {
                user: UserId::new(*user).unwrap(),
                offset: Offset::new(self.offset),
                expires,
                collapse: key.map(collapse),
                value,
            }
        };
        users.iter().map(entry).collect()
    }

    async fn park(&mut self, stores: &Stores, entries: Vec<Entry>) -> Option<Offset> {
        let next = self.marker.map_or(Marker::new(1), Marker::next);
        match stores.inbox.park(PARTITION, self.marker, next, entries, self.now).await.unwrap() {
            Parked::Done { marker, floor } => {
                assert_eq!(marker, next);
                self.marker = Some(next);
                floor
            }
            Parked::Unexpected { found } => panic!("the marker is {found:?} instead of {:?}", self.marker),
        }
    }

    async fn pages(&self, stores: &Stores, mut request: PageRequest) -> Vec<Told> {
        let mut told = Vec::new();
        loop {
            let pages = stores.inbox.pages(PARTITION, vec![request], self.now).await.unwrap();
            for item in &pages[0].items {
                let (next, behind) = match item {
                    Item::Notification { offset, replaced, value } => {
                        let text = String::from_utf8(value.to_vec()).unwrap();
                        (Told::Notification(offset.get(), *replaced, text), Position::behind(*offset))
                    }
                    Item::Gap { to, reason } => (Told::Gap(*reason), *to),
                };
                request.from = behind;
                if !(matches!(next, Told::Gap(_)) && told.last() == Some(&next)) {
                    told.push(next);
                }
            }
            if pages[0].end {
                return told;
            }
        }
    }
}
