//! The gate: whether a candidate learnt its lesson and lost nothing else, as far as so many questions can tell.
//!
//! It sees the gate half of the exams alone; the audit half tells on the board what it is worth.

use serde::{Deserialize, Serialize};

use super::outcome::Outcome;
use super::paired::{Counts, sign_test};

/// The gate's numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateRules {
    /// Share of the new exam that must be right.
    pub learned: f64,
    /// Chance of a one-sided error that a claim may have.
    pub level: f64,
    /// A loss up to this share of the earlier questions counts as none.
    pub margin: f64,
    /// Share of questions that change by chance between two heads; sets the margin that a small exam can resolve.
    pub changing: f64,
    /// No single lesson may lose more than this share of its questions, nor more than `tripwire_questions`, whichever is more.
    pub tripwire: f64,
    /// See `tripwire`.
    pub tripwire_questions: usize,
    /// Share of the answers that must stay as they are that does. No bound on chance: each was asked for by name.
    #[serde(default = "usual_neighbours")]
    pub neighbours: f64,
    /// Largest divergence from the base on general prompts, KL(base || head) in nats a token.
    pub drift: f64,
    /// Most general answers that begin to repeat themselves without end.
    pub loops: usize,
}

/// Of libraries that were made before there was this rule, too.
fn usual_neighbours() -> f64 {
    0.95
}

impl Default for GateRules {
    fn default() -> Self {
        Self {
            learned: 0.7,
            level: 0.05,
            margin: 0.02,
            changing: 0.04,
            tripwire: 0.1,
            tripwire_questions: 3,
            neighbours: usual_neighbours(),
            drift: 0.05,
            loops: 2,
        }
    }
}

/// What the exams say of one earlier lesson, question by question.
#[derive(Debug, Clone, PartialEq)]
pub struct EarlierLesson {
    /// The lesson, for people.
    pub title: String,
    /// Under the head that is served.
    pub before: Vec<Outcome>,
    /// Under the candidate.
    pub after: Vec<Outcome>,
    /// Whether any head so far was right.
    pub best: Vec<bool>,
}

/// What the gate judges by.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// The new exam under the head that is served.
    pub new_before: Vec<Outcome>,
    /// The new exam under the candidate.
    pub new_after: Vec<Outcome>,
    /// Share of it that where the lesson comes from gets right itself, if that is known.
    pub reached: Option<f64>,
    /// Every lesson that counts.
    pub earlier: Vec<EarlierLesson>,
    /// What must stay as it is, under the candidate: right is the answer from before.
    pub neighbours: Vec<Outcome>,
    /// Estimate of KL(base || candidate) in nats a token.
    pub drift: f64,
    /// Tokens that it was measured on.
    pub drift_tokens: usize,
    /// General answers of the candidate that repeat themselves.
    pub loops: usize,
    /// General answers of the base that repeat themselves.
    pub base_loops: usize,
    /// General answers.
    pub general: usize,
}

/// A check's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It holds.
    Pass,
    /// It does not.
    Fail,
    /// Too few questions.
    CannotTell,
}

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckName {
    /// The new exam is right, and more of it than before.
    Learned,
    /// The earlier exams together are as right as before.
    Kept,
    /// No single earlier lesson is lost.
    Tripwire,
    /// Answers that must stay do.
    Neighbours,
    /// General answers are still those of the base.
    Drift,
    /// General answers end.
    Sane,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Which.
    pub name: CheckName,
    /// Its result.
    pub answer: Answer,
    /// What was measured and what was asked for, in words.
    pub words: String,
}

/// The gate's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The candidate may become the head.
    Accepted,
    /// It may not.
    Rejected,
    /// Nothing speaks against it, and the new exam is too small to speak for it.
    CannotTell,
}

/// The gate's word with its reasons.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// The word.
    pub decision: Decision,
    /// Every check.
    pub checks: Vec<Check>,
}

impl Verdict {
    /// Whether the lesson itself was learnt, or may have been.
    pub fn did_learn(&self) -> bool {
        !self.checks.iter().any(|check| check.name == CheckName::Learned && check.answer == Answer::Fail)
    }

    /// The checks that failed.
    pub fn failed(&self) -> impl Iterator<Item = CheckName> {
        self.checks.iter().filter(|check| check.answer == Answer::Fail).map(|check| check.name)
    }

    /// The checks, a line each.
    pub fn lines(&self) -> Vec<String> {
        let line = |check: &Check| {
            let mark = match check.answer {
                Answer::Pass => "ok",
                Answer::Fail => "FAILED",
                Answer::CannotTell => "cannot tell",
            };
            format!("{mark}: {}", check.words)
        };
        self.checks.iter().map(line).collect()
    }

