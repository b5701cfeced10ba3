//! Models in integers of 4 and 8 bits as GPTQ, AWQ, compressed-tensors and bitsandbytes store them.

use half::f16;
use safetensors::tensor::Dtype;
use serde_json::{Value, json as value};

use crate::bad_input::fails;
use crate::forms::{Tensors, set, variant};
use crate::program::Files;
use crate::stored::{TEXT, UP, export_and_train_alike, matrices, pair, score_alike, singles};

/// A form of storing, with what varies in it.
#[derive(Clone, Copy)]
struct Form {
    kind: Kind,
    bits: u32,
    /// What is taken from zeros before they are stored.
    less: u32,
    /// Whether zeros are in the middle, and not stored where they need not be.
    symmetric: bool,
    /// Whether groups are not of neighbours.
    act_order: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Gptq,
    Awq,
    Packed,
    Bytes,
    Scb,
}

const GROUP: usize = 32;
const GPTQ: Form = Form { kind: Kind::Gptq, bits: 4, less: 1, symmetric: false, act_order: false };

/// The integers of one matrix: `[out][in]`, with scales and zeros for each group of a row.
struct Integers {
    rows: usize,
    cols: usize,
    q: Vec<u32>,
    group: usize,
    /// The group of each input.
    groups: Vec<usize>,
    scales: Vec<f16>,
    zeros: Vec<u32>,
}

impl Integers {
    fn of(weights: &[f32], [rows, cols]: [usize; 2], form: Form) -> Self {
        let group = if matches!(form.kind, Kind::Bytes | Kind::Scb) { cols } else { GROUP };
        let count = cols / group;
        let groups: Vec<usize> =
            (0..cols).map(|i| if form.act_order { (i * 7 + i / 5) % count } else { i / group }).collect();
        let most = (1u32 << form.bits) - 1;
        let (mut scales, mut zeros) = (vec![f16::ZERO; rows * count], vec![0; rows * count]);
        for at in 0..rows * count {
            let (row, of) = (at / count, at % count);
            let values = (0..cols).filter(|&i| groups[i] == of).map(|i| weights[row * cols + i]);
            let (low, high) =
                values.fold((0f32, 0f32), |(low, high), value| (low.min(value), high.max(value)));
            let (low, high) = if form.symmetric { (-high.max(-low), high.max(-low)) } else { (low, high) };
            scales[at] = f16::from_f32(((high - low) / most as f32).max(1e-4));
            zeros[at] = match form.symmetric {
                true => 1 << (form.bits - 1),
                // Stored less one it must be a number.
                false => ((-low / scales[at].to_f32()).round() as u32).clamp(0, most),
            };
        }
        let q = (0..rows * cols)
            .map(|i| {
                let at = i / cols * count + groups[i % cols];
                let q = (weights[i] / scales[at].to_f32()).round() + zeros[at] as f32;
                q.clamp(0.0, most as f32) as u32
            })
            .collect();
        Self { rows, cols, q, group, groups, scales, zeros }
    }

    fn values(&self, divisor: f32) -> Vec<f32> {
        let count = self.cols / self.group;
        let value = |(i, &q): (usize, &u32)| {
            let at = i / self.cols * count + self.groups[i % self.cols];
            self.scales[at].to_f32() / divisor * (q as f32 - self.zeros[at] as f32)
        };
        self.q.iter().enumerate().map(value).collect()
    }
}

/// `[down][across]` integers in words of neighbours `along` the rows or, if not, down the columns.
fn words(
    bits: u32,
    [down, across]: [usize; 2],
    along: bool,
    order: &[usize],
    q: impl Fn(usize, usize) -> u32,
) -> Vec<u8> {
    let per_word = (32 / bits) as usize;
    let [high, wide] = if along { [down, across / per_word] } else { [down / per_word, across] };
    let mut bytes = Vec::new();
    for row in 0..high {
        for col in 0..wide {
            let word = (0..per_word).fold(0, |word, k| {
                let next = order.get(k).copied().unwrap_or(k);
                let q = if along { q(row, col * per_word + next) } else { q(row * per_word + next, col) };
                word | (q & ((1 << bits) - 1)) << (k as u32 * bits)
            });
            bytes.extend(u32::to_le_bytes(word));
        }
    }
    bytes
}

