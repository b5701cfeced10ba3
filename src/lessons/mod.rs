//! A model that keeps learning: lessons, one after the other, each learnt, examined, and accepted only if it was learnt and
//! nothing else was lost. Any of them can be taken back.
//!
//! [`library`] keeps them in its [`store`], [`ledger`] what happened to them, [`standing`] says what counts. [`course`] takes a
//! lesson from its [`fact`]s by [`learn`] and [`exam`] to the [`gate`]; the [`board`] shows what was learnt, kept, forgotten and
//! paid.

pub mod anchors;
#[cfg(not(target_arch = "wasm32"))]
pub mod archive;
pub mod begin;
pub mod blend;
pub mod board;
pub mod canonical;
pub mod card;
mod conversations;
pub mod course;
pub mod decide;
pub mod document;
pub mod exam;
pub mod examination;
pub mod fact;
pub mod feedback;
#[cfg(not(target_arch = "wasm32"))]
pub mod folder;
pub mod gate;
pub mod generate;
pub mod grade;
mod heads;
pub mod learn;
pub mod ledger;
pub mod library;
pub mod metrics;
pub mod neighbours;
pub mod notes;
pub mod outcome;
pub mod pack;
pub mod paired;
pub mod pairs;
pub mod payback;
pub mod preferences;
pub mod propose;
pub mod records;
pub mod repair;
pub mod rows;
pub mod runs;
pub mod settings;
pub mod source;
pub mod standing;
pub mod store;
#[cfg(not(target_arch = "wasm32"))]
pub mod study;
pub mod transfer;
#[cfg(test)]
mod typescript;
