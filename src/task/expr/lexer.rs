//! Text to tokens: plain notation, Python's, simple LaTeX and Unicode all end in the same few tokens.

use super::error::ParseError;
use super::symbols::{UNEVALUATED, literal, named, shorten, superscript, vulgar_fraction};
use super::token::{Bracket, Spanned, Special, Token};
use super::{Function, MAX_LENGTH, MAX_TOKENS};

/// Splits `text` into tokens.
pub(super) fn tokenize(text: &str) -> Result<Vec<Spanned>, ParseError> {
    if text.len() > MAX_LENGTH {
        return Err(ParseError::new(format!("longer than {MAX_LENGTH} bytes")));
    }
    let mut lexer = Lexer { rest: text, tokens: Vec::new(), after_break: false };
    while lexer.step()? {
        if lexer.tokens.len() > MAX_TOKENS {
            return Err(ParseError::new(format!("more than {MAX_TOKENS} tokens")));
        }
    }
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    rest: &'a str,
    tokens: Vec<Spanned>,
    after_break: bool,
}

impl Lexer<'_> {
    fn push(&mut self, token: Token) {
        self.tokens.push(Spanned { token, after_break: std::mem::take(&mut self.after_break) });
    }

    fn take(&mut self, bytes: usize) -> String {
        let (head, tail) = self.rest.split_at(bytes);
        self.rest = tail;
        head.to_owned()
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> String {
        let end = self.rest.find(|c| !accept(c)).unwrap_or(self.rest.len());
        self.take(end)
    }

    /// Reads one token; false at the end.
    fn step(&mut self) -> Result<bool, ParseError> {
        let Some(c) = self.rest.chars().next() else { return Ok(false) };
        if c.is_ascii_digit() || (c == '.' && self.rest[1..].starts_with(|d: char| d.is_ascii_digit())) {
            return self.number().map(|()| true);
        }
        if c.is_ascii_alphabetic() {
            let word = self.take_while(|c| c.is_ascii_alphanumeric());
            return self.named_with_subscript(&word).map(|()| true);
        }
        if c == '\\' {
            return self.command().map(|()| true);
        }
        if superscript(c).is_some() {
            return self.superscripts().map(|()| true);
        }
        if let Some((numerator, denominator)) = vulgar_fraction(c) {
            self.take(c.len_utf8());
            self.push(Token::Special(Special::Fraction));
            for part in [numerator, denominator] {
                self.push(Token::Open(Bracket::Curly));
                self.push(literal(part)?);
                self.push(Token::Close(Bracket::Curly));
            }
            return Ok(true);
        }
        self.take(c.len_utf8());
        let token = match c {
            '\n' | '\r' | '\u{2028}' | '\u{2029}' => {
                self.after_break = true;
                return Ok(true);
            }
            // A space of LaTeX, or a sign for "about" before a number.
            '~' => return Ok(true),
            // A constant of Maxima: `%e`, `%pi`. Behind an operand it is the remainder of Python.
            '%' if !self.ends_operand() && self.rest.starts_with(['e', 'p', 'c', 'k']) => {
                return Ok(true);
            }
            c if c.is_whitespace()
                || matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2062}' | '\u{feff}') =>
            {
                return Ok(true);
            }
            '+' | '\u{ff0b}' => Token::Plus,
            '-' | '\u{2010}'..='\u{2014}' | '\u{2212}' | '\u{ff0d}' => Token::Minus,
            '*' if self.rest.starts_with('*') => {
                self.take(1);
                Token::Power
            }
            '*' | '\u{b7}' | '\u{d7}' | '\u{22c5}' | '\u{2217}' | '\u{2219}' | '\u{2022}' => Token::Times,
            '/' | '\u{f7}' | '\u{2044}' | '\u{2215}' => Token::Divide,
            '^' => Token::Power,
            '(' | '\u{ff08}' => Token::Open(Bracket::Round),
            ')' | '\u{ff09}' => Token::Close(Bracket::Round),
            '[' => Token::Open(Bracket::Square),
            ']' => Token::Close(Bracket::Square),
            '{' => Token::Open(Bracket::Curly),
            '}' => Token::Close(Bracket::Curly),
            '|' | '\u{2223}' => Token::Bar,
            ',' => Token::Comma,
            '\u{3c0}' | '\u{1d70b}' => Token::Pi,
            '\u{1d465}' => Token::Variable,
            '\u{221a}' => Token::Function(Function::Sqrt),
            '\u{221b}' => Token::Function(Function::Cbrt),
            '\u{222b}' => return Err(ParseError::unevaluated("integral")),
            '\u{2211}' => return Err(ParseError::unevaluated("sum")),
            '\u{2202}' => return Err(ParseError::unevaluated("derivative")),
            other => return Err(ParseError::new(format!("unexpected character {other:?}"))),
        };
        self.push(token);
        Ok(true)
    }

    /// Whether what was read last is an operand, or the end of one.
    fn ends_operand(&self) -> bool {
        use Token::{Bar, Close, Constant, E, Number, Pi, Variable};
        let last = self.tokens.last().map(|spanned| &spanned.token);
        matches!(last, Some(Number(_) | Variable | E | Pi | Constant | Close(_) | Bar))
    }

    /// A run of raised characters: an exponent.
    fn superscripts(&mut self) -> Result<(), ParseError> {
        let mut lowered = String::new();
        while let Some((c, low)) = self.rest.chars().next().and_then(|c| Some((c, superscript(c)?))) {
            lowered.push(low);
            self.take(c.len_utf8());
        }
        self.push(Token::Power);
        self.push(Token::Open(Bracket::Round));
        let mut inner = Lexer { rest: &lowered, tokens: Vec::new(), after_break: false };
        while inner.step()? {}
        self.tokens.append(&mut inner.tokens);
        self.push(Token::Close(Bracket::Round));
        Ok(())
    }

    /// What is lowered behind a name: `_2`, `_{10}`, `_e`, or digits of their own kind.
    fn subscript(&mut self) -> Option<String> {
        let lowered = self.take_while(|c| ('\u{2080}'..='\u{2089}').contains(&c));
        if !lowered.is_empty() {
            let digit = |c: char| char::from_digit(u32::from(c) - 0x2080, 10);
            return lowered.chars().map(digit).collect();
        }
        let rest = self.rest.strip_prefix('_')?.trim_start();
        if let Some((inner, rest)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            self.rest = rest;
            return Some(inner.trim().to_owned());
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let end = if digits > 0 { digits } else { rest.chars().next()?.len_utf8() };
        self.rest = &rest[end..];
        Some(rest[..end].to_owned())
    }

    /// A name that may have something lowered behind it: a logarithm's base, a constant's number.
    fn named_with_subscript(&mut self, name: &str) -> Result<(), ParseError> {
        let Some(subscript) = self.subscript() else { return self.word(name) };
        let number = !subscript.is_empty() && subscript.bytes().all(|b| b.is_ascii_digit());
        match (named(name), subscript.as_str()) {
            (Some(Token::Constant), _) if number => self.push(Token::Constant),
            (Some(Token::Function(Function::Log)), "e") => self.push(Token::Function(Function::Log)),
            (Some(Token::Function(Function::Log)), base) if number => {
                let base = base.parse().ok().filter(|&base| base > 1);
                let base = base.ok_or_else(|| ParseError::new("a logarithm without a usable base"))?;
                self.push(Token::Special(Special::LogBase(base)));
            }
            _ => {
                let word = format!("{name}_{subscript}");
                return Err(ParseError::new(format!("unknown symbol or function `{}`", shorten(&word))));
            }
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), ParseError> {
        let mut text = self.take_while(|c| c.is_ascii_digit());
        if self.rest.starts_with('.') {
            text.push('.');
            self.take(1);
            text += &self.take_while(|c| c.is_ascii_digit());
        }
        // An exponent needs its digits, so that `2e` and `2e^x` stay products.
        let mut tail = self.rest.bytes();
        if matches!(tail.next(), Some(b'e' | b'E')) {
            let next = tail.next();
            let (sign, digit) = if matches!(next, Some(b'+' | b'-')) { (1, tail.next()) } else { (0, next) };
            if digit.is_some_and(|d| d.is_ascii_digit()) {
                text += &self.take(1 + sign);
                text += &self.take_while(|c| c.is_ascii_digit());
            }
        }
        self.push(literal(&text)?);
        Ok(())
    }

    /// A run of letters: a known name, or several known names written together (`sinx`, `xe`).
    fn word(&mut self, word: &str) -> Result<(), ParseError> {
        if let Some(token) = named(word) {
            self.push(token);
            return Ok(());
        }
        if let Some((_, what)) = UNEVALUATED.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)) {
            return Err(ParseError::unevaluated(what));
        }
        let mut rest = word;
        let mut parts = Vec::new();
        while !rest.is_empty() {
            let found = (1..=rest.len().min(8)).rev().find_map(|n| {
                // Only names that stay lower case when glued; `C` and `E` never are.
                let head = &rest[..n];
                let lower = head.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
                named(head).filter(|token| lower && *token != Token::Constant).map(|token| (token, n))
            });
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            match found {
                Some((token, n)) => {
                    parts.push(token);
                    rest = &rest[n..];
                }
                // `sin2x`, but not `x2`.
                None if digits > 0 && matches!(parts.last(), Some(Token::Function(_))) => {
                    parts.push(literal(&rest[..digits])?);
                    rest = &rest[digits..];
                }
                None => {
                    return Err(ParseError::new(format!("unknown symbol or function `{}`", shorten(word))));
                }
            }
        }
        parts.into_iter().for_each(|token| self.push(token));
        Ok(())
    }

    /// A LaTeX command.
    fn command(&mut self) -> Result<(), ParseError> {
        self.take(1);
        let name = self.take_while(|c| c.is_ascii_alphabetic());
        match name.as_str() {
            "" => match self.rest.chars().next() {
                Some(c @ (',' | ';' | '!' | ':' | ' ' | '(' | ')' | '[' | ']')) => {
                    self.take(c.len_utf8());
                }
                _ => return Err(ParseError::new("unexpected `\\`")),
            },
            // The delimiter that is none.
            "left" | "right" if self.rest.starts_with('.') => {
                self.take(1);
            }
            "left" | "right" | "big" | "Big" | "bigg" | "Bigg" | "bigl" | "bigr" | "Bigl" | "Bigr"
            | "displaystyle" | "quad" | "qquad" | "limits" | "boxed" => {}
            "mathrm" | "operatorname" | "text" | "mathit" | "textrm" | "mathop" | "mathcal" | "mathbf" => {
                let inner = self.rest.trim_start().strip_prefix('{').and_then(|rest| rest.split_once('}'));
                let Some((inner, rest)) = inner else {
                    return Err(ParseError::new(format!("`\\{name}` without a name")));
                };
                let inner = inner.trim().trim_end_matches('.').to_owned();
                self.rest = rest;
                if !inner.bytes().all(|b| b.is_ascii_alphabetic()) || inner.is_empty() {
                    return Err(ParseError::new(format!("words in `\\{name}`")));
                }
                self.named_with_subscript(&inner)?;
            }
            "over" => self.push(Token::Over),
            "frac" | "dfrac" | "tfrac" | "cfrac" => {
                self.push(Token::Special(Special::Fraction));
                // `\frac12`: arguments without braces are single characters.
                for _ in 0..2 {
                    let rest = self.rest.trim_start();
                    let Some(c) = rest.chars().next().filter(char::is_ascii_alphanumeric) else { break };
                    self.rest = &rest[1..];
                    self.push(Token::Open(Bracket::Curly));
                    self.letter_or_digit(c)?;
                    self.push(Token::Close(Bracket::Curly));
                }
            }
            "cdot" | "times" | "ast" => self.push(Token::Times),
            "div" => self.push(Token::Divide),
            "lvert" | "rvert" | "vert" | "mid" => self.push(Token::Bar),
            "int" | "iint" | "oint" => return Err(ParseError::unevaluated("integral")),
            "sum" => return Err(ParseError::unevaluated("sum")),
            "prod" => return Err(ParseError::unevaluated("product")),
            "lim" => return Err(ParseError::unevaluated("limit")),
            "partial" => return Err(ParseError::unevaluated("derivative")),
            _ => self.named_with_subscript(&name)?,
        }
        Ok(())
    }

    fn letter_or_digit(&mut self, c: char) -> Result<(), ParseError> {
        let mut bytes = [0; 4];
        let text = c.encode_utf8(&mut bytes);
        if c.is_ascii_digit() {
            self.push(literal(text)?);
            Ok(())
        } else {
            self.word(text)
        }
    }
}
