//! Requests to a hub: to whom the token goes, which redirects are followed, how long an answer may take.
//!
//! Redirects are followed here and not by `ureq`, which takes another port of the same host for the same server.

use std::io::Read;
use std::time::{Duration, Instant};

use ureq::http::header::{CONTENT_ENCODING, LOCATION};
use ureq::http::{HeaderValue, Response, StatusCode, Uri};
use ureq::{Agent, Body};

use super::address::{host_of, join, origin, shown};
use crate::{Error, Result};

/// Redirects in a row; browsers stop after twenty.
const MAX_REDIRECTS: usize = 10;
/// Bytes a second below which an answer counts as none: a seventh of what a modem brings.
const SLOWEST: u64 = 1024;
/// Tries of a request without progress in between.
pub(super) const TRIES: u32 = 4;

/// Why a request gave nothing: another try may help, or not.
#[derive(Debug)]
pub(super) enum Failure {
    Unreachable(Error),
    Refused(Error),
}

impl Failure {
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Unreachable(error) | Self::Refused(error) => error,
        }
    }
}

/// Sends requests to one hub.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    endpoint: Uri,
    /// `scheme://host[:port]/path` without a user, as it may be shown.
    address: String,
    authorization: Option<Authorization>,
    patience: Duration,
}

/// What is sent to the hub, and to nobody else.
enum Authorization {
    /// `Bearer TOKEN`
    Token(HeaderValue),
    /// `USER:PASSWORD` of the endpoint's address.
    User(String),
}

impl std::fmt::Debug for Authorization {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Authorization(..)")
    }
}

