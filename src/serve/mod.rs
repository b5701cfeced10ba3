//! An HTTP server that speaks OpenAI's interface: one model, with adapters to choose by request, on one GPU.
//!
//! Two threads: that of the caller owns the GPU and draws tokens for all requests at once (`engine`), the other one listens,
//! reads requests and writes answers (`http`). Jobs go one way by a channel, events come back by one for each job.

mod access;
mod adapters;
mod app;
mod ask;
mod body;
mod dataset;
mod embeddings;
mod engine;
mod events;
mod fields;
mod files;
mod fine_tuning;
mod fresh;
mod http;
mod job;
mod listen;
mod loading;
mod log;
mod metrics;
mod models;
mod page;
mod recent;
mod refusal;
mod reply;
mod school;
mod shape;
mod teacher;
mod teaching;
mod text;
mod tools;
mod upload;

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Semaphore;
use tokio::sync::mpsc::unbounded_channel;

pub use models::Choice;
pub use school::Learning;

use crate::kernel::cache::CacheFormat;
use crate::lessons::library::Library;
use crate::model::generate::{Continuous, Sizes};
use crate::model::guide::Forms;
use crate::session::{AdapterFile, Opened, Session};
use crate::train::adapter;
use crate::train::fit::{Fit, Workload};
use crate::{Error, Result};
use access::Access;
use adapters::Adapters;
use app::App;
use dataset::{Begun, Files};
use engine::Engine;
use http::router;
use listen::listen;
use metrics::Metrics;
use models::Names;
use school::School;
use teacher::Teacher;

/// Rows that are taken unless the memory has room for fewer.
const ROWS: usize = 8;

/// How to serve.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Name or address of the interface to listen on.
    pub host: String,
    /// Port; 0 takes a free one.
    pub port: u16,
    /// What clients must send to be answered.
    pub api_key: Option<String>,
    /// Origins of pages that are answered.
    pub origins: Vec<String>,
    /// Completions at a time; `None` is 8, or as many as there is memory for.
    pub rows: Option<usize>,
    /// Most requests that wait for a row.
    pub queue: usize,
    /// How keys and values are kept.
    pub cache: CacheFormat,
    /// Adapters beside the base.
    pub choices: Vec<Choice>,
    /// Below it lie adapters that clients may load.
    pub adapter_folder: Option<PathBuf>,
    /// The library whose head is one of them, which learns.
    pub learning: Option<Learning>,
}

/// A server that has its place and its rules, before its model is loaded.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    access: Access,
    names: Names,
    adapters: Vec<Option<AdapterFile>>,
    sizes: Sizes,
    options: Options,
}

