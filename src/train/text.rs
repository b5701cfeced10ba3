//! Training text to tokens, by a model's own tokenizer and chat template.

use super::data::{Place, TextEncoder};
use crate::model::chat::{ChatTemplate, Conversation};
use crate::model::tokenizer::{Lacking, Tokenizer};
use crate::{Error, Result};

/// A model's text side.
#[derive(Debug, Clone, Copy)]
pub struct ModelText<'a> {
    /// The tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// The chat template, if the model has one.
    pub chat: Option<&'a ChatTemplate>,
    /// The tokens that end a text or a turn; the first is the one that is learnt.
    pub ends: &'a [u32],
}

impl TextEncoder for ModelText<'_> {
    fn encode(&self, text: &str, place: Place) -> Result<Vec<u32>> {
        match place {
            Place::Start => self.tokenizer.encode(text, true),
            Place::Prompt => self.tokenizer.encode_prompt(text),
            Place::Rendered => self.tokenizer.encode(text, false),
            Place::Continuation(before) => self.tokenizer.encode_continuation(before, text),
        }
    }

    fn render(&self, conversation: &Conversation<'_>, add_generation_prompt: bool) -> Result<String> {
        let template = self.chat.ok_or_else(|| {
            Error::usage(
                "messages",
                "the model has no chat template to write them with",
                "use lines with `prompt` and `completion`, or an instruction-tuned model",
            )
        })?;
        template.render_texts(conversation, add_generation_prompt)
    }

    fn end_token(&self) -> Option<u32> {
        self.ends.first().copied()
    }

    fn is_end(&self, token: u32) -> bool {
        self.ends.contains(&token)
    }

    fn written(&self, token: u32) -> Option<String> {
        self.tokenizer.written(token)
    }

    fn look(&self, text: &str, tokens: &[u32], lacking: &mut Lacking) {
        lacking.look(self.tokenizer, text, tokens);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::ModelText;
    use crate::model::chat::{ChatTemplate, Message};
    use crate::model::tokenizer::Tokenizer;
    use crate::train::data::{Dataset, Example};

    const BEGIN: u32 = 1;
    const END: u32 = 2;

    /// A SentencePiece BPE as Llama 2 has it: characters and a few merges. `parts` replace those of the `tokenizer.json`.
    fn sentence_piece(parts: Value) -> Tokenizer {
        let characters = "▁\n<|>userasitn[INST]/QAopqrk:".chars().map(String::from);
        let mut tokens: Vec<String> = ["<unk>", "<s>", "</s>"].map(String::from).to_vec();
        for token in characters.chain(["▁a", "▁A", "▁<", "▁[", "]a"].map(String::from)) {
            if !tokens.contains(&token) {
                tokens.push(token);
            }
        }
        let vocab: serde_json::Map<String, Value> =
            tokens.iter().enumerate().map(|(id, token)| (token.clone(), json!(id))).collect();
        let added = |id: u32, content: &str| {
            json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true})
        };
        let mut document = json!({
            "version": "1.0",
            "added_tokens": [added(0, "<unk>"), added(BEGIN, "<s>"), added(END, "</s>")],
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
            "pre_tokenizer": null, "decoder": null,
            "post_processor": {"type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                    {"SpecialToken": {"id": "</s>", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {"<s>": {"id": "<s>", "ids": [BEGIN], "tokens": ["<s>"]},
                    "</s>": {"id": "</s>", "ids": [END], "tokens": ["</s>"]}}},
            "model": {"type": "BPE", "vocab": vocab, "unk_token": "<unk>", "fuse_unk": true,
                "merges": [["▁", "a"], ["▁", "A"], ["▁", "<"], ["▁", "["], ["]", "a"]]},
        });
        for (name, part) in parts.as_object().unwrap() {
            document[name] = part.clone();
        }
        Tokenizer::from_bytes(Path::new("tokenizer.json"), document.to_string().as_bytes()).unwrap()
    }

    fn read(tokenizer: &Tokenizer, chat: Option<&ChatTemplate>, row: &str) -> Example {
        let text = ModelText { tokenizer, chat, ends: &[END] };
        let dataset = Dataset::from_jsonl(row.as_bytes(), Path::new("d"), &text, 1000).unwrap();
        dataset.examples[0].clone()
    }

    /// The scored tokens as written in the vocabulary.
    fn scored(tokenizer: &Tokenizer, example: &Example) -> String {
        let scored = example.tokens.iter().zip(&example.scored).filter(|(_, scored)| **scored);
        scored.map(|(&token, _)| tokenizer.token(token).unwrap()).collect::<Vec<_>>().join(" ")
    }

    const ZEPHYR: &str = "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content + eos_token }}\n{% endfor %}\
        {% if add_generation_prompt %}<|assistant|>\n{% endif %}";
    const MISTRAL: &str = "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]\
        {% else %}{{ m.content }}{{ eos_token }}{% endif %}{% endfor %}";
    const SPECIAL: &str = "{% for m in messages %}{{ bos_token }}{{ m.content }}{{ eos_token }}{% endfor %}\
        {% if add_generation_prompt %}{{ bos_token }}{% endif %}";
    const TURNS: [(&str, &str); 4] =
        [("user", "q one"), ("assistant", "pa two"), ("user", "and so"), ("assistant", "po is")];

    /// A conversation has the tokens that its text has: those that chat and transformers give the model.
    #[test]
    fn turns_have_the_tokens_of_the_whole_text() {
        let messages = TURNS.map(|(role, content)| Message::new(role, content));
        let row =
            json!({ "messages": TURNS.map(|(role, content)| json!({"role": role, "content": content})) });
        let metaspace = |scheme: &str| {
            json!({"normalizer": null, "pre_tokenizer":
                {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": false}})
        };
        let replace = json!({"normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}});
        for parts in [json!({}), metaspace("always"), metaspace("first"), replace] {
            let tokenizer = sentence_piece(parts.clone());
            for (text, special) in [(ZEPHYR, false), (MISTRAL, false), (SPECIAL, true)] {
                let chat = ChatTemplate::new(Path::new("t"), text, "<s>", "</s>", 0);
                let example = read(&tokenizer, Some(&chat), &row.to_string());
                let whole = tokenizer.encode(&chat.render(&messages, false).unwrap(), false).unwrap();
                assert_eq!(example.tokens, whole, "{parts} {text}");
                // A special token before the answer has a space after it, where the tokenizer puts one there.
                let spaced = special && (parts == json!({}) || parts == metaspace("always"));
                let space = if spaced { "▁ " } else { "" };
                let want = format!("{space}p a ▁ t <unk> o </s> {space}p o ▁ i s </s>");
                assert_eq!(scored(&tokenizer, &example), want, "{parts} {text}");
            }
        }
    }

    /// Where a token would reach over the beginning of an answer, both sides are as in generation.
    #[test]
    fn an_answer_begins_with_a_token_of_its_own() {
        let tokenizer = sentence_piece(json!({}));
        let chat = ChatTemplate::new(Path::new("t"), MISTRAL, "<s>", "</s>", 0);
        let row =
            r#"{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "as"}]}"#;
        assert_eq!(scored(&tokenizer, &read(&tokenizer, Some(&chat), row)), "a s </s>");
    }

    /// A token that the tokenizer puts behind a text does not come between prompt and completion.
    #[test]
    fn completions_go_on_where_prompts_end() {
        let tokenizer = sentence_piece(json!({}));
        let show = |row: &str| {
            let example = read(&tokenizer, None, row);
            let tokens = example.tokens.iter().map(|&token| tokenizer.token(token).unwrap());
            (tokens.collect::<Vec<_>>().join(" "), scored(&tokenizer, &example))
        };
        let pair = |tokens: &str, scored: &str| (tokens.to_string(), scored.to_string());
        assert_eq!(show(r#"{"prompt": "ap", "completion": "as"}"#), pair("<s> ▁a p a s </s>", "a s </s>"));
        assert_eq!(show(r#"{"prompt": "", "completion": "as"}"#), pair("<s> ▁a s </s>", "▁a s </s>"));
        assert_eq!(
            show(r#"{"prompt": "p</s>", "completion": "a"}"#),
            pair("<s> ▁ p </s> ▁a </s>", "▁a </s>")
        );
        assert_eq!(
            show(r#"{"prompt": "p", "completion": "a</s>a"}"#),
            pair("<s> ▁ p a </s> ▁a </s>", "a </s> ▁a </s>")
        );
        assert_eq!(show(r#"{"text": "ap"}"#), pair("<s> ▁a p </s>", "▁a p </s>"));
    }
}
