//! Connections: how many, how long a head may be and take, and how they end when the server stops.

use std::future::{Future, poll_fn};
use std::net::TcpListener as Bound;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

/// Most connections at a time; others wait to be accepted.
const MAX_CONNECTIONS: usize = 512;
/// How long the head of a request may take, and a connection may be idle.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// The longest head of a request, in bytes.
const MAX_HEAD: usize = 64 << 10;
/// How often it is looked whether to stop.
const LOOK: Duration = Duration::from_millis(50);
/// How long to wait where no connection could be accepted, as with too many open files.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Answers connections until `stop` is set, and then those requests that are under way. `stopping` is set before these are
/// waited for.
pub(super) async fn listen(
    listener: Bound,
    router: Router,
    stop: Arc<AtomicBool>,
    stopping: Arc<AtomicBool>,
) -> std::io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (say_end, end) = watch::channel(false);
    while !(stop.load(Ordering::Relaxed) || stopping.load(Ordering::Relaxed)) {
        // A place first: who finds none stays in the system's queue.
        let accept = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let Ok((place, accepted)) = tokio::time::timeout(LOOK, accept).await else { continue };
        match accepted {
            Ok((stream, _)) => {
                let (router, end) = (router.clone(), end.clone());
                tokio::spawn(async move {
                    connection(stream, router, end).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!("a connection could not be accepted: {error}");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
    stopping.store(true, Ordering::Relaxed);
    drop((listener, router, end));
    // Nobody listens any more: every connection has ended already.
    let _ = say_end.send(true);
    say_end.closed().await;
    Ok(())
}

/// Answers the requests of one connection.
async fn connection(stream: TcpStream, router: Router, mut end: watch::Receiver<bool>) {
    // Tokens are small, and wanted at once.
    let _ = stream.set_nodelay(true);
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(MAX_HEAD);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    // A sender that is gone says the same.
    let mut ended = pin!(end.wait_for(|ends| *ends));
    let mut is_ending = false;
    let outcome = poll_fn(|context| {
        if !is_ending && ended.as_mut().poll(context).is_ready() {
            is_ending = true;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(context)
    });
    // What goes wrong on a connection concerns its client, who is gone.
    let _ = outcome.await;
}
