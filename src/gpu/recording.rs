//! Recordings: dispatches recorded once with their bind groups, replayed without allocating or binding anything new.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::buffer::Buffer;
use super::pipeline::Pipeline;
use super::profile::{Profiler, Timed};
use super::shader::{Kernel, Variant};
use super::{Gpu, Profile};
use crate::{Error, Result};

/// WebGPU's limit on workgroups along one axis.
const MAX_GROUPS: u32 = 65_535;

/// Alignment of a `Params` block in the recording's uniform buffer (WebGPU's default limit).
const UNIFORM_ALIGNMENT: usize = 256;

/// Number of workgroups of `size` threads that cover `threads`.
pub fn groups_for(threads: usize, size: usize) -> u32 {
    u32::try_from(threads.div_ceil(size)).unwrap_or(u32::MAX)
}

struct Dispatch {
    pipeline: Arc<Pipeline>,
    bind_group: wgpu::BindGroup,
    groups: [u32; 2],
    cost: Cost,
}

/// What a dispatch costs in theory, for profiles and for slicing.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cost {
    /// Floating point operations.
    pub(super) flops: u64,
    /// Bytes that must move at least once.
    pub(super) bytes: u64,
}

enum Step {
    Dispatch(Dispatch),
    Copy { from: Buffer, to: Buffer },
    Clear(Buffer),
}

/// A recorded list of GPU work.
pub struct Recording {
    steps: Vec<Step>,
    /// Ends (exclusive) of the slices that are submitted one by one.
    slices: Vec<usize>,
    /// Keeps the memory of every bound buffer alive.
    _buffers: Vec<Buffer>,
}

impl Recording {
    /// Number of dispatches.
    pub fn dispatches(&self) -> usize {
        count(&self.steps)
    }

    /// Number of submissions.
    pub fn submissions(&self) -> usize {
        self.slices.len()
    }

    /// Floating point operations of all dispatches that state theirs.
    pub fn flops(&self) -> u64 {
        self.steps.iter().map(|step| if let Step::Dispatch(d) = step { d.cost.flops } else { 0 }).sum()
    }
}

impl std::fmt::Debug for Recording {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recording({} dispatches, {} submissions)", self.dispatches(), self.submissions())
    }
}

struct Pending {
    pipeline: Arc<Pipeline>,
    uniform_offset: u64,
    uniform_size: u64,
    arguments: Vec<Buffer>,
    groups: [u32; 2],
    cost: Cost,
}

enum Recorded {
    Dispatch(Pending),
    Copy { from: Buffer, to: Buffer },
    Clear(Buffer),
}

/// Records dispatches; [`Recorder::finish`] makes them a [`Recording`].
pub struct Recorder<'g> {
    gpu: &'g Gpu,
    uniforms: Vec<u8>,
    recorded: Vec<Recorded>,
}

impl<'g> Recorder<'g> {
    /// An empty recorder.
    pub fn new(gpu: &'g Gpu) -> Self {
        Self { gpu, uniforms: Vec::new(), recorded: Vec::new() }
    }

