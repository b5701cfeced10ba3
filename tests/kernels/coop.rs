//! Products by cooperative matrices, on an adapter that has them; scripts/coop.sh brings one.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::OnceLock;

use pollster::block_on;
use stepladder::bench::tune::tune;
use stepladder::gpu::{Buffer, Gpu, GpuOptions, Kernel, Recorder, Variant};
use stepladder::kernel;
use stepladder::kernel::product::{
    self, By, Product, ROW_CLASSES, Segment, choice_key, choices, matrix_units,
};
use stepladder::kernel::weight::{Format, Weight};

use crate::common::{self, Policy, Random, close, read, run, wide};
use crate::table::{COOP, matmul};
use crate::{reference, run_table};

const PRODUCTS: [Product; 2] = [Product::Forward, Product::BackwardX];

fn options() -> GpuOptions {
    GpuOptions { f16: true, as_software: Some(false), ..GpuOptions::default() }
}

fn open() -> Gpu {
    common::open(&options())
}

/// The device; `None`, and a line that no test harness swallows, where it has no cooperative matrices.
fn gpu(test: &str) -> Option<&'static Gpu> {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    let gpu = GPU.get_or_init(open);
    if gpu.coop().is_none() {
        let name = &gpu.report().name;
        let line = format!("NOT TESTED: {test}: {name} has no cooperative matrices (see scripts/coop.sh)\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    gpu.coop().map(|_| gpu)
}

#[test]
fn kernels_with_cooperative_matrices_match_their_reference() {
    let Some(gpu) = gpu("kernels with cooperative matrices") else { return };
    println!("{:?}", gpu.coop());
    run_table(gpu, COOP);
}

#[test]
fn weights_of_several_parts_match_the_reference() {
    if gpu("weights of several parts").is_none() {
        return;
    }
    let gpu = common::open(&GpuOptions { max_binding: Some(1_000), ..options() });
    assert!(Weight::new(&gpu, "w", Format::Q4, 53, 64).unwrap().parts.len() > 1);
    run_table(&gpu, &[("product/matrix_units in parts", matmul::coop_split)]);
}

#[test]
fn every_tile_matches_the_reference() {
    if gpu("tiles with cooperative matrices").is_none() {
        return;
    }
    // The first one is what the table above runs.
    let most = PRODUCTS.map(|product| matrix_units::choices(&open(), product, 64)).into_iter().max().unwrap();
    for index in 1..most {
        let gpu = open();
        for product in PRODUCTS {
            for m in ROW_CLASSES.into_iter().filter(|&m| m > 8) {
                let (all, own) = (choices(&gpu, product, m), matrix_units::choices(&gpu, product, m));
                for format in Format::ALL {
                    gpu.choose(&choice_key(&gpu, product, format, m), all - own + index.min(own - 1));
                }
            }
        }
        run_table(&gpu, &[("matmul by the chosen tile", matmul::chosen)]);
    }
}

#[test]
fn cooperative_matrices_need_f16_and_more_than_default_limits() {
    for options in
        [GpuOptions::default(), GpuOptions { f16: true, default_limits: true, ..GpuOptions::default() }]
    {
        let gpu = common::open(&options);
        assert_eq!(gpu.coop(), None);
        assert_eq!(PRODUCTS.map(|product| matrix_units::choices(&gpu, product, 64)), [0, 0]);
    }
}

#[test]
fn tuning_takes_them_into_account_and_they_are_never_the_default() {
    let Some(shared) = gpu("tuning among tiles with cooperative matrices") else { return };
    let plain = common::open(&GpuOptions { as_software: Some(false), ..GpuOptions::default() });
    for (product, m) in PRODUCTS.into_iter().flat_map(|product| [9, 64].map(|m| (product, m))) {
        let own = matrix_units::choices(shared, product, m);
        assert!(own > 1, "{product:?} {m}");
        assert_eq!(choices(shared, product, m), choices(&plain, product, m) + own);
        assert_eq!(choices(shared, product, 8), choices(&plain, product, 8));
    }
    let gpu = open();
    let mut known = BTreeMap::new();
    block_on(tune(&gpu, &[Format::F32], &mut known)).unwrap();
    assert_eq!(known.len(), 2 * ROW_CLASSES.len());
    gpu.check().unwrap();
}

/// y = x · Wᵀ or dx = dy · W with an f32 matrix `[n, k]` of `w`.
fn multiply(gpu: &Gpu, which: Product, n: usize, k: usize, w: &[f32], x: &[f32]) -> Vec<f32> {
    let w = Weight::from_f32(gpu, "w", n, k, w).unwrap();
    let [from, to] = if which == Product::Forward { [k, n] } else { [n, k] };
    let m = x.len() / from;
    let (x, y) = (gpu.upload("x", &[m, from], x).unwrap(), gpu.buffer("y", &[m, to]).unwrap());
    run(gpu, |rec: &mut Recorder<'_>| match which {
        Product::Forward => product::forward_by(rec, By::MatrixUnits, &w, &x, &[Segment::plain(&y)], false),
        Product::BackwardX => {
            product::backward_x_by(rec, By::MatrixUnits, &w, &[Segment::plain(&x)], &y, false)
        }
    })
    .unwrap();
    read(gpu, &y)
}

