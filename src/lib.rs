//! Language models that teach themselves, on the GPU at hand.
//!
//! A program of one's own begins with [`session`]. Layers, each using only those below it:
//! [`session`] (a model that is ready to work: open, generate, score, train, LADDER) and
//! [`lessons`] (a library of what was taught, exams, the gate) use [`ladder`] (problem tree, curriculum, runs), which uses [`task`] (problems and verifiers, CPU only) and
//! [`train`] (losses, backward pass, LoRA, optimizer), which uses [`model`] (weights, forward pass,
//! sampling), which uses [`kernel`] (one file per shader), which uses [`gpu`] (the only one that names wgpu).
//! [`settings`] (every setting as a row of one table) is below [`ladder`]; [`bench`] measures all but these.

#![cfg_attr(
    target_arch = "wasm32",
    allow(
        clippy::arc_with_non_send_sync,
        reason = "natively these are shared between threads; a browser's module has one"
    )
)]

#[cfg(not(target_arch = "wasm32"))]
pub mod bench;
pub mod error;
pub mod gpu;
mod json;
pub mod kernel;
pub mod ladder;
pub mod lessons;
pub mod model;
pub mod session;
pub mod settings;
pub mod task;
pub mod train;
#[cfg(target_arch = "wasm32")]
pub mod wasm;

pub use error::{Error, Result};
