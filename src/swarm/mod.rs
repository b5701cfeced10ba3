//! Completions of a run that other machines draw, over a NATS server with JetStream: the trainer's side, the worker's, and a look
//! at both.
//!
//! A run has a name `r`. Its tasks are a work queue (`SL_r_TASK`), its answers a log (`SL_r_RESULT`), its adapters objects under
//! their hashes (`sl_r_adapter`); who leads it, on what base, and who works for it are keys (`sl_r_run`, `sl_r_work`). The
//! checkpoint of the trainer is the truth: all of these may be lost, and are made anew from it.
//!
//! Nobody's clock counts, and nothing a server or a worker says is trusted in more than what [`crate::ladder::remote`] checks.

mod announcement;
mod leader;
mod link;
mod names;
mod server;
mod status;
mod trainer;
mod worker;

pub use announcement::Announcement;
pub use names::{is_name, name};
pub use server::Connection;
pub use status::{RunStatus, WorkerStatus, status};
pub use trainer::{Join, Trainer};
pub use worker::{News, Work, work};

use crate::ladder::remote::message::Terms;
use crate::session::Opened;

/// What trainer and workers hold messages to.
pub fn terms(opened: &Opened, announcement: &Announcement) -> Terms {
    Terms {
        base: announcement.hash(),
        vocab_size: opened.config.vocab_size,
        context: opened.context_length,
        stops: opened.config.eos_token_ids.clone(),
    }
}
