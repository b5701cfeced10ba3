//! What an answer can be, and how tokens are read as it.

use num_traits::ToPrimitive;

use super::lexer::{Commas, Kind, Token, tokenize};
use super::number::{Literal, same};
use super::parser::{is_name, parse};
use super::spoken::rewritten;
use super::symbols::{is_open, is_symbol};
use super::term::Term;
use super::units::{Unit, is_unit};
use super::{Same, structure};

/// Deepest nesting of lists in lists.
const MAX_DEPTH: usize = 12;
/// Words before a value that change nothing.
const FILLERS: &[&str] =
    &["about", "approximately", "approx", "exactly", "roughly", "simply", "just", "around"];

/// The word between the items of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Junction {
    And,
    Or,
}

/// One reading of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Several readings of the same text.
    Either(Vec<Value>),
    /// A number or an expression, perhaps with a unit.
    Quantity {
        term: Term,
        unit: Option<Unit>,
        /// The notation has other readings, so that a difference proves nothing.
        doubtful: bool,
    },
    /// Digits in another base, `52_8`, with what they come to.
    Based { digits: Term, base: u32, value: Term },
    /// Plus or minus infinity.
    Infinity(bool),
    /// `x = 5`, with the left side as an expression if it is one.
    Named { name: String, left: Option<Term>, value: Box<Value> },
    /// Two sides that are equal.
    Equation(Term, Term),
    /// The first side is less than the second, or not greater if `closed`.
    Less { sides: (Term, Term), closed: bool },
    /// Items in brackets; both `' '` without any.
    List {
        open: char,
        close: char,
        items: Vec<Value>,
        /// Written with `and` or `or`, or by `±`: the order means nothing.
        joined: bool,
        /// Written with `or` and without `and`, with `and` and without `or`, or neither.
        junction: Option<Junction>,
    },
    /// From `low` to `high`, each with whether it belongs to it; of the variable, if one was named.
    Interval { low: (Box<Value>, bool), high: (Box<Value>, bool), variable: Option<String> },
    /// Intervals and sets together.
    Union(Vec<Value>),
    /// Rows.
    Matrix(Vec<Vec<Value>>),
    /// `3:4`.
    Ratio(Vec<Term>),
    /// From one number to another, as a text: `3-5`.
    Range(Box<Value>, Box<Value>),
    /// A time of day, and whether it said which half.
    Time { hour: u32, minute: u32, second: u32, half: bool },
    /// A date; the year or the day is 0 if there is none.
    Date { year: u32, month: u32, day: u32 },
    /// The letter of a choice with what it stands for.
    Choice(char, Option<String>),
    /// Words in a list.
    Text(String),
}

impl Value {
    /// A number or expression without doubts.
    pub(super) fn plain(term: Term) -> Self {
        Self::Quantity { term, unit: None, doubtful: false }
    }

    /// The same, with a notation that has other readings.
    pub(super) fn doubted(self) -> Self {
        match self {
            Self::Quantity { term, unit, .. } => Self::Quantity { term, unit, doubtful: true },
            Self::Either(readings) => Self::Either(readings.into_iter().map(Self::doubted).collect()),
            other => other,
        }
    }
}

/// Reads parts of a text.
pub(super) struct Reader<'a> {
    /// The normalised text that the tokens are of.
    pub(super) text: &'a str,
    /// Whether `log` is to base ten.
    pub(super) decimal: bool,
    pub(super) depth: usize,
}

