//! One file of a repository into the cache.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::cache::{Cache, blob_name, is_safe_path, not_a_link, place};
use super::checksum::Tag;
use super::request::{Client, Failure, TRIES, is_progress, pause, refuse, retry, strange};
use super::{Downloading, Progress, Repo, is_weights};
use crate::{Error, Result};

/// The longest file that is not weights: more than ten times the largest tokenizer.json known.
const MAX_TEXT: u64 = 512 << 20;

/// What the hub says about a file.
struct Description {
    /// Name of the blob.
    etag: String,
    tag: Tag,
    size: u64,
}

/// The files of one repository at one commit.
pub(super) struct Transfer<'a> {
    pub(super) client: &'a Client,
    pub(super) cache: &'a Cache,
    pub(super) repo: &'a Repo,
    pub(super) commit: &'a str,
}

impl Transfer<'_> {
    /// The path of `name` in the cache, downloaded if it is not there.
    pub(super) fn file(&self, name: &str, progress: &mut Progress<'_>) -> Result<PathBuf> {
        let folder = format!("{}/{}/resolve/{}", self.client.address(), self.repo.id, self.commit);
        if !is_safe_path(name) {
            return Err(strange(&folder, format!("{name:?} cannot be the name of a file")));
        }
        let url = format!("{folder}/{name}");
        let snapshot = self.cache.snapshot(self.commit);
        let link = snapshot.join(name);
        if link.exists() {
            return Ok(link);
        }
        let description = retry(TRIES, || self.describe(&url)).map_err(Failure::into_error)?;
        if !is_weights(name) && description.size > MAX_TEXT {
            let problem = format!("{} bytes are too many for a text", description.size);
            return Err(strange(&url, problem));
        }
        let blob = self.cache.blob(&description.etag);
        if !std::fs::metadata(&blob).is_ok_and(|blob| blob.len() == description.size) {
            self.download(&url, name, &description, &blob, progress)?;
        }
        place(&blob, &snapshot, name)?;
        Ok(link)
    }

    fn describe(&self, url: &str) -> Result<Description, Failure> {
        let response = self.client.head(url)?;
        refuse(url, response.status(), &[200, 301, 302, 303, 307, 308])?;
        let header = |names: &[&str]| {
            let value = names.iter().find_map(|name| response.headers().get(*name));
            value.and_then(|value| value.to_str().ok())
        };
        let etag = header(&["x-linked-etag", "etag"]).and_then(blob_name);
        // The length of a redirect is that of its own page.
        let lengths: &[&str] =
            if response.status() == 200 { &["x-linked-size", "content-length"] } else { &["x-linked-size"] };
        let size = header(lengths).and_then(|size| size.parse().ok());
        match (etag, size) {
            (Some(etag), Some(size)) => Ok(Description { etag: etag.to_string(), tag: Tag::of(etag), size }),
            _ => Err(Failure::Refused(strange(url, "the answer has no usable ETag or length".into()))),
        }
    }

    /// Downloads to `blob`, going on from an earlier try's part.
    fn download(
        &self,
        url: &str,
        name: &str,
        description: &Description,
        blob: &Path,
        progress: &mut Progress<'_>,
    ) -> Result<()> {
        let part = blob.with_extension("incomplete");
        let written = |source| Error::write(&part, source);
        let mut file = open_part(url, &part)?;
        if description.tag == Tag::Opaque {
            // What an earlier process got may be of another file: such a tag does not tell them apart.
            file.set_len(0).map_err(written)?;
        }
        let mut tries = 0;
        loop {
            let before = file.seek(SeekFrom::End(0)).map_err(written)?;
            if before > description.size {
                file.set_len(0).map_err(written)?;
                continue;
            }
            if before == description.size {
                break;
            }
            let begin = Instant::now();
            let Err(failure) = self.transfer(url, name, description, &mut file, &part, progress) else {
                continue;
            };
            let error = match failure {
                Failure::Refused(error) => return Err(error),
                Failure::Unreachable(error) => error,
            };
            let gained = file.seek(SeekFrom::End(0)).map_err(written)?.saturating_sub(before);
            let worth = is_progress(gained, begin.elapsed() + Duration::from_millis(500));
            tries = if worth { 1 } else { tries + 1 };
            if tries >= TRIES {
                return Err(error);
            }
            pause(tries);
        }
        verify(url, name, &mut file, description, &part)?;
        file.sync_all().map_err(written)?;
        drop(file);
        match std::fs::rename(&part, blob) {
            // Another process that waited for the lock was faster.
            Err(_) if blob.is_file() => Ok(()),
            done => done.map_err(|source| Error::write(blob, source)),
        }
    }

    /// One request: appends to `file` until the answer ends.
    fn transfer(
        &self,
        url: &str,
        name: &str,
        description: &Description,
        file: &mut File,
        part: &Path,
        progress: &mut Progress<'_>,
    ) -> Result<(), Failure> {
        let written = |source| Failure::Refused(Error::write(part, source));
        let total = description.size;
        let mut done = file.seek(SeekFrom::End(0)).map_err(written)?;
        let mut response = self.client.get(url, (done > 0).then_some(done))?;
        let status = response.status();
        if done > 0 {
            refuse(url, status, &[200, 206, 416])?;
            let range = response.headers().get("content-range").and_then(|range| range.to_str().ok());
            let wanted = format!("bytes {done}-{}/", total - 1);
            let rest = range.and_then(|range| range.strip_prefix(&wanted));
            if !(status == 206 && rest.is_some_and(|all| all == "*" || all == total.to_string())) {
                // The server starts over, or knows nothing of the range: begin again.
                file.set_len(0).map_err(written)?;
                done = file.seek(SeekFrom::Start(0)).map_err(written)?;
                if status != 200 {
                    let problem = format!("the server cannot resume (HTTP status {})", status.as_u16());
                    return Err(Failure::Unreachable(strange(url, problem)));
                }
            }
        } else {
            refuse(url, status, &[200])?;
        }
        let body = response.body_mut().with_config().limit(u64::MAX).reader();
        self.client.read(url, body, 1 << 18, |bytes| {
            done += bytes.len() as u64;
            if done > total {
                let problem = format!("sends more than the {total} bytes announced");
                return Err(Failure::Refused(strange(url, problem)));
            }
            file.write_all(bytes).map_err(written)?;
            match progress(Downloading { file: name, done, total }) {
                true => Ok(()),
                false => Err(Failure::Refused(Error::Cancelled)),
            }
        })?;
        if done < total {
            let problem = format!("the connection ended after {done} of {total} bytes");
            let hint = "run again; the download goes on where it stopped";
            return Err(Failure::Unreachable(Error::Download {
                url: url.into(),
                problem,
                hint: hint.into(),
            }));
        }
        Ok(())
    }
}

