//! Buffers, recordings, readback and the errors of the GPU layer.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};

use pollster::block_on;
use stepladder::Error;
use stepladder::gpu::{Buffer, Gpu, GpuOptions, Kernel, Profile, Recorder, Recording, Variant, adapters};
use stepladder::kernel::rope;

/// A device of its own, for tests of its account and of its death.
fn own() -> Gpu {
    common::open(&GpuOptions::default())
}

/// Adds a row of numbers to another.
const ADD: Kernel = Kernel {
    stem: "add",
    source: "//! use grid
struct Params { count: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> more: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) thread: u32) {
    let index = group_index(group, groups) * WG + thread;
    if index < p.count { y[index] += more[index]; }
}",
    entry: "forward",
    bindings: &["more", "y"],
    params: &[("count", "u32")],
};

fn add_variant() -> Variant {
    Variant::constants(&[("WG", 64)])
}

fn add(rec: &mut Recorder<'_>, more: &Buffer, y: &Buffer) -> stepladder::Result<()> {
    rec.dispatch(&ADD, &add_variant(), &(y.len() as u32), &[more, y], 1)
}

/// Adds 1 to each of a few numbers; doing it again shows.
struct Counter {
    one: Buffer,
    values: Buffer,
}

impl Counter {
    fn new(gpu: &Gpu) -> Self {
        Self {
            one: gpu.upload("one", &[3], &[1.0f32; 3]).unwrap(),
            values: gpu.upload("values", &[1, 3], &[0.0f32; 3]).unwrap(),
        }
    }

    fn record(&self, rec: &mut Recorder<'_>) -> stepladder::Result<()> {
        add(rec, &self.one, &self.values)
    }

    fn recording(&self, gpu: &Gpu) -> Recording {
        common::recording(gpu, |rec| self.record(rec)).unwrap()
    }

    /// A recording that adds 1 `times` times in as many submissions.
    fn sliced_recording(&self, gpu: &Gpu, times: usize) -> Recording {
        common::recording(gpu, |rec| {
            (0..times).try_for_each(|_| {
                self.record(rec)?;
                rec.flops(1_000_000_000_000);
                Ok(())
            })
        })
        .unwrap()
    }

    fn read(&self, gpu: &Gpu) -> f32 {
        let values = common::read(gpu, &self.values);
        assert_eq!(values, [values[0]; 3]);
        values[0]
    }
}

/// Records one dispatch of [`ADD`] with these arguments.
fn dispatch(gpu: &Gpu, kernel: &Kernel, arguments: &[&Buffer], groups: u32) -> stepladder::Result<Recording> {
    common::recording(gpu, |rec| rec.dispatch(kernel, &add_variant(), &3u32, arguments, groups))
}

#[test]
fn a_buffer_holds_what_was_written() {
    let gpu = common::gpu();
    let zeros = gpu.buffer("zeros", &[2, 3]).unwrap();
    assert_eq!(common::read(gpu, &zeros), [0.0; 6]);
    assert_eq!((zeros.shape(), zeros.len(), zeros.bytes(), zeros.is_empty()), (&[2, 3][..], 6, 24, false));
    gpu.write(&zeros, 4, &[7.0f32, 8.0]).unwrap();
    assert_eq!(common::read(gpu, &zeros), [0.0, 0.0, 0.0, 0.0, 7.0, 8.0]);
    let error = gpu.write(&zeros, 5, &[1.0f32, 2.0]).unwrap_err();
    assert!(matches!(error, Error::Shape { kernel: "write", .. }), "{error}");
    assert_eq!(common::read(gpu, &zeros)[5], 8.0);

    let empty = gpu.upload::<f32>("empty", &[0, 4], &[]).unwrap();
    assert!(empty.is_empty());
    assert!(common::read(gpu, &empty).is_empty());
}