    /// What stands against it, or what cannot be told.
    pub fn reason(&self) -> String {
        let of = |answer: Answer| -> Vec<&str> {
            self.checks
                .iter()
                .filter(|check| check.answer == answer)
                .map(|check| check.words.as_str())
                .collect()
        };
        let failed = of(Answer::Fail);
        if failed.is_empty() { of(Answer::CannotTell).join("; ") } else { failed.join("; ") }
    }
}

/// Judges a candidate.
pub fn judge(evidence: &Evidence, rules: &GateRules) -> Verdict {
    let mut checks = vec![learned(evidence, rules)];
    if !evidence.earlier.is_empty() {
        checks.push(kept(evidence, rules));
        checks.push(tripwire(evidence, rules));
    }
    if !evidence.neighbours.is_empty() {
        checks.push(neighbours(evidence, rules));
    }
    checks.push(drift(evidence, rules));
    checks.push(sane(evidence, rules));
    let unlearned = checks[0].answer == Answer::CannotTell;
    let decision = match checks.iter().any(|check| check.answer == Answer::Fail) {
        true => Decision::Rejected,
        false if unlearned => Decision::CannotTell,
        false => Decision::Accepted,
    };
    Verdict { decision, checks }
}

/// Enough is right, and more than before by more than chance (the exact sign test on the questions that changed). Who knew it all
/// before has learnt nothing and lost nothing.
fn learned(evidence: &Evidence, rules: &GateRules) -> Check {
    let counts = Counts::of(&evidence.new_before, &evidence.new_after);
    let answer = rules.has_learned(counts, evidence.reached);
    let (before, after, all) = (counts.before(), counts.after(), counts.all);
    let more = match answer {
        Answer::Pass => String::new(),
        Answer::Fail => format!("; {:.0} % are asked for", 100.0 * rules.asked_for(evidence.reached)),
        Answer::CannotTell => {
            let chance = sign_test(counts.gained, counts.lost);
            format!("; by chance that happens {:.0} times in 100", 100.0 * chance)
        }
    };
    let words = format!("learned: {after} of {all} right, {before} before{more}");
    Check { name: CheckName::Learned, answer, words }
}

fn kept(evidence: &Evidence, rules: &GateRules) -> Check {
    let pooled = evidence.earlier.iter().map(|lesson| Counts::of(&lesson.before, &lesson.after));
    let counts = pooled.fold(Counts::default(), |sum, counts| sum + counts);
    let words = format!(
        "kept: {} of {} earlier questions right, {} before ({:+.0} points, at worst {:+.0}; {:.0} may be lost)",
        counts.after(),
        counts.all,
        counts.before(),
        100.0 * counts.change(),
        100.0 * counts.lower_bound(ONE_SIDED),
        100.0 * rules.margin_of(counts.all)
    );
    Check { name: CheckName::Kept, answer: rules.has_kept(counts), words }
}

impl GateRules {
    /// Whether a lesson was learnt, by its own questions before and after: enough are right, and more than before by more than
    /// chance. `reached` is what its source gets right itself.
    pub fn has_learned(&self, counts: Counts, reached: Option<f64>) -> Answer {
        let short = (counts.after() as f64 / counts.all.max(1) as f64) < self.asked_for(reached);
        match () {
            () if short || counts.all == 0 => Answer::Fail,
            () if sign_test(counts.gained, counts.lost) < self.level => Answer::Pass,
            () => Answer::CannotTell,
        }
    }

    /// Share of the new exam that must be right: nine tenths of what its source gets right itself are as good.
    fn asked_for(&self, reached: Option<f64>) -> f64 {
        reached.map_or(self.learned, |reached| self.learned.min(0.9 * reached))
    }

    /// Whether earlier questions were kept: not lost by more than chance (the exact sign test, or more than one question and more
    /// than the margin, which so many lose once in twenty times if nothing was forgotten), and, where there are enough of them to
    /// say so, within the margin at worst.
    pub fn has_kept(&self, counts: Counts) -> Answer {
        let beyond = counts.change() < -self.margin_of(counts.all) && counts.lost > counts.gained + 1;
        match () {
            () if beyond || sign_test(counts.lost, counts.gained) < self.level => Answer::Fail,
            () if counts.lower_bound(ONE_SIDED) >= -self.margin_of(counts.all) => Answer::Pass,
            () => Answer::CannotTell,
        }
    }

    /// The loss that counts as none among `n` questions: the larger of `margin` and what so many can resolve if `changing` of them
    /// change by chance.
    fn margin_of(&self, n: usize) -> f64 {
        self.margin.max(ONE_SIDED * (self.changing / n.max(1) as f64).sqrt())
    }
}

