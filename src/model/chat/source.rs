//! The text of a template before it is compiled: what transformers knows beyond Jinja is rewritten, what would go deeper
//! than the stack is refused, and the values that it builds get the filters of [`super::bounds`].

use std::ops::Range;

use super::arithmetic::{self, Operation, Piece};
use super::bounds::{KEPT, MEMBER, TIMES};

/// The longest template. The longest known has 40 KB.
const MAX_BYTES: usize = 1 << 20;
/// Operators, calls and brackets in one tag: the compiler goes one level deeper for each. Known templates have at most 60.
const MAX_OPERATORS: usize = 300;
/// `elif` branches, of which each is within the one before.
const MAX_ELIFS: usize = 300;

/// The template as it is compiled, or why it is refused.
///
/// `{% generation %}` and `{% endgeneration %}`, by which transformers finds the assistant's tokens, become a `with` block,
/// which renders its body and trims white space as they do.
pub(super) fn prepare(text: &str) -> Result<String, String> {
    if text.len() > MAX_BYTES {
        return Err(format!("has {} bytes, more than {MAX_BYTES}", text.len()));
    }
    // Jinja reads every end of a line as one character.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let (mut rest, mut elifs) = (text.as_str(), 0);
    while let Some(start) = rest.find('{').filter(|&start| start + 1 < rest.len()) {
        let (before, tag) = rest.split_at(start);
        out.push_str(before);
        let length = match tag.as_bytes()[1] {
            b'#' => tag.find("#}").map(|end| end + 2),
            kind @ (b'{' | b'%') => match Tag::read(tag, kind == b'%') {
                Some(tag) => {
                    elifs += usize::from(tag.first() == "elif");
                    if tag.operators > MAX_OPERATORS || elifs > MAX_ELIFS {
                        return Err("is nested too deeply".into());
                    }
                    let length = tag.text.len();
                    match tag.first() {
                        "raw" => raw_length(&rest[start..], length),
                        _ => {
                            out.push_str(&tag.rewritten());
                            rest = &rest[start + length..];
                            continue;
                        }
                    }
                }
                None => None,
            },
            _ => Some(1),
        };
        // What does not end is left to the compiler, which says so.
        let length = length.unwrap_or(tag.len());
        out.push_str(&tag[..length]);
        rest = &tag[length..];
    }
    out.push_str(rest);
    Ok(out)
}

/// Length of a raw block up to its end tag, which the compiler needs to see; `open` is the length of its first tag.
fn raw_length(block: &str, open: usize) -> Option<usize> {
    let mut from = open;
    loop {
        let start = from + block[from..].find("{%")?;
        let end = start + 2 + block[start + 2..].find("%}")? + 2;
        let word = block[start + 2..end - 2].trim_matches(['-', '+']).trim();
        if word == "endraw" {
            return Some(end);
        }
        from = start + 2;
    }
}

/// Length of a sign and digits behind `1e`, which belong to the number.
fn exponent_length(text: &str, end: usize) -> usize {
    let number = text.starts_with(|c: char| c.is_ascii_digit()) && text[..end].ends_with(['e', 'E']);
    let digits = text[end..].strip_prefix(['-', '+']).filter(|_| number);
    let digits = digits.map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    if digits > 0 { digits + 1 } else { 0 }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Word,
    Text,
    Sign,
}

/// A piece of a tag: its kind and where it is in the tag.
#[derive(Debug, Clone, Copy)]
struct Token {
    kind: Kind,
    start: usize,
    end: usize,
}

/// `{{ … }}` or `{% … %}` in pieces.
struct Tag<'a> {
    text: &'a str,
    block: bool,
    /// The pieces between the marks at both ends.
    tokens: Vec<Token>,
    operators: usize,
}

/// Words after which an opening bracket begins a value of its own.
const OPERATOR_WORDS: [&str; 14] =
    ["and", "or", "not", "in", "is", "if", "else", "elif", "set", "with", "do", "for", "call", "recursive"];

impl<'a> Tag<'a> {
    /// Reads the tag that `text` begins with; `None` if it does not end.
    fn read(text: &'a str, block: bool) -> Option<Self> {
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

    fn word(&self, token: Token) -> &'a str {
        &self.text[token.start..token.end]
    }

