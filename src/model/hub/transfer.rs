//! One file of a repository into the cache: blobs by checksum, and links to them by commit and name.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{Downloading, Failure, Hub, Progress, Repo, refuse, strange, unreachable};
use crate::{Error, Result};

/// Tries of one file without a byte gained in between.
const TRIES: u32 = 4;

/// What the hub says about a file.
struct Description {
    /// Name of the blob: SHA-256 of large files, a git hash of small ones.
    etag: String,
    size: u64,
}

impl Hub {
    /// The path of `name` at commit `sha` in the cache `folder` of its repository, downloaded if it is not there.
    pub(super) fn file(
        &self,
        repo: &Repo,
        sha: &str,
        folder: &Path,
        name: &str,
        progress: &mut Progress<'_>,
    ) -> Result<PathBuf> {
        let link = folder.join("snapshots").join(sha).join(name);
        if link.exists() {
            return Ok(link);
        }
        let url = format!("{}/{}/resolve/{sha}/{name}", self.endpoint, repo.id);
        let description = self.describe(&url)?;
        let blob = folder.join("blobs").join(&description.etag);
        if !blob.exists() {
            self.download(&url, name, &description, &blob, progress)?;
        }
        place(&blob, &link)?;
        Ok(link)
    }

    fn describe(&self, url: &str) -> Result<Description> {
        let mut address = url.to_string();
        for _ in 0..5 {
            let response = self.request(&address, "HEAD", None).map_err(Failure::into_error)?;
            let status = response.status().as_u16();
            let header = |names: [&str; 2]| {
                let value = names.into_iter().find_map(|name| response.headers().get(name));
                value.and_then(|value| value.to_str().ok())
            };
            refuse(url, status, &[200, 301, 302, 303, 307, 308])?;
            let location = header(["location", "location"]);
            // A renamed repository redirects on the hub itself, without describing the file.
            if let Some(path) = location.filter(|path| {
                status != 200 && path.starts_with('/') && !response.headers().contains_key("x-linked-etag")
            }) {
                address = format!("{}{path}", self.endpoint);
                continue;
            }
            let etag =
                header(["x-linked-etag", "etag"]).unwrap_or("").trim_start_matches("W/").trim_matches('"');
            let size = header(["x-linked-size", "content-length"]).and_then(|size| size.parse().ok());
            // The tag becomes a file's name.
            let safe = etag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            return match size {
                Some(size) if safe && (1..=128).contains(&etag.len()) => {
                    Ok(Description { etag: etag.to_string(), size })
                }
                _ => Err(strange(url, "the answer has no usable ETag or length".into())),
            };
        }
        Err(strange(url, "too many redirects".into()))
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
        if let Some(parent) = part.parent() {
            std::fs::create_dir_all(parent).map_err(written)?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&part)
            .map_err(written)?;
        file.try_lock().map_err(|_| Error::Download {
            url: url.into(),
            problem: "another process is downloading this file".into(),
            hint: "wait until it has finished".into(),
        })?;
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
            let Err(failure) = self.transfer(url, name, description, &mut file, &part, progress) else {
                continue;
            };
            let error = match failure {
                Failure::Refused(error) => return Err(error),
                Failure::Unreachable(error) => error,
            };
            let gained = file.seek(SeekFrom::End(0)).map_err(written)? > before;
            tries = if gained { 1 } else { tries + 1 };
            if tries >= TRIES {
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(250 << tries));
        }
        verify(url, &mut file, description, &part)?;
        file.sync_all().map_err(written)?;
        drop(file);
        std::fs::rename(&part, blob).map_err(|source| Error::write(blob, source))
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
    ) -> std::result::Result<(), Failure> {
        let written = |source| Failure::Refused(Error::write(part, source));
        let total = description.size;
        let mut done = file.seek(SeekFrom::End(0)).map_err(written)?;
        let mut response = self.request(url, "GET", (done > 0).then_some(done))?;
        let status = response.status().as_u16();
        let range = response.headers().get("content-range").and_then(|range| range.to_str().ok());
        let resumes =
            status == 206 && range.is_some_and(|range| range.starts_with(&format!("bytes {done}-")));
        if done > 0 && !resumes {
            // The server starts over, or knows nothing of the range: begin again.
            file.set_len(0).map_err(written)?;
            done = file.seek(SeekFrom::Start(0)).map_err(written)?;
            if status != 200 {
                let error = strange(url, format!("the server cannot resume (HTTP status {status})"));
                refuse(url, status, &[206, 416]).map_err(Failure::Refused)?;
                return Err(Failure::Unreachable(error));
            }
        }
        refuse(url, status, &[200, 206]).map_err(|error| {
            if status >= 500 { Failure::Unreachable(error) } else { Failure::Refused(error) }
        })?;
        let mut body = response.body_mut().with_config().limit(u64::MAX).reader();
        let mut buffer = vec![0; 1 << 18];
        loop {
            let count = body
                .read(&mut buffer)
                .map_err(|error| Failure::Unreachable(unreachable(url, &error.into())))?;
            if count == 0 {
                break;
            }
            done += count as u64;
            if done > total {
                let problem = format!("sends more than the {total} bytes announced");
                return Err(Failure::Refused(strange(url, problem)));
            }
            file.write_all(&buffer[..count]).map_err(written)?;
            if !progress(Downloading { file: name, done, total }) {
                return Err(Failure::Refused(Error::Cancelled));
            }
        }
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

/// Compares the SHA-256 of a large file with its ETag. Small files' tags are git hashes; their length has been checked.
fn verify(url: &str, file: &mut File, description: &Description, part: &Path) -> Result<()> {
    if description.etag.len() != 64 {
        return Ok(());
    }
    let read = |source| Error::read(part, source);
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    file.seek(SeekFrom::Start(0)).map_err(read)?;
    loop {
        let count = file.read(&mut buffer).map_err(read)?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
    }
    let digest: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if digest == description.etag.to_ascii_lowercase() {
        return Ok(());
    }
    file.set_len(0).map_err(|source| Error::write(part, source))?;
    let problem = "the file that arrived has another checksum than the hub's; it was deleted";
    Err(Error::Download { url: url.into(), problem: problem.into(), hint: "run again".into() })
}

/// Makes `link` stand for `blob`: a relative symbolic link where the system has them, else a copy.
fn place(blob: &Path, link: &Path) -> Result<()> {
    let write = |source| Error::write(link, source);
    if let Some(parent) = link.parent() {
        std::fs::create_dir_all(parent).map_err(write)?;
    }
    #[cfg(unix)]
    {
        // snapshots/COMMIT/NAME is two folders below blobs' parent.
        let target = Path::new("../../blobs").join(blob.file_name().unwrap_or_default());
        if link.is_symlink() {
            std::fs::remove_file(link).map_err(write)?;
        }
        std::os::unix::fs::symlink(target, link).map_err(write)
    }
    #[cfg(not(unix))]
    std::fs::copy(blob, link).map(|_| ()).map_err(write)
}
