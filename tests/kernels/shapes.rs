//! Kernels refuse buffers of other shapes than they take, before anything runs.

use stepladder::gpu::{Buffer, Gpu, Recorder};
use stepladder::kernel::adjust::Adjusted;
use stepladder::kernel::attention::full::{self, Saved};
use stepladder::kernel::attention::{Heads, Rows, decode};
use stepladder::kernel::lora::down::{self, Made};
use stepladder::kernel::lora::grad;
use stepladder::kernel::lora::site::{Joined, Site};
use stepladder::kernel::lora::up::Adapter;
use stepladder::kernel::product::{self, Segment};
use stepladder::kernel::rms_norm::{self, Input, Norm};
use stepladder::kernel::sample::{self, State};
use stepladder::kernel::swiglu::Activation;
use stepladder::kernel::weight::{Format, Weight};
use stepladder::kernel::{adamw, adjust, embed, gather, kv_write, log_softmax, rope, swiglu};
use stepladder::{Error, Result};

use crate::common;

const HEADS: Heads = Heads::new(4, 2, 8);

/// The kernel and the argument that it refuses.
fn refused(name: &str, at: &str, result: Result<()>) {
    match result {
        Err(Error::Shape { kernel, arg, .. }) => assert_eq!((kernel, arg), (name, at)),
        other => panic!("{name}, {at}: {other:?}"),
    }
}

fn buffer(gpu: &Gpu, shape: &[usize]) -> Buffer {
    gpu.buffer("shape", shape).unwrap()
}

#[test]
fn row_kernels_refuse_wrong_shapes() {
    let gpu = common::gpu();
    let rec = &mut Recorder::new(gpu);
    let b = |shape: &[usize]| buffer(gpu, shape);
    let x = b(&[3, 8]);
    refused("rms_norm", "y", rms_norm::forward(rec, &x, &b(&[8]), &b(&[3, 7]), 1.0));
    refused("rms_norm", "dy", rms_norm::backward_x(rec, &x, &b(&[8]), &b(&[2, 8]), &x, 1.0, false));
    refused("swiglu", "u", swiglu::forward(rec, Activation::Silu, &x, &b(&[8, 3]), &x));
    refused("swiglu", "du", swiglu::backward(rec, Activation::Silu, &x, &x, &x, &x, &b(&[24])));
    refused("gather", "index", gather::forward(rec, &b(&[4]), &x, &b(&[3, 8])));
    refused("gather", "x", gather::forward(rec, &b(&[3]), &b(&[3, 7]), &b(&[3, 8])));
    let rotate = |rows: usize, table: &[usize], q: &Buffer, k: &[usize]| {
        let (position, turned, table) = (b(&[rows]), table[1], b(table));
        let mut rec = Recorder::new(gpu);
        rope::forward(&mut rec, rope::Positions { position: &position, table: &table, turned }, q, &b(k))
    };
    refused("rope", "q", rotate(3, &[10, 6], &x, &[3, 6]));
    refused("rope", "k", rotate(3, &[10, 4], &x, &[3, 6]));
    refused("rope", "position", rotate(2, &[10, 4], &x, &[3, 4]));
    let column = b(&[5]);
    refused("log_softmax", "target", log_softmax::forward(rec, 3, &column, &x, &column, &column));
    refused("log_softmax", "entropy", log_softmax::forward(rec, 2, &column, &x, &column, &b(&[4])));
    refused("log_softmax", "coefficient", log_softmax::backward(rec, 2, &column, &b(&[4]), &x));
    let state = adamw::State::new(gpu, 24).unwrap();
    refused("adamw", "g", adamw::step(rec, &b(&[24]), &b(&[23]), &state));
    refused("adamw", "m", adamw::step(rec, &b(&[23]), &b(&[23]), &state));
}

