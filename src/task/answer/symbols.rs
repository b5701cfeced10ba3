//! Symbols of units with their prefixes: `MPa` and `mPa`, `Mb` and `MB`, and what is meant by `KG`.

use num_rational::BigRational;

/// Prefixes of the International System of Units, with the power of ten that each stands for.
const PREFIXES: [(char, i32); 9] =
    [('T', 12), ('G', 9), ('M', 6), ('k', 3), ('m', -3), ('μ', -6), ('u', -6), ('n', -9), ('p', -12)];
/// The same prefixes before names: `milliampere`.
const LONG_PREFIXES: [(&str, i32); 12] = [
    ("tera", 12),
    ("giga", 9),
    ("mega", 6),
    ("kilo", 3),
    ("hecto", 2),
    ("deci", -1),
    ("centi", -2),
    ("milli", -3),
    ("micro", -6),
    ("nano", -9),
    ("pico", -12),
    ("femto", -15),
];
/// Symbols that take prefixes: base unit, how many of it, and whether parts of one are measured too.
const SYMBOLS: [(&str, &str, i64, bool); 20] = [
    ("Pa", "Pa", 1, true),
    ("Hz", "Hz", 1, false),
    ("W", "W", 1, true),
    ("J", "J", 1, true),
    ("N", "N", 1, true),
    ("V", "V", 1, true),
    ("A", "A", 1, true),
    ("C", "C", 1, true),
    ("F", "F", 1, true),
    ("H", "H", 1, true),
    ("T", "T", 1, true),
    ("S", "S", 1, true),
    ("Ω", "Ω", 1, true),
    ("Sv", "Sv", 1, true),
    ("eV", "eV", 1, true),
    ("Wh", "J", 3600, true),
    ("mol", "mol", 1, true),
    ("cal", "cal", 1, false),
    ("b", "bit", 1, false),
    ("B", "bit", 8, false),
];
/// Rates of data: bits and bytes a second.
const RATES: [(&str, i64); 2] = [("bps", 1), ("Bps", 8)];
/// What is meant by a symbol that is written in another case, with the symbols that can be meant; the first ones are the usual ones.
const IN_ANY_CASE: [(&str, &[&str]); 43] = [
    ("km", &["km"]),
    ("cm", &["cm"]),
    ("mm", &["mm", "Mm"]),
    ("ft", &["ft"]),
    ("yd", &["yd"]),
    ("hr", &["hr"]),
    ("kg", &["kg", "kG"]),
    ("mg", &["mg", "Mg"]),
    ("lb", &["lb"]),
    ("oz", &["oz"]),
    ("ml", &["ml"]),
    ("cl", &["cl"]),
    ("ms", &["ms", "mS", "Ms"]),
    ("nm", &["nm", "nM"]),
    ("bn", &["bn"]),
    ("hz", &["Hz"]),
    ("khz", &["kHz"]),
    ("mhz", &["MHz"]),
    ("ghz", &["GHz"]),
    ("kpa", &["kPa"]),
    ("mpa", &["MPa", "mPa"]),
    ("gpa", &["GPa"]),
    ("kn", &["kN"]),
    ("kj", &["kJ"]),
    ("mj", &["MJ", "mJ"]),
    ("kw", &["kW"]),
    ("mw", &["MW", "mW"]),
    ("gw", &["GW"]),
    ("wh", &["Wh"]),
    ("kwh", &["kWh"]),
    ("mwh", &["MWh", "mWh"]),
    ("gwh", &["GWh"]),
    ("kv", &["kV"]),
    ("mv", &["mV", "MV"]),
    ("ma", &["mA"]),
    ("kb", &["kB", "kb"]),
    ("mb", &["MB", "Mb"]),
    ("gb", &["GB", "Gb"]),
    ("tb", &["TB", "Tb"]),
    ("kbps", &["kbps", "kBps"]),
    ("mbps", &["Mbps", "MBps"]),
    ("gbps", &["Gbps", "GBps"]),
    ("kcal", &["kcal"]),
];

/// So many of a base unit, perhaps per second.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Symbol {
    pub(super) base: &'static str,
    pub(super) factor: BigRational,
    pub(super) rate: bool,
}

