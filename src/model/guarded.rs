//! Calls into libraries that read what strangers wrote, whose panics become errors where a panic can be caught.

use std::fmt::Display;

/// The result of `work`, or what went wrong in words.
#[cfg(target_arch = "wasm32")]
pub(super) fn guarded<T, E: Display>(work: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    work().map_err(|error| error.to_string())
}

/// The result of `work`, or what went wrong in words.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn guarded<T, E: Display>(work: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    native::silence();
    let before = native::QUIET.replace(true);
    // What `work` changes is thrown away with the tokenizer or template, or is a cache, which holds whole entries only.
    let outcome = catch_unwind(AssertUnwindSafe(work));
    native::QUIET.set(before);
    match outcome {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("an unknown reason");
            Err(format!("the library gave up: {}", text.replace('\n', " ")))
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod native {
    use std::cell::Cell;
    use std::sync::Once;

    thread_local! {
        /// Whether a panic of this thread is caught, and told as an error.
        pub(super) static QUIET: Cell<bool> = const { Cell::new(false) };
    }

    /// Lets panics that are caught here go without the report that the program's hook prints.
    pub(super) fn silence() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let hook = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                if !QUIET.get() {
                    hook(panic);
                }
            }));
        });
    }
}
