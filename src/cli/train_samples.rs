//! Before and after: a few of the user's own prompts, with the answers of the base model and of the trained one.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use pollster::block_on;
use serde::Serialize;
use stepladder::Result;
use stepladder::model::generate::{Progress, Request, Sampling};
use stepladder::session::Session;
use stepladder::train::data::{Dataset, Record};
use stepladder::train::peft::AdapterFile;
use stepladder::train::sft::Split;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Prompts that are shown.
const COUNT: usize = 3;
/// Most tokens of an answer.
const MAX_TOKENS: usize = 64;
/// Width of a terminal, in columns.
const WIDTH: usize = 80;
/// Most lines of a text.
const MAX_LINES: usize = 4;

/// A prompt of the user's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prompt {
    /// What is asked, as the file has it.
    pub(super) text: String,
    /// Whether it is the user's turn in a conversation.
    pub(super) is_chat: bool,
    held_out: bool,
    /// What the model is given, and what it is to answer.
    tokens: Vec<u32>,
    answer: Vec<u32>,
}

/// A prompt with its answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Sample {
    prompt: String,
    held_out: bool,
    expected: String,
    base: String,
    trained: String,
}

/// The prompts to be shown of a file that was read as `data`: of what is held out first, then of what is learnt. Texts have
/// none.
pub(super) fn choose(bytes: &[u8], data: &Dataset, split: &Split) -> Vec<Prompt> {
    let mut chosen: Vec<Prompt> = Vec::new();
    let sides = [(&split.held_out, true), (&split.learnt, false)];
    for (&index, held_out) in
        sides.into_iter().flat_map(|(side, held_out)| side.iter().map(move |i| (i, held_out)))
    {
        if chosen.len() == COUNT {
            break;
        }
        let example = &data.examples[index];
        let answer = example.answer();
        // What was cut has no whole answer.
        if example.prompt == 0 || answer.is_empty() || example.tokens.len() >= data.max_length {
            continue;
        }
        let (tokens, answer) = (&example.tokens[..answer.start], &example.tokens[answer]);
        // Before a line is looked for: a file may ask the same thing all along.
        if chosen.iter().any(|other| other.tokens == tokens) {
            continue;
        }
        let line = bytes.split(|&byte| byte == b'\n').nth(data.lines[index] - 1).unwrap_or_default();
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        let Some((text, is_chat)) = std::str::from_utf8(line).ok().and_then(asked) else { continue };
        chosen.push(Prompt { text, is_chat, held_out, tokens: tokens.to_vec(), answer: answer.to_vec() });
    }
    chosen
}

/// What the last answer of a line answers.
fn asked(line: &str) -> Option<(String, bool)> {
    match Record::parse(line).ok()? {
        Record::Text(_) => None,
        Record::Completion { prompt, .. } => Some((prompt, false)),
        Record::Messages(dialogue) => {
            let last = dialogue.learnt.iter().rposition(|&learnt| learnt)?;
            let before = dialogue.messages[..last].last()?;
            Some((before.text().to_owned(), true))
        }
    }
}

/// The likeliest answers of the base model and of the trained one.
///
/// # Errors
/// Those of sampling; [`stepladder::Error::Cancelled`].
pub(super) fn answer(session: &Session, adapter: &AdapterFile, prompts: &[Prompt]) -> Result<Vec<Sample>> {
    if prompts.is_empty() {
        return Ok(Vec::new());
    }
    let sampling = Sampling { max_tokens: MAX_TOKENS, temperature: 0.0, ..Sampling::default() };
    let request = |prompt: &Prompt| Request { prompt: prompt.tokens.clone(), samples: 1, sampling, seed: 0 };
    let requests: Vec<Request> = prompts.iter().map(request).collect();
    let opened = session.opened();
    let tokenizer = &opened.language.tokenizer;
    let ask = |adapter: Option<&AdapterFile>| -> Result<Vec<String>> {
        let mut generator = session.generator(adapter, COUNT)?;
        let mut news = |_: Progress<'_>| match opened.cancel.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let completions = block_on(generator.generate(&requests, &mut news))?;
        completions.iter().flatten().map(|completion| tokenizer.decode(&completion.tokens)).collect()
    };
    let (base, trained) = (ask(None)?, ask(Some(adapter))?);
    let samples = prompts.iter().zip(base.into_iter().zip(trained)).map(|(prompt, (base, trained))| {
        let expected = tokenizer.decode(&prompt.answer)?;
        Ok(Sample { prompt: prompt.text.clone(), held_out: prompt.held_out, expected, base, trained })
    });
    samples.collect()
}

