//! Tokens to an expression, by recursive descent with a depth limit.
//!
//! ```text
//! sum     = [sign] product { sign product }
//! product = unary { ("*" | "/" | nothing) unary }          left to right: 1/2x is (1/2)x
//! unary   = { sign } power
//! power   = primary [ "^" unary-power ]                     right to left
//! primary = number | x | e | pi | "(" sum ")" | "|" sum "|" | name ["^" n] argument | fraction
//! ```

use super::error::ParseError;
use super::lexer::tokenize;
use super::token::{Bracket, Spanned, Special, Token};
use super::{Expr, Factor, Function, MAX_DEPTH, Number, Term};

/// What a text may hold besides an expression in `x`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grammar {
    /// Nothing.
    Expression,
    /// Constants of integration (`+ C`) as terms of the outermost sum; they are left out.
    Antiderivative,
}

/// Parses `text`.
pub fn parse(text: &str, grammar: Grammar) -> Result<Expr, ParseError> {
    let tokens = tokenize(text)?;
    if tokens.is_empty() {
        return Err(ParseError::new("empty"));
    }
    let mut parser = Parser { tokens: &tokens, position: 0, depth: 0, bars: 0 };
    let mut expr = parser.sum(grammar == Grammar::Antiderivative)?;
    // `a \over b` without braces takes all there is on both sides.
    if parser.accept(&Token::Over) {
        expr = Expr::quotient(expr, parser.sum(false)?);
    }
    match parser.peek() {
        None => Ok(expr),
        Some(token) => Err(ParseError::new(format!("unexpected {}", describe(token)))),
    }
}

type Parsed = Result<Expr, ParseError>;

