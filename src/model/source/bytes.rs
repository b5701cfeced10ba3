//! Random access to bytes: files here, blobs in a browser.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Bytes that can be read anywhere.
pub trait ReadAt {
    /// Total length in bytes.
    fn len(&self) -> u64;

    /// Whether there is nothing to read.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `out` with the bytes from `offset` on.
    ///
    /// # Errors
    /// `Io` if they cannot be read or are beyond the end.
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> Result<()>;

    /// The file's name for messages.
    fn path(&self) -> &Path;
}

/// Bytes in memory under a name.
#[derive(Debug, Clone)]
pub struct Memory<B> {
    path: PathBuf,
    bytes: B,
}

impl<B: AsRef<[u8]>> Memory<B> {
    /// `bytes` under the name `path`, which need not exist.
    pub fn new(path: impl Into<PathBuf>, bytes: B) -> Self {
        Self { path: path.into(), bytes }
    }
}

impl<B: AsRef<[u8]>> ReadAt for Memory<B> {
    fn len(&self) -> u64 {
        self.bytes.as_ref().len() as u64
    }

    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> Result<()> {
        let bytes = self.bytes.as_ref();
        let start = usize::try_from(offset).ok();
        let slice = start.and_then(|start| bytes.get(start..start.checked_add(out.len())?));
        match slice {
            Some(slice) => {
                out.copy_from_slice(slice);
                Ok(())
            }
            None => Err(Error::read(&self.path, std::io::ErrorKind::UnexpectedEof.into())),
        }
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

/// The bytes of the file at `path` as text.
///
/// # Errors
/// [`Error::Input`] that names the line, and the encoding where it shows.
pub fn utf8(path: &Path, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let whole = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        let what = match bytes {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "is UTF-16, not UTF-8",
            [0x1f, 0x8b, ..] => "is compressed (gzip), not text",
            _ => "is not UTF-8 text",
        };
        let line = 1 + bytes[..whole].iter().filter(|&&byte| byte == b'\n').count();
        Error::input(path, format!("line {line}"), what, "save it as UTF-8 text")
    })
}

#[cfg(not(target_arch = "wasm32"))]
pub use native::{File, read_bytes, read_text};

#[cfg(not(target_arch = "wasm32"))]
mod native {
    use std::io::{Read, Seek, SeekFrom};
    use std::path::{Path, PathBuf};

    use super::{ReadAt, utf8};
    use crate::{Error, Result};

    /// A file on disk. Its length is taken once, when it is opened.
    #[derive(Debug)]
    pub struct File {
        path: PathBuf,
        file: std::fs::File,
        len: u64,
    }

    impl File {
        /// Opens a regular file.
        ///
        /// # Errors
        /// `Io` if it cannot be opened.
        pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
            let path = path.into();
            match open_regular(&path) {
                Ok((file, len)) => Ok(Self { path, file, len }),
                Err(source) => Err(Error::read(path, source)),
            }
        }
    }

    /// Opens a file that has an end: a pipe may wait for ever, and a device may never stop.
    fn open_regular(path: &Path) -> std::io::Result<(std::fs::File, u64)> {
        // Looked at before it is opened, which waits where it is a pipe.
        let metadata = std::fs::metadata(path)?;
        if !metadata.is_file() {
            return Err(std::io::Error::other("it is not a regular file"));
        }
        Ok((std::fs::File::open(path)?, metadata.len()))
    }

    /// The contents of the regular file at `path`, of `most` bytes or fewer.
    ///
    /// # Errors
    /// `Io` if it cannot be read or is longer.
    pub fn read_bytes(path: &Path, most: u64) -> Result<Vec<u8>> {
        let read = || {
            let (file, length) = open_regular(path)?;
            let mut bytes = Vec::new();
            // A file may grow, and those that the system makes up have a length of 0.
            if length <= most && file.take(most + 1).read_to_end(&mut bytes)? as u64 <= most {
                return Ok(bytes);
            }
            Err(std::io::Error::other(format!("it is larger than {most} bytes")))
        };
        read().map_err(|source| Error::read(path, source))
    }

    /// The same as text.
    ///
    /// # Errors
    /// As [`read_bytes`], and `Io` if it is no UTF-8.
    pub fn read_text(path: &Path, most: u64) -> Result<String> {
        utf8(path, read_bytes(path, most)?)
    }

    impl ReadAt for File {
        fn len(&self) -> u64 {
            self.len
        }

        fn read_at(&mut self, offset: u64, out: &mut [u8]) -> Result<()> {
            self.file
                .seek(SeekFrom::Start(offset))
                .and_then(|_| self.file.read_exact(out))
                .map_err(|source| Error::read(&self.path, source))
        }

        fn path(&self) -> &Path {
            &self.path
        }
    }
}
