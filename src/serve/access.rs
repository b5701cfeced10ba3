//! Who may ask: clients with the key, if there is one, the server's own page, and pages of the origins that were named.
//!
//! A browser sends the origin of the page with every request that could do something on its machine. Unless it was named no other
//! page is answered, so that one which its visitor merely looks at cannot use the model. Whoever owns a name can let it lead to
//! this machine and pass for the server's own page (DNS rebinding): where no key protects it the server is known by its address
//! alone.

use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use sha2::{Digest, Sha256};

use super::refusal::Refusal;
use crate::{Error, Result};

/// The rules.
#[derive(Debug, Default)]
pub(super) struct Access {
    /// The hash of the key. It is not kept itself, so that nothing can print it.
    key: Option<[u8; 32]>,
    /// Origins whose pages are answered.
    origins: Vec<HeaderValue>,
}

impl Access {
    /// Rules with this key, or none, and these origins.
    ///
    /// # Errors
    /// [`Error::Usage`] for what is no key or no origin.
    pub(super) fn new(key: Option<&str>, origins: &[String]) -> Result<Self> {
        if let Some(key) = key
            && (key.len() < 8 || !key.chars().all(|sign| sign.is_ascii_graphic()))
        {
            let problem = "is not one word of at least 8 printable ASCII characters";
            return Err(Error::usage("api_key", problem, "make one, as by `openssl rand -hex 24`"));
        }
        let origin = |text: &String| {
            let fits =
                text.split_once("://").is_some_and(|(_, host)| !host.is_empty() && !host.contains('/'));
            HeaderValue::from_str(text).ok().filter(|_| fits).ok_or_else(|| {
                let hint = "write it as a browser does, such as http://localhost:3000, without a path";
                Error::usage("allow_origin", format!("{text} is no origin"), hint)
            })
        };
        Ok(Self {
            key: key.map(|key| Sha256::digest(key).into()),
            origins: origins.iter().map(origin).collect::<Result<_>>()?,
        })
    }

    /// The origin that the answer may be shown to, if a page asks.
    ///
    /// # Errors
    /// A refusal of pages of other origins.
    pub(super) fn origin(&self, headers: &HeaderMap) -> Result<Option<HeaderValue>, Refusal> {
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(None) };
        match self.origins.contains(origin) || self.is_own(origin, headers) {
            true => Ok(Some(origin.clone())),
            false => {
                let shown = String::from_utf8_lossy(origin.as_bytes()).chars().take(100).collect::<String>();
                let message = format!(
                    "pages of {shown:?} are not answered; whoever runs the server can allow them by `stepladder serve --allow-origin`"
                );
                Err(Refusal::new(StatusCode::FORBIDDEN, "origin_not_allowed", message))
            }
        }
    }

    /// Whether a page of this origin came from here: the browser asks at the very address.
    fn is_own(&self, origin: &HeaderValue, headers: &HeaderMap) -> bool {
        let host = headers.get(header::HOST).map(HeaderValue::as_bytes);
        origin.as_bytes().strip_prefix(b"http://").is_some_and(|own| host == Some(own))
    }

    /// Fails where the server is asked by a name that anybody could have given it, and no key protects it.
    ///
    /// # Errors
    /// A refusal.
    pub(super) fn check_host(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(host) = headers.get(header::HOST).filter(|_| self.key.is_none()) else { return Ok(()) };
        let host = String::from_utf8_lossy(host.as_bytes());
        let named = |origin: &HeaderValue| {
            origin.to_str().is_ok_and(|text| text.split_once("://").is_some_and(|(_, own)| own == host))
        };
        if is_address(&host) || self.origins.iter().any(named) {
            return Ok(());
        }
        let shown: String = host.chars().take(100).collect();
        let message = format!(
            "this server is not known as {shown:?}; use its address, or allow the name by `stepladder serve --allow-origin http://{shown}`"
        );
        Err(Refusal::new(StatusCode::FORBIDDEN, "host_not_allowed", message))
    }

    /// Fails without the key, in a time that does not depend on how much of it is right.
    ///
    /// # Errors
    /// A refusal.
    pub(super) fn check_key(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(key) = &self.key else { return Ok(()) };
        let given = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
        let is_bearer = given.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer "));
        let given: [u8; 32] = Sha256::digest(given.get(7..).unwrap_or_default()).into();
        // Of hashes nobody can choose the beginnings; all bytes are looked at nevertheless.
        let differences = given.iter().zip(key).fold(0, |found, (a, b)| found | (a ^ b));
        match is_bearer && differences == 0 {
            true => Ok(()),
            false => {
                let message = "the API key is missing or wrong; send the header `Authorization: Bearer KEY`";
                Err(Refusal::new(StatusCode::UNAUTHORIZED, "invalid_api_key", message))
            }
        }
    }
}

