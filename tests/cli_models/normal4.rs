//! Models in 4 bits as bitsandbytes stores them.

use safetensors::tensor::Dtype;
use serde_json::{Value, json as value};

use crate::bad_input::fails;
use crate::forms::{Tensors, set, variant};
use crate::program::{Files, json, run};
use crate::stored::{TEXT, UP, export_and_train_alike, matrices, pair, score_alike, singles};

/// bitsandbytes' table for normal numbers.
const NF4: [f32; 16] = [
    -1.0,
    -0.6961928,
    -0.52507305,
    -0.3949175,
    -0.28444138,
    -0.18477343,
    -0.091050036,
    0.0,
    0.0795803,
    0.1609302,
    0.2461123,
    0.33791524,
    0.44070983,
    0.562617,
    0.72295684,
    1.0,
];
/// The one for floats of 4 bits: sign, two bits of exponent, one of mantissa, over 12.
const FP4: [f32; 16] = [
    0.0,
    0.005208333,
    0.6666667,
    1.0,
    0.33333334,
    0.5,
    0.16666667,
    0.25,
    0.0,
    -0.005208333,
    -0.6666667,
    -1.0,
    -0.33333334,
    -0.5,
    -0.16666667,
    -0.25,
];

fn nearest(table: &[f32], value: f32) -> u8 {
    let distance = |i: &usize| (table[*i] - value).abs();
    (0..table.len()).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap() as u8
}

/// Every matrix of a block in nibbles, with scales in bytes too if `double`; the same with the values that they stand for.
fn quantised(tensors: &Tensors, kind: &str, double: bool) -> (Tensors, Tensors) {
    let table = if kind == "nf4" { NF4 } else { FP4 };
    let scales_table: Vec<f32> = (0..256).map(|i| (i as f32 - 127.0) / 128.0).collect();
    let (mut stored, mut plain) = (tensors.clone(), tensors.clone());
    for (name, shape, weights) in matrices(tensors) {
        let name = format!("{name}.weight");
        let most = |block: &[f32]| block.iter().fold(0f32, |most, value| most.max(value.abs()));
        let mut scales: Vec<f32> = weights.chunks(64).map(most).collect();
        let mut state = value!({"quant_type": kind, "blocksize": 64, "dtype": "bfloat16", "shape": shape});
        let count = scales.len();
        let mut put = |end: &str, tensor| drop(stored.insert(format!("{name}{end}"), tensor));
        if double {
            let offset = scales.iter().sum::<f32>() / count as f32;
            let nested: Vec<f32> = scales.chunks(256).map(|block| most(block).max(1e-6) - offset).collect();
            let bytes: Vec<u8> = scales
                .iter()
                .enumerate()
                .map(|(at, scale)| nearest(&scales_table, (scale - offset) / nested[at / 256]))
                .collect();
            scales =
                (0..count).map(|at| scales_table[bytes[at] as usize] * nested[at / 256] + offset).collect();
            state["nested_blocksize"] = value!(256);
            state["nested_offset"] = value!(f64::from(offset));
            state["nested_dtype"] = value!("float32");
            put(".absmax", (Dtype::U8, vec![count], bytes));
            put(".nested_absmax", singles(&[nested.len()], &nested));
            put(".nested_quant_map", singles(&[256], &scales_table));
        } else {
            put(".absmax", singles(&[count], &scales));
        }
        put(".quant_map", singles(&[16], &table));
        let text = state.to_string().into_bytes();
        put(&format!(".quant_state.bitsandbytes__{kind}"), (Dtype::U8, vec![text.len()], text));
        let nibbles: Vec<u8> =
            weights.iter().enumerate().map(|(at, value)| nearest(&table, value / scales[at / 64])).collect();
        let bytes: Vec<u8> = nibbles.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
        put("", (Dtype::U8, vec![bytes.len(), 1], bytes));
        let values = nibbles.iter().enumerate().map(|(at, &q)| table[q as usize] * scales[at / 64]);
        plain.insert(name, singles(&shape, &values.collect::<Vec<_>>()));
    }
    (stored, plain)
}

fn config(kind: &str) -> Value {
    value!({
        "_load_in_4bit": true, "_load_in_8bit": false, "bnb_4bit_compute_dtype": "bfloat16", "bnb_4bit_quant_storage": "uint8",
        "bnb_4bit_quant_type": kind, "bnb_4bit_use_double_quant": true, "llm_int8_enable_fp32_cpu_offload": false,
        "llm_int8_has_fp16_weight": false, "llm_int8_skip_modules": ["lm_head"], "llm_int8_threshold": 6.0,
        "load_in_4bit": true, "load_in_8bit": false, "quant_method": "bitsandbytes",
    })
}

#[test]
fn nibbles_of_bitsandbytes_are_read_as_their_values() {
    let files = Files::new();
    let double = pair(&files, "double", config("nf4"), |tensors| quantised(tensors, "nf4", true));
    score_alike(&double);
    export_and_train_alike(&files, &double, "NF4");
    let described = json(&run(&["info", "-m", &double[0], "--json"]));
    assert!(described["model"]["formats"].to_string().contains("NF4"), "{}", described["model"]);
    score_alike(&pair(&files, "single", config("nf4"), |tensors| quantised(tensors, "nf4", false)));
    score_alike(&pair(&files, "fp4", config("fp4"), |tensors| quantised(tensors, "fp4", true)));
}

#[test]
fn nibbles_of_bitsandbytes_that_are_not_whole_are_refused_by_name() {
    let files = Files::new();
    let refused = |name: &str, word: &str, change: &dyn Fn(&mut Tensors)| {
        let path = variant(&files, name, |tensors| {
            *tensors = quantised(tensors, "nf4", true).0;
            change(tensors);
        });
        set(&files, name, "quantization_config", config("nf4"));
        fails(&["score", "-m", &path, "--text", TEXT], 1, &[UP, word]);
    };
    let part = |end: &str| format!("{UP}.weight{end}");
    let state = part(".quant_state.bitsandbytes__nf4");
    for end in [".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map"] {
        refused(&end[1..], end, &|tensors| drop(tensors.remove(&part(end))));
    }
    refused("alone", "is U8", &|tensors| {
        tensors.retain(|name, _| !name.starts_with(UP) || *name == part(""));
    });
    refused("short", "bytes in blocks", &|tensors| {
        let (_, shape, bytes) = tensors.get_mut(&part("")).unwrap();
        shape[0] /= 2;
        bytes.truncate(bytes.len() / 2);
    });
    refused("nan", "not finite", &|tensors| {
        tensors.get_mut(&part(".nested_absmax")).unwrap().2[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    refused("said", "rotation", &|tensors| {
        let (_, shape, text) = tensors.get_mut(&state).unwrap();
        *text = String::from_utf8(text.clone()).unwrap().replacen('{', "{\"rotation\":1,", 1).into();
        shape[0] = text.len();
    });
    refused("blocks", "bytes in blocks", &|tensors| {
        let (_, shape, text) = tensors.get_mut(&state).unwrap();
        *text =
            String::from_utf8(text.clone()).unwrap().replace("\"blocksize\":64", "\"blocksize\":16").into();
        shape[0] = text.len();
    });
}
