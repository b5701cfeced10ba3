//! Models in 8-bit floats with scales, as their makers publish them.

use half::bf16;
use safetensors::tensor::Dtype;
use serde_json::{Value, json as value};

use crate::bad_input::fails;
use crate::forms::{Tensors, set, variant};
use crate::program::Files;
use crate::stored::{TEXT, UP, export_and_train_alike, matrices, pair, score_alike, singles};

/// What a byte stands for, by the definition of E4M3.
fn value_of(byte: u8) -> f32 {
    let (exponent, mantissa) = (i32::from(byte >> 3 & 15), f32::from(byte & 7) / 8.0);
    let size =
        if exponent == 0 { mantissa * 2f32.powi(-6) } else { (1.0 + mantissa) * 2f32.powi(exponent - 7) };
    if byte >= 128 { -size } else { size }
}

/// The nearest of the 127 sizes, which are in order, with the sign.
fn nearest(value: f32) -> u8 {
    let sizes: [u8; 127] = std::array::from_fn(|i| i as u8);
    let above = sizes.partition_point(|&byte| value_of(byte) < value.abs()).min(126) as u8;
    let below = above.saturating_sub(1);
    let distance = |byte: u8| (value_of(byte) - value.abs()).abs();
    let byte = if distance(below) <= distance(above) { below } else { above };
    if value < 0.0 { byte | 128 } else { byte }
}

/// How scales are stored.
#[derive(Clone, Copy, PartialEq)]
enum Scales {
    /// As transformers names them.
    Inverse,
    /// The same, powers of two.
    Powers,
    /// As compressed-tensors names them.
    Compressed,
}

/// Every matrix of a block in 8-bit floats with a scale for each `high` x `wide` (0: all there are); the same with the values that
/// they stand for.
fn quantised(tensors: &Tensors, [high, wide]: [usize; 2], way: Scales) -> (Tensors, Tensors) {
    let (mut stored, mut plain) = (tensors.clone(), tensors.clone());
    for (name, shape, weights) in matrices(tensors) {
        let (name, [rows, cols]) = (format!("{name}.weight"), shape);
        let [high, wide] = [if high == 0 { rows } else { high }, if wide == 0 { cols } else { wide }];
        let (down, across) = (rows.div_ceil(high), cols.div_ceil(wide));
        let block = |i: usize| i / cols / high * across + i % cols / wide;
        let mut most = vec![0f32; down * across];
        weights.iter().enumerate().for_each(|(i, value)| most[block(i)] = most[block(i)].max(value.abs()));
        let nearest_scale = |most: &f32| match way {
            Scales::Powers => bf16::from_f32((most / 448.0).log2().ceil().exp2()),
            _ => bf16::from_f32(most / 448.0),
        };
        let scales: Vec<bf16> = most.iter().map(nearest_scale).collect();
        let scale = |i: usize| scales[block(i)].to_f32();
        let floats: Vec<u8> =
            weights.iter().enumerate().map(|(i, value)| nearest(value / scale(i))).collect();
        let values: Vec<f32> =
            floats.iter().enumerate().map(|(i, &byte)| value_of(byte) * scale(i)).collect();
        plain.insert(name.clone(), singles(&shape, &values));
        stored.insert(name.clone(), (Dtype::F8_E4M3, shape.to_vec(), floats));
        let shape = if down * across == 1 { vec![] } else { vec![down, across] };
        let (dtype, bytes) = match way {
            Scales::Powers => {
                // The exponent of a power of two is all of a bfloat16 but the sign and the lower bits.
                (Dtype::F8_E8M0, scales.iter().map(|scale| (scale.to_bits() >> 7) as u8).collect())
            }
            _ => (Dtype::BF16, scales.iter().flat_map(|scale| scale.to_le_bytes()).collect()),
        };
        let [scales, input] = match way {
            Scales::Compressed => ["weight_scale", "input_scale"],
            _ => ["weight_scale_inv", "activation_scale"],
        };
        stored.insert(name.replace("weight", scales), (dtype, shape, bytes));
        stored.insert(name.replace("weight", input), (Dtype::F32, vec![], 3f32.to_le_bytes().to_vec()));
        if way == Scales::Compressed && name.contains("k_proj") {
            let cache = name.replace("k_proj.weight", "k_scale");
            stored.insert(cache, (Dtype::F32, vec![1], 3f32.to_le_bytes().to_vec()));
        }
    }
    (stored, plain)
}

fn config(block: Value) -> Value {
    value!({
        "quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": block,
        "modules_to_not_convert": ["lm_head"],
    })
}

#[test]
fn floats_of_8_bits_are_read_as_their_values() {
    let files = Files::new();
    let mut powers = config(value!([128, 128]));
    powers["scale_fmt"] = value!("ue8m0");
    let compressed = value!({
        "quant_method": "compressed-tensors", "format": "float-quantized", "ignore": ["lm_head"],
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 8, "type": "float", "strategy": "channel"}}},
        "kv_cache_scheme": {"num_bits": 8, "type": "float"},
    });
    let ways = [
        ("blocks", [128, 128], config(value!([128, 128])), Scales::Inverse),
        ("powers", [128, 128], powers, Scales::Powers),
        ("rows", [1, 0], config(Value::Null), Scales::Inverse),
        ("one", [0, 0], config(Value::Null), Scales::Inverse),
        ("compressed", [1, 0], compressed, Scales::Compressed),
    ];
    for (name, block, said, way) in ways {
        let both = pair(&files, name, said, |tensors| quantised(tensors, block, way));
        score_alike(&both);
        if name == "blocks" {
            export_and_train_alike(&files, &both, "");
        }
    }
}

#[test]
fn floats_of_8_bits_that_are_not_whole_are_refused_by_name() {
    let files = Files::new();
    let broken = |name: &str, change: &dyn Fn(&mut Tensors), said: Value| {
        let path = variant(&files, name, |tensors| {
            *tensors = quantised(tensors, [128, 128], Scales::Inverse).0;
            change(tensors);
        });
        set(&files, name, "quantization_config", said);
        path
    };
    let scales = format!("{UP}.weight_scale_inv");
    let whole = config(value!([128, 128]));
    let alone = broken("alone", &|tensors| drop(tensors.remove(&scales)), whole.clone());
    let short = broken(
        "short",
        &|tensors| {
            tensors.insert(scales.clone(), (Dtype::F32, vec![3, 1], vec![0; 12]));
        },
        whole.clone(),
    );
    let nan = broken(
        "nan",
        &|tensors| tensors.get_mut(&format!("{UP}.weight")).unwrap().2[5] = 0x7f,
        whole.clone(),
    );
    for (path, word) in [(alone, "without"), (short, "scales of shape"), (nan, "not finite")] {
        fails(&["score", "-m", &path, "--text", TEXT], 1, &[UP, word]);
    }
    for (key, to) in [
        ("fmt", value!("e5m2")),
        ("weight_block_size", value!([64, 64])),
        ("scale_fmt", value!("int")),
        ("other", value!(1)),
    ] {
        let mut said = whole.clone();
        said[key] = to;
        let path = broken(key, &|_| (), said);
        fails(&["score", "-m", &path, "--text", TEXT], 1, &["quantization_config", key]);
    }
}
