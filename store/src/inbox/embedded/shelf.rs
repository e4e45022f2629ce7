//! One user's entries as a step changes them.
//!
//! Owns the summary of the user and the losses: what is taken away leaves a loss at its place, and losses side by side
//! become one, so that there are never more of them than entries and one. A loss reaches down to the entry before it.

use peal_proto::frame::GapReason;
use peal_proto::{CollapseKey, Offset, Partition, Position, Timestamp, UserId};

use super::Retention;
use crate::embedded::schema::{self, Collapsed, Kept, Summary};
use crate::embedded::{Fault, Stage, Table};

/// Stored entries looked at at once.
const CHUNK_ENTRIES: usize = 64;

/// One user's entries.
pub(super) struct Shelf {
    partition: Partition,
    user: UserId,
    /// As it is stored.
    stored: Option<Summary>,
    /// As it will be; `None` when nothing is left.
    summary: Option<Summary>,
}

impl Kept {
    /// What it is at some time: an entry whose time is over is lost.
    pub(super) fn at(self, now: Timestamp) -> Self {
        match self {
            Self::Entry { until, .. } if until <= now => Self::Lost(GapReason::Expired),
            Self::Entry { .. } | Self::Lost(_) => self,
        }
    }
}

fn at(offset: u64) -> Position {
    Position::at(Offset::new(offset))
}

impl Shelf {
    pub(super) fn open(stage: &Stage<'_>, partition: Partition, user: UserId) -> Result<Self, Fault> {
        let stored = stage.get(Table::Inbox, &schema::summary_key(partition, user))?;
        let stored = stored.map(|stored| Summary::decode(&stored)).transpose()?;
        Ok(Self { partition, user, stored, summary: stored })
    }

    /// Takes away what an entry of this key replaces; how many it stands for then, or `None` when it is needless itself: a newer
    /// one is there, or it is.
    pub(super) fn replace(
        &mut self,
        stage: &mut Stage<'_>,
        offset: Offset,
        collapse: &CollapseKey,
        now: Timestamp,
    ) -> Result<Option<u32>, Fault> {
        let place = schema::collapse_key(self.partition, self.user, collapse);
        let last = stage.get(Table::Inbox, &place)?.map(|stored| schema::decode_number(&stored)).transpose()?;
        let mut count = 0;
        if let Some(last) = last.map(Offset::new)
            && let Some(kept) = stage.get(Table::Inbox, &self.key(last))?.map(Kept::decode).transpose()?
            && let Kept::Entry { collapsed, value, .. } = kept.at(now)
        {
            if last >= offset {
                return Ok(None);
            }
            count = collapsed.map_or(0, |collapsed: Collapsed| collapsed.replaced) + 1;
            stage.delete(Table::Inbox, self.key(last));
            if let Some(summary) = &mut self.summary {
                summary.entries -= 1;
                summary.bytes -= value.len() as u64;
                let first = at(summary.first);
                self.find_front(stage, first)?;
            }
        }
        stage.put(Table::Inbox, place, schema::encode_number(offset.get()));
        Ok(Some(count))
    }

    /// An entry goes: its collapse key leads to it no more.
    fn forget_collapse(&self, stage: &mut Stage<'_>, offset: Offset, kept: &Kept) -> Result<(), Fault> {
        let Some(collapse) = kept.collapse() else { return Ok(()) };
        let place = schema::collapse_key(self.partition, self.user, collapse);
        let last = stage.get(Table::Inbox, &place)?.map(|stored| schema::decode_number(&stored)).transpose()?;
        if last == Some(offset.get()) {
            stage.delete(Table::Inbox, place);
        }
        Ok(())
    }

    /// Parks one entry, unless it is there already.
    pub(super) fn park(&mut self, stage: &mut Stage<'_>, offset: Offset, entry: Kept) -> Result<(), Fault> {
        let number = offset.get();
        let mut summary = self.summary.unwrap_or(Summary { first: number, newest: number, ..Summary::default() });
        if self.summary.is_some() && number <= summary.newest {
            let above =
                stage.range(Table::Inbox, schema::entries(self.partition, self.user, Position::at(offset)), 1)?;
            if let Some((key, stored)) = above.into_iter().next() {
                match Kept::decode(stored)? {
                    Kept::Entry { .. } if schema::offset_of(&key)? == offset => return Ok(()),
                    Kept::Entry { .. } => {}
                    Kept::Lost(reason) => self.keep_loss_below(stage, &mut summary, number, reason)?,
                }
            }
        }
        if summary.entries == 0 || number < summary.oldest {
            summary.oldest = number;
        }
        summary.first = summary.first.min(number);
        summary.newest = summary.newest.max(number);
        summary.entries += 1;
        summary.bytes += entry.bytes();
        stage.put(Table::Inbox, self.key(offset), entry.encode());
        self.summary = Some(summary);
        Ok(())
    }

    /// An entry is about to stand inside what a loss reaches over: what was lost below it stays told of.
    fn keep_loss_below(
        &self,
        stage: &mut Stage<'_>,
        summary: &mut Summary,
        number: u64,
        reason: GapReason,
    ) -> Result<(), Fault> {
        let Some(below) = number.checked_sub(1) else { return Ok(()) };
        let key = self.key(Offset::new(below));
        if stage.get(Table::Inbox, &key)?.is_none() {
            stage.put(Table::Inbox, key, Kept::Lost(reason).encode());
            summary.first = summary.first.min(below);
        }
        Ok(())
    }

