//! Products in 16-bit floats.

use stepladder::gpu::{Gpu, GpuOptions};
use stepladder::kernel::product;
use stepladder::kernel::weight::{Format, Weight};

use crate::common::{self, Random, read, read_words, run, words};
use crate::run_table;
use crate::table::matmul::{self, Packed};

/// A product of ones with weights that f16 cannot hold.
fn large_weights(gpu: &Gpu, k: usize) -> f32 {
    let w = Weight::new(gpu, "w", Format::F32, 1, k).unwrap();
    w.write_rows(gpu, 0, &words(&vec![1e6; k]), &[]).unwrap();
    let x = gpu.upload("x", &[1, k], &vec![1f32; k]).unwrap();
    let y = gpu.buffer("y", &[1, 1]).unwrap();
    run(gpu, |rec| product::forward(rec, &w, &x, &y, None, false)).unwrap();
    read(gpu, &y)[0]
}

/// The words of one product on `gpu`, the same on every call.
fn sample_product(gpu: &Gpu, m: usize) -> Vec<u32> {
    let (mut random, n, k) = (Random::new(14), 30, 96);
    let w = Packed::random(&mut random, Format::F32, n, k).upload(gpu).unwrap();
    let x = gpu.upload("x", &[m, k], &random.normal(m * k)).unwrap();
    let y = gpu.buffer("y", &[m, n]).unwrap();
    run(gpu, |rec| product::forward(rec, &w, &x, &y, None, false)).unwrap();
    read_words(gpu, &y)
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
            let differs = sample_product(&full, m) != sample_product(&half, m);
            assert_eq!(differs, offered, "m {m}, variants for software {software}");
        }
        // What f16 clamps stays finite.
        let weight = if offered { 500.0 } else { 1e6 };
        assert_eq!(large_weights(&half, 32), 32.0 * weight);
        assert_eq!(large_weights(&full, 32), 32.0 * 1e6);
    }
}
