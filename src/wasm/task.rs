//! A task whose methods are JavaScript's, and the choice between it and the built-in ones.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use js_sys::{Array, Function, JSON, Object, Reflect};
use send_wrapper::SendWrapper;
use wasm_bindgen::prelude::*;

use super::convert::{method, thrown_text};
use super::promise::Awaited;
use crate::task::{
    self, Attempt, Judging, Parameter, Problem, PromptStyle, Reply, RewardRange, Task, TaskOptions,
    VariantKind, VariantRequest, Verdict, VerdictKind, Warnings,
};
use crate::{Error, Result};

/// Longest text taken from JavaScript as one variant.
const MAX_VARIANT_BYTES: usize = 16 << 10;
/// Answers that `verify` is asked about before the first of its promises is waited for.
const AT_ONCE: usize = 16;
/// Seconds for one answer, where the task does not say.
const TIME_LIMIT: f64 = 10.0;

/// The task that `object` is, or without one the built-in task `name`.
pub(super) fn choose(name: &str, options: &TaskOptions, object: &JsValue) -> Result<Box<dyn Task>> {
    match object.is_object() {
        true => Ok(Box::new(JsTask::new(object)?)),
        false => task::create(name, options),
    }
}

/// An object with `name`, `prompt` and `verify` or `verifyBatch`, and what else of `CustomTask` (`web/src/types.ts`) it has.
struct JsTask {
    name: &'static str,
    range: RewardRange,
    /// Seconds for one answer.
    time_limit: f64,
    warnings: Mutex<Warnings>,
    /// By kind: easier, equivalent, harder.
    transformations: [&'static [&'static str]; 3],
    /// JavaScript's values live on the thread that made them, which is the only one.
    js: SendWrapper<Methods>,
}

struct Methods {
    object: JsValue,
    prompt: Function,
    verify: Option<Function>,
    verify_batch: Option<Function>,
    variant_prompt: Option<Function>,
    parse_variants: Option<Function>,
    canonical: Option<Function>,
}

