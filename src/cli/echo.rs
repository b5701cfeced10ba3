//! What is typed while an answer is written: kept for the next line, and not shown in the middle of the answer.

#[cfg(unix)]
mod terminal {
    use std::sync::Mutex;

    use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

    /// How the terminal was, while it shows nothing.
    static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

    pub(super) fn hide() {
        let terminal = std::io::stdin();
        let (Ok(before), Ok(mut kept)) = (tcgetattr(&terminal), BEFORE.lock()) else { return };
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        if tcsetattr(&terminal, OptionalActions::Now, &silent).is_ok() {
            *kept = Some(before);
        }
    }

    pub(super) fn show() {
        if let Some(before) = BEFORE.lock().ok().and_then(|mut kept| kept.take()) {
            // A terminal that is gone shows nothing anyway.
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &before);
        }
    }
}

#[cfg(not(unix))]
mod terminal {
    pub(super) fn hide() {}
    pub(super) fn show() {}
}

/// Until it is dropped the terminal of standard input does not show what is typed.
#[derive(Debug)]
pub(super) struct Hidden(());

/// Stops showing what is typed.
pub(super) fn hide() -> Hidden {
    terminal::hide();
    Hidden(())
}

/// Shows what is typed again, before the program ends.
pub(super) fn restore() {
    terminal::show();
}

impl Drop for Hidden {
    fn drop(&mut self) {
        terminal::show();
    }
}
