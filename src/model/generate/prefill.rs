//! Prompts through the model at once, packed without padding, for their keys and values only.
//!
//! Tokens at the start of a prompt attend to each other as in training. Tokens that go on from a prefix in the cache
//! attend as the decode loop does, one row a token: the prefix's keys are in pages, not in this pass.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::AtomicBool;

use super::super::activations::Activations;
use super::super::block::{Attend, LayerCache, Spans};
use super::super::config::ModelConfig;
use super::super::lora::Lora;
use super::super::packed::{Packed, bucket};
use super::super::{Model, index32};
use crate::Result;
use crate::gpu::buffer_set::buffer_set;
use crate::gpu::{Buffer, Gpu, Recorder, Recording};
use crate::kernel::attention::{Rows, SPAN};
use crate::kernel::{NONE, embed};

/// Tokens in one forward pass, unless a single prompt has more.
pub(super) const PACK_TOKENS: usize = 1024;

/// Consecutive tokens of a prompt and where their keys and values go.
pub(super) struct Part<'a> {
    pub(super) tokens: &'a [u32],
    /// (index of the token, place)
    pub(super) pairs: Vec<(usize, u32)>,
    /// Page numbers of the whole prompt in order of positions; not used at the start of a prompt.
    pub(super) table: Vec<u32>,
}

buffer_set! {
    /// What tokens that go on from a prefix need besides.
    pub(super) struct Tables[tokens](row_pages: usize) {
        /// 1 for what is not padding.
        live[tokens]: Buffer = [tokens];
        /// Page numbers of each token's row.
        pages[tokens]: Buffer = [tokens, row_pages];
    }
}

buffer_set! {
    /// Inputs and residual stream of a prefill pass.
    pub(super) struct Inputs[tokens, pairs](config: &ModelConfig) {
        /// Tokens of all prompts.
        token[tokens]: Buffer = [tokens];
        /// Positions of the tokens in their prompts.
        position[tokens]: Buffer = [tokens];
        /// What each token sees.
        span[tokens]: Buffer = [tokens, SPAN];
        /// The same in layers with a sliding window, if the model has some.
        window_span[tokens]: Option<Buffer> = config.sliding_window.as_ref().map(|_| [tokens, SPAN]);
        /// (token, place) of keys and values.
        pair[pairs]: Buffer = [pairs, 2];
        /// The residual stream.
        hidden[tokens]: Buffer = [tokens, config.hidden_size];
    }
}

/// Buffers of one size, shared by the recordings of smaller buckets.
struct Arena {
    inputs: Inputs,
    act: Activations,
    tables: Option<Tables>,
}

impl Arena {
    fn new(gpu: &Gpu, config: &ModelConfig, tokens: usize, pairs: usize, rank: usize) -> Result<Self> {
        Ok(Self {
            inputs: Inputs::new(gpu, tokens, pairs, config)?,
            act: Activations::new(gpu, tokens, config, rank)?,
            tables: None,
        })
    }

    fn first(&self, tokens: usize, pairs: usize) -> Result<Self> {
        Ok(Self {
            inputs: self.inputs.first(tokens, pairs)?,
            act: self.act.first(tokens)?,
            tables: self.tables.as_ref().map(|tables| tables.first(tokens)).transpose()?,
        })
    }
}

/// Recorded prefill passes.
#[derive(Default)]
pub(super) struct Prefill {
    /// Pages of the longest row.
    row_pages: usize,
    arena: Option<Arena>,
    /// By tokens, pairs, and whether the tokens go on from a prefix.
    recordings: HashMap<(usize, usize, bool), Recording>,
}

impl Prefill {
    /// Passes over prompts of up to `row_pages` pages.
    pub(super) fn new(row_pages: usize) -> Self {
        Self { row_pages, ..Self::default() }
    }

