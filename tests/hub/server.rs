//! A server on this machine that can do to a client whatever a test wants.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// The commit that `main` is.
pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    /// First byte asked for.
    pub(crate) range: Option<usize>,
}

impl Request {
    pub(crate) fn is_list(&self) -> bool {
        self.path.starts_with("/api/")
    }

    /// Whether it is for the contents of a file whose name ends so.
    pub(crate) fn is_get(&self, name: &str) -> bool {
        self.method == "GET" && !self.is_list() && self.path.ends_with(name)
    }
}

/// An answer: status, headers without the length, body.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<String>,
    /// The length that is announced; that of the body if it is not set.
    pub(crate) length: Option<usize>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), length: None, body: body.into() }
    }

    pub(crate) fn with(mut self, header: impl Into<String>) -> Self {
        self.headers.push(header.into());
        self
    }

    pub(crate) fn redirect(location: impl std::fmt::Display) -> Self {
        Self::new(302, "").with(format!("Location: {location}"))
    }

    fn head(&self) -> String {
        let length = self.length.unwrap_or(self.body.len());
        let headers: String = self.headers.iter().map(|header| format!("{header}\r\n")).collect();
        format!(
            "HTTP/1.1 {} X\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n",
            self.status
        )
    }

    /// Sends it, or of a HEAD request's answer the head.
    pub(crate) fn send(&self, request: &Request, stream: &mut TcpStream) {
        // The client may have gone away.
        drop(stream.write_all(self.head().as_bytes()));
        if request.method != "HEAD" {
            drop(stream.write_all(&self.body));
        }
    }

    /// Sends it a byte at a time.
    pub(crate) fn dribble(&self, stream: &mut TcpStream, from_head: bool) {
        let head = self.head().into_bytes();
        let mut slow = self.body.clone();
        if from_head {
            slow.splice(0..0, head);
        } else {
            drop(stream.write_all(&head));
        }
        for byte in slow {
            if stream.write_all(&[byte]).is_err() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

/// Starts a server that answers as `answer` does; its address, and what it was asked.
pub(crate) fn serve(
    answer: impl Fn(&Request, &mut TcpStream) + Send + Sync + 'static,
) -> (String, Arc<Mutex<Vec<Request>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (log, answer) = (Arc::clone(&seen), Arc::new(answer));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
            std::thread::spawn(move || {
                let mut stream = stream.unwrap();
                let Some(request) = read(&stream) else { return };
                log.lock().unwrap().push(request.clone());
                answer(&request, &mut stream);
            });
        }
    });
    (endpoint, seen)
}

/// A server whose answers are those of an honest hub, but where `change` gives another.
pub(crate) fn hub(
    files: &'static [(&'static str, &'static [u8])],
    change: impl Fn(&Request) -> Option<Answer> + Send + Sync + 'static,
) -> (String, Arc<Mutex<Vec<Request>>>) {
    serve(move |request, stream| {
        change(request).unwrap_or_else(|| honest(files, request)).send(request, stream);
    })
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let first = lines.next()?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?.to_string(), words.next()?.to_string());
    let mut request = Request { method, path, authorization: None, range: None };
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").unwrap_or((&line, ""));
        match name.to_ascii_lowercase().as_str() {
            "authorization" => request.authorization = Some(value.to_string()),
            "range" => request.range = value.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok(),
            _ => {}
        }
    }
    Some(request)
}

/// What the hub answers for a repository of `files` at [`COMMIT`].
pub(crate) fn honest(files: &[(&str, &[u8])], request: &Request) -> Answer {
    if request.path.starts_with("/api/models/o/m/revision/") {
        return list(COMMIT, files.iter().map(|(name, _)| *name));
    }
    let path = request.path.split('?').next().unwrap_or("");
    let name = path.rsplit('/').next().unwrap_or("");
    let Some((_, bytes)) = files.iter().find(|(known, _)| *known == name) else {
        return Answer::new(404, "no");
    };
    let tag = if name.ends_with(".safetensors") { hex(&Sha256::digest(bytes)) } else { git_hash(bytes) };
    match request.range {
        Some(start) => Answer::new(206, &bytes[start..]).with(format!(
            "Content-Range: bytes {start}-{}/{}",
            bytes.len() - 1,
            bytes.len()
        )),
        None => Answer::new(200, *bytes),
    }
    .with(format!("ETag: \"{tag}\""))
}

/// The hub's list of the files of a revision.
pub(crate) fn list<'a>(commit: &str, names: impl Iterator<Item = &'a str>) -> Answer {
    let siblings: Vec<_> = names.map(|name| serde_json::json!({"rfilename": name})).collect();
    Answer::new(200, serde_json::json!({"sha": commit, "siblings": siblings}).to_string())
}

/// The name that git gives to a file's contents.
pub(crate) fn git_hash(bytes: &[u8]) -> String {
    let mut hasher = Sha1::new_with_prefix(format!("blob {}\0", bytes.len()));
    hasher.update(bytes);
    hex(&hasher.finalize())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
