//! Between adapters as PEFT files and adapters as one flat buffer on the GPU.

use super::lora_config::LoraConfig;
use super::peft::{AdapterFile, LoraPair};
use crate::gpu::Gpu;
use crate::model::config::ModelConfig;
use crate::model::lora::{Layout, Lora};
use crate::model::module::Module;
use crate::{Error, Result};

/// `(out, in)` of a module of this model; `None` for layers that it does not have.
pub fn dims(config: &ModelConfig) -> impl Fn(usize, Module) -> Option<(usize, usize)> {
    let config = config.clone();
    move |layer, module| {
        let [outputs, inputs] = config.module_shape(module).filter(|_| layer < config.num_layers)?;
        Some((outputs, inputs))
    }
}

/// The layout that holds the modules which `lora` adapts.
pub fn layout(config: &ModelConfig, lora: &LoraConfig) -> Result<Layout> {
    let modules = (0..config.num_layers).flat_map(|layer| Module::ALL.map(|module| (layer, module)));
    Layout::new(
        config,
        modules
            .filter(|&(layer, module)| config.module_shape(module).is_some() && lora.adapts(layer, module))
            .map(|(layer, module)| (layer, module, lora.rank_of(layer, module), lora.scale(layer, module))),
    )
}

/// An adapter's values in the order of `layout`, zero in the padding.
pub fn flatten(layout: &Layout, adapter: &AdapterFile) -> Result<Vec<f32>> {
    let mut flat = vec![0.0; layout.len()];
    for site in layout.sites() {
        let key = (site.layer, site.module);
        let lost = || {
            Error::usage(
                "adapter",
                format!("has no {}", site.module.path(site.layer)),
                "use an adapter with these target modules",
            )
        };
        let pair = adapter.tensors.get(&key).ok_or_else(lost)?;
        for (start, values, len) in [
            (site.a_start, &pair.a, site.rank * site.inputs),
            (site.b_start, &pair.b, site.outputs * site.rank),
        ] {
            if values.len() != len {
                return Err(lost());
            }
            flat[start..start + len].copy_from_slice(values);
        }
    }
    Ok(flat)
}

/// The adapter on the GPU, to sample and score with.
pub fn upload(gpu: &Gpu, config: &ModelConfig, adapter: &AdapterFile) -> Result<Lora> {
    let layout = layout(config, &adapter.config)?;
    let lora = Lora::new(gpu, "lora", config.num_layers, &layout)?;
    gpu.write(lora.flat(), 0, &flatten(&layout, adapter)?)?;
    Ok(lora)
}

/// The adapter that a flat buffer holds.
pub fn unflatten(layout: &Layout, config: LoraConfig, flat: &[f32]) -> AdapterFile {
    let pair = |site: &crate::model::lora::Site| LoraPair {
        a: flat[site.a_start..site.a_start + site.rank * site.inputs].to_vec(),
        b: flat[site.b_start..site.b_start + site.outputs * site.rank].to_vec(),
    };
    let tensors = layout.sites().iter().map(|site| ((site.layer, site.module), pair(site))).collect();
    AdapterFile { config, tensors }
}