/// Every matrix of a block in this form; the same with the values that it stands for.
fn quantised(tensors: &Tensors, form: Form) -> (Tensors, Tensors) {
    let (mut stored, mut plain) = (tensors.clone(), tensors.clone());
    for (name, shape, weights) in matrices(tensors) {
        let it = Integers::of(&weights, shape, form);
        let (rows, cols, count, bits) = (it.rows, it.cols, it.cols / it.group, form.bits);
        let per_word = (32 / bits) as usize;
        let scale = |row: usize, group: usize| it.scales[row * count + group];
        let zero = |row: usize, group: usize| it.zeros[row * count + group].wrapping_sub(form.less);
        stored.remove(&format!("{name}.weight"));
        let mut put = |end: &str, dtype, shape: &[usize], bytes| {
            stored.insert(format!("{name}.{end}"), (dtype, shape.to_vec(), bytes));
        };
        let by_group = || (0..count).flat_map(|group| (0..rows).map(move |row| (row, group)));
        let by_row = || (0..rows).flat_map(|row| (0..count).map(move |group| (row, group)));
        let halves = |(row, group)| f16::to_le_bytes(scale(row, group));
        let mut divisor = 1.0;
        match form.kind {
            Kind::Gptq | Kind::Awq => {
                // The nibbles of a word of AWQ's are of these outputs.
                let order: &[usize] = if form.kind == Kind::Awq { &[0, 2, 4, 6, 1, 3, 5, 7] } else { &[] };
                let along = form.kind == Kind::Awq;
                let q = words(bits, [cols, rows], along, order, |i, row| it.q[row * cols + i]);
                let size = if along { [cols, rows / per_word] } else { [cols / per_word, rows] };
                put("qweight", Dtype::I32, &size, q);
                let zeros = words(bits, [count, rows], true, order, |group, row| zero(row, group));
                put("qzeros", Dtype::I32, &[count, rows / per_word], zeros);
                put("scales", Dtype::F16, &[count, rows], by_group().flat_map(halves).collect());
                if form.kind == Kind::Gptq {
                    let groups = it.groups.iter().flat_map(|&group| (group as i32).to_le_bytes());
                    put("g_idx", Dtype::I32, &[cols], groups.collect());
                    // Of zeros, which the model does not call for.
                    put("bias", Dtype::F16, &[rows], vec![0; 2 * rows]);
                }
            }
            Kind::Packed => {
                let q = words(bits, [rows, cols], true, &[], |row, i| it.q[row * cols + i]);
                put("weight_packed", Dtype::I32, &[rows, cols / per_word], q);
                put("weight_scale", Dtype::F16, &[rows, count], by_row().flat_map(halves).collect());
                let size = [rows as i64, cols as i64].iter().flat_map(|size| size.to_le_bytes()).collect();
                put("weight_shape", Dtype::I64, &[2], size);
                if !form.symmetric {
                    let zeros = words(bits, [rows, count], false, &[], zero);
                    put("weight_zero_point", Dtype::I32, &[rows / per_word, count], zeros);
                }
            }
            Kind::Bytes | Kind::Scb => {
                let q = it.q.iter().map(|&q| (q as i32 - 128) as i8 as u8).collect();
                put("weight", Dtype::I8, &[rows, cols], q);
                if form.kind == Kind::Bytes {
                    put("weight_scale", Dtype::F16, &[rows, 1], by_row().flat_map(halves).collect());
                    put("input_scale", Dtype::F32, &[1], 3f32.to_le_bytes().to_vec());
                } else {
                    let scales = by_row().flat_map(|(row, _)| scale(row, 0).to_f32().to_le_bytes());
                    put("SCB", Dtype::F32, &[rows], scales.collect());
                    put("weight_format", Dtype::U8, &[], vec![0]);
                    divisor = 127.0;
                }
            }
        }
        plain.insert(format!("{name}.weight"), singles(&shape, &it.values(divisor)));
    }
    (stored, plain)
}

fn gptq(format: &str, symmetric: bool, act_order: bool) -> Value {
    value!({
        "quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": act_order, "sym": symmetric, "true_sequential": true,
        "damp_percent": 0.1, "checkpoint_format": format, "pack_dtype": "int32", "lm_head": false, "meta": {"quantizer": ["x"]},
    })
}

fn awq() -> Value {
    value!({
        "quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm", "zero_point": true, "modules_to_not_convert": null,
    })
}

fn compressed(format: &str, bits: u32) -> Value {
    let weights =
        value!({"num_bits": bits, "type": "int", "strategy": "group", "group_size": 32, "symmetric": true});
    value!({
        "quant_method": "compressed-tensors", "format": format, "ignore": ["lm_head"], "quantization_status": "compressed",
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights, "format": format}},
        "kv_cache_scheme": null, "sparsity_config": {}, "transform_config": {}, "version": "0.20.1",
        "global_compression_ratio": null,
    })
}

