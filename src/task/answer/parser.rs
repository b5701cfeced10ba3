//! Tokens to expressions.

use super::lexer::{Kind, Token};
use super::term::Term;
use super::vocabulary::{ENGLISH, among};
use crate::task::expr::Function;

/// Deepest nesting of brackets, powers and functions.
const MAX_DEPTH: usize = 40;
/// Names of letters that are variables.
const LETTERS: &[&str] = &[
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu",
    "nu", "xi", "rho", "sigma", "tau", "phi", "chi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda",
    "Sigma", "Phi", "Psi", "Omega", "ell",
];
/// Longest run of letters that is a product of variables, as `abc` is.
const MAX_RUN: usize = 4;

/// An expression, and whether its notation can be read in another way.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parsed {
    pub(super) term: Term,
    /// `\log` without a base, `1/2x`.
    pub(super) doubtful: bool,
}

/// Reads tokens as one expression, with `log` of base ten if `decimal`.
pub(super) fn parse(tokens: &[Token], decimal: bool) -> Option<Parsed> {
    let mut parser = Parser { tokens, at: 0, depth: 0, bars: 0, decimal, doubtful: false };
    let term = parser.sum()?;
    (parser.at == tokens.len()).then_some(Parsed { term, doubtful: parser.doubtful })
}

/// Whether a word has a meaning of its own in an expression.
pub(super) fn is_name(word: &str) -> bool {
    matches!(word, "pi" | "log" | "lg" | "choose")
        || LETTERS.contains(&word)
        || Function::named(word).is_some()
}