#[test]
fn gradients_of_lora_refuse_what_does_not_lie_in_its_buffer() {
    let gpu = common::gpu();
    let rec = &mut Recorder::new(gpu);
    let b = |shape: &[usize]| buffer(gpu, shape);
    let (x, dy, values, low) = (b(&[3, 8]), b(&[40]), b(&[128]), b(&[70]));
    // A has 16 elements, B 24, x·Aᵀ 6, dy 36.
    let site = Site { rank: 2, scale: 1.0, a_start: 0, b_start: 64, low_start: 64, cols: 12, dy_start: 4 };
    fn joined<'a>([x, dy, values, low]: [&'a Buffer; 4], sites: &'a [Site]) -> Joined<'a> {
        Joined { x, dy, adapter: values, low, d_low: low, gradient: values, sites }
    }
    let all = [&x, &dy, &values, &low];
    let mut both = |joined: Joined<'_>| {
        refused("lora/grad", "sites", grad::back(rec, &joined));
        refused("lora/grad", "sites", grad::gradients(rec, &joined));
    };
    both(joined(all, &[]));
    both(joined(all, &[site; 4]));
    for wrong in [
        Site { a_start: 113, ..site },
        Site { b_start: 105, ..site },
        Site { low_start: 65, ..site },
        Site { dy_start: 8, ..site },
        Site { dy_start: 2, ..site },
        Site { cols: 10, ..site },
        Site { rank: 3, ..site },
    ] {
        both(joined(all, &[site, wrong]));
    }
    both(Joined { gradient: &low, ..joined(all, &[site]) });
    both(Joined { d_low: &values, ..joined(all, &[site]) });
    both(Joined { x: &b(&[3, 6]), ..joined(all, &[site]) });
}

#[test]
fn first_halves_of_lora_refuse_wrong_shapes() {
    let gpu = common::gpu();
    let b = |shape: &[usize]| buffer(gpu, shape);
    let (x, a, t) = (b(&[3, 8]), b(&[80]), b(&[70]));
    // A has 16 elements, x·Aᵀ 6.
    let site = Site { rank: 2, a_start: 64, low_start: 64, ..Site::default() };
    let norm = |weight| Norm { weight, eps: 1.0 };
    let down =
        |norm, sites: &[Site]| down::down(&mut Recorder::new(gpu), Input { x: &x, norm }, &a, &t, sites);
    let keeping = |made, kept: &[usize], sites: &[Site]| {
        down::down_keeping(&mut Recorder::new(gpu), &x, made, &b(kept), &a, &t, sites)
    };
    let (eight, seven, narrow) = (b(&[8]), b(&[7]), b(&[3, 4]));
    refused("lora/down", "norm", down(Some(norm(&seven)), &[site]));
    refused("lora/down", "norm", keeping(Made::Norm(norm(&seven)), &[3, 8], &[site]));
    refused("lora/down", "kept", keeping(Made::Norm(norm(&eight)), &[2, 8], &[site]));
    refused("lora/down", "kept", keeping(Made::Gated(Activation::Silu, &x), &[24], &[site]));
    refused("lora/down", "up", keeping(Made::Gated(Activation::Silu, &narrow), &[3, 8], &[site]));
    for wrong in [
        Site { a_start: 65, ..site },
        Site { a_start: 68, ..site },
        Site { low_start: 65, ..site },
        Site { rank: 3, ..site },
    ] {
        refused("lora/down", "sites", down(None, &[site, wrong]));
        refused("lora/down", "sites", keeping(Made::Gated(Activation::Silu, &x), &[3, 8], &[wrong]));
    }
    for sites in [&[][..], &[site; 4]] {
        refused("lora/down", "sites", down(Some(norm(&eight)), sites));
    }
}

