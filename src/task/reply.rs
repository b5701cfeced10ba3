//! What a checker that is not ours says of one completion: a verdict, a number, or several named numbers.
//!
//! The fields are those that reward functions elsewhere have: TRL's give a number for each completion, or `None` where they cannot tell;
//! verifiers and mlx-lm-lora weigh several named ones. The command task and tasks in JavaScript read them alike.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::{Verdict, VerdictKind};
use crate::json;

/// Most named rewards of one reply.
const MAX_REWARDS: usize = 32;
/// Longest name of a reward, in bytes.
const MAX_NAME: usize = 64;
/// Largest bound of a range. Beyond, a 32-bit number no longer tells rewards of one group apart.
const MAX_BOUND: f64 = 1e6;

/// The numbers that a task may give.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RewardRange {
    /// The smallest.
    pub low: f64,
    /// The largest.
    pub high: f64,
}

impl Default for RewardRange {
    fn default() -> Self {
        Self { low: 0.0, high: 1.0 }
    }
}

impl RewardRange {
    /// A range from its bounds; `None` if they are not finite, in order and at most a million.
    pub fn new(low: f64, high: f64) -> Option<Self> {
        (low.abs() <= MAX_BOUND && high.abs() <= MAX_BOUND && low < high).then_some(Self { low, high })
    }

    /// Where `value` lies between the bounds, from 0 to 1.
    pub fn share(self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    fn check(self, name: &str, value: f64) -> Result<f64, String> {
        match (self.low..=self.high).contains(&value) {
            true => Ok(value),
            false => Err(format!(
                "the {name} {value} lies outside of the range {} to {}; declare the range that the task gives",
                self.low, self.high
            )),
        }
    }
}

impl std::str::FromStr for RewardRange {
    type Err = ();

    /// Reads `LOW,HIGH`; also `LOW..HIGH`, and in square brackets.
    fn from_str(text: &str) -> Result<Self, ()> {
        let inside = text.trim().trim_start_matches('[').trim_end_matches(']');
        let (low, high) = inside.split_once(',').or_else(|| inside.split_once("..")).ok_or(())?;
        let bound = |text: &str| text.trim().parse::<f64>().map_err(|_| ());
        Self::new(bound(low)?, bound(high)?).ok_or(())
    }
}

/// Most warnings of one checker: a few of each kind tell enough, and a reason may quote an answer.
const MAX_WARNINGS: usize = 16;

/// What there is to tell of a checker, each thing once.
#[derive(Debug, Default)]
pub(crate) struct Warnings {
    waiting: Vec<String>,
    known: Vec<String>,
}

impl Warnings {
    /// Adds a warning that is new.
    pub(crate) fn add(&mut self, warning: String) {
        if self.known.len() < MAX_WARNINGS && !self.known.contains(&warning) {
            self.known.push(warning.clone());
            self.waiting.push(warning);
        }
    }

    /// Warnings that were not taken yet.
    pub(crate) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.waiting)
    }
}

/// A reply as it was written. Every field may be missing, and `null` says of a number that there is none for this completion.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Reply {
    /// What the request was numbered by, if the reply says so.
    #[cfg_attr(target_arch = "wasm32", allow(dead_code, reason = "functions return to their caller"))]
    pub(crate) id: Option<serde_json::Value>,
    verdict: Option<VerdictKind>,
    #[serde(deserialize_with = "given")]
    reward: Option<Option<Number>>,
    rewards: Option<BTreeMap<String, Option<Number>>>,
    reason: Option<String>,
    answer: Option<String>,
    /// Fields that mean nothing here.
    #[serde(flatten)]
    other: BTreeMap<String, serde::de::IgnoredAny>,
}

/// A number; many languages write the outcome of a comparison as `true`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "expected a number")]
enum Number {
    Real(f64),
    Truth(bool),
}

impl From<Number> for f64 {
    fn from(number: Number) -> Self {
        match number {
            Number::Real(value) => value,
            Number::Truth(truth) => f64::from(u8::from(truth)),
        }
    }
}

/// Tells `null` from a field that is not there.
fn given<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<Number>>, D::Error> {
    Option::deserialize(value).map(Some)
}

