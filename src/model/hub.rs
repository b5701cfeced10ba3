//! Models from the Hugging Face hub, into the cache that other programs share.
//!
//! Not built on the `hf-hub` crate (0.5): it appends whatever a server answers to a resumed file, cannot finish a file
//! whose last byte arrived before it was renamed, does not compare checksums, and ignores `HF_TOKEN`.

mod address;
mod cache;
mod cached;
mod checksum;
mod request;
mod transfer;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

pub use self::cache::blob_name;
use self::cache::{Cache, is_commit};
pub use self::cached::CachedModel;
use self::request::{Client, Failure, TRIES, refuse, retry, strange};
use self::transfer::Transfer;
use super::open::ADDITIONAL_TEMPLATES;
use super::source::folder::{INDEX, SINGLE, shard_files};
use crate::{Error, Result};

/// Files besides the weights that a model must have.
const REQUIRED: [&str; 2] = ["config.json", "tokenizer.json"];
/// Files besides the weights that a model may have.
const OPTIONAL: [&str; 5] = [
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
];

/// Chat templates beside the usual one that are taken.
const MAX_TEMPLATES: usize = 64;

/// The longest list of a repository's files.
const MAX_LIST: u64 = 64 << 20;

/// How long an answer, and each piece of it, is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// How far a download is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Downloading<'a> {
    /// The file.
    pub file: &'a str,
    /// Bytes on disk.
    pub done: u64,
    /// Bytes of the whole file.
    pub total: u64,
}

/// Called for each piece that arrives; false stops the download, which a later one goes on from.
pub type Progress<'a> = dyn FnMut(Downloading<'_>) -> bool + 'a;

/// A model on the hub at a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repo {
    /// `OWNER/NAME`
    pub id: String,
    /// Branch, tag or commit.
    pub revision: String,
}

impl Repo {
    /// Reads `OWNER/NAME[@REV]`; the revision is `main` if none is given.
    ///
    /// # Errors
    /// `Usage` if it is not of that form.
    pub fn parse(name: &str) -> Result<Self> {
        let (id, revision) = name.split_once('@').unwrap_or((name, "main"));
        let plain = |part: &str| {
            let safe = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            !part.is_empty() && !part.starts_with('.') && !part.contains("..") && part.chars().all(safe)
        };
        let valid = matches!(id.split_once('/'), Some((owner, name)) if plain(owner) && plain(name));
        if !valid || !revision.split('/').all(plain) {
            let problem = format!("`hf:{name}` is not the name of a model on the hub");
            return Err(Error::usage("model", problem, "write hf:OWNER/NAME or hf:OWNER/NAME@REVISION"));
        }
        Ok(Self { id: id.to_string(), revision: revision.to_string() })
    }
}

/// Access to a hub and to the cache of its files.
pub struct Hub {
    endpoint: String,
    cache: PathBuf,
    token: Option<String>,
    patience: Duration,
    offline: bool,
}

impl std::fmt::Debug for Hub {
    /// The endpoint may hold a password, and the token is one.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Hub").field("cache", &self.cache).finish_non_exhaustive()
    }
}

/// The hub's answer about a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The commit that the revision is.
    pub commit: String,
    /// Paths of its files, as the hub gives them.
    pub files: Vec<String>,
}

impl Listing {
    /// Reads the text of the answer. Errors say what is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Answer {
            sha: String,
            #[serde(default)]
            siblings: Vec<Sibling>,
        }
        #[derive(Deserialize)]
        struct Sibling {
            rfilename: String,
        }
        let answer: Answer = serde_json::from_str(text).map_err(|error| {
            let place = format!("line {} column {}", error.line(), error.column());
            format!("the answer is not the hub's: {place} is not as expected")
        })?;
        if !is_commit(&answer.sha) {
            return Err("the answer is not the hub's: `sha` is not a commit".into());
        }
        let files = answer.siblings.into_iter().map(|sibling| sibling.rfilename).collect();
        Ok(Self { commit: answer.sha, files })
    }

    fn has(&self, name: &str) -> bool {
        self.files.iter().any(|file| file == name)
    }
}

