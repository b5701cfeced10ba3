//! Whatever tile autotune chooses, a model computes the same.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture_models;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use fixture_models::{Expected, adapter_file, folder, load_on, trainer};
use pollster::block_on;
use stepladder::bench::tune::tune;
use stepladder::gpu::{Gpu, GpuOptions};
use stepladder::kernel::product::{Product, ROW_CLASSES, choice_key, choices};
use stepladder::kernel::weight::Format;
use stepladder::model::source::folder::Folder;
use stepladder::train::loss::LossName;

fn gpu(software: bool) -> Arc<Gpu> {
    let options = GpuOptions { as_software: Some(software), ..GpuOptions::default() };
    Arc::new(block_on(Gpu::open(&options)).unwrap())
}

/// Loss and norm of the gradient of the fixture model `llama` on its completions, PyTorch's first.
fn loss_and_norm(gpu: Arc<Gpu>) -> [[f64; 2]; 2] {
    let expected = Expected::read("llama");
    let model = load_on(gpu, "llama", &mut Folder::open(folder("llama")).unwrap(), None);
    let file = adapter_file(&model, &folder("llama").join("adapter"));
    let mut trainer = trainer(&model, &file, 1);
    let config = LossName::Sft.config(1);
    let (loss, _) = block_on(trainer.gradient(&expected.completions(), &config)).unwrap();
    let norm = |values: &[f32]| values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    let got = norm(&block_on(trainer.read_gradient()).unwrap());
    [["loss", "grad_norm"].map(|field| expected.json[field].as_f64().unwrap()), [loss, got]]
}

#[test]
fn every_choice_gives_pytorchs_numbers() {
    for software in [true, false] {
        let device = gpu(software);
        let most = [Product::Forward, Product::BackwardX].map(|product| choices(&device, product, 64));
        let most = most[0].max(most[1]);
        assert!(most > 1, "there must be something to choose from");
        for index in 0..most {
            let gpu = gpu(software);
            for product in [Product::Forward, Product::BackwardX] {
                for m in ROW_CLASSES {
                    gpu.choose(&choice_key(&gpu, product, Format::F32, m), index);
                }
            }
            let [want, got] = loss_and_norm(gpu);
            for (want, got) in want.iter().zip(got) {
                assert!((got - want).abs() < 1e-3 * want, "choice {index}: {got} {want}");
            }
        }
    }
}

/// In f16, with cooperative matrices wherever they can be, forward and backward.
#[test]
fn cooperative_matrices_give_pytorchs_numbers() {
    let options = GpuOptions { f16: true, as_software: Some(false), ..GpuOptions::default() };
    let gpu = Arc::new(block_on(Gpu::open(&options)).unwrap());
    if gpu.coop().is_none() {
        let line =
            "NOT TESTED: a model with cooperative matrices: the adapter has none (see scripts/coop.sh)\n";
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return;
    }
    for product in [Product::Forward, Product::BackwardX] {
        for m in ROW_CLASSES.into_iter().filter(|&m| m > 8) {
            gpu.choose(&choice_key(&gpu, product, Format::F32, m), choices(&gpu, product, m) - 1);
        }
    }
    let [want, got] = loss_and_norm(gpu);
    println!("PyTorch: loss and norm {want:?}, here {got:?}");
    for (want, got) in want.iter().zip(got) {
        assert!((got - want).abs() < 1e-3 * want, "{got} {want}");
    }
}

#[test]
fn tuning_chooses_known_tiles_and_measures_only_what_is_not_known() {
    let gpu = gpu(true);
    let mut known = BTreeMap::new();
    block_on(tune(&gpu, &[Format::F32], &mut known)).unwrap();
    assert_eq!(known.len(), 2 * ROW_CLASSES.len());
    for (key, &index) in &known {
        assert_eq!(gpu.choice(key), index);
        assert!(index < 8);
    }
    let key = choice_key(&gpu, Product::Forward, Format::F32, 64);
    known.insert(key.clone(), 2);
    block_on(tune(&gpu, &[Format::F32], &mut known)).unwrap();
    assert_eq!((gpu.choice(&key), known[&key]), (2, 2));
}
