//! Block formats against the `gguf` package and bitsandbytes (fixtures/quant), and packing against decoding.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;
use stepladder::model::pack::{Format, pack, unpack};
use stepladder::model::source::Dtype;
use stepladder::model::source::quant::dequantize;
use stepladder::model::to_gguf::quantise::quantise;

const FORMATS: [(&str, Dtype, Format); 13] = [
    ("Q8_0", Dtype::Q8_0, Format::Q8),
    ("Q4_0", Dtype::Q4_0, Format::Q4),
    ("Q4_1", Dtype::Q4_1, Format::Q4),
    ("Q5_0", Dtype::Q5_0, Format::Q8),
    ("Q5_1", Dtype::Q5_1, Format::Q8),
    ("Q4_K", Dtype::Q4K, Format::Q4),
    ("Q5_K", Dtype::Q5K, Format::Q8),
    ("Q6_K", Dtype::Q6K, Format::Q8x2),
    ("Q2_K", Dtype::Q2K, Format::Q2x2),
    ("Q3_K", Dtype::Q3K, Format::Q8x2),
    ("IQ4_NL", Dtype::Iq4Nl, Format::Iq4),
    ("IQ4_XS", Dtype::Iq4Xs, Format::Iq4),
    ("NF4", Dtype::Nf4, Format::Nf4),
];

fn bytes_of(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

fn floats_of(bits: &Value) -> Vec<f32> {
    bits.as_array().unwrap().iter().map(|bits| f32::from_bits(bits.as_u64().unwrap() as u32)).collect()
}

/// Bytes and the values that the `gguf` package gives for them, or bitsandbytes.
fn fixture(name: &str) -> (Vec<u8>, Vec<f32>) {
    let text = match name {
        "NF4" => include_str!("fixtures/quant/normal.json"),
        _ => include_str!("fixtures/quant/blocks.json"),
    };
    let all: Value = serde_json::from_str(text).unwrap();
    (bytes_of(all[name]["bytes"].as_str().unwrap()), floats_of(&all[name]["bits"]))
}

#[test]
fn every_block_format_decodes_to_the_same_values() {
    for (name, dtype, _) in FORMATS {
        let (bytes, want) = fixture(name);
        let mut got = vec![f32::NAN; want.len()];
        dequantize(dtype, &bytes, &mut got).unwrap();
        assert_eq!(got, want, "{name}");
        assert!(dequantize(dtype, &bytes[1..], &mut got).is_err());
        assert!(dequantize(dtype, &bytes, &mut got[1..]).is_err());
    }
}

#[test]
fn packing_keeps_every_value() {
    for (name, dtype, format) in FORMATS {
        let (bytes, want) = fixture(name);
        let packed = pack(dtype, &bytes, want.len()).unwrap();
        assert_eq!(packed.format, format);
        assert_eq!(unpack(&packed).unwrap(), want, "{name}");
    }
}

#[test]
fn float_types_decode() {
    let values = [1.0f32, -0.5, 3.140625, 0.0];
    for (dtype, bytes) in [
        (Dtype::F32, values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()),
        (Dtype::F16, values.iter().flat_map(|&v| half::f16::from_f32(v).to_le_bytes()).collect()),
        (Dtype::BF16, values.iter().flat_map(|&v| half::bf16::from_f32(v).to_le_bytes()).collect()),
    ] {
        let mut got = [f32::NAN; 4];
        dequantize(dtype, &bytes, &mut got).unwrap();
        assert_eq!(got, values);
        assert_eq!(unpack(&pack(dtype, &bytes, 2).unwrap()).unwrap(), values);
    }
}

#[test]
fn values_become_the_same_blocks() {
    let all: Value = serde_json::from_str(include_str!("fixtures/quant/quantised.json")).unwrap();
    let values = floats_of(&all["bits"]);
    for (name, dtype) in [
        ("F16", Dtype::F16),
        ("Q8_0", Dtype::Q8_0),
        ("Q4_0", Dtype::Q4_0),
        ("Q5_0", Dtype::Q5_0),
        ("Q4_K", Dtype::Q4K),
        ("Q6_K", Dtype::Q6K),
    ] {
        let mut got = Vec::new();
        assert!(quantise(dtype, &values, &mut got));
        assert_eq!(got, bytes_of(all[name].as_str().unwrap()), "{name}");
        // What no half holds is no block either.
        assert!(!quantise(dtype, &[1e30; 256], &mut got), "{name}");
    }
    assert!(!quantise(Dtype::Q5_1, &values, &mut Vec::new()));
}
