//! Coverage-guided fuzzing of every parser of bytes that others wrote: `scripts/torture.sh` runs it.
//!
//! A target fails on a panic, on an input that takes longer than libFuzzer's `-timeout`, and on more memory than ten times
//! the input and 64 MiB.

mod targets;

use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Lets panics that are caught be; libFuzzer's own hook would end the process. Those that are not caught still do.
pub fn init() {
    std::panic::set_hook(Box::new(|info| eprintln!("{info}")));
}

/// Gives `bytes` to the target `name`.
///
/// # Panics
/// If it takes too much memory, or there is no such target.
pub fn run(name: &str, bytes: &[u8]) {
    let Some((_, target)) = targets::TARGETS.iter().find(|(known, _)| *known == name) else {
        panic!("there is no target {name}");
    };
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    target(bytes);
    let used = ALLOCATOR.peak_usage().saturating_sub(before);
    let most = 10 * bytes.len() + (64 << 20);
    assert!(used <= most, "{used} bytes of memory for an input of {}", bytes.len());
}
