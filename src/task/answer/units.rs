//! Units behind a number, and what they convert to.

use num_rational::BigRational;

use super::derived;
use super::lexer::{Kind, Token};
use super::names_of_units::{PHRASES, SEVERAL, UNITS};
use super::numerals::is_numeral;
use super::symbols::{Symbol, in_another_case, is_symbol, long_prefix, prefixed};
use super::vocabulary::{NOT_UNITS, among};

/// What a unit measures: metres, seconds and so on with their powers. Units that are not known measure themselves.
type Dimensions = Vec<(String, i32)>;

/// A unit: how many base units it is of, and of what.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Unit {
    pub(super) factor: BigRational,
    pub(super) dimensions: Dimensions,
    /// Whether every part of it is a unit that the table knows.
    pub(super) known: bool,
    /// One letter written directly behind the number, as in `5m`: it may be a variable.
    pub(super) doubtful: bool,
    /// Whether factors follow a division without brackets, as in `J/kg K`: they may belong below it.
    pub(super) open: bool,
    /// What words such as `million` before it multiply it by; a part of the factor.
    pub(super) scale: BigRational,
}

/// Most words of a unit.
const MAX_WORDS: usize = 6;

/// The singular of a word.
fn singular(word: &str) -> String {
    let lower = word.to_lowercase();
    for (ending, instead) in [("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh")] {
        if let Some(stem) = lower.strip_suffix(ending).filter(|stem| stem.len() > 1) {
            return format!("{stem}{instead}");
        }
    }
    match lower.strip_suffix('s').filter(|stem| stem.len() > 2 && !stem.ends_with('s')) {
        Some(stem) => stem.to_owned(),
        None => lower,
    }
}

fn find(word: &str) -> Option<Symbol> {
    let listed = |word: &str| UNITS.iter().find(|(names, ..)| names.contains(&word));
    let symbol = |(_, base, above, below): &(&[&str], &'static str, i64, i64)| Symbol {
        base,
        factor: BigRational::new((*above).into(), (*below).into()),
        rate: false,
    };
    // Symbols as written, names in any number and case; then symbols in another case.
    if let Some(found) = listed(word).map(symbol).or_else(|| prefixed(word)) {
        return Some(found);
    }
    let singular = singular(word);
    let named = |word: &str| {
        let row = UNITS.iter().find(|(names, ..)| names.iter().any(|name| name.len() > 2 && *name == word));
        row.map(symbol)
    };
    let long = || {
        let (power, rest) = long_prefix(&singular)?;
        let mut unit = named(rest)?;
        unit.factor *= BigRational::from_integer(10.into()).pow(power);
        Some(unit)
    };
    named(&singular).or_else(long).or_else(|| {
        let meant = in_another_case(word)?;
        listed(meant).map(symbol).or_else(|| prefixed(meant))
    })
}

/// Whether a word is a unit of the table.
pub(super) fn is_unit(word: &str) -> bool {
    find(word).is_some()
}

impl Unit {
    /// The unit of that symbol.
    pub(super) fn symbol(name: &str) -> Self {
        let mut unit = Self::none();
        unit.multiply(name, 1);
        unit
    }

    fn none() -> Self {
        Self {
            factor: BigRational::from_integer(1.into()),
            dimensions: Vec::new(),
            known: true,
            doubtful: false,
            open: false,
            scale: BigRational::from_integer(1.into()),
        }
    }

    /// Whether it counts in thousands, dozens and so on.
    pub(super) fn is_scaled(&self) -> bool {
        self.scale != BigRational::from_integer(1.into())
    }

    fn multiply(&mut self, word: &str, power: i32) {
        // Names of speeds.
        match word {
            "mph" => {
                return [("mi", power), ("h", -power)]
                    .into_iter()
                    .for_each(|(word, power)| self.multiply(word, power));
            }
            "kph" | "kmph" | "kmh" => {
                return [("km", power), ("h", -power)]
                    .into_iter()
                    .for_each(|(word, power)| self.multiply(word, power));
            }
            _ => {}
        }
        let name = match find(word) {
            Some(Symbol { base, factor, rate }) => {
                self.factor *= factor.pow(power);
                self.known &= !SEVERAL.contains(&base);
                if rate {
                    self.measure("s", -power);
                }
                if base == "count" && power == 1 {
                    self.scale *= factor;
                }
                base.to_owned()
            }
            // `A` is also an article, a grade and a choice: it is ampere only beside `mA`.
            None => {
                self.known = false;
                if is_symbol(word) { word.to_owned() } else { singular(word) }
            }
        };
        // A litre is a cubic decimetre.
        if name == "l" {
            self.factor *= BigRational::new(1.into(), 1000.into()).pow(power);
            return self.measure("m", 3 * power);
        }
        self.measure(&name, power);
    }