impl Server {
    /// Takes the place and reads the adapters: what can be found wrong is found here.
    ///
    /// # Errors
    /// [`Error::Usage`] for options that cannot be; [`Error::Io`] for a port that is taken; [`Error::OutOfMemory`];
    /// [`Error::Input`] for adapters that are damaged or of another model.
    pub fn bind(opened: &Opened, options: Options) -> Result<Self> {
        let access = Access::new(options.api_key.as_deref(), &options.origins)?;
        let names = Names::new(&opened.name, &options.choices, fresh::now())?;
        let (listener, address) = bind(&options)?;
        let adapters = options
            .choices
            .iter()
            .map(|choice| choice.folder.as_ref().map(|folder| opened.read_adapter(folder)).transpose());
        let adapters = adapters.collect::<Result<Vec<_>>>()?;
        let mut options = options;
        let sizes = fitting(opened, &mut options, &adapters)?;
        Ok(Self { listener, address, access, names, adapters, sizes, options })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Names that requests can choose.
    pub fn names(&self) -> Vec<&str> {
        self.names.names()
    }

    /// Completions at a time.
    pub fn rows(&self) -> usize {
        self.sizes.rows
    }

    /// Serves until the session is told to stop, and then finishes the answers under way. `ready` is called once.
    ///
    /// # Errors
    /// Those of the GPU, once all clients were told.
    pub fn run(self, session: &Session, ready: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        let (opened, model) = (session.opened(), session.model());
        let served = Arc::new(Adapters::new());
        for (choice, file) in self.options.choices.iter().zip(&self.adapters) {
            let lora =
                file.as_ref().map(|file| adapter::upload(model.gpu(), model.config(), file)).transpose()?;
            // One that is still to be made counts no questions.
            served.push(lora, choice.library.clone().filter(|place| Library::exists(place)));
        }
        let batch = Continuous::new(Arc::clone(model), self.sizes)?;
        let (jobs, received) = unbounded_channel();
        let school = self.options.learning.map(|learning| Arc::new(School::new(learning)));
        let head = self.options.choices.iter().position(|choice| choice.library.is_some());
        let teacher = school
            .as_ref()
            .zip(head)
            .map(|(school, place)| Teacher::new(session, Arc::clone(school), Arc::clone(&served), place + 1));
        let teacher = teacher.transpose()?;
        let (metrics, stopping) = (Arc::<Metrics>::default(), Arc::new(AtomicBool::new(false)));
        let app = Arc::new(App {
            names: self.names,
            language: Arc::clone(&opened.language),
            config: opened.config.clone(),
            advice: opened.advice,
            context: opened.context_length,
            forms: Forms::default(),
            access: self.access,
            queue: Arc::new(Semaphore::new(self.options.queue.clamp(1, Semaphore::MAX_PERMITS))),
            jobs,
            adapters: Arc::clone(&served),
            adapter_folder: self.options.adapter_folder,
            school,
            files: Files::default(),
            begun: Begun::default(),
            metrics: Arc::clone(&metrics),
            stopping: Arc::clone(&stopping),
        });
        let (listener, stop) = (self.listener, Arc::clone(&opened.cancel));
        let failed = |source| Error::Io {
            path: "server".into(),
            action: "start",
            source,
            hint: "close other programs, or raise the limits of processes and open files",
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let of_thread = Arc::clone(&stopping);
        let clients = std::thread::Builder::new().name("http".into()).spawn(move || {
            let outcome = runtime.block_on(listen(listener, router(app), stop, Arc::clone(&of_thread)));
            of_thread.store(true, Ordering::Relaxed);
            outcome
        });
        let clients = clients.map_err(failed)?;
        ready()?;
        let engine = Engine::new(batch, session, served, teacher, metrics, Arc::clone(&stopping));
        let outcome = engine.run(received);
        stopping.store(true, Ordering::Relaxed);
        let listened = clients.join().unwrap_or_else(|_| Err(std::io::Error::other("the thread panicked")));
        outcome.and(listened.map_err(failed))
    }
}

/// The place to listen at, and its address with the port that was found.
fn bind(options: &Options) -> Result<(TcpListener, SocketAddr)> {
    let failed = |source| Error::Io {
        path: format!("{}:{}", options.host, options.port).into(),
        action: "listen on",
        source,
        hint: "choose another port, or an address of this machine",
    };
    let addresses = (options.host.as_str(), options.port).to_socket_addrs().map_err(failed)?;
    let addresses: Vec<SocketAddr> = addresses.collect();
    if options.api_key.is_none() && !addresses.iter().all(|address| address.ip().is_loopback()) {
        let problem = format!("{} can be reached from other machines", options.host);
        return Err(Error::usage("host", problem, "give a key by <api_key_file>, or use 127.0.0.1"));
    }
    let listener = TcpListener::bind(addresses.as_slice()).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// The sizes that were asked for, or that fit; beside them a lesson, if there is room for one at all.
fn fitting(opened: &Opened, options: &mut Options, adapters: &[Option<AdapterFile>]) -> Result<Sizes> {
    let largest = adapters.iter().flatten().map(|file| adapter::layout(&opened.config, &file.config));
    let largest = largest.collect::<Result<Vec<_>>>()?.into_iter().max_by_key(|layout| layout.max_rank());
    let lesson = options.learning.as_ref().map(|learning| learning.fit(opened)).transpose()?;
    let fit = |lesson: Option<Fit>| {
        let mut rows = options.rows.unwrap_or(ROWS).max(1);
        loop {
            let sizes = Continuous::sizes(rows, opened.context_length, options.cache);
            let workload =
                Workload { adapter: largest.clone(), sampling: Some(sizes), ..Workload::default() };
            match opened.check_fit(&format!("serving {}", opened.name), &workload, lesson) {
                Err(Error::OutOfMemory { .. }) if options.rows.is_none() && rows > 1 => rows /= 2,
                outcome => return outcome.map(|()| sizes),
            }
        }
    };
    match fit(lesson) {
        Err(error @ Error::OutOfMemory { .. }) if lesson.is_some() => {
            let sizes = fit(None)?;
            let words = format!("there is no memory for lessons beside it: {error}");
            options.learning.iter_mut().for_each(|learning| learning.base = Err(words.clone()));
            Ok(sizes)
        }
        outcome => outcome,
    }
}
