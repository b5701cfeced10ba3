//! From a training file to token sequences with a mask of what is learnt.

use std::path::Path;

use super::dialogue::Dialogue;
use super::example::{Example, Place, TextEncoder};
use super::record::Record;
use super::turns::{Turns, encode_chat};
use crate::model::tokenizer::Lacking;
use crate::{Error, Result};

/// A training file as token sequences.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dataset {
    /// The sequences in the order of the file.
    pub examples: Vec<Example>,
    /// The line of the file that each of them is from, from 1.
    pub lines: Vec<usize>,
    /// How many were cut at the length limit.
    pub truncated: usize,
    /// How many were left out because nothing to learn was left within the length limit.
    pub dropped: usize,
    /// What became of the turns of conversations.
    pub turns: Turns,
    /// What the vocabulary lacks of the texts.
    pub lacking: Lacking,
    /// The length limit.
    pub max_length: usize,
}

impl Dataset {
    /// Reads a file of JSON lines; see [`Record`] for their forms. Blank lines are allowed. `file` is named in errors.
    ///
    /// - `text`: scored from the second token on, and ended by the end token.
    /// - `prompt` + `completion`: tokenised apart, as in generation, and ended by the end token.
    /// - `messages`: the chat template's text; scored are the assistant's turns up to and with their end token, except those
    ///   of weight 0.
    ///
    /// Sequences longer than `max_length` tokens keep their beginning.
    ///
    /// Errors: [`Error::Input`] with the line's number; [`Error::Usage`] if `max_length` leaves nothing to learn.
    pub fn from_jsonl(
        bytes: &[u8],
        file: &Path,
        encoder: &dyn TextEncoder,
        max_length: usize,
    ) -> Result<Self> {
        if max_length < 2 {
            return Err(Error::usage("max_length", format!("is {max_length}"), "use at least 2 tokens"));
        }
        let mut dataset = Self { max_length, ..Self::default() };
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
            if line.trim_ascii().is_empty() {
                continue;
            }
            let bad = |problem: String| {
                let hint =
                    "each line is an object with `text`, with `prompt` and `completion`, or with `messages`";
                Error::input(file, format!("line {}", index + 1), problem, hint)
            };
            let line = std::str::from_utf8(line).map_err(|_| bad("is not UTF-8".into()))?;
            let record = Record::parse(line).map_err(bad)?;
            let example = dataset.encode(&record, encoder).map_err(bad)?;
            dataset.add(example, index + 1, max_length);
        }
        match (dataset.examples.is_empty(), dataset.dropped) {
            (false, _) => Ok(dataset),
            (true, 0) => Err(Error::input(
                file,
                "line 1",
                "the file has no examples",
                "give at least one line of JSON",
            )),
            (true, dropped) => Err(Error::usage(
                "max_length",
                format!("all {dropped} examples have nothing to learn within {max_length} tokens"),
                "use a larger number",
            )),
        }
    }

    fn add(&mut self, mut example: Example, line: usize, max_length: usize) {
        if example.tokens.len() > max_length {
            example.tokens.truncate(max_length);
            example.scored.truncate(max_length);
            self.truncated += 1;
        }
        match example.scored_tokens() {
            0 => self.dropped += 1,
            _ => {
                self.examples.push(example);
                self.lines.push(line);
            }
        }
    }

    fn encode(&mut self, record: &Record, encoder: &dyn TextEncoder) -> Result<Example, String> {
        let lacking = &mut self.lacking;
        let mut tokens = |text: &str, place| {
            let tokens = encoder.encode(text, place).map_err(|e| e.to_string())?;
            encoder.look(text, &tokens, lacking);
            Ok::<_, String>(tokens)
        };
        let mut example = match record {
            Record::Messages(dialogue) => return self.encode_messages(dialogue, encoder),
            Record::Text(text) => Example::completion(&[], &tokens(text, Place::Start)?),
            Record::Completion { prompt: text, completion } => {
                let prompt = tokens(text, Place::Prompt)?;
                let place = Place::Continuation(prompt.last().copied());
                let example = Example::completion(&prompt, &tokens(completion, place)?);
                // Without a prompt it is a text, whatever begins it.
                let prompt = if text.is_empty() { 0 } else { example.prompt };
                Example { prompt, ..example }
            }
        };
        match encoder.end_token() {
            Some(end) if !example.tokens.last().is_some_and(|&last| encoder.is_end(last)) => {
                example.extend(&[end], true);
            }
            _ => {}
        }
        Ok(example)
    }

    fn encode_messages(&mut self, dialogue: &Dialogue, encoder: &dyn TextEncoder) -> Result<Example, String> {
        let (example, text, turns) = encode_chat(dialogue, encoder)?;
        encoder.look(&text, &example.tokens, &mut self.lacking);
        self.turns += turns;
        Ok(example)
    }

    /// What the user should know of how the file was read, a sentence each. `limit` is what set the length limit, such as
    /// `--max-length`.
    pub fn notes(&self, limit: &str) -> Vec<String> {
        let limit = format!("{limit} ({} tokens)", self.max_length);
        let mut notes = Vec::new();
        let mut note = |count: usize, what: String| {
            if count > 0 {
                notes.push(format!("{count} {what}"));
            }
        };
        note(self.truncated, format!("examples were cut at {limit}"));
        note(self.dropped, format!("examples have nothing to learn within {limit} and were left out"));
        let turns = &self.turns;
        note(turns.unscored, "assistant turns are reworded by the chat template and are context only".into());
        note(
            turns.opening,
            "conversations begin with the assistant; that turn is context only, since the chat template has no header for it".into(),
        );
        note(
            turns.from_header,
            "assistant turns do not begin as the template's generation prompt does, which goes on (such as with <think>); \
             they are learnt from the header on"
                .into(),
        );
        note(
            turns.unended,
            "assistant turns have no token that ends a text where the template ends them, so the model will not learn to stop; \
             set eos_token_id in generation_config.json"
                .into(),
        );
        note(
            turns.without_reasoning,
            "conversations have reasoning that the chat template does not write, so it is not learnt".into(),
        );
        if !self.lacking.is_empty() {
            notes.push(self.lacking.to_string());
        }
        notes
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::model::chat::Conversation;

    const BEGIN: u32 = 1;
    const END: u32 = 2;

    /// One token a character; `^` and `$` are the begin and end tokens.
    #[derive(Default)]
    struct Characters {
        /// Earlier assistant turns lose what stands before `/`.
        forgets_reasoning: bool,
        /// The generation prompt, if not `a:`.
        prompt: Option<&'static str>,
    }

    fn id(character: char) -> u32 {
        match character {
            '^' => BEGIN,
            '$' => END,
            other => other as u32,
        }
    }

    impl TextEncoder for Characters {
        fn encode(&self, text: &str, place: Place) -> Result<Vec<u32>> {
            let begin = matches!(place, Place::Start | Place::Prompt).then_some(BEGIN);
            if text.contains('#') {
                return Err(Error::usage("tokenizer", "cannot encode #", "remove it"));
            }
            Ok(begin.into_iter().chain(text.chars().map(id)).collect())
        }

        fn render(&self, conversation: &Conversation<'_>, add_generation_prompt: bool) -> Result<String> {
            let messages = conversation.messages;
            let mut text = String::from("^");
            for (index, message) in messages.iter().enumerate() {
                let content = match message.text().split_once('/') {
                    Some((_, kept)) if self.forgets_reasoning && index + 1 < messages.len() => kept,
                    _ => message.text(),
                };
                let seen = message.get("seen").and_then(|seen| seen.as_str()).unwrap_or_default();
                text += &format!("{}:{content}{seen}$_", &message.role()[..1]);
            }
            Ok(text + if add_generation_prompt { self.prompt.unwrap_or("a:") } else { "" })
        }

        fn end_token(&self) -> Option<u32> {
            Some(END)
        }
    }

    fn read(lines: &str, max_length: usize) -> Result<Dataset> {
        Dataset::from_jsonl(lines.as_bytes(), Path::new("data.jsonl"), &Characters::default(), max_length)
    }

    /// The tokens as text, and the scored ones with `.` for the others.
    fn show(example: &Example) -> (String, String) {
        let character = |&token: &u32| match token {
            BEGIN => '^',
            END => '$',
            other => char::from_u32(other).unwrap(),
        };
        let text = example.tokens.iter().map(character).collect();
        let scored = example.tokens.iter().zip(&example.scored);
        (text, scored.map(|(token, &scored)| if scored { character(token) } else { '.' }).collect())
    }

    fn shown(line: &str) -> (String, String) {
        show(&read(line, 1000).unwrap().examples[0])
    }

    #[test]
    fn a_text_is_scored_whole_with_its_end() {
        assert_eq!(shown(r#"{"text": "ab"}"#), ("^ab$".into(), ".ab$".into()));
        assert_eq!(shown(r#"{"text": "ab$"}"#), ("^ab$".into(), ".ab$".into()));
    }

    #[test]
    fn only_the_completion_is_scored() {
        assert_eq!(shown(r#"{"prompt": "ab", "completion": "cd"}"#), ("^abcd$".into(), "...cd$".into()));
        assert_eq!(shown(r#"{"prompt": "", "completion": "c"}"#), ("^c$".into(), ".c$".into()));
    }

    #[test]
    fn only_the_assistants_turns_are_scored() {
        let turns = r#"{"role":"user","content":"q"},{"role":"assistant","content":"x"},{"role":"user","content":"r"}"#;
        let two = format!(r#"{{"messages": [{turns}, {{"role":"assistant","content":"y"}}]}}"#);
        assert_eq!(shown(&two), ("^u:q$_a:x$_u:r$_a:y$_".into(), "........x$........y$.".into()));
        let open = format!(r#"{{"messages": [{turns}]}}"#);
        assert_eq!(shown(&open), ("^u:q$_a:x$_u:r$_".into(), "........x$......".into()));
    }

    #[test]
    fn turns_that_the_template_rewrites_are_context_and_counted() {
        let line = r#"{"messages": [{"role":"user","content":"q"},{"role":"assistant","content":"t/x"},
            {"role":"user","content":"r"},{"role":"assistant","content":"t/y"}]}"#
            .replace('\n', " ");
        let encoder = Characters { forgets_reasoning: true, ..Characters::default() };
        let dataset = Dataset::from_jsonl(line.as_bytes(), Path::new("d"), &encoder, 100).unwrap();
        assert_eq!(dataset.turns.unscored, 1);
        let (text, scored) = show(&dataset.examples[0]);
        assert_eq!(text, "^u:q$_a:x$_u:r$_a:t/y$_");
        assert_eq!(scored, "..................t/y$.");
    }

    #[test]
    fn turns_that_begin_otherwise_than_the_generation_prompt_are_learnt_from_their_header_on() {
        let line = r#"{"messages": [{"role":"user","content":"q"},{"role":"assistant","content":"<x>"}]}"#;
        for prompt in ["a:<think>", "a:?"] {
            let encoder = Characters { prompt: Some(prompt), ..Characters::default() };
            let dataset = Dataset::from_jsonl(line.as_bytes(), Path::new("d"), &encoder, 100).unwrap();
            assert_eq!(dataset.turns.from_header, 1);
            assert_eq!(show(&dataset.examples[0]).1, "........<x>$.");
            assert!(dataset.notes("")[0].contains("<think>"), "{:?}", dataset.notes(""));
        }
        // A prompt that has nothing in common with the turn tells of another template.
        let encoder = Characters { prompt: Some("?"), ..Characters::default() };
        let error = Dataset::from_jsonl(line.as_bytes(), Path::new("d"), &encoder, 100).unwrap_err();
        assert!(error.to_string().contains("every assistant turn"), "{error}");
    }

    #[test]
    fn a_conversation_may_begin_with_the_assistant() {
        let line = r#"{"messages": [{"role":"assistant","content":"x"},{"role":"user","content":"r"},
            {"role":"assistant","content":"y"}]}"#
            .replace('\n', " ");
        assert_eq!(shown(&line), ("^a:x$_u:r$_a:y$_".into(), "...x$........y$.".into()));
        // A template without a header, which says nothing where there are no messages.
        let encoder = Characters { prompt: Some(""), ..Characters::default() };
        let dataset = Dataset::from_jsonl(line.as_bytes(), Path::new("d"), &encoder, 100).unwrap();
        assert_eq!(dataset.turns.opening, 1);
        assert_eq!(show(&dataset.examples[0]).1, "...........a:y$.");
        assert!(dataset.notes("")[0].contains("begin with the assistant"), "{:?}", dataset.notes(""));
        let alone = r#"{"messages": [{"role":"assistant","content":"x"}]}"#;
        let error = Dataset::from_jsonl(alone.as_bytes(), Path::new("d"), &encoder, 100).unwrap_err();
        assert!(error.to_string().contains("put a user turn before it"), "{error}");
    }

    #[test]
    fn turns_of_weight_0_are_context() {
        let line =
            r#"{"messages": [{"role":"user","content":"q"},{"role":"assistant","content":"x","weight":0},
            {"role":"user","content":"r"},{"role":"assistant","content":"y","weight":1}]}"#
                .replace('\n', " ");
        assert_eq!(shown(&line).1, "..................y$.");
    }

    #[test]
    fn what_the_template_does_not_write_is_refused() {
        let rest = r#""messages": [{"role":"user","content":"q"},{"role":"assistant","content":"x""#;
        for (line, words) in [
            (format!(r#"{{"tools": [{{"name": "f"}}], {rest}}}]}}"#), "`tools`"),
            (format!(r#"{{"documents": [{{"text": "f"}}], {rest}}}]}}"#), "`documents`"),
            (format!(r#"{{{rest}, "tool_calls": [{{"name": "f"}}]}}]}}"#), "`tool_calls`"),
        ] {
            let error = read(&line, 100).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("line 1"), "{error}");
        }
        for field in [
            r#""loss_mask":[0,1]"#,
            r#""train_detail":[{"begin_offset":0}]"#,
            r#""is_masked":"no""#,
            r#""has_loss_mask":false"#,
            r#""n_loss":0"#,
            r#""train_type":"no""#,
            r#""tool_call":{"name":"f"}"#,
            r#""attachments":["f"]"#,
            r#""context":"c""#,
            r#""thoughts":"t""#,
            r#""reasoning_details":[{"text":"t"}]"#,
            r#""prefix":true"#,
        ] {
            let name = field.split('"').nth(1).unwrap();
            let error = read(&format!(r#"{{{rest}, {field}}}]}}"#), 100).unwrap_err().to_string();
            assert!(error.contains(&format!("`{name}`")) && error.contains("line 1"), "{error}");
        }
        for field in [r#""seen":"y""#, r#""attachments":[]"#, r#""id":7"#, r#""meta":{"loss":0}"#] {
            assert!(read(&format!(r#"{{{rest}, {field}}}]}}"#), 100).is_ok(), "{field}");
        }
        let reasoning = format!(r#"{{{rest}, "reasoning_content": "hm"}}]}}"#);
        assert_eq!(read(&reasoning, 100).unwrap().turns.without_reasoning, 1);
    }

    #[test]
    fn long_examples_keep_their_beginning_and_are_counted() {
        let lines =
            "{\"text\": \"abcdef\"}\n{\"prompt\": \"abcdef\", \"completion\": \"g\"}\n{\"text\": \"a\"}\n";
        let dataset = read(lines, 4).unwrap();
        assert_eq!((dataset.examples.len(), dataset.truncated, dataset.dropped), (2, 2, 1));
        assert_eq!(show(&dataset.examples[0]), ("^abc".into(), ".abc".into()));
        assert_eq!(dataset.notes("the context")[0], "2 examples were cut at the context (4 tokens)");
        assert_eq!(read("{\"prompt\": \"abcd\", \"completion\": \"e\"}", 3).unwrap_err().code(), "usage");
        assert_eq!(read("{\"text\": \"a\"}", 1).unwrap_err().code(), "usage");
    }

    #[test]
    fn errors_name_file_line_and_remedy() {
        let cases = [
            ("", "data.jsonl: line 1: the file has no examples"),
            ("\n \r\n", "line 1: the file has no examples"),
            ("{\"text\": \"a\"}\n\n{\"text\": \"b\"", "data.jsonl: line 3: is not JSON"),
            ("{\"text\": \"a\"}\r\n{\"txt\": \"b\"}", "line 2: has none of"),
            ("{\"text\": \"#\"}", "line 1: tokenizer: cannot encode #"),
        ];
        for (lines, words) in cases {
            let error = read(lines, 100).unwrap_err().to_string();
            assert!(error.contains(words), "{error}, expected `{words}`");
        }
        let latin = Dataset::from_jsonl(b"{\"text\": \"\xe9\"}", Path::new("d"), &Characters::default(), 9);
        assert!(latin.unwrap_err().to_string().contains("d: line 1: is not UTF-8"));
        let marked =
            Dataset::from_jsonl(b"\xef\xbb\xbf{\"text\": \"a\"}", Path::new("d"), &Characters::default(), 9);
        assert_eq!(marked.unwrap().examples.len(), 1);
    }

    #[test]
    fn the_first_token_is_never_scored() {
        let example = Example::completion(&[], &[7, 8]);
        assert_eq!((example.scored.clone(), example.scored_tokens()), (vec![false, true], 1));
        assert_eq!(Example::completion(&[], &[]).scored_tokens(), 0);
    }
}