/// A path with `~` at its beginning and `$NAME` or `${NAME}` in it expanded, as Python's `expanduser` and `expandvars` do.
fn expanded(
    path: &OsStr,
    home: impl Fn() -> Option<PathBuf>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> PathBuf {
    let Some(text) = path.to_str() else { return PathBuf::from(path) };
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let behind = &rest[at + 1..];
        let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (name, length) = match behind.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((inner, _)) => (inner, inner.len() + 2),
            None => {
                let end = behind.find(|c| !name(c)).unwrap_or(behind.len());
                (&behind[..end], end)
            }
        };
        match variable(name).and_then(|value| value.into_string().ok()) {
            Some(value) => out.push_str(&value),
            None => out.push_str(&rest[at..=at + length]),
        }
        rest = &behind[length..];
    }
    out.push_str(rest);
    match out.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with(['/', '\\'])) {
        Some(rest) => {
            home().map_or_else(|| out.clone().into(), |home| home.join(rest.trim_start_matches(['/', '\\'])))
        }
        None => out.into(),
    }
}

impl Hub {
    /// The hub that the environment names, by the variables that other programs read: `HF_ENDPOINT`; the cache under
    /// `HF_HUB_CACHE` or `HF_HOME`, in which `~` and `$NAME` are expanded; the token of `HF_TOKEN`, or what `hf auth login`
    /// stored at `HF_TOKEN_PATH`, unless `HF_HUB_DISABLE_IMPLICIT_TOKEN` is set; `HF_HUB_DOWNLOAD_TIMEOUT` in seconds; `HF_HUB_OFFLINE`.
    ///
    /// # Errors
    /// `Usage` if no home folder is known, or a variable is not what it should be.
    pub fn from_env() -> Result<Self> {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let text = |name: &str| variable(name).and_then(|value| value.into_string().ok());
        let is_set = |name: &str| {
            text(name).is_some_and(|value| {
                ["1", "ON", "YES", "TRUE"].contains(&value.to_ascii_uppercase().as_str())
            })
        };
        let home = || variable("HOME").or_else(|| variable("USERPROFILE")).map(PathBuf::from);
        let path = |name: &str| variable(name).map(|value| expanded(&value, home, |name| variable(name)));
        let hf_home = path("HF_HOME")
            .or_else(|| path("XDG_CACHE_HOME").map(|cache| cache.join("huggingface")))
            .or_else(|| home().map(|home| home.join(".cache").join("huggingface")))
            .ok_or_else(|| Error::usage("HF_HOME", "no home folder is known", "set HF_HOME to a folder"))?;
        // Every token that no option gives is implicit.
        let token = (!is_set("HF_HUB_DISABLE_IMPLICIT_TOKEN")).then(|| {
            let stored = || cache::read_text(&path("HF_TOKEN_PATH").unwrap_or_else(|| hf_home.join("token")));
            text("HF_TOKEN").or_else(|| text("HUGGING_FACE_HUB_TOKEN")).or_else(stored)
        });
        let token = token.flatten();
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_string());
        let cache = path("HF_HUB_CACHE").or_else(|| path("HUGGINGFACE_HUB_CACHE"));
        let mut hub = Self::new(&endpoint, cache.unwrap_or_else(|| hf_home.join("hub")), token);
        if let Some(seconds) = text("HF_HUB_DOWNLOAD_TIMEOUT") {
            let valid = seconds.trim().parse().ok().filter(|seconds| (1..=86_400).contains(seconds));
            let seconds = valid.ok_or_else(|| {
                let problem = format!("{seconds:?} is not a number of seconds");
                Error::usage("HF_HUB_DOWNLOAD_TIMEOUT", problem, "give a whole number from 1 to 86400")
            })?;
            hub = hub.with_patience(Duration::from_secs(seconds));
        }
        hub.offline = is_set("HF_HUB_OFFLINE") || is_set("TRANSFORMERS_OFFLINE");
        Ok(hub)
    }

    /// The hub at `endpoint` with a cache folder of its own.
    pub fn new(endpoint: &str, cache: impl Into<PathBuf>, token: Option<String>) -> Self {
        Self {
            endpoint: endpoint.to_string(),
            cache: cache.into(),
            token: token.map(|token| token.trim().to_string()).filter(|token| !token.is_empty()),
            patience: PATIENCE,
            offline: false,
        }
    }

    /// Waits `patience` for an answer, and as long for each piece of it; an answer that comes slower than 1 KiB a second
    /// over that time counts as none.
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Downloads what is missing of a model's files and returns their folder. Weights are safetensors; other formats in
    /// the repository are left alone. Where the hub fails, whatever its reason, a model that was downloaded before is
    /// taken from the cache, with a warning.
    ///
    /// # Errors
    /// `Download` with the address and the reason, `Usage` for variables of the environment, `Io` if the cache cannot be
    /// written, `Cancelled`.
    pub fn fetch(&self, repo: &Repo, progress: &mut Progress<'_>) -> Result<PathBuf> {
        let cache = Cache::new(&self.cache, repo);
        let kept = cache.complete(&repo.revision);
        if self.offline {
            return kept.ok_or_else(|| {
                let problem =
                    format!("is set, and the cache has no whole copy of {}@{}", repo.id, repo.revision);
                Error::usage("HF_HUB_OFFLINE", problem, "unset it to download the model")
            });
        }
        let client = Client::new(&self.endpoint, self.token.as_deref(), self.patience)?;
        let tries = if kept.is_some() { 1 } else { TRIES };
        let fetched = self.update(&client, &cache, repo, tries, progress);
        match (fetched, kept) {
            (Err(error @ Error::Download { .. }), Some(kept)) => {
                let commit = kept.file_name().unwrap_or_default().to_string_lossy().into_owned();
                tracing::warn!("{error}; commit {commit} from the cache is used instead");
                Ok(kept)
            }
            (fetched, _) => fetched,
        }
    }

    /// Asks the hub what a revision is and downloads what is missing of it.
    fn update(
        &self,
        client: &Client,
        cache: &Cache,
        repo: &Repo,
        tries: u32,
        progress: &mut Progress<'_>,
    ) -> Result<PathBuf> {
        let listing = retry(tries, || revision(client, repo)).map_err(Failure::into_error)?;
        let missing = |name: &str, hint: &str| Error::Download {
            url: format!("{}/{}", client.address(), repo.id),
            problem: format!("the repository has no {name}"),
            hint: hint.to_string(),
        };
        for name in REQUIRED {
            if !listing.has(name) {
                return Err(missing(
                    name,
                    "use a model in Hugging Face's format, or give the path of a .gguf file",
                ));
            }
        }
        let transfer = Transfer { client, cache, repo, commit: &listing.commit };
        for name in REQUIRED.into_iter().chain(OPTIONAL).filter(|name| listing.has(name)) {
            transfer.file(name, progress)?;
        }
        let is_template = |file: &&String| {
            file.strip_prefix(ADDITIONAL_TEMPLATES)
                .is_some_and(|name| name.starts_with('/') && name.ends_with(".jinja"))
        };
        for name in listing.files.iter().filter(is_template).take(MAX_TEMPLATES) {
            transfer.file(name, progress)?;
        }
        // As transformers does where a repository has both.
        if listing.has(SINGLE) {
            transfer.file(SINGLE, progress)?;
        } else if listing.has(INDEX) {
            let index = transfer.file(INDEX, progress)?;
            let text = std::fs::read_to_string(&index).map_err(|source| Error::read(&index, source))?;
            for shard in shard_files(&index, &text)? {
                transfer.file(&shard, progress)?;
            }
        } else {
            return Err(missing(
                SINGLE,
                "use a model with safetensors weights, or give the path of a .gguf file",
            ));
        }
        cache.refer(&repo.revision, &listing.commit)?;
        Ok(cache.snapshot(&listing.commit))
    }
}

/// Commit and files of a revision.
fn revision(client: &Client, repo: &Repo) -> Result<Listing, Failure> {
    let revision = repo.revision.replace('/', "%2F");
    let url = format!("{}/api/models/{}/revision/{revision}", client.address(), repo.id);
    let response = client.get(&url, None)?;
    refuse(&url, response.status(), &[200])?;
    let text = client.text(&url, response, MAX_LIST)?;
    Listing::parse(&text).map_err(|problem| Failure::Refused(strange(&url, problem)))
}

/// Whether a file holds weights, and may be of any size.
fn is_weights(name: &str) -> bool {
    name.ends_with(".safetensors")
}
