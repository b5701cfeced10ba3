//! The board: what every head knows of every lesson, what became of each question, and what it cost.

mod page;
mod records;
mod text;

use serde::Serialize;
pub use text::wrapped;

use super::gate::{Answer, GateRules};
use super::ledger::Cost;
use super::metrics::{Fate, Metrics, Scores};
use super::outcome::{Half, Kind, Outcome, Question, Sitting};
use super::paired::Counts;
use super::payback::{Payback, slower};
use super::standing::Status;

/// A lesson, for the board.
#[derive(Debug, Clone)]
pub struct BoardLesson {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// What it was made from, in one word.
    pub kind: String,
    /// How it stands.
    pub status: Status,
    /// Its exam.
    pub questions: Vec<Question>,
    /// What it took.
    pub cost: Cost,
    /// Size of its head's files.
    pub adapter_bytes: u64,
    /// Tokens of its notes, were they put before each question.
    pub context_tokens: usize,
    /// Share of its exam that where it comes from gets right itself, if that is known.
    pub reached: Option<f64>,
    /// The same exam with notes in the context instead, all of them first, each under its name.
    pub in_context: Vec<(String, Sitting)>,
}

/// A head, for the board.
#[derive(Debug, Clone)]
pub struct BoardHead {
    /// Its name; `None` for the base.
    pub hash: Option<String>,
    /// The lesson that it was made for.
    pub lesson: Option<u32>,
    /// Place of the head that it was made from, which stands before it.
    pub parent: Option<usize>,
    /// By lesson, its exam under this head; `None` where it was not examined.
    pub scores: Vec<Option<Sitting>>,
    /// Divergence from the base on general prompts, nats a token.
    pub drift: Option<f64>,
}

/// What a board is made from.
#[derive(Debug, Clone)]
pub struct Records {
    /// The base model.
    pub model: String,
    /// Every lesson, in order.
    pub lessons: Vec<BoardLesson>,
    /// Every head, the base first.
    pub heads: Vec<BoardHead>,
    /// Place of the head that is served.
    pub served: usize,
    /// Questions that people asked it.
    pub asked: u64,
    /// What was spent for no single lesson.
    pub other_cost: Cost,
    /// The gate's numbers.
    pub rules: GateRules,
}

/// The board, which as JSON tells all that it shows.
#[derive(Debug, Clone, Serialize)]
pub struct Board {
    model: String,
    asked: u64,
    heads: Vec<HeadRow>,
    lessons: Vec<LessonRow>,
    /// From the audit half of the exams, which decides nothing.
    audit: Metrics,
    /// From the half that the gate sees: where it looks better, the gate was pleased rather than the model taught.
    gate: Metrics,
    cost: Cost,
    payback: Option<Payback>,
    /// Questions asked so far by those that pay back.
    paid: Option<f64>,
}

#[derive(Debug, Clone, Serialize)]
struct HeadRow {
    hash: Option<String>,
    lesson: Option<u32>,
    served: bool,
    /// The served head was made from it, by whatever steps.
    in_line: bool,
    cells: Vec<Option<Cell>>,
    drift: Option<f64>,
}

/// An exam under a head.
#[derive(Debug, Clone, Serialize)]
struct Cell {
    gate: Tally,
    audit: Tally,
    /// Share that is right, less the best share of the heads that this one comes from; `None` if there is none to compare with.
    change: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
struct Tally {
    right: usize,
    of: usize,
}

impl Tally {
    fn of<'a>(pairs: impl Iterator<Item = (&'a Question, &'a Outcome)>) -> Self {
        pairs.fold(Self::default(), |sum, (_, outcome)| Self {
            right: sum.right + usize::from(outcome.right),
            of: sum.of + 1,
        })
    }

    /// Share that is right; `None` without questions.
    fn share(self) -> Option<f64> {
        (self.of > 0).then(|| self.right as f64 / self.of as f64)
    }
}

#[derive(Debug, Clone, Serialize)]
struct LessonRow {
    number: u32,
    name: String,
    kind: String,
    status: Status,
    /// In one sentence, for people.
    line: String,
    learned: Option<Told>,
    kept: Option<Told>,
    /// Earlier questions that its head lost.
    forgot: Vec<String>,
    questions: Vec<QuestionRow>,
    /// Under the served head, all questions of a kind.
    by_kind: Vec<(Kind, Tally)>,
    cost: Cost,
    adapter_bytes: u64,
    context_tokens: usize,
    payback: Option<Payback>,
    /// Ways to answer its exam, that of the served head first.
    ways: Vec<Way>,
}

/// A count of the audit half before and after a lesson, and what it tells.
#[derive(Debug, Clone, Copy, Serialize)]
struct Told {
    right: usize,
    of: usize,
    answer: Answer,
}

#[derive(Debug, Clone, Serialize)]
struct QuestionRow {
    #[serde(flatten)]
    question: Question,
    fate: Fate,
    /// The answer of the served head.
    said: Option<String>,
}

