//! Sizes in several directions, whose order is a part of them: `2x3 matrix`, `1920×1080`, `2 by 3 grid`.

use super::Same;

/// Longest text that is looked at, in bytes.
const MAX_LENGTH: usize = 120;

/// A size as it is written.
#[derive(Debug, PartialEq)]
struct Size {
    /// The numbers in their order, with their decimals.
    numbers: Vec<String>,
    /// Whether a sign of sizes only is between them.
    signed: bool,
    /// Whether it can be no product for another reason, or is signed.
    sure: bool,
}

/// The number at the start of a text and what is behind it.
fn number(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let digits = text[..end].trim_end_matches('.');
    digits.starts_with(|c: char| c.is_ascii_digit()).then(|| (digits, &text[digits.len()..]))
}

/// The sign between two numbers, whether it is one of sizes only, and what is behind it.
fn sign(text: &str) -> Option<(bool, &str)> {
    let next = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    if let Some(rest) = text.strip_prefix(" by ").filter(|rest| next(rest)) {
        return Some((true, rest));
    }
    let spaced = text.starts_with(' ');
    let trimmed = text.trim_start();
    let rest =
        ["x", "X", "×", "*", "\\times"].iter().find_map(|sign| Some((*sign, trimmed.strip_prefix(*sign)?)));
    let (sign, rest) = rest.map(|(sign, rest)| (sign, rest.trim_start())).filter(|(_, rest)| next(rest))?;
    Some((matches!(sign, "x" | "X") && !spaced, rest))
}

/// The size that a text says; words may stand around it, but no other number.
fn read(text: &str) -> Option<Size> {
    let start = text.find(|c: char| c.is_ascii_digit()).filter(|_| text.len() <= MAX_LENGTH)?;
    if text[..start].ends_with(['^', '/', '-', '+', '*', '=', '.', '_', '(', '{']) {
        return None;
    }
    let (first, mut rest) = number(&text[start..])?;
    let mut size = Size { numbers: vec![first.to_owned()], signed: false, sure: false };
    while let Some((signed, behind)) = sign(rest) {
        let (next, behind) = number(behind)?;
        size.numbers.push(next.to_owned());
        size.signed |= signed;
        rest = behind;
    }
    let tail = rest.trim_matches(|c: char| !c.is_alphanumeric());
    let plain = !rest.contains(|c: char| c.is_ascii_digit() || matches!(c, '^' | '=' | '!' | '/' | '+'));
    size.sure = size.signed || tail.chars().count() > 1 && tail.starts_with(char::is_alphabetic);
    // Three factors of a number without a word are sooner its factors.
    (plain && size.numbers.len() > 1 && (size.sure || size.numbers.len() == 2)).then_some(size)
}

/// What two texts are that say sizes, or a size and a number, and are not for sure the same or not for other reasons.
pub(super) fn differ(known: &str, answer: &str) -> Option<Same> {
    match (read(known), read(answer)) {
        (Some(a), Some(b)) if a.numbers != b.numbers => {
            let sorted = |size: &Size| {
                let mut numbers = size.numbers.clone();
                numbers.sort();
                numbers
            };
            let turned = sorted(&a) == sorted(&b);
            turned.then_some(if a.sure || b.sure { Same::No } else { Same::Unknown })
        }
        // `1920x1080` is no number.
        (Some(size), None) | (None, Some(size)) if size.signed => {
            let other = if read(known).is_some() { answer } else { known };
            let number = number(other.trim()).is_some_and(|(_, rest)| rest.is_empty());
            number.then_some(Same::Unknown)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_an_order() {
        for (known, answer, expected) in [
            ("2x3 matrix", "3x2 matrix", Some(Same::No)),
            ("1920x1080", "1080x1920", Some(Same::No)),
            ("2 by 3", "3 by 2", Some(Same::No)),
            (r"$2 \times 3$ matrix", r"$3\times2$ matrix", Some(Same::No)),
            ("2×3", "3×2", Some(Same::Unknown)),
            ("1920x1080", "2073600", Some(Same::Unknown)),
            ("2×3", "6", None),
            ("2×3×5", "5×3×2", None),
            ("3 x 10^8", "3e8", None),
            ("2x3 matrix", "2 x 3 matrix", None),
            ("10", "2x5 = 10", None),
            ("42", "43", None),
        ] {
            assert_eq!(differ(known, answer), expected, "{known} {answer}");
        }
    }
}