    /// The device recorded for.
    pub fn gpu(&self) -> &'g Gpu {
        self.gpu
    }

    /// Adds a dispatch of `groups` workgroups (folded into two dimensions where there are more than 65,535).
    ///
    /// `arguments` follow the kernel's binding list. What is written must not also be read by another binding of the same
    /// buffer. Two writable bindings may share a buffer only if their ranges are disjoint (WebGPU's rules).
    pub fn dispatch<P: bytemuck::NoUninit>(
        &mut self,
        kernel: &Kernel,
        variant: &Variant,
        params: &P,
        arguments: &[&Buffer],
        groups: u32,
    ) -> Result<()> {
        if groups == 0 {
            return Ok(());
        }
        let pipeline = self.gpu.pipeline(kernel, variant)?;
        let fault = |problem: String| Error::Gpu { what: kernel.label(), problem };
        if arguments.len() != pipeline.arguments.len() {
            return Err(fault(format!(
                "takes {} buffers, got {}",
                pipeline.arguments.len(),
                arguments.len()
            )));
        }
        for (i, a) in arguments.iter().enumerate() {
            let clash = arguments.iter().enumerate().any(|(j, b)| {
                let written = [i, j].map(|index| pipeline.arguments[index].1);
                match written {
                    [false, false] => false,
                    [true, true] => i != j && a.overlaps(b),
                    _ => a.same_storage(b),
                }
            });
            if clash {
                return Err(fault(format!("`{}` is written and bound twice", kernel.bindings[i])));
            }
        }
        let folds = groups.div_ceil(MAX_GROUPS);
        if folds > MAX_GROUPS {
            return Err(fault(format!("{groups} workgroups are too many")));
        }
        let bytes = bytemuck::bytes_of(params);
        let offset = self.uniforms.len();
        self.uniforms.extend_from_slice(bytes);
        self.uniforms.resize((offset + bytes.len()).next_multiple_of(UNIFORM_ALIGNMENT), 0);
        self.recorded.push(Recorded::Dispatch(Pending {
            pipeline,
            uniform_offset: offset as u64,
            uniform_size: bytes.len().next_multiple_of(16) as u64,
            arguments: arguments.iter().map(|&buffer| buffer.clone()).collect(),
            groups: [groups.div_ceil(folds), folds],
            cost: Cost { flops: 0, bytes: bound_bytes(arguments) },
        }));
        Ok(())
    }

    /// States the floating point operations of the dispatch recorded last.
    pub fn flops(&mut self, flops: usize) {
        if let Some(Recorded::Dispatch(last)) = self.recorded.last_mut() {
            last.cost.flops = flops as u64;
        }
    }

    /// States the bytes that the dispatch recorded last must move at least, where that is not every bound byte once.
    pub fn bytes(&mut self, bytes: u64) {
        if let Some(Recorded::Dispatch(last)) = self.recorded.last_mut() {
            last.cost.bytes = bytes;
        }
    }

    /// Adds a copy between buffers of the same length.
    pub fn copy(&mut self, from: &Buffer, to: &Buffer) -> Result<()> {
        if from.len() != to.len() || from.same_storage(to) {
            return Err(Error::Shape {
                kernel: "copy",
                arg: "to",
                expected: from.shape().to_vec(),
                got: to.shape().to_vec(),
            });
        }
        self.recorded.push(Recorded::Copy { from: from.clone(), to: to.clone() });
        Ok(())
    }

    /// Fills a buffer with zeros.
    pub fn clear(&mut self, buffer: &Buffer) {
        self.recorded.push(Recorded::Clear(buffer.clone()));
    }

    /// Makes the recording: one uniform buffer, one bind group a dispatch, slices below the device's time limit.
    pub fn finish(self) -> Result<Recording> {
        let gpu = self.gpu;
        let words: Vec<u32> = bytemuck::pod_collect_to_vec(&self.uniforms);
        let uniform = gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some("params"),
            size: (words.len().max(4) * 4) as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        gpu.queue().write_buffer(&uniform, 0, bytemuck::cast_slice(&words));
        let slice_flops = slice_flops(gpu);
        let (mut steps, mut slices, mut buffers) = (Vec::new(), Vec::new(), Vec::new());
        let mut flops = 0;
        for recorded in self.recorded {
            let step = match recorded {
                Recorded::Dispatch(pending) => {
                    flops += pending.cost.flops;
                    let step = bind(gpu, &uniform, &pending);
                    buffers.extend(pending.arguments);
                    Step::Dispatch(step)
                }
                Recorded::Copy { from, to } => Step::Copy { from, to },
                Recorded::Clear(buffer) => Step::Clear(buffer),
            };
            steps.push(step);
            if flops > slice_flops {
                slices.push(steps.len());
                flops = 0;
            }
        }
        if slices.last() != Some(&steps.len()) {
            slices.push(steps.len());
        }
        gpu.check()?;
        Ok(Recording { steps, slices, _buffers: buffers })
    }
}

/// Every bound byte once, also of what is bound twice.
fn bound_bytes(arguments: &[&Buffer]) -> u64 {
    let first = |index: usize| !arguments[..index].iter().any(|before| before.is_same_view(arguments[index]));
    (0..arguments.len()).filter(|&index| first(index)).map(|index| arguments[index].bytes()).sum()
}

/// About a quarter of a second of arithmetic at a rate that such adapters reach; browsers run on phones too.
fn slice_flops(gpu: &Gpu) -> u64 {
    let whole = match (gpu.is_software(), cfg!(target_arch = "wasm32")) {
        (true, _) => 1_000_000_000,
        (false, true) => 25_000_000_000,
        (false, false) => 100_000_000_000,
    };
    if gpu.is_patient() { whole / 8 } else { whole }
}