/// Whether a host, with its port or without, is an address or this machine's own name, which no name server can give to others.
fn is_address(host: &str) -> bool {
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|sign| sign.is_ascii_digit()));
    let name = name.map_or(host, |(name, _)| name).to_ascii_lowercase();
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(&name);
    name == "localhost" || name.ends_with(".localhost") || bare.parse::<std::net::IpAddr>().is_ok()
}

/// Lets a page of `origin` read the answer.
pub(super) fn allow<B>(response: &mut Response<B>, origin: HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
}

/// The answer to a browser that asks what it may send, for a page whose origin is allowed.
pub(super) fn preflight<B: Default>(asked: &HeaderMap) -> Response<B> {
    let mut response = Response::new(B::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, DELETE"));
    if let Some(names) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}

/// Whether a browser asks what it may send.
pub(super) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_asked_for() {
        let access = Access::new(Some("correct-horse"), &[]).unwrap();
        let asks = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            access.check_key(&headers).is_ok()
        };
        assert!(asks("Bearer correct-horse") && asks("bearer correct-horse"));
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            "correct-horse",
            "Basic correct-horse",
            "Bearer correct-hors",
            "Bearer correct-horse ",
        ] {
            assert!(!asks(wrong), "{wrong}");
        }
        assert!(access.check_key(&HeaderMap::new()).is_err());
        assert!(!format!("{access:?}").contains("horse"));
        for bad in ["", "short", "with space in it", "ümlautümlaut"] {
            assert!(Access::new(Some(bad), &[]).is_err(), "{bad}");
        }
    }

    #[test]
    fn without_a_key_names_that_anybody_can_give_are_refused() {
        let asked = |access: &Access, host: &str| {
            access
                .check_host(&HeaderMap::from_iter([(header::HOST, HeaderValue::from_str(host).unwrap())]))
                .is_ok()
        };
        let open = Access::new(None, &["http://ai.example:8080".into()]).unwrap();
        for host in [
            "127.0.0.1:8080",
            "127.0.0.1",
            "[::1]:8080",
            "localhost:8080",
            "LOCALHOST",
            "a.localhost",
            "ai.example:8080",
        ] {
            assert!(asked(&open, host), "{host}");
        }
        for host in [
            "evil.example:8080",
            "ai.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
            ":8080",
        ] {
            assert!(!asked(&open, host), "{host}");
        }
        assert_eq!(open.check_host(&HeaderMap::new()), Ok(()));
        assert!(asked(&Access::new(Some("correct-horse"), &[]).unwrap(), "ai.example"));
    }

    #[test]
    fn pages_are_answered_by_origin() {
        let access = Access::new(None, &["http://localhost:3000".into()]).unwrap();
        let origin = |value: &str| {
            let headers = HeaderMap::from_iter([(header::ORIGIN, HeaderValue::from_str(value).unwrap())]);
            access.origin(&headers)
        };
        assert!(origin("http://localhost:3000").unwrap().is_some());
        for other in ["http://localhost:3001", "null", "http://localhost:3000.evil.example"] {
            assert!(origin(other).is_err(), "{other}");
        }
        assert_eq!(access.origin(&HeaderMap::new()), Ok(None));
        // The server's own page, at the address that its visitor wrote.
        let own = |origin: &'static str, host: &'static str| {
            let (origin, host) = (HeaderValue::from_static(origin), HeaderValue::from_static(host));
            access.origin(&HeaderMap::from_iter([(header::ORIGIN, origin), (header::HOST, host)])).is_ok()
        };
        assert!(own("http://127.0.0.1:8080", "127.0.0.1:8080") && own("http://[::1]:8080", "[::1]:8080"));
        assert!(
            !own("http://127.0.0.1:8081", "127.0.0.1:8080")
                && !own("https://127.0.0.1:8080", "127.0.0.1:8080")
        );
        for bad in ["*", "localhost", "http://a/b", "http://"] {
            assert!(Access::new(None, &[bad.into()]).is_err(), "{bad}");
        }
    }
}
