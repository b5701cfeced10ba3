//! Checks SentencePiece's `precompiled_charsmap`, which the library walks without looking at bounds.
//!
//! Its layout: the length of the trie in bytes, the trie (a double array of 32-bit units), then texts that end with a zero
//! byte, to which the trie's values point.
//! <https://github.com/google/sentencepiece/blob/master/src/normalizer.cc>

/// The largest trie; those of SentencePiece have about 60,000 units.
const MAX_UNITS: usize = 1 << 20;

/// Checks the map in base64. Errors say what is wrong with it.
pub(super) fn check(base64: &str) -> Result<(), String> {
    let bytes = decode_base64(base64).ok_or("is not base64")?;
    let (size, rest) = bytes.split_first_chunk::<4>().ok_or("is cut off")?;
    let size = u32::from_le_bytes(*size) as usize / 4 * 4;
    let (trie, texts) = rest.split_at_checked(size).ok_or("is cut off")?;
    let texts = std::str::from_utf8(texts).map_err(|_| "holds texts that are not UTF-8")?;
    let units: Vec<u32> = trie.as_chunks::<4>().0.iter().map(|unit| u32::from_le_bytes(*unit)).collect();
    let root = *units.first().ok_or("has no trie")?;
    if units.len() > MAX_UNITS {
        return Err(format!("has a trie of {} units, more than {MAX_UNITS}", units.len()));
    }
    let mut seen = vec![false; units.len()];
    let mut open = vec![offset(root)];
    while let Some(node) = open.pop() {
        // A step looks at the unit at the node xor the next byte, which may be any.
        if node | 0xFF >= units.len() {
            return Err("has a trie that points outside itself".into());
        }
        if std::mem::replace(&mut seen[node], true) {
            continue;
        }
        for byte in 1..=0xFF {
            let (place, unit) = (node ^ byte, units[node ^ byte]);
            if unit as usize & (1 << 31 | 0xFF) != byte {
                continue;
            }
            let child = place ^ offset(unit);
            if unit >> 8 & 1 == 1 {
                let value = *units.get(child).ok_or("has a trie that points outside itself")? as usize;
                if !texts.is_char_boundary(value & ((1 << 31) - 1)) {
                    return Err("points outside its texts".into());
                }
            }
            open.push(child);
        }
    }
    Ok(())
}

/// How far the children of a unit are.
fn offset(unit: u32) -> usize {
    let unit = unit as usize;
    (unit >> 10) << ((unit & 1 << 9) >> 6)
}

fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    let mut out = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut bits, mut count) = (0u32, 0);
    for digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    Some(out)
}