fn expected(which: Product, m: usize, n: usize, k: usize, w: &[f32], x: &[f32]) -> Vec<f64> {
    match which {
        Product::Forward => reference::product::matrix_units::forward(m, n, k, &wide(w), &wide(x)),
        Product::BackwardX => reference::product::matrix_units::backward_x(m, n, k, &wide(w), &wide(x)),
    }
}

#[test]
fn rows_with_no_number_or_nothing_but_zeros_keep_to_themselves() {
    let Some(gpu) = gpu("rows that are not finite") else { return };
    let (m, n, k) = (18, 40, 40);
    let mut random = Random::new(40);
    let w = random.normal(n * k);
    for which in PRODUCTS {
        let mut x = random.normal(m * k);
        x[3 * k + 39] = f32::INFINITY;
        x[5 * k] = f32::NEG_INFINITY;
        x[7 * k + 11] = f32::NAN;
        x[9 * k..10 * k].fill(0.0);
        // Too small for a normal factor, the largest there is, and a row that f16 would lose next to its first number.
        x[11 * k..12 * k].iter_mut().for_each(|x| *x *= 1e-38);
        x[13 * k..14 * k].fill(0.0);
        x[13 * k + 1] = f32::MAX / 4.0;
        x[15 * k] = 1e8;
        let got = multiply(gpu, which, n, k, &w, &x);
        let finite: Vec<f32> = x.iter().map(|x| if x.is_finite() { *x } else { 0.0 }).collect();
        let want = expected(which, m, n, k, &w, &finite);
        for (row, (got, want)) in got.chunks(40).zip(want.chunks(40)).enumerate() {
            match row {
                3 | 5 | 7 => assert!(got.iter().all(|y| !y.is_finite()), "{which:?} row {row}: {got:?}"),
                9 => assert!(got.iter().all(|&y| y == 0.0), "{which:?} row {row}: {got:?}"),
                // What is below f32's normal numbers may be taken for zero.
                11 => assert!(got.iter().all(|y| y.abs() < 1e-36), "{which:?} row {row}: {got:?}"),
                13 if want.iter().any(|want| want.abs() > f64::from(f32::MAX)) => {
                    let wrong = |(got, want): (&f32, &f64)| {
                        want.abs() < f64::from(f32::MAX) && (f64::from(*got) / want - 1.0).abs() > 1e-3
                    };
                    assert!(!got.iter().zip(want).any(wrong), "{which:?} row {row}: {got:?} {want:?}");
                }
                _ => {
                    close(got, want, Policy::f16_products())
                        .unwrap_or_else(|e| panic!("{which:?} {row}: {e}"));
                }
            }
        }
    }
}

