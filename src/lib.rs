//! Language models that teach themselves, on the GPU at hand.
//!
//! A program of one's own begins with [`session`]. What this documentation shows keeps its names within a major version. The rest is public for
//! the program, the tests and the benchmarks, and changes as they do; `RUSTDOCFLAGS="--cfg internals" cargo doc` shows it too.
//!
//! Layers, each using only those below it:
//! [`session`] (a model that is ready to work: open, generate, score, train, LADDER) and
//! [`lessons`] (a library of what was taught, exams, the gate) use [`ladder`] (problem tree, curriculum, runs), which uses [`task`] (problems and verifiers, CPU only) and
//! [`train`] (losses, backward pass, LoRA, optimizer), which uses [`model`] (weights, forward pass,
//! sampling), which uses [`kernel`] (one file per shader), which uses [`gpu`] (the only one that names wgpu).
//! [`mod@serve`] (an HTTP server) stands on [`session`] as the program does; so does `swarm` (other machines draw completions), a
//! feature of its own.
//! [`settings`] (every setting as a row of one table) is below [`ladder`]; [`mod@bench`] measures all but these.

#![cfg_attr(
    target_arch = "wasm32",
    allow(
        clippy::arc_with_non_send_sync,
        reason = "natively these are shared between threads; a browser's module has one"
    )
)]

#[cfg(not(target_arch = "wasm32"))]
#[cfg_attr(all(doc, not(internals)), doc(hidden))]
pub mod bench;
pub mod error;
#[cfg_attr(all(doc, not(internals)), doc(hidden))]
pub mod gpu;
mod json;
#[cfg_attr(all(doc, not(internals)), doc(hidden))]
pub mod kernel;
#[cfg_attr(all(doc, not(internals)), doc(hidden))]
pub mod ladder;
#[cfg_attr(all(doc, not(internals)), doc(hidden))]
pub mod lessons;
#[cfg_attr(all(doc, not(internals)), doc(hidden))]
pub mod model;
#[cfg_attr(all(doc, not(internals)), doc(hidden))]
pub mod random;
#[cfg(not(target_arch = "wasm32"))]
#[cfg_attr(all(doc, not(internals)), doc(hidden))]
pub mod serve;
pub mod session;
#[cfg_attr(all(doc, not(internals)), doc(hidden))]
pub mod settings;
#[cfg(all(feature = "swarm", not(target_arch = "wasm32")))]
#[cfg_attr(all(doc, not(internals)), doc(hidden))]
pub mod swarm;
pub mod task;
#[cfg_attr(all(doc, not(internals)), doc(hidden))]
pub mod train;
#[cfg(target_arch = "wasm32")]
pub mod wasm;

pub use error::{Error, Result};

/// The README, whose example in Rust is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
