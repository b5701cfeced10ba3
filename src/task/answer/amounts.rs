//! Whether two numbers, expressions or quantities are the same, with their units, bases and ratios.

use num_rational::BigRational;

use super::Same;
use super::compare::Comparison;
use super::identity::identical;
use super::number::{Number, same};
use super::term::{Term, multiply};
use super::units::Unit;
use super::value::Value;

/// Digits of an amount in another unit from which on it may be rounded.
const CONVERTED_DIGITS: u32 = 4;
/// The relative distance at which an amount in another unit may be a rounded one.
const NEAR: f64 = 1e-3;

impl Comparison {
    pub(super) fn quantities(
        &self,
        (a, known): (&Term, Option<&Unit>),
        (b, answer): (&Term, Option<&Unit>),
    ) -> Same {
        if !self.affords(a, b) {
            return Same::Unknown;
        }
        if a.has_variable() || b.has_variable() {
            return match (known, answer) {
                (Some(known), Some(answer)) if known.dimensions != answer.dimensions => Same::Unknown,
                _ if a.has_variable() && b.has_variable() => identical(a, b, self.tolerance),
                // What looks like a variable may cancel.
                _ => match identical(a, b, self.tolerance) {
                    Same::No if matches!(a, Term::Variable(_)) || matches!(b, Term::Variable(_)) => {
                        single(a, b)
                    }
                    verdict => verdict,
                },
            };
        }
        let share = is_fraction(a);
        let (a, b) = (a.constant(), b.constant());
        let plain = same(&a, &b, self.tolerance);
        match (known, answer) {
            (None, None) => plain,
            (Some(unit), None) | (None, Some(unit)) => {
                if unit.is("%") {
                    return match self.percent(&a, &b, known.is_some(), plain) {
                        // As a part of a whole, 0.5 is 50 %.
                        Same::Yes if plain == Same::Yes && known.is_none() && (share || is_part(&a)) => {
                            Same::Unknown
                        }
                        verdict => verdict,
                    };
                }
                // A year of no era is sooner one of ours.
                if unit.is("BC") && plain == Same::Yes {
                    return Same::Unknown;
                }
                // Thousands and millions, of dollars or of anything.
                if unit.is_scaled() {
                    let scaled = if known.is_some() {
                        same(&a.times(&unit.scale), &b, self.tolerance)
                    } else {
                        same(&a, &b.times(&unit.scale), self.tolerance)
                    };
                    // In millions, 5 may stand for five million.
                    return if plain == Same::Yes && scaled != Same::Yes { Same::Unknown } else { scaled };
                }
                // `25 cents` may be a quarter of what is asked for.
                if plain == Same::No && unit.is_money() {
                    let (a, b) = if known.is_some() {
                        (a.times(&unit.factor), b.clone())
                    } else {
                        (a.clone(), b.times(&unit.factor))
                    };
                    // Without a unit, dollars are meant sooner than cents.
                    return match same(&a, &b, self.tolerance) {
                        Same::Yes if known.is_none() => Same::Yes,
                        Same::No => Same::No,
                        _ => Same::Unknown,
                    };
                }
                if plain == Same::No && unit.is("°") {
                    let turned = Term::Degrees(Box::new(Term::whole(1))).constant();
                    let radians = |number: &Number| multiply(number, &turned);
                    return if known.is_some() {
                        same(&radians(&a), &b, self.tolerance)
                    } else {
                        same(&a, &radians(&b), self.tolerance)
                    };
                }
                // `1.5 hours` may be the 90 minutes that are asked for.
                let converts = plain == Same::No
                    && known.is_none()
                    && unit
                        .conversions()
                        .any(|factor| same(&a, &b.times(&factor), self.tolerance) == Same::Yes);
                if converts || plain == Same::Yes && unit.doubtful { Same::Unknown } else { plain }
            }
            (Some(known), Some(answer)) => self.united((&a, known), (&b, answer), plain),
        }
    }