/// Opens the part of a file that is there, or an empty one, which then belongs to this process.
fn open_part(url: &str, part: &Path) -> Result<File> {
    let written = |source| Error::write(part, source);
    if let Some(parent) = part.parent() {
        std::fs::create_dir_all(parent).map_err(written)?;
    }
    not_a_link(part)?;
    let open = || OpenOptions::new().read(true).write(true).create(true).truncate(false).open(part);
    let file = open().map_err(written)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Download {
            url: url.into(),
            problem: "another process is downloading this file".into(),
            hint: "wait until it has finished".into(),
        }),
        // A file system without locks, such as some network shares.
        Err(TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Unsupported => Ok(file),
        Err(TryLockError::Error(error)) => Err(written(error)),
    }
}

/// Compares the file with its tag, or where that says nothing, with what its name says.
fn verify(url: &str, name: &str, file: &mut File, description: &Description, part: &Path) -> Result<()> {
    let read = |source| Error::read(part, source);
    let Description { etag, tag, size } = description;
    let problem = if !tag.matches(etag, *size, file).map_err(read)? {
        "the file that arrived has another checksum than the hub's; it was deleted"
    } else if *tag == Tag::Opaque && !is_plausible(name, file).map_err(read)? {
        "what arrived is not such a file, perhaps a page of words; it was deleted"
    } else {
        return Ok(());
    };
    file.set_len(0).map_err(|source| Error::write(part, source))?;
    drop(std::fs::remove_file(part));
    let hint = "run again; if it stays so, check HF_ENDPOINT and what lies between you and it";
    Err(Error::Download { url: url.into(), problem: problem.into(), hint: hint.into() })
}

/// Whether a file begins as its kind does, which a page in its place does not.
fn is_plausible(name: &str, file: &mut File) -> std::io::Result<bool> {
    file.seek(SeekFrom::Start(0))?;
    let mut head = [0; 64];
    let mut filled = 0;
    while filled < head.len() {
        match file.read(&mut head[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    let head = &head[..filled];
    Ok(match name.rsplit('.').next() {
        // Eight bytes of length, then JSON.
        Some("safetensors") => head.get(8) == Some(&b'{'),
        Some("json") => head.trim_ascii_start().starts_with(b"{"),
        _ => true,
    })
}
