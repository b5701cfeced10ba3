//! What the board's page is filled with.

use serde::Serialize;

use super::text::{FATES, estimate, fate_name, kind_name, means, sign, status_name, worth};
use super::{Board, Cell, LessonRow, QuestionRow, Tally};
use crate::ladder::report::fill;
use crate::ladder::report::text::{duration, points, printable, thousands};
use crate::ladder::stats::wilson;
use crate::lessons::metrics::Fate;

/// Most questions of a lesson whose answers the page shows, those that went wrong first.
const MAX_QUESTIONS: usize = 200;
/// Most characters of an answer.
const MAX_ANSWER: usize = 600;
/// Points of change at which a cell's colour is full.
const FULL_COLOUR: f64 = 0.5;

/// The whole page.
#[derive(Serialize)]
struct Page {
    model: String,
    version: &'static str,
    worth: String,
    lines: Vec<Line>,
    exams: Vec<Exam>,
    rows: Vec<Row>,
    means: Vec<Mean>,
    legend: Vec<Legend>,
    lessons: Vec<Lesson>,
}

/// A lesson's sentence.
#[derive(Serialize)]
struct Line {
    class: &'static str,
    text: String,
}

/// Head of a column of the matrix.
#[derive(Serialize)]
struct Exam {
    number: u32,
    name: String,
}

/// A head.
#[derive(Serialize)]
struct Row {
    name: String,
    served: bool,
    in_line: bool,
    cells: Vec<Option<Shown>>,
    drift: String,
}

/// A cell of the matrix.
#[derive(Serialize)]
struct Shown {
    audit: String,
    gate: String,
    title: String,
    /// Where the share fell (`bad`) or rose (`good`) against the best before, and how strong the colour is in per cent.
    tone: &'static str,
    strength: f64,
}

#[derive(Serialize)]
struct Mean {
    name: &'static str,
    audit: String,
    gate: String,
}

#[derive(Serialize)]
struct Legend {
    class: &'static str,
    name: &'static str,
    sign: char,
}

#[derive(Serialize)]
struct Lesson {
    number: u32,
    name: String,
    kind: String,
    status: &'static str,
    facts: Vec<Fact>,
    kinds: Vec<Fact>,
    ways: Vec<Way>,
    strip: Vec<Mark>,
    questions: Vec<Question>,
    hidden: usize,
}

#[derive(Serialize)]
struct Fact {
    name: &'static str,
    value: String,
}

#[derive(Serialize)]
struct Way {
    name: String,
    right: String,
    tokens: String,
    seconds: String,
}

/// A question in the strip.
#[derive(Serialize)]
struct Mark {
    class: &'static str,
    sign: char,
    title: String,
}

#[derive(Serialize)]
struct Question {
    class: &'static str,
    fate: &'static str,
    prompt: String,
    answer: String,
    said: Option<String>,
    tag: String,
}

impl Board {
    /// The board as one HTML page that needs no network and no script. Everything that a model or a file said is escaped.
    ///
    /// # Errors
    /// The template engine's; the template is fixed, so one is a defect of this program.
    pub fn page(&self) -> Result<String, minijinja::Error> {
        fill(include_str!("board.html"), &Page::of(self))
    }
}

impl Page {
    fn of(board: &Board) -> Self {
        let row = |head: &super::HeadRow| Row {
            name: printable(board.head_name(head).trim_start_matches(['*', '-', ' '])),
            served: head.served,
            in_line: head.in_line,
            cells: head.cells.iter().map(|cell| cell.as_ref().map(shown)).collect(),
            drift: head.drift.map_or_else(String::new, |drift| format!("{drift:.3}")),
        };
        let pairs = means(&board.audit).into_iter().zip(means(&board.gate));
        Self {
            model: printable(&board.model),
            version: env!("CARGO_PKG_VERSION"),
            worth: worth(board),
            lines: board.lessons.iter().map(line).collect(),
            exams: board
                .lessons
                .iter()
                .map(|lesson| Exam { number: lesson.number, name: printable(&lesson.name) })
                .collect(),
            rows: board.heads.iter().map(row).collect(),
            means: pairs
                .filter(|((_, audit), (_, gate))| audit.is_some() || gate.is_some())
                .map(|((name, audit), (_, gate))| Mean {
                    name: name.title,
                    audit: estimate(name, audit),
                    gate: estimate(name, gate),
                })
                .collect(),
            legend: FATES
                .into_iter()
                .map(|fate| Legend { class: class(fate), name: fate_name(fate), sign: sign(fate) })
                .collect(),
            lessons: board.lessons.iter().map(lesson).collect(),
        }
    }
}

