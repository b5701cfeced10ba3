//! A thread of its own for all talk with the server, so that neither waits for the GPU nor the GPU for it.

use std::future::Future;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::server::{Connection, Server};
use crate::{Error, Result};

/// A connection and its thread, which ends with it.
#[derive(Debug)]
pub(super) struct Link {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// What is spoken with.
    pub(super) server: Server,
}

impl Link {
    /// Connects.
    ///
    /// # Errors
    /// [`Error::Usage`] that says what is wrong with server, address or credentials.
    pub(super) fn open(connection: &Connection) -> Result<Self> {
        let failed = |source| Error::Io {
            path: "the thread of the swarm".into(),
            action: "start",
            source,
            hint: "close other programs, or raise the limits of processes and open files",
        };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("swarm".into());
        let thread = thread.spawn(move || drop(runtime.block_on(stopped))).map_err(failed)?;
        // Until there is a server the thread stands in a half-made link, which ends it.
        let begun = Begun { stop: Some(stop), thread: Some(thread) };
        let connecting = Server::connect(connection.clone());
        let server = pollster::block_on(on(&handle, connecting))?;
        let (stop, thread) = begun.into_parts();
        Ok(Self { handle, stop, thread, server })
    }

    /// Does something on the thread, and waits for it.
    ///
    /// # Errors
    /// Its own.
    pub(super) async fn on<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        on(&self.handle, work).await
    }

    /// Does something on the thread while that lives.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        drop(self.handle.spawn(work));
    }
}

async fn on<T: Send + 'static>(
    handle: &Handle,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    // It fails if the work panicked, or the thread has ended.
    let ended = |problem: tokio::task::JoinError| {
        Error::usage("swarm", problem.to_string(), "report this, and go on with <resume>")
    };
    handle.spawn(work).await.map_err(ended)?
}

/// A thread that has no server yet.
struct Begun {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Begun {
    fn into_parts(mut self) -> (Option<oneshot::Sender<()>>, Option<JoinHandle<()>>) {
        (self.stop.take(), self.thread.take())
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        end(&mut self.stop, &mut self.thread);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        end(&mut self.stop, &mut self.thread);
    }
}

fn end(stop: &mut Option<oneshot::Sender<()>>, thread: &mut Option<JoinHandle<()>>) {
    drop(stop.take());
    if let Some(thread) = thread.take() {
        // A panic of the thread was told where its work was waited for.
        let _ = thread.join();
    }
}
