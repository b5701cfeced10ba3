//! The board as text of 80 columns.

use std::fmt::{Display, Write};

use unicode_width::UnicodeWidthChar;

use super::{Board, Cell, HeadRow, LessonRow, Told};
use crate::error::Plain;
use crate::ladder::report::text::{duration, percent, points};
use crate::lessons::gate::Answer;
use crate::lessons::metrics::{Estimate, Fate, Metrics};
use crate::lessons::outcome::{Half, Kind};
use crate::lessons::standing::Status;

/// Columns of the text.
const WIDTH: usize = 80;
/// Columns of a head's name.
const HEAD_WIDTH: usize = 19;
/// Columns of an exam.
const CELL_WIDTH: usize = 10;
/// Exams beside each other.
const EXAMS: usize = 5;
/// Questions of a strip's line.
const STRIP: usize = 66;
/// Lines of a strip.
const STRIP_LINES: usize = 6;
/// Forgotten questions that are named.
const NAMED: usize = 3;
/// Columns of a question that is named.
const NAMED_WIDTH: usize = 40;

impl Display for Board {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let accepted = self.lessons.iter().filter(|lesson| lesson.status == Status::Accepted).count();
        let title = format!(
            "{}: {} known of {}; {} asked",
            Plain(&self.model),
            count(accepted as u64, "lesson"),
            self.lessons.len(),
            count(self.asked, "question")
        );
        formatter.write_str(&wrapped(&title, ""))?;
        if self.lessons.is_empty() {
            return formatter.write_str("Nothing was taught yet.\n");
        }
        formatter.write_char('\n')?;
        for lesson in &self.lessons {
            formatter.write_str(&wrapped(&lesson.line, "  "))?;
        }
        formatter
            .write_str("\nRight answers in %: the audit half of each exam, (the half that the gate saw)\n")?;
        for first in (0..self.lessons.len()).step_by(EXAMS) {
            self.matrix(formatter, first)?;
        }
        formatter.write_str("* is served; - is not what the served head was made from\n")?;
        formatter.write_str("\nWhat became of each question\n")?;
        for lesson in &self.lessons {
            strips(formatter, lesson)?;
        }
        let legend: Vec<String> =
            FATES.iter().map(|&fate| format!("{} {}", sign(fate), fate_name(fate))).collect();
        formatter.write_str(&wrapped(&legend.join(", "), "  "))?;
        formatter.write_str("\nMeans with 95 % intervals            audit half               gate half\n")?;
        for ((name, audit), (_, gate)) in means(&self.audit).into_iter().zip(means(&self.gate)) {
            if audit.is_some() || gate.is_some() {
                let (audit, gate) = (estimate(name, audit), estimate(name, gate));
                writeln!(formatter, "{:<27} {audit:>25} {gate:>25}", name.title)?;
            }
        }
        formatter.write_char('\n')?;
        formatter.write_str(&wrapped(&worth(self), ""))
    }
}

impl Board {
    /// The matrix of heads and the exams from `first` on.
    fn matrix(&self, out: &mut impl Write, first: usize) -> std::fmt::Result {
        let exams = first..self.lessons.len().min(first + EXAMS);
        let mut line = padded("exam", HEAD_WIDTH);
        for lesson in &self.lessons[exams.clone()] {
            write!(line, "{:>CELL_WIDTH$}", lesson.number)?;
        }
        writeln!(out, "{line}{:>7}", "drift")?;
        for head in &self.heads {
            let mut line = padded(&self.head_name(head), HEAD_WIDTH);
            for cell in &head.cells[exams.clone()] {
                write!(line, "{:>CELL_WIDTH$}", cell.as_ref().map_or_else(|| "?".into(), cell_text))?;
            }
            let drift = head.drift.map_or_else(String::new, |drift| format!("{drift:.3}"));
            writeln!(out, "{}", format!("{line}{drift:>7}").trim_end())?;
        }
        Ok(())
    }

    /// A head, by the lesson that made it.
    pub(super) fn head_name(&self, head: &HeadRow) -> String {
        let mark = if head.served {
            '*'
        } else if head.in_line {
            ' '
        } else {
            '-'
        };
        let made = head.lesson.and_then(|number| self.lessons.iter().find(|lesson| lesson.number == number));
        let name = match (made, &head.hash) {
            (Some(lesson), _) => format!("{} {}", lesson.number, Plain(&lesson.name)),
            (None, Some(hash)) => format!("{} (all anew)", Plain(hash.chars().take(6).collect::<String>())),
            (None, None) => "base".into(),
        };
        format!("{mark} {name}")
    }
}

