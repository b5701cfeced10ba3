//! Finding an adapter and opening its device; errors that the device reports later.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use super::buffer::{Buffer, Memory};
use super::coop::{Coop, permission};
use super::pipeline::{Pipeline, Pipelines};
use super::profile::Account;
use super::readback::Staging;
use super::shader::{Kernel, Variant, with_subgroups};
use super::submit::Work;
use super::tuned::Tuned;
use crate::{Error, Result};

/// How to choose and open a device.
#[derive(Debug, Clone, Default)]
pub struct GpuOptions {
    /// Part of the adapter's name, any case; otherwise `WGPU_ADAPTER_NAME`, otherwise the best kind.
    pub name: Option<String>,
    /// Ask for WebGPU's default limits instead of the adapter's own.
    pub default_limits: bool,
    /// Refuse to allocate more than this many bytes in all.
    pub memory_limit: Option<u64>,
    /// Split weights into parts of at most this many bytes, below the device's own limit.
    pub max_binding: Option<u64>,
    /// Run the kernel variants for software adapters (true) or for GPUs (false), whatever the adapter is.
    pub as_software: Option<bool>,
    /// The adapter's name where it tells none, as most browsers' do.
    pub unnamed: Option<String>,
    /// Multiply in 16-bit floats where the adapter can; see [`Gpu::has_f16`].
    pub f16: bool,
}

/// An adapter, in words.
#[derive(Debug, Clone, Serialize)]
pub struct AdapterReport {
    /// Name, as the driver gives it.
    pub name: String,
    /// `discrete`, `integrated`, `software`, `virtual` or `other`.
    pub kind: &'static str,
    /// Graphics interface (`vulkan`, `metal`, `dx12`, `webgpu`).
    pub backend: String,
    /// Driver and version.
    pub driver: String,
    /// Optional features that this program can use.
    pub features: Vec<&'static str>,
    /// Largest buffer in bytes.
    pub max_buffer_size: u64,
    /// Largest part of a buffer that one shader binding sees, in bytes.
    pub max_binding_size: u64,
    /// Workgroup memory in bytes.
    pub max_workgroup_memory: u32,
    /// Threads of a workgroup.
    pub max_workgroup_size: u32,
}

/// Errors that arrive outside of the call that caused them.
#[derive(Debug, Default)]
struct Faults {
    first: Mutex<Option<Error>>,
}

impl Faults {
    fn put(&self, error: Error) {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        // The loss of the device outlasts every other error, even one that came before and was not asked for yet.
        if first.is_none() || matches!(error, Error::DeviceLost(_)) {
            *first = Some(error);
        }
    }

    fn take(&self) -> Option<Error> {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        match &*first {
            // A lost device stays lost.
            Some(Error::DeviceLost(reason)) => Some(Error::DeviceLost(reason.clone())),
            _ => first.take(),
        }
    }
}

/// An open device with its queue, pipelines and memory account.
#[derive(Debug)]
pub struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    limits: wgpu::Limits,
    report: AdapterReport,
    memory: Arc<Memory>,
    memory_limit: Option<u64>,
    max_binding: u64,
    software: bool,
    subgroup_size: Option<usize>,
    f16: bool,
    coop: Option<Coop>,
    faults: Arc<Faults>,
    pipelines: Pipelines,
    pub(super) tuned: Tuned,
    pub(super) staging: Staging,
    account: Account,
    pub(super) work: Work,
    patient: AtomicBool,
}

fn instance() -> wgpu::Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.flags = descriptor.flags.with_env();
    wgpu::Instance::new(descriptor)
}