#[test]
fn weights_that_f16_cannot_hold_are_multiplied_by_other_kernels() {
    let Some(gpu) = gpu("weights beyond f16's range") else { return };
    let (m, n, k) = (20, 24, 32);
    let x = vec![1.0; m * n];
    for (weight, suits) in [(1e6, false), (65_504.0, true), (1.0 / 512.0, true), (1e-5, false), (0.0, false)]
    {
        let w = vec![weight; n * k];
        let got = multiply(gpu, Product::BackwardX, n, k, &w, &x);
        let want = expected(Product::BackwardX, m, n, k, &w, &x);
        if weight > 0.0 {
            close(&got, &want, Policy::f16_products()).unwrap_or_else(|error| panic!("{weight}: {error}"));
        }
        assert_eq!(Weight::from_f32(gpu, "w", n, k, &w).unwrap().suits_f16(), suits, "{weight}");
    }
    // A bound of what the blocks stand for, from any row on.
    let inf = [0x7c00_0000u32; 1];
    for (format, word, scale, suits) in [
        (Format::F16, 0x3c00_3c00, None, true),
        (Format::F16, inf[0], None, false),
        (Format::F16, 0xfe00, None, false),
        (Format::F32, f32::NAN.to_bits(), None, false),
        (Format::Q8, 1, Some([1.0, 0.0]), true),
        (Format::Q8, 1, Some([600.0, 0.0]), false),
        (Format::Q8, 1, Some([0.0, -70_000.0]), false),
        (Format::Q8x2, 1, Some([0.0, 600.0]), false),
        (Format::Iq4, 1, Some([0.0, 600.0]), false),
        (Format::Iq4, 1, Some([60.0, 60.0]), true),
        (Format::Nf4, 1, Some([0.0, 70_000.0]), false),
        (Format::Nf4, 1, Some([60_000.0, 600.0]), true),
        (Format::Q2x2, 1, Some([600.0, 0.0]), true),
        (Format::Q2x2, 1, Some([0.0, 30_000.0]), false),
        (Format::Q2x2, f32::INFINITY.to_bits(), Some([600.0, 0.0]), false),
        (Format::Q4, 1, Some([-600.0, 100.0]), true),
        (Format::Q4, 1, Some([-5_000.0, 0.0]), false),
    ] {
        let w = Weight::new(gpu, "w", format, 2, 32).unwrap();
        let count = 32 / format.values_per_word();
        let scales = |scale: Option<[f32; 2]>| scale.map(|scale| vec![scale]).unwrap_or_default();
        w.write_rows(gpu, 1, &vec![word; count], &scales(scale)).unwrap();
        w.write_rows(gpu, 0, &vec![0; count], &scales(scale.map(|_| [0.0; 2]))).unwrap();
        assert_eq!(w.suits_f16(), suits, "{format:?} {word:x} {scale:?}");
    }
}

/// The kernel with one piece of its text replaced, in its variant for f32 weights on this device. `vectors`: with tiles of
/// vectors in workgroup memory or of single numbers.
fn mutant(
    gpu: &Gpu,
    entry: &str,
    name: &'static str,
    vectors: bool,
    from: &str,
    to: &str,
) -> (Kernel, Variant) {
    let coop = gpu.coop().unwrap();
    let side = if coop.side == 8 { "coop8" } else { "coop16" };
    let wanted = |kernel: &Kernel, variant: &Variant| {
        (kernel.stem, kernel.entry) == ("product/matrix_units", entry)
            && ["weight_f32", "plain", side].iter().all(|import| variant.imports.contains(import))
    };
    let (kernel, mut variant) =
        kernel::all().into_iter().find(|(kernel, variant)| wanted(kernel, variant)).unwrap();
    for import in &mut variant.imports {
        if import.starts_with("tiles_f16") {
            *import = if vectors { "tiles_f16x4" } else { "tiles_f16" };
        }
    }
    for (constant, value) in &mut variant.constants {
        // The tests' variants have four subgroups for few rows.
        if *constant == "WG" {
            *value = 4 * coop.lanes as u32;
        }
    }
    let source = kernel.source.replace(from, to);
    assert_eq!(source == kernel.source, from == to, "`{from}` is not in the shader");
    (Kernel { stem: name, source: source.leak(), ..kernel }, variant)
}

