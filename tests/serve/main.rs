//! `stepladder serve` as its clients meet it.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod answers;
mod client;
mod forms;
mod learning;
mod load;
#[allow(dead_code, reason = "the tests of other commands use more of it")]
#[path = "../cli_models/program.rs"]
mod program;
mod refusals;
mod schemas;
mod server;
mod tools;
mod tuning;