/// An exam under a head: "92 (88)".
fn cell_text(cell: &Cell) -> String {
    let share = |tally: super::Tally| {
        tally.share().map_or_else(|| "-".to_owned(), |share| format!("{:.0}", 100.0 * share))
    };
    format!("{} ({})", share(cell.audit), share(cell.gate))
}

/// Every fate, in the order of the legend.
pub(super) const FATES: [Fate; 7] =
    [Fate::Known, Fate::Learned, Fate::Kept, Fate::Recovered, Fate::Forgotten, Fate::Never, Fate::Unknown];

/// One sign for a fate.
pub(super) fn sign(fate: Fate) -> char {
    match fate {
        Fate::Known => 'o',
        Fate::Learned => '+',
        Fate::Kept => '=',
        Fate::Recovered => '~',
        Fate::Forgotten => 'x',
        Fate::Never => '.',
        Fate::Unknown => '?',
    }
}

/// A fate in words.
pub(super) fn fate_name(fate: Fate) -> &'static str {
    match fate {
        Fate::Known => "knew before",
        Fate::Learned => "learned",
        Fate::Kept => "kept",
        Fate::Recovered => "recovered",
        Fate::Forgotten => "forgotten",
        Fate::Never => "never right",
        Fate::Unknown => "not asked",
    }
}

/// How a lesson stands, in words.
pub(super) fn status_name(status: Status) -> &'static str {
    match status {
        Status::Proposed => "not learned yet",
        Status::Waiting => "waiting for a decision",
        Status::Accepted => "accepted",
        Status::Rejected => "rejected",
        Status::RolledBack => "rolled back",
    }
}

/// A kind of question, in words.
pub(super) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Recall => "as taught",
        Kind::Reworded => "reworded",
        Kind::Reversed => "reversed",
        Kind::Combined => "combined",
        Kind::Unseen => "unseen",
    }
}

fn strips(out: &mut impl Write, lesson: &LessonRow) -> std::fmt::Result {
    let title = format!("{} {} ({})", lesson.number, Plain(&lesson.name), status_name(lesson.status));
    out.write_str(&wrapped(&title, "  "))?;
    for (name, half) in [("audit", Half::Audit), ("gate", Half::Gate)] {
        let questions = lesson.questions.iter().filter(|row| row.question.half == half);
        let signs: Vec<char> = questions.map(|row| sign(row.fate)).collect();
        for (index, part) in signs.chunks(STRIP).take(STRIP_LINES).enumerate() {
            let name = if index == 0 { name } else { "" };
            writeln!(out, "  {name:<6}{}", part.iter().collect::<String>())?;
        }
        let hidden = signs.len().saturating_sub(STRIP * STRIP_LINES);
        if hidden > 0 {
            writeln!(out, "        and {hidden} more")?;
        }
    }
    Ok(())
}

/// What a mean is called and what it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct MeanName {
    pub(super) title: &'static str,
    /// It is a difference.
    change: bool,
}

/// The means of a half, in the order in which they are shown.
pub(super) fn means(metrics: &Metrics) -> [(MeanName, Option<Estimate>); 7] {
    let rate = |title| MeanName { title, change: false };
    let change = |title| MeanName { title, change: true };
    [
        (rate("average"), metrics.average),
        (rate("right after its lesson"), metrics.learning),
        (change("backward transfer"), metrics.backward),
        (change("forward transfer"), metrics.forward),
        (change("forgetting, from the best"), metrics.forgetting),
        (change("intransigence"), metrics.intransigence),
        (change("what the head was not taught"), metrics.general),
    ]
}

/// A mean with its interval.
pub(super) fn estimate(name: MeanName, estimate: Option<Estimate>) -> String {
    let Some(Estimate { value, interval: [low, high], .. }) = estimate else { return "-".into() };
    let text = |value| if name.change { points(value) } else { format!("{:.1}", 100.0 * value) };
    format!("{} ({} to {})", text(value), text(low), text(high))
}