fn line(lesson: &LessonRow) -> Line {
    use crate::lessons::gate::Answer;
    let answers = [&lesson.learned, &lesson.kept].map(|told| told.map(|told| told.answer));
    let class = match () {
        () if answers.contains(&Some(Answer::Fail)) => "bad",
        () if answers[0] == Some(Answer::Pass) => "good",
        () => "open",
    };
    Line { class, text: lesson.line.clone() }
}

fn shown(cell: &Cell) -> Shown {
    let share =
        |tally: Tally| tally.share().map_or_else(|| "–".into(), |share| format!("{:.0}", 100.0 * share));
    let change = cell.change.unwrap_or(0.0);
    let [low, high] = wilson(cell.audit.share().unwrap_or(0.0), cell.audit.of as f64);
    let against = cell
        .change
        .map_or_else(String::new, |change| format!("; {} points against the best before", points(change)));
    Shown {
        audit: share(cell.audit),
        gate: share(cell.gate),
        title: format!(
            "audit half: {} of {} right, 95 % interval {:.0} to {:.0}; gate half: {} of {}{against}",
            cell.audit.right,
            cell.audit.of,
            100.0 * low,
            100.0 * high,
            cell.gate.right,
            cell.gate.of
        ),
        tone: if change < 0.0 { "bad" } else { "good" },
        strength: (change.abs() / FULL_COLOUR).min(1.0) * 60.0,
    }
}

fn class(fate: Fate) -> &'static str {
    match fate {
        Fate::Known => "known",
        Fate::Learned => "learned",
        Fate::Kept => "kept",
        Fate::Recovered => "recovered",
        Fate::Forgotten => "forgotten",
        Fate::Never => "never",
        Fate::Unknown => "unknown",
    }
}

fn lesson(lesson: &LessonRow) -> Lesson {
    let fact = |name, value| Fact { name, value };
    let mut facts = vec![
        fact("Trained on", format!("{} tokens", thousands(lesson.cost.training_tokens))),
        fact("Exams", format!("{} tokens", thousands(lesson.cost.exam_tokens))),
        fact("Time", duration(lesson.cost.seconds)),
        fact("Its head", format!("{:.1} MiB", lesson.adapter_bytes as f64 / f64::from(1 << 20))),
        fact("Its notes", format!("{} tokens", thousands(lesson.context_tokens as u64))),
    ];
    if let Some(payback) = lesson.payback {
        let questions = |value: f64| thousands(value.ceil() as u64);
        facts.push(fact("Pays back after", format!("{} questions", questions(payback.questions))));
        facts.push(fact("Against cached notes", format!("{} questions", questions(payback.cached))));
        if let Some(seconds) = payback.by_seconds {
            facts.push(fact("By the clock", format!("{} questions", questions(seconds))));
        }
    }
    let mut questions: Vec<&QuestionRow> = lesson.questions.iter().collect();
    questions.sort_by_key(|row| !matches!(row.fate, Fate::Forgotten | Fate::Never));
    Lesson {
        number: lesson.number,
        name: printable(&lesson.name),
        kind: printable(&lesson.kind),
        status: status_name(lesson.status),
        facts,
        kinds: lesson
            .by_kind
            .iter()
            .map(|(kind, tally)| fact(kind_name(*kind), tally_text(*tally)))
            .collect(),
        ways: lesson
            .ways
            .iter()
            .map(|way| Way {
                name: printable(&way.name),
                right: tally_text(way.right),
                tokens: format!("{:.0}", way.tokens_each),
                seconds: format!("{:.2}", way.seconds_each),
            })
            .collect(),
        strip: lesson
            .questions
            .iter()
            .map(|row| Mark {
                class: class(row.fate),
                sign: sign(row.fate),
                title: format!("{}: {}", fate_name(row.fate), bounded(&row.question.prompt)),
            })
            .collect(),
        hidden: questions.len().saturating_sub(MAX_QUESTIONS),
        questions: questions.into_iter().take(MAX_QUESTIONS).map(question).collect(),
    }
}

fn question(row: &QuestionRow) -> Question {
    let half = match row.question.half {
        super::Half::Gate => "gate half",
        super::Half::Audit => "audit half",
    };
    Question {
        class: class(row.fate),
        fate: fate_name(row.fate),
        prompt: bounded(&row.question.prompt),
        answer: bounded(&row.question.answer),
        said: row.said.as_deref().map(bounded),
        tag: format!("{}, {half}", kind_name(row.question.kind)),
    }
}

fn tally_text(tally: Tally) -> String {
    format!("{} of {}", tally.right, tally.of)
}

/// Untrusted text as the page shows it.
fn bounded(text: &str) -> String {
    let mut short: String = text.chars().take(MAX_ANSWER).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    printable(&short)
}
