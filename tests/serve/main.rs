//! `stepladder serve` as its clients meet it.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod answers;
mod client;
mod load;
mod refusals;
mod server;