/// z of a one-sided 95 % bound.
const ONE_SIDED: f64 = 1.644_853_626_951_472_7;

fn tripwire(evidence: &Evidence, rules: &GateRules) -> Check {
    let lost = |lesson: &EarlierLesson| {
        lesson.best.iter().zip(&lesson.after).filter(|&(&best, after)| best && !after.right).count()
    };
    let gained = |lesson: &EarlierLesson| {
        lesson.best.iter().zip(&lesson.after).filter(|&(&best, after)| !best && after.right).count()
    };
    let worst = evidence
        .earlier
        .iter()
        .map(|lesson| {
            let allowed =
                ((rules.tripwire * lesson.after.len() as f64) as usize).max(rules.tripwire_questions);
            let net = lost(lesson).saturating_sub(gained(lesson));
            (net.saturating_sub(allowed), net, lesson)
        })
        .max_by_key(|(over, net, _)| (*over, *net));
    let (answer, words) = match worst {
        Some((over, net, lesson)) if over > 0 => (
            Answer::Fail,
            format!("{} lost {net} of {} questions against its best", lesson.title, lesson.after.len()),
        ),
        Some((_, 0, _)) | None => (Answer::Pass, "no earlier lesson lost a question".into()),
        Some((_, net, lesson)) => {
            (Answer::Pass, format!("{} lost most, {net} of {} questions", lesson.title, lesson.after.len()))
        }
    };
    Check { name: CheckName::Tripwire, answer, words: format!("single lessons: {words}") }
}

fn neighbours(evidence: &Evidence, rules: &GateRules) -> Check {
    let all = evidence.neighbours.len();
    let stay = evidence.neighbours.iter().filter(|outcome| outcome.right).count();
    let answer = if stay as f64 >= rules.neighbours * all as f64 { Answer::Pass } else { Answer::Fail };
    let words = format!(
        "what must stay: {stay} of {all} answers are as before; {:.0} % are asked for",
        100.0 * rules.neighbours
    );
    Check { name: CheckName::Neighbours, answer, words }
}

fn drift(evidence: &Evidence, rules: &GateRules) -> Check {
    let answer = if evidence.drift <= rules.drift { Answer::Pass } else { Answer::Fail };
    let words = format!(
        "general answers: {:.3} nats a token from the base on {} tokens; up to {} are allowed",
        evidence.drift, evidence.drift_tokens, rules.drift
    );
    Check { name: CheckName::Drift, answer, words }
}

