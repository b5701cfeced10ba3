//! A tag of a template in pieces: words, texts and signs.

/// Length of a sign and digits behind `1e`, which belong to the number.
fn exponent_length(text: &str, end: usize) -> usize {
    let number = text.starts_with(|c: char| c.is_ascii_digit()) && text[..end].ends_with(['e', 'E']);
    let digits = text[end..].strip_prefix(['-', '+']).filter(|_| number);
    let digits = digits.map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    if digits > 0 { digits + 1 } else { 0 }
}

/// What a piece of a tag is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Word,
    Text,
    Sign,
}

/// A piece of a tag: its kind and where it is in the tag.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// `{{ … }}` or `{% … %}` in pieces.
pub(super) struct Tag<'a> {
    pub(super) text: &'a str,
    pub(super) block: bool,
    /// The pieces between the marks at both ends.
    pub(super) tokens: Vec<Token>,
    pub(super) operators: usize,
}

/// Words after which an opening bracket begins a value of its own.
const OPERATOR_WORDS: [&str; 14] =
    ["and", "or", "not", "in", "is", "if", "else", "elif", "set", "with", "do", "for", "call", "recursive"];

impl<'a> Tag<'a> {
    /// Reads the tag that `text` begins with; `None` if it does not end.
    pub(super) fn read(text: &'a str, block: bool) -> Option<Self> {
        let close = if block { "%}" } else { "}}" };
        let bytes = text.as_bytes();
        let mut tag = Self { text, block, tokens: Vec::new(), operators: 0 };
        let mut at = 2 + usize::from(matches!(bytes.get(2), Some(b'-' | b'+')));
        let mut depth = 0usize;
        while at < bytes.len() {
            let rest = &text[at..];
            let signed = usize::from(matches!(bytes[at], b'-' | b'+'));
            if depth == 0 && rest[signed..].starts_with(close) {
                tag.text = &text[..at + signed + close.len()];
                return Some(tag);
            }
            let (kind, length) = match bytes[at] {
                byte if byte.is_ascii_whitespace() => {
                    at += 1;
                    continue;
                }
                quote @ (b'"' | b'\'') => (Kind::Text, quoted_length(rest, quote)?),
                b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | 0x80.. => {
                    let word = |c: char| c.is_alphanumeric() || c == '_' || !c.is_ascii();
                    let end = rest.find(|c| !word(c)).unwrap_or(rest.len());
                    (Kind::Word, end + exponent_length(rest, end))
                }
                sign => {
                    match sign {
                        b'(' | b'[' | b'{' => depth += 1,
                        b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                    (Kind::Sign, 1)
                }
            };
            let token = Token { kind, start: at, end: at + length };
            let word = &text[token.start..token.end];
            tag.operators += match kind {
                Kind::Word => usize::from(OPERATOR_WORDS.contains(&word)),
                Kind::Sign => usize::from(!matches!(word, "," | ":" | ")" | "]" | "}")),
                Kind::Text => 0,
            };
            tag.tokens.push(token);
            at += length;
        }
        None
    }

    pub(super) fn word(&self, token: Token) -> &'a str {
        &self.text[token.start..token.end]
    }

    /// The first word of a block, which says what it is.
    pub(super) fn first(&self) -> &'a str {
        self.tokens.first().filter(|_| self.block).map_or("", |&token| self.word(token))
    }

    /// The place of the bracket that closes the one at `open`, or of the end.
    pub(super) fn closing(&self, open: usize) -> usize {
        let mut depth = 0usize;
        for (index, &token) in self.tokens.iter().enumerate().skip(open) {
            match self.word(token) {
                "[" | "(" | "{" => depth += 1,
                "]" | ")" | "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return index;
            }
        }
        self.tokens.len()
    }

    /// Whether a bracket after `token` is a subscript or a call.
    pub(super) fn ends_operand(&self, token: Token) -> bool {
        let word = self.word(token);
        match token.kind {
            Kind::Text => true,
            Kind::Word => !OPERATOR_WORDS.contains(&word),
            Kind::Sign => matches!(word, ")" | "]" | "}"),
        }
    }
}

/// Length of a quoted text; `None` if it does not end.
fn quoted_length(text: &str, quote: u8) -> Option<usize> {
    let mut escaped = false;
    text.bytes().enumerate().skip(1).find_map(|(index, byte)| {
        let end = byte == quote && !escaped;
        escaped = byte == b'\\' && !escaped;
        end.then_some(index + 1)
    })
}