    fn measure(&mut self, name: &str, power: i32) {
        match self.dimensions.iter_mut().find(|(other, _)| other == name) {
            Some((_, sum)) => *sum += power,
            None => self.dimensions.push((name.to_owned(), power)),
        }
        self.dimensions.retain(|(_, power)| *power != 0);
        self.dimensions.sort();
    }

    /// The same in units that are made of no others: `N m` and `J` are both `kg m^2/s^2`.
    pub(super) fn reduced(&self) -> Self {
        let mut unit = Self { dimensions: Vec::new(), ..self.clone() };
        for (name, power) in &self.dimensions {
            match derived::parts(name) {
                Some((factor, parts)) => {
                    unit.factor *= factor.pow(*power);
                    parts.iter().for_each(|(part, times)| unit.measure(part, times * power));
                }
                None => unit.measure(name, *power),
            }
        }
        unit
    }

    /// Whether all that it measures is known, where symbols alone may be names of other things.
    pub(super) fn is_measured(&self) -> bool {
        let several = |name: &str| SEVERAL.contains(&name);
        self.dimensions.iter().all(|(name, _)| !several(name) && (is_unit(name) || is_symbol(name)))
    }

    /// Whether it measures something that other units measure as well, and no money, count or share.
    pub(super) fn is_physical(&self) -> bool {
        const BASES: [&str; 8] = ["m", "g", "s", "A", "K", "mol", "bit", "rad"];
        self.is_measured() && self.reduced().dimensions.iter().all(|(name, _)| BASES.contains(&name.as_str()))
    }

    /// What it measures but for one part.
    pub(super) fn without(&self, name: &str) -> Dimensions {
        self.dimensions.iter().filter(|(other, _)| other != name).cloned().collect()
    }

    /// Whether it is this unit alone.
    pub(super) fn is(&self, name: &str) -> bool {
        matches!(self.dimensions.as_slice(), [(only, 1)] if only == name)
    }

    /// What one of it is in the other units for the same, and in those alone.
    pub(super) fn conversions(&self) -> impl Iterator<Item = BigRational> {
        let base = match self.dimensions.as_slice() {
            [(base, 1)] if self.known && base != "count" => base.as_str(),
            _ => "",
        };
        let others = UNITS.iter().filter(move |(_, other, ..)| *other == base);
        others.map(|(_, _, above, below)| &self.factor / BigRational::new((*above).into(), (*below).into()))
    }

    /// One unit times another.
    pub(super) fn times(&self, other: &Self) -> Self {
        let mut product = self.clone();
        product.factor *= &other.factor;
        product.known &= other.known;
        product.open |= other.open;
        product.scale *= &other.scale;
        for (name, power) in &other.dimensions {
            product.measure(name, *power);
        }
        product
    }

    /// Whether it is a currency.
    pub(super) fn is_money(&self) -> bool {
        ["$", "€", "£", "¥", "₹"].iter().any(|name| self.is(name))
    }

    /// Whether all words of one of the two are words of the other: `clips` and `paper clips`.
    pub(super) fn shares_words(&self, other: &Self) -> bool {
        let within = |a: &Self, b: &Self| a.dimensions.iter().all(|part| b.dimensions.contains(part));
        within(self, other) || within(other, self)
    }

