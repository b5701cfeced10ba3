//! Values and errors on their way to JavaScript.

use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::*;

use crate::Error;

/// What an exported function answers.
pub type Answer<T> = std::result::Result<T, Thrown>;

/// An error that is thrown in JavaScript.
#[derive(Debug)]
pub struct Thrown(JsValue);

impl From<Error> for Thrown {
    fn from(error: Error) -> Self {
        let whole = error.to_string();
        let hint = error.hint().unwrap_or_default();
        let message = whole.strip_suffix(&*hint).map_or(&*whole, |rest| rest.trim_end_matches("; "));
        let thrown = js_sys::Error::new(message);
        for (name, text) in [("code", error.code()), ("hint", &*hint)] {
            // Setting a field of a fresh object cannot fail.
            let _ = js_sys::Reflect::set(&thrown, &name.into(), &text.into());
        }
        Self(thrown.into())
    }
}

impl From<Thrown> for JsValue {
    fn from(thrown: Thrown) -> Self {
        thrown.0
    }
}

/// JSON text of a value.
pub(super) fn to_json(value: &impl Serialize) -> Answer<String> {
    Ok(to_text(value)?)
}

/// The same for what may fail otherwise on its way to JavaScript.
pub(super) fn to_text(value: &impl Serialize) -> crate::Result<String> {
    let failed = |error| Error::usage("answer", format!("has no JSON form: {error}"), "report this");
    serde_json::to_string(value).map_err(failed)
}

/// The JSON form of a value; `what` is named in errors.
pub(super) fn to_value(what: &str, value: &impl Serialize) -> crate::Result<serde_json::Value> {
    serde_json::to_value(value).map_err(|error| Error::usage(what, error.to_string(), "use plain values"))
}

/// A value from JSON text; `what` is named in errors.
pub(super) fn from_json<T: DeserializeOwned>(what: &str, text: &str) -> Answer<T> {
    let value = serde_json::from_str(text)
        .map_err(|error| Error::usage(what, error.to_string(), "see the package's types"))?;
    Ok(value)
}

/// What a JavaScript function threw, in words.
pub(super) fn thrown_text(thrown: &JsValue) -> String {
    match thrown.dyn_ref::<js_sys::Error>() {
        Some(error) => String::from(error.message()),
        None => thrown.as_string().unwrap_or_else(|| format!("{thrown:?}")),
    }
}

/// The method `name` of `object`.
pub(super) fn method(object: &JsValue, name: &str) -> crate::Result<js_sys::Function> {
    let found = js_sys::Reflect::get(object, &name.into()).ok();
    found.and_then(|value| value.dyn_into().ok()).ok_or_else(|| {
        Error::usage(name, "is not a function of the object given", "give an object with this method")
    })
}
