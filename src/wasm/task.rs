//! A task whose methods are JavaScript's, and the choice between it and the built-in ones.

use js_sys::{Array, Function, JSON, Reflect};
use send_wrapper::SendWrapper;
use wasm_bindgen::prelude::*;

use super::convert::{method, thrown_text};
use crate::task::{
    self, Parameter, Problem, PromptStyle, Task, TaskOptions, VariantKind, VariantRequest, Verdict,
    VerdictKind,
};
use crate::{Error, Result};

/// Longest text taken from JavaScript as one variant.
const MAX_VARIANT_BYTES: usize = 16 << 10;

/// The task that `object` is, or without one the built-in task `name`.
pub(super) fn choose(name: &str, options: &TaskOptions, object: &JsValue) -> Result<Box<dyn Task>> {
    match object.is_object() {
        true => Ok(Box::new(JsTask::new(object)?)),
        false => task::create(name, options),
    }
}

/// An object with `name`, `prompt` and `verify`, and what else of `CustomTask` (`web/src/types.ts`) it has.
struct JsTask {
    name: &'static str,
    /// By kind: easier, equivalent, harder.
    transformations: [&'static [&'static str]; 3],
    /// JavaScript's values live on the thread that made them, which is the only one.
    js: SendWrapper<Methods>,
}

struct Methods {
    object: JsValue,
    prompt: Function,
    verify: Function,
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
        let js = Methods {
            prompt: method(object, "prompt")?,
            verify: method(object, "verify")?,
            variant_prompt: optional("variantPrompt"),
            parse_variants: optional("parseVariants"),
            canonical: optional("canonical"),
            object: object.clone(),
        };
        Ok(Self { name: Box::leak(name.into_boxed_str()), transformations, js: SendWrapper::new(js) })
    }
}

/// A verdict from what `verify` returned: a boolean, or an object in the form of [`Verdict`].
fn verdict(value: &JsValue) -> Verdict {
    let made = |verdict, reason: &str| Verdict { verdict, reason: reason.to_owned(), answer: None };
    match value.as_bool() {
        Some(true) => made(VerdictKind::Correct, "accepted by the task"),
        Some(false) => made(VerdictKind::Wrong, "refused by the task"),
        None => {
            let text = JSON::stringify(value).ok().and_then(|text| text.as_string()).unwrap_or_default();
            serde_json::from_str(&text).unwrap_or_else(|error| {
                made(VerdictKind::Unverifiable, &format!("the task's verify answered no verdict: {error}"))
            })
        }
    }
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

    fn verify(&self, problem: &Problem, completion: &str) -> Verdict {
        let asked =
            serde_json::to_string(problem).ok().and_then(|text| JSON::parse(&text).ok()).unwrap_or_default();
        match self.js.verify.call2(&self.js.object, &asked, &completion.into()) {
            Ok(value) => verdict(&value),
            Err(thrown) => Verdict {
                verdict: VerdictKind::Unverifiable,
                reason: format!("the task's verify failed: {}", thrown_text(&thrown)),
                answer: None,
            },
        }
    }
}

/// A task given by name must be there; errors name the option of the package.
pub(super) fn check_problems(problems: &[Problem]) -> Result<()> {
    match problems.is_empty() {
        true => Err(Error::usage("problems", "there are none", "give at least one problem of the task")),
        false => Ok(()),
    }
}
