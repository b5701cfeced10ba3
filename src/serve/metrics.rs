//! What the server has done, as Prometheus reads it.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the start, and what is under way.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// Requests that were taken to be answered.
    pub(super) requests: AtomicU64,
    /// Requests that were refused, of any status from 400 up.
    pub(super) refused: AtomicU64,
    /// Requests whose clients went away before the end.
    pub(super) abandoned: AtomicU64,
    /// Requests answered to the end.
    pub(super) answered: AtomicU64,
    /// Tokens of prompts.
    pub(super) prompt_tokens: AtomicU64,
    /// Tokens of prompts that were in the cache.
    pub(super) cached_tokens: AtomicU64,
    /// Tokens of completions.
    pub(super) completion_tokens: AtomicU64,
    /// Milliseconds from a request to its answer's end, all together.
    pub(super) answer_ms: AtomicU64,
    /// Milliseconds from a request to its first token, all together.
    pub(super) first_token_ms: AtomicU64,
    /// Rows that run.
    pub(super) running: AtomicU64,
    /// Requests that wait for a row.
    pub(super) waiting: AtomicU64,
}

/// Adds to a counter.
pub(super) fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Ordering::Relaxed);
}

impl Metrics {
    /// Seconds in which a place in the queue is likely to be free: those of a mean answer.
    pub(super) fn retry_after(&self) -> u64 {
        let answered = self.answered.load(Ordering::Relaxed).max(1);
        (self.answer_ms.load(Ordering::Relaxed) / answered).div_ceil(1000).clamp(1, 60)
    }

    /// The text of `/metrics` (Prometheus's exposition format, version 0.0.4).
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        let rows: [(&str, &str, &str, &AtomicU64, f64); 11] = [
            ("requests_total", "counter", "Requests that were taken to be answered", &self.requests, 1.0),
            ("requests_refused_total", "counter", "Requests that were refused", &self.refused, 1.0),
            ("requests_abandoned_total", "counter", "Requests whose clients went away", &self.abandoned, 1.0),
            ("requests_answered_total", "counter", "Requests answered to the end", &self.answered, 1.0),
            ("prompt_tokens_total", "counter", "Tokens of prompts", &self.prompt_tokens, 1.0),
            (
                "cached_tokens_total",
                "counter",
                "Tokens of prompts found in the cache",
                &self.cached_tokens,
                1.0,
            ),
            ("completion_tokens_total", "counter", "Tokens of completions", &self.completion_tokens, 1.0),
            (
                "answer_seconds_total",
                "counter",
                "Time from requests to the ends of their answers",
                &self.answer_ms,
                1e-3,
            ),
            (
                "first_token_seconds_total",
                "counter",
                "Time from requests to their first tokens",
                &self.first_token_ms,
                1e-3,
            ),
            ("running_rows", "gauge", "Completions that are being drawn", &self.running, 1.0),
            ("waiting_requests", "gauge", "Requests that wait for a row", &self.waiting, 1.0),
        ];
        for (name, kind, help, counter, unit) in rows {
            let value = counter.load(Ordering::Relaxed) as f64 * unit;
            // Writing to a text cannot fail.
            let _ = write!(
                out,
                "# HELP stepladder_{name} {help}\n# TYPE stepladder_{name} {kind}\nstepladder_{name} {value}\n"
            );
        }
        out
    }
}