/// What a way to answer an exam takes.
#[derive(Debug, Clone, Serialize)]
struct Way {
    name: String,
    right: Tally,
    tokens_each: f64,
    seconds_each: f64,
}

impl Way {
    fn of(name: &str, sitting: &Sitting) -> Self {
        let right = sitting.outcomes.iter().filter(|outcome| outcome.right).count();
        let of = sitting.outcomes.len();
        let each = |total: f64| total / of.max(1) as f64;
        Self {
            name: name.to_owned(),
            right: Tally { right, of },
            tokens_each: each(sitting.tokens as f64),
            seconds_each: each(sitting.seconds),
        }
    }
}

impl Board {
    /// The board of a library. An exam whose outcomes are not those of its questions counts as not taken.
    pub fn of(records: &Records) -> Self {
        let line = records.line();
        let lessons: Vec<LessonRow> =
            (0..records.lessons.len()).map(|exam| records.lesson_row(exam, &line)).collect();
        let known =
            || records.lessons.iter().enumerate().filter(|(_, lesson)| lesson.status == Status::Accepted);
        let mut cost = records.other_cost;
        records.lessons.iter().for_each(|lesson| cost += lesson.cost);
        let context = known().map(|(_, lesson)| lesson.context_tokens).sum();
        let slower: Option<f64> = known().map(|(exam, _)| records.slower(exam)).sum();
        let payback = Payback::of(cost, context, slower);
        Self {
            model: records.model.clone(),
            asked: records.asked,
            heads: (0..records.heads.len()).map(|head| records.head_row(head, &line)).collect(),
            lessons,
            audit: records.scores(&line, Half::Audit).metrics(),
            gate: records.scores(&line, Half::Gate).metrics(),
            cost,
            payback,
            paid: payback.map(|payback| records.asked as f64 / payback.questions.max(1.0)),
        }
    }
}

/// Questions with their outcomes.
type Pairs<'a> = Vec<(&'a Question, &'a Outcome)>;

impl Records {
    /// The places of the served head and of those that it was made from, the oldest first.
    fn line(&self) -> Vec<usize> {
        self.ancestors(self.served)
    }

    fn ancestors(&self, head: usize) -> Vec<usize> {
        let mut line = Vec::new();
        let mut next = (head < self.heads.len()).then_some(head);
        while let Some(head) = next {
            line.push(head);
            next = self.heads[head].parent.filter(|parent| *parent < head);
        }
        line.reverse();
        line
    }

    fn sitting(&self, head: usize, exam: usize) -> Option<&Sitting> {
        let sitting = self.heads.get(head)?.scores.get(exam)?.as_ref()?;
        (sitting.outcomes.len() == self.lessons.get(exam)?.questions.len()).then_some(sitting)
    }

