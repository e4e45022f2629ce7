//! Asks for accounts, as a poster does who wants to know what became of its events.

use futures_util::future::join_all;
use peal_proto::EventId;
use peal_store::status::Account;

use super::Desk;

impl Desk {
    /// Once each; where there is no answer, what was said before stands.
    pub(super) async fn ask_accounts(&self, events: &[EventId]) {
        join_all(events.iter().map(|event| self.ask_account(event))).await;
    }

    async fn ask_account(&self, event: &EventId) {
        self.book.open().accounts.entry(event.clone()).or_insert(None);
        let Ok(answer) = self.ask("GET", &format!("/v1/events/{event}"), "").await else { return };
        self.book.trace(|| format!("service: the account of {event}: {} {}", answer.status, answer.body));
        let account = answer.is_success().then(|| serde_json::from_str::<Account>(&answer.body).unwrap());
        self.book.open().accounts.insert(event.clone(), account);
    }
}
