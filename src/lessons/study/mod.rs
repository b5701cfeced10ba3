//! The study of what lessons keep: the same lessons in the same order by several ways of learning, one table.
//!
//! [`plan::Study`] is the description (a TOML file), [`run::run`] does what is not done yet, [`results::Results`] is what it came to, from
//! which [`claims`], [`table`] and [`plots`] are made and nothing else. The design is continual learning's: every way learns the
//! same made-up lessons ([`super::generate`]), is examined on all of them after each, and forgets what it forgets.

pub mod claims;
mod job;
pub mod lab;
pub mod merge;
pub mod plan;
pub mod plots;
pub mod results;
pub mod run;
pub mod table;