/// Whether a word is the name of a capital Greek letter, `Gamma`, which is another symbol than `gamma`.
pub(super) fn is_capital_letter(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_uppercase()) && LETTERS.contains(&word)
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
    /// Bars `|` that are open.
    bars: usize,
    decimal: bool,
    doubtful: bool,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Kind> {
        self.tokens.get(self.at).map(|token| &token.kind)
    }

    fn symbol(&self) -> Option<char> {
        match self.peek() {
            Some(Kind::Symbol(symbol)) => Some(*symbol),
            _ => None,
        }
    }

    fn accept(&mut self, symbol: char) -> bool {
        let found = self.symbol() == Some(symbol);
        self.at += usize::from(found);
        found
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        self.depth += 1;
        let result = if self.depth <= MAX_DEPTH { read(self) } else { None };
        self.depth -= 1;
        result
    }

    fn sum(&mut self) -> Option<Term> {
        let mut terms = vec![(self.signs(), self.product()?)];
        while let Some(sign @ ('+' | '-')) = self.symbol() {
            self.at += 1;
            terms.push(((sign == '-') != self.signs(), self.product()?));
        }
        Some(match terms.as_mut_slice() {
            [(false, _)] => terms.swap_remove(0).1,
            _ => Term::Sum(terms),
        })
    }

    /// Signs before an operand; true if they come to a minus.
    fn signs(&mut self) -> bool {
        let mut negative = false;
        while let Some(sign @ ('+' | '-')) = self.symbol() {
            self.at += 1;
            negative ^= sign == '-';
        }
        negative
    }

    fn product(&mut self) -> Option<Term> {
        let mut factors = vec![(false, self.power()?)];
        loop {
            // In `3 x 10^8` the letter is a multiplication sign.
            let cross = matches!(self.peek(), Some(Kind::Word(word)) if matches!(word.as_str(), "x" | "X"))
                && self.at > 0
                && matches!(self.tokens[self.at - 1].kind, Kind::Number(_))
                && matches!(self.tokens.get(self.at + 1), Some(next) if matches!(next.kind, Kind::Number(_)));
            let inverse = match self.symbol() {
                Some('*') => false,
                Some('/') => true,
                _ if cross => false,
                _ if self.starts_factor() => {
                    // `1/2x`: who knows what is below the bar.
                    let short = matches!(factors.last(), Some((true, Term::Literal(_) | Term::Variable(_))));
                    self.doubtful |= short;
                    factors.push((false, self.power()?));
                    continue;
                }
                _ => break,
            };
            self.at += 1;
            let negative = self.signs();
            let factor = self.power()?;
            // A cross product changes its sign with the order.
            if is_vector(&factor) && factors.last().is_some_and(|(_, last)| is_vector(last)) {
                return None;
            }
            factors.push((inverse, if negative { Term::Sum(vec![(true, factor)]) } else { factor }));
        }
        Some(if factors.len() == 1 { factors.swap_remove(0).1 } else { Term::Product(factors) })
    }

    /// Whether what comes next may be multiplied without a sign. A number may not: `2 3` is no product.
    fn starts_factor(&self) -> bool {
        match self.peek() {
            Some(Kind::Command(_)) => true,
            Some(Kind::Word(word)) => word != "choose",
            Some(Kind::Symbol(symbol)) => match symbol {
                '(' | '[' | '{' | '⌊' | '⌈' | '√' | '∛' | '∜' => true,
                '|' => self.bars == 0,
                _ => false,
            },
            _ => false,
        }
    }

    fn power(&mut self) -> Option<Term> {
        let base = self.postfix()?;
        if !self.accept('^') {
            return Some(base);
        }
        let exponent = self.exponent()?;
        Some(Term::Power(Box::new(base), Box::new(exponent)))
    }

    fn exponent(&mut self) -> Option<Term> {
        self.nested(|p| {
            let negative = p.signs();
            let exponent = p.power()?;
            Some(if negative { Term::Sum(vec![(true, exponent)]) } else { exponent })
        })
    }

    fn postfix(&mut self) -> Option<Term> {
        let mut term = self.primary()?;
        loop {
            term = match self.symbol() {
                Some('!') => {
                    let marks = self.tokens[self.at..].iter().take_while(|token| token.is('!')).count();
                    self.at += marks - 1;
                    match marks {
                        1 => Term::Factorial(Box::new(term)),
                        2 => Term::DoubleFactorial(Box::new(term)),
                        _ => return None,
                    }
                }
                Some('%') => Term::Percent(Box::new(term)),
                // `f ∘ g` is no product.
                Some('°')
                    if matches!(term, Term::Variable(_))
                        && matches!(self.tokens.get(self.at + 1).map(|token| &token.kind),
                            Some(Kind::Word(next)) if Function::named(next).is_none()) =>
                {
                    return None;
                }
                Some('°') => Term::Degrees(Box::new(term)),
                _ => return Some(term),
            };
            self.at += 1;
        }
    }

    fn primary(&mut self) -> Option<Term> {
        let kind = self.peek()?.clone();
        self.at += 1;
        match kind {
            Kind::Number(literal) => Some(match self.mixed() {
                Some(fraction) => Term::Sum(vec![(false, Term::Literal(literal)), (false, fraction)]),
                None => Term::Literal(literal),
            }),
            Kind::Symbol('(') => self.group(')'),
            Kind::Symbol('[') => self.group(']'),
            Kind::Symbol('{') => self.group('}'),
            Kind::Symbol('⌊') => self.group('⌋').map(|term| Term::Floor(Box::new(term))),
            Kind::Symbol('⌈') => self.group('⌉').map(|term| Term::Ceiling(Box::new(term))),
            Kind::Symbol('|') => {
                self.bars += 1;
                let inside = self.nested(Self::sum)?;
                self.bars -= 1;
                self.accept('|').then(|| Term::Call(Function::Abs, Box::new(inside)))
            }
            Kind::Command("\\frac") => {
                let (above, below) = (self.argument()?, self.argument()?);
                Some(Term::Product(vec![(false, above), (true, below)]))
            }
            Kind::Command("\\binom") => {
                let (above, below) = (self.argument()?, self.argument()?);
                Some(Term::Binomial(Box::new(above), Box::new(below)))
            }
            Kind::Command(_) => {
                let degree = if self.accept('[') { self.group(']')? } else { Term::whole(2) };
                let radicand = self.argument()?;
                Some(Term::Root(Box::new(degree), Box::new(radicand)))
            }
            // The root sign covers one symbol, as in LaTeX: √2x is √2 times x.
            Kind::Symbol(sign @ ('√' | '∛' | '∜')) => {
                let degree = match sign {
                    '√' => 2,
                    '∛' => 3,
                    _ => 4,
                };
                let radicand = self.nested(Self::primary)?;
                Some(Term::Root(Box::new(Term::whole(degree)), Box::new(radicand)))
            }
            Kind::Word(word) => self.word(&word),
            Kind::Symbol(_) => None,
        }
    }

    /// A fraction of two whole numbers directly behind a whole number makes a mixed number: `1\frac{1}{2}`, `1 1/2`.
    fn mixed(&mut self) -> Option<Term> {
        if !self.tokens[self.at - 1].is_whole() {
            return None;
        }
        let start = self.at;
        let fraction = match self.tokens.get(start..)? {
            [a, b, c, ..] if a.spaced && a.is_whole() && b.is('/') && c.is_whole() => {
                self.at += 1;
                let Kind::Number(above) = a.kind.clone() else { return None };
                self.at += 1;
                let Kind::Number(below) = c.kind.clone() else { return None };
                self.at += 1;
                Some(Term::Product(vec![(false, Term::Literal(above)), (true, Term::Literal(below))]))
            }
            [a, ..] if a.kind == Kind::Command("\\frac") => self.primary(),
            _ => None,
        };
        let whole = |term: &Term| matches!(term, Term::Literal(literal) if literal.written.is_none());
        let fits =
            matches!(&fraction, Some(Term::Product(parts)) if parts.iter().all(|(_, part)| whole(part)));
        if fits {
            return fraction;
        }
        self.at = start;
        None
    }

    /// The rest of a bracket whose opening has been read.
    fn group(&mut self, close: char) -> Option<Term> {
        let bars = std::mem::take(&mut self.bars);
        let term = self.nested(|p| {
            let above = p.sum()?;
            if p.accept('⊘') {
                let below = p.sum()?;
                return Some(Term::Product(vec![(false, above), (true, below)]));
            }
            if matches!(p.peek(), Some(Kind::Word(word)) if word == "choose") {
                p.at += 1;
                let below = p.sum()?;
                return Some(Term::Binomial(Box::new(above), Box::new(below)));
            }
            Some(above)
        })?;
        self.bars = bars;
        self.accept(close).then_some(term)
    }

    /// The argument of a LaTeX command: a group, or one symbol.
    fn argument(&mut self) -> Option<Term> {
        if self.accept('{') { self.group('}') } else { self.nested(Self::primary) }
    }

    fn word(&mut self, word: &str) -> Option<Term> {
        match word {
            "pi" => return Some(Term::Pi),
            "e" => return Some(Term::E),
            "i" => return Some(Term::I),
            "log" | "Log" | "lg" => return self.logarithm(word == "lg"),
            _ => {}
        }
        if let Some(function) = Function::named(word) {
            return self.call(function);
        }
        // Functions of functions, `f(g(x))`, are no products.
        let function = |token: Option<&Token>| matches!(token.and_then(Token::word), Some("f" | "g" | "h"));
        if matches!(word, "f" | "g" | "h")
            && self.symbol() == Some('(')
            && function(self.tokens.get(self.at + 1))
            && self.tokens.get(self.at + 2).is_some_and(|token| token.is('('))
        {
            return None;
        }
        if LETTERS.contains(&word) {
            return self.variable(word);
        }
        let letters: Vec<String> = word.chars().map(String::from).collect();
        if letters.len() > 1 && (letters.len() > MAX_RUN || self.is_english(word)) || !word.is_ascii() {
            return None;
        }
        let (last, first) = letters.split_last()?;
        let letter = |name: &str| match name {
            "e" => Term::E,
            "i" => Term::I,
            _ => Term::Variable(name.to_owned()),
        };
        let mut factors: Vec<_> = first.iter().map(|name| (false, letter(name))).collect();
        let last = if matches!(last.as_str(), "e" | "i") { letter(last) } else { self.variable(last)? };
        // The power that follows belongs to the last letter.
        let last = if !factors.is_empty() && self.accept('^') {
            Term::Power(Box::new(last), Box::new(self.exponent()?))
        } else {
            last
        };
        factors.push((false, last));
        Some(if factors.len() == 1 { factors.swap_remove(0).1 } else { Term::Product(factors) })
    }

    /// Whether a run of letters, just read, is a word and no product: by its letters, or with another word beside it.
    fn is_english(&self, word: &str) -> bool {
        let beside = |token: Option<&Token>| {
            token
                .and_then(Token::word)
                .is_some_and(|other| !is_name(other) && (other.len() > 1 || other == "I"))
        };
        let mixed = word.starts_with(|c: char| c.is_ascii_uppercase())
            && word[1..].contains(|c: char| c.is_ascii_lowercase());
        let before = self.at.checked_sub(2).and_then(|place| self.tokens.get(place));
        // In `0.5at^2` it is glued to a factor.
        let glued = self.at > 1 && !self.tokens[self.at - 1].spaced;
        mixed
            || !glued && among(word, ENGLISH)
            || beside(before)
            || beside(self.tokens.get(self.at))
            || self.tokens.get(self.at).is_some_and(|token| token.is('\''))
    }

    /// A variable with the index that may follow.
    fn variable(&mut self, name: &str) -> Option<Term> {
        let index = self.index()?;
        let primes = std::iter::from_fn(|| self.accept('\'').then_some('\'')).collect::<String>();
        Some(Term::Variable(format!("{name}{index}{primes}")))
    }

    /// `_1` or `_{12}`, if there is one.
    fn index(&mut self) -> Option<String> {
        if !self.accept('_') {
            return Some(String::new());
        }
        let braces = self.accept('{');
        let mut index = "_".to_owned();
        while let Some(kind) = self.peek() {
            match kind {
                Kind::Number(literal) => index.push_str(&literal.value.to_string()),
                Kind::Word(word) => index.push_str(word),
                Kind::Symbol(symbol @ (',' | '+' | '-')) if braces => index.push(*symbol),
                _ => break,
            }
            self.at += 1;
            if !braces {
                break;
            }
        }
        (index.len() > 1 && (!braces || self.accept('}'))).then_some(index)
    }

    /// A function whose name has been read: `f(..)`, `f^n(..)`, `f 2x`.
    fn call(&mut self, function: Function) -> Option<Term> {
        let exponent = if self.accept('^') { Some(self.exponent()?) } else { None };
        let minus_one = Term::Sum(vec![(true, Term::whole(1))]);
        let (function, exponent) = match (exponent, inverse(function)) {
            (Some(exponent), Some(inverse)) if exponent == minus_one => (inverse, None),
            (exponent, _) => (function, exponent),
        };
        let argument = self.function_argument()?;
        let call = Term::Call(function, Box::new(argument));
        Some(match exponent {
            Some(exponent) => Term::Power(Box::new(call), Box::new(exponent)),
            None => call,
        })
    }

    /// `(..)`, `{..}`, or factors up to the next sign or function.
    fn function_argument(&mut self) -> Option<Term> {
        match self.symbol() {
            Some('(') => {
                self.at += 1;
                return self.group(')');
            }
            Some('{') => {
                self.at += 1;
                return self.group('}');
            }
            Some('[') => {
                self.at += 1;
                return self.group(']');
            }
            _ => {}
        }
        self.nested(|p| {
            let negative = p.signs();
            let mut factors = Vec::new();
            while match p.peek() {
                Some(Kind::Word(word)) => {
                    Function::named(word).is_none() && word != "log" || factors.is_empty()
                }
                Some(Kind::Number(_)) => factors.is_empty(),
                Some(Kind::Command(_)) => true,
                Some(Kind::Symbol('|')) => factors.is_empty() && p.bars == 0,
                _ => false,
            } {
                factors.push((false, p.power()?));
            }
            // `ln 3/2`: who knows how far the argument goes.
            p.doubtful |= matches!(p.symbol(), Some('/' | '(' | '{'));
            let argument = match factors.len() {
                0 => return None,
                1 => factors.swap_remove(0).1,
                _ => Term::Product(factors),
            };
            Some(if negative { Term::Sum(vec![(true, argument)]) } else { argument })
        })
    }

    /// A logarithm whose name has been read. Without a base, `log` may mean either of two.
    fn logarithm(&mut self, common: bool) -> Option<Term> {
        let base = if self.accept('_') {
            if self.accept('{') { self.group('}')? } else { self.nested(Self::primary)? }
        } else if common {
            Term::whole(10)
        } else {
            self.doubtful = true;
            if self.decimal { Term::whole(10) } else { Term::E }
        };
        let exponent = if self.accept('^') { Some(self.exponent()?) } else { None };
        let argument = self.function_argument()?;
        let call = match base {
            Term::E => Term::Call(Function::Log, Box::new(argument)),
            base => Term::Logarithm(Box::new(base), Box::new(argument)),
        };
        Some(match exponent {
            Some(exponent) => Term::Power(Box::new(call), Box::new(exponent)),
            None => call,
        })
    }
}

/// Whether a term is a variable with an arrow above.
fn is_vector(term: &Term) -> bool {
    matches!(term, Term::Variable(name) if name.ends_with("_vec") || name.ends_with("_overrightarrow"))
}

/// What `f^{-1}` means, for the functions where it has that meaning.
fn inverse(function: Function) -> Option<Function> {
    Some(match function {
        Function::Sin => Function::Asin,
        Function::Cos => Function::Acos,
        Function::Tan => Function::Atan,
        _ => return None,
    })
}
