//! The LADDER loop without a GPU: a mock policy whose pass rate by difficulty rises with positive advantages.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod curriculum;
mod folder;
mod learning;
mod mock;
mod remote;
mod report;
mod resume;
mod rewards;
mod shots;
mod study;
mod test_time;
