//! Devices of the native tests, and the fixtures' files on the disk.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use pollster::block_on;
use stepladder::gpu::{Gpu, GpuOptions};
use stepladder::model::Model;
use stepladder::model::source::bytes::File;
use stepladder::model::source::folder::Folder;

use super::load_on;

pub(crate) fn gpu() -> Arc<Gpu> {
    static GPU: OnceLock<Arc<Gpu>> = OnceLock::new();
    Arc::clone(GPU.get_or_init(|| Arc::new(block_on(Gpu::open(&GpuOptions::default())).unwrap())))
}

pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models").join(name)
}

/// A device with WebGPU's default limits.
pub(crate) fn limited_gpu() -> Arc<Gpu> {
    let options = GpuOptions { default_limits: true, ..GpuOptions::default() };
    Arc::new(block_on(Gpu::open(&options)).unwrap())
}

/// A device that multiplies in f16 where its adapter can.
pub(crate) fn f16_gpu() -> Arc<Gpu> {
    let options = GpuOptions { f16: true, ..GpuOptions::default() };
    Arc::new(block_on(Gpu::open(&options)).unwrap())
}

pub(crate) fn load(name: &str) -> Arc<Model> {
    load_on(gpu(), name, &mut source(name), None)
}

/// The bytes of a file.
pub(crate) fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

/// The weights of a fixture.
pub(crate) fn source(name: &str) -> Folder<File> {
    Folder::open(folder(name)).unwrap()
}
