//! Progress on standard error: a bar with rate and time left on a terminal, now and then a plain line elsewhere.

use std::fmt::Write;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressState, ProgressStyle};

use super::signals::say;

/// Shortest time between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// How far a long job has come. Dropping it removes the bar.
pub(super) struct Progress {
    bar: ProgressBar,
    name: &'static str,
    unit: &'static str,
    last_line: Instant,
}

impl Progress {
    /// A job of `total` units (bytes if `unit` is `B`), named in one word.
    pub(super) fn new(name: &'static str, unit: &'static str, total: u64) -> Self {
        let counts = match unit {
            "B" => "{binary_bytes}/{binary_total_bytes}".to_string(),
            unit => format!("{{pos}}/{{len}} {unit}"),
        };
        let template = format!("{name} [{{bar:20}}] {counts}{{speed}}  {{msg}}");
        let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let style = style.with_key("speed", move |state: &ProgressState, out: &mut dyn Write| {
            let _ = out.write_str(&speed(unit, state.pos(), state.per_sec(), state.eta()));
        });
        let bar = ProgressBar::new(total).with_style(style.progress_chars("=> "));
        if std::io::stderr().is_terminal() {
            bar.enable_steady_tick(Duration::from_millis(250));
        }
        Self { bar, name, unit, last_line: Instant::now() }
    }

    /// `done` units are done; `message` says how it goes (`loss 0.41`).
    pub(super) fn set(&mut self, done: u64, message: &str) {
        self.bar.set_position(done);
        self.bar.set_message(message.to_string());
        if self.bar.is_hidden() && self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            say(&self.line());
        }
    }

    /// Updates the total too, for jobs that learn it late; see [`Progress::set`].
    pub(super) fn set_of(&mut self, done: u64, total: u64, message: &str) {
        self.bar.set_length(total);
        self.set(done, message);
    }

    /// Prints a line above the bar.
    pub(super) fn note(&self, text: &str) {
        self.bar.suspend(|| say(text));
    }

    /// The state in one plain line.
    fn line(&self) -> String {
        let (done, total) = (self.bar.position(), self.bar.length().unwrap_or(0));
        let speed = speed(self.unit, done, self.bar.per_sec(), self.bar.eta());
        format!("{} {done}/{total} {}{speed}  {}", self.name, self.unit, self.bar.message())
    }
}

/// Rate and time left, once something is done from which they can be told.
fn speed(unit: &str, done: u64, per_second: f64, left: Duration) -> String {
    match (done, unit) {
        (0, _) => String::new(),
        (_, "B") => format!(", {}/s, {} left", HumanBytes(per_second as u64), HumanDuration(left)),
        _ => format!(", {per_second:.1}/s, {} left", HumanDuration(left)),
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_line_holds_counts_rate_and_message() {
        let mut progress = Progress::new("train", "steps", 10);
        assert_eq!(progress.line(), "train 0/10 steps  ", "nothing is known yet");
        progress.set(4, "loss 0.41");
        let line = progress.line();
        assert!(line.starts_with("train 4/10 steps, "), "{line}");
        assert!(line.contains("/s, ") && line.ends_with("left  loss 0.41"), "{line}");
    }

    #[test]
    fn both_templates_are_sound() {
        for unit in ["B", "steps"] {
            let progress = Progress::new("load", unit, 1 << 20);
            progress.note("a note");
            assert_eq!(progress.bar.length(), Some(1 << 20));
        }
    }
}
