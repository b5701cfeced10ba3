//! The test device and what waits for it, as a browser cannot.

use std::sync::OnceLock;

use stepladder::Result;
use stepladder::gpu::{Buffer, Gpu, GpuOptions, Recorder};

/// Opens a device.
///
/// # Panics
/// Without an adapter: a GPU test that did not run has not passed.
pub fn open(options: &GpuOptions) -> Gpu {
    match pollster::block_on(Gpu::open(options)) {
        Ok(gpu) => gpu,
        Err(error) => panic!("GPU tests need an adapter, a software one will do: {error}"),
    }
}

/// The device that this test binary shares, with its adapter's own limits.
pub fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| open(&GpuOptions::default()))
}

/// The same adapter with WebGPU's default limits, as a browser gives it.
pub fn gpu_default_limits() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| open(&GpuOptions { default_limits: true, ..GpuOptions::default() }))
}

/// Records work and runs it once.
pub fn run(gpu: &Gpu, record: impl FnOnce(&mut Recorder<'_>) -> Result<()>) -> Result<()> {
    gpu.run(&super::recording(gpu, record)?)
}

/// The values of a buffer.
pub fn read(gpu: &Gpu, buffer: &Buffer) -> Vec<f32> {
    pollster::block_on(gpu.read(buffer)).unwrap()
}

/// The words of a buffer.
pub fn read_words(gpu: &Gpu, buffer: &Buffer) -> Vec<u32> {
    pollster::block_on(gpu.read(buffer)).unwrap()
}
