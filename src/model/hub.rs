//! Models from the Hugging Face hub, into the cache that other programs share.
//!
//! Not built on the `hf-hub` crate (0.5): it appends whatever a server answers to a resumed file, cannot finish a file
//! whose last byte arrived before it was renamed, does not compare checksums, and ignores `HF_TOKEN`.

mod transfer;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use ureq::Agent;
use ureq::config::RedirectAuthHeaders;

use super::source::folder::{INDEX, SINGLE, shard_files};
use crate::{Error, Result};

/// Files besides the weights; only the first two must exist.
const TEXTS: [&str; 7] = [
    "config.json",
    "tokenizer.json",
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
];

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
            return Err(Error::usage("--model", problem, "write hf:OWNER/NAME or hf:OWNER/NAME@REVISION"));
        }
        Ok(Self { id: id.to_string(), revision: revision.to_string() })
    }
}

/// Access to a hub and to the cache of its files.
#[derive(Debug)]
pub struct Hub {
    endpoint: String,
    cache: PathBuf,
    token: Option<String>,
    agent: Agent,
}

/// The part of the hub's answer about a revision that is read.
#[derive(Deserialize)]
struct RevisionInfo {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

impl Hub {
    /// The hub that the environment names: `HF_ENDPOINT`, the cache under `HF_HUB_CACHE` or `HF_HOME`, and `HF_TOKEN` or
    /// the token that `hf auth login` stored.
    ///
    /// # Errors
    /// `Usage` if no home folder is known.
    pub fn from_env() -> Result<Self> {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let path = |name: &str| variable(name).map(PathBuf::from);
        let home = || path("HOME").or_else(|| path("USERPROFILE"));
        let hf_home = path("HF_HOME")
            .or_else(|| path("XDG_CACHE_HOME").map(|cache| cache.join("huggingface")))
            .or_else(|| home().map(|home| home.join(".cache").join("huggingface")))
            .ok_or_else(|| Error::usage("HF_HOME", "no home folder is known", "set HF_HOME to a folder"))?;
        let endpoint = std::env::var("HF_ENDPOINT").ok().filter(|endpoint| !endpoint.is_empty());
        let token = match std::env::var("HF_TOKEN").ok().filter(|token| !token.is_empty()) {
            Some(token) => Some(token),
            None => std::fs::read_to_string(hf_home.join("token")).ok(),
        };
        let endpoint = endpoint.unwrap_or_else(|| "https://huggingface.co".to_string());
        Ok(Self::new(&endpoint, path("HF_HUB_CACHE").unwrap_or_else(|| hf_home.join("hub")), token))
    }