struct Parser<'a> {
    tokens: &'a [Spanned],
    position: usize,
    depth: usize,
    /// Open `|`: inside, a bar after an operand closes; outside, it opens another operand.
    bars: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.position).map(|spanned| &spanned.token)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.position += 1;
        token
    }

    fn accept(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        self.position += usize::from(found);
        found
    }

    fn expect(&mut self, token: &Token) -> Result<(), ParseError> {
        if self.accept(token) {
            return Ok(());
        }
        let found = self.peek().map_or("the end".to_owned(), describe);
        Err(ParseError::new(format!("{} expected, {found} found", describe(token))))
    }

    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, ParseError>) -> Result<T, ParseError> {
        if self.depth >= MAX_DEPTH {
            return Err(ParseError::new(format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// Signs in a row: whether they amount to a minus.
    fn signs(&mut self) -> bool {
        let mut negative = false;
        while let Some(Token::Plus | Token::Minus) = self.peek() {
            negative ^= self.peek() == Some(&Token::Minus);
            self.position += 1;
        }
        negative
    }

    fn sum(&mut self, with_constant: bool) -> Parsed {
        let mut terms = Vec::new();
        loop {
            let negative = self.signs();
            let following = self.tokens.get(self.position + 1).map(|spanned| &spanned.token);
            let alone = matches!(following, None | Some(Token::Plus | Token::Minus));
            if with_constant && alone && self.peek() == Some(&Token::Constant) {
                self.position += 1;
            } else {
                terms.push(Term { negative, expr: self.product()? });
            }
            if !matches!(self.peek(), Some(Token::Plus | Token::Minus)) {
                break;
            }
        }
        if terms.len() == 1 && !terms[0].negative {
            return Ok(terms.swap_remove(0).expr);
        }
        if terms.is_empty() {
            return Err(ParseError::new("nothing but a constant of integration"));
        }
        Ok(Expr::Sum(terms))
    }

    fn product(&mut self) -> Parsed {
        let mut factors = vec![Factor { inverse: false, expr: self.unary()? }];
        loop {
            let inverse = match self.peek() {
                Some(Token::Times) => false,
                Some(Token::Divide) => true,
                Some(_) if self.starts_operand() => {
                    factors.push(Factor { inverse: false, expr: self.power()? });
                    continue;
                }
                _ => break,
            };
            self.position += 1;
            factors.push(Factor { inverse, expr: self.unary()? });
        }
        if factors.len() == 1 { Ok(factors.swap_remove(0).expr) } else { Ok(Expr::Product(factors)) }
    }

    /// Whether the next token begins a factor of an implied product.
    fn starts_operand(&self) -> bool {
        let Some(spanned) = self.tokens.get(self.position) else { return false };
        if spanned.after_break {
            return false;
        }
        match spanned.token {
            Token::Number(_) => {
                // `x 2` is a slip rather than a product, `) 2` and `2 3` as well; only LaTeX-like groups end before a number.
                matches!(self.tokens.get(self.position.wrapping_sub(1)), Some(s) if s.token == Token::Close(Bracket::Curly))
            }
            Token::Variable
            | Token::E
            | Token::Pi
            | Token::Function(_)
            | Token::Special(_)
            | Token::Constant
            | Token::Open(_) => true,
            Token::Bar => self.bars == 0,
            _ => false,
        }
    }

    fn unary(&mut self) -> Parsed {
        let negative = self.signs();
        let power = self.power()?;
        Ok(if negative { Expr::negated(power) } else { power })
    }

    fn power(&mut self) -> Parsed {
        let base = self.primary()?;
        if !self.accept(&Token::Power) {
            return Ok(base);
        }
        let exponent = self.nested(|p| p.unary())?;
        Ok(Expr::Power(Box::new(base), Box::new(exponent)))
    }

    fn group(&mut self, bracket: Bracket) -> Parsed {
        let outer = std::mem::take(&mut self.bars);
        let mut inner = self.nested(|p| p.sum(false))?;
        if bracket == Bracket::Curly && self.accept(&Token::Over) {
            inner = Expr::quotient(inner, self.nested(|p| p.sum(false))?);
        }
        self.bars = outer;
        self.expect(&Token::Close(bracket))?;
        Ok(inner)
    }

    /// The fraction of a mixed number, whose whole part has been read: `1\frac{1}{2}` is 3/2 and no product. `None` if what follows is
    /// no fraction of whole numbers.
    fn mixed(&mut self, whole: &Number) -> Result<Option<Expr>, ParseError> {
        use Bracket::Curly;
        let following = self.tokens.get(self.position..self.position + 7).unwrap_or_default();
        let following: Vec<&Token> = following.iter().map(|spanned| &spanned.token).collect();
        let &[
            Token::Special(Special::Fraction),
            Token::Open(Curly),
            Token::Number(numerator),
            Token::Close(Curly),
            Token::Open(Curly),
            Token::Number(denominator),
            Token::Close(Curly),
        ] = following.as_slice()
        else {
            return Ok(None);
        };
        let is_whole = |number: &Number| number.text.bytes().all(|b| b.is_ascii_digit());
        if ![whole, numerator, denominator].into_iter().all(is_whole) {
            return Ok(None);
        }
        if numerator.value >= denominator.value {
            return Err(ParseError::new("a number before a fraction: write `*` or `+` between them"));
        }
        let parts = [Expr::Number(numerator.clone()), Expr::Number(denominator.clone())];
        self.position += 7;
        let [numerator, denominator] = parts;
        let terms = [Expr::Number(whole.clone()), Expr::quotient(numerator, denominator)];
        Ok(Some(Expr::Sum(terms.map(|expr| Term { negative: false, expr }).into())))
    }

    fn primary(&mut self) -> Parsed {
        match self.next() {
            Some(Token::Number(number)) => {
                Ok(self.mixed(&number)?.unwrap_or_else(|| Expr::Number(number.clone())))
            }
            Some(Token::Variable) => Ok(Expr::Variable),
            Some(Token::E) => Ok(Expr::E),
            Some(Token::Pi) => Ok(Expr::Pi),
            Some(Token::Open(bracket)) => self.group(bracket),
            Some(Token::Bar) => {
                self.bars += 1;
                let inner = self.nested(|p| p.sum(false))?;
                self.bars -= 1;
                self.expect(&Token::Bar)?;
                Ok(Expr::Call(Function::Abs, Box::new(inner)))
            }
            Some(Token::Function(function)) => self.nested(|p| p.call(function)),
            Some(Token::Special(special)) => self.nested(|p| p.special(special)),
            Some(Token::Constant) => Err(ParseError::new("a constant of integration inside the expression")),
            Some(token) => Err(ParseError::new(format!("unexpected {}", describe(&token)))),
            None => Err(ParseError::new("ends too early")),
        }
    }

    /// A function whose name has been read: `f(..)`, `f^n(..)`, `f 2x`.
    fn call(&mut self, mut function: Function) -> Parsed {
        // The root of LaTeX: \sqrt[3]{x}. Without braces behind, square brackets are plain ones.
        if function == Function::Sqrt && self.peek() == Some(&Token::Open(Bracket::Square)) {
            self.position += 1;
            let first = self.group(Bracket::Square)?;
            if !self.accept(&Token::Open(Bracket::Curly)) {
                return Ok(Expr::Call(function, Box::new(first)));
            }
            let radicand = self.group(Bracket::Curly)?;
            return Ok(root(radicand, first));
        }
        let mut power = None;
        if self.accept(&Token::Power) {
            // One primary: in `sin^2 x` the x is the argument, not a factor of the exponent.
            let negative = self.signs();
            let exponent = self.primary()?;
            let minus_one =
                negative && exponent == Expr::integer(1) || exponent == Expr::negated(Expr::integer(1));
            match (minus_one, function.inverse()) {
                (true, Some(inverse)) => function = inverse,
                _ => power = Some(if negative { Expr::negated(exponent) } else { exponent }),
            }
        }
        let argument = match self.peek() {
            Some(&Token::Open(bracket)) => {
                self.position += 1;
                let outer = std::mem::take(&mut self.bars);
                let first = self.nested(|p| p.sum(false))?;
                let second =
                    if self.accept(&Token::Comma) { Some(self.nested(|p| p.sum(false))?) } else { None };
                self.bars = outer;
                self.expect(&Token::Close(bracket))?;
                match (function, second) {
                    (_, None) => first,
                    (Function::Log, Some(base)) if power.is_none() => return Ok(logarithm(first, base)),
                    _ => return Err(ParseError::new(format!("`{}` takes one argument", function.name()))),
                }
            }
            // The root sign covers one symbol, as in LaTeX: √2x is √2 times x.
            _ if matches!(function, Function::Sqrt | Function::Cbrt) => self.primary()?,
            _ => self.bare_argument()?,
        };
        let call = Expr::Call(function, Box::new(argument));
        Ok(match power {
            Some(power) => Expr::Power(Box::new(call), Box::new(power)),
            None => call,
        })
    }

    /// An argument without parentheses: `sin 2x`, `ln |x|`, `\sin \frac{x}{2}`. It ends at an operator, a parenthesis or a name.
    fn bare_argument(&mut self) -> Parsed {
        let negative = self.signs();
        let simple = |token: Option<&Token>| {
            matches!(token, Some(Token::Number(_) | Token::Variable | Token::E | Token::Pi))
        };
        let first = match self.peek() {
            Some(Token::Bar | Token::Function(_) | Token::Special(Special::Fraction)) => self.power()?,
            token if simple(token) => {
                let mut factors = Vec::new();
                while simple(self.peek()) && (factors.is_empty() || self.starts_operand()) {
                    factors.push(Factor { inverse: false, expr: self.power()? });
                }
                if factors.len() == 1 { factors.swap_remove(0).expr } else { Expr::Product(factors) }
            }
            _ => return Err(ParseError::new("a function without an argument")),
        };
        Ok(if negative { Expr::negated(first) } else { first })
    }

    fn special(&mut self, special: Special) -> Parsed {
        match special {
            Special::LogBase(base) => {
                let Expr::Call(_, argument) = self.call(Function::Log)? else {
                    return Err(ParseError::new(format!("`log{base}` takes one argument and no power")));
                };
                Ok(logarithm(*argument, Expr::integer(base)))
            }
            Special::Erfc => Ok(sum([(false, Expr::integer(1)), (true, self.plain_call(Function::Erf)?)])),
            Special::ExpMinusOne => {
                Ok(sum([(false, self.plain_call(Function::Exp)?), (true, Expr::integer(1))]))
            }
            Special::LogOnePlus => {
                let Expr::Call(log, argument) = self.plain_call(Function::Log)? else {
                    return Err(ParseError::new("a logarithm without an argument"));
                };
                let argument = sum([(false, Expr::integer(1)), (false, *argument)]);
                Ok(Expr::Call(log, Box::new(argument)))
            }
            Special::Fraction => {
                let numerator = self.fraction_part()?;
                let denominator = self.fraction_part()?;
                Ok(Expr::quotient(numerator, denominator))
            }
            Special::Pow | Special::Root | Special::Rational => {
                self.expect(&Token::Open(Bracket::Round))?;
                let outer = std::mem::take(&mut self.bars);
                let first = self.nested(|p| p.sum(false))?;
                self.expect(&Token::Comma)?;
                let second = self.nested(|p| p.sum(false))?;
                self.bars = outer;
                self.expect(&Token::Close(Bracket::Round))?;
                Ok(match special {
                    Special::Pow => Expr::Power(Box::new(first), Box::new(second)),
                    Special::Root => root(first, second),
                    _ => Expr::quotient(first, second),
                })
            }
        }
    }

    /// A call without a power or a second argument, for names that stand for more than one function.
    fn plain_call(&mut self, function: Function) -> Parsed {
        match self.call(function)? {
            call @ Expr::Call(..) => Ok(call),
            _ => Err(ParseError::new("`erfc`, `log1p` and `expm1` take one argument and no power")),
        }
    }

    fn fraction_part(&mut self) -> Parsed {
        match self.peek() {
            Some(Token::Open(Bracket::Curly)) => {
                self.position += 1;
                self.group(Bracket::Curly)
            }
            Some(
                Token::Number(_) | Token::Variable | Token::E | Token::Pi | Token::Special(Special::Fraction),
            ) => self.nested(|p| p.primary()),
            _ => Err(ParseError::new("`\\frac` without its two arguments")),
        }
    }
}

/// A sum of terms with whether each is subtracted.
fn sum(terms: [(bool, Expr); 2]) -> Expr {
    Expr::Sum(terms.into_iter().map(|(negative, expr)| Term { negative, expr }).collect())
}

fn logarithm(argument: Expr, base: Expr) -> Expr {
    let log = |expr| Expr::Call(Function::Log, Box::new(expr));
    Expr::quotient(log(argument), log(base))
}

fn root(radicand: Expr, degree: Expr) -> Expr {
    if degree == Expr::integer(3) {
        return Expr::Call(Function::Cbrt, Box::new(radicand));
    }
    Expr::Power(Box::new(radicand), Box::new(Expr::quotient(Expr::integer(1), degree)))
}

fn describe(token: &Token) -> String {
    let symbol = match token {
        Token::Number(number) => {
            return format!("number {}", number.text.chars().take(24).collect::<String>());
        }
        Token::Function(function) => return format!("function {}", function.name()),
        Token::Special(_) => return "function".to_owned(),
        Token::Constant => return "constant of integration".to_owned(),
        Token::Variable => "x",
        Token::E => "e",
        Token::Pi => "pi",
        Token::Plus => "+",
        Token::Minus => "-",
        Token::Times => "*",
        Token::Divide => "/",
        Token::Power => "^",
        Token::Open(Bracket::Round) => "(",
        Token::Close(Bracket::Round) => ")",
        Token::Open(Bracket::Square) => "[",
        Token::Close(Bracket::Square) => "]",
        Token::Open(Bracket::Curly) => "{",
        Token::Close(Bracket::Curly) => "}",
        Token::Bar => "|",
        Token::Comma => ",",
        Token::Over => "\\over",
    };
    format!("`{symbol}`")
}
