//! Prompts through the model at once, packed without padding, for their keys and values only.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::super::block::{Activations, Attend, LayerCache, Positions};
use super::super::lora::Lora;
use super::super::packed::{Packed, bucket};
use super::super::{Model, index32};
use crate::Result;
use crate::gpu::{Buffer, Gpu, Plan, Recorder};
use crate::kernel::{NONE, embed};

/// Tokens in one forward pass, unless a single prompt has more.
pub(super) const PACK_TOKENS: usize = 1024;

/// Buffers of one size, shared by the plans of smaller buckets.
struct Arena {
    token: Buffer,
    position: Buffer,
    span: Buffer,
    pair: Buffer,
    hidden: Buffer,
    act: Activations,
}

impl Arena {
    fn new(gpu: &Gpu, model: &Model, tokens: usize, pairs: usize, rank: usize) -> Result<Self> {
        Ok(Self {
            token: gpu.buffer("token", &[tokens])?,
            position: gpu.buffer("position", &[tokens])?,
            span: gpu.buffer("span", &[tokens, 2])?,
            pair: gpu.buffer("pair", &[pairs, 2])?,
            hidden: gpu.buffer("hidden", &[tokens, model.config().hidden_size])?,
            act: Activations::new(gpu, model.config(), tokens, rank)?,
        })
    }

    fn first(&self, tokens: usize, pairs: usize) -> Result<Self> {
        Ok(Self {
            token: self.token.view(0, &[tokens])?,
            position: self.position.view(0, &[tokens])?,
            span: self.span.view(0, &[tokens, 2])?,
            pair: self.pair.view(0, &[pairs, 2])?,
            hidden: self.hidden.view(0, &[tokens, self.hidden.shape()[1]])?,
            act: self.act.first(tokens)?,
        })
    }
}

/// Recorded prefill passes.
#[derive(Default)]
pub(super) struct Prefill {
    arena: Option<Arena>,
    plans: HashMap<(usize, usize), Plan>,
}

impl Prefill {
    /// Fills the cache: `pairs[i]` lists (position, place) of prompt i.
    pub(super) fn run(
        &mut self,
        model: &Model,
        lora: Option<&Lora>,
        cache: &[LayerCache],
        prompts: &[&[u32]],
        pairs: &[Vec<(usize, u32)>],
    ) -> Result<()> {
        let mut start = 0;
        while start < prompts.len() {
            let mut end = start + 1;
            let mut tokens = prompts[start].len();
            while end < prompts.len() && tokens + prompts[end].len() <= PACK_TOKENS {
                tokens += prompts[end].len();
                end += 1;
            }
            self.pack(model, lora, cache, &prompts[start..end], &pairs[start..end])?;
            start = end;
        }
        Ok(())
    }

    fn pack(
        &mut self,
        model: &Model,
        lora: Option<&Lora>,
        cache: &[LayerCache],
        prompts: &[&[u32]],
        pairs: &[Vec<(usize, u32)>],
    ) -> Result<()> {
        let gpu = model.gpu();
        let mut packed = Packed::new(prompts, |_, _| false);
        let mut flat: Vec<[u32; 2]> = Vec::new();
        let mut first = 0;
        for (prompt, pairs) in prompts.iter().zip(pairs) {
            flat.extend(pairs.iter().map(|&(position, place)| [index32(first + position), place]));
            first += prompt.len();
        }
        let (tokens, count) = (bucket(packed.tokens.len()), bucket(flat.len()));
        packed.pad(tokens, 0);
        flat.resize(count, [0, NONE]);

        let had = self.arena.as_ref().map_or((0, 0), |arena| (arena.token.len(), arena.pair.shape()[0]));
        if tokens > had.0 || count > had.1 {
            self.plans.clear();
            self.arena = None;
            let rank = lora.map_or(0, |lora| lora.layout().max_rank());
            self.arena = Some(Arena::new(gpu, model, tokens.max(had.0), count.max(had.1), rank)?);
        }
        let Some(arena) = &self.arena else { return Ok(()) };
        gpu.write(&arena.token, 0, &packed.tokens)?;
        gpu.write(&arena.position, 0, &packed.positions)?;
        gpu.write(&arena.span, 0, &packed.spans)?;
        gpu.write(&arena.pair, 0, &flat)?;
        let plan = match self.plans.entry((tokens, count)) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(free) => free.insert(record(model, lora, cache, &arena.first(tokens, count)?)?),
        };
        gpu.run(plan)
    }
}

fn record(model: &Model, lora: Option<&Lora>, cache: &[LayerCache], arena: &Arena) -> Result<Plan> {
    let mut rec = Recorder::new(model.gpu());
    embed::forward(&mut rec, &model.weights().embedding, &arena.token, &arena.hidden)?;
    let positions = Positions { position: &arena.position, table: model.rope_table() };
    for (layer, cache) in cache.iter().enumerate() {
        let attend = Attend::Prefill { span: &arena.span, pair: &arena.pair, cache };
        model.block(layer, lora).forward(&mut rec, &arena.hidden, &arena.act, positions, attend)?;
    }
    rec.finish()
}
