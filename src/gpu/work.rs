//! How much was asked of the device: counts that say whether a change made the same work dearer.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Gpu;

/// Counts since the device was opened.
#[derive(Debug, Default)]
pub struct Work {
    dispatches: AtomicU64,
    submissions: AtomicU64,
}

impl Work {
    /// Kernels launched.
    pub fn dispatches(&self) -> u64 {
        self.dispatches.load(Ordering::Relaxed)
    }

    /// Command buffers handed to the queue.
    pub fn submissions(&self) -> u64 {
        self.submissions.load(Ordering::Relaxed)
    }
}

impl Gpu {
    /// The counts.
    pub fn work(&self) -> &Work {
        &self.work
    }

    /// Hands `encoder`, which launches `dispatches` kernels, to the queue.
    pub(super) fn submit(&self, encoder: wgpu::CommandEncoder, dispatches: usize) -> wgpu::SubmissionIndex {
        self.work.dispatches.fetch_add(dispatches as u64, Ordering::Relaxed);
        self.work.submissions.fetch_add(1, Ordering::Relaxed);
        self.queue().submit([encoder.finish()])
    }
}
