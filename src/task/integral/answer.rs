//! Finding the answer in a completion.
//!
//! An answer may be told as a chain: `F(x) = .. = ..`, `[x^3/3]_0^1 = 1/3`, `e-1 \approx 1.718`. Its last exact side is the answer,
//! every other one is judged as if it were, and what stands behind a sign for "about" must have the digits of the answer. Names such as
//! `F(x)`, and the integral itself, are labels of which nothing is asked. Of antiderivatives only a labelled chain is read, since `a = b`
//! alone would be two answers to choose from.

use super::outcome::{OPEN_END, SAFETY};
use super::wording;
use crate::task::expr::{Branch, Expr, Grammar, MAX_LENGTH, Term, parse};
use crate::task::text::{closing, last_boxed, last_tag, unwrap_math};

/// Most sides of a chain.
const MAX_SIDES: usize = 8;

/// An answer as it was told.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) value: Expr,
    /// What is told to be equal to it.
    pub(super) equals: Vec<Expr>,
    /// What is told to be about it.
    pub(super) rounded: Vec<Decimal>,
}

/// The answer in `completion`, or why there is none. The last `<answer>..</answer>` counts and nothing else does when there is one;
/// then the last `\boxed{..}`; then the whole completion, which must be an answer from its first character to its last, except a few
/// words around it. `definite` says that a number is asked for.
pub(super) fn find(completion: &str, definite: bool) -> Result<Answer, String> {
    let text = match last_tag(completion, "answer").or_else(|| last_boxed(completion)) {
        Some(text) => text,
        None if completion.contains("<answer>") => return Err("the <answer> is not closed".to_owned()),
        None => completion,
    };
    if text.len() > MAX_LENGTH {
        return Err(format!("longer than {MAX_LENGTH} bytes"));
    }
    // A full stop is taken away from the end, three of them say that more digits follow.
    let text = text.replace("...", "\\dots");
    let text = wording::without_environment(unwrap_math(&text));
    let text = wording::without_words(&text);
    let text = wording::opened(text);
    let (mut exact, mut rounded, mut labelled, mut open) = (Vec::new(), Vec::new(), false, false);
    for (about, side) in sides(&text) {
        let (side, cut) = without_dots(side);
        open = !about && is_label(side);
        match about || cut && definite {
            true => rounded.push(side),
            false if open => labelled |= !side.is_empty(),
            false => exact.push(side),
        }
        if exact.len() + rounded.len() > MAX_SIDES {
            return Err("an equation of too many sides".to_owned());
        }
    }
    let told = exact.pop().or_else(|| rounded.pop());
    let unlabelled = !definite && !labelled && !exact.is_empty();
    if unlabelled || open && told.is_some() {
        return Err("an equation instead of an expression".to_owned());
    }
    if !definite && !rounded.is_empty() {
        return Err("an antiderivative that is about something".to_owned());
    }
    let decimal =
        |text: &&str| Decimal::read(text).ok_or("what is told to be about the answer is no decimal");
    // A number has no constant of integration.
    let grammar = if definite { Grammar::Expression } else { Grammar::Antiderivative };
    Ok(Answer {
        value: expression(told.unwrap_or(&text), grammar)?,
        equals: exact.iter().map(|side| side_of_chain(side, grammar)).collect::<Result<_, _>>()?,
        rounded: rounded.iter().map(decimal).collect::<Result<_, _>>()?,
    })
}

fn expression(text: &str, grammar: Grammar) -> Result<Expr, String> {
    let mixed = mixed_number(text);
    let expr = parse(mixed.as_deref().unwrap_or(text), grammar);
    real(expr.map_err(|error| error.to_string())?)
}

fn real(expr: Expr) -> Result<Expr, String> {
    match expr.undefined_constant() {
        None => Ok(expr),
        Some(constant) => {
            let constant: String = constant.to_string().chars().take(40).collect();
            Err(format!("`{constant}` is not a finite real number"))
        }
    }
}

/// The sum that a whole number, a space and a fraction are where nothing else is told: `5 1/3`.
fn mixed_number(text: &str) -> Option<String> {
    let (sign, size) = text.strip_prefix('-').map_or(("", text), |size| ("-", size));
    let (whole, fraction) = size.trim().split_once(' ')?;
    let (above, below) = fraction.split_once('/')?;
    let number = |text: &str| text.trim().parse::<u32>().ok().filter(|_| !text.contains('+'));
    let (whole, above, below) = (number(whole)?, number(above)?, number(below)?);
    (above < below).then(|| format!("{sign}({whole}+{above}/{below})"))
}

