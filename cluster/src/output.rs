//! What is printed: results to stdout, one line of failure to stderr. The only place that does.
//!
//! What a line says is the business of whoever prints it. A reader that is gone (`peal … | head`) is no failure.

use std::fmt::Display;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};

use crate::config;

/// Prints a line to stdout.
///
/// # Errors
/// When stdout can't be written; [`reader_is_gone`] tells a closed pipe from a full disk.
pub fn line(text: impl AsRef<str>) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", text.as_ref())?;
    stdout.flush()
}

/// Prints many lines to stdout.
///
/// # Errors
/// As [`line()`].
pub fn lines(items: impl IntoIterator<Item = impl Display>) -> io::Result<()> {
    let mut stdout = BufWriter::new(io::stdout().lock());
    for item in items {
        writeln!(stdout, "{item}")?;
    }
    stdout.flush()
}

pub use peal_serve::process::remark;

/// Whether writing failed only because nobody reads any more.
#[must_use]
pub fn reader_is_gone(error: &io::Error) -> bool {
    error.kind() == ErrorKind::BrokenPipe
}

/// Whether a person looks at stdout.
#[must_use]
pub fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Whether stdout is to be coloured.
#[must_use]
pub fn is_coloured() -> bool {
    is_terminal() && !config::no_color()
}

/// Text of strangers for a line: a poster must not steer the terminal of a reader. Control characters are written as JSON writes them, those that only
/// lay JSON out as blanks.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => out.push(' '),
            c if c.is_control() || is_reordering(c) => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// The characters that turn the direction of text, which can make a line read as another (Unicode TR 36).
fn is_reordering(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