/// A lesson in one sentence.
pub(super) fn sentence(lesson: &LessonRow) -> String {
    let mut parts = vec![learned(lesson)];
    if let Some(kept) = &lesson.kept {
        parts.push(kept_text(kept));
    }
    if !lesson.forgot.is_empty() {
        let named = lesson.forgot.iter().take(NAMED).map(|prompt| format!("\"{}\"", shortened(prompt)));
        let more = lesson.forgot.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        parts.push(format!("forgot: {}{more}", named.collect::<Vec<_>>().join(", ")));
    }
    let mut text = format!("{}; {}", parts.join(", "), duration(lesson.cost.seconds));
    let is_apart = matches!(lesson.status, Status::Rejected | Status::RolledBack);
    if let Some(payback) = lesson.payback.filter(|_| !is_apart) {
        _ = write!(text, "; pays back after {}", count(payback.questions.ceil() as u64, "question"));
    }
    match lesson.status {
        Status::Accepted => {}
        other => _ = write!(text, "; {}", status_name(other)),
    }
    text.push('.');
    text
}

fn learned(lesson: &LessonRow) -> String {
    let name = format!("Lesson {} ({})", lesson.number, shortened(&lesson.name));
    match &lesson.learned {
        None => format!("{name} was not examined"),
        Some(told) if told.of == 0 => format!("{name} has no question in the audit half (cannot tell)"),
        Some(told) => {
            let only = if told.answer == Answer::Fail { "only " } else { "" };
            format!("{name} learned {only}{}{}", of(told), doubt(told))
        }
    }
}

fn kept_text(told: &Told) -> String {
    match told.answer {
        Answer::Fail => format!("lost {} of {} earlier", told.of - told.right, told.of),
        _ if told.of == 0 => "knew nothing earlier to keep".into(),
        _ => format!("kept {} earlier{}", of(told), doubt(told)),
    }
}

fn of(told: &Told) -> String {
    format!("{} of {}", told.right, told.of)
}

fn doubt(told: &Told) -> &'static str {
    if told.answer == Answer::CannotTell { " (too few to tell)" } else { "" }
}

/// What all lessons took, and how much of it is paid back.
pub(super) fn worth(board: &Board) -> String {
    let spent = format!(
        "All lessons took {} and {} trained on.",
        duration(board.cost.seconds),
        count(board.cost.training_tokens, "token")
    );
    let Some((payback, paid)) = board.payback.zip(board.paid) else { return spent };
    let questions = |value: f64| count(value.ceil() as u64, "question");
    let clock = payback
        .by_seconds
        .map_or_else(String::new, |seconds| format!(", by the clock after {}", questions(seconds)));
    let done = if paid >= 1.0 {
        "it is paid back".to_owned()
    } else {
        format!("not yet paid back, {} of it", percent(paid))
    };
    format!(
        "{spent} It pays back after {}, read with the notes before each{clock}, after {} if the notes were cached; {} asked: {done}.",
        questions(payback.questions),
        questions(payback.cached),
        count(board.asked, "question")
    )
}

fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// A question on one line, cut to what a sentence bears.
fn shortened(text: &str) -> String {
    let plain = Plain(text.chars().take(4 * NAMED_WIDTH).collect::<String>()).to_string();
    let plain = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    let cut = cut(&plain, NAMED_WIDTH);
    if cut.len() < plain.len() || text.chars().count() > 4 * NAMED_WIDTH {
        format!("{cut}…")
    } else {
        cut.into()
    }
}

/// Columns of a character on a terminal.
fn width(sign: char) -> usize {
    sign.width().unwrap_or(0)
}

/// The beginning of `text` that fits into so many columns.
fn cut(text: &str, columns: usize) -> &str {
    let mut used = 0;
    let end = text.char_indices().find(|(_, sign)| {
        used += width(*sign);
        used > columns
    });
    end.map_or(text, |(end, _)| &text[..end])
}

/// `text` cut or filled to so many columns.
fn padded(text: &str, columns: usize) -> String {
    let text = cut(text, columns);
    let used: usize = text.chars().map(width).sum();
    format!("{text}{}", " ".repeat(columns - used))
}

/// `text` in lines of 80 columns, all but the first behind `indent`; words that are longer are cut into pieces.
pub fn wrapped(text: &str, indent: &str) -> String {
    let (mut out, mut used) = (String::new(), 0);
    for word in text.split(' ') {
        let mut word = word;
        let columns: usize = word.chars().map(width).sum();
        if used > indent.len() && used + 1 + columns > WIDTH {
            _ = write!(out, "\n{indent}");
            used = indent.len();
        } else if !out.is_empty() {
            out.push(' ');
            used += 1;
        }
        while word.chars().map(width).sum::<usize>() > WIDTH - used {
            let piece = cut(word, WIDTH - used);
            _ = write!(out, "{piece}\n{indent}");
            word = &word[piece.len()..];
            used = indent.len();
        }
        out.push_str(word);
        used += word.chars().map(width).sum::<usize>();
    }
    out.push('\n');
    out
}
