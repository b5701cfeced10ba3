//! Every kernel on the GPU against its f64 reference: one table of cases, one mechanism. `tests/browser` runs the same table in
//! a browser.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../reference/mod.rs"]
mod reference;

mod coop;
mod emulated;
mod f16;
mod gradients;
mod mutation;
mod room;
mod sample_random;
mod shapes;
mod table;

use std::collections::BTreeSet;

use pollster::block_on;
use stepladder::gpu::{Gpu, GpuOptions};
use stepladder::kernel::product::{Product, ROW_CLASSES, choice_key, choices};
use stepladder::kernel::weight::{Format, Weight};
use table::{COOP, Outcome, Row, TABLE, few, matmul};

/// Runs a table, prints the worst error of each kernel and fails with every case that is out of bounds.
fn run_table(gpu: &Gpu, table: &[Row]) {
    let mut failures = Vec::new();
    println!("{} ({})", gpu.report().name, gpu.report().driver);
    for (stem, cases) in table {
        let Outcome { cases, worst, worst_at, failures: failed } = block_on(table::run(gpu, &cases()));
        println!("{stem:24} {cases:4} cases, worst error / bound {worst:.3} {worst_at}");
        failures.extend(failed.into_iter().map(|failure| format!("{stem}: {failure}")));
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
fn every_tile_of_a_gpu_matches_its_reference() {
    let open = || common::open(&GpuOptions { as_software: Some(false), ..GpuOptions::default() });
    let products = [Product::Forward, Product::BackwardX];
    let most = products.map(|product| choices(&open(), product, 64)).into_iter().max().unwrap();
    // The first one is what the tables run.
    for index in 1..most {
        let gpu = open();
        for product in products {
            for m in ROW_CLASSES {
                // Every other format: how values are unpacked and how tiles are walked are texts of their own.
                for format in Format::ALL.into_iter().skip(index % 2).step_by(2) {
                    gpu.choose(&choice_key(&gpu, product, format, m), index);
                }
            }
        }
        run_table(&gpu, &[("product by the chosen tile", matmul::chosen_f32)]);
    }
}

#[test]
fn the_table_has_every_kernel() {
    let stems: BTreeSet<&str> = stepladder::kernel::all().iter().map(|(kernel, _)| kernel.stem).collect();
    let table = [TABLE, COOP].concat();
    assert_eq!(table.iter().map(|entry| entry.0).collect::<BTreeSet<_>>(), stems);
    for (stem, cases) in table {
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
    let tables = [("matmul and embed", matmul::split as fn() -> _), ("product/few_rows", few::cases)];
    run_table(&gpu, &tables);
    let options = GpuOptions { max_binding: Some(MAX), as_software: Some(false), ..GpuOptions::default() };
    run_table(&common::open(&options), &tables);
}