    /// Numbers with a unit each.
    pub(super) fn united(
        &self,
        (a, known): (&Number, &Unit),
        (b, answer): (&Number, &Unit),
        plain: Same,
    ) -> Same {
        let plain = if known.is_scaled() || answer.is_scaled() {
            same(&a.times(&known.scale), &b.times(&answer.scale), self.tolerance)
        } else {
            plain
        };
        let (base, other_base) = (known.reduced(), answer.reduced());
        let reduces = base.dimensions == other_base.dimensions && known.is_measured() && answer.is_measured();
        if known.dimensions == answer.dimensions || reduces {
            let (a, b) = (a.times(&base.factor), b.times(&other_base.factor));
            let verdict = same(&a, &b, self.tolerance);
            if base.factor == other_base.factor || known.is_money() {
                return verdict;
            }
            // Nobody rounds minutes to seconds.
            let ratio = base.factor / other_base.factor;
            let whole = ratio.is_integer() || ratio.recip().is_integer();
            return rounded_as(verdict, &a, &b, !whole);
        }
        // `20 C` may be a temperature.
        if plain == Same::Yes && (known.is("C") || answer.is("C")) {
            return Same::Unknown;
        }
        // `2 million` is what `2,000,000` is, of dollars or of anything.
        if known.is("count") != answer.is("count") {
            return plain;
        }
        let angle = |unit: &Unit| unit.is("°") || unit.is("rad");
        if angle(known) && angle(answer) {
            let turned = Term::Degrees(Box::new(Term::whole(1))).constant();
            let radians = |number: &Number, unit: &Unit| {
                if unit.is("°") { multiply(number, &turned) } else { number.clone() }
            };
            return same(&radians(a, known), &radians(b, answer), self.tolerance);
        }
        if !known.known && !answer.known && known.shares_words(answer) {
            return same(&a.times(&known.factor), &b.times(&answer.factor), self.tolerance);
        }
        // A sign of currency says nothing of what it is for: `$5` for `$5 per hour`.
        let rate = |rate: &Unit, amount: &Unit| {
            amount.is_money() && amount.dimensions.iter().all(|part| rate.dimensions.contains(part))
        };
        if rate(known, answer) || rate(answer, known) {
            return plain;
        }
        // Pounds of money and of weight have one name.
        let pounds = |unit: &Unit| {
            unit.is("£") || unit.is("lb") && unit.factor == BigRational::from_integer(16.into())
        };
        if pounds(known) && pounds(answer) {
            return plain;
        }
        // A degree sign and a scale of temperature, which is often left away.
        let temperature = |unit: &Unit| unit.is("°C") || unit.is("°F");
        let bare = (known.is("°") && temperature(answer)) || (answer.is("°") && temperature(known));
        // An unknown unit may be a name of what is measured, `J/kg K` may be J/(kg K), and radians are often left away.
        let lengths = |unit: &Unit| unit.reduced().without("rad");
        let may_convert = known.is_physical() && answer.is_physical() && lengths(known) == lengths(answer);
        if known.open
            || answer.open
            || may_convert
            || known.is_physical() != answer.is_physical() && !(known.known && answer.known)
        {
            return Same::Unknown;
        }
        match plain {
            Same::Yes if bare => Same::Yes,
            // `5m` may be five minutes.
            Same::Yes if known.known && answer.known && !known.doubtful && !answer.doubtful => Same::No,
            // Things have many names: 5 children are 5 kids.
            Same::Yes => Same::Unknown,
            _ if temperature(known) && temperature(answer) => Same::Unknown,
            other => other,
        }
    }

    /// A per cent sign on one side: `28 %` is 28 where per cents are asked for, and 0.28 by value.
    pub(super) fn percent(&self, a: &Number, b: &Number, known: bool, plain: Same) -> Same {
        let hundredth = BigRational::new(1.into(), 100.into());
        let by_value = if known {
            same(&a.times(&hundredth), b, self.tolerance)
        } else {
            same(a, &b.times(&hundredth), self.tolerance)
        };
        match (plain, by_value) {
            (Same::Yes, _) | (_, Same::No) => plain,
            (_, verdict) => verdict,
        }
    }