    /// The hub at `endpoint` with a cache folder of its own.
    pub fn new(endpoint: &str, cache: impl Into<PathBuf>, token: Option<String>) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .user_agent(concat!("stepladder/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(Duration::from_secs(30)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .timeout_per_read(Some(Duration::from_secs(60)));
        Self {
            endpoint: endpoint.trim_end_matches('/').to_string(),
            cache: cache.into(),
            token: token.map(|token| token.trim().to_string()).filter(|token| !token.is_empty()),
            agent: config.build().into(),
        }
    }

    /// Downloads what is missing of a model's files and returns their folder. Weights are safetensors; other formats in
    /// the repository are left alone. Without a network, a model that was downloaded before is found in the cache.
    ///
    /// # Errors
    /// `Download` with the address and the reason, `Io` if the cache cannot be written, `Cancelled`.
    pub fn fetch(&self, repo: &Repo, progress: &mut Progress<'_>) -> Result<PathBuf> {
        let folder = self.cache.join(format!("models--{}", repo.id.replace('/', "--")));
        let reference = folder.join("refs").join(&repo.revision);
        let info = match self.revision(repo) {
            Ok(info) => info,
            Err(Failure::Unreachable(error)) => {
                let known = std::fs::read_to_string(&reference).ok();
                return match known
                    .map(|sha| folder.join("snapshots").join(sha.trim()))
                    .filter(|path| path.is_dir())
                {
                    Some(snapshot) => Ok(snapshot),
                    None => Err(error),
                };
            }
            Err(Failure::Refused(error)) => return Err(error),
        };
        let has = |name: &str| info.siblings.iter().any(|sibling| sibling.rfilename == name);
        let missing = |name: &str, hint: &str| Error::Download {
            url: format!("{}/{}", self.endpoint, repo.id),
            problem: format!("the repository has no {name}"),
            hint: hint.to_string(),
        };
        for name in &TEXTS[..2] {
            if !has(name) {
                return Err(missing(
                    name,
                    "use a model in Hugging Face's format, or give the path of a .gguf file",
                ));
            }
        }
        let mut get = |name: &str| self.file(repo, &info.sha, &folder, name, progress);
        for name in TEXTS.into_iter().filter(|name| has(name)) {
            get(name)?;
        }
        // As transformers does where a repository has both.
        if has(SINGLE) {
            get(SINGLE)?;
        } else if has(INDEX) {
            let index = get(INDEX)?;
            let text = std::fs::read_to_string(&index).map_err(|source| Error::read(&index, source))?;
            for shard in shard_files(&index, &text)? {
                get(&shard)?;
            }
        } else {
            return Err(missing(
                SINGLE,
                "use a model with safetensors weights, or give the path of a .gguf file",
            ));
        }
        write(&reference, info.sha.as_bytes())?;
        Ok(folder.join("snapshots").join(&info.sha))
    }

    /// Commit and files of a revision.
    fn revision(&self, repo: &Repo) -> std::result::Result<RevisionInfo, Failure> {
        let revision = repo.revision.replace('/', "%2F");
        let url = format!("{}/api/models/{}/revision/{revision}", self.endpoint, repo.id);
        let mut response = self.request(&url, "GET", None)?;
        refuse(&url, response.status().as_u16(), &[200]).map_err(Failure::Refused)?;
        let text = response.body_mut().with_config().limit(64 << 20).read_to_string();
        let text = text.map_err(|error| Failure::Unreachable(unreachable(&url, &error)))?;
        let info: RevisionInfo = serde_json::from_str(&text).map_err(|error| {
            Failure::Refused(strange(&url, format!("the answer is not the hub's: {error}")))
        })?;
        if info.sha.len() != 40 || !info.sha.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Failure::Refused(strange(&url, format!("{:?} is not a commit", info.sha))));
        }
        Ok(info)
    }

    /// Sends a request, with the token; `range` asks for the bytes from there on.
    fn request(
        &self,
        url: &str,
        method: &str,
        range: Option<u64>,
    ) -> std::result::Result<ureq::http::Response<ureq::Body>, Failure> {
        let mut request = if method == "HEAD" { self.agent.head(url) } else { self.agent.get(url) };
        if method == "HEAD" {
            // The first answer describes the file; the one it redirects to is a storage service's.
            request = request.config().max_redirects(0).max_redirects_will_error(false).build();
        }
        // A compressed body would have another length than the file.
        request = request.header("Accept-Encoding", "identity");
        if let Some(token) = self.token.as_ref().filter(|_| url.starts_with(&self.endpoint)) {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        if let Some(start) = range {
            request = request.header("Range", format!("bytes={start}-"));
        }
        request.call().map_err(|error| Failure::Unreachable(unreachable(url, &error)))
    }
}

/// Why a request gave nothing: another try may help, or not.
enum Failure {
    Unreachable(Error),
    Refused(Error),
}

impl Failure {
    fn into_error(self) -> Error {
        match self {
            Self::Unreachable(error) | Self::Refused(error) => error,
        }
    }
}

fn unreachable(url: &str, error: &ureq::Error) -> Error {
    let hint = "check the network and HF_ENDPOINT, then run again; the download goes on where it stopped";
    Error::Download { url: url.into(), problem: error.to_string(), hint: hint.into() }
}

fn strange(url: &str, problem: String) -> Error {
    Error::Download { url: url.into(), problem, hint: "check HF_ENDPOINT".into() }
}

/// An error for a status that is not among `good`.
fn refuse(url: &str, status: u16, good: &[u16]) -> Result<()> {
    if good.contains(&status) {
        return Ok(());
    }
    let (problem, hint) = match status {
        401 | 403 => (
            "the model does not exist, or needs permission",
            "check the name; accept the model's licence on its page and set HF_TOKEN to a token of your account",
        ),
        404 => ("there is no such model, revision or file", "check OWNER/NAME and the revision after @"),
        429 => ("too many requests", "wait some minutes, or set HF_TOKEN"),
        _ => ("the server refused", "try again later"),
    };
    let problem = format!("{problem} (HTTP status {status})");
    Err(Error::Download { url: url.into(), problem, hint: hint.into() })
}

/// Writes a small file and the folders above it.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let parents = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    parents.and_then(|()| std::fs::write(path, bytes)).map_err(|source| Error::write(path, source))
}