#[test]
fn weight_kernels_refuse_wrong_shapes() {
    let gpu = common::gpu();
    let rec = &mut Recorder::new(gpu);
    let b = |shape: &[usize]| buffer(gpu, shape);
    let w = Weight::new(gpu, "w", Format::Q4, 5, 64).unwrap();
    refused("product", "x", product::forward(rec, &w, &b(&[3, 32]), &b(&[3, 5]), None, false));
    refused("product", "y", product::forward(rec, &w, &b(&[3, 64]), &b(&[3, 6]), None, false));
    refused("product", "dy", product::backward_x(rec, &w, &b(&[2, 5]), &b(&[3, 64]), None, false));
    let part = |width: usize| Segment::plain(&b(&[3, width]));
    let adapted = |low: &[usize], matrix: &[usize]| Segment {
        adapter: Some(Adapter { low: b(low), matrix: b(matrix), row: 0, scale: 1.0 }),
        ..part(5)
    };
    let biased = Segment { bias: Some(b(&[4])), ..part(5) };
    for (arg, segments) in [
        ("segments", vec![]),
        ("segments", vec![part(2), part(1), part(1), part(1)]),
        ("y", vec![part(2), part(2)]),
        ("y", vec![Segment::plain(&b(&[2, 5]))]),
        ("low", vec![adapted(&[2, 4], &[5, 4])]),
        ("adapter", vec![adapted(&[3, 4], &[4, 5])]),
        ("bias", vec![biased]),
    ] {
        let x = b(&[3, 64]);
        refused("product", arg, product::forward_joined(rec, &w, Input::plain(&x), &segments, false));
    }
    let (many, y, weight) = (b(&[9, 64]), [part(5)], b(&[64]));
    let normed = Input { x: &many, norm: Some(Norm { weight: &weight, eps: 1.0 }) };
    refused("product/few_rows", "x", product::forward_joined(rec, &w, normed, &y, false));
    refused("weight", "rows", w.rows_from(3, 3).map(drop));
    refused("embed", "y", embed::forward(rec, &w, &b(&[3]), 1.0, &b(&[3, 32])));
    for (format, rows, cols) in [(Format::F32, 5, 12), (Format::Q8, 5, 40), (Format::F16, 0, 8)] {
        refused("weight", "columns", Weight::new(gpu, "w", format, rows, cols).map(drop));
    }
    let write = |row, words, scales| w.write_rows(gpu, row, &vec![0; words], &vec![[0.0; 2]; scales]);
    write(4, 8, 2).unwrap();
    for (row, words, scales) in [(4, 16, 4), (0, 12, 2), (0, 8, 1), (0, 8, 3), (6, 0, 0)] {
        refused("weight", "row, words, scales", write(row, words, scales));
    }
}

#[test]
fn attention_kernels_refuse_wrong_shapes() {
    let gpu = common::gpu();
    let rec = &mut Recorder::new(gpu);
    let b = |shape: &[usize]| buffer(gpu, shape);
    let (span, q, k, stats) = (b(&[5, 4]), b(&[5, 32]), b(&[5, 16]), b(&[5, 4, 2]));
    let saved = Saved { q: &q, k: &k, v: &k, o: &q, stats: &stats };
    refused("attention/full", "k", full::forward(rec, HEADS, &span, Saved { k: &q, ..saved }));
    refused("attention/full", "stats", full::forward(rec, HEADS, &span, Saved { stats: &q, ..saved }));
    refused("attention/full", "q", full::forward(rec, HEADS, &b(&[4, 4]), saved));
    refused("attention/full", "span", full::forward(rec, HEADS, &b(&[5, 2]), saved));
    refused("attention/full", "heads", full::forward(rec, Heads { kv_heads: 3, ..HEADS }, &span, saved));

    let (column, pages, places) = (b(&[5]), b(&[5, 2]), b(&[160, 16]));
    let rows = Rows { position: &column, live: &column, pages: &pages, parts: None };
    let mut attend = |rows, k: &Buffer, v: &Buffer| decode::forward(rec, HEADS, rows, &q, k, v, &q);
    refused("attention/decode", "live", attend(Rows { live: &pages, ..rows }, &places, &places));
    refused("attention/decode", "k_pages", attend(rows, &q, &places));
    refused("attention/decode", "v_pages", attend(rows, &places, &q));
    refused("kv_write", "k_pages", kv_write::forward(rec, &b(&[3, 2]), &k, &k, &q, &q));
    refused("kv_write", "v", kv_write::forward(rec, &b(&[3, 2]), &k, &q, &places, &places));

    let state = State {
        settings: b(&[5, sample::Settings::WORDS]),
        pages,
        token: column.clone(),
        position: column.clone(),
        live: column,
        pair: b(&[5, 2]),
        out: b(&[5, 7, 2]),
    };
    refused("sample", "settings", sample::forward(rec, &b(&[4, 9]), &state));
    let asked =
        Adjusted { settings: b(&[5, adjust::Settings::WORDS]), mask: b(&[5, 1]), mark: b(&[5, 9, 2]) };
    refused("adjust", "mask", adjust::forward(rec, &b(&[5, 33]), &asked, &state));
    refused("adjust", "mark", adjust::forward(rec, &b(&[5, 8]), &asked, &state));
    let state = State { live: b(&[4]), ..state };
    refused("adjust", "live", adjust::forward(rec, &b(&[5, 9]), &asked, &state));
    refused("sample", "live", sample::forward(rec, &b(&[5, 9]), &state));
}
