//! Units behind a number, and what they convert to.

use num_rational::BigRational;

use super::lexer::{Kind, Token};
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
    /// What words such as `million` before it multiply it by; a part of the factor.
    pub(super) scale: BigRational,
}

/// Names, base unit, and how many of it, as a fraction.
const UNITS: &[(&[&str], &str, i64, i64)] = &[
    (&["m", "metre", "meter"], "m", 1, 1),
    (&["km", "kms", "kilometre", "kilometer"], "m", 1000, 1),
    (&["cm", "cms", "centimetre", "centimeter"], "m", 1, 100),
    (&["mm", "millimetre", "millimeter"], "m", 1, 1000),
    (&["dm", "decimetre", "decimeter"], "m", 1, 10),
    (&["μm", "um", "micrometer", "micron"], "m", 1, 1_000_000),
    (&["nm", "nanometer", "nanometre"], "m", 1, 1_000_000_000),
    (&["in", "inch", "inches"], "m", 254, 10_000),
    (&["ft", "foot", "feet"], "m", 3048, 10_000),
    (&["yd", "yds", "yard"], "m", 9144, 10_000),
    (&["mi", "mile"], "m", 1_609_344, 1000),
    (&["s", "sec", "secs", "second"], "s", 1, 1),
    (&["ms", "millisecond"], "s", 1, 1000),
    (&["min", "mins", "minute"], "s", 60, 1),
    (&["h", "hr", "hrs", "hour"], "s", 3600, 1),
    (&["day"], "s", 86_400, 1),
    (&["week", "wk"], "s", 604_800, 1),
    (&["fortnight"], "s", 1_209_600, 1),
    (&["month"], "month", 1, 1),
    (&["year", "yr", "yrs"], "month", 12, 1),
    (&["decade"], "month", 120, 1),
    (&["century", "centuries"], "month", 1200, 1),
    (&["g", "gram", "gramme", "gm"], "g", 1, 1),
    (&["kg", "kgs", "kilo", "kilogram"], "g", 1000, 1),
    (&["mg", "milligram"], "g", 1, 1000),
    (&["t", "tonne"], "g", 1_000_000, 1),
    (&["lb", "lbs", "pound"], "lb", 16, 1),
    (&["oz", "ounce"], "lb", 1, 1),
    (&["l", "L", "litre", "liter"], "l", 1, 1),
    (&["ml", "mL", "millilitre", "milliliter"], "l", 1, 1000),
    (&["cl", "cL", "centiliter", "centilitre"], "l", 1, 100),
    (&["gal", "gallon"], "gal", 16, 1),
    (&["qt", "quart"], "gal", 4, 1),
    (&["pt", "pint"], "gal", 2, 1),
    (&["cup"], "gal", 1, 1),
    (&["$", "usd", "USD", "dollar", "buck"], "$", 1, 1),
    (&["¢", "cent"], "$", 1, 100),
    (&["€", "euro", "EUR"], "€", 1, 1),
    (&["£", "GBP"], "£", 1, 1),
    (&["¥", "yen", "JPY", "yuan", "RMB"], "¥", 1, 1),
    (&["₹", "rupee", "Rs", "INR"], "₹", 1, 1),
    (&["N", "newton"], "N", 1, 1),
    (&["kN"], "N", 1000, 1),
    (&["J", "joule"], "J", 1, 1),
    (&["kJ", "kilojoule"], "J", 1000, 1),
    (&["Wh"], "J", 3600, 1),
    (&["kWh"], "J", 3_600_000, 1),
    (&["MJ"], "J", 1_000_000, 1),
    (&["W", "watt"], "W", 1, 1),
    (&["kW", "kilowatt"], "W", 1000, 1),
    (&["MW", "megawatt"], "W", 1_000_000, 1),
    (&["V", "volt"], "V", 1, 1),
    (&["ampere", "amp"], "A", 1, 1),
    (&["ohm"], "Ω", 1, 1),
    (&["kilohm"], "Ω", 1000, 1),
    (&["megohm"], "Ω", 1_000_000, 1),
    (&["farad"], "F", 1, 1),
    (&["henry", "henries"], "H", 1, 1),
    (&["tesla"], "T", 1, 1),
    (&["siemens"], "S", 1, 1),
    (&["sievert"], "Sv", 1, 1),
    (&["electronvolt"], "eV", 1, 1),
    (&["calorie", "calory"], "cal", 1, 1),
    (&["Hz", "hertz"], "Hz", 1, 1),
    (&["kHz"], "Hz", 1000, 1),
    (&["MHz"], "Hz", 1_000_000, 1),
    (&["Pa", "pascal"], "Pa", 1, 1),
    (&["kPa"], "Pa", 1000, 1),
    (&["atm", "atmosphere"], "Pa", 101_325, 1),
    (&["mol", "mole"], "mol", 1, 1),
    (&["rad", "radian"], "rad", 1, 1),
    (&["°", "degree", "deg"], "°", 1, 1),
    (&["°C", "celsius", "Celsius"], "°C", 1, 1),
    (&["°F", "fahrenheit", "Fahrenheit"], "°F", 1, 1),
    (&["K", "kelvin"], "K", 1, 1),
    (&["%", "percent", "pct"], "%", 1, 1),
    (&["bit"], "bit", 1, 1),
    (&["byte", "B"], "bit", 8, 1),
    (&["kB", "KB"], "bit", 8000, 1),
    (&["MB"], "bit", 8_000_000, 1),
    (&["GB"], "bit", 8_000_000_000, 1),
    (&["TB"], "bit", 8_000_000_000_000, 1),
    (&["KiB", "kibibyte"], "bit", 8 << 10, 1),
    (&["MiB", "mebibyte"], "bit", 8 << 20, 1),
    (&["GiB", "gibibyte"], "bit", 8 << 30, 1),
    (&["TiB", "tebibyte"], "bit", 8 << 40, 1),
    (&["hundred"], "count", 100, 1),
    (&["thousand", "thou", "grand"], "count", 1000, 1),
    (&["million", "mio", "mln"], "count", 1_000_000, 1),
    (&["billion", "bn", "bln"], "count", 1_000_000_000, 1),
    (&["trillion"], "count", 1_000_000_000_000, 1),
    (&["dozen"], "count", 12, 1),
    (&["lakh", "lac"], "count", 100_000, 1),
    (&["crore"], "count", 10_000_000, 1),
    // The eras of years.
    (&["BC", "BCE", "bc", "bce"], "BC", 1, 1),
    (&["AD", "CE"], "AD", 1, 1),
];

/// A unit of several words, as one.
const PHRASES: &[(&str, &str)] = &[
    ("per cent", "%"),
    ("degrees celsius", "°C"),
    ("degrees fahrenheit", "°F"),
    ("degree celsius", "°C"),
    ("degree fahrenheit", "°F"),
    ("us dollars", "$"),
    ("square units", "units"),
    ("square unit", "units"),
    ("sq units", "units"),
    ("cubic units", "units"),
    ("cubic unit", "units"),
    ("units squared", "units"),
    ("units cubed", "units"),
];

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
        while let Some(token) = tokens.get(at) {
            at += 1;
            match &token.kind {
                Kind::Word(word) => {
                    let lower = word.to_lowercase();
                    words += 1;
                    match lower.as_str() {
                        "per" => sign = -1,
                        "an" | "a" | "of" | "the" | "each" | "in" if words > 1 => {}
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
                            unit.multiply(word, sign * power);
                            raise = 1;
                            if sign < 0 && find(word).is_some() {
                                sign = 1;
                            }
                        }
                    }
                }
                Kind::Symbol('/') => sign = -1,
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
                Kind::Symbol('*' | '.' | '(' | ')' | '-' | '{' | '}') => {}
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