#[test]
fn packed_integers_are_read_as_their_values() {
    let files = Files::new();
    let same = |name: &str, config: Value, form: Form| {
        let both = pair(&files, name, config, |tensors| quantised(tensors, form));
        score_alike(&both);
        both
    };
    let both = same("gptq", gptq("gptq", false, false), GPTQ);
    export_and_train_alike(&files, &both, "4-bit groups");
    same("gptq8", gptq("gptq", false, false), Form { bits: 8, ..GPTQ });
    same("v2", gptq("gptq_v2", false, false), Form { less: 0, ..GPTQ });
    // Says v1 and stores v2: symmetric, and so its zeros are in the middle.
    same("mistaken", gptq("gptq", true, false), Form { less: 0, symmetric: true, ..GPTQ });
    same("act-order", gptq("gptq", true, true), Form { act_order: true, symmetric: true, ..GPTQ });
    same("awq", awq(), Form { kind: Kind::Awq, less: 0, ..GPTQ });
    let packed = Form { kind: Kind::Packed, less: 0, symmetric: true, ..GPTQ };
    same("packed4", compressed("pack-quantized", 4), packed);
    same("packed8", compressed("pack-quantized", 8), Form { bits: 8, symmetric: false, ..packed });
    let bytes = Form { kind: Kind::Bytes, bits: 8, ..packed };
    let both = same("bytes", compressed("int-quantized", 8), bytes);
    export_and_train_alike(&files, &both, "8-bit groups");
    let config = value!({"quant_method": "bitsandbytes", "load_in_8bit": true, "llm_int8_threshold": 6.0});
    same("scb", config, Form { kind: Kind::Scb, ..bytes });
}

#[test]
fn packed_integers_that_are_not_whole_or_not_read_are_refused_by_name() {
    let files = Files::new();
    let refused = |name: &str, form: Form, config: Value, words: &[&str], change: &dyn Fn(&mut Tensors)| {
        let path = variant(&files, name, |tensors| {
            *tensors = quantised(tensors, form).0;
            change(tensors);
        });
        set(&files, name, "quantization_config", config);
        fails(&["score", "-m", &path, "--text", TEXT], 1, words);
    };
    let part = |end: &str| format!("{UP}.{end}");
    let config = gptq("gptq", false, false);
    refused("alone", GPTQ, config.clone(), &[UP, "without scales"], &|tensors| {
        drop(tensors.remove(&part("scales")))
    });
    refused("short", GPTQ, config.clone(), &[UP, "4 or 8 bits"], &|tensors| {
        let (_, shape, bytes) = tensors.get_mut(&part("qweight")).unwrap();
        shape[0] /= 2;
        bytes.truncate(bytes.len() / 2);
    });
    refused("zeros", GPTQ, config.clone(), &[UP, "zeros of shape"], &|tensors| {
        tensors.get_mut(&part("qzeros")).unwrap().1.reverse();
    });
    refused("group", GPTQ, config.clone(), &[UP, "group 9 of 2"], &|tensors| {
        tensors.get_mut(&part("g_idx")).unwrap().2[0] = 9;
    });
    refused("bias", GPTQ, config.clone(), &["up_proj.bias", "does not call"], &|tensors| {
        tensors.get_mut(&part("bias")).unwrap().2[1] = 0x3c;
    });
    refused("silent", GPTQ, Value::Null, &["qweight", "quantization_config"], &|_| ());
    let with = |mut config: Value, key: &str, to: Value| {
        config[key] = to;
        config
    };
    for (name, config, key) in [
        ("marlin", with(config.clone(), "checkpoint_format", value!("marlin")), "checkpoint_format"),
        ("unknown", with(config, "other", value!(1)), "other"),
        ("gemv", with(awq(), "version", value!("gemv")), "version"),
        ("nvfp4", compressed("nvfp4-pack-quantized", 4), "format"),
        (
            "hadamard",
            with(compressed("pack-quantized", 4), "transform_config", value!({"a": 1})),
            "transform_config",
        ),
        (
            "sparse",
            with(compressed("pack-quantized", 4), "sparsity_config", value!({"format": "sparse-24-bitmask"})),
            "sparsity_config",
        ),
        ("hqq", value!({"quant_method": "hqq"}), "hqq"),
    ] {
        refused(name, GPTQ, config, &["quantization_config", key], &|_| ());
    }
}