fn sane(evidence: &Evidence, rules: &GateRules) -> Check {
    let more = evidence.loops.saturating_sub(evidence.base_loops);
    let answer = if more <= rules.loops { Answer::Pass } else { Answer::Fail };
    let words = format!(
        "ends: {} of {} general answers repeat themselves, {} of the base",
        evidence.loops, evidence.general, evidence.base_loops
    );
    Check { name: CheckName::Sane, answer, words }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(right: usize, all: usize) -> Vec<Outcome> {
        let outcome = |index| Outcome {
            right: index < right,
            said: String::new(),
            logprob: Some(-0.1),
            finished: true,
        };
        (0..all).map(outcome).collect()
    }

    fn evidence(before: usize, after: usize, all: usize) -> Evidence {
        Evidence {
            new_before: outcomes(before, all),
            new_after: outcomes(after, all),
            reached: None,
            earlier: Vec::new(),
            neighbours: Vec::new(),
            drift: 0.01,
            drift_tokens: 600,
            loops: 1,
            base_loops: 1,
            general: 16,
        }
    }

    fn earlier(before: usize, after: usize, all: usize) -> EarlierLesson {
        let best = outcomes(before, all).iter().map(|outcome| outcome.right).collect();
        EarlierLesson {
            title: "lesson 1 (a)".into(),
            before: outcomes(before, all),
            after: outcomes(after, all),
            best,
        }
    }

    fn decide(evidence: &Evidence) -> Decision {
        judge(evidence, &GateRules::default()).decision
    }

    #[test]
    fn a_lesson_must_be_learnt() {
        for (before, after, all, decision) in [
            (0, 20, 20, Decision::Accepted),
            (0, 14, 20, Decision::Accepted),
            (0, 13, 20, Decision::Rejected),
            (0, 5, 5, Decision::Accepted),
            // Four of four happen by chance once in sixteen.
            (0, 4, 4, Decision::CannotTell),
            (0, 1, 1, Decision::CannotTell),
            (1, 1, 1, Decision::CannotTell),
            (0, 0, 1, Decision::Rejected),
            (20, 20, 20, Decision::CannotTell),
            (0, 0, 0, Decision::Rejected),
        ] {
            let verdict = judge(&evidence(before, after, all), &GateRules::default());
            assert_eq!(verdict.decision, decision, "{before} {after} {all} {verdict:?}");
        }
    }

    /// A skill is held against what the run that taught it came to, and still has to be more than before.
    #[test]
    fn no_more_is_asked_for_than_the_source_reached() {
        for (reached, before, after, answer) in [
            (None, 2, 20, Answer::Fail),
            (Some(0.5), 2, 20, Answer::Pass),
            (Some(0.5), 2, 17, Answer::Fail),
            (Some(0.5), 19, 20, Answer::CannotTell),
            (Some(1.0), 2, 20, Answer::Fail),
            (Some(0.0), 0, 0, Answer::CannotTell),
        ] {
            let verdict = judge(&Evidence { reached, ..evidence(before, after, 40) }, &GateRules::default());
            assert_eq!(verdict.checks[0].answer, answer, "{reached:?} {before} {after}");
        }
    }

    #[test]
    fn nothing_earlier_may_be_lost() {
        let with = |lessons: Vec<EarlierLesson>| Evidence { earlier: lessons, ..evidence(0, 20, 20) };
        let answers = |evidence: &Evidence| -> Vec<Answer> {
            judge(evidence, &GateRules::default()).checks[1..3].iter().map(|check| check.answer).collect()
        };
        // None of twenty lost: a loss of a tenth would often look the same.
        for all in [1, 2, 20] {
            let none = with(vec![earlier(all, all, all)]);
            assert_eq!(answers(&none), [Answer::CannotTell, Answer::Pass]);
            assert_eq!(decide(&none), Decision::Accepted);
        }
        assert_eq!(answers(&with(vec![earlier(100, 100, 100)])), [Answer::Pass, Answer::Pass]);
        // One of twenty: nobody can tell, and it does not stop the lesson.
        let one = with(vec![earlier(20, 19, 20)]);
        assert_eq!(
            (answers(&one), decide(&one)),
            (vec![Answer::CannotTell, Answer::Pass], Decision::Accepted)
        );
        // Two are more than so many lose by chance, but not of a hundred.
        let two = with(vec![earlier(20, 18, 20)]);
        assert_eq!((answers(&two), decide(&two)), (vec![Answer::Fail, Answer::Pass], Decision::Rejected));
        assert_eq!(answers(&with(vec![earlier(100, 98, 100)])), [Answer::CannotTell, Answer::Pass]);
        // Nor does one lost question of a single one say what happens to others.
        assert_eq!(answers(&with(vec![earlier(1, 0, 1)])), [Answer::CannotTell, Answer::Pass]);
        // Five of twenty are lost for sure, and more than a lesson may lose.
        let five = with(vec![earlier(20, 15, 20)]);
        assert_eq!((answers(&five), decide(&five)), (vec![Answer::Fail, Answer::Fail], Decision::Rejected));
        // Spread over ten lessons no tripwire sees it.
        let spread = with((0..10).map(|_| earlier(20, 19, 20)).collect());
        assert_eq!(
            (answers(&spread), decide(&spread)),
            (vec![Answer::Fail, Answer::Pass], Decision::Rejected)
        );
        assert_eq!(answers(&with(vec![earlier(300, 300, 300)])), [Answer::Pass, Answer::Pass]);
    }

    #[test]
    fn what_was_lost_before_counts_against_the_best() {
        let mut lesson = earlier(15, 15, 20);
        lesson.best = vec![true; 20];
        let evidence = Evidence { earlier: vec![lesson], ..evidence(0, 20, 20) };
        let verdict = judge(&evidence, &GateRules::default());
        assert_eq!((verdict.checks[2].answer, verdict.decision), (Answer::Fail, Decision::Rejected));
        assert!(verdict.reason().contains("lost 5 of 20") && verdict.did_learn(), "{}", verdict.reason());
    }

    #[test]
    fn general_answers_must_stay() {
        let near = |right| Evidence { neighbours: outcomes(right, 20), ..evidence(0, 20, 20) };
        assert_eq!([18, 19].map(|right| decide(&near(right))), [Decision::Rejected, Decision::Accepted]);
        assert_eq!(decide(&Evidence { drift: 0.06, ..evidence(0, 20, 20) }), Decision::Rejected);
        assert_eq!(decide(&Evidence { drift: f64::NAN, ..evidence(0, 20, 20) }), Decision::Rejected);
        assert_eq!(decide(&Evidence { loops: 4, ..evidence(0, 20, 20) }), Decision::Rejected);
        assert_eq!(decide(&Evidence { loops: 3, ..evidence(0, 20, 20) }), Decision::Accepted);
    }
}