/// Is pending once, and ready when it is polled again.
#[cfg(not(target_arch = "wasm32"))]
async fn give_way() {
    let mut is_second = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut is_second, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

fn bind(gpu: &Gpu, uniform: &wgpu::Buffer, pending: &Pending) -> Dispatch {
    let params = wgpu::BindGroupEntry {
        binding: 0,
        resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: uniform,
            offset: pending.uniform_offset,
            size: std::num::NonZeroU64::new(pending.uniform_size),
        }),
    };
    let storage = pending.arguments.iter().zip(&pending.pipeline.arguments).map(|(buffer, &(binding, _))| {
        wgpu::BindGroupEntry { binding, resource: wgpu::BindingResource::Buffer(buffer.binding()) }
    });
    let entries: Vec<_> = std::iter::once(params).chain(storage).collect();
    let bind_group = gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(&pending.pipeline.label),
        layout: &pending.pipeline.layout,
        entries: &entries,
    });
    Dispatch {
        pipeline: Arc::clone(&pending.pipeline),
        bind_group,
        groups: pending.groups,
        cost: pending.cost,
    }
}

impl Gpu {
    /// Submits a recording, slice by slice. Returns before the GPU is done with the last two slices.
    pub fn run(&self, recording: &Recording) -> Result<()> {
        self.run_repeated(recording, 1)
    }

    /// Submits `recording` `times` times, as few submissions as stay below the device's time limit.
    pub fn run_repeated(&self, recording: &Recording, times: usize) -> Result<()> {
        if self.profiling() {
            return (0..times).try_for_each(|_| self.run_timed(recording));
        }
        let mut before = None;
        for (steps, repeats) in self.submissions(recording, times) {
            // One slice waits while another runs. On the web polling does not wait.
            if let Some(submitted) = before.replace(self.submit_steps(&recording.steps[steps], repeats)) {
                self.poll_for(submitted)?;
            }
        }
        self.check()
    }

