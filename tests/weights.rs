//! Weights in every storage format: a model in that format equals the f32 model of the same, de-quantised, values.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture_models;

use fixture_models::{Expected, adapter_file, folder, gpu, load_on, trainer};
use pollster::block_on;
use stepladder::Result;
use stepladder::kernel::weight::Format;
use stepladder::model::pack::{pack_as, unpack};
use stepladder::model::source::bytes::File;
use stepladder::model::source::folder::Folder;
use stepladder::model::source::{Dtype, TensorInfo, TensorSource, quant};
use stepladder::train::adapter;
use stepladder::train::loss::LossName;

/// A source whose matrices have been through `format` and back to f32.
struct Rounded {
    inner: Folder<File>,
    tensors: Vec<TensorInfo>,
    format: Option<Format>,
}

impl Rounded {
    fn new(name: &str, format: Option<Format>) -> Self {
        let inner = Folder::open(folder(name)).unwrap();
        let tensors = inner.tensors().iter().map(|t| TensorInfo { dtype: Dtype::F32, ..t.clone() }).collect();
        Self { inner, tensors, format }
    }
}

impl TensorSource for Rounded {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read(&mut self, index: usize, start: usize, count: usize, out: &mut Vec<u8>) -> Result<()> {
        let info = self.inner.tensors()[index].clone();
        let mut bytes = Vec::new();
        self.inner.read(index, start, count, &mut bytes)?;
        let mut values = vec![0.0; count * info.cols()];
        quant::dequantize(info.dtype, &bytes, &mut values)?;
        if let Some(format) = self.format
            && info.shape.len() == 2
        {
            let packed = pack_as(format, &values, info.cols())?;
            assert_eq!(packed.format, format, "{}", info.name);
            values = unpack(&packed)?;
        }
        *out = bytemuck::cast_slice(&values).to_vec();
        Ok(())
    }

    fn name(&self) -> String {
        self.inner.name()
    }

    fn is_gguf(&self) -> bool {
        self.inner.is_gguf()
    }
}

/// Log-probabilities with the adapter, and the gradient of the completions' loss.
fn measure(name: &str, source: &mut dyn TensorSource, format: Option<Format>) -> (Vec<f32>, Vec<f32>) {
    let model = load_on(gpu(), name, source, format);
    let expected = Expected::read("llama");
    let file = adapter_file(&model, &folder("llama").join("adapter"));
    let mut trainer = trainer(&model, &file, 512);
    let scores = block_on(trainer.logprobs(&expected.all_scored(), true)).unwrap();
    block_on(trainer.gradient(&expected.completions(), &LossName::Sft.config(1))).unwrap();
    let flat = block_on(trainer.read_gradient()).unwrap();
    let file = adapter::unflatten(trainer.lora().layout(), file.config, &flat);
    let gradient = file.tensors.into_values().flat_map(|pair| [pair.a, pair.b].concat()).collect();
    (scores.into_iter().flat_map(|scores| scores.logp).collect(), gradient)
}

fn compare(what: &str, got: (Vec<f32>, Vec<f32>), want: (Vec<f32>, Vec<f32>)) {
    let worst = got.0.iter().zip(&want.0).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-3, "{what}: log-probs differ by {worst}");
    let square = |x: f32| f64::from(x) * f64::from(x);
    let difference: f64 = got.1.iter().zip(&want.1).map(|(a, b)| square(a - b)).sum();
    let relative = (difference / want.1.iter().map(|x| square(*x)).sum::<f64>()).sqrt();
    assert!(relative < 1e-3, "{what}: gradients differ by {relative}");
}

#[test]
fn quantised_models_equal_their_dequantised_selves() {
    let plain = measure("llama", &mut Rounded::new("llama", None), None);
    for format in [Format::F16, Format::Q8, Format::Q8x2, Format::Q4, Format::Iq4, Format::Nf4, Format::Q2x2]
    {
        let got = measure("llama", &mut Folder::open(folder("llama")).unwrap(), Some(format));
        let want = measure("llama", &mut Rounded::new("llama", Some(format)), None);
        compare(&format!("{format:?}"), got, want.clone());
        if format == Format::Q4 {
            let moved = plain.0.iter().zip(&want.0).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(moved > 1e-2, "4 bits must change something, or this test compares nothing");
        }
    }
}

#[test]
fn f16_and_sharded_bf16_folders_equal_their_values_in_f32() {
    for name in ["llama_f16", "llama_bf16_sharded"] {
        let got = measure(name, &mut Folder::open(folder(name)).unwrap(), None);
        compare(name, got, measure(name, &mut Rounded::new(name, None), None));
    }
}