impl Reader<'_> {
    /// The text of some tokens.
    pub(super) fn source(&self, tokens: &[Token]) -> &str {
        match (tokens.first(), tokens.last()) {
            (Some(first), Some(last)) => &self.text[first.start..last.end],
            _ => "",
        }
    }

    /// The value that the tokens are, whole.
    pub(super) fn value(&mut self, tokens: &[Token]) -> Option<Value> {
        let mut tokens = tokens;
        while let [first, rest @ ..] = tokens {
            let filler = first.is('≈')
                || first.is('=')
                || first.is('~') && rest.first().is_none_or(|next| next.word().is_none())
                || first.word().is_some_and(|word| FILLERS.contains(&word.to_lowercase().as_str()));
            if !filler {
                break;
            }
            tokens = rest;
        }
        if tokens.is_empty() || self.depth >= MAX_DEPTH {
            return None;
        }
        self.depth += 1;
        let value = structure::read(self, tokens).unwrap_or_else(|| self.leaf(tokens));
        self.depth -= 1;
        value
    }

    /// An item of a list: words if it has no value.
    pub(super) fn item(&mut self, tokens: &[Token]) -> Option<Value> {
        self.value(tokens).or_else(|| self.spoken(tokens)).or_else(|| {
            let words = tokens.iter().all(|token| token.word().is_some_and(|word| !is_name(word)));
            let dots = matches!(tokens, [only] if only.is('…'));
            (words && !tokens.is_empty() && tokens.len() <= 2 || dots)
                .then(|| Value::Text(self.source(tokens).to_owned()))
        })
    }

    /// Words that say a number or a formula.
    fn spoken(&self, tokens: &[Token]) -> Option<Value> {
        let spoken = rewritten(self.source(tokens)).filter(|spoken| !spoken.doubtful)?;
        let tokens = tokenize(&spoken.text, Commas::Group)?;
        Reader { text: &spoken.text, ..*self }.value(&tokens)
    }

    /// The tokens as one expression.
    pub(super) fn term(&self, tokens: &[Token]) -> Option<Term> {
        parse(tokens, self.decimal).map(|parsed| parsed.term)
    }

    /// A number, an expression or a quantity.
    pub(super) fn leaf(&mut self, tokens: &[Token]) -> Option<Value> {
        if let Some(infinity) = infinity(tokens) {
            return Some(infinity);
        }
        if let Some(based) = based(tokens) {
            return Some(based);
        }
        if tokens.iter().any(|token| token.is('±') || token.is('∓')) {
            return self.both_signs(tokens);
        }
        if let Some(value) = self.currency(tokens) {
            return Some(value);
        }
        let mut found: Vec<Value> = self.expression(tokens).into_iter().collect();
        found.extend(self.with_unit(tokens));
        if found.is_empty() {
            found.extend(self.compound(tokens));
        }
        found.extend(self.range(tokens));
        match found.len() {
            0 => None,
            1 => found.pop(),
            _ => Some(Value::Either(found)),
        }
    }

    fn expression(&self, tokens: &[Token]) -> Option<Value> {
        let parsed = parse(tokens, self.decimal)?;
        // A run of letters alone is a word, unless they are the usual names of variables.
        if let [token] = tokens
            && let Some(word) = token.word()
            && word.len() > 1
            && !is_name(word)
            && !word.chars().all(|c| matches!(c, 'x' | 'y' | 'z' | 't' | 'n' | 'k' | 'm'))
        {
            return None;
        }
        let (term, unit) = match parsed.term {
            Term::Percent(inner) => (*inner, Some(Unit::symbol("%"))),
            Term::Degrees(inner) => (*inner, Some(Unit::symbol("°"))),
            Term::Sum(mut terms) if terms.len() == 1 => {
                let (negative, inner) = terms.swap_remove(0);
                match inner {
                    Term::Percent(inner) => (Term::Sum(vec![(negative, *inner)]), Some(Unit::symbol("%"))),
                    Term::Degrees(inner) => (Term::Sum(vec![(negative, *inner)]), Some(Unit::symbol("°"))),
                    inner => (Term::Sum(vec![(negative, inner)]), None),
                }
            }
            term => (term, None),
        };
        // `2.5k` may be thousands, `2 mil` millions.
        let thousands = matches!(tokens, [number, letter]
            if matches!(number.kind, Kind::Number(_)) && matches!(letter.word(), Some("k" | "K" | "M" | "B" | "mil" | "mill" | "mn")));
        Some(Value::Quantity { term, unit, doubtful: parsed.doubtful || thousands })
    }

    /// A number with a unit behind it.
    fn with_unit(&self, tokens: &[Token]) -> Option<Value> {
        for place in 1..tokens.len() {
            let token = &tokens[place];
            let starts = match &token.kind {
                Kind::Word(word) => {
                    let known = is_unit(word) || is_open(word);
                    let ordinal = !token.spaced && matches!(word.as_str(), "st" | "nd" | "rd" | "th");
                    ordinal
                        || (is_symbol(word) || word == "psi") && token.spaced
                        || !is_name(word) && (known || word.chars().count() > 2 && token.spaced)
                }
                Kind::Symbol('°') => {
                    matches!(tokens.get(place + 1).and_then(Token::word), Some("C" | "F" | "c" | "f"))
                }
                Kind::Symbol('/') => tokens
                    .get(place + 1)
                    .and_then(Token::word)
                    .is_some_and(|word| word.len() > 1 && is_unit(word) && !is_name(word)),
                Kind::Symbol('€' | '£' | '¥' | '₹' | '¢' | '$') => true,
                Kind::Symbol('(') => {
                    tokens.get(place + 1).and_then(Token::word).is_some_and(|word| word.len() > 1)
                }
                Kind::Symbol('-') => tokens
                    .get(place + 1)
                    .and_then(Token::word)
                    .is_some_and(|word| word.len() > 2 && !is_name(word)),
                _ => false,
            };
            let operator = matches!(tokens[place - 1].kind, Kind::Symbol('+' | '-' | '*' | '/' | '^' | '('));
            // `I would` is no quantity of I.
            let amount = tokens[..place].iter().any(|token| {
                matches!(token.kind, Kind::Number(_) | Kind::Command(_)) || token.word() == Some("pi")
            });
            if !starts || operator || !amount {
                continue;
            }
            let rest = if token.is('-') { &tokens[place + 1..] } else { &tokens[place..] };
            let Some(parsed) = parse(&tokens[..place], self.decimal) else { continue };
            if let Some(mut unit) = Unit::read(rest, self.text) {
                unit.doubtful = rest.len() == 1 && rest[0].end - rest[0].start == 1 && !rest[0].spaced;
                // `20 C` is sooner a temperature than a charge.
                unit.doubtful |= unit.is("C") && rest.len() == 1 && rest[0].end - rest[0].start == 1;
                return Some(Value::Quantity {
                    term: parsed.term,
                    unit: Some(unit),
                    doubtful: parsed.doubtful,
                });
            }
        }
        None
    }

    /// `$18`, `-$5`, `USD 18`, `$1.5 million`.
    fn currency(&mut self, tokens: &[Token]) -> Option<Value> {
        let (negative, rest) = match tokens {
            [first, rest @ ..] if first.is('-') => (true, rest),
            _ => (false, tokens),
        };
        let [symbol, rest @ ..] = rest else { return None };
        let name = match &symbol.kind {
            Kind::Symbol(symbol @ ('$' | '€' | '£' | '¥' | '₹')) => symbol.to_string(),
            Kind::Word(word)
                if matches!(word.as_str(), "USD" | "EUR" | "GBP" | "JPY" | "Rs" | "INR" | "US") =>
            {
                word.clone()
            }
            _ => return None,
        };
        if name == "US" {
            return if rest.first()?.is('$') { self.currency(rest) } else { None };
        }
        let rest = if rest.first().is_some_and(|token| token.is('.')) { &rest[1..] } else { rest };
        let Some(Value::Quantity { term, unit, doubtful }) = first_quantity(self.leaf(rest)?) else {
            return None;
        };
        let mut currency = Unit::symbol(&name);
        match unit {
            Some(unit) if unit.is("count") => {
                currency.factor *= unit.factor;
                currency.scale *= unit.scale;
            }
            Some(unit) if unit.is_scaled() && !unit.known => {
                currency.factor *= &unit.scale;
                currency.scale *= unit.scale;
            }
            // `$5 per hour`; but `$5 profit` and `$5 USD` are dollars.
            Some(unit) if unit.known && !unit.is_money() => currency = currency.times(&unit),
            _ => {}
        }
        let term = if negative { Term::Sum(vec![(true, term)]) } else { term };
        Some(Value::Quantity { term, unit: Some(currency), doubtful })
    }

    /// `2 hours 30 minutes`: quantities of one kind, added.
    fn compound(&self, tokens: &[Token]) -> Option<Value> {
        let starts: Vec<usize> = (0..tokens.len())
            .filter(|&at| {
                matches!(tokens[at].kind, Kind::Number(_)) && (at == 0 || tokens[at - 1].word().is_some())
            })
            .collect();
        if starts.len() < 2 || starts[0] != 0 {
            return None;
        }
        let parts: Option<Vec<Value>> = starts
            .iter()
            .enumerate()
            .map(|(place, &start)| {
                let end = starts.get(place + 1).copied().unwrap_or(tokens.len());
                self.with_unit(&tokens[start..end])
            })
            .collect();
        added(&parts?)
    }

    /// `3-5`: also a range, beside the difference.
    fn range(&mut self, tokens: &[Token]) -> Option<Value> {
        let place = tokens.iter().position(|token| token.is('-') || token.word() == Some("to"))?;
        let number = |token: &Token| matches!(token.kind, Kind::Number(_));
        if place == 0 || !number(&tokens[place - 1]) || !tokens.get(place + 1).is_some_and(number) {
            return None;
        }
        let bare = place == 1 && tokens.len() == 3;
        if tokens[place].is('-') && !bare {
            return None;
        }
        let (low, high) = (self.leaf(&tokens[..place])?, self.leaf(&tokens[place + 1..])?);
        Some(Value::Range(Box::new(low), Box::new(high)))
    }

    /// `1 ± 2` is a set of two.
    fn both_signs(&mut self, tokens: &[Token]) -> Option<Value> {
        let signed = |upper: char, lower: char| -> Vec<Token> {
            let mut tokens = tokens.to_vec();
            for token in &mut tokens {
                if token.is('±') {
                    token.kind = Kind::Symbol(upper);
                } else if token.is('∓') {
                    token.kind = Kind::Symbol(lower);
                }
            }
            tokens
        };
        let items = vec![self.leaf(&signed('+', '-'))?, self.leaf(&signed('-', '+'))?];
        Some(Value::List { open: '⦃', close: '⦄', items, joined: true, junction: None })
    }
}