#[test]
fn a_view_sees_a_part() {
    let gpu = common::gpu();
    let data: Vec<f32> = (0..=255u8).map(f32::from).collect();
    let whole = gpu.upload("whole", &[256], &data).unwrap();
    let part = whole.view(128, &[2, 64]).unwrap();
    assert_eq!(common::read(gpu, &part), data[128..]);
    let inner = part.view(64, &[3]).unwrap();
    assert_eq!(common::read(gpu, &inner), data[192..195]);
    gpu.write(&inner, 1, &[-1.0f32]).unwrap();
    assert_eq!(common::read(gpu, &whole)[193], -1.0);

    // Kernels bind the part: the rest stays.
    let bias = gpu.upload("bias", &[64], &[1000.0f32; 64]).unwrap();
    common::run(gpu, |rec| add(rec, &bias, &whole.view(64, &[64])?)).unwrap();
    let now = common::read(gpu, &whole);
    assert_eq!((now[63], now[64], now[127], now[128]), (63.0, 1064.0, 1127.0, 128.0));

    for (start, len) in [(1, 2), (63, 1), (192, 65), (256, 1), (320, 0)] {
        let error = whole.view(start, &[len]).unwrap_err();
        assert!(matches!(error, Error::Shape { kernel: "view", .. }), "{start} {len}: {error}");
    }
    assert!(whole.view(192, &[64]).is_ok());
    let error = part.view(64, &[65]).unwrap_err();
    assert_eq!(error.code(), "shape", "a view of a view ends where the view does");
    let error = part.expect("norm", "x", &[64, 2]).unwrap_err();
    assert_eq!(error.to_string(), "norm: x has shape [2, 64], expected [64, 2]");
    assert!(whole.matrix("norm", "x").is_err());
}

#[test]
fn the_memory_account_returns_to_zero() {
    let gpu = own();
    assert_eq!(gpu.memory().current(), 0);
    let a = gpu.buffer("a", &[100]).unwrap();
    let b = gpu.buffer("b", &[50]).unwrap();
    assert_eq!((gpu.memory().current(), gpu.memory().allocations()), (600, 2));
    let view = a.view(64, &[4]).unwrap();
    drop(a);
    assert_eq!(gpu.memory().current(), 600, "the view keeps the memory");
    drop(view);
    drop(b);
    assert_eq!((gpu.memory().current(), gpu.memory().peak()), (0, 600));

    let counter = Counter::new(&gpu);
    let recording = counter.recording(&gpu);
    let copy = gpu.buffer("copy", &[1, 3]).unwrap();
    let copies = common::recording(&gpu, |rec| rec.copy(&counter.values, &copy)).unwrap();
    let used = gpu.memory().current();
    let values = counter.values.clone();
    drop((counter, copy));
    assert_eq!(gpu.memory().current(), used, "the recordings keep their buffers");
    gpu.run(&recording).unwrap();
    gpu.run(&copies).unwrap();
    assert_eq!(common::read(&gpu, &values), [1.0; 3]);
    drop((recording, copies, values));
    assert_eq!(gpu.memory().current(), 0);
}

#[test]
fn a_loop_allocates_nothing() {
    let gpu = own();
    let counter = Counter::new(&gpu);
    let recording = counter.recording(&gpu);
    // The first read makes the staging buffer that later ones share.
    assert_eq!(counter.read(&gpu), 0.0);
    let before = gpu.memory().allocations();
    for turn in 1..=3 {
        gpu.run_repeated(&recording, 50).unwrap();
        assert_eq!(counter.read(&gpu), 50.0 * turn as f32);
    }
    assert_eq!(gpu.memory().allocations(), before);
}

#[test]
fn memory_limits_are_typed_errors_with_a_remedy() {
    let gpu = common::open(&GpuOptions { memory_limit: Some(1_000), ..GpuOptions::default() });
    let first = gpu.buffer("first", &[200]).unwrap();
    assert_eq!(gpu.available_bytes(), Some(200));
    let error = gpu.buffer("kv cache", &[51]).unwrap_err();
    assert_eq!(error.code(), "out_of_memory");
    assert_eq!(
        error.to_string(),
        "buffer `kv cache` needs 204 bytes of GPU memory but 200 are available; \
         raise memory_limit, or lower batch_size, group_size, max_length or max_tokens"
    );
    assert_eq!(gpu.memory().current(), 800, "what failed is not counted");
    drop(first);
    gpu.buffer("kv cache", &[51]).unwrap();

    let gpu = common::gpu_default_limits();
    assert_eq!(gpu.max_binding_bytes(), 128 << 20);
    let error = gpu.buffer("logits", &[(128 << 20) / 4 + 1]).unwrap_err();
    assert!(
        matches!(&error, Error::OutOfMemory { what, needed, available, .. }
            if what == "buffer `logits`" && *needed == (128 << 20) + 4 && *available == 128 << 20),
        "{error}"
    );
    gpu.check().unwrap();
}

