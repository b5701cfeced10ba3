//! The products of shaders/product/matrix_units.wgsl with cooperative matrices replaced by plain loops in f32, on any adapter with
//! subgroups: all but the matrices themselves, also for sides and sizes of subgroups that the adapter has not.

use std::io::Write;

use stepladder::gpu::{Buffer, Gpu, GpuOptions, Kernel, Variant};
use stepladder::kernel;

use crate::common::{self, Dtype, Policy, Random, close, read, run, wide};
use crate::reference;
use crate::table::matmul::params;

/// Factors are places in the tiles with the steps from row to row and from column to column; a lane holds every LANESth sum.
const LOOPS: &str = "
var<private> my_lane: u32;
alias Left = vec3<u32>;
alias Right = vec3<u32>;
alias Sums = array<f32, SUMS / LANES>;
var<workgroup> tile_a: array<f32, TILE_A>;
var<workgroup> tile_b: array<f32, TILE_B>;
fn put_a(at: u32, value: vec4<f32>) { for (var c = 0u; c < 4u; c++) { tile_a[at + c] = value[c]; } }
fn put_b(at: u32, value: vec4<f32>) { for (var c = 0u; c < 4u; c++) { tile_b[at + c] = value[c]; } }
fn by_rows(at: u32, row: u32) -> vec3<u32> { return vec3<u32>(at, row, 1u); }
fn by_cols(at: u32, col: u32) -> vec3<u32> { return vec3<u32>(at, 1u, col); }
fn multiply_add(left: Left, right: Right, sums: Sums) -> Sums {
    var out = sums;
    for (var t = 0u; t < SUMS / LANES; t++) {
        let i = (my_lane + t * LANES) / SIDE;
        let j = (my_lane + t * LANES) % SIDE;
        for (var l = 0u; l < SIDE; l++) {
            out[t] += tile_a[left.x + i * left.y + l * left.z] * tile_b[right.x + l * right.y + j * right.z];
        }
    }
    return out;
}
fn store(sums: Sums, at: u32) {
    for (var t = 0u; t < SUMS / LANES; t++) { stage[at + my_lane + t * LANES] = sums[t]; }
}
";

/// What stands in the shader, and the loops in its place.
const REPLACED: &[(&str, &str)] = &[
    ("coopLoadT<Sums>(&stage[0], SIDE)", "Sums()"),
    ("coopLoadT<Left>(&tile_a[", "by_rows("),
    ("coopLoadT<Right>(&tile_b[", "by_rows("),
    ("coopLoad<Right>(&tile_b[", "by_cols("),
    ("UNIT], ", "UNIT, "),
    ("coopMultiplyAdd(", "multiply_add("),
    ("coopStoreT(", "store("),
    ("&stage[min(subgroup, SUBGROUPS) * SUMS], SIDE", "min(subgroup, SUBGROUPS) * SUMS"),
    ("let my_row =", "my_lane = lane;\n    let my_row ="),
];

/// The shader's tiles that fit the device in f32, for subgroups of `lanes`; those for few rows also with twice as many subgroups
/// as multiply, as on a device that makes them smaller than it might.
fn emulated(gpu: &Gpu, entry: &str, lanes: u32) -> Vec<(Kernel, Variant)> {
    let most = gpu.report().max_workgroup_memory;
    let mut found: Vec<(Kernel, Variant)> = Vec::new();
    for (kernel, variant) in kernel::all() {
        let plain = ["weight_f32", "plain"].iter().all(|import| variant.imports.contains(import));
        if (kernel.stem, kernel.entry) != ("product/matrix_units", entry) || !plain {
            continue;
        }
        let side = if variant.imports.contains(&"coop8") { 8 } else { 16 };
        let constant = |name| constant(&variant, name);
        let [rows, cols] = [constant("BM"), constant("BN")];
        let subgroups = rows / (constant("FM") * side) * (cols / (constant("FN") * side));
        let bytes = 4 * (rows * 40 + (cols * 40).max(32 * (cols + 8)) + (subgroups + 1) * side * side + rows);
        // Larger ones are the same with other numbers, and take long to compile; so do those with many small matrices.
        if bytes > most || rows > 64 || side == 8 && rows > 16 {
            continue;
        }
        for share in if rows == 16 { 1..=2 } else { 1..=1 } {
            let mut variant = variant.clone();
            variant.imports.retain(|import| ["weight_f32", "plain"].contains(import));
            variant.constants.retain(|(name, _)| *name != "WG");
            let more = [("WG", subgroups * lanes * share), ("SIDE", side), ("UNIT", 1), ("LANES", lanes)];
            variant.constants.extend(more);
            let mut source = kernel.source.to_string();
            for (from, to) in REPLACED {
                assert!(source.contains(from), "`{from}` is not in the shader");
                source = source.replace(from, to);
            }
            source.push_str(LOOPS);
            if !found.iter().any(|(_, other)| *other == variant) {
                found.push((Kernel { stem: "emulated_coop", source: source.leak(), ..kernel }, variant));
            }
        }
    }
    found
}

fn constant(variant: &Variant, name: &str) -> u32 {
    variant.constants.iter().find(|(other, _)| *other == name).unwrap().1
}

#[test]
fn products_with_loops_in_place_of_their_matrices_match_their_reference() {
    let gpu = &common::open(&GpuOptions { as_software: Some(false), ..GpuOptions::default() });
    let Some(lanes) = gpu.subgroup_size() else {
        let name = &gpu.report().name;
        let line = format!("NOT TESTED: emulated products: {name} has no subgroups of one size\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return;
    };
    let (m, n, k) = (34, 70, 72);
    let mut random = Random::new(43);
    let w = random.normal(n * k);
    for entry in ["forward", "backward_x"] {
        let [from, to] = if entry == "forward" { [k, n] } else { [n, k] };
        let x = random.normal(m * from);
        let want = match entry {
            "forward" => reference::product::matrix_units::forward(m, n, k, &wide(&w), &wide(&x)),
            _ => reference::product::matrix_units::backward_x(m, n, k, &wide(&w), &wide(&x)),
        };
        let kernels = emulated(gpu, entry, lanes as u32);
        let sides: Vec<u32> = kernels.iter().map(|(_, variant)| constant(variant, "SIDE")).collect();
        assert!(sides.contains(&8) && sides.contains(&16), "{sides:?}");
        for (kernel, variant) in &kernels {
            let upload = |shape: &[usize], values: &[f32]| -> Buffer {
                gpu.upload("emulated", shape, values).unwrap()
            };
            let y = upload(&[m, to], &vec![f32::NAN; m * to]);
            let (weights, input, unused) =
                (upload(&[n, k], &w), upload(&[m, from], &x), upload(&[2], &[0.0; 2]));
            let arguments = [&weights, &unused, &input, &y, &unused];
            let arguments = &arguments[..kernel.bindings.len()];
            let [rows, cols] = ["BM", "BN"].map(|name| constant(variant, name));
            let groups = (m as u32).div_ceil(rows) * (to as u32).div_ceil(cols);
            run(gpu, |rec| rec.dispatch(kernel, variant, &params([m, n, k]), arguments, groups)).unwrap();
            close(&read(gpu, &y), &want, Policy::of(Dtype::F32, from).rows(to))
                .unwrap_or_else(|error| panic!("{entry} {:?}: {error}", variant.constants));
        }
        println!("{entry}: {} tiles", kernels.len());
    }
}
