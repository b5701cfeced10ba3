//! LoRA (Hu et al., 2021) for all modules that read the same input: y += scale·B·A·x.
//!
//! [`down`] is the first half A·x, [`up`] the second, which joins the product with W; [`grad`] the gradients of A and B,
//! `grad_lanes` their kernels for software adapters. [`site`] says where a module's matrices lie.

pub mod down;
pub mod grad;
mod grad_lanes;
pub mod site;
mod tile;
pub mod up;
