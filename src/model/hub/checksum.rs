//! A file that arrived against its tag.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// How a hub's tag names the bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    /// SHA-256 of the bytes: large files, which the hub keeps outside git.
    Sha256,
    /// SHA-1 of git's blob (`blob LENGTH\0` and the bytes): small files. Mirrors built on Artifactory tag by the
    /// SHA-1 of the bytes alone, which proves as much.
    Git,
    /// Something else, such as a web server's own: nothing follows from it.
    Opaque,
}

impl Tag {
    /// The kind of a tag, by its form.
    pub(super) fn of(etag: &str) -> Self {
        match etag.len() {
            64 => Self::Sha256,
            40 => Self::Git,
            _ => Self::Opaque,
        }
    }

    /// Whether `file` of `size` bytes is what `etag` names; also where nothing can be said.
    pub(super) fn matches(self, etag: &str, size: u64, file: &mut File) -> std::io::Result<bool> {
        match self {
            Self::Sha256 => Ok(is(etag, &digest([Sha256::new()], file)?[0])),
            Self::Git => {
                let git = Sha1::new_with_prefix(format!("blob {size}\0"));
                Ok(digest([git, Sha1::new()], file)?.iter().any(|digest| is(etag, digest)))
            }
            Self::Opaque => Ok(true),
        }
    }
}

fn is(etag: &str, digest: &str) -> bool {
    etag.eq_ignore_ascii_case(digest)
}

/// What each hasher makes of the file, in hexadecimal.
fn digest<D: Digest, const N: usize>(mut hashers: [D; N], file: &mut File) -> std::io::Result<[String; N]> {
    let mut buffer = vec![0; 1 << 18];
    file.seek(SeekFrom::Start(0))?;
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        for hasher in &mut hashers {
            hasher.update(&buffer[..count]);
        }
    }
    Ok(hashers.map(|hasher| hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
}