/// The samples as text of at most [`WIDTH`] columns.
pub(super) fn words(samples: &[Sample]) -> String {
    let mut text = String::new();
    for sample in samples {
        let origin = if sample.held_out { "held out" } else { "learnt" };
        for (label, body) in [
            (origin, &sample.prompt),
            ("  expected", &sample.expected),
            ("  base", &sample.base),
            ("  trained", &sample.trained),
        ] {
            for (number, line) in wrap(body, WIDTH - INDENT).into_iter().enumerate() {
                let label = if number == 0 { label } else { "" };
                text += &format!("{label:<INDENT$}{line}\n");
            }
        }
    }
    text
}

/// Columns of the labels.
const INDENT: usize = 12;

/// `text` in at most [`MAX_LINES`] lines of at most `width` columns, broken at spaces where there are some. What would move a
/// terminal's cursor, or turn the direction of writing, is shown as a replacement character.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let plain = |c: char| if c.is_control() || turns(c) { char::REPLACEMENT_CHARACTER } else { c };
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split_whitespace() {
        let word: String = word.chars().map(plain).collect();
        if !line.is_empty() && line.width() + 1 + word.width() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        for c in word.chars() {
            if line.width() + c.width().unwrap_or(0) > width {
                lines.push(std::mem::take(&mut line));
            }
            line.push(c);
        }
    }
    lines.push(line);
    if lines.len() > MAX_LINES {
        lines.truncate(MAX_LINES);
        if let Some(last) = lines.last_mut() {
            while last.width() + 1 > width {
                last.pop();
            }
            last.push('…');
        }
    }
    lines
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use stepladder::train::data::Example;

    use super::*;

    #[test]
    fn prompts_are_those_held_out_then_those_learnt() {
        let chat = r#"{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "b?"}, {"role": "assistant", "content": "B"}]}"#;
        let file = format!(
            "\u{feff}{{\"prompt\": \"a?\", \"completion\": \"A\"}}\n\n{chat}\n{{\"text\": \"t\"}}\n{{\"prompt\": \"c?\", \"completion\": \"C\"}}\n"
        );
        let example = |prompt: &[u32], answer: u32| Example::completion(prompt, &[answer]);
        let mut data = Dataset {
            examples: vec![example(&[1, 2], 3), example(&[1, 4], 5), example(&[], 6), example(&[1, 7], 8)],
            lines: vec![1, 3, 4, 5],
            max_length: 9,
            ..Dataset::default()
        };
        let split = |held_out: Vec<usize>| Split {
            learnt: (0..4).filter(|index| !held_out.contains(index)).collect(),
            held_out,
        };
        let texts = |data: &Dataset, split: &Split| -> Vec<(String, bool, bool)> {
            let chosen = choose(file.as_bytes(), data, split);
            chosen.into_iter().map(|prompt| (prompt.text, prompt.is_chat, prompt.held_out)).collect()
        };
        let of = |text: &str, chat: bool, held_out: bool| (text.to_owned(), chat, held_out);
        assert_eq!(
            texts(&data, &split(vec![2, 3])),
            [of("c?", false, true), of("a?", false, false), of("b?", true, false)]
        );
        // The same prompt once, and none that was cut.
        data.examples[3].tokens[1] = 2;
        data.examples[1].tokens.resize(9, 1);
        data.examples[1].scored.resize(9, false);
        assert_eq!(texts(&data, &split(vec![])), [of("a?", false, false)]);
    }

    #[test]
    fn answers_keep_to_eighty_columns_and_to_themselves() {
        let sample = Sample {
            prompt: "Where\n does Mira live? ".repeat(3),
            held_out: true,
            expected: "In Tarn.".into(),
            base: "\u{1b}[2J\rI do not know.".into(),
            trained: "長い".repeat(200),
        };
        let text = words(std::slice::from_ref(&sample));
        assert!(text.lines().all(|line| line.width() <= WIDTH), "{text}");
        assert!(text.starts_with("held out    Where does Mira live? Where"), "{text}");
        assert!(text.contains("\n  expected  In Tarn.\n  base      \u{fffd}[2J I do not know.\n"), "{text}");
        assert_eq!(text.lines().filter(|line| line.contains('長')).count(), MAX_LINES);
        assert!(text.ends_with("…\n"), "{text}");
        assert_eq!(wrap("", 9), [""]);
        assert_eq!(wrap("abcdefghijk lm", 5), ["abcde", "fghij", "k lm"]);
    }
}
