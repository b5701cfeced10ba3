//! One server: how it is reached, held to what is needed of it, and waited for when it is away.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_nats::jetstream::stream::Config;
use async_nats::jetstream::{self, Context, kv};
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event};
use tokio::time::{sleep, timeout};

use crate::ladder::remote::message::MOST_BYTES;
use crate::{Error, Result};

/// What went wrong with a request.
pub(super) type Problem = async_nats::Error;

/// How long an answer of the server is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long is waited before a request is sent again.
const PAUSE: Duration = Duration::from_millis(300);
/// How long the server may be away before that is said.
const SILENT: Duration = Duration::from_secs(3);
/// How often it is said again.
const AGAIN: Duration = Duration::from_secs(60);

/// How to reach a server.
#[derive(Debug, Clone)]
pub struct Connection {
    /// `nats://HOST:PORT` or `tls://HOST:PORT`, with `USER:PASSWORD@` or `TOKEN@` before the host where the server wants them.
    pub address: String,
    /// File with a JWT and an NKey seed, where the server wants them.
    pub credentials: Option<PathBuf>,
    /// Becomes true to stop waiting.
    pub cancel: Arc<AtomicBool>,
    /// Hears what the user should know, a sentence at a time.
    pub warn: fn(&str),
}

/// A server with JetStream.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) client: Client,
    pub(super) jetstream: Context,
    /// Without what may be secret.
    pub(super) address: String,
    cancel: Arc<AtomicBool>,
    pub(super) warn: fn(&str),
}

impl Server {
    /// Connects to a server that can carry a run.
    pub(super) async fn connect(connection: Connection) -> Result<Self> {
        let Connection { address, credentials, cancel, warn } = connection;
        let shown = without_secrets(&address);
        let usage = |problem: String, hint: &str| Error::usage("swarm", format!("{shown}: {problem}"), hint);
        // What a user may not do comes as an event, and the request that asked for it gets no answer.
        let told = shown.clone();
        let mut options = ConnectOptions::new()
            .name("stepladder")
            .connection_timeout(PATIENCE)
            .event_callback(move |event| {
                if let Event::ServerError(problem) = &event {
                    warn(&format!("{told}: the server says: {problem}"));
                }
                std::future::ready(())
            });
        if let Some(file) = credentials {
            options = options.credentials_file(&file).await.map_err(|source| Error::read(&file, source))?;
        }
        options = match secrets(&address) {
            Some((user, Some(password))) => options.user_and_password(user.into(), password.into()),
            Some((token, None)) => options.token(token.into()),
            None => options,
        };
        let connected = timeout(2 * PATIENCE, options.connect(&shown)).await;
        let client = match connected {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => {
                let hint = match error.kind() {
                    ConnectErrorKind::ServerParse => "give nats://HOST:PORT",
                    ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                        "give the user of the server as nats://USER:PASSWORD@HOST:PORT, or <credentials>"
                    }
                    ConnectErrorKind::Tls => "give tls://HOST:PORT with a name that its certificate has",
                    _ => "start a server there (nats-server -js), or correct the address",
                };
                return Err(usage(format!("cannot be reached: {error}"), hint));
            }
            Err(_) => {
                return Err(usage("does not answer".into(), "is it a NATS server? Correct the address"));
            }
        };
        let info = client.server_info();
        if info.max_payload < MOST_BYTES {
            let problem =
                format!("takes messages of {} bytes, and {MOST_BYTES} are needed", info.max_payload);
            return Err(usage(problem, "raise max_payload in the server's settings"));
        }
        let jetstream = jetstream::new(client.clone());
        if let Err(problem) = has_jetstream(&client).await {
            let problem = format!("nats-server {} gives no JetStream: {problem}", info.version);
            return Err(usage(problem, "start it with -js, or allow JetStream to this account"));
        }
        Ok(Self { client, jetstream, address: shown, cancel, warn })
    }

    /// Asks until there is an answer, unless the user stops it. Between two tries `mend` may put right what is missing.
    ///
    /// # Errors
    /// [`Error::Cancelled`]; those of `mend`.
    pub(super) async fn ask<T, F, M>(
        &self,
        mut request: impl FnMut() -> F,
        mut mend: impl FnMut() -> M,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, Problem>>,
        M: Future<Output = Result<()>>,
    {
        let (began, mut told) = (Instant::now(), None::<Instant>);
        loop {
            let problem = match timeout(PATIENCE, request()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(problem)) => problem.to_string(),
                Err(_) => "no answer".into(),
            };
            if self.cancel.load(Ordering::Relaxed) {
                return Err(Error::Cancelled);
            }
            if began.elapsed() > SILENT && told.is_none_or(|told| told.elapsed() > AGAIN) {
                told = Some(Instant::now());
                (self.warn)(&format!("{}: {problem}; trying again until it works", self.address));
            }
            sleep(PAUSE).await;
            mend().await?;
        }
    }

    /// [`Server::ask`] where nothing can be mended.
    pub(super) async fn wait<T, F>(&self, request: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, Problem>>,
    {
        self.ask(request, || std::future::ready(Ok(()))).await
    }

    /// Whether the user wants to stop.
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }

    /// The bucket of this name, whose stream is made by `setup` if it is missing.
    pub(super) async fn bucket(&self, name: String, setup: Config) -> Result<kv::Store, Problem> {
        self.jetstream.get_or_create_stream(setup).await?;
        Ok(self.jetstream.get_key_value(name).await?)
    }
}

/// Asks for the account's JetStream. Of the answer only errors count: its other fields differ between versions of the server, and
/// the client knows those of the newest.
async fn has_jetstream(client: &Client) -> Result<(), Problem> {
    let answer = client.request("$JS.API.INFO", Vec::new().into()).await?;
    let answer: serde_json::Value = serde_json::from_slice(&answer.payload)?;
    match answer.get("error") {
        Some(error) => Err(error["description"].as_str().unwrap_or("an error without words").into()),
        None => Ok(()),
    }
}

/// User and password, or a token, before the host of the first address, as they are written: the client reads none there.
fn secrets(address: &str) -> Option<(&str, Option<&str>)> {
    let first = address.split(',').next()?;
    let (secrets, _) = first.split_once("://").map_or(first, |(_, rest)| rest).rsplit_once('@')?;
    Some(secrets.split_once(':').map_or((secrets, None), |(user, password)| (user, Some(password))))
}

/// An address without user, password and token.
fn without_secrets(address: &str) -> String {
    let one = |address: &str| {
        let (scheme, rest) = address.split_once("://").map_or(("", address), |(scheme, rest)| (scheme, rest));
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") }
    };
    address.split(',').map(one).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    #[test]
    fn secrets_are_not_shown() {
        let shown = super::without_secrets;
        assert_eq!(shown("nats://a:b@c@host:1,tls://token@other"), "nats://host:1,tls://other");
        assert_eq!(shown("host:4222"), "host:4222");
        assert_eq!(super::secrets("nats://me:a@b:c@host:1,d"), Some(("me", Some("a@b:c"))));
        assert_eq!(super::secrets("tls://token@host"), Some(("token", None)));
        assert_eq!(super::secrets("host:4222"), None);
    }
}
