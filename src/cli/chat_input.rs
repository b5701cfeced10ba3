//! What is typed in a chat: lines of a terminal, with editing and history, or lines of a file; and which of them are commands.

use std::io::{BufRead, IsTerminal};

use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Config, Editor};
use stepladder::{Error, Result};

use super::context::Context;
use super::signals::say;

/// Encloses a message of several lines.
const FENCE: &str = "\"\"\"";

/// What `/help` says.
pub(super) const HELP: &str = "\
/help               this
/reset              forget the conversation (or /clear)
/system TEXT        tell the model this first, and begin anew; without a text, nothing
/temperature X      spread of the choice from here on; 0 always takes the likeliest
/save FILE          write the conversation, a line of JSON as `train` takes it
/exit               end the chat (or Ctrl-D)
\"\"\"                 begins and ends a message of several lines; \\ at its end continues a line
Ctrl-C              stops an answer";

/// A line that a person, or a file, sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// To the model.
    Message(String),
    Help,
    Reset,
    System(String),
    Temperature(String),
    Save(String),
    Exit,
    /// None of these.
    Unknown(String),
}

impl Said {
    /// Reads a line: a command is one word behind a `/`, with what follows it.
    pub(super) fn of(line: &str) -> Self {
        let text = line.trim();
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let rest = rest.trim().to_owned();
        match word.strip_prefix('/') {
            Some("help" | "?") => Self::Help,
            Some("reset" | "clear") => Self::Reset,
            Some("system") => Self::System(rest),
            Some("temperature") => Self::Temperature(rest),
            Some("save") => Self::Save(rest),
            Some("exit" | "quit" | "bye") => Self::Exit,
            // A path or a pattern is something that people ask about.
            Some(name) if !name.is_empty() && name.chars().all(|sign| sign.is_ascii_lowercase()) => {
                Self::Unknown(word.to_owned())
            }
            _ => Self::Message(text.to_owned()),
        }
    }
}

/// Where lines come from.
pub(super) enum Input {
    /// A person at a terminal.
    Terminal(Box<Editor<(), MemHistory>>),
    /// A file, a pipe, or a program that reads JSON.
    Lines,
}

impl Input {
    /// The lines of standard input.
    pub(super) fn new(context: &Context) -> Result<Self> {
        let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal() && !context.json;
        if !is_terminal {
            return Ok(Self::Lines);
        }
        let config = Config::builder().auto_add_history(false).build();
        let history = MemHistory::with_config(&config);
        let editor = Editor::with_history(config, history).map_err(unread)?;
        Ok(Self::Terminal(Box::new(editor)))
    }

    /// Whether a person is asked.
    pub(super) fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal(_))
    }

    /// What is said next; `None` at the end. Ctrl-C ends the program here where lines are not edited: nothing is under way.
    pub(super) fn read(&mut self, context: &Context) -> Result<Option<Said>> {
        match self {
            Self::Lines => {
                let mut line = String::new();
                let read = context.idle(|| std::io::stdin().lock().read_line(&mut line));
                let count = read.map_err(|error| Error::read("standard input", error))?;
                Ok((count > 0).then(|| Said::of(&line)))
            }
            Self::Terminal(editor) => context.idle(|| message(editor)),
        }
    }
}

/// A message, a command, or the end.
fn message(editor: &mut Editor<(), MemHistory>) -> Result<Option<Said>> {
    let (mut text, mut fenced) = (String::new(), false);
    loop {
        let prompt = if text.is_empty() && !fenced { "> " } else { "... " };
        let line = match editor.readline(prompt) {
            Ok(line) => line,
            Err(ReadlineError::Eof) => return Ok(None),
            Err(ReadlineError::Interrupted) => {
                say("/exit or Ctrl-D ends the chat");
                (text, fenced) = (String::new(), false);
                continue;
            }
            // What was said stays: a line that cannot be read is not the end of it.
            Err(ReadlineError::Io(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
                say("that line is not UTF-8 and was not read");
                (text, fenced) = (String::new(), false);
                continue;
            }
            Err(error) => return Err(unread(error)),
        };
        // History is for comfort: what it does not take is not repeated.
        let _ = editor.add_history_entry(line.as_str());
        if !take(&mut text, &mut fenced, &line) {
            continue;
        }
        return Ok(Some(match text.contains('\n') {
            // Several lines are a message, whatever they begin with.
            true => Said::Message(text.trim().to_owned()),
            false => Said::of(&text),
        }));
    }
}

/// Adds a line to a text; whether the text is whole.
fn take(text: &mut String, fenced: &mut bool, line: &str) -> bool {
    let mut line = line;
    let begins = !*fenced && text.is_empty();
    if begins && let Some(rest) = line.trim_start().strip_prefix(FENCE) {
        (*fenced, line) = (true, rest);
    }
    if *fenced {
        let ended = line.trim_end().strip_suffix(FENCE);
        text.push_str(ended.unwrap_or(line));
        // A fence is a message of its own: never a command.
        text.push('\n');
        *fenced = ended.is_none();
        return ended.is_some();
    }
    match line.strip_suffix('\\') {
        Some(line) => {
            text.push_str(line);
            text.push('\n');
            false
        }
        None => {
            text.push_str(line);
            true
        }
    }
}

fn unread(error: ReadlineError) -> Error {
    Error::read("standard input", std::io::Error::other(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_from_messages() {
        for (line, said) in [
            ("/help", Said::Help),
            (" /clear \n", Said::Reset),
            ("/system be brief", Said::System("be brief".into())),
            ("/temperature 0.5", Said::Temperature("0.5".into())),
            ("/save a b.jsonl", Said::Save("a b.jsonl".into())),
            ("/bye", Said::Exit),
            ("/sytem x", Said::Unknown("/sytem".into())),
            ("/etc/passwd is what?", Said::Message("/etc/passwd is what?".into())),
            ("/", Said::Message("/".into())),
            ("say /help", Said::Message("say /help".into())),
            ("", Said::Message(String::new())),
        ] {
            assert_eq!(Said::of(line), said, "{line}");
        }
    }

    #[test]
    fn a_message_may_have_several_lines() {
        for (lines, whole) in [
            (vec!["one"], "one"),
            (vec!["one\\", "two"], "one\ntwo"),
            (vec!["\"\"\"one", "", "/help", "two\"\"\""], "one\n\n/help\ntwo\n"),
            (vec!["\"\"\"one\"\"\""], "one\n"),
            (vec!["\"\"\"", "a\\", "\"\"\""], "\na\\\n\n"),
        ] {
            let (mut text, mut fenced) = (String::new(), false);
            let ends: Vec<bool> = lines.iter().map(|line| take(&mut text, &mut fenced, line)).collect();
            assert_eq!(text, whole);
            assert!(ends[..ends.len() - 1].iter().all(|end| !end) && ends[ends.len() - 1], "{lines:?}");
        }
    }
}