/// Plus or minus infinity.
fn infinity(tokens: &[Token]) -> Option<Value> {
    let endless = |token: &Token| {
        token.is('∞') || matches!(token.word(), Some("infinity" | "inf" | "Infinity" | "oo" | "infty"))
    };
    match tokens {
        [token] if endless(token) => Some(Value::Infinity(false)),
        [sign, token] if endless(token) && sign.is('+') => Some(Value::Infinity(false)),
        [sign, token] if endless(token) && sign.is('-') => Some(Value::Infinity(true)),
        _ => None,
    }
}

/// A whole number with its base as an index.
fn based(tokens: &[Token]) -> Option<Value> {
    let plain: Vec<&Token> = tokens.iter().filter(|token| !token.is('{') && !token.is('}')).collect();
    let [number, mark, base] = plain.as_slice() else { return None };
    let (Kind::Number(digits), true, Kind::Number(base)) = (&number.kind, mark.is('_'), &base.kind) else {
        return None;
    };
    let base = base.value.to_integer().to_u32().filter(|base| (2..=36).contains(base))?;
    let value = num_bigint::BigInt::parse_bytes(digits.value.to_integer().to_string().as_bytes(), base)?;
    let literal = |value| Term::Literal(Literal { value, written: None });
    Some(Value::Based {
        digits: Term::Literal(digits.clone()),
        base,
        value: literal(num_rational::BigRational::from_integer(value)),
    })
}

