//! Sequences packed one after the other without padding, each by itself or sharing the rows of common beginnings, and the forward
//! pass over them.

use super::Model;
use super::activations::Activations;
use super::block::{Attend, Spans};
use super::config::ModelConfig;
use super::forest::{Forest, Tree};
use super::lora::Lora;
use crate::gpu::buffer_set::{First, buffer_set};
use crate::gpu::{Buffer, Gpu, Recorder};
use crate::kernel::attention::SPAN;
use crate::kernel::{NONE, embed, gather, log_softmax, product, rms_norm};
use crate::{Error, Result};

use super::index32;

/// Elements of logits that exist at a time (16 MiB).
const LOGITS_ELEMENTS: usize = 4 << 20;

/// The same on a GPU without a memory limit (128 MiB, which every WebGPU device binds): few rows leave most of its cores idle
/// in the largest product of all.
const GPU_LOGITS_ELEMENTS: usize = 32 << 20;

/// Sequences as the GPU gets them, padded at the end to the sizes of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packed {
    /// Tokens of all sequences, those of a shared beginning once and before what follows it in each sequence.
    pub tokens: Vec<u32>,
    /// Position of each token in its sequence.
    pub positions: Vec<u32>,
    /// What each token sees, see [`SPAN`].
    pub spans: Vec<[u32; SPAN]>,
    /// The same in layers with a sliding window; empty without one.
    pub window_spans: Vec<[u32; SPAN]>,
    /// Tokens whose successor is scored, ascending: as often as there are scored successors.
    pub rows: Vec<u32>,
    /// The successor of each of those.
    pub targets: Vec<u32>,
    /// Where in `rows` each scored prediction stands, in the order of the sequences and in each of its tokens.
    pub places: Vec<u32>,
}

impl Packed {
    /// Packs sequences, each by itself, for a model that has a sliding window of this size or none; `scored(sequence, t)` says whether
    /// the prediction of token t + 1 from token t counts.
    pub fn new<S: AsRef<[u32]>>(
        sequences: &[S],
        window: Option<usize>,
        scored: impl FnMut(usize, usize) -> bool,
    ) -> Self {
        let trees = (0..sequences.len()).map(|index| Tree { sequences: index..index + 1, shared: 0 });
        Self::of_trees(sequences, window, trees, scored)
    }

    /// The same with the rows of what neighbouring sequences begin with once, see [`Forest`]. A row may then be scored for the
    /// successors that it has in several sequences.
    pub fn sharing<S: AsRef<[u32]>>(
        sequences: &[S],
        window: Option<usize>,
        scored: impl FnMut(usize, usize) -> bool,
    ) -> Self {
        let longest = window.unwrap_or(usize::MAX);
        let trees = Forest::of(longest, sequences.iter().map(AsRef::as_ref)).trees();
        Self::of_trees(sequences, window, trees, scored)
    }

    fn of_trees<S: AsRef<[u32]>>(
        sequences: &[S],
        window: Option<usize>,
        trees: impl IntoIterator<Item = Tree>,
        mut scored: impl FnMut(usize, usize) -> bool,
    ) -> Self {
        let mut packed = Self::default();
        // (row, successor) in the order of the sequences.
        let mut predictions = Vec::new();
        for Tree { sequences: range, shared } in trees {
            let members = &sequences[range.clone()];
            let first = packed.tokens.len();
            let own: usize = members.iter().map(|sequence| sequence.as_ref().len() - shared).sum();
            let whole = [first, first, first, first + shared + own];
            packed.push(&members[0].as_ref()[..shared], 0, whole);
            for (index, sequence) in range.zip(members) {
                let (sequence, start) = (sequence.as_ref(), packed.tokens.len());
                let row = |t: usize| if t < shared { first + t } else { start + t - shared };
                let counted = (1..sequence.len()).filter(|&next| scored(index, next - 1));
                predictions.extend(counted.map(|next| (index32(row(next - 1)), sequence[next])));
                let end = start + sequence.len() - shared;
                // Without a beginning, first and start are one.
                packed.push(&sequence[shared..], shared, [first, first + shared, start, end]);
            }
        }
        packed.score(&predictions);
        packed.window_spans = window.map(|size| packed.through(size)).unwrap_or_default();
        packed
    }

    /// Adds tokens that see the same, the first at `position`.
    fn push(&mut self, tokens: &[u32], position: usize, span: [usize; SPAN]) {
        self.tokens.extend(tokens);
        self.positions.extend((position..position + tokens.len()).map(index32));
        self.spans.resize(self.tokens.len(), span.map(index32));
    }