/// The sides of a chain and whether each stands behind a sign for "about".
fn sides(text: &str) -> Vec<(bool, &str)> {
    let (mut sides, mut depth, mut start, mut place, mut about) = (Vec::new(), 0usize, 0, 0, false);
    while let Some(c) = text[place..].chars().next() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        let sign = match c {
            _ if depth > 0 => None,
            '=' => Some((1, false)),
            _ => wording::about(&text[place..]).map(|length| (length, true)),
        };
        match sign {
            Some((length, next)) => {
                sides.push((about, &text[start..place]));
                (place, about) = (place + length, next);
                start = place;
            }
            None => place += c.len_utf8(),
        }
    }
    sides.push((about, &text[start..]));
    sides
}

/// Without dots at the end that stand for further digits, and whether there were any.
fn without_dots(side: &str) -> (&str, bool) {
    let side = unwrap_math(side);
    let cut = ["\\dots", "\\ldots", "\\cdots", "\u{2026}"].iter().find_map(|dots| side.strip_suffix(dots));
    cut.map_or((side, false), |side| (side.trim_end(), true))
}

/// A name of the integral, the integral itself, or nothing.
fn is_label(text: &str) -> bool {
    let text = text.strip_prefix("\\displaystyle").unwrap_or(text).trim();
    text.is_empty() || is_name(text) || is_integral(text) || is_difference(text)
}

/// `F(x)` with any letter, or one of the letters that stand for a function by themselves.
fn is_name(text: &str) -> bool {
    let letter = |text: &str| matches!(text.as_bytes(), [b] if b.is_ascii_alphabetic() && *b != b'x');
    matches!(text, "y" | "I" | "F") || text.strip_suffix("(x)").is_some_and(|name| letter(name.trim()))
}

fn is_integral(text: &str) -> bool {
    ["\\int", "\u{222b}", "integrate(", "Integral(", "integral", "Integral"]
        .iter()
        .any(|sign| text.starts_with(sign))
}

/// `F(1) - F(0)`.
fn is_difference(text: &str) -> bool {
    let value = |text: &str| {
        let parts = text.trim().strip_suffix(')').and_then(|text| text.split_once('('));
        parts.is_some_and(|(name, bound)| matches!(name, "F" | "G") && !bound.contains(['(', ')']))
    };
    text.split_once('-').is_some_and(|(one, other)| value(one) && value(other))
}

/// What stands before the last side: an expression, or `[F]_a^b` and `\left.F\right|_a^b` for the difference of two values.
fn side_of_chain(text: &str, grammar: Grammar) -> Result<Expr, String> {
    let Some((inner, low, high)) = between_bounds(text) else { return expression(text, grammar) };
    let antiderivative = expression(inner, Grammar::Antiderivative)?;
    let at = |bound: &str| {
        let bound = expression(bound, Grammar::Expression)?;
        match bound.has_variable() {
            true => Err("a bound that is no number".to_owned()),
            false => Ok(antiderivative.replaced(&|part| (*part == Expr::Variable).then(|| bound.clone()))),
        }
    };
    let (low, high) = (at(low)?, at(high)?);
    real(Expr::Sum(vec![Term { negative: false, expr: high }, Term { negative: true, expr: low }]))
}

/// Commands of LaTeX that make brackets larger.
const SIZES: [&str; 9] =
    ["\\right", "\\bigg", "\\Bigg", "\\Bigr", "\\bigr", "\\biggr", "\\Biggr", "\\big", "\\Big"];

/// The parts of `[F]_a^b` or `F|_a^b`: `F`, `a` and `b`.
fn between_bounds(text: &str) -> Option<(&str, &str, &str)> {
    let place = ["]_", "|_", "]^", "|^"].iter().filter_map(|mark| text.rfind(mark)).max()?;
    let (first, a, rest) = script(&text[place + 1..])?;
    let (second, b, rest) = script(rest.trim_start())?;
    let (low, high) = match (first, second) {
        ('_', '^') => (a, b),
        ('^', '_') => (b, a),
        _ => return None,
    };
    let without_size = |text| SIZES.iter().find_map(|size| str::strip_suffix(text, size)).unwrap_or(text);
    let inner = without_size(text[..place].trim_end());
    let inner = match text[place..].starts_with(']') {
        true => {
            let (before, inner) = inner.split_once('[')?;
            let sizes = ["", "\\left", "\\big", "\\Big", "\\bigg", "\\Bigg", "\\bigl", "\\Bigl", "\\biggl"];
            sizes.contains(&before.trim()).then_some(inner)?
        }
        false => inner,
    };
    rest.trim().is_empty().then_some((inner, low, high))
}

