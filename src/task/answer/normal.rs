//! One notation for all: LaTeX, Unicode and Markdown are rewritten into a few plain characters that the lexer knows.
//!
//! Marks of its own: `⦃ ⦄` are the braces of sets, `⟦ ⟧` a matrix, `⏎` its row break, `⊘` TeX's `\over`. Plain braces only group.

use super::notation::{CHARACTERS, FONTS, LOOKS, MATRICES, digit, fraction, script};
use crate::task::text::closing;

/// What a brace that is open will be replaced by when it closes.
enum Brace {
    Kept,
    Dropped,
    /// The braces of a word: they part it from what follows.
    Parted,
}

struct Rewriter<'a> {
    rest: &'a str,
    out: String,
    braces: Vec<Brace>,
    matrix: usize,
}

/// Rewrites a text. Linear in its length.
pub(super) fn normalise(text: &str) -> String {
    let mut rewriter = Rewriter { rest: text, out: String::new(), braces: Vec::new(), matrix: 0 };
    while let Some(c) = rewriter.rest.chars().next() {
        rewriter.rest = &rewriter.rest[c.len_utf8()..];
        rewriter.character(c);
    }
    let text = rewriter.out.replace("^{°}", "°").replace("^{ °}", "°").replace("^°", "°").replace("{,}", "");
    brace_arguments(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Puts braces around arguments of one symbol: `\frac12` becomes `\frac{1}{2}`.
fn brace_arguments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // Arguments still to come of the last command, and of those outside of each open brace.
    let (mut pending, mut outer) = (0usize, Vec::new());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let word = match pending {
            0 => 0,
            _ => rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len()),
        };
        let mut length = c.len_utf8();
        let command = ["\\frac", "\\binom", "\\sqrt"].into_iter().find(|name| rest.starts_with(name));
        if let Some(name) = command {
            pending = if name == "\\sqrt" { 1 } else { 2 };
            length = name.len();
            out.push_str(name);
            if let Some(degree) = rest[length..].strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                out.push_str(&rest[length..length + degree.0.len() + 2]);
                length += degree.0.len() + 2;
            }
        } else if pending > 0 && (c.is_ascii_digit() || word > 0) {
            if super::parser::is_name(&rest[..word]) {
                length = word;
            }
            out.push('{');
            out.push_str(&rest[..length]);
            out.push('}');
            pending -= 1;
        } else {
            match c {
                '{' => outer.push(std::mem::take(&mut pending).saturating_sub(1)),
                '}' => pending = outer.pop().unwrap_or(0),
                ' ' => {}
                _ => pending = 0,
            }
            if c != ' ' || pending == 0 {
                out.push(c);
            }
        }
        rest = &rest[length..];
    }
    out
}