#[test]
fn a_recorder_refuses_wrong_arguments() {
    let gpu = common::gpu();
    let Counter { one, values } = Counter::new(gpu);
    let add = ADD;
    let refused = |arguments: &[&Buffer], groups, text: &str| {
        let error = dispatch(gpu, &add, arguments, groups).unwrap_err();
        assert!(matches!(&error, Error::Gpu { what, .. } if what == "add/forward"), "{error}");
        assert!(error.to_string().contains(text), "{error}");
    };
    refused(&[&one], 1, "takes 2 buffers, got 1");
    refused(&[&one, &values, &values], 1, "takes 2 buffers, got 3");
    refused(&[&values, &values], 1, "is written and bound twice");
    let large = gpu.buffer("large", &[128]).unwrap();
    let (low, high) = (large.view(0, &[3]).unwrap(), large.view(64, &[3]).unwrap());
    refused(&[&low, &high], 1, "is written and bound twice");
    // Parts that are both written may share memory, but no element.
    let [position, table] = [gpu.buffer("position", &[1]).unwrap(), gpu.buffer("table", &[1, 2]).unwrap()];
    let rotate = |q: usize, k: usize| {
        let part = |start| large.view(start, &[1, 64]).unwrap();
        let positions = rope::Positions { position: &position, table: &table, turned: 2 };
        common::recording(gpu, |rec| rope::forward(rec, positions, &part(q), &part(k)))
    };
    rotate(0, 64).unwrap();
    let error = rotate(64, 64).unwrap_err();
    assert!(error.to_string().contains("`q` is written and bound twice"), "{error}");
    refused(&[&one, &values], u32::MAX, "4294967295 workgroups are too many");

    let unknown = Kernel { stem: "unknown", bindings: &["more", "nothing"], ..add };
    let error = dispatch(gpu, &unknown, &[&one, &values], 1).unwrap_err();
    assert!(error.to_string().contains("no binding `nothing`"), "{error}");

    let other = gpu.buffer("other", &[4]).unwrap();
    let copy = |from, to| common::recording(gpu, |rec| rec.copy(from, to)).unwrap_err();
    for error in [copy(&one, &other), copy(&low, &high)] {
        assert!(matches!(error, Error::Shape { kernel: "copy", .. }), "{error}");
    }
    gpu.check().unwrap();
}

#[test]
fn an_invalid_shader_is_an_error_that_names_it() {
    let gpu = own();
    let Counter { one, values } = Counter::new(&gpu);
    let add = ADD;
    let broken = Kernel { stem: "broken", source: add.source.replace("y[index]", "y[index").leak(), ..add };
    let error = dispatch(&gpu, &broken, &[&one, &values], 1).unwrap_err();
    assert_eq!(error.code(), "gpu");
    assert!(error.to_string().contains("broken/forward"), "{error}");
    // The device goes on.
    assert_eq!(common::read(&gpu, &one), [1.0; 3]);
}

#[test]
fn an_empty_plan_and_an_empty_dispatch_do_nothing() {
    let gpu = common::gpu();
    let empty = Recorder::new(gpu).finish().unwrap();
    assert_eq!((empty.dispatches(), empty.flops()), (0, 0));
    gpu.run(&empty).unwrap();
    gpu.run_repeated(&empty, 3).unwrap();
    let counter = Counter::new(gpu);
    let none = dispatch(gpu, &ADD, &[&counter.one, &counter.values], 0).unwrap();
    assert_eq!(none.dispatches(), 0);
    gpu.run(&none).unwrap();
    assert_eq!(counter.read(gpu), 0.0);
}