/// A raised or lowered bound at the start of `text`: which of the two, the bound, and what follows.
fn script(text: &str) -> Option<(char, &str, &str)> {
    let sign = text.chars().next().filter(|&sign| matches!(sign, '_' | '^'))?;
    let text = text[1..].trim_start();
    let (bound, rest) = match text.strip_prefix('{') {
        Some(inner) => {
            let end = closing(inner, '{', '}')?;
            (&inner[..end], &inner[end + 1..])
        }
        None => {
            let sign = usize::from(text.starts_with(['-', '\\']));
            let letters = text.starts_with('\\');
            let word = text[sign..].find(|c: char| {
                !(if letters { c.is_ascii_alphabetic() } else { c.is_ascii_digit() || c == '.' })
            });
            let end = match word {
                Some(0) => text.chars().next()?.len_utf8(),
                Some(end) => sign + end,
                None => text.len(),
            };
            text.split_at(end)
        }
    };
    let bound = bound.trim();
    let named = bound.strip_prefix('x').map(str::trim_start).and_then(|rest| rest.strip_prefix('='));
    Some((sign, named.unwrap_or(bound), rest))
}

/// A decimal that stands for a number near it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decimal {
    pub(super) value: f64,
    /// One unit of its last digit.
    unit: f64,
}

impl Decimal {
    /// Reads `-1.5`, `1.5e-7` and `1.5 \times 10^{-7}`.
    fn read(text: &str) -> Option<Self> {
        let mut text = text.replace(['{', '}', ' ', '+'], "").replace('\u{2212}', "-");
        for times in ["\\times10^", "\\cdot10^", "*10^", "*10**", "\u{d7}10^", "\u{b7}10^"] {
            text = text.replace(times, "e");
        }
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
        let digits = mantissa.strip_prefix('-').unwrap_or(mantissa);
        let plain = digits.starts_with(|c: char| c.is_ascii_digit())
            && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let places = digits.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        let exponent = exponent.parse::<i32>().ok().filter(|exponent| exponent.abs() < 300)?;
        let unit = 10f64.powi(exponent - i32::try_from(places).ok()?);
        let value = text.parse::<f64>().ok().filter(|value| plain && value.is_finite())?;
        Some(Self { value, unit })
    }

