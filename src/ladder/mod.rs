//! LADDER: a model writes easier variants of problems that it cannot solve, a verifier scores its attempts, and a
//! policy gradient turns the scores into adapter updates (arXiv 2503.00735).
//!
//! The loop sees a model only through [`policy::Policy`] and a domain only through [`crate::task::Task`], so it runs
//! without a GPU in tests and unchanged in a browser.

pub mod base;
pub mod changes;
mod checks;
mod climb;
pub mod curriculum;
pub mod eval;
pub mod events;
mod group;
pub mod learner;
pub mod library;
pub mod policy;
pub mod presets;
pub mod remote;
pub mod report;
pub mod resume;
pub mod reward;
pub mod run;
#[cfg(not(target_arch = "wasm32"))]
pub mod run_folder;
#[cfg(not(target_arch = "wasm32"))]
mod run_log;
pub mod settings;
pub mod shots;
pub mod state;
pub mod stats;
mod step;
#[cfg(not(target_arch = "wasm32"))]
pub mod study;
pub mod tree;
pub mod ttrl;
mod units;
pub mod variants;
pub mod vote;