/// The symbol with a prefix that is written so.
pub(super) fn prefixed(word: &str) -> Option<Symbol> {
    let prefix = word.chars().next()?;
    let (_, power) = PREFIXES.iter().find(|(name, _)| *name == prefix)?;
    let rest = &word[prefix.len_utf8()..];
    let factor = |count: i64| {
        BigRational::from_integer(10.into()).pow(*power) * BigRational::from_integer(count.into())
    };
    if let Some((_, count)) = RATES.iter().find(|(name, _)| *name == rest).filter(|_| *power > 0) {
        return Some(Symbol { base: "bit", factor: factor(*count), rate: true });
    }
    let (_, base, count, _) =
        SYMBOLS.iter().find(|(name, _, _, parts)| *name == rest && (*power > 0 || *parts))?;
    // Most who write `kb` mean bytes, and by `MT` tonnes.
    let known = !matches!(word, "kb" | "MT" | "kT" | "GT");
    known.then(|| Symbol { base, factor: factor(*count), rate: false })
}

/// The power of ten and the name behind it of a word with a prefix written out.
pub(super) fn long_prefix(word: &str) -> Option<(i32, &str)> {
    LONG_PREFIXES.iter().find_map(|(prefix, power)| Some((*power, word.strip_prefix(prefix)?)))
}

/// Whether a word is a symbol that takes prefixes, without one.
pub(super) fn is_symbol(word: &str) -> bool {
    SYMBOLS.iter().any(|(name, ..)| *name == word)
}

/// The symbol that a word means if its letters are of another case than they should be, and only one can be meant: `KG` is kg, but `mpa`
/// is neither MPa nor mPa for sure. Small letters alone count data in bytes, and their rates in bits.
pub(super) fn in_another_case(word: &str) -> Option<&'static str> {
    let lower = word.to_lowercase();
    let (_, meant) = IN_ANY_CASE.iter().find(|(name, _)| *name == lower)?;
    let small = word == lower;
    let alike = |part: fn(&str) -> &str| {
        let mut fitting = meant.iter().filter(|name| part(name) == part(word));
        fitting.next().filter(|_| fitting.next().is_none())
    };
    match meant {
        [only] => Some(only),
        [first, ..] if small && (lower == *first || lower != "kb" && first.contains(['B', 'b'])) => {
            Some(first)
        }
        _ if small => None,
        // Capitals all over, as a label has them.
        [first, ..] if word == word.to_uppercase() && lower == *first => Some(first),
        _ => {
            let titled = || alike(|name| name.get(..1).unwrap_or_default());
            let capital = word.starts_with(char::is_uppercase);
            alike(|name| name.get(1..).unwrap_or_default())
                .or_else(|| capital.then(titled).flatten())
                .copied()
        }
    }
}

/// Whether a word in letters of any case is a symbol, but can mean several units.
pub(super) fn is_open(word: &str) -> bool {
    let lower = word.to_lowercase();
    IN_ANY_CASE.iter().any(|(name, _)| *name == lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_parts_symbols_only_where_it_must() {
        for (word, meant) in [
            ("KG", Some("kg")),
            ("Kg", Some("kg")),
            ("ML", Some("ml")),
            ("MM", Some("mm")),
            ("MS", Some("ms")),
            ("gb", Some("GB")),
            ("mhz", Some("MHz")),
            ("MHZ", Some("MHz")),
            ("kpa", Some("kPa")),
            ("mbps", Some("Mbps")),
            ("Kbps", Some("kbps")),
            ("KWH", Some("kWh")),
            ("Mpa", Some("MPa")),
            ("mpa", None),
            ("mw", None),
            ("kb", None),
            ("MBPS", None),
            ("Mm", Some("Mm")),
            ("mM", None),
        ] {
            assert_eq!(in_another_case(word), meant, "{word}");
        }
        for (word, other) in [("MPa", "mPa"), ("MB", "Mb"), ("Mbps", "MBps"), ("MW", "mW"), ("kV", "mV")] {
            assert!(prefixed(word).is_some() && prefixed(word) != prefixed(other), "{word} {other}");
        }
        assert_eq!([prefixed("kb"), prefixed("pm"), prefixed("ml")], [None, None, None]);
    }
}
