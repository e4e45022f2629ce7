//! Cuts a torn tail off the engine's newest journal, before the engine reads it.
//!
//! A machine that loses power while a batch is being written leaves any part of that batch behind. The engine (fjall 3.1)
//! discards a batch that ends too early by itself, but refuses to open when the batch has an end that does not fit; so the
//! journal is read here first, batch by batch, and cut before the first that is not whole. Nothing is cut that was
//! answered: an answered batch was synced with all before it. When whole batches follow a broken one, then what is broken
//! may have been answered; [`Cut::followed`] says so, and a copy of the journal is kept, as it is of one cut to nothing.
//!
//! A batch is `1` items 4 · sequence 8, then items `2` type 1 · compression 1 · keyspace 8 · key length 2 · length 4 ·
//! stored length 4 · key · value or `4` keyspace 8, then `3` XXH3-64 of the items 8 · `FJL` 3; all little-endian.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use bytes::Buf;
use xxhash_rust::xxh3::Xxh3;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
/// What the room reserved for a journal, 64 MiB, is compared with.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
const TRAILER: [u8; 4] = *b"FJL\x03";

/// What was cut.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// The journal.
    pub(crate) journal: PathBuf,
    /// Where it ends now.
    pub(crate) at: u64,
    /// Whether a whole batch stood behind the broken one.
    pub(crate) followed: bool,
}

/// What stands at a place of a journal.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// A whole batch, which ends here.
    Batch { end: u64 },
    /// The end of what was written; only the zeros of the room reserved follow.
    Nothing,
    /// Neither.
    Broken,
}

/// Cuts the newest journal in a directory of the engine, if it has to be cut.
pub(crate) fn cut_torn_tail(directory: &Path) -> io::Result<Option<Cut>> {
    let Some(path) = newest(directory)? else { return Ok(None) };
    let mut journal = Journal::open(&path)?;
    let mut at = 0;
    loop {
        match journal.find(at)? {
            Found::Batch { end } => at = end,
            Found::Nothing => return Ok(None),
            Found::Broken => break,
        }
    }
    let followed = journal.has_batch_behind(at)?;
    if followed || at == 0 {
        std::fs::copy(&path, path.with_extension(format!("broken-at-{at}")))?;
    }
    let file = OpenOptions::new().write(true).open(&path)?;
    file.set_len(at)?;
    file.sync_all()?;
    Ok(Some(Cut { journal: path, at, followed }))
}

fn newest(directory: &Path) -> io::Result<Option<PathBuf>> {
    let mut newest: Option<(u64, PathBuf)> = None;
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let is_journal = path.extension().is_some_and(|extension| extension == "jnl");
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok()).filter(|_| is_journal);
        newest = newest.max(number.map(|number| (number, path)));
    }
    Ok(newest.map(|(_, path)| path))
}

struct Journal {
    reader: BufReader<File>,
    length: u64,
    at: u64,
}