    /// An exam under a head, one half of it or all.
    fn pairs(&self, head: usize, exam: usize, half: Option<Half>) -> Option<Pairs<'_>> {
        let sitting = self.sitting(head, exam)?;
        let pairs = self.lessons[exam].questions.iter().zip(&sitting.outcomes);
        Some(pairs.filter(|(question, _)| half.is_none_or(|half| question.half == half)).collect())
    }

    /// The head that was made for a lesson last.
    fn made_by(&self, exam: usize) -> Option<usize> {
        let number = self.lessons.get(exam)?.number;
        self.heads.iter().rposition(|head| head.lesson == Some(number))
    }

    /// Places in `line` of the heads that lessons made.
    fn taught(&self, line: &[usize]) -> Vec<Option<usize>> {
        let place = |lesson: &BoardLesson| {
            line.iter().position(|&head| self.heads[head].lesson == Some(lesson.number))
        };
        self.lessons.iter().map(place).collect()
    }

    fn scores(&self, line: &[usize], half: Half) -> Scores {
        let flags = |head: usize, exam: usize| -> Option<Vec<bool>> {
            Some(self.pairs(head, exam, Some(half))?.iter().map(|(_, outcome)| outcome.right).collect())
        };
        let row = |&head: &usize| (0..self.lessons.len()).map(|exam| flags(head, exam)).collect();
        Scores { rows: line.iter().map(row).collect(), taught: self.taught(line), joint: Vec::new() }
    }

    /// Seconds that a question of an exam takes longer with all notes in the context than under the served head.
    fn slower(&self, exam: usize) -> Option<f64> {
        let (_, notes) = self.lessons[exam].in_context.first()?;
        slower(notes, self.sitting(self.served, exam)?)
    }

    fn head_row(&self, head: usize, line: &[usize]) -> HeadRow {
        let record = &self.heads[head];
        let share = |head: usize, exam: usize| {
            self.pairs(head, exam, None).and_then(|pairs| Tally::of(pairs.into_iter()).share())
        };
        let before = self.ancestors(head);
        let cell = |exam: usize| {
            let half = |half| Some(Tally::of(self.pairs(head, exam, Some(half))?.into_iter()));
            let earlier = before.iter().filter(|&&other| other != head);
            let best = earlier.filter_map(|&other| share(other, exam)).reduce(f64::max);
            let change = share(head, exam).zip(best).map(|(now, best)| now - best);
            Some(Cell { gate: half(Half::Gate)?, audit: half(Half::Audit)?, change })
        };
        HeadRow {
            hash: record.hash.clone(),
            lesson: record.lesson,
            served: head == self.served,
            in_line: line.contains(&head),
            cells: (0..self.lessons.len()).map(cell).collect(),
            drift: record.drift,
        }
    }

    fn lesson_row(&self, exam: usize, line: &[usize]) -> LessonRow {
        let lesson = &self.lessons[exam];
        let made = self.made_by(exam);
        let parent = made.and_then(|head| self.heads[head].parent);
        let steps = parent.zip(made);
        let counts = |exam: usize| -> Option<Counts> {
            let (before, after) = steps?;
            let (before, after) =
                (self.pairs(before, exam, Some(Half::Audit))?, self.pairs(after, exam, Some(Half::Audit))?);
            Some(Counts::of_pairs(
                before.iter().zip(&after).map(|((_, before), (_, after))| (before.right, after.right)),
            ))
        };
        let learned = counts(exam).map(|counts| Told {
            right: counts.after(),
            of: counts.all,
            answer: if counts.all == 0 {
                Answer::CannotTell
            } else {
                self.rules.has_learned(counts, lesson.reached)
            },
        });
        let earlier = self.earlier(parent);
        let pooled = earlier.iter().filter_map(|&exam| counts(exam)).reduce(|sum, next| sum + next);
        let kept = pooled.map(|counts| Told {
            right: counts.both,
            of: counts.before(),
            answer: self.rules.has_kept(counts),
        });
        let forgot = earlier.iter().flat_map(|&exam| self.lost(steps, exam)).collect();
        let served = self.sitting(self.served, exam);
        let by_weights = served.map(|sitting| Way::of("weights", sitting));
        let by_notes = lesson.in_context.iter().map(|(name, sitting)| Way::of(name, sitting));
        let mut row = LessonRow {
            number: lesson.number,
            name: lesson.name.clone(),
            kind: lesson.kind.clone(),
            status: lesson.status,
            line: String::new(),
            learned,
            kept,
            forgot,
            questions: self.fates(exam, line),
            by_kind: self.by_kind(exam),
            cost: lesson.cost,
            adapter_bytes: lesson.adapter_bytes,
            context_tokens: lesson.context_tokens,
            payback: Payback::of(lesson.cost, lesson.context_tokens, self.slower(exam)),
            ways: by_weights.into_iter().chain(by_notes).collect(),
        };
        row.line = text::sentence(&row);
        row
    }

    /// Exams of the lessons that a head knows.
    fn earlier(&self, head: Option<usize>) -> Vec<usize> {
        let Some(head) = head else { return Vec::new() };
        let taught = self.taught(&self.ancestors(head));
        (0..self.lessons.len()).filter(|&exam| taught[exam].is_some()).collect()
    }

    /// Questions of the audit half that were right before a step and are wrong after it.
    fn lost(&self, steps: Option<(usize, usize)>, exam: usize) -> Vec<String> {
        let audit = |head| self.pairs(head, exam, Some(Half::Audit));
        let both = steps.and_then(|(before, after)| audit(before).zip(audit(after)));
        let Some((before, after)) = both else { return Vec::new() };
        let lost =
            before.into_iter().zip(after).filter(|((_, before), (_, after))| before.right && !after.right);
        lost.map(|((question, _), _)| question.prompt.clone()).collect()
    }

    fn fates(&self, exam: usize, line: &[usize]) -> Vec<QuestionRow> {
        let taught = self.taught(line)[exam];
        let row = |(place, question): (usize, &Question)| {
            let outcome = |head: usize| self.sitting(head, exam)?.outcomes.get(place);
            let course: Vec<Option<bool>> =
                line.iter().map(|&head| outcome(head).map(|outcome| outcome.right)).collect();
            QuestionRow {
                question: question.clone(),
                fate: Fate::of(&course, taught),
                said: outcome(self.served).map(|outcome| outcome.said.clone()),
            }
        };
        self.lessons[exam].questions.iter().enumerate().map(row).collect()
    }

    fn by_kind(&self, exam: usize) -> Vec<(Kind, Tally)> {
        let Some(pairs) = self.pairs(self.served, exam, None) else { return Vec::new() };
        [Kind::Recall, Kind::Reworded, Kind::Reversed, Kind::Combined, Kind::Unseen]
            .into_iter()
            .map(|kind| {
                (kind, Tally::of(pairs.iter().copied().filter(|(question, _)| question.kind == kind)))
            })
            .filter(|(_, tally)| tally.of > 0)
            .collect()
    }
}

#[cfg(test)]
mod tests;
