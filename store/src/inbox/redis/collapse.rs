//! Which entry a user has of a collapse key: where it stands is looked up first, and then what stands there.

use bytes::Bytes;
use peal_proto::{CollapseKey, Offset, Timestamp, UserId};
use redis::Value;

use super::page::{Stored, stored};
use super::{Keys, RedisInbox};
use crate::StoreError;

impl RedisInbox {
    /// The entries of these keys that have not expired. What is trimmed between the two looks is not there.
    pub(super) async fn look_for(
        &self,
        keys: &Keys,
        wanted: &[(UserId, CollapseKey)],
        now: Timestamp,
    ) -> Result<Vec<Option<(Offset, Bytes)>>, StoreError> {
        let mut places = redis::pipe();
        for (user, key) in wanted {
            places.cmd("HGET").arg(keys.collapse(*user)).arg(key.as_str());
        }
        let mut found = vec![None; wanted.len()];
        let (mut entries, mut looked) = (redis::pipe(), Vec::new());
        for (number, place) in self.all(&places, wanted.len()).await?.into_iter().enumerate() {
            let Value::BulkString(id) = place else { continue };
            if !self.is_of_this_log(&id) {
                continue;
            }
            entries.cmd("XRANGE").arg(keys.stream(wanted[number].0)).arg(&id).arg(&id);
            looked.push(number);
        }
        for (number, answer) in looked.iter().zip(self.all(&entries, looked.len()).await?) {
            let Value::Array(mut entry) = answer else { continue };
            let Some(entry) = entry.pop() else { continue };
            let Some(Stored { offset, until, value, .. }) = stored(entry) else {
                return Err(self.connection.damaged(format!("an entry of user {} can't be read", wanted[*number].0)));
            };
            found[*number] = (until > now).then_some((offset, value));
        }
        Ok(found)
    }

    async fn all(&self, commands: &redis::Pipeline, count: usize) -> Result<Vec<Value>, StoreError> {
        if count == 0 { Ok(Vec::new()) } else { self.connection.run_all(commands).await }
    }

    fn is_of_this_log(&self, id: &[u8]) -> bool {
        let generation = id.split(|byte| *byte == b'-').next();
        generation == Some(self.generation.to_string().as_bytes())
    }
}