/// (name, text, replacement); what only one of the two entry points has is tried with that one. None may leave workgroup
/// memory unwritten, where an earlier run may have left what is right.
const BROKEN: &[(&str, &str, &str)] = &[
    ("largest_dropped_forward", "max(own[t], largest(", "max(0u, largest("),
    ("largest_dropped_backward", "max(own[t], size(", "max(0u, size("),
    ("of_one_lane", "subgroupMax(own[t])", "own[t]"),
    ("of_one_row", "subgroupMax(own[t])", "subgroupMax(own[0])"),
    ("factor_of_another_row", "factor(i)", "factor(0u)"),
    ("divisor_dropped", " * divisor(block_row)", ""),
    ("factor_twice", "(268u - most[row])", "(269u - most[row])"),
    ("last_step_dropped_forward", "start < p.k; start", "start + DEPTH < p.k; start"),
    ("last_step_dropped_backward", "start < p.n; start", "start + DEPTH < p.n; start"),
    ("end_of_row_dropped_forward", ", l < k4)", ", true)"),
    ("end_of_row_dropped_backward", ", j < vec4<u32>(p.n))", ", j <= vec4<u32>(p.n))"),
    ("wrong_half", "put_b(at + 4u, weight[1])", "put_b(at + 4u, weight[0])"),
    ("other_layout_forward", "coopLoad<Right>(&tile_b[((my", "coopLoadT<Right>(&tile_b[((my"),
    ("other_layout_backward", "coopLoadT<Right>(&tile_b[(d", "coopLoad<Right>(&tile_b[(d"),
    ("left_turned", "coopLoadT<Left>", "coopLoad<Left>"),
    ("first_piece_only", "d * SIDE", "0u * SIDE"),
    ("other_column", "staged_col(u, j)", "staged_col(u, 0u)"),
    ("other_row", "staged_row(u, i)", "(staged_row(u, i) ^ 1u)"),
    ("last_row_dropped", "row < p.m &&", "row + 1u < p.m &&"),
    ("sum_forgotten", "right[j], sum[i * FN + j]);", "right[j], sum[0]);"),
];

#[test]
fn broken_products_are_rejected() {
    let Some(gpu) = gpu("broken products") else { return };
    // So long that each of 64 lanes, the most that a subgroup has, sees several numbers of a row.
    let (m, n, k) = (18, 170, 776);
    let mut random = Random::new(41);
    let (w, mut forward_x, mut backward_x) =
        (random.normal(n * k), random.normal(m * k), random.normal(m * n));
    for x in [&mut forward_x, &mut backward_x] {
        let cols = x.len() / m;
        for (row, x) in x.chunks_mut(cols).enumerate() {
            // The largest number is neither the first nor the last, and every row has its own size.
            x[cols / 2] = 30.0;
            x.iter_mut().for_each(|x| *x *= 4f32.powi(row as i32 - 8));
        }
    }
    let check = |which: Product, name, vectors, from, to| {
        let (entry, x) = match which {
            Product::Forward => ("forward", &forward_x),
            Product::BackwardX => ("backward_x", &backward_x),
        };
        let (kernel, variant) = mutant(gpu, entry, name, vectors, from, to);
        let constant = |wanted: &str| {
            let found = variant.constants.iter().find(|(name, _)| *name == wanted);
            found.unwrap().1 as usize
        };
        let [x_cols, y_cols] = if which == Product::Forward { [k, n] } else { [n, k] };
        let groups = m.div_ceil(constant("BM")) * y_cols.div_ceil(constant("BN"));
        let upload =
            |shape: &[usize], values: &[f32]| -> Buffer { gpu.upload("mutant", shape, values).unwrap() };
        let y = upload(&[m, y_cols], &vec![f32::NAN; m * y_cols]);
        let (weights, input, unused) =
            (upload(&[n, k], &w), upload(&[m, x_cols], x), upload(&[2], &[0.0; 2]));
        let arguments = &[&weights, &unused, &input, &y, &unused][..kernel.bindings.len()];
        let params = matmul::params([m, n, k]);
        run(gpu, |rec| rec.dispatch(&kernel, &variant, &params, arguments, groups as u32)).unwrap();
        let want = expected(which, m, n, k, &w, x);
        let got = read(gpu, &y);
        let rows = got.chunks(y_cols).zip(want.chunks(y_cols));
        rows.map(|(got, want)| close(got, want, Policy::f16_products())).collect::<Result<Vec<f64>, _>>()
    };
    for which in PRODUCTS {
        for vectors in [true, false].into_iter().filter(|vectors| *vectors || gpu.coop().unwrap().side == 8) {
            let name = if vectors { "same_coop_vectors" } else { "same_coop_numbers" };
            check(which, name, vectors, "p.k", "p.k").unwrap();
        }
    }
    for &(name, from, to) in BROKEN {
        for which in PRODUCTS {
            let other = if which == Product::Forward { "_backward" } else { "_forward" };
            if !name.ends_with(other) {
                check(which, name, true, from, to).expect_err(name);
            }
        }
    }
}