    /// Takes the oldest away until the user is within the quota.
    pub(super) fn enforce(&mut self, stage: &mut Stage<'_>, retention: Retention, now: Timestamp) -> Result<(), Fault> {
        let within =
            |summary: &Summary| summary.entries <= retention.notifications_max && summary.bytes <= retention.bytes_max;
        let Some(mut summary) = self.summary.filter(|summary| !within(summary)) else { return Ok(()) };
        let mut lost = None;
        let mut from = at(summary.first);
        while !within(&summary) {
            let chunk = self.chunk(stage, from)?;
            if chunk.is_empty() {
                return Err(Fault::Damaged(format!("the inbox of user {} has fewer entries than counted", self.user)));
            }
            for (offset, kept) in chunk {
                if within(&summary) {
                    break;
                }
                self.forget_collapse(stage, offset, &kept)?;
                let reason = match kept {
                    Kept::Lost(reason) => reason,
                    Kept::Entry { until, .. } => {
                        summary.entries -= 1;
                        summary.bytes -= kept.bytes();
                        if until <= now { GapReason::Expired } else { GapReason::Quota }
                    }
                };
                stage.delete(Table::Inbox, self.key(offset));
                lost = Some((offset, reason));
                from = Position::behind(offset);
            }
        }
        self.summary = Some(summary);
        if let Some((offset, reason)) = lost {
            stage.put(Table::Inbox, self.key(offset), Kept::Lost(reason).encode());
            self.find_front(stage, Position::at(offset))?;
        }
        Ok(())
    }

    /// Takes everything below a position away, and forgets it.
    pub(super) fn trim(&mut self, stage: &mut Stage<'_>, below: Position) -> Result<(), Fault> {
        let Some(mut summary) = self.summary.filter(|summary| at(summary.first) < below) else { return Ok(()) };
        let mut from = at(summary.first);
        while from < below {
            let chunk = self.chunk(stage, from)?;
            from = chunk.last().map_or(below, |(offset, _)| Position::behind(*offset));
            for (offset, kept) in chunk.into_iter().take_while(|(offset, _)| below.covers(*offset)) {
                self.forget_collapse(stage, offset, &kept)?;
                summary.entries -= u32::from(matches!(kept, Kept::Entry { .. }));
                summary.bytes -= kept.bytes();
                stage.delete(Table::Inbox, self.key(offset));
            }
        }
        self.summary = Some(summary);
        self.find_front(stage, below)
    }

    /// Turns expired entries into losses.
    pub(super) fn expire(&mut self, stage: &mut Stage<'_>, now: Timestamp) -> Result<(), Fault> {
        let Some(mut summary) = self.summary else { return Ok(()) };
        let mut from = at(summary.first);
        let mut beside = None;
        loop {
            let chunk = self.chunk(stage, from)?;
            let Some((last, _)) = chunk.last() else { break };
            from = Position::behind(*last);
            for (offset, kept) in chunk {
                let (bytes, before) = (kept.bytes(), kept.clone());
                let was_entry = matches!(kept, Kept::Entry { .. });
                let Kept::Lost(reason) = kept.at(now) else {
                    beside = None;
                    continue;
                };
                if was_entry {
                    self.forget_collapse(stage, offset, &before)?;
                    summary.entries -= 1;
                    summary.bytes -= bytes;
                    stage.put(Table::Inbox, self.key(offset), Kept::Lost(reason).encode());
                }
                match beside {
                    Some((before, same)) if same == reason => stage.delete(Table::Inbox, self.key(before)),
                    Some(_) | None => {}
                }
                beside = Some((offset, reason));
            }
        }
        self.summary = Some(summary);
        self.find_front(stage, at(summary.first))
    }

    /// Writes the summary, and the user's place among the others'.
    pub(super) fn save(self, stage: &mut Stage<'_>) {
        let Self { partition, user, stored, summary } = self;
        if stored == summary {
            return;
        }
        let oldest = |summary: Option<Summary>| {
            summary.filter(|summary| summary.entries > 0).map(|summary| Offset::new(summary.oldest))
        };
        if oldest(stored) != oldest(summary) {
            if let Some(before) = oldest(stored) {
                stage.delete(Table::Inbox, schema::floor_key(partition, before, user));
            }
            if let Some(now) = oldest(summary) {
                stage.put(Table::Inbox, schema::floor_key(partition, now, user), bytes::Bytes::new());
                stage.memory.lower_floor(partition, now);
            }
        }
        let key = schema::summary_key(partition, user);
        match summary {
            Some(summary) => stage.put(Table::Inbox, key, summary.encode()),
            None => stage.delete(Table::Inbox, key),
        }
    }

    /// Finds what stands first, and the oldest entry, now that nothing is left below a position.
    fn find_front(&mut self, stage: &Stage<'_>, mut from: Position) -> Result<(), Fault> {
        let Some(mut summary) = self.summary.take() else { return Ok(()) };
        let mut first = None;
        loop {
            let chunk = self.chunk(stage, from)?;
            let Some((last, _)) = chunk.last() else { break };
            from = Position::behind(*last);
            first = first.or(chunk.first().map(|(offset, _)| offset.get()));
            if let Some((oldest, _)) = chunk.iter().find(|(_, kept)| matches!(kept, Kept::Entry { .. })) {
                summary.oldest = oldest.get();
                break;
            }
        }
        self.summary = first.map(|first| Summary { first, ..summary });
        Ok(())
    }

    fn chunk(&self, stage: &Stage<'_>, from: Position) -> Result<Vec<(Offset, Kept)>, Fault> {
        let range = schema::entries(self.partition, self.user, from);
        let pairs = stage.range(Table::Inbox, range, CHUNK_ENTRIES)?;
        pairs.into_iter().map(|(key, value)| Ok((schema::offset_of(&key)?, Kept::decode(value)?))).collect()
    }

    fn key(&self, offset: Offset) -> schema::Key {
        schema::entry_key(self.partition, self.user, offset)
    }
}
