//! Reading the variants out of a completion.

use super::problem::{call, split};
use crate::task::expr::{self, Grammar};
use crate::task::text::{all_tags, strip_item_marker, unwrap_math};

/// Most variants taken from one completion.
const MAX_VARIANTS: usize = 32;
/// Longest variant, in bytes; a longer one is dropped.
const MAX_VARIANT: usize = 400;
/// Most lines of a completion that are looked at.
const MAX_LINES: usize = 400;

/// The integrands listed in `completion`. With `<variant>` tags only their insides count. Without, each line may hold one: in
/// `integrate(..)`, behind an integral sign, behind the mark of a list item, or alone if it is an expression in x. Marked
/// ones are given even if they are no expressions, so that they can be counted as invalid.
pub(super) fn parse(completion: &str) -> Vec<String> {
    let tagged = all_tags(completion, "variant", MAX_VARIANTS);
    if !tagged.is_empty() {
        return tagged.into_iter().filter_map(|text| integrand(text, true)).collect();
    }
    let lines = completion.lines().map(str::trim).filter(|line| !line.is_empty());
    // A single word, as a model of the terse notation writes it.
    let single = completion.split_whitespace().take(2).count() == 1 && !completion.contains(['<', '>']);
    lines
        .take(MAX_LINES)
        .filter_map(|line| {
            let (item, marked) = strip_item_marker(line);
            integrand(item, marked && looks_like_mathematics(item) || single)
        })
        .take(MAX_VARIANTS)
        .collect()
}

/// The integrand in a line. Without `marked` it must be an expression in x.
fn integrand(line: &str, marked: bool) -> Option<String> {
    let found = embedded_call(line).and_then(split).or_else(|| {
        let text = unwrap_math(line);
        // `Variant: x^2`, `x^2 (lower degree)` and the like are told by what parses.
        let tail = text.rsplit_once(": ").map(|(_, tail)| unwrap_math(tail));
        let parts = |text| split(text).filter(|parts| is_integrand(parts.integrand));
        parts(text).or_else(|| tail.and_then(parts)).or_else(|| if marked { split(text) } else { None })
    })?;
    let text = unwrap_math(found.integrand);
    if text.is_empty() || text.len() > MAX_VARIANT {
        return None;
    }
    Some(match found.bounds {
        Some((a, b)) => format!("integrate({text}, x, {a}, {b})"),
        None => text.to_owned(),
    })
}

/// `integrate(..)` anywhere in a line, with its name.
fn embedded_call(line: &str) -> Option<&str> {
    let start = ["integrate(", "Integrate(", "Integral("].iter().filter_map(|name| line.find(name)).min()?;
    let rest = &line[start..];
    let (_, after) = call(rest)?;
    Some(&rest[..rest.len() - after.len()])
}

fn is_integrand(text: &str) -> bool {
    expr::parse(text, Grammar::Expression).is_ok_and(|expr| expr.has_variable())
}

/// Whether a list item is an attempt at a formula rather than a sentence: no two words of letters in a row.
fn looks_like_mathematics(item: &str) -> bool {
    let plain = |word: &str| {
        word.len() > 1 && word.trim_end_matches([',', '.', ':']).bytes().all(|b| b.is_ascii_alphabetic())
    };
    let words: Vec<_> = item.split_whitespace().collect();
    !words.is_empty() && !words.windows(2).any(|pair| plain(pair[0]) && plain(pair[1]))
}

#[cfg(test)]
mod tests {
    use super::parse as variants;

    #[test]
    fn lists_in_every_usual_form() {
        for completion in [
            "<variant>x^2</variant>\n<variant>sin(x)</variant>",
            "Here are two:\n1. x^2\n2. sin(x)",
            "1) $x^2$\n2) $\\sin(x)$",
            "- x^2\n- sin(x)\n",
            "\u{2022} `x^2`\n\u{2022} `sin(x)`",
            "Variant 1: x^2\nVariant 2: sin(x)",
            "**Variant 1:** integrate(x^2, x)\n**Variant 2:** integrate(sin(x), x)",
            "1. Lower the power, so we get integrate(x^2, x) now.\n2. Only the sine: integrate(sin(x), x)",
            "1. \\int x^2 \\, dx\n2. \\int \\sin(x) \\, dx",
            "x^2\nsin(x)",
            "<variant>integrate(x^2, x)</variant> and <variant>$\\int \\sin(x) dx$</variant>",
        ] {
            let found: Vec<_> =
                variants(completion).iter().map(|text| text.replace("\\sin", "sin")).collect();
            assert_eq!(found, ["x^2", "sin(x)"], "{completion}");
        }
    }

    #[test]
    fn terse_completions_hold_one() {
        assert_eq!(variants("x^2+3*x"), ["x^2+3*x"]);
        assert_eq!(variants("x^2+(3*"), ["x^2+(3*"]);
        assert_eq!(variants(""), Vec::<String>::new());
    }

    #[test]
    fn prose_and_hostile_text_give_nothing_or_little() {
        for completion in [
            "I am sorry, I cannot do that.",
            "1. First think about it\n2. Then do it",
            "<variant><variant>",
            "</variant><variant>",
            "\u{0}\u{1}\n\u{fffd} \u{202e}",
        ] {
            assert_eq!(variants(completion), Vec::<String>::new(), "{completion}");
        }
        assert!(variants(&"<variant>x</variant>".repeat(10_000)).len() <= super::MAX_VARIANTS);
        assert!(variants(&format!("<variant>{}</variant>", "x+".repeat(10_000))).is_empty());
        assert!(variants(&"integrate(".repeat(5_000)).is_empty());
        assert!(variants(&"1. x\n".repeat(5_000)).len() <= super::MAX_VARIANTS);
        assert_eq!(variants("<variant>os.system('rm')</variant>").len(), 1);
    }
}