/// The first quantity among readings.
fn first_quantity(value: Value) -> Option<Value> {
    match value {
        Value::Either(readings) => {
            let unit =
                readings.iter().position(|value| matches!(value, Value::Quantity { unit: Some(_), .. }));
            readings.into_iter().nth(unit.unwrap_or(0)).and_then(first_quantity)
        }
        value @ Value::Quantity { .. } => Some(value),
        _ => None,
    }
}

/// The sum of quantities of one known kind, in the unit of the first.
pub(super) fn added(parts: &[Value]) -> Option<Value> {
    let quantity = |value: &Value| match first_quantity(value.clone()) {
        Some(Value::Quantity { term, unit: Some(unit), doubtful: false }) if unit.known => Some((term, unit)),
        _ => None,
    };
    let parts: Vec<_> = parts.iter().map(quantity).collect::<Option<_>>()?;
    let (_, first) = parts.first()?.clone();
    let mut terms = Vec::new();
    for (term, unit) in parts {
        if unit.dimensions != first.dimensions || unit.factor > first.factor {
            return None;
        }
        let scale = &unit.factor / &first.factor;
        let scale = Term::Literal(Literal { value: scale, written: None });
        terms.push((false, Term::Product(vec![(false, term), (false, scale)])));
    }
    (terms.len() > 1).then_some(Value::Quantity {
        term: Term::Sum(terms),
        unit: Some(first),
        doubtful: false,
    })
}

/// Whether two constant terms are equal.
pub(super) fn equal_constants(a: &Term, b: &Term) -> bool {
    !a.has_variable() && !b.has_variable() && same(&a.constant(), &b.constant(), 0.0) != Same::No
}