impl Client {
    /// A client of the hub at `endpoint`. `patience` bounds the wait for an answer and for each piece of it.
    ///
    /// # Errors
    /// `Usage` if the endpoint is no address, or the token cannot be sent.
    pub(super) fn new(endpoint: &str, token: Option<&str>, patience: Duration) -> Result<Self> {
        let wrong = |problem: &str| {
            // The value may hold a password.
            Error::usage("HF_ENDPOINT", problem, "give an address such as https://huggingface.co")
        };
        let uri: Uri = endpoint.parse().map_err(|_| wrong("it is not an address"))?;
        let authority = uri.authority().ok_or_else(|| wrong("it is not an address"))?.as_str();
        let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"));
        let scheme = scheme.ok_or_else(|| wrong("it begins with neither https:// nor http://"))?;
        if uri.query().is_some() {
            return Err(wrong("it has a question mark"));
        }
        let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(u, h)| (Some(u), h));
        let address = format!("{scheme}://{host}{}", uri.path().trim_end_matches('/'));
        // As in other programs, a user in the address goes before the token: both take the same header.
        let authorization = match (user, token) {
            (Some(user), _) => Some(Authorization::User(user.to_string())),
            (None, Some(token)) => {
                let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
                    let problem = "it has characters that no token has";
                    Error::usage("HF_TOKEN", problem, "copy it again from your account's settings")
                })?;
                value.set_sensitive(true);
                Some(Authorization::Token(value))
            }
            (None, None) => None,
        };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("stepladder/", env!("CARGO_PKG_VERSION")))
            // A compressed body would have another length than the file.
            .accept_encoding("identity")
            .timeout_resolve(Some(patience.min(Duration::from_secs(30))))
            .timeout_connect(Some(patience.min(Duration::from_secs(30))))
            .timeout_recv_response(Some(patience))
            .timeout_per_read(Some(patience));
        let endpoint = address.parse().map_err(|_| wrong("it is not an address"))?;
        Ok(Self { agent: config.build().into(), endpoint, address, authorization, patience })
    }

    /// The hub's address without a slash at its end and without secrets.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The answer to GET, redirects followed; `range` asks for the bytes from there on.
    pub(super) fn get(&self, url: &str, range: Option<u64>) -> Result<Response<Body>, Failure> {
        let mut at = self.parse(url)?;
        for _ in 0..MAX_REDIRECTS {
            let response = self.once(url, &at, false, range)?;
            match next(url, &at, &response)? {
                Some(target) => at = target,
                None => return Ok(response),
            }
        }
        Err(Failure::Refused(strange(url, "it redirects too often".into())))
    }

    /// The answer to HEAD. Redirects are followed on the hub itself, as a renamed repository has them, but not one
    /// that describes the file, nor one to a storage service, which knows other tags.
    pub(super) fn head(&self, url: &str) -> Result<Response<Body>, Failure> {
        let mut at = self.parse(url)?;
        for _ in 0..MAX_REDIRECTS {
            let response = self.once(url, &at, true, None)?;
            match next(url, &at, &response)? {
                Some(target) if self.is_own(&target) && !response.headers().contains_key("x-linked-etag") => {
                    at = target;
                }
                _ => return Ok(response),
            }
        }
        Err(Failure::Refused(strange(url, "it redirects too often".into())))
    }

    /// The text of an answer of at most `limit` bytes.
    pub(super) fn text(&self, url: &str, response: Response<Body>, limit: u64) -> Result<String, Failure> {
        let body = response.into_body().into_with_config().limit(u64::MAX).reader();
        let mut out = Vec::new();
        self.read(url, body, 1 << 16, |bytes| {
            if out.len() as u64 + bytes.len() as u64 > limit {
                return Err(Failure::Refused(strange(url, format!("sends more than {limit} bytes"))));
            }
            out.extend_from_slice(bytes);
            Ok(())
        })?;
        String::from_utf8(out).map_err(|_| Failure::Refused(strange(url, "the answer is not text".into())))
    }

    /// Hands the bytes of an answer on, at most `size` at a time, until it ends or they come too slowly.
    pub(super) fn read(
        &self,
        url: &str,
        mut body: impl Read,
        size: usize,
        mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut pace = Pace::new(self.patience);
        let mut buffer = vec![0; size];
        loop {
            let count = body
                .read(&mut buffer)
                .map_err(|error| Failure::Unreachable(unreachable(url, &error.into())))?;
            if count == 0 {
                return Ok(());
            }
            take(&buffer[..count])?;
            pace.gained(url, count)?;
        }
    }

    fn parse(&self, url: &str) -> Result<Uri, Failure> {
        let wrong = |_| Failure::Refused(strange(url, "this is not an address".into()));
        url.parse().map_err(wrong)
    }

    /// Whether an address is the hub's own: same scheme, host and port.
    fn is_own(&self, address: &Uri) -> bool {
        origin(address) == origin(&self.endpoint)
    }

    fn once(
        &self,
        url: &str,
        address: &Uri,
        head: bool,
        range: Option<u64>,
    ) -> Result<Response<Body>, Failure> {
        let own = self.is_own(address);
        let target = match &self.authorization {
            Some(Authorization::User(user)) if own => {
                let rest = address.path_and_query().map_or("", |rest| rest.as_str());
                let host = address.authority().map_or("", |authority| host_of(authority.as_str()));
                format!("{}://{user}@{host}{rest}", address.scheme_str().unwrap_or("https"))
            }
            _ => address.to_string(),
        };
        let mut request = if head { self.agent.head(target) } else { self.agent.get(target) };
        if let Some(Authorization::Token(token)) = self.authorization.as_ref().filter(|_| own) {
            request = request.header("Authorization", token);
        }
        if let Some(start) = range {
            request = request.header("Range", format!("bytes={start}-"));
        }
        let response = request.call().map_err(|error| {
            let mut error = unreachable(url, &error);
            if let (false, Error::Download { problem, .. }) = (own, &mut error) {
                problem.push_str(&format!(" (at {}, where it redirects to)", shown(address)));
            }
            Failure::Unreachable(error)
        })?;
        let encoding = response.headers().get(CONTENT_ENCODING).filter(|value| *value != "identity");
        match encoding.filter(|_| !head) {
            Some(_) => {
                let problem = "the answer is compressed, which was not asked for";
                Err(Failure::Refused(strange(url, problem.into())))
            }
            None => Ok(response),
        }
    }
}

/// Whether bytes come fast enough to go on waiting for them.
struct Pace {
    window: Duration,
    begin: Instant,
    bytes: u64,
}

impl Pace {
    fn new(window: Duration) -> Self {
        Self { window, begin: Instant::now(), bytes: 0 }
    }

    /// Notes that `count` bytes have come; a failure if they were too few for the time since the last look.
    fn gained(&mut self, url: &str, count: usize) -> Result<(), Failure> {
        self.bytes += count as u64;
        let elapsed = self.begin.elapsed();
        if elapsed < self.window {
            return Ok(());
        }
        let rate = self.bytes as f64 / elapsed.as_secs_f64();
        if rate < SLOWEST as f64 {
            let problem = format!("the server sends {rate:.0} bytes a second");
            let hint = "try again later; the download goes on where it stopped";
            return Err(Failure::Unreachable(Error::Download {
                url: url.into(),
                problem,
                hint: hint.into(),
            }));
        }
        (self.begin, self.bytes) = (Instant::now(), 0);
        Ok(())
    }
}

