//! The conversation with a checker: a request, its reply, and what to make of anything else.
//!
//! A line too many would shift every later reply by one and so give answers the verdicts of others. Requests are numbered, and a reply with
//! another number ends the program. A reply without a number is taken only when the program then stays silent for a moment, and never
//! again once a line too many has come.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::super::reply::{Reply, Warnings};
use super::super::{Attempt, RewardRange, Verdict, VerdictKind};
use super::program::{MAX_LINE, NoLine, Program};

/// How long a program must be silent after a reply without a number.
const SILENCE: Duration = Duration::from_millis(50);

/// One line to the checker.
#[derive(Serialize)]
struct Request<'a> {
    id: u64,
    problem: &'a str,
    answer: Option<&'a str>,
    completion: &'a str,
}

/// A checker, started when it is needed.
#[derive(Debug)]
pub(super) struct Checker {
    words: Vec<String>,
    time_limit: Duration,
    range: RewardRange,
    program: Option<Program>,
    /// Number of the last request.
    asked: u64,
    /// Whether a line too many ever came.
    distrusted: bool,
    /// The line too many that came since this was last looked at.
    shifted: Option<String>,
    warnings: Warnings,
}

/// Why there is no judgement.
enum Failure {
    /// The program is to be ended, and the reason ends with its last words.
    Ended(String),
    /// The program is to be ended.
    Broken(String),
    /// Nothing came in time; the program is to be ended.
    Late(String),
    /// There was a line that belongs to no request: earlier replies without a number may have been those of others.
    Shifted(String),
    /// The reply cannot be used; the program goes on.
    Unusable(String),
}

impl Checker {
    /// A checker that `words` start.
    ///
    /// # Errors
    /// The system's, if there is no such program.
    pub(super) fn start(
        words: Vec<String>,
        time_limit: Duration,
        range: RewardRange,
    ) -> std::io::Result<Self> {
        let program = Some(Program::start(&words)?);
        Ok(Self {
            words,
            time_limit,
            range,
            program,
            asked: 0,
            distrusted: false,
            shifted: None,
            warnings: Warnings::default(),
        })
    }

    /// The range of its numbers.
    pub(super) fn range(&self) -> RewardRange {
        self.range
    }

