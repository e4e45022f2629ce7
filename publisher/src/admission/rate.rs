//! How many events a second, and how many at once.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use crate::limits::RATE_MAX;

/// `1000` events a second, and as many at once; or `1000:5000`, with 5,000 at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    per_second: NonZeroU32,
    burst: NonZeroU32,
}

/// Why a text is no rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a rate is how many events a second, such as 1000, or that and how many at once, such as 1000:5000; both from 1 to {RATE_MAX}"
)]
pub struct InvalidRate;

impl Rate {
    pub(super) const fn new(per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        Self { per_second, burst }
    }

    /// Tokens that a bucket gets each second.
    #[must_use]
    pub const fn per_second(self) -> NonZeroU32 {
        self.per_second
    }

    /// Tokens of a full bucket.
    #[must_use]
    pub const fn burst(self) -> NonZeroU32 {
        self.burst
    }
}

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let number = |text: &str| {
            let number = text.parse::<NonZeroU32>().ok().filter(|number| number.get() <= RATE_MAX);
            number.ok_or(InvalidRate)
        };
        let (per_second, burst) = text.split_once(':').unwrap_or((text, text));
        Ok(Self::new(number(per_second)?, number(burst)?))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { per_second, burst } if per_second == burst => per_second.fmt(f),
            Self { per_second, burst } => write!(f, "{per_second}:{burst}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_or_two_and_is_shown_as_it_was_given() {
        for text in ["1", "1000", "1000:5000", "5:1", "1000000:1000000"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text.replace("1000000:1000000", "1000000"));
        }
        for text in ["", "0", "-1", "1.5", "1000/s", "1:", ":1", "1:0", "1:2:3", "1000001", "1:1000001", " 1"] {
            assert_eq!(text.parse::<Rate>(), Err(InvalidRate), "{text:?}");
        }
    }
}
