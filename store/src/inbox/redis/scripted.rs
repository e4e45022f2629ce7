//! Parking any batch as one script, which looks, decides and writes in one step.

use super::super::{Entry, Marker, Parked};
use super::batch::Batch;
use super::{Keys, RedisInbox};
use crate::StoreError;

impl RedisInbox {
    pub(super) async fn park_scripted(&self, keys: &Keys, batch: &Batch) -> Result<Parked, StoreError> {
        let mut call = self.script(&self.park, keys);
        call.arg(batch.expected.map_or_else(String::new, |marker| marker.get().to_string())).arg(batch.next.get());
        call.arg(batch.now.millis()).arg(self.retention.notifications_max).arg(self.retention.bytes_max);
        call.arg(u8::from(batch.sweeps()));
        let users: Vec<_> = batch.users().collect();
        call.arg(users.len()).arg(users.iter().flat_map(|new| head(new)).collect::<Vec<u8>>());
        call.arg(batch.collapse_keys());
        for new in &users {
            call.arg(new[0].user.get());
        }
        for entry in batch.entries() {
            call.arg(self.id(entry.offset)).arg(batch.until(entry, &self.retention).millis()).arg(&entry.value[..]);
        }
        let (answer, detail): (String, String) = self.connection.call(&self.park, &call).await?;
        match answer.as_str() {
            "done" => Ok(Parked::Done { marker: batch.next, floor: self.floor(&detail)? }),
            "unexpected" => Ok(Parked::Unexpected { found: detail.parse().ok().map(Marker::new) }),
            _ => Err(self.fenced()),
        }
    }
}

/// What a user has in a batch, packed: how many entries and bytes, the first and the last offset.
fn head(new: &[Entry]) -> [u8; 28] {
    let bytes: usize = new.iter().map(|entry| entry.value.len()).sum();
    let last = new.len() - 1;
    let mut head = [0; 28];
    head[..4].copy_from_slice(&u32::try_from(new.len()).unwrap_or(u32::MAX).to_le_bytes());
    let numbers = [bytes as u64, new[0].offset.get(), new[last].offset.get()];
    for (place, number) in head[4..].chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    head
}
