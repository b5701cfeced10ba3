//! GPU buffers with a shape, counted and freed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Gpu;
use crate::{Error, Result};

/// A view begins at a multiple of so many elements: WebGPU aligns bindings to 256 bytes.
pub const VIEW_ALIGNMENT: usize = 64;

/// Elements that [`Gpu::regions`] takes.
pub fn region_elements(rows: usize, cols: &[usize]) -> usize {
    let padded: usize = cols.iter().map(|cols| (rows * cols).next_multiple_of(VIEW_ALIGNMENT)).sum();
    let last = cols.last().map_or(0, |cols| rows * cols);
    // Nothing follows the last one.
    padded - last.next_multiple_of(VIEW_ALIGNMENT) + last
}

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
                hint: "lower <batch_size|group_size|max_length|max_tokens>".into(),
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

    /// Matrices `[rows, cols]` for each of `cols` that one binding sees as a whole; one memory for each where that would
    /// be more than a binding may see.
    pub(super) fn regions(gpu: &Gpu, label: &str, rows: usize, cols: &[usize]) -> Result<Vec<Self>> {
        let all = region_elements(rows, cols);
        if all as u64 * 4 > gpu.max_binding_bytes() {
            return cols.iter().map(|&cols| Self::new(gpu, label, &[rows, cols])).collect();
        }
        let whole = Self::new(gpu, label, &[all])?;
        let mut start = 0;
        let region = |&cols: &usize| {
            let region = whole.view(start, &[rows, cols]);
            start += (rows * cols).next_multiple_of(VIEW_ALIGNMENT);
            region
        };
        cols.iter().map(region).collect()
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

    /// A view of the memory from element `start` on, with another shape. `start` must be a multiple of [`VIEW_ALIGNMENT`].
    pub fn view(&self, start: usize, shape: &[usize]) -> Result<Self> {
        let len: usize = shape.iter().product();
        if !start.is_multiple_of(VIEW_ALIGNMENT) || start + len > self.len() {
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

    /// The smallest view that all of `parts` lie in, and where in it each begins; `None` if they are of several memories.
    pub fn enclosing(parts: &[&Self]) -> Option<(Self, Vec<usize>)> {
        let first = parts.first()?;
        if parts.iter().any(|part| !part.same_storage(first)) {
            return None;
        }
        let start = parts.iter().map(|part| part.start).min()?;
        let end = parts.iter().map(|part| part.start + part.len() as u64).max()?;
        let place = |at: u64| usize::try_from(at - start).ok();
        let view = Self { storage: Arc::clone(&first.storage), start, shape: vec![place(end)?] };
        Some((view, parts.iter().map(|part| place(part.start)).collect::<Option<_>>()?))
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

    /// Whether two views have the same elements.
    pub(super) fn is_same_view(&self, other: &Self) -> bool {
        self.same_storage(other) && self.start == other.start && self.len() == other.len()
    }

    /// Whether two views have an element in common.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let ends = [self, other].map(|view| view.start + view.len() as u64);
        self.same_storage(other) && self.start < ends[1] && other.start < ends[0]
    }
}
