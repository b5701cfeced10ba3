//! GPU buffers with a shape, counted and freed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Gpu;
use crate::{Error, Result};

/// Bytes of GPU memory in use and at most so far.
#[derive(Debug, Default)]
pub struct Memory {
    current: AtomicU64,
    peak: AtomicU64,
    allocations: AtomicU64,
}

impl Memory {
    /// Bytes allocated now.
    pub fn current(&self) -> u64 {
        self.current.load(Ordering::Relaxed)
    }

    /// The most bytes that were ever allocated at once.
    pub fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    /// Number of buffers made so far; a loop that allocates nothing leaves it alone.
    pub fn allocations(&self) -> u64 {
        self.allocations.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, bytes: u64) {
        let now = self.current.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.peak.fetch_max(now, Ordering::Relaxed);
        self.count_allocation();
    }

    /// Counts a buffer that is not part of the account, such as one for reading back.
    pub(super) fn count_allocation(&self) {
        self.allocations.fetch_add(1, Ordering::Relaxed);
    }

    fn sub(&self, bytes: u64) {
        self.current.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Owns the memory. Destroyed on drop, because dropping alone frees nothing on the web.
#[derive(Debug)]
struct Storage {
    raw: wgpu::Buffer,
    memory: Arc<Memory>,
}

impl Drop for Storage {
    fn drop(&mut self) {
        self.memory.sub(self.raw.size());
        self.raw.destroy();
    }
}

/// A dense row-major array of 4-byte elements on the GPU, or a part of one. Cloning shares the memory.
#[derive(Debug, Clone)]
pub struct Buffer {
    storage: Arc<Storage>,
    /// First element of this view.
    start: u64,
    shape: Vec<usize>,
}

impl Buffer {
    pub(super) fn new(gpu: &Gpu, label: &str, shape: &[usize]) -> Result<Self> {
        // A binding must not be empty.
        let bytes = (shape.iter().product::<usize>().max(1) * 4) as u64;
        let limits = gpu.limits();
        let largest = limits.max_buffer_size.min(limits.max_storage_buffer_binding_size);
        if bytes > largest {
            return Err(Error::OutOfMemory {
                what: format!("buffer `{label}`"),
                needed: bytes,
                available: largest,
                hint: "lower --batch-size, --group-size or --max-length".into(),
            });
        }
        gpu.reserve(label, bytes)?;
        let raw = gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size: bytes,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        gpu.memory().add(bytes);
        let storage = Arc::new(Storage { raw, memory: Arc::clone(gpu.memory_handle()) });
        Ok(Self { storage, start: 0, shape: shape.to_vec() })
    }

    /// The shape of this view.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of this view.
    pub fn bytes(&self) -> u64 {
        self.len() as u64 * 4
    }

    /// The same memory from element `start`, seen with another shape. `start` must be a multiple of 64
    /// (WebGPU aligns bindings to 256 bytes).
    pub fn view(&self, start: usize, shape: &[usize]) -> Result<Self> {
        let len: usize = shape.iter().product();
        if !start.is_multiple_of(64) || start + len > self.len() {
            return Err(Error::Shape {
                kernel: "view",
                arg: "start, length",
                expected: vec![self.len()],
                got: vec![start, len],
            });
        }
        Ok(Self {
            storage: Arc::clone(&self.storage),
            start: self.start + start as u64,
            shape: shape.to_vec(),
        })
    }

    /// Fails unless the shape is `expected`.
    pub fn expect(&self, kernel: &'static str, arg: &'static str, expected: &[usize]) -> Result<()> {
        if self.shape == expected {
            return Ok(());
        }
        Err(Error::Shape { kernel, arg, expected: expected.to_vec(), got: self.shape.clone() })
    }

    /// The two dimensions of a matrix.
    pub fn matrix(&self, kernel: &'static str, arg: &'static str) -> Result<[usize; 2]> {
        match self.shape[..] {
            [rows, cols] => Ok([rows, cols]),
            _ => Err(Error::Shape { kernel, arg, expected: vec![0, 0], got: self.shape.clone() }),
        }
    }

    pub(super) fn raw(&self) -> &wgpu::Buffer {
        &self.storage.raw
    }

    pub(super) fn offset_bytes(&self) -> u64 {
        self.start * 4
    }

    pub(super) fn binding(&self) -> wgpu::BufferBinding<'_> {
        wgpu::BufferBinding {
            buffer: &self.storage.raw,
            offset: self.start * 4,
            size: std::num::NonZeroU64::new(self.bytes().max(4)),
        }
    }

    /// Whether two views lie in the same memory.
    pub(super) fn same_storage(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.storage, &other.storage)
    }
}