#[test]
fn steps_run_in_the_order_recorded() {
    let gpu = common::gpu();
    let counter = Counter::new(gpu);
    let [a, b] = ["a", "b"].map(|label| gpu.buffer(label, &[1, 3]).unwrap());
    let recording = common::recording(gpu, |rec| {
        counter.record(rec)?;
        rec.copy(&counter.values, &a)?;
        counter.record(rec)?;
        counter.record(rec)?;
        rec.copy(&counter.values, &b)?;
        rec.clear(&counter.values);
        counter.record(rec)
    })
    .unwrap();
    assert_eq!((recording.dispatches(), recording.submissions()), (4, 1));
    gpu.run(&recording).unwrap();
    assert_eq!(common::read(gpu, &a), [1.0; 3]);
    assert_eq!(common::read(gpu, &b), [3.0; 3]);
    assert_eq!(counter.read(gpu), 1.0);
    // A write comes before the recordings submitted after it.
    gpu.write(&counter.values, 0, &[10.0f32; 3]).unwrap();
    gpu.run(&recording).unwrap();
    assert_eq!(common::read(gpu, &b), [13.0; 3]);
}

#[test]
fn long_plans_are_sliced_and_stop_when_cancelled() {
    let gpu = common::gpu();
    let counter = Counter::new(gpu);
    let recording = counter.sliced_recording(gpu, 4);
    assert_eq!(
        (recording.dispatches(), recording.submissions(), recording.flops()),
        (4, 4, 4_000_000_000_000)
    );
    gpu.run(&recording).unwrap();
    assert_eq!(counter.read(gpu), 4.0);
    let error = block_on(gpu.run_cancellable(&recording, 1, &AtomicBool::new(true))).unwrap_err();
    assert_eq!(error.code(), "cancelled");
    assert_eq!(counter.read(gpu), 4.0, "nothing ran");
    block_on(gpu.run_cancellable(&recording, 1, &AtomicBool::new(false))).unwrap();
    assert_eq!(counter.read(gpu), 8.0, "the recording can run again");
}

#[test]
fn cancelling_from_another_thread_stops_between_slices() {
    const SLICES: usize = 40;
    let gpu = common::gpu();
    let counter = Counter::new(gpu);
    let recording = counter.sliced_recording(gpu, SLICES);
    let cancel = AtomicBool::new(false);
    let mut whole = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            cancel.store(true, Ordering::Relaxed);
        });
        let error = loop {
            match block_on(gpu.run_cancellable(&recording, 1, &cancel)) {
                Ok(()) => whole += SLICES,
                Err(error) => break error,
            }
        };
        assert_eq!(error.code(), "cancelled");
    });
    let done = counter.read(gpu) as usize;
    assert!((whole..whole + SLICES).contains(&done), "{done} slices ran, {whole} of whole recordings");
}

#[test]
fn a_repeated_plan_runs_that_often() {
    let gpu = common::gpu();
    for sliced in [false, true] {
        let counter = Counter::new(gpu);
        let recording = if sliced { counter.sliced_recording(gpu, 2) } else { counter.recording(gpu) };
        gpu.run_repeated(&recording, 0).unwrap();
        assert_eq!(counter.read(gpu), 0.0);
        gpu.run_repeated(&recording, 7).unwrap();
        assert_eq!(counter.read(gpu), if sliced { 14.0 } else { 7.0 });
    }
}

#[test]
fn a_late_read_sees_its_moment() {
    let gpu = common::gpu();
    let counter = Counter::new(gpu);
    let recording = counter.recording(gpu);
    let pending: Vec<_> = (0..4)
        .map(|_| {
            gpu.run(&recording).unwrap();
            gpu.read_later(&[&counter.values])
        })
        .collect();
    gpu.run(&recording).unwrap();
    // Awaited last to first.
    for (index, pending) in pending.into_iter().enumerate().rev() {
        let values: Vec<f32> = bytemuck::pod_collect_to_vec(&block_on(pending.bytes(gpu)).unwrap());
        assert_eq!(values, [index as f32 + 1.0; 3]);
    }
    drop(gpu.read_later(&[&counter.values]));

    let large = gpu.upload("large", &[66], &(0..66u8).map(f32::from).collect::<Vec<_>>()).unwrap();
    let several = [&large.view(64, &[2]).unwrap(), &counter.one, &large.view(0, &[1]).unwrap()];
    let values: Vec<f32> =
        bytemuck::pod_collect_to_vec(&block_on(gpu.read_later(&several).bytes(gpu)).unwrap());
    assert_eq!(values, [64.0, 65.0, 1.0, 1.0, 1.0, 0.0]);
    gpu.flush().unwrap();
}

