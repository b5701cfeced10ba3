//! How much was asked of the device: counts that say whether a change made the same work dearer, and the host's part of the time.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Gpu;

/// Counts since the device was opened.
#[derive(Debug, Default)]
pub struct Work {
    dispatches: AtomicU64,
    submissions: AtomicU64,
    clock: clock::Clock,
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

    /// Nanoseconds in which this thread encoded and submitted; 0 in a browser, which has no such clock.
    pub fn host_nanoseconds(&self) -> u64 {
        self.clock.host()
    }

    /// Nanoseconds in which the device is known to have had nothing to do: from when all that was submitted had been waited
    /// for until the next submission. 0 in a browser.
    pub fn idle_nanoseconds(&self) -> u64 {
        self.clock.idle()
    }
}

/// Time that [`Gpu::encode`] measures; nothing in a browser.
pub(super) struct Encoding(clock::Start);

impl Gpu {
    /// The counts.
    pub fn work(&self) -> &Work {
        &self.work
    }

    /// The host begins to encode what it will [`Gpu::submit`].
    pub(super) fn encode(&self) -> Encoding {
        Encoding(clock::Start::now())
    }

    /// Hands `encoder`, which launches `dispatches` kernels, to the queue.
    pub(super) fn submit(
        &self,
        started: Encoding,
        encoder: wgpu::CommandEncoder,
        dispatches: usize,
    ) -> wgpu::SubmissionIndex {
        self.work.dispatches.fetch_add(dispatches as u64, Ordering::Relaxed);
        let number = self.work.submissions.fetch_add(1, Ordering::Relaxed) + 1;
        let commands = encoder.finish();
        let handed_over = clock::Start::now();
        let index = self.queue().submit([commands]);
        self.work.clock.submitted(&started.0, &handed_over, number);
        index
    }

    /// The device has done all submissions up to number `number`.
    pub(super) fn waited_for(&self, number: u64) {
        self.work.clock.waited_for(number);
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod clock {
    use std::sync::{Mutex, PoisonError};
    use std::time::{Duration, Instant};

    #[derive(Debug, Default)]
    pub(super) struct Clock(Mutex<Times>);

    #[derive(Debug, Default)]
    struct Times {
        host: Duration,
        idle: Duration,
        last_submission: u64,
        idle_since: Option<Instant>,
    }

    pub(super) struct Start(Instant);

    impl Start {
        pub(super) fn now() -> Self {
            Self(Instant::now())
        }
    }

    fn nanoseconds(time: Duration) -> u64 {
        u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
    }

    impl Clock {
        fn with<T>(&self, use_times: impl FnOnce(&mut Times) -> T) -> T {
            use_times(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
        }

        pub(super) fn host(&self) -> u64 {
            self.with(|times| nanoseconds(times.host))
        }

        pub(super) fn idle(&self) -> u64 {
            self.with(|times| nanoseconds(times.idle))
        }

        pub(super) fn submitted(&self, started: &Start, handed_over: &Start, number: u64) {
            self.with(|times| {
                times.host += started.0.elapsed();
                times.last_submission = number;
                times.idle += times.idle_since.take().map_or(Duration::ZERO, |since| handed_over.0 - since);
            });
        }

        pub(super) fn waited_for(&self, number: u64) {
            self.with(|times| {
                if number >= times.last_submission {
                    times.idle_since.get_or_insert_with(Instant::now);
                }
            });
        }
    }
}

#[cfg(target_arch = "wasm32")]
mod clock {
    #[derive(Debug, Default)]
    pub(super) struct Clock;

    pub(super) struct Start;

    impl Start {
        pub(super) fn now() -> Self {
            Self
        }
    }

    impl Clock {
        pub(super) fn host(&self) -> u64 {
            0
        }

        pub(super) fn idle(&self) -> u64 {
            0
        }

        pub(super) fn submitted(&self, _started: &Start, _handed_over: &Start, _number: u64) {}

        pub(super) fn waited_for(&self, _number: u64) {}
    }
}