    /// Submits `recording` `times` times and stops between slices once `cancel` is set: no more is in the queue than the device
    /// needs to be busy. After each slice whoever polls this may do something else first. In a browser the worker hears its
    /// messages meanwhile.
    ///
    /// # Errors
    /// [`Error::Cancelled`] if it stopped early; what was submitted until then is done.
    pub async fn run_cancellable(
        &self,
        recording: &Recording,
        times: usize,
        cancel: &AtomicBool,
    ) -> Result<()> {
        if self.profiling() {
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::Cancelled);
            }
            return self.run_repeated(recording, times);
        }
        let mut before = None;
        for (steps, repeats) in self.submissions(recording, times) {
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::Cancelled);
            }
            let submitted = self.submit_steps(&recording.steps[steps], repeats);
            #[cfg(not(target_arch = "wasm32"))]
            {
                let done = if self.is_patient() { Some(submitted) } else { before.replace(submitted) };
                done.map_or(Ok(()), |done| self.poll_for(done))?;
                give_way().await;
            }
            #[cfg(target_arch = "wasm32")]
            {
                let done = self.done(submitted);
                // A software device computes on the cores of whoever waits: a queue gains it nothing.
                let awaited = if self.is_software() { Some(done) } else { before.replace(done) };
                if let Some(done) = awaited {
                    // A sender that was dropped is one of a device that is gone, which `check` tells.
                    let _ = done.await;
                }
            }
        }
        self.check()
    }

    /// The submissions that make up `times` runs of a recording: which of its steps, and how often these in a row.
    fn submissions<'p>(
        &self,
        recording: &'p Recording,
        times: usize,
    ) -> impl Iterator<Item = (Range<usize>, usize)> + use<'p> {
        let single = recording.slices.len() <= 1;
        // A recording that has no flops has no slices by them either.
        let fit = slice_flops(self).checked_div(recording.flops()).unwrap_or(u64::MAX);
        let most = if single { usize::try_from(fit).unwrap_or(usize::MAX).max(1) } else { 1 };
        let rounds = times.div_ceil(most);
        (0..rounds).flat_map(move |round| {
            let repeats = most.min(times - round * most);
            let starts = std::iter::once(0).chain(recording.slices.iter().copied());
            starts.zip(&recording.slices).map(move |(start, &end)| (start..end, repeats))
        })
    }

    fn submit_steps(&self, steps: &[Step], repeats: usize) -> wgpu::SubmissionIndex {
        let started = self.encode();
        let mut encoder = self.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        for _ in 0..repeats {
            encode(&mut encoder, steps);
        }
        self.submit(started, encoder, repeats * count(steps))
    }

    fn poll_for(&self, submitted: wgpu::SubmissionIndex) -> Result<()> {
        let wait = wgpu::PollType::Wait { submission_index: Some(submitted), timeout: None };
        match self.device().poll(wait) {
            Ok(_) => Ok(()),
            Err(error) => {
                self.check()?;
                Err(Error::Gpu { what: "a slice of a recording".into(), problem: error.to_string() })
            }
        }
    }

    /// Resolves when the device has done what was submitted so far.
    #[cfg(target_arch = "wasm32")]
    fn done(&self, _latest: wgpu::SubmissionIndex) -> futures_channel::oneshot::Receiver<()> {
        let (sender, done) = futures_channel::oneshot::channel();
        self.queue().on_submitted_work_done(move || {
            // A receiver that was dropped no longer wants to know.
            let _ = sender.send(());
        });
        done
    }

    /// Runs a recording with a timestamp around every dispatch and adds the times to `profile`.
    ///
    /// # Errors
    /// [`Error::Usage`] if the adapter has no timestamps.
    pub async fn run_profiled(&self, recording: &Recording, profile: &mut Profile) -> Result<()> {
        let timed = self.submit_timed(recording)?;
        timed.add_to(self, profile).await?;
        self.check()
    }

    /// Submits a recording with timestamps whose times join the account of [`Gpu::start_profiling`] later.
    fn run_timed(&self, recording: &Recording) -> Result<()> {
        let timed = self.submit_timed(recording)?;
        self.keep_times(timed);
        self.check()
    }

    fn submit_timed(&self, recording: &Recording) -> Result<Timed> {
        let dispatches: Vec<&Dispatch> = recording
            .steps
            .iter()
            .filter_map(|step| if let Step::Dispatch(dispatch) = step { Some(dispatch) } else { None })
            .collect();
        let profiler = Profiler::new(self, dispatches.len())?;
        let mut index = 0;
        for step in &recording.steps {
            let started = self.encode();
            let mut encoder =
                self.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            match step {
                Step::Dispatch(dispatch) => {
                    let mut pass = profiler.pass(&mut encoder, index);
                    issue(&mut pass, dispatch);
                    index += 1;
                }
                other => encode(&mut encoder, std::slice::from_ref(other)),
            }
            self.submit(started, encoder, count(std::slice::from_ref(step)));
        }
        let kernels = dispatches.iter().map(|d| (Arc::clone(&d.pipeline), d.cost)).collect();
        Ok(profiler.read_later(self, kernels))
    }
}

fn count(steps: &[Step]) -> usize {
    steps.iter().filter(|step| matches!(step, Step::Dispatch(_))).count()
}

fn issue(pass: &mut wgpu::ComputePass<'_>, dispatch: &Dispatch) {
    pass.set_pipeline(&dispatch.pipeline.raw);
    pass.set_bind_group(0, &dispatch.bind_group, &[]);
    pass.dispatch_workgroups(dispatch.groups[0], dispatch.groups[1], 1);
}

/// Neighbouring dispatches share a pass; copies and clears stand between passes.
fn encode(encoder: &mut wgpu::CommandEncoder, steps: &[Step]) {
    let mut index = 0;
    while index < steps.len() {
        match &steps[index] {
            Step::Dispatch(_) => {
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                while let Some(Step::Dispatch(dispatch)) = steps.get(index) {
                    issue(&mut pass, dispatch);
                    index += 1;
                }
                continue;
            }
            Step::Copy { from, to } => encoder.copy_buffer_to_buffer(
                from.raw(),
                from.offset_bytes(),
                to.raw(),
                to.offset_bytes(),
                Some(from.bytes()),
            ),
            Step::Clear(buffer) => {
                encoder.clear_buffer(buffer.raw(), buffer.offset_bytes(), Some(buffer.bytes()));
            }
        }
        index += 1;
    }
}
