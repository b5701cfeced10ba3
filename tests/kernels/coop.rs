//! Products by cooperative matrices, on an adapter that has them; scripts/coop.sh brings one.

use std::io::Write;
use std::sync::OnceLock;

use stepladder::gpu::{Coop, Gpu, GpuOptions};
use stepladder::kernel::matmul::{self as product, Product};
use stepladder::kernel::matmul_coop;
use stepladder::kernel::weight::{Format, Weight};

use crate::common::{self, read, run, words};
use crate::run_table;
use crate::table::matmul;

/// The device with its cooperative matrices; `None`, and a line that no test harness swallows, where it has none.
fn gpu(test: &str) -> Option<(&'static Gpu, Coop)> {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    let open =
        || common::open(&GpuOptions { f16: true, as_software: Some(false), ..GpuOptions::default() });
    let gpu = GPU.get_or_init(open);
    let coop = gpu.coop();
    if coop.is_none() {
        let name = &gpu.report().name;
        let line = format!("NOT TESTED: {test}: {name} has no cooperative matrices (see scripts/coop.sh)\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    coop.map(|coop| (gpu, coop))
}

#[test]
fn products_by_cooperative_matrices_match_their_reference() {
    let Some((gpu, coop)) = gpu("products by cooperative matrices") else { return };
    println!("{coop:?}");
    run_table(gpu, &[("matmul_coop", matmul::coop)]);
}