    /// Judges the attempts in their order. What could not be judged is unverifiable, with the reason.
    pub(super) fn judge(&mut self, attempts: &[Attempt<'_>], cancelled: &AtomicBool) -> Vec<Verdict> {
        let mut verdicts = Vec::with_capacity(attempts.len());
        // Places whose replies had no number and may still turn out to be another's.
        let mut doubtful: Vec<usize> = Vec::new();
        for attempt in attempts {
            if cancelled.load(Ordering::Relaxed) {
                verdicts.push(unverifiable("stopped before it was judged"));
                continue;
            }
            let judged = self.ask(attempt, cancelled).map_err(|failure| self.fail(failure));
            if let Some(reason) = self.shifted.take() {
                doubt(&mut verdicts, &mut doubtful, &reason);
            }
            let verdict = match judged {
                Ok((verdict, numbered)) => {
                    if !numbered {
                        doubtful.push(verdicts.len());
                    }
                    verdict
                }
                Err(reason) => unverifiable(reason),
            };
            verdicts.push(verdict);
        }
        if !doubtful.is_empty()
            && let Some(line) =
                self.program.as_ref().and_then(|program| program.line(SILENCE, cancelled).ok())
        {
            let reason = self.fail(Failure::Shifted(too_many(&line)));
            doubt(&mut verdicts, &mut doubtful, &reason);
        }
        verdicts
    }

    /// Asks for judgements that nobody needs until one comes. What came instead, if none of them did; after a reply that is late none
    /// is waited for again.
    ///
    /// # Errors
    /// The reasons in words.
    pub(super) fn try_out(&mut self, attempts: &[Attempt<'_>]) -> Result<(), String> {
        let mut reasons = Vec::new();
        for attempt in attempts {
            let Some(failure) = self.try_one(attempt) else {
                reasons.clear();
                break;
            };
            let late = matches!(failure, Failure::Late(_));
            reasons.push(self.fail(failure));
            if late {
                break;
            }
        }
        self.warnings = Warnings::default();
        reasons.dedup();
        if reasons.is_empty() { Ok(()) } else { Err(reasons.join("; then ")) }
    }

    fn try_one(&mut self, attempt: &Attempt<'_>) -> Option<Failure> {
        let trusted = !self.distrusted;
        let never = AtomicBool::new(false);
        let asked = self.ask(attempt, &never);
        match asked {
            Ok((_, false)) if trusted => {
                let stray = self.program.as_ref().and_then(|program| program.line(SILENCE, &never).ok());
                stray.map(|line| Failure::Shifted(too_many(&line)))
            }
            Ok(_) => None,
            Err(failure) => Some(failure),
        }
    }

    /// One judgement, and whether its reply had the number of the request.
    fn ask(&mut self, attempt: &Attempt<'_>, cancelled: &AtomicBool) -> Result<(Verdict, bool), Failure> {
        self.make_ready()?;
        let reply = match self.converse(attempt, cancelled) {
            // The line was there for an earlier request, so this one is put to a new program.
            Err(Failure::Shifted(reason)) => {
                self.fail(Failure::Shifted(reason));
                self.make_ready()?;
                self.converse(attempt, cancelled)?
            }
            reply => reply?,
        };
        let numbered = reply.id.is_some();
        reply.warn_of_unknown_fields(&mut self.warnings);
        let judged = reply.judge(self.range);
        Ok((
            judged
                .map_err(|error| Failure::Unusable(format!("the checker's reply is of no use: {error}")))?,
            numbered,
        ))
    }

    /// A program that runs and has nothing to say unasked.
    fn make_ready(&mut self) -> Result<(), Failure> {
        let stray = self.program.as_ref().map(|program| program.waiting_line());
        match stray {
            Some(Err(NoLine::Late)) => return Ok(()),
            Some(Ok(line)) => {
                self.fail(Failure::Shifted(too_many(&line)));
            }
            // It ended after its last reply, which harmed nobody.
            Some(Err(_)) | None => self.program = None,
        }
        let program = Program::start(&self.words)
            .map_err(|error| Failure::Unusable(format!("`{}` cannot be started: {error}", self.words[0])))?;
        self.program = Some(program);
        Ok(())
    }

    /// Asks and waits for the reply.
    fn converse(&mut self, attempt: &Attempt<'_>, cancelled: &AtomicBool) -> Result<Reply, Failure> {
        let Some(program) = &self.program else { return Err(ended()) };
        self.asked += 1;
        let request = Request {
            id: self.asked,
            problem: &attempt.problem.problem,
            answer: attempt.problem.answer.as_deref(),
            completion: attempt.completion,
        };
        let mut line = serde_json::to_vec(&request).map_err(|error| Failure::Unusable(error.to_string()))?;
        line.push(b'\n');
        if !program.tell(line) {
            return Err(ended());
        }
        let line = program.line(self.time_limit, cancelled).map_err(|none| match none {
            NoLine::Ended => ended(),
            NoLine::Cancelled => Failure::Broken("stopped before the checker had judged".to_owned()),
            NoLine::Late => {
                let limit = self.time_limit.as_secs_f64();
                Failure::Late(format!("the checker took longer than {limit} s"))
            }
        })?;
        let reply = match Reply::parse(&line) {
            Ok(reply) => reply,
            Err(_) if line.len() as u64 == MAX_LINE && !line.ends_with(b"\n") => {
                return Err(Failure::Broken(format!(
                    "the checker's reply {}... is longer than {MAX_LINE} bytes: shorten its `reason` and its `answer`",
                    shown(&line)
                )));
            }
            // A reply behind it makes it a line too many.
            Err(error) => {
                return Err(match program.line(SILENCE, cancelled) {
                    Ok(_) => Failure::Shifted(too_many(&line)),
                    Err(_) => {
                        Failure::Broken(format!("the checker's reply {} is no reply: {error}", shown(&line)))
                    }
                });
            }
        };
        match &reply.id {
            Some(id) if is_number(id, self.asked) => Ok(reply),
            Some(_) => Err(Failure::Shifted(too_many(&line))),
            None if self.distrusted => Err(Failure::Broken(
                "the checker has written a line too many before, so its replies must have the `id` of their request"
                    .to_owned(),
            )),
            None => Ok(reply),
        }
    }

    /// Ends the program where that is due, warns, and gives the reason in words.
    fn fail(&mut self, failure: Failure) -> String {
        let reason = match failure {
            Failure::Unusable(reason) => reason,
            Failure::Broken(reason) | Failure::Late(reason) => {
                self.program = None;
                reason
            }
            Failure::Shifted(reason) => {
                self.program = None;
                self.distrusted = true;
                self.shifted = Some(reason.clone());
                reason
            }
            Failure::Ended(reason) => {
                let last = self.program.take().map(Program::last_words).unwrap_or_default();
                format!("{reason}{last}")
            }
        };
        self.warnings.add(reason.clone());
        reason
    }

    /// What was not told yet.
    pub(super) fn take_warnings(&mut self) -> Vec<String> {
        self.warnings.take()
    }
}

/// Whether `id` is the number of a request: languages whose numbers are all floats write 2 as 2.0, and others a text.
fn is_number(id: &Value, asked: u64) -> bool {
    match id {
        Value::Number(id) => id.as_u64() == Some(asked) || id.as_f64() == Some(asked as f64),
        Value::String(id) => *id == asked.to_string(),
        _ => false,
    }
}

/// Takes the judgements in `doubtful` places back.
fn doubt(verdicts: &mut [Verdict], doubtful: &mut Vec<usize>, reason: &str) {
    for place in doubtful.drain(..) {
        verdicts[place] = unverifiable(format!("taken back: {reason}"));
    }
}

fn unverifiable(reason: impl Into<String>) -> Verdict {
    Verdict::new(VerdictKind::Unverifiable, reason, None)
}

fn ended() -> Failure {
    Failure::Ended("the checker ended without a reply".to_owned())
}

fn too_many(line: &[u8]) -> String {
    format!(
        "the checker wrote a line too many, {}: its standard output is for one reply to each request",
        shown(line)
    )
}

/// The beginning of a line, fit for a terminal.
fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line.trim_ascii());
    let begin: String = text.chars().take(80).collect();
    format!("`{}`", begin.escape_debug().to_string().replace("\\\"", "\""))
}
