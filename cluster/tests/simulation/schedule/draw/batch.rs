//! Draws batches: to communities and to single users, with repeats and with what is refused among them.

use std::time::Duration;

use peal_proto::{Audience, UserId};
use rand::Rng;
use rand::seq::IndexedRandom;

use super::{Draw, Step};
use crate::community::{Batch, Errand, Form, Item};

/// What is refused, for another reason each.
const WRONG: [&str; 4] = [
    r#"{"kind":"community.posted","event":"wrong","data":{"text":"for nobody"}}"#,
    r#"{"kind":"community.posted","event":"wrong","community":7,"user":1}"#,
    r#"{"kind":"Of No \"Kind\" {","event":"wrong","user":1}"#,
    r#"{"kind":"community.posted","event":"wrong","community":7,"data":[1]}"#,
];

impl Draw<'_> {
    pub(super) fn batch(&mut self, at: Duration) {
        let mut items = Vec::new();
        for _ in 0..self.rng.random_range(1..=12) {
            items.push(self.item());
        }
        if self.rng.random_bool(0.3) {
            let repeat = items.choose(&mut self.rng).unwrap().clone();
            items.insert(self.rng.random_range(0..=items.len()), repeat);
        }
        if self.rng.random_bool(0.2) {
            let wrong = *WRONG.choose(&mut self.rng).unwrap();
            items.insert(self.rng.random_range(0..=items.len()), Item::Wrong(wrong));
        }
        let batch = Batch {
            items,
            form: if self.rng.random_bool(0.5) { Form::Lines } else { Form::Array },
            pieces: *[1, 2, 7].choose(&mut self.rng).unwrap(),
            pause: Duration::from_millis(*[0, 30, 300].choose(&mut self.rng).unwrap()),
            again: self.rng.random_bool(0.1),
            attempts_max: self.attempts_max(),
        };
        self.at(at, Step::Errand(Errand::Batch(batch)));
    }

    fn item(&mut self) -> Item {
        let audience = if self.rng.random_bool(0.5) {
            Audience::Community(self.community())
        } else {
            Audience::User(self.anybody())
        };
        let bytes = *[0, 0, 50, 500].choose(&mut self.rng).unwrap();
        Item::Event { audience, event: self.event(), bytes, keep: self.keep() }
    }

    /// A user with devices for the most part; for some others there is only an inbox.
    fn anybody(&mut self) -> UserId {
        let users = &self.users;
        let of = *[&users.online, &users.online, &users.late, &users.absent].choose(&mut self.rng).unwrap();
        *of.choose(&mut self.rng).unwrap_or(&users.online[0])
    }
}
