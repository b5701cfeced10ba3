//! Who may ask: clients with the key, if there is one, and pages of the origins that were named.
//!
//! A browser sends the origin of the page with every request that could do something on its machine. Unless it was named no page
//! is answered, so that one which its visitor merely looks at cannot use the model.

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
        match self.origins.contains(origin) {
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
        for bad in ["*", "localhost", "http://a/b", "http://"] {
            assert!(Access::new(None, &[bad.into()]).is_err(), "{bad}");
        }
    }
}
