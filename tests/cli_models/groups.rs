//! Models as MLX quantises them: integers in words, a scale and a bias for each group.

use half::{bf16, f16};
use safetensors::tensor::Dtype;
use serde_json::json as value;

use crate::bad_input::fails;
use crate::forms::{Tensors, set, variant};
use crate::program::{Files, json, run};
use crate::stored::{TEXT, UP, export_and_train_alike, pair, score_alike};

/// Every matrix in groups; the same with the values that the groups stand for. Scales and biases are halves, or bfloat16.
fn quantised(tensors: &Tensors, bits: u32, group: usize, halves: bool) -> (Tensors, Tensors) {
    let (mut stored, mut plain) = (tensors.clone(), tensors.clone());
    let steps = f32::from(u8::try_from((1u32 << bits) - 1).unwrap());
    let number = |value: f32| match halves {
        true => (f16::from_f32(value).to_f32(), f16::from_f32(value).to_le_bytes()),
        false => (bf16::from_f32(value).to_f32(), bf16::from_f32(value).to_le_bytes()),
    };
    for (name, (_, shape, bytes)) in tensors.iter().filter(|(_, tensor)| tensor.1.len() == 2) {
        let weights: Vec<f32> = bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        let (mut integers, mut values) = (Vec::new(), Vec::new());
        let (mut scales, mut biases) = (Vec::new(), Vec::new());
        for group in weights.chunks(group) {
            let [low, high] = [f32::min, f32::max].map(|pick| group.iter().copied().fold(group[0], pick));
            let ((scale, scale_bytes), (bias, bias_bytes)) = (number((high - low) / steps), number(low));
            scales.extend(scale_bytes);
            biases.extend(bias_bytes);
            for value in group {
                let q = ((value - bias) / scale).round().clamp(0.0, steps);
                integers.push(q as u8);
                values.push(scale * q + bias);
            }
        }
        let words: Vec<u8> = match bits {
            4 => integers.chunks(2).map(|pair| pair[0] | pair[1] << 4).collect(),
            _ => integers,
        };
        let stem = name.strip_suffix(".weight").unwrap();
        let dtype = if halves { Dtype::F16 } else { Dtype::BF16 };
        let [rows, cols] = [shape[0], shape[1]];
        stored.insert(name.clone(), (Dtype::U32, vec![rows, cols * bits as usize / 32], words));
        for (end, numbers) in [("scales", scales), ("biases", biases)] {
            stored.insert(format!("{stem}.{end}"), (dtype, vec![rows, cols / group], numbers));
        }
        let values = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        plain.insert(name.clone(), (Dtype::F32, shape.clone(), values));
    }
    (stored, plain)
}

#[test]
fn groups_of_mlx_are_read_as_their_values() {
    let files = Files::new();
    for (bits, halves) in [(4, true), (8, false)] {
        let name = format!("grouped{bits}");
        let config = value!({"group_size": 32, "bits": bits});
        let both = pair(&files, &name, config.clone(), |tensors| quantised(tensors, bits, 32, halves));
        set(&files, &name, "quantization", config);
        score_alike(&both);
        export_and_train_alike(&files, &both, &format!("{bits}-bit groups"));
    }
    let described = json(&run(&["info", "-m", &files.path("grouped4"), "--json"]));
    assert!(described["model"]["formats"].to_string().contains("4-bit groups"), "{}", described["model"]);
}

#[test]
fn groups_that_are_not_whole_are_refused_by_name() {
    let files = Files::new();
    let broken = |name: &str, change: &dyn Fn(&mut Tensors)| {
        let path = variant(&files, name, |tensors| {
            *tensors = quantised(tensors, 4, 32, true).0;
            change(tensors);
        });
        set(&files, name, "quantization", value!({"group_size": 32, "bits": 4}));
        path
    };
    let alone = broken("alone", &|tensors| drop(tensors.remove(&format!("{UP}.scales"))));
    let narrow = broken("narrow", &|tensors| {
        let (_, shape, bytes) = tensors.get_mut(&format!("{UP}.weight")).unwrap();
        shape[1] /= 2;
        bytes.truncate(bytes.len() / 2);
    });
    let short = broken("short", &|tensors| {
        let (_, shape, bytes) = tensors.get_mut(&format!("{UP}.biases")).unwrap();
        shape[0] /= 2;
        bytes.truncate(bytes.len() / 2);
    });
    for (path, word) in [(alone, "without scales"), (narrow, "4 or 8 bits"), (short, "scales or biases")] {
        fails(&["score", "-m", &path, "--text", TEXT], 1, &[UP, word]);
    }
}
