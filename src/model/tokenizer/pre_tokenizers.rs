//! How texts are cut before a byte-level BPE merges their bytes, by the names that GGUF files have for it.

/// How a byte-level BPE cuts text before merging, by GGUF's name.
pub(super) struct PreTokenizer {
    /// Values of `tokenizer.ggml.pre`.
    pub(super) names: &'static [&'static str],
    /// Splits applied in this order, each to the pieces of the one before.
    pub(super) splits: &'static [&'static str],
    /// Pieces that are a token are not merged bottom-up.
    pub(super) ignore_merges: bool,
    /// Text is brought to Unicode's composed form.
    pub(super) nfc: bool,
    /// The begin token is added unless the metadata say otherwise.
    pub(super) add_bos: bool,
}

/// GPT-2's pattern: contractions, words, numbers, other signs, each with one space before; trailing space apart.
pub const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// Llama 3's pattern: contractions in either case, words with a sign before, numbers up to three, other signs with the line ends
/// behind them.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Mistral's pattern: words end where small letters are followed by large ones, digits stand alone. llama.cpp takes letters beyond ASCII for
/// large and small at once; this is the original.
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// GPT-4o's pattern, which Phi-4-mini has: Mistral's with contractions at the ends of words and numbers up to three.
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// All that are known.
pub(super) const PRE_TOKENIZERS: &[PreTokenizer] = &[
    PreTokenizer {
        // Each digit apart, then GPT-2's pattern.
        names: &["smollm", "refact", "starcoder", "command-r", "codeshell", "exaone", "minerva-7b"],
        splits: &[r"\p{N}", GPT2],
        ignore_merges: false,
        nfc: false,
        add_bos: false,
    },
    PreTokenizer {
        names: &["llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"],
        splits: &[LLAMA3],
        ignore_merges: true,
        nfc: false,
        add_bos: true,
    },
    PreTokenizer { names: &["tekken"], splits: &[TEKKEN], ignore_merges: true, nfc: false, add_bos: true },
    PreTokenizer {
        names: &["gpt-4o", "llama4", "kanana2"],
        splits: &[GPT4O],
        ignore_merges: false,
        nfc: false,
        add_bos: false,
    },
    PreTokenizer {
        names: &["smaug-bpe", "dbrx"],
        splits: &[LLAMA3],
        ignore_merges: false,
        nfc: false,
        add_bos: false,
    },
    PreTokenizer {
        names: &["qwen2", "deepseek-r1-qwen"],
        splits: &[
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ],
        ignore_merges: false,
        nfc: true,
        add_bos: false,
    },
    PreTokenizer {
        names: &["gpt-2", "phi-2", "mpt", "olmo", "trillion", "granite-docling"],
        splits: &[GPT2],
        ignore_merges: false,
        nfc: false,
        add_bos: false,
    },
    // What llama.cpp does where a file does not say: signs, GPT-2's pattern, numbers in threes.
    PreTokenizer {
        names: &["default"],
        splits: &[r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"],
        ignore_merges: false,
        nfc: false,
        add_bos: false,
    },
];

/// GGUF's name for a byte-level BPE that cuts text by these patterns, if it has one.
pub fn pre_tokenizer_name(splits: &[&str], ignore_merges: bool, nfc: bool) -> Option<&'static str> {
    let same =
        |pre: &&PreTokenizer| pre.splits == splits && pre.ignore_merges == ignore_merges && pre.nfc == nfc;
    PRE_TOKENIZERS.iter().find(same)?.names.first().copied()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
    use tokenizers::{
        OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer as _, SplitDelimiterBehavior,
    };

    use super::*;

    fn pieces(name: &str, text: &str) -> Vec<String> {
        let pre = PRE_TOKENIZERS.iter().find(|pre| pre.names.contains(&name)).unwrap();
        let mut cut = PreTokenizedString::from(text);
        for pattern in pre.splits {
            let pattern = SplitPattern::Regex((*pattern).to_owned());
            Split::new(pattern, SplitDelimiterBehavior::Isolated, false)
                .unwrap()
                .pre_tokenize(&mut cut)
                .unwrap();
        }
        let splits = cut.get_splits(OffsetReferential::Original, OffsetType::Byte);
        splits.into_iter().map(|(piece, ..)| piece.to_owned()).collect()
    }

    /// What Python's `regex` makes of the pattern in Mistral's own file.
    #[test]
    fn tekken_cuts_as_mistral_does() {
        for (text, expected) in [
            (
                "HelloWorld ABCdef iPhone XMLHttpRequest don't",
                &["Hello", "World", " ABCdef", " i", "Phone", " XMLHttp", "Request", " don", "'t"][..],
            ),
            ("Ärger ÄÖÜ straße ΑΒΓδ", &["Ärger", " ÄÖÜ", " straße", " ΑΒΓδ"]),
            ("2024 is 1,500.25", &["2", "0", "2", "4", " is", " ", "1", ",", "5", "0", "0", ".", "2", "5"]),
            ("a/b//\n\nc  d   ", &["a", "/b", "//\n\n", "c", " ", " d", "   "]),
            ("日本語 हिन्दी 🎉", &["日本語", " हिन्दी", " 🎉"]),
        ] {
            assert_eq!(pieces("tekken", text), expected, "{text}");
        }
        // And of GPT-4o's.
        let words = ["Hello", "World", " don't", " THEY'LL"];
        assert_eq!(pieces("gpt-4o", "HelloWorld don't THEY'LL"), words);
        assert_eq!(pieces("gpt-4o", "1234 a//\n\nb  c"), ["123", "4", " a", "//\n\n", "b", " ", " c"]);
        assert_eq!(pieces("refact", "in 2024!"), ["in", " ", "2", "0", "2", "4", "!"]);
    }

    #[test]
    fn no_name_stands_twice() {
        let names: Vec<&str> = PRE_TOKENIZERS.iter().flat_map(|pre| pre.names).copied().collect();
        let distinct: std::collections::BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(distinct.len(), names.len());
    }
}
