//! How much a row of heads learnt, kept and passed on, from which questions each answered right.
//!
//! `R[t][i]` is the share of exam i that head t answers right; head 0 is the base. The means are those of continual learning:
//! average accuracy, backward and forward transfer (GEM, 1706.08840), forgetting and intransigence (1801.10112), and the change on
//! what was never taught (TRACE's general delta, 2310.06762).

use serde::Serialize;

use super::paired::Counts;
use crate::ladder::stats::Z95;

/// Which questions each head answered right.
#[derive(Debug, Clone, Default)]
pub struct Scores {
    /// By head and exam, a flag for each question; `None` where a head was not examined.
    pub rows: Vec<Vec<Option<Vec<bool>>>>,
    /// By exam, the head that its lesson made; `None` for what was never taught.
    pub taught: Vec<Option<usize>>,
    /// By exam, the same questions under one head that learnt all lessons at once.
    pub joint: Vec<Option<Vec<bool>>>,
}

/// A mean over exams with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The mean.
    pub value: f64,
    /// Its interval, over questions. Of the exams themselves it says nothing: other lessons may go otherwise.
    pub interval: [f64; 2],
    /// Exams.
    pub exams: usize,
    /// Questions of all of them.
    pub questions: usize,
}

/// All means; each is `None` where there are no exams for it.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Metrics {
    /// A_T: mean of `R[T][i]` over what was taught.
    pub average: Option<Estimate>,
    /// Mean of `R[i][i]`: each exam right after its lesson.
    pub learning: Option<Estimate>,
    /// Mean of `R[T][i]` - `R[i][i]` over all but the last lesson.
    pub backward: Option<Estimate>,
    /// Mean of `R[i-1][i]` - `R[0][i]` over all but the first lesson: what earlier lessons did for a later one.
    pub forward: Option<Estimate>,
    /// F_T: mean of max_l `R[l][i]` - `R[T][i]`, l before T, over all but the last lesson. The best of several heads is also the luckiest,
    /// so that a little forgetting is seen where there is none.
    pub forgetting: Option<Estimate>,
    /// Mean of `joint[i]` - `R[i][i]`.
    pub intransigence: Option<Estimate>,
    /// Mean of `R[T][j]` - `R[0][j]` over what was never taught.
    pub general: Option<Estimate>,
}

impl Scores {
    /// All means of the last head.
    pub fn metrics(&self) -> Metrics {
        let Some(last) = self.rows.len().checked_sub(1) else { return Metrics::default() };
        let taught: Vec<(usize, usize)> =
            self.taught.iter().enumerate().filter_map(|(exam, head)| Some((exam, (*head)?))).collect();
        let earlier = || taught.iter().filter(|(_, head)| *head < last);
        let never = self.taught.iter().enumerate().filter(|(_, head)| head.is_none()).map(|(exam, _)| exam);
        Metrics {
            average: rates(taught.iter().filter_map(|&(exam, _)| self.at(last, exam))),
            learning: rates(taught.iter().filter_map(|&(exam, head)| self.at(head, exam))),
            backward: changes(
                earlier().filter_map(|&(exam, head)| self.at(head, exam).zip(self.at(last, exam))),
            ),
            forward: changes(
                taught
                    .iter()
                    .filter(|(_, head)| *head > 1)
                    .filter_map(|&(exam, head)| self.at(0, exam).zip(self.at(head - 1, exam))),
            ),
            forgetting: changes(
                earlier().filter_map(|&(exam, _)| self.at(last, exam).zip(self.best(exam, last))),
            ),
            intransigence: changes(
                taught.iter().filter_map(|&(exam, head)| self.at(head, exam).zip(self.joint(exam))),
            ),
            general: changes(never.filter_map(|exam| self.at(0, exam).zip(self.at(last, exam)))),
        }
    }

    fn at(&self, head: usize, exam: usize) -> Option<&[bool]> {
        self.rows.get(head)?.get(exam)?.as_deref().filter(|flags| !flags.is_empty())
    }

    fn joint(&self, exam: usize) -> Option<&[bool]> {
        self.joint.get(exam)?.as_deref()
    }

    /// The best result in an exam before head `end`; the earliest of equals.
    fn best(&self, exam: usize, end: usize) -> Option<&[bool]> {
        let results = (0..end).filter_map(|head| self.at(head, exam));
        results.reduce(|best, next| if share(next) > share(best) { next } else { best })
    }
}

/// The share of answers that are right; 0 of none.
pub(super) fn share(flags: &[bool]) -> f64 {
    flags.iter().filter(|&&right| right).count() as f64 / flags.len().max(1) as f64
}

