//! Bytes that come in pieces and are of use only as a whole, such as a line of a stream: put together up to a limit.
//!
//! No IO. Where a whole ends is the business of whoever knows what it is.

use bytes::{Bytes, BytesMut};

/// The pieces of one whole after the other. What has more bytes than the limit takes no memory.
#[derive(Debug)]
pub struct Pieces {
    bytes_max: usize,
    kept: BytesMut,
    is_over: bool,
}

impl Pieces {
    /// Of wholes that have at most so many bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, kept: BytesMut::new(), is_over: false }
    }

    /// Nothing of a whole is here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty() && !self.is_over
    }

    /// Keeps a piece until the rest comes.
    pub fn keep(&mut self, piece: &[u8]) {
        self.is_over |= self.kept.len() + piece.len() > self.bytes_max;
        if self.is_over {
            self.kept = BytesMut::new();
        } else {
            self.kept.extend_from_slice(piece);
        }
    }

    /// The whole that ends with this piece, or `None` when it has more bytes than the limit. One that came as one piece is
    /// not copied.
    pub fn finish(&mut self, last: &Bytes) -> Option<Bytes> {
        if self.is_empty() && last.len() <= self.bytes_max {
            return Some(last.clone());
        }
        self.keep(last);
        let kept = std::mem::take(&mut self.kept).freeze();
        let is_over = std::mem::take(&mut self.is_over);
        (!is_over).then_some(kept)
    }

    /// Forgets what there is of a whole.
    pub fn clear(&mut self) {
        *self = Self::new(self.bytes_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_is_put_together_and_the_next_begins_empty() {
        let mut pieces = Pieces::new(4);
        pieces.keep(b"ab");
        assert_eq!(pieces.finish(&Bytes::from_static(b"cd")), Some(Bytes::from_static(b"abcd")));
        assert!(pieces.is_empty());
        assert_eq!(pieces.finish(&Bytes::from_static(b"efgh")), Some(Bytes::from_static(b"efgh")));
        assert_eq!(pieces.finish(&Bytes::new()), Some(Bytes::new()));
    }

    #[test]
    fn what_is_too_large_is_left_out_alone_and_takes_no_memory() {
        let mut pieces = Pieces::new(4);
        for _ in 0..100 {
            pieces.keep(&[b'x'; 1_000]);
            assert!(pieces.kept.capacity() <= 4 && !pieces.is_empty());
        }
        assert_eq!(pieces.finish(&Bytes::new()), None);
        assert_eq!(pieces.finish(&Bytes::from_static(b"abcde")), None);
        assert_eq!(pieces.finish(&Bytes::from_static(b"abcd")), Some(Bytes::from_static(b"abcd")));
    }
}