impl Journal {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok(Self { reader: BufReader::with_capacity(64 * 1024, file), length, at: 0 })
    }

    fn seek(&mut self, at: u64) -> io::Result<()> {
        self.reader.seek_relative(at.cast_signed().wrapping_sub(self.at.cast_signed()))?;
        self.at = at;
        Ok(())
    }

    /// So many bytes, or `None` beyond the end.
    fn take(&mut self, count: u64, out: &mut Vec<u8>) -> io::Result<Option<()>> {
        out.clear();
        if count > self.length - self.at {
            return Ok(None);
        }
        Read::by_ref(&mut self.reader).take(count).read_to_end(out)?;
        self.at += count;
        Ok(Some(()))
    }

    fn find(&mut self, at: u64) -> io::Result<Found> {
        self.seek(at)?;
        match self.batch()? {
            Some(()) => Ok(Found::Batch { end: self.at }),
            None if self.is_zero_from(at)? => Ok(Found::Nothing),
            None => Ok(Found::Broken),
        }
    }

    /// Reads one whole batch; `None` when it is not one.
    fn batch(&mut self) -> io::Result<Option<()>> {
        let mut bytes = Vec::new();
        let Some(()) = self.take(13, &mut bytes)? else { return Ok(None) };
        let mut start = &bytes[..];
        if start.get_u8() != START {
            return Ok(None);
        }
        let mut hash = Xxh3::new();
        for _ in 0..start.get_u32_le() {
            let Some(()) = self.item(&mut hash, &mut bytes)? else { return Ok(None) };
        }
        let Some(()) = self.take(13, &mut bytes)? else { return Ok(None) };
        let mut end = &bytes[..];
        let whole = end.get_u8() == END && end.get_u64_le() == hash.digest() && end == TRAILER;
        Ok(whole.then_some(()))
    }

    fn item(&mut self, hash: &mut Xxh3, bytes: &mut Vec<u8>) -> io::Result<Option<()>> {
        let Some(()) = self.take(9, bytes)? else { return Ok(None) };
        hash.update(bytes);
        let tag = bytes[0];
        if tag == CLEAR {
            return Ok(Some(()));
        }
        let Some(()) = self.take(12, bytes)? else { return Ok(None) };
        hash.update(bytes);
        let mut lengths = &bytes[2..];
        let key = u64::from(lengths.get_u16_le());
        lengths.advance(4);
        let value = u64::from(lengths.get_u32_le());
        if tag != ITEM {
            return Ok(None);
        }
        let Some(()) = self.take(key + value, bytes)? else { return Ok(None) };
        hash.update(bytes);
        Ok(Some(()))
    }

    fn is_zero_from(&mut self, at: u64) -> io::Result<bool> {
        self.seek(at)?;
        let mut bytes = Vec::new();
        loop {
            let count = (self.length - self.at).min(ZEROS.len() as u64);
            if count == 0 {
                return Ok(true);
            }
            self.take(count, &mut bytes)?;
            if !ZEROS.starts_with(&bytes) {
                return Ok(false);
            }
        }
    }

    /// Whether a whole batch begins behind one of the trailers that stand behind `at`.
    fn has_batch_behind(&mut self, mut at: u64) -> io::Result<bool> {
        let mut bytes = Vec::new();
        while at < self.length {
            self.seek(at)?;
            self.take((self.length - at).min(ZEROS.len() as u64), &mut bytes)?;
            let trailers = bytes.windows(TRAILER.len()).enumerate().filter(|(_, window)| *window == TRAILER);
            let places: Vec<_> = if ZEROS.starts_with(&bytes) { Vec::new() } else { trailers.collect() };
            for (place, _) in places {
                if matches!(self.find(at + (place + TRAILER.len()) as u64)?, Found::Batch { .. }) {
                    return Ok(true);
                }
            }
            at += bytes.len().saturating_sub(TRAILER.len() - 1).max(1) as u64; // a trailer may stand across
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fjall::{Database, KeyspaceCreateOptions, PersistMode};

    /// A database with three batches, closed; its newest journal and where each batch ends.
    fn written(directory: &Path) -> (PathBuf, Vec<u64>) {
        let database = Database::builder(directory).journal_compression(fjall::CompressionType::None).open().unwrap();
        let keyspace = database.keyspace("k", KeyspaceCreateOptions::default).unwrap();
        for batch in 0..3_u8 {
            let mut items = database.batch().durability(Some(PersistMode::SyncData));
            for item in 0..5_u8 {
                items.insert(&keyspace, [batch, item], vec![item; 3_000]);
            }
            items.remove(&keyspace, [batch, 99]);
            items.commit().unwrap();
        }
        drop((keyspace, database));
        let path = newest(directory).unwrap().unwrap();
        let mut journal = Journal::open(&path).unwrap();
        let mut ends = Vec::new();
        while let Found::Batch { end } = journal.find(ends.last().copied().unwrap_or_default()).unwrap() {
            ends.push(end);
        }
        (path, ends)
    }

    fn batches_after_opening(directory: &Path) -> usize {
        let database = Database::builder(directory).open().unwrap();
        let keyspace = database.keyspace("k", KeyspaceCreateOptions::default).unwrap();
        assert_eq!(keyspace.len().unwrap() % 5, 0, "half a batch");
        keyspace.len().unwrap() / 5
    }

    fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
        use std::os::unix::fs::FileExt;
        OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, at).unwrap();
    }

    #[test]
    fn a_journal_in_order_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let (_, ends) = written(directory.path());
        assert_eq!(ends.len(), 3);
        assert_eq!(cut_torn_tail(directory.path()).unwrap(), None);
        assert_eq!(batches_after_opening(directory.path()), 3);
    }

    #[test]
    fn a_last_batch_that_does_not_fit_its_checksum_is_cut() {
        for back in [1, 5, 14, 2_000, 15_000] {
            let directory = tempfile::tempdir().unwrap();
            let (journal, ends) = written(directory.path());
            overwrite(&journal, ends[2] - back, &[0xA5]);
            let cut = cut_torn_tail(directory.path()).unwrap();
            assert_eq!(cut, Some(Cut { journal, at: ends[1], followed: false }), "{back} from the end");
            assert_eq!(batches_after_opening(directory.path()), 2);
        }
    }

    #[test]
    fn a_page_that_was_never_written_is_cut_with_its_batch() {
        let directory = tempfile::tempdir().unwrap();
        let (journal, ends) = written(directory.path());
        overwrite(&journal, ends[1], &[0; 4_096]);
        let cut = cut_torn_tail(directory.path()).unwrap();
        assert_eq!(cut, Some(Cut { journal, at: ends[1], followed: false }));
        assert_eq!(batches_after_opening(directory.path()), 2);
    }

    #[test]
    fn a_broken_batch_that_whole_ones_follow_is_told_and_kept_for_a_person() {
        let directory = tempfile::tempdir().unwrap();
        let (journal, ends) = written(directory.path());
        overwrite(&journal, ends[0] + 700, &[0xA5]);
        let cut = cut_torn_tail(directory.path()).unwrap();
        let kept = journal.with_extension(format!("broken-at-{}", ends[0]));
        assert_eq!(cut, Some(Cut { journal, at: ends[0], followed: true }));
        assert!(kept.exists());
        assert_eq!(batches_after_opening(directory.path()), 1);
    }
}