/// Mean over exams of the shares that are right. Their variances are those of Agresti and Coull (1998): two right and two wrong
/// answers are added, so that a few right answers do not look certain.
fn rates<'a>(exams: impl Iterator<Item = &'a [bool]>) -> Option<Estimate> {
    let parts = exams.map(|flags| {
        let n = flags.len() as f64;
        let padded = share(flags).mul_add(n, 2.0) / (n + 4.0);
        Part { value: share(flags), variance: padded * (1.0 - padded) / (n + 4.0), questions: flags.len() }
    });
    mean(parts, 0.0)
}

/// Mean over exams of the change of the share that is right. Their variances are those of Agresti and Min (Statistics in Medicine
/// 24, 2005, 729-740): half a question is added to each of the four cells of before and after. Exams whose lists do not belong
/// together are left out.
fn changes<'a>(exams: impl Iterator<Item = (&'a [bool], &'a [bool])>) -> Option<Estimate> {
    let parts = exams.filter(|(before, after)| before.len() == after.len()).map(|(before, after)| {
        let counts = Counts::of_pairs(before.iter().copied().zip(after.iter().copied()));
        let (gained, lost) = (counts.gained as f64, counts.lost as f64);
        let padded = counts.all as f64 + 2.0;
        let mean = (gained - lost) / padded;
        let variance = ((gained + lost + 1.0) / padded - mean * mean) / padded;
        Part { value: counts.change(), variance, questions: counts.all }
    });
    mean(parts, -1.0)
}

/// One exam's part in a mean.
struct Part {
    value: f64,
    variance: f64,
    questions: usize,
}

/// Exams are independent, and so are the questions of one: variances add.
fn mean(parts: impl Iterator<Item = Part>, least: f64) -> Option<Estimate> {
    let (mut value, mut variance, mut exams, mut questions) = (0.0, 0.0, 0, 0);
    for part in parts {
        value += part.value;
        variance += part.variance;
        exams += 1;
        questions += part.questions;
    }
    let value = value / exams as f64;
    let half = Z95 * f64::sqrt(variance) / exams as f64;
    let interval = [(value - half).max(least), (value + half).min(1.0)];
    (exams > 0).then_some(Estimate { value, interval, exams, questions })
}

/// What became of one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Right before its lesson, and ever since.
    Known,
    /// Wrong before its lesson, and right under the last head as the first one.
    Learned,
    /// Wrong before its lesson, and right under several heads since, up to the last.
    Kept,
    /// Right, wrong after that, and right again.
    Recovered,
    /// Was right and is wrong.
    Forgotten,
    /// Never right.
    Never,
    /// The last head was not asked.
    Unknown,
}

impl Fate {
    /// Of a question that was right or wrong, in the order of heads (`None` where it was not asked). `taught` is the place of the
    /// head that its lesson made; without one nothing counts as learnt before the end.
    pub fn of(course: &[Option<bool>], taught: Option<usize>) -> Self {
        let Some(Some(now)) = course.last().copied() else { return Self::Unknown };
        let taught = taught.filter(|place| *place < course.len()).unwrap_or(course.len() - 1);
        let asked = |range: &[Option<bool>]| range.iter().flatten().copied().collect::<Vec<bool>>();
        let all = asked(course);
        let Some(first) = all.iter().position(|&right| right) else { return Self::Never };
        if !now {
            return Self::Forgotten;
        }
        let known = asked(&course[..taught]).last().copied().unwrap_or(false);
        match () {
            // What a head before the lesson happened to get right once was not known.
            () if all[first..].contains(&false) && (known || lost_since(course, taught)) => Self::Recovered,
            () if known => Self::Known,
            () if course.iter().skip(taught).filter(|right| **right == Some(true)).count() < 2 => {
                Self::Learned
            }
            () => Self::Kept,
        }
    }
}

