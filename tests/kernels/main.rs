//! Every kernel on the GPU against its f64 reference: one table of cases, one mechanism.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../reference/mod.rs"]
mod reference;

mod attention;
mod case;
mod matmul;
mod rows;

use std::collections::BTreeSet;

use case::Case;
use stepladder::gpu::Gpu;

/// The cases of every kernel, by the stem of its shader.
const TABLE: &[(&str, fn() -> Vec<Case>)] =
    &[("attention", attention::cases), ("matmul", matmul::cases), ("rms_norm", rows::rms_norm)];

/// Runs the whole table, prints the worst error of each kernel and fails with every case that is out of bounds.
fn run_table(gpu: &Gpu) {
    let mut failures = Vec::new();
    println!("{} ({})", gpu.report().name, gpu.report().driver);
    for (stem, cases) in TABLE {
        let mut worst = 0.0f64;
        let cases = cases();
        for case in &cases {
            match case.run(gpu) {
                Ok(ratio) => worst = worst.max(ratio),
                Err(problem) => failures.push(format!("{stem}: {}: {problem}", case.name)),
            }
        }
        println!("{stem:20} {:4} cases, worst error / bound {worst:.3}", cases.len());
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_kernel_matches_its_reference() {
    run_table(common::gpu());
}

#[test]
fn every_kernel_matches_its_reference_under_default_limits() {
    run_table(common::gpu_default_limits());
}

#[test]
fn the_table_has_every_kernel() {
    let stems: BTreeSet<&str> = stepladder::kernel::all().iter().map(|(kernel, _)| kernel.stem).collect();
    assert_eq!(TABLE.iter().map(|entry| entry.0).collect::<BTreeSet<_>>(), stems);
    for (stem, cases) in TABLE {
        assert!(!cases().is_empty(), "{stem} has no case");
    }
}