    /// Digits with a base. The base may be left away; the same number in another base is not what was asked for, perhaps.
    pub(super) fn based(&self, known: &Value, answer: &Value) -> Same {
        let equal = |a: &Term, b: &Term| a.constant().exact == b.constant().exact;
        match (known, answer) {
            (Value::Based { base, value, .. }, Value::Based { base: other_base, value: other_value, .. }) => {
                match (base == other_base, equal(value, other_value)) {
                    (true, same) => Same::from(same),
                    (false, true) => Same::Unknown,
                    (false, false) => Same::No,
                }
            }
            (Value::Based { digits, value, .. }, Value::Quantity { term, unit: None, .. })
            | (Value::Quantity { term, unit: None, .. }, Value::Based { digits, value, .. })
                if !term.has_variable() =>
            {
                if !digits.has_variable() && equal(digits, term) {
                    Same::Yes
                } else if equal(value, term) {
                    Same::Unknown
                } else {
                    Same::No
                }
            }
            _ => Same::Unknown,
        }
    }

    pub(super) fn ratios(&self, a: &[Term], b: &[Term]) -> Same {
        if a.len() != b.len() {
            return Same::No;
        }
        Same::all((1..a.len()).map(|place| {
            let product = |x: &Term, y: &Term| Term::Product(vec![(false, x.clone()), (false, y.clone())]);
            identical_or_constant(&product(&a[0], &b[place]), &product(&a[place], &b[0]), self.tolerance)
        }))
    }
}

/// Who converts an amount rounds it: with enough digits it is the same, and what is near is not wrong for certain where one unit is no
/// whole number of the `other`.
fn rounded_as(verdict: Same, a: &Number, b: &Number, other: bool) -> Same {
    let digits = b.written.as_ref().or(a.written.as_ref()).map_or(0, |written| written.digits);
    let distance = (a.real.value - b.real.value).abs() / a.real.value.abs().max(b.real.value.abs());
    match verdict {
        Same::Unknown if digits >= CONVERTED_DIGITS => Same::Yes,
        Same::No if other && distance <= NEAR => Same::Unknown,
        verdict => verdict,
    }
}

/// The relative error that rounded decimals inside of an expression may leave, as in `0.333x` for a third of `x`. A decimal alone is
/// judged by its digits.
pub(super) fn rounding(a: &Term, b: &Term) -> Option<f64> {
    let digits = |term: &Term| if matches!(term, Term::Literal(_)) { None } else { term.fewest_digits() };
    let (fewest, both) = match (digits(a), digits(b)) {
        (Some(a), Some(b)) => (a.min(b), true),
        (Some(fewest), None) | (None, Some(fewest)) => (fewest, false),
        (None, None) => return None,
    };
    let enough = if both { 6 } else { 3 };
    (fewest >= enough).then(|| 0.1f64.powi(i32::try_from(fewest).unwrap_or(i32::MAX) - 1))
}

/// A variable alone may be the letter of a choice; a known number may be what it stands for.
pub(super) fn single(a: &Term, b: &Term) -> Same {
    let letter = |term: &Term| matches!(term, Term::Variable(name) if name.len() == 1 && name.to_ascii_lowercase().as_str() <= "e");
    let stands = (letter(a) && !b.has_variable()) || (letter(b) && !a.has_variable());
    if stands { Same::Unknown } else { Same::No }
}

/// Whether a term is a fraction as it stands, as `1/2` is.
fn is_fraction(term: &Term) -> bool {
    matches!(term, Term::Product(factors) if factors.iter().any(|(divides, _)| *divides))
}

/// Whether a number is from 0 to 1, but not 0.
fn is_part(number: &Number) -> bool {
    number.real.value > 0.0 && number.real.value <= 1.0
}

fn identical_or_constant(a: &Term, b: &Term, tolerance: f64) -> Same {
    if a.has_variable() || b.has_variable() {
        identical(a, b, tolerance)
    } else {
        same(&a.constant(), &b.constant(), tolerance)
    }
}
