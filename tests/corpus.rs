//! The fuzzer's corpus, replayed: each input is taken or refused, in time and in memory that its length pays for.
//! `make torture` looks for more such inputs; what it finds becomes a file in `fuzz/corpus`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../fuzz/src/targets.rs"]
mod targets;

use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;
use targets::{TARGETS, Target};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// The longest time an input may take.
const LONGEST: Duration = Duration::from_secs(2);
/// After this an input will never end.
const HANGS: Duration = Duration::from_secs(60);

/// The most memory that an input of `length` bytes may take.
fn most(length: usize) -> usize {
    10 * length + (64 << 20)
}

/// The shortest time of a few tries, since other programs take time too, and the memory that `target` takes for `bytes`.
fn measure(target: Target, bytes: &[u8]) -> (Duration, usize) {
    let mut best = Duration::MAX;
    let mut used = 0;
    for _ in 0..3 {
        ALLOCATOR.reset_peak_usage();
        let before = ALLOCATOR.current_usage();
        let begin = Instant::now();
        target(bytes);
        best = best.min(begin.elapsed());
        used = ALLOCATOR.peak_usage().saturating_sub(before);
        if best < LONGEST {
            break;
        }
    }
    (best, used)
}

// One test, since the allocator counts for the whole process.
#[test]
fn every_input_is_taken_or_refused_within_its_limits() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut faults = Vec::new();
    let (mut count, mut slowest) = (0, (Duration::ZERO, String::new()));
    for (name, target) in TARGETS {
        let mut files: Vec<_> =
            std::fs::read_dir(corpus.join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(files.len() >= 3, "{name}: only {} inputs", files.len());
        for file in files {
            count += 1;
            let bytes = std::fs::read(&file).unwrap();
            let length = bytes.len();
            let (send, receive) = mpsc::channel();
            std::thread::spawn(move || send.send(measure(target, &bytes)));
            let measured = receive.recv_timeout(HANGS);
            if let Ok((time, _)) = measured {
                slowest = slowest.max((time, file.display().to_string()));
            }
            match measured {
                Ok((time, _)) if time > LONGEST => faults.push(format!("{}: {time:?}", file.display())),
                Ok((_, used)) if used > most(length) => {
                    faults.push(format!("{}: {used} bytes of memory for {length}", file.display()));
                }
                Ok(_) => {}
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("{}: does not end", file.display()),
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    faults.push(format!("{}: panics", file.display()))
                }
            }
        }
    }
    println!("{count} inputs of {} parsers; the slowest: {slowest:?}", TARGETS.len());
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_target_is_one_of_the_fuzzers() {
    let manifest = include_str!("../fuzz/Cargo.toml");
    let names = || manifest.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    let binaries: Vec<_> = names().filter(|name| *name != "stepladder-fuzz").collect();
    let targets: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(binaries, targets);
    for name in targets {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fuzz/fuzz_targets/{name}.rs"));
        let text = std::fs::read_to_string(file).unwrap();
        assert!(text.contains(&format!("run(\"{name}\", ")), "{name}: {text}");
    }
}