    /// Fills the cache. The first token of every part has position `first`; the cache holds what is before it.
    ///
    /// # Errors
    /// [`Error::Cancelled`](crate::Error::Cancelled) between two slices once `cancel` is set.
    pub(super) async fn run(
        &mut self,
        model: &Model,
        lora: Option<&Lora>,
        cache: &[LayerCache],
        parts: &[Part<'_>],
        first: usize,
        cancel: &AtomicBool,
    ) -> Result<()> {
        let mut start = 0;
        while start < parts.len() {
            let mut end = start + 1;
            let mut tokens = parts[start].tokens.len();
            while end < parts.len() && tokens + parts[end].tokens.len() <= PACK_TOKENS {
                tokens += parts[end].tokens.len();
                end += 1;
            }
            self.pack(model, lora, cache, &parts[start..end], first, cancel).await?;
            start = end;
        }
        Ok(())
    }

    async fn pack(
        &mut self,
        model: &Model,
        lora: Option<&Lora>,
        cache: &[LayerCache],
        parts: &[Part<'_>],
        first: usize,
        cancel: &AtomicBool,
    ) -> Result<()> {
        let gpu = model.gpu();
        let sequences: Vec<&[u32]> = parts.iter().map(|part| part.tokens).collect();
        let mut packed = Packed::new(&sequences, model.config().window_size(), |_, _| false);
        for position in &mut packed.positions {
            *position += index32(first);
        }
        let mut flat: Vec<[u32; 2]> = Vec::new();
        let mut before = 0;
        for part in parts {
            flat.extend(part.pairs.iter().map(|&(token, place)| [index32(before + token), place]));
            before += part.tokens.len();
        }
        let real = packed.tokens.len();
        let (tokens, count) = (bucket(real), bucket(flat.len()));
        packed.pad(tokens, 0);
        flat.resize(count, [0, NONE]);

        let extends = first > 0;
        self.make_arena(model, lora, [tokens, count], extends)?;
        let Some(arena) = &self.arena else { return Ok(()) };
        gpu.write(&arena.inputs.token, 0, &packed.tokens)?;
        gpu.write(&arena.inputs.position, 0, &packed.positions)?;
        gpu.write(&arena.inputs.pair, 0, &flat)?;
        if let Some(Tables { live, pages }) = arena.tables.as_ref().filter(|_| extends) {
            let mut tables = vec![0u32; tokens * self.row_pages];
            let of_tokens = parts.iter().flat_map(|part| part.tokens.iter().map(|_| &part.table));
            for (row, table) in tables.chunks_exact_mut(self.row_pages).zip(of_tokens) {
                row[..table.len()].copy_from_slice(table);
            }
            gpu.write(live, 0, &(0..tokens).map(|row| u32::from(row < real)).collect::<Vec<_>>())?;
            gpu.write(pages, 0, &tables)?;
        } else {
            gpu.write(&arena.inputs.span, 0, &packed.spans)?;
            if let Some(window_span) = &arena.inputs.window_span {
                gpu.write(window_span, 0, &packed.window_spans)?;
            }
        }
        let recording = match self.recordings.entry((tokens, count, extends)) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(free) => {
                free.insert(record(model, lora, cache, &arena.first(tokens, count)?, extends)?)
            }
        };
        gpu.run_cancellable(recording, 1, cancel).await
    }

    /// Makes buffers for so many tokens and pairs, and page tables if the tokens extend a prefix. What is large enough
    /// is kept.
    fn make_arena(
        &mut self,
        model: &Model,
        lora: Option<&Lora>,
        [tokens, pairs]: [usize; 2],
        extends: bool,
    ) -> Result<()> {
        let gpu = model.gpu();
        let had = self.arena.as_ref().map(|arena| &arena.inputs);
        let had = had.map_or((0, 0), |inputs| (inputs.token.len(), inputs.pair.shape()[0]));
        let kept = self.arena.take().filter(|_| tokens <= had.0 && pairs <= had.1);
        let mut arena = match kept {
            Some(arena) => arena,
            None => {
                self.recordings.clear();
                let rank = lora.map_or(0, |lora| lora.layout().max_rank());
                Arena::new(gpu, model.config(), tokens.max(had.0), pairs.max(had.1), rank)?
            }
        };
        if extends && arena.tables.is_none() {
            let tokens = arena.inputs.token.len();
            arena.tables = Some(Tables::new(gpu, tokens, self.row_pages)?);
        }
        self.arena = Some(arena);
        Ok(())
    }
}

fn record(
    model: &Model,
    lora: Option<&Lora>,
    cache: &[LayerCache],
    arena: &Arena,
    extends: bool,
) -> Result<Recording> {
    let Arena { inputs: Inputs { token, position, span, window_span, pair, hidden }, act, tables } = arena;
    let mut rec = Recorder::new(model.gpu());
    let scale = model.config().embedding_scale();
    embed::forward(&mut rec, &model.weights().embedding, token, scale, hidden)?;
    let spans = Spans { whole: span, window: window_span.as_ref() };
    for (layer, cache) in cache.iter().enumerate() {
        let positions = model.positions(layer, position);
        let attend = match tables.as_ref().filter(|_| extends) {
            Some(Tables { live, pages }) => Attend::Cached {
                // A row for each token of the prompts, which are seldom few; they go without splits.
                rows: Rows { position, live, pages, parts: None },
                pair,
                cache,
            },
            None => Attend::Prefill { spans, pair, cache },
        };
        model.block(layer, lora).forward(&mut rec, hidden, act, positions, attend, None)?;
    }
    rec.finish()
}