impl Rewriter<'_> {
    fn character(&mut self, c: char) {
        match c {
            '\\' => self.command(),
            '{' => {
                self.braces.push(Brace::Kept);
                self.out.push('{');
            }
            '}' => match self.braces.pop() {
                Some(Brace::Kept) | None => self.out.push('}'),
                Some(Brace::Parted) => self.out.push(' '),
                Some(Brace::Dropped) => {}
            },
            '$' => self.dollar(),
            '−' | '‐' | '‑' | '‒' | '–' | '—' | '﹣' => self.out.push('-'),
            '×' | '·' | '⋅' | '∗' | '∙' => self.out.push('*'),
            '÷' | '∕' | '⁄' => self.out.push('/'),
            '“' | '”' | '„' | '«' | '»' => self.out.push('"'),
            '‘' | '’' | '′' => self.out.push('\''),
            '\u{200b}'..='\u{200f}' | '\u{feff}' | '\u{ad}' | '\u{2061}'..='\u{2064}' => {}
            '\u{ff01}'..='\u{ff5e}' => {
                let ascii = char::from_u32(u32::from(c) - 0xfee0).unwrap_or(' ');
                self.character(ascii);
            }
            '∧' => self.out.push_str(" and "),
            '∨' => self.out.push_str(" or "),
            '、' | '،' | '٬' => self.out.push(','),
            '٫' => self.out.push('.'),
            '٪' => self.out.push('%'),
            'º' | '˚' => self.out.push('°'),
            '℃' => self.out.push_str("°C"),
            '℉' => self.out.push_str("°F"),
            '≦' | '⩽' => self.out.push('≤'),
            '≧' | '⩾' => self.out.push('≥'),
            '≃' | '≅' => self.out.push('≈'),
            '∘' => self.out.push('°'),
            'π' => self.out.push_str(" pi "),
            '¼'..='¾' | '⅐'..='⅞' => match fraction(c) {
                Some((above, below)) => self.out.push_str(&format!("\\frac{{{above}}}{{{below}}}")),
                None => self.out.push(c),
            },
            _ => match script(c) {
                Some(('^', degree @ '2'..='9'))
                    if self.rest.starts_with('√')
                        && !self.out.ends_with(|c: char| c.is_alphanumeric() || matches!(c, ')' | '}')) =>
                {
                    self.rest = &self.rest['√'.len_utf8()..];
                    self.root(degree);
                }
                Some((mark, first)) => {
                    self.out.push(mark);
                    self.out.push('{');
                    self.out.push(first);
                    while let Some((_, next)) =
                        self.rest.chars().next().and_then(script).filter(|(other, _)| *other == mark)
                    {
                        self.rest = &self.rest[self.rest.chars().next().map_or(0, char::len_utf8)..];
                        self.out.push(next);
                    }
                    self.out.push('}');
                }
                None if c.is_whitespace() => self.out.push(' '),
                None => self.out.push(digit(c).unwrap_or(c)),
            },
        }
    }

    /// `³√8`: the degree stands before the sign, which covers digits, a letter or what is in brackets.
    fn root(&mut self, degree: char) {
        self.out.push_str(&format!("\\sqrt[{degree}]"));
        let rest = self.rest;
        let end = match rest.strip_prefix('(').and_then(|inside| closing(inside, '(', ')')) {
            Some(end) => end + 2,
            None => rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len()),
        };
        let end = if end == 0 { rest.chars().next().map_or(0, char::len_utf8) } else { end };
        self.out.push_str(&format!("{{{}}}", &rest[..end]));
        self.rest = &rest[end..];
    }

    /// A bare dollar is currency before a number, unless another one closes what it opens.
    fn dollar(&mut self) {
        let amount = self
            .rest
            .trim_start()
            .trim_start_matches('-')
            .starts_with(|c: char| c.is_ascii_digit() || c == '.');
        let closed = self.rest.split_once('$').is_some_and(|(inside, after)| {
            !inside.ends_with(char::is_whitespace) || !after.starts_with(|c: char| c.is_ascii_digit())
        });
        // The dollar of one country.
        if amount
            && self.out.ends_with("US")
            && !self.out[..self.out.len() - 2].ends_with(char::is_alphanumeric)
        {
            self.out.truncate(self.out.len() - 2);
        }
        if amount && !closed && !self.out.ends_with(|c: char| c.is_alphanumeric()) {
            self.out.push('$');
        } else {
            self.out.push(' ');
        }
    }

    fn command(&mut self) {
        let Some(c) = self.rest.chars().next() else { return };
        if !c.is_ascii_alphabetic() {
            self.rest = &self.rest[c.len_utf8()..];
            // MATH's thousands: `11,\\! 111`, `1,\\ 000`.
            let group = self.rest.trim_start();
            let digits = group.bytes().take_while(u8::is_ascii_digit).count();
            let grouped = matches!(c, '!' | ' ' | ',' | ';' | ':')
                && digits == 3
                && self.out.strip_suffix(',').is_some_and(|out| out.ends_with(|c: char| c.is_ascii_digit()));
            if grouped {
                self.rest = group;
                return;
            }
            match c {
                '{' => self.out.push('⦃'),
                '}' => self.out.push('⦄'),
                '!' | '-' => {}
                '%' | '#' | '_' | '&' | '$' => self.out.push(c),
                '|' => self.out.push('|'),
                '\\' if self.matrix > 0 => self.out.push('⏎'),
                // A backslash that was escaped once more than needed.
                '\\' if self.rest.starts_with(|c: char| c.is_ascii_alphabetic()) => self.command(),
                '\\' => self.out.push(' '),
                _ => self.out.push(' '),
            }
            return;
        }
        let end = self.rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(self.rest.len());
        let name = &self.rest[..end];
        self.rest = &self.rest[end..];
        if LOOKS.contains(&name) {
            // `\left.` is an invisible bracket.
            if matches!(name, "left" | "right") && self.rest.starts_with('.') {
                self.rest = &self.rest[1..];
            }
        } else if matches!(name, "vec" | "overrightarrow" | "tilde" | "hat" | "widehat")
            && self.decorated(name)
        {
            // The mark is a part of the name.
        } else if FONTS.contains(&name) {
            let word = !matches!(
                name,
                "boxed" | "fbox" | "vec" | "hat" | "tilde" | "ensuremath" | "mathop" | "mathord"
            );
            if word {
                self.out.push(' ');
            }
            self.open(if word { Brace::Parted } else { Brace::Dropped });
        } else if let Some((_, characters)) = CHARACTERS.iter().find(|(known, _)| *known == name) {
            self.out.push_str(characters);
        } else {
            match name {
                "mathbb" | "Bbb" => self.set_of_numbers(),
                "pmod" => {
                    self.out.push_str(" mod ");
                    self.open(Brace::Parted);
                }
                "begin" | "end" => self.environment(name == "begin"),
                // The name of a function or a Greek letter.
                _ => {
                    self.out.push(' ');
                    self.out.push_str(name);
                    self.out.push(' ');
                }
            }
        }
    }

    /// A letter with a mark above, as a letter with an index; false for anything else, and for the units `i`, `j` and `k`.
    fn decorated(&mut self, mark: &str) -> bool {
        let rest = self.rest.trim_start();
        let (inside, after) = match rest.strip_prefix('{') {
            Some(rest) => match rest.split_once('}') {
                Some(parts) => parts,
                None => return false,
            },
            None => rest.split_at(rest.chars().next().map_or(0, char::len_utf8)),
        };
        let inside = inside.trim();
        let letters = (1..=2).contains(&inside.len()) && inside.bytes().all(|b| b.is_ascii_alphabetic());
        if !letters || matches!(inside, "i" | "j" | "k" | "e") {
            return false;
        }
        self.out.push_str(inside);
        self.out.push_str(&format!("_{{{mark}}}"));
        self.rest = after;
        true
    }

    fn open(&mut self, brace: Brace) {
        let rest = self.rest.trim_start().trim_start_matches('*').trim_start();
        if let Some(rest) = rest.strip_prefix('{') {
            self.rest = rest;
            self.braces.push(brace);
        }
    }

    /// `\mathbb{R}` and its kin.
    fn set_of_numbers(&mut self) {
        for (name, symbol) in [('R', 'ℝ'), ('Z', 'ℤ'), ('N', 'ℕ'), ('Q', 'ℚ'), ('C', 'ℂ')] {
            for form in [format!("{{{name}}}"), format!(" {name}"), format!("{name}")] {
                if let Some(rest) = self.rest.strip_prefix(form.as_str()) {
                    self.rest = rest;
                    self.out.push(symbol);
                    return;
                }
            }
        }
    }

    fn environment(&mut self, begins: bool) {
        let Some((name, rest)) = self.rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) else {
            self.out.push('\u{fffd}');
            return;
        };
        if !MATRICES.contains(&name) {
            // Not read: the text stays one that has no value.
            self.out.push('\u{fffd}');
            return;
        }
        self.rest = rest;
        if begins {
            self.matrix += 1;
            self.out.push('⟦');
            // The columns of an array.
            if name == "array"
                && let Some((_, rest)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'))
            {
                self.rest = rest;
            }
        } else {
            self.matrix = self.matrix.saturating_sub(1);
            self.out.push('⟧');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::normalise;

    #[test]
    fn notations_become_one() {
        for (text, expected) in [
            (r"\dfrac{1}{2}", r"\frac{1}{2}"),
            (r"72\text{ clips}", "72 clips"),
            (r"1{,}000\,\%", "1000 %"),
            (r"\left\{ 1, 2 \right\}", "⦃ 1, 2 ⦄"),
            (r"90^\circ", "90°"),
            (r"90^{\circ}", "90°"),
            ("2½", r"2\frac{1}{2}"),
            ("x²−1", "x^{2}-1"),
            (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", "⟦ 1 ⏎ 2 ⟧"),
            (r"\\frac12", r"\frac{1}{2}"),
            (r"\frac\pi 2x", r"\frac{pi}{2}x"),
            (r"\sqrt23+\sqrt[3]{8}", r"\sqrt{2}3+\sqrt[3]{8}"),
            ("³√8+1", r"\sqrt[3]{8}+1"),
            ("⁴√(16)", r"\sqrt[4]{(16)}"),
            ("x²√2", "x^{2}√2"),
            ("$18", "$18"),
            ("$18$", "18"),
            (r"\$18", "$18"),
            ("$x$ or $y$", "x or y"),
            (r"x\in\mathbb{R}", "x∈ℝ"),
        ] {
            assert_eq!(normalise(text), expected, "{text}");
        }
    }
}