impl JsTask {
    fn new(object: &JsValue) -> Result<Self> {
        let optional = |name: &str| method(object, name).ok();
        let field = |object: &JsValue, name: &str| Reflect::get(object, &name.into()).unwrap_or_default();
        let name = field(object, "name").as_string().unwrap_or_else(|| "custom".to_owned());
        let library = field(object, "transformations");
        let transformations = ["easier", "equivalent", "harder"].map(|kind| {
            let list = field(&library, kind);
            let texts = list.dyn_ref::<Array>().map(|list| list.iter().filter_map(|text| text.as_string()));
            // A task lives as long as the page; its few texts are never freed so that they can be `'static`.
            let texts = texts.into_iter().flatten().map(|text| &*Box::leak(text.into_boxed_str()));
            &*Box::leak(texts.collect::<Vec<&'static str>>().into_boxed_slice())
        });
        let verify_batch = optional("verifyBatch");
        let js = Methods {
            prompt: method(object, "prompt")?,
            // One of the two is enough.
            verify: match verify_batch {
                Some(_) => optional("verify"),
                None => Some(method(object, "verify")?),
            },
            verify_batch,
            variant_prompt: optional("variantPrompt"),
            parse_variants: optional("parseVariants"),
            canonical: optional("canonical"),
            object: object.clone(),
        };
        let range = reward_range(&field(object, "rewardRange"))?;
        let time_limit = time_limit(&field(object, "timeLimit"))?;
        let name = Box::leak(name.into_boxed_str());
        let warnings = Mutex::default();
        Ok(Self { name, range, time_limit, warnings, transformations, js: SendWrapper::new(js) })
    }

    /// What `verify` says of an attempt, at once or by a promise.
    fn ask(&self, verify: &Function, attempt: &Attempt<'_>) -> Result<JsValue, JsValue> {
        verify.call2(&self.js.object, &problem_object(attempt.problem), &attempt.completion.into())
    }

    /// What `verifyBatch` says of all attempts, at once or by a promise.
    fn ask_batch(&self, batch: &Function, attempts: &[Attempt<'_>]) -> Result<JsValue, JsValue> {
        let items = Array::new();
        for attempt in attempts {
            let item = Object::new();
            let fields =
                [("problem", problem_object(attempt.problem)), ("completion", attempt.completion.into())];
            for (name, value) in fields {
                Reflect::set(&item, &name.into(), &value)?;
            }
            items.push(&item);
        }
        batch.call1(&self.js.object, &items)
    }

    /// One judgement for each of `count` attempts from what `verifyBatch` answered.
    fn judgements(&self, answered: Result<JsValue, JsValue>, count: usize) -> Vec<Verdict> {
        let reason = match answered {
            Err(thrown) => failed("verifyBatch", &thrown),
            Ok(list) => match list.dyn_ref::<Array>().filter(|list| list.length() as usize == count) {
                Some(list) => return list.iter().map(|value| self.judgement(Ok(value))).collect(),
                None => format!("the task's verifyBatch answered no list of {count} judgements"),
            },
        };
        self.warn(|warnings| warnings.add(reason.clone()));
        vec![unverifiable(reason); count]
    }

    async fn judge(&self, attempts: &[Attempt<'_>], cancelled: &AtomicBool) -> Vec<Verdict> {
        if let Some(batch) = &self.js.verify_batch {
            let limit = self.time_limit * attempts.len() as f64;
            let answered = Awaited::new(self.ask_batch(batch, attempts), limit).value().await;
            return self.judgements(answered, attempts.len());
        }
        let Some(verify) = &self.js.verify else { return Vec::new() };
        let mut verdicts = Vec::with_capacity(attempts.len());
        for some in attempts.chunks(AT_ONCE) {
            // What is missing at the end is unverifiable, and nobody looks at it.
            if cancelled.load(Ordering::Relaxed) {
                break;
            }
            let asked = some.iter().map(|attempt| Awaited::new(self.ask(verify, attempt), self.time_limit));
            for answer in asked.collect::<Vec<_>>() {
                verdicts.push(self.judgement(answer.value().await));
            }
        }
        verdicts
    }

    /// The judgement that was answered; what is none becomes a warning too.
    fn judgement(&self, answered: Result<JsValue, JsValue>) -> Verdict {
        let judged = match answered {
            Ok(value) => self.verdict(&value),
            Err(thrown) => Err(failed("verify", &thrown)),
        };
        judged.unwrap_or_else(|reason| {
            self.warn(|warnings| warnings.add(reason.clone()));
            unverifiable(reason)
        })
    }

    /// A verdict from what `verify` answered: a boolean, a number, nothing, or an object with the fields of a reply
    /// (`src/task/reply.rs`).
    fn verdict(&self, value: &JsValue) -> Result<Verdict, String> {
        let text = match (value.as_bool(), value.as_f64()) {
            (Some(true), _) => return Ok(Verdict::new(VerdictKind::Correct, "accepted by the task", None)),
            (Some(false), _) => return Ok(Verdict::new(VerdictKind::Wrong, "refused by the task", None)),
            (None, Some(reward)) if reward.is_finite() => format!("{{\"reward\":{reward}}}"),
            (None, Some(reward)) => return Err(format!("the task's reward is {reward}")),
            _ if value.is_null() || value.is_undefined() => {
                return Ok(unverifiable("the task gave no judgement"));
            }
            _ => JSON::stringify(value).ok().and_then(|text| text.as_string()).unwrap_or_default(),
        };
        let judged = Reply::parse(text.as_bytes()).and_then(|reply| {
            self.warn(|warnings| reply.warn_of_unknown_fields(warnings));
            reply.judge(self.range)
        });
        judged.map_err(|error| format!("the task's verify answered no judgement: {error}"))
    }

    fn warn(&self, warn: impl FnOnce(&mut Warnings)) {
        warn(&mut self.warnings.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The numbers that the task gives, from `[low, high]`.
fn reward_range(value: &JsValue) -> Result<RewardRange> {
    if value.is_undefined() {
        return Ok(RewardRange::default());
    }
    let bounds: Option<Vec<f64>> =
        value.dyn_ref::<Array>().and_then(|list| list.iter().map(|bound| bound.as_f64()).collect());
    let range = match bounds.as_deref() {
        Some(&[low, high]) => RewardRange::new(low, high),
        _ => None,
    };
    let hint = "give [low, high], two finite numbers in order, such as [0, 1]";
    range.ok_or_else(|| Error::usage("rewardRange", "is no range of numbers", hint))
}

fn time_limit(value: &JsValue) -> Result<f64> {
    let seconds = if value.is_undefined() { Some(TIME_LIMIT) } else { value.as_f64() };
    let usable = seconds.filter(|seconds| (0.001..=86_400.0).contains(seconds));
    usable.ok_or_else(|| {
        Error::usage("timeLimit", "is no time", "give seconds for one answer, from 0.001 to 86400")
    })
}

fn problem_object(problem: &Problem) -> JsValue {
    serde_json::to_string(problem).ok().and_then(|text| JSON::parse(&text).ok()).unwrap_or_default()
}

fn failed(method: &str, thrown: &JsValue) -> String {
    format!("the task's {method} failed: {}", thrown_text(thrown))
}

fn unverifiable(reason: impl Into<String>) -> Verdict {
    Verdict::new(VerdictKind::Unverifiable, reason, None)
}

impl Task for JsTask {
    fn name(&self) -> &'static str {
        self.name
    }

    fn parameters(&self) -> &'static [Parameter] {
        &[]
    }

    fn prompt(&self, problem: &str, _style: PromptStyle) -> String {
        let text = self.js.prompt.call1(&self.js.object, &problem.into());
        // A prompt that cannot be made is the problem itself: the verdicts will tell.
        text.ok().and_then(|text| text.as_string()).unwrap_or_else(|| problem.to_owned())
    }

    fn variant_prompt(&self, problem: &str, request: &VariantRequest, style: PromptStyle) -> String {
        let asked = serde_json::to_string(request).ok().and_then(|text| JSON::parse(&text).ok());
        let made = self.js.variant_prompt.as_ref().zip(asked).and_then(|(function, asked)| {
            function.call2(&self.js.object, &problem.into(), &asked).ok()?.as_string()
        });
        made.unwrap_or_else(|| self.prompt(problem, style))
    }

    fn transformations(&self, kind: VariantKind) -> &'static [&'static str] {
        // Variants need all three: a way to ask for them, to read them, and to know them again.
        if self.js.variant_prompt.is_none() || self.js.parse_variants.is_none() {
            return &[];
        }
        self.transformations[kind as usize]
    }

    fn parse_variants(&self, completion: &str) -> Vec<String> {
        let Some(function) = &self.js.parse_variants else { return Vec::new() };
        let list = function.call1(&self.js.object, &completion.into()).ok();
        let list = list.as_ref().and_then(|list| list.dyn_ref::<Array>());
        let texts = list.into_iter().flat_map(|list| list.iter()).filter_map(|text| text.as_string());
        texts.filter(|text| text.len() <= MAX_VARIANT_BYTES).collect()
    }

    fn canonical(&self, problem: &str) -> std::result::Result<String, String> {
        let Some(function) = &self.js.canonical else { return Ok(problem.trim().to_owned()) };
        let form = function.call1(&self.js.object, &problem.into()).map_err(|thrown| thrown_text(&thrown))?;
        form.as_string().ok_or_else(|| "the task's canonical form is not a text".to_owned())
    }

    fn is_restatement(&self, parent: &str, variant: &str) -> bool {
        self.canonical(parent).is_ok_and(|one| self.canonical(variant).is_ok_and(|other| one == other))
    }

    /// A judgement by a promise cannot be waited for here: it is unverifiable.
    fn verify(&self, problem: &Problem, completion: &str) -> Verdict {
        let attempt = Attempt { problem, completion };
        match (&self.js.verify, &self.js.verify_batch) {
            (Some(verify), _) => self.judgement(self.ask(verify, &attempt)),
            (None, Some(batch)) => {
                let judged = self.judgements(self.ask_batch(batch, &[attempt]), 1).pop();
                judged.unwrap_or_else(|| unverifiable("the task gave no judgement"))
            }
            (None, None) => unverifiable("the task has no verify"),
        }
    }

    fn verify_all<'a>(&'a self, attempts: &'a [Attempt<'a>], cancelled: &'a AtomicBool) -> Judging<'a> {
        Box::pin(self.judge(attempts, cancelled))
    }

    fn reward_range(&self) -> RewardRange {
        self.range
    }

    fn take_warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
