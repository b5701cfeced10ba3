//! A described study: one model, one task, several arms, several seeds, equal token budgets, one table.
//!
//! [`plan::Study`] is the description (a TOML file), [`run::run`] does the jobs that are not done yet, each in a folder of its own,
//! and [`results::Results`] is what they came to, from which [`table`] and [`plots`] are made and nothing else. Native only: it keeps
//! its jobs as files, so that a killed study goes on where it was.

pub(crate) mod drift;
mod job;
pub mod lab;
pub mod plan;
pub mod plots;
pub(crate) mod records;
pub mod results;
pub mod run;
pub mod table;
