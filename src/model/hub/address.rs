//! Addresses: whose they are, how they are shown, where a redirect leads.

use ureq::http::Uri;

/// Scheme, host and port.
pub(super) fn origin(address: &Uri) -> Option<(&str, String, u16)> {
    let scheme = address.scheme_str()?;
    let port = address.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    Some((scheme, address.host()?.to_ascii_lowercase(), port))
}

/// An authority without its user.
pub(super) fn host_of(authority: &str) -> &str {
    authority.rsplit('@').next().unwrap_or(authority)
}

/// An address as it may be shown: signatures stand behind the host, passwords before it.
pub(super) fn shown(address: &Uri) -> String {
    let authority = address.authority().map_or("", |authority| host_of(authority.as_str()));
    format!("{}://{authority}", address.scheme_str().unwrap_or(""))
}

/// The address that `location` names on a page at `base` (RFC 3986, section 5.2, without dot segments, which stay on
/// the same server and are its own business).
pub(super) fn join(base: &Uri, location: &str) -> Option<Uri> {
    let location = location.split('#').next()?;
    let (scheme, host) = (base.scheme_str()?, host_of(base.authority()?.as_str()));
    let path = base.path();
    let whole = match location.find([':', '/', '?']) {
        Some(at) if location[at..].starts_with("://") => location.to_string(),
        Some(at) if location[at..].starts_with(':') => return None,
        Some(0) if location.starts_with("//") => format!("{scheme}:{location}"),
        Some(0) if location.starts_with('/') => format!("{scheme}://{host}{location}"),
        Some(0) => format!("{scheme}://{host}{path}{location}"),
        _ => {
            format!("{scheme}://{host}{}/{location}", path.rsplit_once('/').map_or("", |(folder, _)| folder))
        }
    };
    let target: Uri = whole.parse().ok()?;
    let known = matches!(target.scheme_str()?, "http" | "https") && target.host().is_some();
    known.then_some(target)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_redirect_is_resolved_against_its_page() {
        let base: Uri = "https://user:word@hub.example:8443/a/b?c=d".parse().unwrap();
        for (location, want) in [
            ("/x?y=1#z", "https://hub.example:8443/x?y=1"),
            ("//cdn.example/x", "https://cdn.example/x"),
            ("http://cdn.example:81/x", "http://cdn.example:81/x"),
            ("x/y", "https://hub.example:8443/a/x/y"),
            ("?q=a:b", "https://hub.example:8443/a/b?q=a:b"),
            ("/@evil", "https://hub.example:8443/@evil"),
        ] {
            assert_eq!(join(&base, location).unwrap().to_string(), want, "{location}");
        }
        for location in ["ftp://a/b", "file:///etc/passwd", "javascript:0", "http://", "http://a b/"] {
            assert!(join(&base, location).is_none(), "{location}");
        }
    }

    #[test]
    fn an_address_is_shown_without_its_secrets() {
        let page: Uri = "https://u:hunter2@cdn.example/key?Signature=abc".parse().unwrap();
        assert_eq!(shown(&page), "https://cdn.example");
    }
}