/// Whether `bytes` in `time` are worth another try.
pub(super) fn is_progress(bytes: u64, time: Duration) -> bool {
    bytes as f64 >= SLOWEST as f64 * time.as_secs_f64()
}

/// Does `attempt` up to `tries` times, with growing pauses, as long as another try may help.
pub(super) fn retry<T>(tries: u32, mut attempt: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
    let mut tried = 1;
    loop {
        match attempt() {
            Err(Failure::Unreachable(_)) if tried < tries => pause(tried),
            done => return done,
        }
        tried += 1;
    }
}

/// Waits before the next try: half a second after the first, twice as long after each.
pub(super) fn pause(tried: u32) {
    std::thread::sleep(Duration::from_millis(250 << tried.min(6)));
}

/// Where an answer redirects to; `None` if it does not.
fn next<B>(url: &str, base: &Uri, response: &Response<B>) -> Result<Option<Uri>, Failure> {
    let redirects = matches!(
        response.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    if !redirects {
        return Ok(None);
    }
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    match location.and_then(|location| join(base, location)) {
        Some(target) => Ok(Some(target)),
        None => Err(Failure::Refused(strange(url, "it redirects to no usable address".into()))),
    }
}

pub(super) fn unreachable(url: &str, error: &ureq::Error) -> Error {
    let problem = match error {
        // It would repeat an address with whatever secrets that has.
        ureq::Error::BadUri(_) => "this is not an address".to_string(),
        error => error.to_string(),
    };
    let hint = "check the network and HF_ENDPOINT, then run again; the download goes on where it stopped";
    Error::Download { url: url.into(), problem, hint: hint.into() }
}

pub(super) fn strange(url: &str, problem: String) -> Error {
    Error::Download { url: url.into(), problem, hint: "check HF_ENDPOINT".into() }
}

/// A failure for a status that is not among `good`; those of a busy or broken server are worth another try.
pub(super) fn refuse(url: &str, status: StatusCode, good: &[u16]) -> Result<(), Failure> {
    if good.contains(&status.as_u16()) {
        return Ok(());
    }
    let (problem, hint) = match status.as_u16() {
        401 | 403 => (
            "the model does not exist, or needs permission",
            "check the name; accept the model's licence on its page and set HF_TOKEN to a token of your account",
        ),
        404 => ("there is no such model, revision or file", "check OWNER/NAME and the revision after @"),
        429 => ("too many requests", "wait some minutes, or set HF_TOKEN"),
        _ => ("the server refused", "try again later"),
    };
    let problem = format!("{problem} (HTTP status {})", status.as_u16());
    let error = Error::Download { url: url.into(), problem, hint: hint.into() };
    let passing = status.is_server_error() || matches!(status.as_u16(), 408 | 429);
    Err(if passing { Failure::Unreachable(error) } else { Failure::Refused(error) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn only_the_same_scheme_host_and_port_are_the_hub() {
        let client = Client::new("https://Hub.example/mirror/", None, Duration::from_secs(1)).unwrap();
        assert_eq!(client.address(), "https://Hub.example/mirror");
        for (address, own) in [
            ("https://hub.example/x", true),
            ("https://hub.example:443/x", true),
            ("http://hub.example/x", false),
            ("https://hub.example:444/x", false),
            ("https://hub.example.evil/x", false),
            ("https://hub.example@evil/x", false),
        ] {
            assert_eq!(client.is_own(&address.parse().unwrap()), own, "{address}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let client =
            Client::new("http://user:hunter2@127.0.0.1:9/x/", Some("hf_secret"), Duration::from_secs(1))
                .unwrap();
        let error = client.get(&format!("{}/file", client.address()), None).unwrap_err();
        let seen = format!("{client:?} {error:?}");
        let said = format!("{seen} {}", error.into_error());
        assert!(said.contains("http://127.0.0.1:9/x/file"), "{said}");
        assert!(!said.contains("hunter2") && !said.contains("hf_secret"), "{said}");
        for (endpoint, token) in [
            ("ftp://user:hunter2@host", None),
            ("hunter2", None),
            ("https://hub.example", Some("hunter2\n2")),
        ] {
            let error = Client::new(endpoint, token, Duration::from_secs(1)).unwrap_err();
            assert_eq!(error.code(), "usage");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