#[test]
fn a_lost_device_is_a_typed_error_from_then_on() {
    let gpu = own();
    let counter = Counter::new(&gpu);
    let recording = counter.recording(&gpu);
    gpu.run(&recording).unwrap();
    let pending = gpu.read_later(&[&counter.values]);
    gpu.destroy();
    let lost = |result: stepladder::Result<()>| {
        let error = result.unwrap_err();
        assert_eq!(error.code(), "device_lost", "{error}");
        assert!(error.to_string().starts_with("the GPU device was lost"), "{error}");
    };
    lost(gpu.run(&recording));
    lost(gpu.run_repeated(&recording, 3));
    lost(block_on(pending.bytes(&gpu)).map(drop));
    lost(block_on(gpu.read::<f32>(&counter.values)).map(drop));
    lost(gpu.flush());
    lost(common::recording(&gpu, |rec| counter.record(rec)).map(drop));
    lost(gpu.check());
    lost(gpu.check());
    drop((recording, counter));
    assert_eq!(gpu.memory().current(), 0);
}

#[test]
fn the_loss_outlasts_an_error_that_came_before() {
    let gpu = own();
    let Counter { one, values } = Counter::new(&gpu);
    let (add, variant) = (ADD, add_variant());
    let broken = Kernel { stem: "broken", source: add.source.replace("y[index]", "y[index").leak(), ..add };
    let mut rec = Recorder::new(&gpu);
    rec.dispatch(&broken, &variant, &[1u32, 3], &[&one, &values], 1).unwrap();
    gpu.destroy();
    assert_eq!(gpu.check().unwrap_err().code(), "device_lost");
    assert_eq!(rec.finish().unwrap_err().code(), "device_lost");
}

#[test]
fn a_profile_counts_every_dispatch() {
    let gpu = common::gpu();
    let counter = Counter::new(gpu);
    let recording = counter.sliced_recording(gpu, 3);
    let mut profile = Profile::default();
    let result = block_on(gpu.run_profiled(&recording, &mut profile));
    if gpu.report().features.contains(&"timestamp-query") {
        result.unwrap();
        assert_eq!(counter.read(gpu), 3.0);
        let rows = profile.rows();
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].kernel.as_str(), rows[0].calls), ("add/forward", 3));
        assert!(rows[0].seconds >= 0.0 && rows[0].gigabytes_per_second > 0.0 && rows[0].gigaflops > 0.0);
    } else {
        assert_eq!(result.unwrap_err().code(), "usage");
    }
}

#[test]
fn adapters_are_listed_and_found_by_name() {
    let found = block_on(adapters());
    assert!(!found.is_empty());
    let name = found[0].name.to_uppercase();
    let gpu = common::open(&GpuOptions { name: Some(name), ..GpuOptions::default() });
    assert_eq!(gpu.report().name, found[0].name);
    let options = GpuOptions { name: Some("no such adapter".into()), ..GpuOptions::default() };
    let error = block_on(Gpu::open(&options)).unwrap_err();
    assert_eq!(error.code(), "no_adapter");
    assert!(error.to_string().contains(&found[0].name), "{error}");
}

#[test]
fn the_device_is_idle_between_what_was_waited_for_and_the_next_submission() {
    let gpu = own();
    let buffer = gpu.buffer("b", &[8]).unwrap();
    let counts = || (gpu.work().idle_nanoseconds(), gpu.work().host_nanoseconds());
    block_on(gpu.wait(&buffer)).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(30));
    let before = counts();
    block_on(gpu.wait(&buffer)).unwrap();
    let after = counts();
    assert!(after.0 - before.0 >= 30_000_000, "{before:?} {after:?}");
    assert!(after.1 > before.1, "encoding and submitting takes time");
    // Two submissions, the first of which is waited for while the second is under way: nobody knows of an idle device.
    let (first, second) = (gpu.read_later(&[&buffer]), gpu.read_later(&[&buffer]));
    let between = counts().0;
    block_on(first.bytes(&gpu)).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(5));
    block_on(gpu.wait(&buffer)).unwrap();
    assert_eq!(counts().0, between);
    block_on(second.bytes(&gpu)).unwrap();
}
