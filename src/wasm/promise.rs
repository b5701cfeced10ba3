//! What a JavaScript function answers, at once or by a promise, with a time limit.

use js_sys::{Array, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use super::convert::method;

/// An answer that is there, or is waited for since it was asked for.
pub(super) enum Awaited {
    /// The function returned it, or threw it.
    There(Result<JsValue, JsValue>),
    /// The function returned a promise, which runs against a timer.
    Promised(JsFuture, Timer),
}

impl Awaited {
    /// Takes what a function returned or threw; of a promise at most `seconds` are waited for, from now on.
    pub(super) fn new(answered: Result<JsValue, JsValue>, seconds: f64) -> Self {
        match &answered {
            Ok(value) if value.is_object() && method(value, "then").is_ok() => {
                let (timer, late) = Timer::start(seconds);
                let race = Promise::race(&Array::of2(&Promise::resolve(value), &late));
                Self::Promised(JsFuture::from(race), timer)
            }
            _ => Self::There(answered),
        }
    }

    /// The value, or what was thrown instead.
    pub(super) async fn value(self) -> Result<JsValue, JsValue> {
        match self {
            Self::There(answered) => answered,
            Self::Promised(race, timer) => {
                let answered = race.await;
                drop(timer);
                answered
            }
        }
    }
}

/// Longest time that `setTimeout` takes, in milliseconds; what is longer it takes for none.
const MAX_TIMEOUT: f64 = 2_147_483_647.0;

/// A timer of the event loop, which does not keep a program alive once it is dropped.
pub(super) struct Timer(JsValue);

impl Timer {
    /// A timer and a promise that it rejects after `seconds`.
    fn start(seconds: f64) -> (Self, Promise) {
        let global = JsValue::from(js_sys::global());
        let mut id = JsValue::UNDEFINED;
        let late = Promise::new(&mut |_, reject| {
            let reason = format!("no answer within {seconds} s");
            let milliseconds = (seconds * 1000.0).min(MAX_TIMEOUT);
            let started = method(&global, "setTimeout")
                .ok()
                .and_then(|set| set.call3(&global, &reject, &milliseconds.into(), &reason.into()).ok());
            id = started.unwrap_or_default();
        });
        (Self(id), late)
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let global = JsValue::from(js_sys::global());
        if let Ok(clear) = method(&global, "clearTimeout") {
            // A timer that has run is cleared without effect.
            let _ = clear.call1(&global, &self.0);
        }
    }
}
