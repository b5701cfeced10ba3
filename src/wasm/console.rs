//! Words to the developer of a page.

use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = warn)]
    fn console_warn(text: &str);
}

/// Tells the developer what the caller should know; nothing fails.
pub(super) fn warn(text: &str) {
    console_warn(&format!("stepladder: {text}"));
}
