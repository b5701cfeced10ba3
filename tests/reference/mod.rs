//! What each kernel should compute: plain f64 loops, one file per shader, no constants of their own.

#![allow(unreachable_pub, reason = "a module of the test binaries that include it")]

pub mod adamw;
pub mod adjust;
pub mod attention;
pub mod embed;
pub mod gather;
pub mod kv_write;
pub mod log_softmax;
pub mod lora;
pub mod peak;
pub mod peak_coop;
pub mod product;
pub mod rms_norm;
pub mod rope;
pub mod sample;
pub mod swiglu;
