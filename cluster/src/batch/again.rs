//! The file of what has to be sent again: in its place when it is whole, and not before.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A file that is being written.
pub(super) struct Again {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
}

impl Again {
    /// Beside the file that it will replace, if there is one.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
            return Err(io::Error::other("it is there, and is no file"));
        }
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = BufWriter::new(NamedTempFile::new_in(directory).map_err(|error| cause(&error))?);
        Ok(Self { path: path.to_owned(), file })
    }

    pub(super) fn line(&mut self, item: &[u8]) -> io::Result<()> {
        self.file.write_all(item)?;
        self.file.write_all(b"\n")
    }

    /// It is whole.
    pub(super) fn keep(self) -> io::Result<()> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }
}

/// Without the name of the temporary file, which means nothing to anybody.
fn cause(error: &io::Error) -> io::Error {
    io::Error::from(error.kind())
}
