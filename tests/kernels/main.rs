//! Every kernel on the GPU against its f64 reference: one table of cases, one mechanism.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../reference/mod.rs"]
mod reference;

mod attention;
mod case;
mod decode;
mod gradients;
mod lora;
mod matmul;
mod mutation;
mod peak;
mod rows;
mod sample;
mod sample_random;
mod shapes;
mod update;

use std::collections::BTreeSet;

use case::Case;
use stepladder::gpu::{Gpu, GpuOptions};
use stepladder::kernel::weight::{Format, Weight};

/// The stem of a shader and the cases of its kernels.
type Row = (&'static str, fn() -> Vec<Case>);

/// Every kernel.
const TABLE: &[Row] = &[
    ("adamw", update::adamw),
    ("add_bias", rows::add_bias),
    ("attention", attention::cases),
    ("decode_attention", decode::decode_attention),
    ("embed", matmul::embed),
    ("gather", rows::gather),
    ("gemm", update::gemm),
    ("kv_write", decode::kv_write),
    ("log_softmax", rows::log_softmax),
    ("lora", lora::down),
    ("matmul", matmul::cases),
    ("matmul_tiled", matmul::tiled),
    ("peak", peak::cases),
    ("rms_norm", rows::rms_norm),
    ("rope", rows::rope),
    ("sample", sample::cases),
    ("swiglu", rows::swiglu),
];

/// Runs a table, prints the worst error of each kernel and fails with every case that is out of bounds.
fn run_table(gpu: &Gpu, table: &[Row]) {
    let mut failures = Vec::new();
    println!("{} ({})", gpu.report().name, gpu.report().driver);
    for (stem, cases) in table {
        let mut worst = (0.0, "");
        let cases = cases();
        for case in &cases {
            match case.run(gpu) {
                Ok(ratio) if ratio > worst.0 => worst = (ratio, case.name.as_str()),
                Ok(_) => {}
                Err(problem) => failures.push(format!("{stem}: {}: {problem}", case.name)),
            }
        }
        println!("{stem:20} {:4} cases, worst error / bound {:.3} {}", cases.len(), worst.0, worst.1);
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_kernel_matches_its_reference() {
    run_table(common::gpu(), TABLE);
}

#[test]
fn every_kernel_matches_its_reference_under_default_limits() {
    run_table(common::gpu_default_limits(), TABLE);
}

#[test]
fn every_kernel_matches_its_reference_in_the_other_kind_of_adapters_variants() {
    let other = !common::gpu().is_software();
    let options = GpuOptions { as_software: Some(other), ..GpuOptions::default() };
    run_table(&common::open(&options), TABLE);
}

#[test]
fn the_table_has_every_kernel() {
    let stems: BTreeSet<&str> = stepladder::kernel::all().iter().map(|(kernel, _)| kernel.stem).collect();
    assert_eq!(TABLE.iter().map(|entry| entry.0).collect::<BTreeSet<_>>(), stems);
    for (stem, cases) in TABLE {
        assert!(!cases().is_empty(), "{stem} has no case");
    }
}

#[test]
fn a_weight_larger_than_a_binding_is_split() {
    const MAX: u64 = 1_000;
    let gpu = common::open(&GpuOptions { max_binding: Some(MAX), ..GpuOptions::default() });
    for format in Format::ALL {
        let weight = Weight::new(&gpu, "w", format, 53, 64).unwrap();
        assert!(weight.parts.len() > 1, "{format:?} is not split");
        assert!(weight.parts.iter().all(|part| part.words.bytes() <= MAX && part.scales.bytes() <= MAX));
        assert_eq!(weight.parts.iter().map(|part| part.rows).sum::<usize>(), 53);
    }
    run_table(&gpu, &[("matmul and embed", matmul::split)]);
}

#[test]
fn products_in_f16_match_their_reference() {
    for software in [true, false] {
        let options = GpuOptions { f16: true, as_software: Some(software), ..GpuOptions::default() };
        run_table(&common::open(&options), &[("matmul in f16", matmul::f16)]);
    }
}

#[test]
fn f16_is_another_arithmetic_where_the_adapter_has_it_and_changes_nothing_where_it_has_not() {
    for software in [true, false] {
        let open =
            |f16| common::open(&GpuOptions { f16, as_software: Some(software), ..GpuOptions::default() });
        let (full, half) = (open(false), open(true));
        let offered = half.report().features.contains(&"shader-f16");
        assert!(!full.has_f16());
        assert_eq!(half.has_f16(), offered);
        // One row, a few, many: other kernels and tiles.
        for m in [1, 5, 20] {
            let differs = matmul::sample_product(&full, m) != matmul::sample_product(&half, m);
            assert_eq!(differs, offered, "m {m}, variants for software {software}");
        }
        // What f16 clamps stays finite.
        let weight = if offered { 500.0 } else { 1e6 };
        assert_eq!(matmul::large_weights(&half, 32), 32.0 * weight);
        assert_eq!(matmul::large_weights(&full, 32), 32.0 * 1e6);
    }
}