    /// What each token sees of the last `size` positions. Only sequences that they hold whole share rows.
    fn through(&self, size: usize) -> Vec<[u32; SPAN]> {
        let near = |(row, &span): (usize, &[u32; SPAN])| match span {
            [shared, shared_end, first, end] if shared == shared_end => {
                let first = first.max(index32((row + 1).saturating_sub(size)));
                // Rows of a beginning are seen from further off, by sequences that are no longer than the window.
                [first, first, first, end]
            }
            span => span,
        };
        self.spans.iter().enumerate().map(near).collect()
    }

    /// Scores these (row, successor): those of one row side by side, for the sum of their gradients.
    fn score(&mut self, predictions: &[(u32, u32)]) {
        let mut order: Vec<usize> = (0..predictions.len()).collect();
        order.sort_by_key(|&index| predictions[index].0);
        self.places = vec![0; order.len()];
        for (place, &index) in order.iter().enumerate() {
            self.places[index] = index32(place);
            self.rows.push(predictions[index].0);
            self.targets.push(predictions[index].1);
        }
    }

    /// `values` of the scored rows in the order of the sequences.
    pub fn in_order<'a, T: Copy>(&'a self, values: &'a [T]) -> impl Iterator<Item = T> + 'a {
        self.places.iter().map(|&place| values[place as usize])
    }

    /// `values`, which are in the order of the sequences, for the scored rows.
    pub fn by_row<T: Copy + Default>(&self, values: &[T]) -> Vec<T> {
        let mut rows = vec![T::default(); values.len()];
        self.places.iter().zip(values).for_each(|(&place, &value)| rows[place as usize] = value);
        rows
    }

    /// Pads to `tokens` tokens (each a sequence of its own that nothing scores) and `rows` scored rows.
    pub(super) fn pad(&mut self, tokens: usize, rows: usize) {
        while self.tokens.len() < tokens {
            let at = index32(self.tokens.len());
            self.tokens.push(0);
            self.positions.push(0);
            self.spans.push([at, at, at, at + 1]);
            if !self.window_spans.is_empty() {
                self.window_spans.push([at, at, at, at + 1]);
            }
        }
        self.rows.resize(rows, NONE);
        self.targets.resize(rows, 0);
    }
}

/// The size of plan that serves `size`: at most an eighth larger, so that few plans serve every batch.
pub fn bucket(size: usize) -> usize {
    let step = (size.next_power_of_two() / 16).max(8);
    size.next_multiple_of(step)
}

/// Rows of logits that exist at a time, if so many elements may.
fn logits_rows(config: &ModelConfig, elements: usize, rows: usize) -> usize {
    (elements / config.vocab_size).clamp(1, rows.max(1))
}

/// Elements of logits that exist at a time on this device.
fn logits_elements(gpu: &Gpu) -> usize {
    match !gpu.is_software() && gpu.available_bytes().is_none() {
        true => most_elements(gpu.max_binding_bytes()),
        false => LOGITS_ELEMENTS,
    }
}

/// The same on a GPU without a memory limit, whose bindings hold so many bytes.
fn most_elements(binding: u64) -> usize {
    let most = usize::try_from(binding / 4).unwrap_or(usize::MAX);
    most.clamp(LOGITS_ELEMENTS, GPU_LOGITS_ELEMENTS)
}

buffer_set! {
    /// Inputs and outputs of a packed forward pass of one bucket; logits exist for `chunk` rows at a time.
    pub struct PackedBuffers[tokens, rows](config: &ModelConfig, chunk: usize) {
        /// Tokens of all sequences.
        pub token[tokens]: Buffer = [tokens];
        /// Positions of the tokens in their sequences.
        pub position[tokens]: Buffer = [tokens];
        /// What each token sees.
        pub span[tokens]: Buffer = [tokens, SPAN];
        /// The same in layers with a sliding window, if the model has some.
        pub window_span[tokens]: Option<Buffer> = config.sliding_window.as_ref().map(|_| [tokens, SPAN]);
        /// Scored rows, ascending.
        pub index[rows]: Buffer = [rows];
        /// The token that follows each.
        pub target[rows]: Buffer = [rows];
        /// Log-probability of each target.
        pub logprob[rows]: Buffer = [rows];
        /// Entropy of each prediction.
        pub entropy[rows]: Buffer = [rows];
        /// Final hidden state of each scored row, normalised.
        pub selected[rows]: Buffer = [rows, config.hidden_size];
        /// Final hidden state, normalised.
        pub normed[tokens]: Buffer = [tokens, config.hidden_size];
        /// Logits of one chunk of rows.
        pub logits[]: Buffer = [chunk, config.vocab_size];
    }
}

impl PackedBuffers {
    /// Buffers for passes over `model`, with as many rows of logits at a time as suit its device.
    ///
    /// # Errors
    /// Those of [`Gpu::buffer`].
    pub fn for_model(model: &Model, tokens: usize, rows: usize) -> Result<Self> {
        let (gpu, config) = (model.gpu(), model.config());
        Self::new(gpu, tokens, rows, config, logits_rows(config, logits_elements(gpu), rows))
    }

