//! The text of a template before it is compiled: what transformers knows beyond Jinja is rewritten, what would go deeper
//! than the stack is refused, and the values that it builds get the filters of [`super::bounds`].

use std::ops::Range;

use super::arithmetic::{self, Operation, Piece};
use super::bounds::{KEPT, MEMBER, TIMES};
use super::members::{ATTRIBUTE, ITEM, LOOPED, is_method};
use super::scopes::{self, Edit};
use super::tag::{Kind, Tag, Token};

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
                    refuse(&tag)?;
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

/// Refuses what would give another text than in Jinja.
fn refuse(tag: &Tag<'_>) -> Result<(), String> {
    if tag.first() == "autoescape" {
        return Err("has `autoescape`, which is not supported".into());
    }
    if let Some(name) = scopes::named_by_default(tag).filter(|_| tag.first() == "macro") {
        return Err(format!(
            "has a macro whose default names its parameter `{name}`, which is not supported"
        ));
    }
    let mut texts = tag.tokens.iter().filter(|token| token.kind == Kind::Text);
    if texts.any(|&token| tag.word(token).contains("\\N{")) {
        return Err("has a character by name, as in `\\N{BULLET}`, which is not supported".into());
    }
    Ok(())
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

impl Tag<'_> {
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
        let mut edits: Vec<Edit> = literals.iter().map(|&(_, end)| (end..end, format!("|{KEPT})"))).collect();
        for index in (skip..self.tokens.len()).filter(|&index| self.is_format(index)) {
            edits.extend(self.format(index));
        }
        edits.extend(self.operations(skip, around.map(|(ends, _)| ends)));
        edits.extend(self.members(skip));
        edits.extend(self.loops(skip));
        if let Some(((start, end), filter)) = around {
            edits.extend([(start..start, "(".to_string()), (end..end, format!(")|{filter}"))]);
        }
        edits.extend(literals.iter().map(|&(start, _)| (start..start, "(".to_string())));
        if let Some((targets, assignments)) = scopes::with(self).filter(|_| self.first() == "with") {
            let of_target = |at: &Range<usize>| targets.iter().any(|t| t.start <= at.start && at.end < t.end);
            edits.retain(|(range, _)| !of_target(range));
            edits.extend(assignments);
        }
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

    /// Has members whose names are those of methods looked up as Python does, where they are not called.
    fn members(&self, skip: usize) -> Vec<Edit> {
        let word = |index: usize| self.tokens.get(index).map_or("", |&token| self.word(token));
        let mut edits = Vec::new();
        for index in skip + 1..self.tokens.len() {
            let token = self.tokens[index];
            let after = index > skip + 1 && self.ends_operand(self.tokens[index - 2]);
            match word(index - 1) {
                "." if after
                    && word(index + 1) != "("
                    && word(index - 2) != "loop"
                    && is_method(word(index)) =>
                {
                    edits.push((token.start..token.end, format!("{ATTRIBUTE}('{}')", word(index))));
                }
                "[" if after && word(index + 1) == "]" && token.kind == Kind::Text => {
                    let name = &word(index)[1..word(index).len() - 1];
                    if is_method(name) && word(index + 2) != "(" {
                        let whole = self.tokens[index - 1].start..self.tokens[index + 1].end;
                        edits.push((whole, format!(".{ITEM}('{name}')")));
                    }
                }
                _ => {}
            }
        }
        edits
    }

    /// Has what loops go through looked at: the values of a `for`, and what a recursive one is called with.
    fn loops(&self, skip: usize) -> Vec<Edit> {
        let word = |index: usize| self.tokens.get(index).map_or("", |&token| self.word(token));
        let mut values = Vec::new();
        if self.first() == "for" && skip > 0 {
            let mut depth = 0usize;
            let end = (skip..self.tokens.len()).find(|&index| {
                match word(index) {
                    "(" | "[" | "{" => depth += 1,
                    ")" | "]" | "}" => depth = depth.saturating_sub(1),
                    _ => {}
                }
                depth == 0 && matches!(word(index), "if" | "recursive")
            });
            values.push((skip, end.unwrap_or(self.tokens.len())));
        }
        for index in skip..self.tokens.len() {
            if word(index) == "loop" && word(index + 1) == "(" && (index == 0 || word(index - 1) != ".") {
                values.push((index + 2, self.closing(index + 1).min(self.tokens.len())));
            }
        }
        let edits = values.into_iter().filter(|(from, end)| from < end).flat_map(|(from, end)| {
            let (start, end) = (self.tokens[from].start, self.tokens[end - 1].end);
            [(start..start, "(".to_string()), (end..end, format!(")|{LOOPED}"))]
        });
        edits.collect()
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
            let word = self.word(sign);
            if word == "~" {
                // Texts are joined as they are; numbers and lists as Python writes them.
                if first == last && self.tokens[first].kind == Kind::Text {
                    continue;
                }
                edits.push((end..end, ")|string".to_string()));
            } else if word == "*" {
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
            ("{% for (a, b) in [c] %}", "{% for (a, b) in (([c]|__kept__))|__looped__ %}"),
            ("{% for a in b if c recursive -%}", "{% for a in (b)|__looped__ if c recursive -%}"),
            ("{{ loop(a.b) }}", "{{ loop((a.b)|__looped__) }}"),
            ("{% with a = [1], b = a -%}", "{% with (a, b) = (([1]|__kept__), a) -%}"),
            ("{% with a, b = c %}{% with a = b %}", "{% with (a, b) = c %}{% with a = b %}"),
            (
                "{{ a.items ~ a['keys'] ~ a.items() ~ a['b'] ~ loop.index ~ ['keys'] }}",
                "{{ (a.__attribute__('items'))|string ~ (a.__item__('keys'))|string ~ (a.items())|string ~ (a['b'])|string ~ (loop.index)|string ~ ((['keys']|__kept__))|string }}",
            ),
            ("{{ a[1:] ~ f(b, c)[0] ~ 'd' }}", "{{ (a[1:])|string ~ (f(b, c)[0])|string ~ 'd' }}"),
            (
                "{{ '%s' % a.b[0]|c ~ '%s%s' % (d, e) }}",
                "{{ ('%s' |format( a.b[0]|c))|string ~ ('%s%s' |format (d, e))|string }}",
            ),
            ("{% if a in ['}}', '%}'] %}", "{% if a in (['}}', '%}']|__kept__) %}"),
            (
                "{{ a*9 * 9 ~ b * c }}",
                "{{ (((a)|__times__(9) )|__times__( 9))|string ~ ((b )|__times__( c))|string }}",
            ),
            (
                "{{ a + -b * c - d + e if f + g else h }}",
                "{{ ((a + (-b )|__times__( c))|__kept__ - d + e)|__kept__ if (f + g)|__kept__ else h }}",
            ),
            (
                "{{ (a + b|c.d) ~ e[f*2:] == g(h=i ** j*k, *l) }}",
                "{{ (((a + b|c.d)|__kept__))|string ~ (e[(f)|__times__(2):])|string == g(h=(i ** j)|__times__(k), *l) }}",
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