    /// The first word of a block, which says what it is.
    fn first(&self) -> &'a str {
        self.tokens.first().filter(|_| self.block).map_or("", |&token| self.word(token))
    }

    fn rewritten(&self) -> String {
        let mut around = None;
        let skip = match (self.first(), self.tokens.len()) {
            ("generation", 1) => return self.text.replacen("generation", "with", 1),
            ("endgeneration", 1) => return self.text.replacen("endgeneration", "endwith", 1),
            ("set", count) => {
                let Some(equals) = self.assignment().filter(|&equals| equals + 1 < count) else {
                    return self.text.to_string();
                };
                let member = self.tokens[..equals].iter().any(|&token| self.word(token) == ".");
                let ends = (self.tokens[equals + 1].start, self.tokens[count - 1].end);
                around = Some((ends, if member { MEMBER } else { KEPT }));
                equals + 1
            }
            // Targets of a loop are no values.
            ("for", _) => {
                self.tokens.iter().position(|&token| self.word(token) == "in").map_or(0, |place| place + 1)
            }
            (_, count) => usize::from(self.block && count > 0),
        };
        // Brackets around parameters are no values.
        let literals =
            if matches!(self.first(), "macro" | "call") { Vec::new() } else { self.literals(skip) };
        // At one place an outer bracket opens before an inner one and closes after it; sorting keeps this order.
        let mut edits: Vec<(Range<usize>, String)> =
            literals.iter().map(|&(_, end)| (end..end, format!("|{KEPT})"))).collect();
        for index in (skip..self.tokens.len()).filter(|&index| self.is_format(index)) {
            edits.extend(self.format(index));
        }
        edits.extend(self.operations(skip, around.map(|(ends, _)| ends)));
        if let Some(((start, end), filter)) = around {
            edits.extend([(start..start, "(".to_string()), (end..end, format!(")|{filter}"))]);
        }
        edits.extend(literals.iter().map(|&(start, _)| (start..start, "(".to_string())));
        // What goes in before a sign goes before what takes its place.
        edits.sort_by_key(|(range, _)| (range.start, range.end));
        let mut out = String::with_capacity(self.text.len() + 32);
        let mut from = 0;
        for (range, piece) in edits {
            out.push_str(&self.text[from..range.start]);
            out.push_str(&piece);
            from = range.end;
        }
        out + &self.text[from..]
    }

    /// Whether a token is the `%` that formats a text, as in `'%s' % value`.
    fn is_format(&self, index: usize) -> bool {
        let before = index.checked_sub(1).and_then(|before| self.tokens.get(before));
        before.is_some_and(|before| before.kind == Kind::Text)
            && self.word(self.tokens[index]) == "%"
            && self.tokens.len() > index + 1
    }

    /// Makes Python's `%` after a text the filter that does the same.
    fn format(&self, index: usize) -> Vec<(Range<usize>, String)> {
        let sign = self.tokens[index].start..self.tokens[index].end;
        let word = |index: usize| self.tokens.get(index).map_or("", |&token| self.word(token));
        if word(index + 1) == "(" {
            return vec![(sign, "|format".into())];
        }
        // The value goes on with attributes, subscripts and calls.
        let mut last = index + 1;
        if matches!(word(last), "[" | "{") {
            last = self.closing(last);
        }
        loop {
            match word(last + 1) {
                "." | "|" if last + 2 < self.tokens.len() => last += 2,
                "[" | "(" => last = self.closing(last + 1),
                _ => break,
            }
        }
        let end = self.tokens[last.min(self.tokens.len() - 1)].end;
        vec![(sign, "|format(".into()), (end..end, ")".into())]
    }

    /// The place of the bracket that closes the one at `open`, or of the end.
    fn closing(&self, open: usize) -> usize {
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

    /// The `=` of an assignment.
    fn assignment(&self) -> Option<usize> {
        let sign = |index: usize| self.tokens.get(index).map(|&token| self.word(token));
        let mut depth = 0usize;
        (0..self.tokens.len()).find(|&index| {
            match sign(index) {
                Some("(" | "[" | "{") => depth += 1,
                Some(")" | "]" | "}") => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && sign(index) == Some("=") && sign(index + 1) != Some("=")
        })
    }

    /// Where each list, map and tuple from token `skip` on begins and ends.
    fn literals(&self, skip: usize) -> Vec<(usize, usize)> {
        /// An open bracket: where, whether it begins a value of its own, whether there is a comma in it.
        struct Open {
            place: usize,
            value: bool,
            comma: bool,
        }
        let mut open: Vec<Open> = Vec::new();
        let mut literals = Vec::new();
        for (index, &token) in self.tokens.iter().enumerate().skip(skip) {
            let after_operand =
                index > skip && (self.ends_operand(self.tokens[index - 1]) || self.is_format(index - 1));
            match (token.kind, self.word(token)) {
                (Kind::Sign, "(" | "[" | "{") => {
                    open.push(Open { place: token.start, value: !after_operand, comma: false });
                }
                (Kind::Sign, ",") => {
                    if let Some(open) = open.last_mut() {
                        open.comma = true;
                    }
                }
                (Kind::Sign, close @ (")" | "]" | "}")) => {
                    let Some(Open { place, value, comma }) = open.pop() else { continue };
                    if value && (close != ")" || comma) {
                        literals.push((place, token.end));
                    }
                }
                _ => {}
            }
        }
        literals
    }

    /// Has each sum and product from token `skip` on looked at, except a sum of all between `kept`, which is anyway.
    fn operations(&self, skip: usize, kept: Option<(usize, usize)>) -> Vec<(Range<usize>, String)> {
        let piece = |&token: &Token| Piece { word: self.word(token), operand: self.ends_operand(token) };
        let pieces: Vec<Piece<'_>> = self.tokens.iter().map(piece).collect();
        let mut edits = Vec::new();
        for Operation { first, sign, last } in arithmetic::operations(&pieces, skip) {
            let (start, end) = (self.tokens[first].start, self.tokens[last].end);
            let sign = self.tokens[sign];
            let product = self.word(sign) == "*";
            if product {
                edits.extend([(sign.start..sign.end, format!(")|{TIMES}(")), (end..end, ")".to_string())]);
            } else if kept != Some((start, end)) {
                edits.push((end..end, format!(")|{KEPT}")));
            } else {
                continue;
            }
            edits.push((start..start, "(".to_string()));
        }
        edits
    }

    /// Whether a bracket after `token` is a subscript or a call.
    fn ends_operand(&self, token: Token) -> bool {
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::prepare;
    use crate::model::chat::{ChatTemplate, Message};

    /// Pieces of which any order may come.
    const PIECES: [&str; 34] = [
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        "{",
        "}",
        "%",
        "-",
        "+",
        " ",
        "'",
        "\"",
        "\\",
        "é",
        "｜",
        "a",
        "1",
        "[",
        "]",
        "(",
        ")",
        ",",
        ".",
        "=",
        "|",
        "~",
        "raw",
        "endraw",
        "set",
        "for",
        "in",
        "generation",
    ];

    proptest! {
        #[test]
        fn no_template_panics(pieces in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..30)) {
            let text = pieces.concat();
            let _ = prepare(&text);
            let chat = ChatTemplate::new("t".as_ref(), &text, "", "", 0);
            let _ = chat.render(&[Message::user("x")], true);
        }
    }

    #[test]
    fn a_panic_of_the_library_is_an_error() {
        let text = "{% for i in [1] %}{{ loop.cycle() }}{% endfor %}";
        let chat = ChatTemplate::new("t".as_ref(), text, "", "", 0);
        let error = chat.render(&[Message::user("x")], true).unwrap_err().to_string();
        assert!(error.contains("the library gave up"), "{error}");
    }

    #[test]
    fn only_the_tags_of_generation_are_rewritten() {
        for (text, expected) in [
            ("{%- generation -%} a {%endgeneration%}b", "{%- with -%} a {%endwith%}b"),
            ("{# {% generation %} #}", "{# {% generation %} #}"),
            ("{{ '{% generation %}' }}", "{{ '{% generation %}' }}"),
            (
                "{% raw %}{% generation %}{% endraw %}{% generation %}",
                "{% raw %}{% generation %}{% endraw %}{% with %}",
            ),
            ("{{ generation }}{% if generation %}", "{{ generation }}{% if generation %}"),
            ("a { b {", "a { b {"),
            ("{% generation", "{% generation"),
        ] {
            assert_eq!(prepare(text).unwrap(), expected);
        }
    }

    #[test]
    fn values_that_are_built_or_kept_are_looked_at() {
        for (text, expected) in [
            ("{% set a = b -%}", "{% set a = (b)|__kept__ -%}"),
            ("{% set n.a = n.a + [b] %}", "{% set n.a = (n.a + ([b]|__kept__))|__member__ %}"),
            ("{% set a %}x{% endset %}", "{% set a %}x{% endset %}"),
            ("{% set a = b == c %}", "{% set a = (b == c)|__kept__ %}"),
            (
                "{{ [[a], {'b': (c, d)}][0] }}",
                "{{ ([([a]|__kept__), ({'b': ((c, d)|__kept__)}|__kept__)]|__kept__)[0] }}",
            ),
            ("{% for (a, b) in [c] %}", "{% for (a, b) in ([c]|__kept__) %}"),
            ("{{ a[1:] ~ f(b, c)[0] ~ (d) }}", "{{ a[1:] ~ f(b, c)[0] ~ (d) }}"),
            (
                "{{ '%s' % a.b[0]|c ~ '%s%s' % (d, e) }}",
                "{{ '%s' |format( a.b[0]|c) ~ '%s%s' |format (d, e) }}",
            ),
            ("{% if a in ['}}', '%}'] %}", "{% if a in (['}}', '%}']|__kept__) %}"),
            ("{{ a*9 * 9 ~ b * c }}", "{{ ((a)|__times__(9) )|__times__( 9) ~ (b )|__times__( c) }}"),
            (
                "{{ a + -b * c - d + e if f + g else h }}",
                "{{ ((a + (-b )|__times__( c))|__kept__ - d + e)|__kept__ if (f + g)|__kept__ else h }}",
            ),
            (
                "{{ (a + b|c.d) ~ e[f*2:] == g(h=i ** j*k, *l) }}",
                "{{ ((a + b|c.d)|__kept__) ~ e[(f)|__times__(2):] == g(h=(i ** j)|__times__(k), *l) }}",
            ),
            ("{% set a = [b] + [c] %}", "{% set a = (([b]|__kept__) + ([c]|__kept__))|__kept__ %}"),
            (
                "{% if a is not sameas b + c and d + e %}",
                "{% if a is not sameas b + c and (d + e)|__kept__ %}",
            ),
            (
                "{% call a([b]*c) %}{% macro a(b=c*d) %}",
                "{% call a(([b])|__times__(c)) %}{% macro a(b=(c)|__times__(d)) %}",
            ),
        ] {
            assert_eq!(prepare(text).unwrap(), expected);
        }
    }
}