fn rank(kind: wgpu::DeviceType) -> u8 {
    match kind {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

const FEATURES: &[(wgpu::Features, &str)] = &[
    (wgpu::Features::SHADER_F16, "shader-f16"),
    (wgpu::Features::SUBGROUP, "subgroups"),
    (wgpu::Features::TIMESTAMP_QUERY, "timestamp-query"),
    (wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX, "cooperative-matrix"),
];

/// What kernels with cooperative matrices also use.
const COOP_NEEDS: wgpu::Features = wgpu::Features::SHADER_F16.union(wgpu::Features::SUBGROUP);

/// Bytes of workgroup memory that kernels with cooperative matrices may use.
const COOP_MEMORY: u32 = 32 << 10;

/// The optional features to ask for: those that the program uses, as far as they are offered.
fn wanted_features(offered: wgpu::Features, options: &GpuOptions) -> wgpu::Features {
    let mut wanted = wgpu::Features::TIMESTAMP_QUERY;
    wanted.set(wgpu::Features::SHADER_F16, options.f16);
    // Default limits stand for a device that has nothing but what WebGPU promises.
    wanted.set(wgpu::Features::SUBGROUP, !options.default_limits);
    let coop = options.f16 && !options.default_limits && offered.contains(COOP_NEEDS);
    wanted.set(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX, coop);
    offered & wanted
}

fn report(adapter: &wgpu::Adapter) -> AdapterReport {
    let info = adapter.get_info();
    let limits = adapter.limits();
    let features = adapter.features();
    AdapterReport {
        name: info.name,
        kind: match info.device_type {
            wgpu::DeviceType::DiscreteGpu => "discrete",
            wgpu::DeviceType::IntegratedGpu => "integrated",
            wgpu::DeviceType::VirtualGpu => "virtual",
            wgpu::DeviceType::Cpu => "software",
            wgpu::DeviceType::Other => "other",
        },
        backend: info.backend.to_string(),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_string(),
        features: FEATURES.iter().filter(|(bit, _)| features.contains(*bit)).map(|(_, name)| *name).collect(),
        max_buffer_size: limits.max_buffer_size,
        max_binding_size: limits.max_storage_buffer_binding_size,
        max_workgroup_memory: limits.max_compute_workgroup_storage_size,
        max_workgroup_size: limits.max_compute_invocations_per_workgroup,
    }
}

/// Adapters in order of preference: discrete, integrated, virtual, other, software.
async fn ranked(instance: &wgpu::Instance) -> Vec<wgpu::Adapter> {
    let mut found = instance.enumerate_adapters(wgpu::Backends::PRIMARY).await;
    if found.is_empty() {
        // The web lists nothing; it gives one adapter on request.
        let request = wgpu::RequestAdapterOptions {
            power_preference: wgpu::PowerPreference::HighPerformance,
            ..Default::default()
        };
        found.extend(instance.request_adapter(&request).await);
    }
    found.retain(|adapter| {
        adapter.get_downlevel_capabilities().flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS)
    });
    found.sort_by_key(|adapter| rank(adapter.get_info().device_type));
    found
}

/// Every adapter that can run compute shaders, best first.
pub async fn adapters() -> Vec<AdapterReport> {
    ranked(&instance()).await.iter().map(report).collect()
}

impl Gpu {
    /// Opens the adapter that `options` name, or the best one.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] if there is none or none of that name.
    pub async fn open(options: &GpuOptions) -> Result<Self> {
        let found = ranked(&instance()).await;
        let wanted = options.name.clone().or_else(|| std::env::var("WGPU_ADAPTER_NAME").ok());
        let wanted = wanted.filter(|name| !name.is_empty());
        if found.is_empty() {
            return Err(Error::NoAdapter {
                problem: "the system has no Vulkan, Metal or DX12 driver".into(),
                hint: "install a GPU driver, or a software one (Debian: apt-get install mesa-vulkan-drivers)"
                    .into(),
            });
        }
        let adapter = match &wanted {
            None => found.first(),
            Some(name) => {
                let name = name.to_lowercase();
                found.iter().find(|adapter| adapter.get_info().name.to_lowercase().contains(&name))
            }
        };
        let Some(adapter) = adapter else {
            let names: Vec<String> = found.iter().map(|adapter| adapter.get_info().name).collect();
            return Err(Error::NoAdapter {
                problem: format!("no adapter's name contains `{}`", wanted.unwrap_or_default()),
                hint: format!("this machine has: {}", names.join(", ")),
            });
        };
        Self::from_adapter(adapter, options).await
    }

    async fn from_adapter(adapter: &wgpu::Adapter, options: &GpuOptions) -> Result<Self> {
        let mut report = report(adapter);
        if let Some(name) = options.unnamed.as_ref().filter(|_| report.name.is_empty()) {
            report.name.clone_from(name);
        }
        let limits = if options.default_limits { wgpu::Limits::defaults() } else { adapter.limits() };
        let features = wanted_features(adapter.features(), options);
        if options.f16 && !features.contains(wgpu::Features::SHADER_F16) {
            tracing::warn!("{} has no 16-bit arithmetic; it multiplies in 32 bits", report.name);
        }
        let request = |features| {
            adapter.request_device(&wgpu::DeviceDescriptor {
                label: Some("stepladder"),
                required_features: features,
                required_limits: limits.clone(),
                experimental_features: permission(features),
                memory_hints: wgpu::MemoryHints::MemoryUsage,
                ..Default::default()
            })
        };
        let mut features = features;
        let mut opened = request(features).await;
        if let Err(error) = &opened
            && features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX)
        {
            // What is experimental must not keep a device from being used without it.
            tracing::warn!(%error, "{} does not open with cooperative matrices", report.name);
            features.remove(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX);
            opened = request(features).await;
        }
        let (device, queue) = opened.map_err(|error| Error::NoAdapter {
            problem: format!("{} refused to open: {error}", report.name),
            hint: "choose another with <gpu> NAME".into(),
        })?;
        let faults = Arc::new(Faults::default());
        let sink = Arc::clone(&faults);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            sink.put(match error {
                wgpu::Error::OutOfMemory { .. } => Error::OutOfMemory {
                    what: "the device".into(),
                    needed: 0,
                    available: 0,
                    hint: "lower <batch_size|group_size|max_length|max_tokens> or the weights' precision"
                        .into(),
                },
                other => Error::Gpu { what: "validation".into(), problem: other.to_string() },
            });
        }));
        let sink = Arc::clone(&faults);
        device.set_device_lost_callback(move |reason, text| {
            sink.put(Error::DeviceLost(format!("{reason:?} {text}").trim().to_string()));
        });
        let software = options.as_software.unwrap_or(report.kind == "software");
        let info = adapter.get_info();
        let one_size = info.subgroup_min_size == info.subgroup_max_size;
        let subgroups = features.contains(wgpu::Features::SUBGROUP) && one_size;
        let coop = features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX)
            && limits.max_compute_workgroup_storage_size >= COOP_MEMORY;
        Ok(Self {
            device,
            queue,
            limits,
            report,
            memory: Arc::new(Memory::default()),
            memory_limit: options.memory_limit,
            max_binding: options.max_binding.unwrap_or(u64::MAX),
            software,
            subgroup_size: subgroups.then_some(info.subgroup_min_size as usize),
            f16: features.contains(wgpu::Features::SHADER_F16),
            coop: if coop { Coop::of(adapter) } else { None },
            faults,
            pipelines: Pipelines::default(),
            tuned: Tuned::default(),
            staging: Staging::default(),
            account: Account::default(),
            work: Work::default(),
            patient: AtomicBool::new(false),
        })
    }

    /// The adapter, in words.
    pub fn report(&self) -> &AdapterReport {
        &self.report
    }

    /// While it is patient, work is cut into slices of an eighth of the time, and the next is submitted when the one before is
    /// done: what somebody else submits between two of them waits for none.
    pub fn set_patient(&self, patient: bool) {
        self.patient.store(patient, Ordering::Relaxed);
    }

    /// As [`Gpu::set_patient`] says.
    pub(super) fn is_patient(&self) -> bool {
        self.patient.load(Ordering::Relaxed)
    }

    /// Whether the adapter is a program on the CPU (or the options say so): it wants large register tiles, no barriers.
    pub fn is_software(&self) -> bool {
        self.software
    }

    /// Turns that the loops of a thread can take in all. Mesa's CPU driver ends them after so many, without a word, and what they
    /// would have added is missing (`LP_MAX_TGSI_LOOP_ITERATIONS` in its gallivm); what holds for it is kept to on every adapter
    /// that is a program.
    pub fn most_turns(&self) -> usize {
        if self.report.kind == "software" { 65_535 } else { usize::MAX }
    }

    /// Whether products with weight matrices multiply in 16-bit floats: the options ask for it and the adapter offers it.
    pub fn has_f16(&self) -> bool {
        self.f16
    }

    /// The cooperative matrices that products may use: natively, where [`Gpu::has_f16`] and the adapter offers a kind that
    /// the kernels know.
    pub fn coop(&self) -> Option<Coop> {
        self.coop
    }

    /// The memory account.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The largest number of bytes that one part of a weight may have: a binding's limit, or what the options say.
    pub fn max_binding_bytes(&self) -> u64 {
        self.limits.max_storage_buffer_binding_size.min(self.limits.max_buffer_size).min(self.max_binding)
    }

    /// The bytes that may still be allocated, where a limit is known.
    pub fn available_bytes(&self) -> Option<u64> {
        self.memory_limit.map(|limit| limit.saturating_sub(self.memory.current()))
    }

    /// A new zeroed buffer.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] above the device's or the user's limits.
    pub fn buffer(&self, label: &str, shape: &[usize]) -> Result<Buffer> {
        Buffer::new(self, label, shape)
    }

    /// Zeroed matrices `[rows, cols]` for each of `cols`, in one memory if a binding can see it as a whole.
    ///
    /// # Errors
    /// What [`Gpu::buffer`] says.
    pub fn regions(&self, label: &str, rows: usize, cols: &[usize]) -> Result<Vec<Buffer>> {
        Buffer::regions(self, label, rows, cols)
    }

    /// A new buffer with these contents.
    pub fn upload<T: bytemuck::NoUninit>(&self, label: &str, shape: &[usize], data: &[T]) -> Result<Buffer> {
        let buffer = self.buffer(label, shape)?;
        self.write(&buffer, 0, data)?;
        Ok(buffer)
    }

    /// Writes `data` from element `start` on. Ordered before every recording submitted later.
    pub fn write<T: bytemuck::NoUninit>(&self, buffer: &Buffer, start: usize, data: &[T]) -> Result<()> {
        let bytes: &[u8] = bytemuck::cast_slice(data);
        if start as u64 * 4 + bytes.len() as u64 > buffer.bytes() {
            return Err(Error::Shape {
                kernel: "write",
                arg: "data",
                expected: buffer.shape().to_vec(),
                got: vec![start, bytes.len() / 4],
            });
        }
        if !bytes.is_empty() {
            self.queue.write_buffer(buffer.raw(), buffer.offset_bytes() + start as u64 * 4, bytes);
        }
        Ok(())
    }

    /// Threads of every subgroup, where the device has subgroups of one size only.
    pub fn subgroup_size(&self) -> Option<usize> {
        self.subgroup_size
    }

    /// The first error that the device reported since the last call.
    pub fn check(&self) -> Result<()> {
        match self.faults.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Makes the device unusable, as a driver reset would; every later call reports [`Error::DeviceLost`].
    pub fn destroy(&self) {
        self.device.destroy();
        self.faults.put(Error::DeviceLost("destroyed".into()));
    }

    pub(super) fn reserve(&self, label: &str, bytes: u64) -> Result<()> {
        match self.available_bytes() {
            Some(available) if bytes > available => Err(Error::OutOfMemory {
                what: format!("buffer `{label}`"),
                needed: bytes,
                available,
                hint: "raise <memory_limit>, or lower <batch_size|group_size|max_length|max_tokens>".into(),
            }),
            _ => Ok(()),
        }
    }

    pub(super) fn device(&self) -> &wgpu::Device {
        &self.device
    }

    pub(super) fn queue(&self) -> &wgpu::Queue {
        &self.queue
    }

    pub(super) fn limits(&self) -> &wgpu::Limits {
        &self.limits
    }

    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    pub(super) fn memory_handle(&self) -> &Arc<Memory> {
        &self.memory
    }

    pub(super) fn pipeline(&self, kernel: &Kernel, variant: &Variant) -> Result<Arc<Pipeline>> {
        let subgroups = self.device.features().contains(wgpu::Features::SUBGROUP);
        match subgroups.then(|| with_subgroups(kernel.source, variant)).flatten() {
            Some(variant) => self.pipelines.get(&self.device, kernel, &variant),
            None => self.pipelines.get(&self.device, kernel, variant),
        }
    }
}

#[cfg(test)]
mod tests {
    use wgpu::Features;

    use super::*;

    #[test]
    fn optional_features_need_the_adapter_and_f16_the_option_too() {
        let (off, on) = (GpuOptions::default(), GpuOptions { f16: true, ..GpuOptions::default() });
        let (all, none) = (Features::all(), Features::empty());
        let always = Features::TIMESTAMP_QUERY | Features::SUBGROUP;
        assert_eq!(wanted_features(all, &off), always);
        let coop = Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
        assert_eq!(wanted_features(all, &on), always | Features::SHADER_F16 | coop);
        assert_eq!(wanted_features(all - Features::SUBGROUP, &on) & coop, none);
        assert_eq!(wanted_features(none, &on), none);
        let plain = GpuOptions { default_limits: true, ..GpuOptions::default() };
        assert_eq!(wanted_features(all, &plain), Features::TIMESTAMP_QUERY);
        let plain = GpuOptions { f16: true, ..plain };
        assert_eq!(wanted_features(all, &plain), Features::TIMESTAMP_QUERY | Features::SHADER_F16);
    }
}
