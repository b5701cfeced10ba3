//! Files that clients uploaded to train on, and the jobs that were begun with them. They are kept in memory until the server ends;
//! what a lesson learns from is then in the library.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::body::Outcome;
use super::fresh::{fresh, now};
use super::refusal::Refusal;

/// Most bytes of all files together, and most files.
const MAX_BYTES: usize = 64 << 20;
const MAX_FILES: usize = 100;

/// One file.
#[derive(Debug, Clone)]
pub(super) struct File {
    id: String,
    pub(super) name: String,
    created: u64,
    pub(super) bytes: Arc<[u8]>,
}

impl File {
    /// What is told of it.
    pub(super) fn told(&self) -> Value {
        json!({
            "id": self.id, "object": "file", "bytes": self.bytes.len(), "created_at": self.created,
            "filename": self.name, "purpose": "fine-tune", "status": "processed",
        })
    }
}

/// The files that were uploaded, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Files(Mutex<Vec<File>>);

impl Files {
    /// All of them.
    pub(super) fn held(&self) -> MutexGuard<'_, Vec<File>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file of this name.
    ///
    /// # Errors
    /// A refusal where there is none.
    pub(super) fn get(&self, id: &str) -> Result<File, Refusal> {
        self.held().iter().find(|file| file.id == id).cloned().ok_or_else(|| unknown(id))
    }

    /// Keeps a file, and gives what is told of it.
    ///
    /// # Errors
    /// A refusal where there is no room.
    pub(super) fn put(&self, name: String, bytes: Vec<u8>) -> Result<Value, Refusal> {
        let mut held = self.held();
        let all = held.iter().map(|file| file.bytes.len()).sum::<usize>() + bytes.len();
        if held.len() >= MAX_FILES || all > MAX_BYTES {
            let message = format!(
                "the server keeps {MAX_FILES} files of {MAX_BYTES} bytes together at most; delete some first"
            );
            return Err(Refusal::new(StatusCode::INSUFFICIENT_STORAGE, "too_many_files", message));
        }
        let file = File { id: format!("file-{:016x}", fresh()), name, created: now(), bytes: bytes.into() };
        let told = file.told();
        held.push(file);
        Ok(told)
    }

    /// Forgets a file.
    ///
    /// # Errors
    /// A refusal where there is none.
    pub(super) fn delete(&self, id: &str) -> Outcome {
        let mut held = self.held();
        let place = held.iter().position(|file| file.id == id).ok_or_else(|| unknown(id))?;
        held.remove(place);
        Ok(json!({ "id": id, "object": "file", "deleted": true }))
    }
}

fn unknown(id: &str) -> Refusal {
    let shown: String = id.chars().take(80).collect();
    let message = format!("there is no file {shown:?}; files are kept until the server ends: upload it anew");
    Refusal::new(StatusCode::NOT_FOUND, "file_not_found", message)
}

/// What is known of the jobs that this process began, by the names of their lessons.
#[derive(Debug, Default)]
pub(super) struct Begun(Mutex<BTreeMap<String, Job>>);

/// A job of this process.
#[derive(Debug, Clone)]
pub(super) struct Job {
    /// When, in seconds since 1970.
    pub(super) created: u64,
    pub(super) model: String,
    pub(super) file: String,
}

impl Begun {
    /// Remembers a job by the name of its lesson.
    pub(super) fn put(&self, name: &str, job: Job) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), job);
    }

    /// The job of this lesson.
    pub(super) fn get(&self, name: &str) -> Option<Job> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}