    /// Whether it is `exact` rounded, or cut behind its last digit.
    pub(super) fn is_about(&self, exact: &Expr) -> bool {
        let exact = exact.eval(0.0, Branch::Real);
        let slack = SAFETY * exact.value_error + 4.0 * f64::EPSILON * exact.value.abs();
        let sign = if self.value == 0.0 { exact.value } else { self.value }.signum();
        let above = (exact.value - self.value) * sign;
        (-0.5 * self.unit - slack..=OPEN_END * self.unit + slack).contains(&above)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn one_answer_is_found_and_no_other() {
        for (completion, answer) in [
            ("x^2", "x^2"),
            ("  x**2 + C\n", "x^2"),
            ("We get x^3.\n<answer>x^2 + C</answer>", "x^2"),
            ("<answer>x</answer> no, <answer>$x^{2}$.</answer> done", "x^2"),
            (r"So the result is \boxed{x^2 + C}.", "x^2"),
            (r"<answer>\int 2x dx = x^2 + C</answer>", "x^2"),
            ("<answer>F(x) = x^2</answer>", "x^2"),
            ("<answer>x^2 + C, where C is the constant of integration.</answer>", "x^2"),
            ("<answer>x^2 + C (where $C$ is a constant)</answer>", "x^2"),
            ("x^2 + C, where C is an arbitrary real constant", "x^2"),
            (r"x^2+C_{1}", "x^2"),
            ("x^2+C\u{2081}", "x^2"),
            (r"x^2 + C, \quad C \in \mathbb{R}", "x^2"),
            (r"$x^2 + C\;(C \in \mathbb{R})$", "x^2"),
            ("x^2+C, C \u{2208} \u{211d}", "x^2"),
            (r"x^2+\mathcal{C}", "x^2"),
            (r"x^2 + \text{const.}", "x^2"),
            ("= x^2 + C", "x^2"),
            ("G(x) = x^2", "x^2"),
            (r"F(x) = \int 2x\,dx = x^2 + C", "x^2"),
            (r"\begin{aligned}x^2+C\end{aligned}", "x^2"),
            (r"\begin{align*}F(x) &= x^2+C\end{align*}", "x^2"),
            (r"{x^3 \over 3}+C", "x^3/3"),
            (r"2^x\log_2 e", "2^x*(log(e)/log(2))"),
            (r"\log_e|x|", "log(abs(x))"),
            (r"\log_{10} x", "log(x)/log(10)"),
            ("log_10(x)", "log(x)/log(10)"),
            (r"-\operatorname{erfc}(x)", "-(1-erf(x))"),
            ("(x-1)e\u{2e3}", "(x-1)*e^x"),
            ("e\u{b2}\u{2e3}/2", "e^(2*x)/2"),
            ("e\u{207b}\u{2e3}", "e^(-x)"),
            ("ch x - sh(x) + th x", "cosh(x)-sinh(x)+tanh(x)"),
            (r"1\frac12 x", "(1+1/2)*x"),
            (r"1\frac{1}{2}x", "(1+1/2)*x"),
            ("1\u{bd}x", "(1+1/2)*x"),
            (r"2\frac{x}{3}", "2*(x/3)"),
            (r"x^{3} \over 3", "x^3/3"),
            (r"\left.\frac{x^3}{3}\right. + C", "x^3/3"),
            ("x~+~C", "x"),
            ("%e^x + %c", "e^x"),
            ("log1p(x)", "log(1+x)"),
            ("expm1(2x)", "exp(2*x)-1"),
            (r"\int 2x dx = x^2 = \frac{2x^2}{2}", "(2*x^2)/2"),
        ] {
            let found = find(completion, false).unwrap();
            assert_eq!(found.value.to_string(), answer, "{completion}");
        }
        for completion in [
            "the answer is not x^2",
            "<answer>x^2",
            "<answer></answer>",
            "<answer>x^2 = x^3</answer>",
            "<answer>x^2 or x^3</answer>",
            "<answer>x^2, x^3</answer>",
            "<answer>x^2\nx^3</answer>",
            "x^2<answer></answer>",
            "<answer>x^2 + C, where x^3 is as good</answer>",
            "<answer>x^2 + C where x = 2</answer>",
            "<answer>x^2 where C is not</answer>",
            "x^2 + C where C depends on x",
            "x^2 + C, where C is a function of x",
            "x^2 + C, C \u{2208} x",
            "x^2 = x^2",
            "x == x",
            "x%e",
            "F(x) = x^2 =",
            r"x^2 \approx 0.5",
            "x = x^2",
            r"3\frac{5}{2}x",
            "1 1/2 x",
            "log_x(2)",
            "y_2",
            r"{x \over}",
        ] {
            assert!(find(completion, false).is_err(), "{completion}");
        }
    }

    #[test]
    fn chains_are_read_side_by_side() {
        for (completion, value, equals, rounded) in [
            (r"e-1 \approx 1.718", "e-1", &[][..], &[1.718][..]),
            ("e-1 (approximately 1.718)", "e-1", &[], &[1.718]),
            ("1/3, or about 0.333", "1/3", &[], &[0.333]),
            ("\u{2248}0.33333333", "0.33333333", &[], &[]),
            ("1/3 = 0.333...", "1/3", &[], &[0.333]),
            (r"1/3 \approx 3.3 \times 10^{-1} \approx 0.333", "1/3", &[], &[0.33, 0.333]),
            (r"\left[\frac{x^3}{3}\right]_0^1 = \frac13", "1/3", &["1^3/3-0^3/3"], &[]),
            (r"\left.x^2\right|_{x=-1}^{x=\pi} = \pi^2 - 1", "pi^2-1", &["pi^2-(-1)^2"], &[]),
            (r"x\Big|^{2}_{1} = 2-1 = 1", "1", &["2-1", "2-1"], &[]),
            ("I = F(1) - F(0) = 5 1/3", "5+1/3", &[], &[]),
            ("-5 1/3", "-(5+1/3)", &[], &[]),
        ] {
            let found = find(completion, true).unwrap();
            let texts: Vec<_> = found.equals.iter().map(ToString::to_string).collect();
            let decimals: Vec<_> = found.rounded.iter().map(|decimal| decimal.value).collect();
            assert_eq!(
                (found.value.to_string().as_str(), texts, decimals.as_slice()),
                (value, equals.iter().map(ToString::to_string).collect(), rounded),
                "{completion}"
            );
        }
        for completion in ["1/3 =", "1/3 = I", "[x]_0^1", r"1/4 \approx 1/3", "5 4/3", "1=1=1=1=1=1=1=1=1=1"]
        {
            assert!(find(completion, true).is_err(), "{completion}");
        }
    }

    #[test]
    fn decimals_have_the_digits_of_what_they_are_about() {
        for (decimal, exact, about) in [
            ("1.718", "e-1", true),
            ("1.72", "e-1", true),
            ("1.71", "e-1", true),
            ("1.73", "e-1", false),
            ("1.70", "e-1", false),
            ("-1.718", "1-e", true),
            ("1.718", "1-e", false),
            ("0.24", "1/4", false),
            ("0.3", "1/4", true),
            ("0.000", "1/9999", true),
            ("3.6e2", "exp(6)", false),
            ("4.034e2", "exp(6)", true),
            ("0.69314718055994530941", "log(2)", true),
        ] {
            let exact = expression(exact, Grammar::Expression).unwrap();
            assert_eq!(Decimal::read(decimal).unwrap().is_about(&exact), about, "{decimal} {exact}");
        }
        for text in ["", "1/3", ".", "x", "1.5.2", "1e999", "0x10", "inf", "--1"] {
            assert!(Decimal::read(text).is_none(), "{text}");
        }
    }
}