/// Whether a question that was right at or after place `taught` was wrong after that.
fn lost_since(course: &[Option<bool>], taught: usize) -> bool {
    let since = course.iter().skip(taught).flatten();
    since.skip_while(|right| !**right).any(|right| !right)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Expected {
        value: f64,
        half_width: f64,
    }

    #[derive(serde::Deserialize)]
    struct Case {
        rows: Vec<Vec<Vec<bool>>>,
        average: Option<Expected>,
        learning: Option<Expected>,
        backward: Option<Expected>,
        forward: Option<Expected>,
        forgetting: Option<Expected>,
    }

    #[derive(serde::Deserialize)]
    struct Fixture {
        metrics: Vec<Case>,
    }

    /// Against NumPy: `tests/fixtures/make_statistics.py`.
    #[test]
    fn means_and_intervals_are_those_of_numpy() {
        let fixture: Fixture =
            serde_json::from_str(include_str!("../../tests/fixtures/statistics.json")).unwrap();
        assert_eq!(fixture.metrics.len(), 4);
        for case in fixture.metrics {
            let lessons = case.rows.len() - 1;
            let rows = case.rows.into_iter().map(|row| row.into_iter().map(Some).collect()).collect();
            let scores = Scores { rows, taught: (1..=lessons).map(Some).collect(), joint: Vec::new() };
            let metrics = scores.metrics();
            assert_eq!((metrics.intransigence, metrics.general), (None, None));
            for (name, ours, theirs, least) in [
                ("average", metrics.average, case.average, 0.0),
                ("learning", metrics.learning, case.learning, 0.0),
                ("backward", metrics.backward, case.backward, -1.0),
                ("forward", metrics.forward, case.forward, -1.0),
                ("forgetting", metrics.forgetting, case.forgetting, -1.0),
            ] {
                assert_eq!(ours.is_some(), theirs.is_some(), "{name} of {lessons}");
                let Some((ours, theirs)) = ours.zip(theirs) else { continue };
                let (low, high) = (theirs.value - theirs.half_width, theirs.value + theirs.half_width);
                let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
                let all = near(ours.value, theirs.value)
                    && near(ours.interval[0], low.max(least))
                    && near(ours.interval[1], high.min(1.0));
                assert!(all, "{name} of {lessons}: {ours:?}, not {} +- {}", theirs.value, theirs.half_width);
            }
        }
    }

    fn flags(text: &str) -> Option<Vec<bool>> {
        Some(text.chars().map(|c| c == '1').collect())
    }

    /// Two lessons and an exam that was never taught, by hand.
    #[test]
    fn means_by_hand() {
        let scores = Scores {
            rows: vec![
                vec![flags("0001"), flags("00"), flags("1110")],
                vec![flags("1101"), flags("01"), flags("1110")],
                vec![flags("1000"), flags("11"), flags("1100")],
            ],
            taught: vec![Some(1), Some(2), None],
            joint: vec![flags("1111"), None, None],
        };
        let metrics = scores.metrics();
        let value = |estimate: Option<Estimate>| estimate.unwrap().value;
        assert_eq!(value(metrics.average), (0.25 + 1.0) / 2.0);
        assert_eq!(value(metrics.learning), (0.75 + 1.0) / 2.0);
        assert_eq!(value(metrics.backward), 0.25 - 0.75);
        assert_eq!(value(metrics.forward), 0.5);
        assert_eq!(value(metrics.forgetting), 0.75 - 0.25);
        assert_eq!(value(metrics.intransigence), 0.25);
        assert_eq!(value(metrics.general), -0.25);
        let average = metrics.average.unwrap();
        assert_eq!((average.exams, average.questions), (2, 6));
    }

    /// All right of five does not mean certainly right, and what was not examined gives no number.
    #[test]
    fn few_questions_tell_little() {
        let scores = Scores {
            rows: vec![vec![None], vec![flags("11111")]],
            taught: vec![Some(1)],
            joint: vec![flags("1")],
        };
        let metrics = scores.metrics();
        let average = metrics.average.unwrap();
        assert!(average.value == 1.0 && average.interval[0] < 0.8 && average.interval[1] == 1.0);
        assert_eq!((metrics.backward, metrics.forward, metrics.forgetting), (None, None, None));
        // A list of another length is of other questions.
        assert_eq!(metrics.intransigence, None);
        assert_eq!(Scores::default().metrics(), Metrics::default());
        let empty = Scores {
            rows: vec![vec![Some(Vec::new())], vec![Some(Vec::new())]],
            taught: vec![Some(1)],
            joint: Vec::new(),
        };
        assert_eq!(empty.metrics(), Metrics::default());
    }

    #[test]
    fn every_question_has_its_fate() {
        for (course, taught, fate) in [
            ("11", Some(1), Fate::Known),
            ("1111", Some(2), Fate::Known),
            ("01", Some(1), Fate::Learned),
            ("001", Some(2), Fate::Learned),
            // Its own lesson did not teach it, a later one did.
            ("001", Some(1), Fate::Learned),
            // Right once by chance, long before.
            ("1001", Some(3), Fate::Learned),
            ("011", Some(1), Fate::Kept),
            ("01?1", Some(1), Fate::Kept),
            ("010", Some(1), Fate::Forgotten),
            ("10", Some(1), Fate::Forgotten),
            ("0101", Some(1), Fate::Recovered),
            ("101", Some(1), Fate::Recovered),
            ("000", Some(1), Fate::Never),
            ("01?", Some(1), Fate::Unknown),
            ("", None, Fate::Unknown),
            ("11", None, Fate::Known),
            ("01", None, Fate::Learned),
            ("01", Some(7), Fate::Learned),
        ] {
            let asked: Vec<Option<bool>> = course.chars().map(|c| (c != '?').then_some(c == '1')).collect();
            assert_eq!(Fate::of(&asked, taught), fate, "{course} {taught:?}");
        }
    }
}
