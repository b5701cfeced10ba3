//! The tests test something: broken kernels and silly tolerances are rejected.

use stepladder::gpu::{Buffer, Kernel, Variant};
use stepladder::kernel;

use crate::common::{self, Dtype, Policy, Random, chi_square, close, wide};
use crate::reference;
use crate::table::matmul::params;

/// A kernel with one piece of its text replaced, in its first variant.
fn mutant(stem: &'static str, entry: &str, name: &'static str, from: &str, to: &str) -> (Kernel, Variant) {
    let (kernel, variant) =
        kernel::all().into_iter().find(|(kernel, _)| (kernel.stem, kernel.entry) == (stem, entry)).unwrap();
    let source = kernel.source.replace(from, to);
    assert_eq!(source == kernel.source, from == to, "{stem}: `{from}` is not in the shader");
    // The pipeline cache goes by name.
    (Kernel { stem: name, source: source.leak(), ..kernel }, variant)
}

/// Runs a kernel on these buffers and reads number `read`.
fn output<P: bytemuck::NoUninit>(
    (kernel, variant): &(Kernel, Variant),
    params: &P,
    data: &[(&[usize], &[f32])],
    read: usize,
    groups: u32,
) -> Vec<f32> {
    let gpu = common::gpu();
    let buffers: Vec<Buffer> =
        data.iter().map(|(shape, data)| gpu.upload("mutant", shape, data).unwrap()).collect();
    let arguments: Vec<&Buffer> = buffers.iter().collect();
    common::run(gpu, |rec| rec.dispatch(kernel, variant, params, &arguments, groups)).unwrap();
    common::read(gpu, &buffers[read])
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct NormParams {
    rows: u32,
    cols: u32,
    eps: f32,
    accumulate: u32,
}

#[test]
fn a_broken_norm_is_rejected() {
    let (rows, cols, eps) = (9, 72, 0.5);
    let mut random = Random::new(30);
    let (x, w) = (random.normal(rows * cols), random.normal(cols));
    let want = reference::rms_norm::forward(&wide(&x), &wide(&w), f64::from(eps));
    let params = NormParams { rows: rows as u32, cols: cols as u32, eps, accumulate: 0 };
    let blank = vec![f32::NAN; rows * cols];
    let shape = [rows, cols];
    let data: [(&[usize], &[f32]); 3] = [(&shape, &x), (&[cols], &w), (&shape, &blank)];
    let check = |name, from, to| {
        let kernel = mutant("rms_norm", "forward", name, from, to);
        close(
            &output(&kernel, &params, &data, 2, rows as u32),
            &want,
            Policy::of(Dtype::F32, cols).rows(cols),
        )
    };
    check("same", "p.eps", "p.eps").unwrap();
    for (name, from, to) in [
        ("eps_times_ten", "p.eps", "p.eps * 10.0"),
        ("eps_off_by_a_thousandth", "p.eps", "p.eps * 1.001"),
        ("mean_dropped", "/ f32(p.cols) + p.eps", "+ p.eps"),
        ("weight_dropped", "* rstd * w[c]", "* rstd"),
        (
            "last_column_dropped",
            "thread; c < p.cols; c += WG) {\n        let value = x",
            "thread; c + 1u < p.cols; c += WG) {\n        let value = x",
        ),
        ("last_rows_dropped", "row >= p.rows", "row + 2u >= p.rows"),
    ] {
        let text = check(name, from, to).expect_err(name);
        assert!(text.contains("worst at"), "{name}: {text}");
    }
}

#[test]
fn a_broken_product_is_rejected() {
    let (m, n, k) = (9, 13, 72);
    let mut random = Random::new(31);
    let (w, x) = (random.normal(n * k), random.normal(m * k));
    let want = reference::product::direct::forward(m, n, k, &wide(&w), &wide(&x));
    let params = params([m, n, k]);
    let blank = vec![f32::NAN; m * n];
    let unused: (&[usize], &[f32]) = (&[2], &[0.0; 2]);
    let data: [(&[usize], &[f32]); 5] = [(&[n, k], &w), unused, (&[m, k], &x), (&[m, n], &blank), unused];
    let check = |name, from, to| {
        let kernel = mutant("product/direct", "forward", name, from, to);
        close(&output(&kernel, &params, &data, 3, 4), &want, Policy::of(Dtype::F32, k))
    };
    check("same_product", "p.k / 8u", "p.k / 8u").unwrap();
    for (name, from, to) in [
        ("last_block_dropped", "l < p.k / 8u", "l < p.k / 8u - 1u"),
        ("wrong_half", "input8(x[at], x[at + 1u])", "input8(x[at], x[at])"),
        ("clamp_dropped_rows", "row + i < p.m", "row + i + 1u < p.m"),
    ] {
        check(name, from, to).expect_err(name);
    }
}

#[test]
fn silly_comparisons_are_refused() {
    let policy = Policy::of(Dtype::F32, 1);
    assert!(close(&[1.0, 2.0], &[1.0, 2.0], policy).is_ok());
    assert!(close(&[1.0, 2.0], &[1.0, 2.001], policy).is_err());
    assert!(close(&[], &[], policy).is_err(), "nothing compared");
    assert!(close(&[1.0], &[1.0, 1.0], policy).is_err(), "other lengths");
    assert!(close(&[f32::NAN], &[1.0], policy).is_err(), "not a number");
    assert!(close(&[f32::INFINITY], &[1.0], policy).is_err(), "infinite");
    assert!(close(&[f32::NAN], &[f64::NAN], policy).is_err(), "a reference that is not a number");
    assert!(close(&[1.0; 3], &[1.0; 3], policy.rows(2)).is_err(), "no whole rows");
    assert!(close(&[0.0, 1e-9], &[0.0, 0.0], policy).is_err(), "zero has no rounding");
    assert!(
        close(&[1.0], &[1.0], Policy::of(Dtype::F16, 1_000_000)).is_err(),
        "a bound that accepts nonsense"
    );
    // Half of the elementwise bound everywhere is too much for the whole.
    let bound = 8.0 * f64::from(f32::EPSILON) / 2.0;
    let off = |share: f64| [(1.0 + share * bound) as f32; 8];
    assert!(close(&off(0.3), &[1.0; 8], policy).is_ok());
    assert!(close(&off(0.9), &[1.0; 8], policy).unwrap_err().contains("L2"));
    let mut one = [1.0; 8];
    one[3] = off(0.9)[0];
    assert!(close(&one, &[1.0; 8], policy).is_ok());

    assert!(chi_square(&[500, 500], &[0.5, 0.5]).is_ok());
    assert!(chi_square(&[600, 400], &[0.5, 0.5]).is_err());
    assert!(chi_square(&[10, 0], &[1.0, 0.0]).is_err());
}
