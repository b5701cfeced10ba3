//! Compute pipelines, made once for each kernel and variant.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::shader::{self, Kernel, Variant};
use crate::{Error, Result};

/// A pipeline with the binding number and access of each host argument.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) raw: wgpu::ComputePipeline,
    pub(super) layout: wgpu::BindGroupLayout,
    /// Binding number and whether it is written, in the order of [`Kernel::bindings`].
    pub(super) arguments: Vec<(u32, bool)>,
    pub(super) label: String,
}

type Key = (&'static str, &'static str, Variant);

/// The cache. The key is everything that shapes the source.
#[derive(Debug, Default)]
pub(super) struct Pipelines {
    cache: Mutex<HashMap<Key, Arc<Pipeline>>>,
}

impl Pipelines {
    pub(super) fn get(
        &self,
        device: &wgpu::Device,
        kernel: &Kernel,
        variant: &Variant,
    ) -> Result<Arc<Pipeline>> {
        let key = (kernel.stem, kernel.entry, variant.clone());
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = cache.get(&key) {
            return Ok(Arc::clone(found));
        }
        let made = Arc::new(build(device, kernel, variant)?);
        cache.insert(key, Arc::clone(&made));
        Ok(made)
    }
}

fn build(device: &wgpu::Device, kernel: &Kernel, variant: &Variant) -> Result<Pipeline> {
    let label = kernel.label();
    let text = shader::compose(kernel.source, variant);
    let declared = shader::bindings(&text);
    let mut arguments = Vec::with_capacity(kernel.bindings.len());
    for name in kernel.bindings {
        let line = declared.iter().find(|line| line.name == *name).ok_or_else(|| Error::Gpu {
            what: label.clone(),
            problem: format!("the shader has no binding `{name}`"),
        })?;
        arguments.push((line.number, line.writes));
    }
    let uniform = wgpu::BindGroupLayoutEntry {
        binding: 0,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Uniform,
            has_dynamic_offset: false,
            min_binding_size: None,
        },
        count: None,
    };
    let storage = arguments.iter().map(|&(binding, writes)| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Storage { read_only: !writes },
            has_dynamic_offset: false,
            min_binding_size: None,
        },
        count: None,
    });
    let entries: Vec<_> = std::iter::once(uniform).chain(storage).collect();
    let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: Some(&label),
        entries: &entries,
    });
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(&label),
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(&label),
        source: wgpu::ShaderSource::Wgsl(text.into()),
    });
    let raw = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(&label),
        layout: Some(&pipeline_layout),
        module: &module,
        entry_point: Some(kernel.entry),
        compilation_options: wgpu::PipelineCompilationOptions {
            // Every kernel writes its workgroup memory before it reads it.
            zero_initialize_workgroup_memory: false,
            ..Default::default()
        },
        cache: None,
    });
    Ok(Pipeline { raw, layout, arguments, label })
}