    /// Reads tokens as a unit: `km/h`, `m s^{-1}`, `square feet`, `dollars per hour`, `paper clips`.
    pub(super) fn read(tokens: &[Token], text: &str) -> Option<Self> {
        let (first, last) = (tokens.first()?, tokens.last()?);
        let phrase = text[first.start..last.end].trim_matches(['(', ')']).to_lowercase();
        if let Some((_, name)) = PHRASES.iter().find(|(known, _)| *known == phrase) {
            return Some(Self::symbol(name));
        }
        let mut unit = Self::none();
        let (mut sign, mut raise, mut words, mut at) = (1, 1, 0, 0);
        // The signs of the brackets that are open, and whether a factor stands below a line without them.
        let (mut signs, mut divided) = (vec![1], false);
        while let Some(token) = tokens.get(at) {
            at += 1;
            match &token.kind {
                Kind::Word(word) => {
                    let lower = word.to_lowercase();
                    words += 1;
                    match lower.as_str() {
                        "per" => (sign, divided) = (-1, false),
                        "an" | "a" | "of" | "the" | "each" | "in" if words > 1 && word != "A" => {}
                        "square" | "sq" => raise = 2,
                        "cubic" | "cu" => raise = 3,
                        "squared" if words > 1 => unit.raise_last(2),
                        "cubed" if words > 1 => unit.raise_last(3),
                        // `It happened 3 times.`
                        "times" if tokens.len() == 1 => unit.multiply(word, 1),
                        _ if among(&lower, NOT_UNITS) && !is_symbol(word) => return None,
                        // `3 sevenths`, `7 in base eight`.
                        _ if is_numeral(&lower) && !is_unit(word) => return None,
                        _ => {
                            let power = exponent(tokens, &mut at)?.unwrap_or(raise);
                            let within = signs.last().copied().unwrap_or(1);
                            unit.open |= divided && sign == within;
                            unit.multiply(word, sign * power);
                            raise = 1;
                            if sign != within && find(word).is_some() {
                                divided = signs.len() == 1;
                                sign = within;
                            }
                        }
                    }
                }
                Kind::Symbol('/') => (sign, divided) = (-signs.last().copied().unwrap_or(1), false),
                // `J/(kg K)`.
                Kind::Symbol('(') => signs.push(sign),
                Kind::Symbol(')') if signs.len() > 1 => {
                    signs.pop();
                    sign = signs.last().copied().unwrap_or(1);
                }
                Kind::Symbol('°') => {
                    let scale =
                        tokens.get(at).and_then(Token::word).filter(|word| matches!(*word, "C" | "F"));
                    at += usize::from(scale.is_some());
                    unit.multiply(&format!("°{}", scale.unwrap_or("")), sign);
                    words += 1;
                }
                Kind::Symbol(symbol @ ('%' | '$' | '€' | '£' | '¥' | '₹' | '¢')) => {
                    unit.multiply(&symbol.to_string(), sign);
                    words += 1;
                }
                Kind::Symbol('*' | '.' | ')' | '-' | '{' | '}') => {}
                _ => return None,
            }
        }
        // Millions of people are people.
        if unit.dimensions.len() > 1 && unit.is_scaled() {
            unit.dimensions.retain(|(name, power)| name != "count" || *power < 0);
        } else if let [(name, power @ 2..)] = unit.dimensions.as_mut_slice()
            && name == "count"
        {
            *power = 1;
        }
        (1..=MAX_WORDS).contains(&words).then_some(unit).filter(|unit| !unit.dimensions.is_empty())
    }

    fn raise_last(&mut self, power: i32) {
        if let [(name, 1)] = self.dimensions.clone().as_slice() {
            self.factor = self.factor.pow(power);
            self.dimensions = vec![(name.clone(), power)];
        }
    }
}

/// The exponent at `at`, if there is one; `None` for one that is no small whole number.
fn exponent(tokens: &[Token], at: &mut usize) -> Option<Option<i32>> {
    if !tokens.get(*at).is_some_and(|token| token.is('^')) {
        return Some(None);
    }
    *at += 1;
    let mut sign = 1;
    while let Some(token) = tokens.get(*at) {
        *at += 1;
        match &token.kind {
            Kind::Symbol('{') => {}
            Kind::Symbol('-') => sign = -1,
            Kind::Number(literal) if token.is_whole() => {
                let power: i32 = literal.value.to_integer().try_into().ok().filter(|power| *power < 10)?;
                *at += usize::from(tokens.get(*at).is_some_and(|token| token.is('}')));
                return Some(Some(sign * power));
            }
            _ => return None,
        }
    }
    None
}