impl Reply {
    /// A reply from its JSON text; the error says what is wrong with it.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        json::from_slice(text).map_err(|error| {
            let words = String::from_utf8_lossy(&text[..text.len().min(200)]);
            let hint = match words.contains("NaN") || words.contains("Infinity") {
                true => "; JSON has no NaN and no Infinity: a reward that cannot be given is null",
                false => "",
            };
            let what = match serde_json::from_slice::<serde_json::Value>(text) {
                Ok(value) if !value.is_object() => {
                    "it is no object such as {\"verdict\": \"correct\"}".to_owned()
                }
                Ok(_) => match json::key(text, &error) {
                    Some(key) => format!("`{key}`: {}", json::what(&error)),
                    None => json::what(&error),
                },
                Err(_) => error.to_string(),
            };
            format!("{what}{hint}")
        })
    }

    /// Warns of fields that mean nothing: one may be misspelt.
    pub(crate) fn warn_of_unknown_fields(&self, warnings: &mut Warnings) {
        for name in self.other.keys().map(|name| name.escape_debug()) {
            warnings.add(format!("the checker's replies have a field `{name}`, which means nothing here"));
        }
    }

    /// The judgement, with numbers in `range`.
    ///
    /// Without a verdict and without any number that is not `null`, the completion is unverifiable, and so it is where the verdict says so
    /// whatever numbers stand beside it.
    ///
    /// # Errors
    /// The reason, if the reply says nothing, or a number or a name cannot be used.
    pub(crate) fn judge(self, range: RewardRange) -> Result<Verdict, String> {
        let says_nothing = self.verdict.is_none() && self.reward.is_none() && self.rewards.is_none();
        if says_nothing {
            return Err("it has neither `verdict`, `reward` nor `rewards`".to_owned());
        }
        let named = self.rewards.unwrap_or_default();
        if named.len() > MAX_REWARDS {
            return Err(format!("it has {} named rewards; {MAX_REWARDS} can be used", named.len()));
        }
        let mut rewards = BTreeMap::new();
        for (name, value) in named {
            if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
                return Err(format!("`{}` cannot be the name of a reward", name.escape_debug()));
            }
            if let Some(value) = value {
                let value = range.check(&format!("reward `{name}`"), value.into())?;
                rewards.insert(name, value);
            }
        }
        let reward = self.reward.flatten().map(|value| range.check("reward", value.into())).transpose()?;
        let some = reward.is_some() || !rewards.is_empty();
        let kind = match self.verdict {
            None | Some(VerdictKind::Scored) if some => VerdictKind::Scored,
            None | Some(VerdictKind::Scored | VerdictKind::Unverifiable) => VerdictKind::Unverifiable,
            Some(kind) => kind,
        };
        let reason = match (self.reason, kind) {
            (Some(reason), _) => reason,
            (None, VerdictKind::Unverifiable) => "the checker cannot tell".to_owned(),
            (None, _) => String::new(),
        };
        let mut verdict = Verdict::new(kind, reason, self.answer);
        if kind != VerdictKind::Unverifiable {
            (verdict.reward, verdict.rewards) = (reward, rewards);
        }
        Ok(verdict)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_reason_commands_no_terminal() {
        let verdict = judge(r#"{"verdict": "wrong", "reason": "\u001b[31mred\nnext"}"#).unwrap();
        assert_eq!(verdict.reason, r"\u{1b}[31mred next");
    }

    fn judge(text: &str) -> Result<Verdict, String> {
        Reply::parse(text.as_bytes())?.judge(RewardRange::new(-1.0, 2.0).unwrap())
    }

    #[test]
    fn what_is_no_reply_is_told_in_words() {
        for (text, words) in [
            ("1", "it is no object such as {\"verdict\": \"correct\"}"),
            (r#"{"reward": "high"}"#, "`reward`: "),
            (r#"{"reward": NaN}"#, "JSON has no NaN"),
        ] {
            let error = judge(text).unwrap_err();
            assert!(error.contains(words) && !error.contains("struct"), "{text}: {error}");
        }
    }

    #[test]
    fn a_reply_holds_a_verdict_a_number_or_several() {
        let parts = |text: &str| {
            let verdict = judge(text).unwrap();
            let rewards = verdict.rewards.iter().map(|(name, value)| format!("{name} {value}"));
            (verdict.verdict, verdict.reward, rewards.collect::<Vec<_>>().join(", "))
        };
        use VerdictKind::{Correct, Scored, Unverifiable, Wrong};
        for (text, kind, reward, rewards) in [
            (r#"{"verdict": "correct"}"#, Correct, None, ""),
            (r#"{"reward": 0.25}"#, Scored, Some(0.25), ""),
            (r#"{"reward": -1}"#, Scored, Some(-1.0), ""),
            (r#"{"reward": true}"#, Scored, Some(1.0), ""),
            (r#"{"rewards": {"b": 0.5, "a": 2}}"#, Scored, None, "a 2, b 0.5"),
            (r#"{"reward": 1, "rewards": {"a": 0}}"#, Scored, Some(1.0), "a 0"),
            (r#"{"verdict": "wrong", "reward": 0.5, "rewards": {"a": 1}}"#, Wrong, Some(0.5), "a 1"),
            (r#"{"verdict": null, "reward": 0.5, "reason": null}"#, Scored, Some(0.5), ""),
            // What cannot be told is left out, as `None` of TRL's reward functions.
            (r#"{"reward": null}"#, Unverifiable, None, ""),
            (r#"{"rewards": {}}"#, Unverifiable, None, ""),
            (r#"{"rewards": {"a": null}}"#, Unverifiable, None, ""),
            (r#"{"rewards": {"a": null, "b": 1}}"#, Scored, None, "b 1"),
            (r#"{"verdict": "correct", "reward": null}"#, Correct, None, ""),
            (r#"{"verdict": "unverifiable", "reward": 1, "rewards": {"a": 1}}"#, Unverifiable, None, ""),
        ] {
            assert_eq!(parts(text), (kind, reward, rewards.to_owned()), "{text}");
        }
        let verdict = judge(r#"{"reward": 1, "reason": "good", "answer": "4", "score": 7}"#).unwrap();
        assert_eq!((verdict.reason.as_str(), verdict.answer.as_deref()), ("good", Some("4")));
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        let many: Vec<String> = (0..40).map(|i| format!("\"r{i}\": 1")).collect();
        let many = format!("{{\"rewards\": {{{}}}}}", many.join(","));
        for (text, words) in [
            ("what?", "expected value"),
            ("{}", "neither `verdict`"),
            (r#"{"rewrd": 1}"#, "neither `verdict`"),
            (r#"{"verdict": "right"}"#, "unknown variant `right`"),
            (r#"{"reward": "1"}"#, "expected a number"),
            (r#"{"reward": 2.5}"#, "the reward 2.5 lies outside of the range -1 to 2"),
            (r#"{"rewards": {"style": -3}}"#, "the reward `style` -3 lies outside"),
            (r#"{"reward": 1e400}"#, "number out of range"),
            (r#"{"reward": NaN}"#, "JSON has no NaN"),
            (r#"{"rewards": {"": 1}}"#, "cannot be the name"),
            (r#"{"reward": 1, "reward": 2}"#, "has the key `reward` twice"),
            (r#"{"rewards": {"a": 1, "a": 0}}"#, "has the key `a` twice"),
            (&many, "40 named rewards"),
        ] {
            let error = judge(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        let reply = Reply::parse(br#"{"reward": 1, "score": 7}"#).unwrap();
        let mut warnings = Warnings::default();
        reply.warn_of_unknown_fields(&mut warnings);
        reply.warn_of_unknown_fields(&mut warnings);
        let told = warnings.take();
        assert!(told.len() == 1 && told[0].contains("`score`"), "{told:?}");
        assert!(warnings.take().is_empty());
    }

    #[test]
    fn ranges() {
        let range = |text: &str| text.parse::<RewardRange>().ok().map(|range| (range.low, range.high));
        for text in ["-1,2.5", "[-1, 2.5]", "-1..2.5", " -1 , 2.5 "] {
            assert_eq!(range(text), Some((-1.0, 2.5)), "{text}");
        }
        for text in ["", "1", "1,1", "2,1", "0,inf", "nan,1", "0,1e7", "a,b", "0,1,2"] {
            assert_eq!(range(text), None, "{text}");
        }
        let range = RewardRange::new(-1.0, 3.0).unwrap();
        assert_eq!([-1.0, 0.0, 3.0].map(|value| range.share(value)), [0.0, 0.25, 1.0]);
    }
}
