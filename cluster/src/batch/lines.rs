//! The lines of a file or of stdin, each an item, one at a time; no line takes more memory than an item may have.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use bytes::{Buf, Bytes};
use peal_proto::limits::EVENT_BYTES_MAX;
use peal_serve::Pieces;
use tokio::sync::mpsc;

use crate::limits::{INPUT_BYTES_READ, INPUT_READS_AHEAD};
use crate::output::{self, printable};

/// A line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// From 1.
    pub(super) number: u64,
    /// What it holds, without blanks at its ends.
    pub(super) item: Bytes,
}

impl Line {
    /// One that nobody wrote.
    pub(super) const EMPTY: Self = Self { number: 0, item: Bytes::new() };
}

/// Cuts lines. Those that can't be sent are told of and counted.
pub(super) struct Lines {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    /// Not looked at yet.
    chunk: Bytes,
    /// The begun line's earlier bytes.
    begun: Pieces,
    /// Of the last line.
    number: u64,
    unfit: u64,
}

impl Lines {
    /// Of this file, or of stdin if it is called `-`.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        if path == Path::new("-") { Ok(Self::read(io::stdin())) } else { Ok(Self::read(File::open(path)?)) }
    }

    /// A thread reads, which ends with the process: a read of stdin can't be called back.
    fn read(mut from: impl Read + Send + 'static) -> Self {
        let (chunks, receiver) = mpsc::channel(INPUT_READS_AHEAD);
        std::thread::spawn(move || {
            let mut buffer = vec![0; INPUT_BYTES_READ];
            loop {
                let read = match from.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(bytes) => Ok(Bytes::copy_from_slice(&buffer[..bytes])),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
                let failed = read.is_err();
                if chunks.blocking_send(read).is_err() || failed {
                    return;
                }
            }
        });
        Self { chunks: receiver, chunk: Bytes::new(), begun: Pieces::new(EVENT_BYTES_MAX), number: 0, unfit: 0 }
    }

    /// Of the last line that was read.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// How many lines could not be sent.
    pub(super) fn unfit(&self) -> u64 {
        self.unfit
    }

    /// The next line that is not empty, `None` behind the last. Cancel safe.
    pub(super) async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            while let Some(end) = self.chunk.iter().position(|byte| *byte == b'\n') {
                let last = self.chunk.split_to(end);
                self.chunk.advance(1);
                if let Some(line) = self.finish(&last) {
                    return Ok(Some(line));
                }
            }
            let rest = std::mem::take(&mut self.chunk);
            self.begun.keep(&rest);
            match self.chunks.recv().await {
                Some(chunk) => self.chunk = chunk?,
                None if self.begun.is_empty() => return Ok(None),
                None => {
                    if let Some(line) = self.finish(&Bytes::new()) {
                        return Ok(Some(line));
                    }
                }
            }
        }
    }

    /// Nothing if the line is empty or can't be sent.
    fn finish(&mut self, last: &Bytes) -> Option<Line> {
        self.number += 1;
        let Some(text) = self.begun.finish(last) else {
            self.refuse(&format!("an item may have at most {EVENT_BYTES_MAX} bytes"));
            return None;
        };
        let item = text.slice_ref(text.trim_ascii());
        if item.first()? == &b'[' {
            // The publisher would take the whole batch for one array.
            self.refuse("a line is one object, and this is an array; `jq -c '.[]'` makes lines of it");
            return None;
        }
        Some(Line { number: self.number, item })
    }

    fn refuse(&mut self, why: &str) {
        self.unfit += 1;
        refused(self.number, why);
    }
}

/// Says that a line was refused.
pub(super) fn refused(number: u64, why: &str) {
    output::remark(format!("peal: line {number} was refused: {}", printable(why)));
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(text: &str) -> (Vec<(u64, String)>, u64) {
        let mut lines = Lines::read(io::Cursor::new(text.to_owned().into_bytes()));
        let mut found = Vec::new();
        while let Some(Line { number, item }) = lines.next().await.unwrap() {
            found.push((number, String::from_utf8(item.to_vec()).unwrap()));
        }
        assert_eq!(lines.next().await.unwrap(), None);
        (found, lines.unfit())
    }

    fn found(lines: &[(u64, &str)]) -> Vec<(u64, String)> {
        lines.iter().map(|(number, text)| (*number, (*text).to_owned())).collect()
    }

    #[tokio::test]
    async fn lines_keep_their_numbers_whatever_stands_between_and_the_last_needs_no_end() {
        assert_eq!(lines("").await, (vec![], 0));
        assert_eq!(lines("\n \r\n").await, (vec![], 0));
        assert_eq!(lines("{1}\r\n\n {2} \n{3}").await, (found(&[(1, "{1}"), (3, "{2}"), (4, "{3}")]), 0));
        assert_eq!(lines("[{}]\n{2}\n").await, (found(&[(2, "{2}")]), 1));
    }

    #[tokio::test]
    async fn a_line_that_is_too_large_is_left_out_alone() {
        let (fits, large) = ("x".repeat(EVENT_BYTES_MAX), "x".repeat(5 * INPUT_BYTES_READ));
        let text = format!("{fits}\n{large}\n{{3}}\n{large}");
        assert_eq!(lines(&text).await, (found(&[(1, &fits), (3, "{3}")]), 2));
    }
}