    /// Rows of logits that exist at a time at least, and at most where memory is limited.
    pub fn least_chunk(config: &ModelConfig, rows: usize) -> usize {
        logits_rows(config, LOGITS_ELEMENTS, rows)
    }

    /// Writes a batch that is not larger than the buffers.
    pub fn write(&self, gpu: &Gpu, batch: &Packed) -> Result<()> {
        let (tokens, rows) = (self.token.len(), self.index.len());
        if batch.tokens.len() > tokens || batch.rows.len() > rows {
            return Err(Error::Shape {
                kernel: "packed",
                arg: "batch",
                expected: vec![tokens, rows],
                got: vec![batch.tokens.len(), batch.rows.len()],
            });
        }
        let mut batch = batch.clone();
        batch.pad(tokens, rows);
        gpu.write(&self.token, 0, &batch.tokens)?;
        gpu.write(&self.position, 0, &batch.positions)?;
        gpu.write(&self.span, 0, &batch.spans)?;
        if let Some(window_span) = &self.window_span {
            gpu.write(window_span, 0, &batch.window_spans)?;
        }
        gpu.write(&self.index, 0, &batch.rows)?;
        gpu.write(&self.target, 0, &batch.targets)
    }

    /// What the tokens see.
    pub fn spans(&self) -> Spans<'_> {
        Spans { whole: &self.span, window: self.window_span.as_ref() }
    }

    /// Chunks of scored rows as `(first row, rows of normed hidden states, logits)`.
    pub fn chunks(&self) -> Result<Vec<(usize, Buffer, Buffer)>> {
        let [rows, hidden] = self.selected.matrix("packed", "selected")?;
        let [chunk, vocab] = self.logits.matrix("packed", "logits")?;
        // Views start at multiples of 64 elements: hidden is a multiple of 8, so 8 rows keep that.
        let chunk = if chunk < rows { (chunk / 8 * 8).max(chunk.min(8)) } else { chunk };
        let mut chunks = Vec::new();
        let mut first = 0;
        while first < rows {
            let count = chunk.min(rows - first);
            chunks.push((
                first,
                self.selected.view(first * hidden, &[count, hidden])?,
                self.logits.view(0, &[count, vocab])?,
            ));
            first += count;
        }
        Ok(chunks)
    }
}

/// The intermediate results of all blocks, or of one at a time.
#[derive(Debug, Clone)]
pub struct Intermediates {
    /// One entry for each block; or a single one, over which every block writes, so that a backward pass computes them again.
    blocks: Vec<Activations>,
    /// Where those of all blocks are kept, the residual stream between each one's halves `[tokens, hidden]`.
    middles: Vec<Buffer>,
}

impl Intermediates {
    /// Buffers for up to `tokens` tokens and adapters of up to `rank`, of all blocks if `keep`.
    pub fn new(gpu: &Gpu, config: &ModelConfig, tokens: usize, rank: usize, keep: bool) -> Result<Self> {
        let kept = if keep { config.num_layers } else { 0 };
        let block = |_| Activations::new(gpu, tokens, config, rank);
        let middle = |_| gpu.buffer("h_middle", &[tokens, config.hidden_size]);
        Ok(Self {
            blocks: (0..kept.max(1)).map(block).collect::<Result<_>>()?,
            middles: (0..kept).map(middle).collect::<Result<_>>()?,
        })
    }

    /// Bytes that keeping those of all blocks takes on top of one block's.
    pub fn kept_bytes(config: &ModelConfig, tokens: usize, rank: usize) -> u64 {
        let layers = config.num_layers as u64;
        let middle = (tokens * config.hidden_size * 4) as u64;
        layers.saturating_sub(1) * Activations::bytes(tokens, config, rank) + layers * middle
    }

    /// Views of the first `tokens` rows of every buffer; nothing is allocated.
    pub fn first(&self, tokens: usize) -> Result<Self> {
        Ok(Self {
            blocks: self.blocks.iter().map(|act| act.first(tokens)).collect::<Result<_>>()?,
            middles: self.middles.first(tokens)?,
        })
    }

    /// Activations of a block, and where they are kept its residual stream between the halves.
    pub fn of(&self, layer: usize) -> (&Activations, Option<&Buffer>) {
        match self.middles.get(layer) {
            Some(middle) => (&self.blocks[layer], Some(middle)),
            None => (&self.blocks[0], None),
        }
    }
}

