//! How much memory a batch of requests takes.

use super::super::activations::Activations;
use super::super::config::ModelConfig;
use super::super::packed::bucket;
use super::batch::Decoded;
use super::prefill::{Inputs, PACK_TOKENS, Tables};
use crate::kernel::attention::PAGE;
use crate::kernel::cache::CacheFormat;
use crate::kernel::sample::State;

/// The lengths of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lengths {
    /// Tokens of the prompt.
    pub prompt: usize,
    /// Number of completions.
    pub samples: usize,
    /// Most tokens of a completion.
    pub max_tokens: usize,
}

/// What a generator makes for a batch of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Rows of the decode batch.
    pub rows: usize,
    /// Cache pages of one row.
    pub row_pages: usize,
    /// Most tokens of a completion.
    pub capacity: usize,
    /// Cache pages in all.
    pub pages: usize,
    /// Tokens of the largest prefill pass.
    pub prefill: usize,
    /// How keys and values are kept.
    pub format: CacheFormat,
}

impl Sizes {
    /// The sizes for `requests` with at most `max_rows` rows at a time and sequences of at most `context` tokens. The
    /// first `prefix` tokens of all prompts are the same ([`common_prefix`](super::common_prefix)); 0 is always enough.
    pub fn new(requests: &[Lengths], max_rows: usize, context: usize, prefix: usize) -> Self {
        let most = |of: fn(&Lengths) -> usize| requests.iter().map(of).max().unwrap_or(1);
        let samples: usize = requests.iter().map(|request| request.samples).sum();
        let rows = samples.min(max_rows).max(1).next_power_of_two();
        let longest = most(|r| r.prompt + r.max_tokens).min(context + 1);
        let row_pages = longest.div_ceil(PAGE).next_power_of_two();
        // A group is admitted whole, so one may wait with all its pages beside the rows that run.
        let sequences = (rows + most(|r| r.samples)).min(samples.max(1));
        let pages = match prefix / PAGE {
            0 => sequences * row_pages,
            shared => shared + sequences * longest.div_ceil(PAGE).saturating_sub(shared),
        };
        let prompts: usize = requests.iter().map(|request| request.prompt).sum();
        let prefill = prompts.min(PACK_TOKENS.max(most(|r| r.prompt)));
        Self {
            rows,
            row_pages,
            capacity: most(|r| r.max_tokens),
            pages,
            prefill,
            format: CacheFormat::default(),
        }
    }

    /// These sizes with keys and values kept in another format.
    pub fn kept_as(self, format: CacheFormat) -> Self {
        Self { format, ..self }
    }

    /// Enough for both, one after the other, in the format of this one.
    pub fn union(self, other: Self) -> Self {
        Self {
            rows: self.rows.max(other.rows),
            row_pages: self.row_pages.max(other.row_pages),
            capacity: self.capacity.max(other.capacity),
            pages: self.pages.max(other.pages),
            prefill: self.prefill.max(other.prefill),
            format: self.format,
        }
    }

    /// Bytes of the KV cache.
    pub fn kv_bytes(&self, config: &ModelConfig) -> u64 {
        2 * config.num_layers as u64 * self.layer_bytes(config)
    }

    /// Bytes of everything else.
    pub fn activation_bytes(&self, config: &ModelConfig, rank: usize) -> u64 {
        let tokens = self.prefill_tokens();
        State::bytes(self.rows, self.row_pages, self.capacity)
            + Decoded::bytes(self.rows, config, self.row_pages)
            + Activations::bytes(self.rows, config, rank)
            + Inputs::bytes(tokens, tokens, config)
            + Tables::bytes(tokens, self.row_pages)
            + Activations::bytes(tokens, config, rank)
    }

    /// The largest buffer among these that cannot be split, in bytes.
    pub fn largest_buffer(&self, config: &ModelConfig, rank: usize) -> u64 {
        let tokens = self.prefill_tokens();
        let each = [
            self.layer_bytes(config),
            State::largest(self.rows, self.row_pages, self.capacity),
            Decoded::largest(self.rows, config, self.row_pages),
            Activations::largest(self.rows, config, rank),
            Inputs::largest(tokens, tokens, config),
            Tables::largest(tokens, self.row_pages),
            Activations::largest(tokens, config, rank),
        ];
        each.into_iter().max().unwrap_or(0)
    }

    /// Tokens, and pairs of (token, place), of the buffers for prefill.
    fn prefill_tokens(&self) -> usize {
        bucket(self.prefill.max(1))
    }

    /// Bytes of the keys, or of the values, of one layer.
    fn layer_bytes(&self, config: &ModelConfig) -> u64 {
        4 * (self.pages * PAGE) as u64 * self.format.words(config.kv_size()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_kept_once() {
        let request = Lengths { prompt: 100, samples: 2, max_tokens: 30 };
        let pages = |prefix| Sizes::new(&[request; 9], 8, 4096, prefix).pages;
        // 130 tokens are 9 pages, in tables of 16; two samples may wait beside the 8 rows.
        assert_eq!((pages(0), pages(15)), (10 * 16, 10 * 16));
        assert_eq!((pages(16), pages(99)), (1 + 10 * 8, 6 + 10 * 3));
    }
}
