//! Units that are made of others: a joule is a newton metre, and both are kg m²/s² (SI Brochure, 9th edition, table 4). Those beside
//! the system are by their definitions: the pound and the cup of the United States (NIST Handbook 44, appendix C).

use num_rational::BigRational;

/// Base unit of the table of units, how many (as a fraction), and of what.
type Derived = (&'static str, i64, i64, &'static [(&'static str, i32)]);

const DERIVED: &[Derived] = &[
    ("N", 1000, 1, &[("g", 1), ("m", 1), ("s", -2)]),
    ("J", 1000, 1, &[("g", 1), ("m", 2), ("s", -2)]),
    ("W", 1000, 1, &[("g", 1), ("m", 2), ("s", -3)]),
    ("Pa", 1000, 1, &[("g", 1), ("m", -1), ("s", -2)]),
    ("Hz", 1, 1, &[("s", -1)]),
    ("C", 1, 1, &[("A", 1), ("s", 1)]),
    ("V", 1000, 1, &[("g", 1), ("m", 2), ("s", -3), ("A", -1)]),
    ("Ω", 1000, 1, &[("g", 1), ("m", 2), ("s", -3), ("A", -2)]),
    ("S", 1, 1000, &[("g", -1), ("m", -2), ("s", 3), ("A", 2)]),
    ("F", 1, 1000, &[("g", -1), ("m", -2), ("s", 4), ("A", 2)]),
    ("H", 1000, 1, &[("g", 1), ("m", 2), ("s", -2), ("A", -2)]),
    ("T", 1000, 1, &[("g", 1), ("s", -2), ("A", -1)]),
    ("Wb", 1000, 1, &[("g", 1), ("m", 2), ("s", -2), ("A", -1)]),
    ("Sv", 1, 1, &[("m", 2), ("s", -2)]),
    ("Gy", 1, 1, &[("m", 2), ("s", -2)]),
    ("Bq", 1, 1, &[("s", -1)]),
    ("cal", 4184, 1, &[("g", 1), ("m", 2), ("s", -2)]),
    ("acre", 40_468_564_224, 10_000_000, &[("m", 2)]),
    ("ha", 10_000, 1, &[("m", 2)]),
    ("knot", 1852, 3600, &[("m", 1), ("s", -1)]),
    // The base of pounds is the ounce, that of gallons the cup.
    ("lb", 28_349_523_125, 1_000_000_000, &[("g", 1)]),
    ("gal", 2_365_882_365, 10_000_000_000_000, &[("m", 3)]),
];

/// Joules of an electronvolt are 1.602176634e-19.
const ELECTRONVOLT: (i64, i32) = (1_602_176_634, -28);

/// How many of what a base unit is, if it is made of others.
pub(super) fn parts(base: &str) -> Option<(BigRational, &'static [(&'static str, i32)])> {
    if base == "eV" {
        let (joule, parts) = parts("J")?;
        let (digits, power) = ELECTRONVOLT;
        let size = BigRational::from_integer(digits.into()) * BigRational::from_integer(10.into()).pow(power);
        return Some((joule * size, parts));
    }
    let (_, above, below, parts) = DERIVED.iter().find(|(name, ..)| *name == base)?;
    Some((BigRational::new((*above).into(), (*below).into()), parts))
}
