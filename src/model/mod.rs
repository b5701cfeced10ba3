//! Models: configuration, families, weights, tokenizer and chat template.

pub mod chat;
pub mod config;
pub mod family;
pub mod pack;
pub mod source;
pub mod tokenizer;
