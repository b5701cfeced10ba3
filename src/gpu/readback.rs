//! Reading buffers back, now or a few steps late.

use std::sync::{Mutex, PoisonError};

use super::Gpu;
use super::buffer::Buffer;
use crate::{Error, Result};

/// Staging buffers that are kept between reads.
const KEPT: usize = 8;

/// Staging buffers that no read is using, so that a loop that reads makes none.
#[derive(Debug, Default)]
pub(super) struct Staging(Mutex<Vec<wgpu::Buffer>>);

impl Staging {
    /// The smallest kept buffer of at least `size` bytes, or a new one.
    fn take(&self, gpu: &Gpu, size: u64) -> wgpu::Buffer {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = kept.iter().enumerate().filter(|(_, buffer)| buffer.size() >= size);
        if let Some((index, _)) = fits.min_by_key(|(_, buffer)| buffer.size()) {
            return kept.swap_remove(index);
        }
        gpu.memory().count_allocation();
        gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some("readback"),
            // Powers of two serve many sizes.
            size: size.next_power_of_two().max(256),
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        })
    }

    /// Takes an unmapped buffer back.
    fn give(&self, buffer: wgpu::Buffer) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.push(buffer);
        } else {
            buffer.destroy();
        }
    }
}

/// A copy on its way to the CPU. Await it later, after more work has been submitted.
#[derive(Debug)]
pub struct Pending {
    staging: wgpu::Buffer,
    size: u64,
    mapped: futures_channel::oneshot::Receiver<Result<(), wgpu::BufferAsyncError>>,
    submission: wgpu::SubmissionIndex,
    /// How many submissions there were with this one.
    number: u64,
}

impl Pending {
    fn begin(gpu: &Gpu, parts: &[(&wgpu::Buffer, u64, u64)]) -> Self {
        let size: u64 = parts.iter().map(|part| part.2).sum();
        let staging = gpu.staging.take(gpu, size);
        let started = gpu.encode();
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut at = 0;
        for &(buffer, offset, bytes) in parts {
            encoder.copy_buffer_to_buffer(buffer, offset, &staging, at, Some(bytes));
            at += bytes;
        }
        let submission = gpu.submit(started, encoder, 0);
        let number = gpu.work().submissions();
        let (sender, mapped) = futures_channel::oneshot::channel();
        staging.map_async(wgpu::MapMode::Read, ..size, move |result| {
            // A receiver that was dropped no longer wants the answer.
            let _ = sender.send(result);
        });
        Self { staging, size, mapped, submission, number }
    }

    /// Waits for the copy and returns its bytes.
    pub async fn bytes(self, gpu: &Gpu) -> Result<Vec<u8>> {
        let bytes = self.wait(gpu).await?;
        if gpu.profiling() {
            gpu.collect_times().await?;
        }
        Ok(bytes)
    }

    pub(super) async fn wait(self, gpu: &Gpu) -> Result<Vec<u8>> {
        let failed = |problem: String| Error::Gpu { what: "readback".into(), problem };
        // Natively the callback fires inside of poll; on the web poll does nothing and the event loop fires it.
        let wait = wgpu::PollType::Wait { submission_index: Some(self.submission), timeout: None };
        if let Err(error) = gpu.device().poll(wait) {
            gpu.check()?;
            return Err(failed(error.to_string()));
        }
        match self.mapped.await {
            Ok(Ok(())) => gpu.waited_for(self.number),
            Ok(Err(error)) => {
                #[cfg(target_arch = "wasm32")]
                for _ in 0..LATEST_REASON {
                    next_task().await;
                    gpu.check()?;
                }
                gpu.check()?;
                return Err(failed(error.to_string()));
            }
            Err(_) => {
                gpu.check()?;
                return Err(failed("the mapping was dropped".into()));
            }
        }
        gpu.check()?;
        let view = self.staging.get_mapped_range(..self.size).map_err(|error| failed(error.to_string()))?;
        let bytes = view.to_vec();
        drop(view);
        self.staging.unmap();
        gpu.staging.give(self.staging);
        Ok(bytes)
    }
}

/// How often a failed mapping waits for its reason: a second in all, since a busy browser takes its time.
#[cfg(target_arch = "wasm32")]
const LATEST_REASON: usize = 50;

/// Lets the event loop go round for a moment: a lost device rejects its mappings first and says afterwards that it is lost.
#[cfg(target_arch = "wasm32")]
async fn next_task() {
    use wasm_bindgen::JsCast;
    let promise = js_sys::Promise::new(&mut |resolve, _| {
        let timer = js_sys::Reflect::get(&js_sys::global(), &"setTimeout".into());
        match timer.map(JsCast::dyn_into::<js_sys::Function>) {
            Ok(Ok(timer)) if timer.call2(&js_sys::global(), &resolve, &20.into()).is_ok() => {}
            // Without timers there is nothing to wait for.
            _ => drop(resolve.call0(&wasm_bindgen::JsValue::UNDEFINED)),
        }
    });
    // The promise is never rejected.
    drop(wasm_bindgen_futures::JsFuture::from(promise).await);
}

pub(super) fn read_raw_later(gpu: &Gpu, buffer: &wgpu::Buffer, offset: u64, bytes: u64) -> Pending {
    Pending::begin(gpu, &[(buffer, offset, bytes)])
}

impl Gpu {
    /// Reads a whole buffer after everything submitted so far.
    pub async fn read<T: bytemuck::AnyBitPattern + bytemuck::NoUninit>(
        &self,
        buffer: &Buffer,
    ) -> Result<Vec<T>> {
        let bytes = self.read_later(&[buffer]).bytes(self).await?;
        Ok(bytemuck::pod_collect_to_vec(&bytes))
    }

    /// Starts reading buffers, one after the other in one piece, and returns at once.
    pub fn read_later(&self, buffers: &[&Buffer]) -> Pending {
        let parts: Vec<_> =
            buffers.iter().map(|buffer| (buffer.raw(), buffer.offset_bytes(), buffer.bytes())).collect();
        Pending::begin(self, &parts)
    }

    /// Waits until the GPU has done everything submitted so far, seen from `after`, which that work wrote.
    pub async fn wait(&self, after: &Buffer) -> Result<()> {
        let first = after.bytes().min(4);
        read_raw_later(self, after.raw(), after.offset_bytes(), first).bytes(self).await.map(|_| ())
    }

    /// Carries out all writes so far. Writes wait in host memory until the next submission: whoever streams a large file
    /// calls this now and then, so that it does not pile up there.
    pub fn flush(&self) -> Result<()> {
        let submission = self.queue().submit([]);
        let wait = wgpu::PollType::Wait { submission_index: Some(submission), timeout: None };
        if let Err(error) = self.device().poll(wait) {
            self.check()?;
            return Err(Error::Gpu { what: "an upload".into(), problem: error.to_string() });
        }
        self.check()
    }
}
