//! Shader modules without the checks that guard against shaders from strangers: the only `unsafe` of the crate.

/// A module of one of this crate's own shaders.
#[allow(unsafe_code, reason = "wgpu cannot know that these shaders end and stay within their buffers")]
pub(super) fn module(device: &wgpu::Device, label: &str, text: String) -> wgpu::ShaderModule {
    let mode = std::env::var("TRUST").unwrap_or_default();
    let checks = wgpu::ShaderRuntimeChecks {
        force_loop_bounding: mode.is_empty(),
        bounds_checks: mode != "all",
        ..wgpu::ShaderRuntimeChecks::checked()
    };
    let descriptor =
        wgpu::ShaderModuleDescriptor { label: Some(label), source: wgpu::ShaderSource::Wgsl(text.into()) };
    unsafe { device.create_shader_module_trusted(descriptor, checks) }
}