/// Records the embedding and all blocks. `hidden[l]` is the input of block l; the last one is the final state.
///
/// With as many buffers as blocks + 1, every block's input is kept for the backward pass; with one, the residual
/// stream runs in place.
pub fn record_blocks(
    rec: &mut Recorder<'_>,
    model: &Model,
    lora: Option<&Lora>,
    buffers: &PackedBuffers,
    intermediates: &Intermediates,
    hidden: &[Buffer],
) -> Result<()> {
    let scale = model.config().embedding_scale();
    embed::forward(rec, &model.weights().embedding, &buffers.token, scale, &hidden[0])?;
    for layer in 0..model.config().num_layers {
        let positions = model.positions(layer, &buffers.position);
        let h = if hidden.len() > 1 {
            rec.copy(&hidden[layer], &hidden[layer + 1])?;
            &hidden[layer + 1]
        } else {
            &hidden[0]
        };
        let (act, middle) = intermediates.of(layer);
        let attend = Attend::Packed { spans: buffers.spans() };
        model.block(layer, lora).forward(rec, h, act, positions, attend, middle)?;
    }
    Ok(())
}

/// Records the final norm and the choice of scored rows from the final hidden state.
pub fn record_select(
    rec: &mut Recorder<'_>,
    model: &Model,
    buffers: &PackedBuffers,
    last: &Buffer,
) -> Result<()> {
    rms_norm::forward(rec, last, &model.weights().norm, &buffers.normed, model.config().stream_eps())?;
    gather::forward(rec, &buffers.index, &buffers.normed, &buffers.selected)
}

/// Records log-probability and entropy of every scored row, a chunk of logits at a time.
pub fn record_logprobs(rec: &mut Recorder<'_>, model: &Model, buffers: &PackedBuffers) -> Result<()> {
    for (first, selected, logits) in buffers.chunks()? {
        product::forward(rec, model.weights().head(), &selected, &logits, None, false)?;
        log_softmax::forward(rec, first, &buffers.target, &logits, &buffers.logprob, &buffers.entropy)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_has_the_rows_of_its_beginning_once() {
        let beginning: Vec<u32> = (100..116).collect();
        let with = |own: &[u32]| [&beginning[..], own].concat();
        let sequences = [with(&[1, 2]), with(&[3]), vec![9, 8]];
        let packed = Packed::sharing(&sequences, None, |_, t| t == 0 || t >= 15);
        assert_eq!(packed.tokens, [&beginning[..], &[1, 2, 3, 9, 8]].concat());
        assert_eq!(packed.positions, (0..16).chain([16, 17, 16, 0, 1]).collect::<Vec<_>>());
        let spans = [[0, 16, 16, 18], [0, 16, 16, 18], [0, 16, 18, 19], [19, 19, 19, 21], [19, 19, 19, 21]];
        assert_eq!(packed.spans[..16], [[0, 0, 0, 19]; 16]);
        assert_eq!(packed.spans[16..], spans);
        // The first token and the last of the beginning are scored once for each sequence that they are in.
        assert_eq!(packed.rows, [0, 0, 15, 15, 16, 19]);
        assert_eq!(packed.targets, [101, 101, 1, 3, 2, 8]);
        let in_sequences = [101, 1, 2, 101, 3, 8];
        assert_eq!(packed.in_order(&packed.targets).collect::<Vec<_>>(), in_sequences);
        assert_eq!(packed.by_row(&in_sequences), packed.targets);
        let apart = Packed::new(&sequences, None, |_, _| false);
        assert_eq!((apart.tokens.len(), apart.spans[18]), (37, [18, 18, 18, 35]));
    }

    #[test]
    fn a_window_ends_what_a_token_sees() {
        let long: Vec<u32> = (0..5).collect();
        let packed = Packed::new(&[&long[..2], &long], Some(3), |_, _| false);
        let firsts = packed.window_spans.iter().map(|span| span[..3].to_vec());
        assert_eq!(firsts.collect::<Vec<_>>(), [0, 0, 2, 2, 2, 3, 4].map(|first| vec![first; 3]));
        assert!(packed.spans.iter().zip(&packed.window_spans).all(|(whole, near)| whole[3] == near[3]));
        // What fits into the window may lie as a tree, what does not lies by itself.
        let answers = [[&[7; 16][..], &[1]].concat(), [&[7; 16][..], &[2]].concat()];
        let tree = Packed::sharing(&answers, Some(17), |_, _| false);
        assert_eq!((tree.tokens.len(), &tree.window_spans), (18, &tree.spans));
        assert_eq!(Packed::sharing(&answers, Some(16), |_, _| false).tokens.len(), 34);
    }

    #[test]
    fn a_gpu_has_logits_of_as_many_rows_as_a_binding_holds() {
        // What WebGPU promises, half of it, less than is taken anyway, and more than is ever taken.
        let bindings = [128 << 20, 64 << 20, 1 << 20, 2 << 30];
        let elements = [GPU_LOGITS_ELEMENTS, 16 << 20, LOGITS_ELEMENTS, GPU_LOGITS_ELEMENTS];
        assert_eq!(bindings.map(most_elements), elements);
    }
}
