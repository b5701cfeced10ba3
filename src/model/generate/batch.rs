//! The state of a decode batch on the GPU and the recorded step, one recording for each number of rows.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;

use super::super::activations::Activations;
use super::super::block::{Attend, LayerCache, heads};
use super::super::config::ModelConfig;
use super::super::lora::Lora;
use super::super::{Model, index32};
use super::adjust::Adjustment;
use super::request::Request;
use crate::Result;
use crate::gpu::buffer_set::buffer_set;
use crate::gpu::{Buffer, Gpu, Pending, Recorder, Recording};
use crate::kernel::adjust::{self, Adjusted};
use crate::kernel::attention::decode_split::part_elements;
use crate::kernel::attention::{PAGE, Rows};
use crate::kernel::product::{self, Segment};
use crate::kernel::rms_norm::{self, Input, Norm};
use crate::kernel::sample::{self, MAX_STOPS, Settings, State};
use crate::kernel::{NONE, embed};

/// How a row begins, or goes on at another place.
#[derive(Debug, Clone)]
pub(super) struct RowStart {
    pub(super) settings: Settings,
    /// The token to feed.
    pub(super) token: u32,
    /// Its position.
    pub(super) position: u32,
    /// Page numbers in order of positions.
    pub(super) table: Vec<u32>,
}

impl RowStart {
    /// The beginning of completion number `sample` of a request, of at most `limit` tokens, in the pages of `table`.
    pub(super) fn new(
        stops: &[u32],
        request: &Request,
        limit: usize,
        sample: usize,
        table: Vec<u32>,
    ) -> Self {
        let first = request.prompt.len() - 1;
        let mut stop = [0; MAX_STOPS];
        stop[..stops.len()].copy_from_slice(stops);
        let settings = Settings {
            temperature: request.sampling.temperature,
            top_p: request.sampling.top_p,
            min_p: request.sampling.min_p,
            top_k: index32(request.sampling.top_k),
            seed: row_seed(request.seed, sample as u64),
            first: index32(first),
            limit: index32(limit),
            stops: index32(stops.len()),
            stop,
        };
        Self { settings, token: request.prompt[first], position: index32(first), table }
    }
}

/// Splits a 64-bit seed and a sample's number into the seed of one row (SplitMix64's finaliser, Steele et al. 2014).
fn row_seed(seed: u64, sample: u64) -> u32 {
    let mut z = seed.wrapping_add((sample + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 32) as u32
}

/// Buffers and recordings for up to a fixed number of rows.
pub(super) struct Batch {
    state: State,
    act: Activations,
    decoded: Decoded,
    /// What rows ask for that adjust their logits, once one did.
    adjusted: Option<Adjusted>,
    recordings: HashMap<Shape, Recording>,
}

/// What a recorded step is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    /// Number of rows.
    pub(super) rows: usize,
    /// Whether these may be split.
    pub(super) long: bool,
    /// Whether logits are adjusted before tokens are chosen.
    pub(super) adjusts: bool,
}

buffer_set! {
    /// What a decode step computes outside of blocks.
    pub(super) struct Decoded[rows](config: &ModelConfig, row_pages: usize) {
        /// The residual stream.
        hidden[rows]: Buffer = [rows, config.hidden_size];
        /// Final hidden state, normalised.
        normed[rows]: Buffer = [rows, config.hidden_size];
        /// Logits of the next token.
        logits[rows]: Buffer = [rows, config.vocab_size];
        /// What the splits of long rows leave for each other.
        parts[]: Option<Buffer> =
            Some(part_elements(heads(config), rows, row_pages)).filter(|&elements| elements > 0).map(|n| [n]);
    }
}

impl Batch {
    pub(super) fn new(
        model: &Model,
        rows: usize,
        row_pages: usize,
        capacity: usize,
        lora: Option<&Lora>,
    ) -> Result<Self> {
        let (gpu, config) = (model.gpu(), model.config());
        let rank = lora.map_or(0, |lora| lora.layout().max_rank());
        Ok(Self {
            state: State::new(gpu, rows, row_pages, capacity)?,
            act: Activations::new(gpu, rows, config, rank)?,
            decoded: Decoded::new(gpu, rows, config, row_pages)?,
            adjusted: None,
            recordings: HashMap::new(),
        })
    }

    pub(super) fn rows(&self) -> usize {
        self.state.token.len()
    }

    pub(super) fn row_pages(&self) -> usize {
        self.state.pages.shape()[1]
    }

    pub(super) fn capacity(&self) -> usize {
        self.state.out.shape()[1]
    }

    /// Ends every row.
    pub(super) fn reset(&self, gpu: &Gpu) -> Result<()> {
        let rows = self.rows();
        gpu.write(&self.state.live, 0, &vec![0u32; rows])?;
        gpu.write(&self.state.position, 0, &vec![0u32; rows])?;
        gpu.write(&self.state.pair, 0, &vec![[0, NONE]; rows])
    }

    /// Starts a row; takes effect before the next block.
    pub(super) fn start_row(&self, gpu: &Gpu, row: usize, start: &RowStart) -> Result<()> {
        let State { settings, pages, token, position, live, pair, .. } = &self.state;
        let page = start.table[start.position as usize / PAGE];
        let place = page * index32(PAGE) + start.position % index32(PAGE);
        gpu.write(settings, row * Settings::WORDS, &[start.settings])?;
        gpu.write(pages, row * self.row_pages(), &start.table)?;
        gpu.write(token, row, &[start.token])?;
        gpu.write(position, row, &[start.position])?;
        gpu.write(live, row, &[1u32])?;
        gpu.write(pair, row * 2, &[index32(row), place])
    }

    /// Says how the logits of a row that was just started are adjusted.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory) if it is the first that asks for it.
    pub(super) fn adjust_row(
        &mut self,
        gpu: &Gpu,
        row: usize,
        prompt: &[u32],
        adjustment: &Adjustment,
        guided: bool,
    ) -> Result<()> {
        let vocab = self.decoded.logits.shape()[1];
        let settings = adjustment.settings(prompt.len() - 1, guided);
        if self.adjusted.is_none() {
            if settings.uses == 0 {
                return Ok(());
            }
            self.adjusted = Some(Adjusted::new(gpu, self.rows(), vocab)?);
        }
        let Some(asked) = &self.adjusted else { return Ok(()) };
        if adjustment.is_some() {
            gpu.write(&asked.mark, row * vocab * 2, &adjustment.marks(vocab, prompt))?;
        }
        gpu.write(&asked.settings, row * adjust::Settings::WORDS, &[settings])
    }

    /// Says which tokens a row may choose next.
    pub(super) fn mask_row(&self, gpu: &Gpu, row: usize, mask: &[u32]) -> Result<()> {
        self.adjusted.as_ref().map_or(Ok(()), |asked| gpu.write(&asked.mask, row * mask.len(), mask))
    }

    /// Ends a row before its time; takes effect before the next block.
    pub(super) fn stop_row(&self, gpu: &Gpu, row: usize) -> Result<()> {
        gpu.write(&self.state.live, row, &[0u32])?;
        gpu.write(&self.state.pair, row * 2, &[index32(row), NONE])
    }

    /// Starts reading the logits that the last step of the first `rows` rows chose from.
    pub(super) fn read_logits_later(&self, gpu: &Gpu, rows: usize) -> Result<Pending> {
        Ok(gpu.read_later(&[&self.decoded.first(rows)?.logits]))
    }

    /// Submits `steps` steps. Whether rows are long is for these requests to say: the room that earlier ones left does not
    /// count, so that the same requests give the same bits.
    pub(super) async fn run(
        &mut self,
        model: &Model,
        cache: &[LayerCache],
        lora: Option<&Lora>,
        shape: Shape,
        steps: usize,
        cancel: &AtomicBool,
    ) -> Result<()> {
        if !self.recordings.contains_key(&shape) {
            let recording = self.record(model, cache, lora, shape)?;
            self.recordings.insert(shape, recording);
        }
        match self.recordings.get(&shape) {
            Some(recording) => model.gpu().run_cancellable(recording, steps, cancel).await,
            None => Ok(()),
        }
    }

    fn record(
        &self,
        model: &Model,
        cache: &[LayerCache],
        lora: Option<&Lora>,
        Shape { rows, long, adjusts }: Shape,
    ) -> Result<Recording> {
        let (gpu, weights) = (model.gpu(), model.weights());
        let state = self.state.first(rows)?;
        let act = self.act.first(rows)?;
        let Decoded { hidden, normed, logits, parts } = self.decoded.first(rows)?;
        let mut rec = Recorder::new(gpu);
        let scale = model.config().embedding_scale();
        embed::forward(&mut rec, &weights.embedding, &state.token, scale, &hidden)?;
        let parts = parts.as_ref().filter(|_| long);
        let places = Rows { position: &state.position, live: &state.live, pages: &state.pages, parts };
        for (layer, cache) in cache.iter().enumerate() {
            let positions = model.positions(layer, &state.position);
            let attend = Attend::Cached { rows: places, pair: &state.pair, cache };
            model.block(layer, lora).forward(&mut rec, &hidden, &act, positions, attend, None)?;
        }
        let eps = model.config().stream_eps();
        if product::fuses(gpu, rows) {
            let input = Input { x: &hidden, norm: Some(Norm { weight: &weights.norm, eps }) };
            product::forward_joined(&mut rec, weights.head(), input, &[Segment::plain(&logits)], false)?;
        } else {
            rms_norm::forward(&mut rec, &hidden, &weights.norm, &normed, eps)?;
            product::forward(&mut rec, weights.head(), &normed, &logits, None, false)?;
        }
        if let Some(asked) = self.adjusted.as_ref().filter(|_| adjusts) {
            adjust::forward(&mut rec, &logits, &asked.first(rows)?, &state)?;
        }
        sample::forward(&mut rec, &logits, &state)?;
        rec.finish()
    }

    /// Starts reading what the rows have done.
    pub(super) fn read_later(&self, gpu: &Gpu, rows: usize) -> Result<Pending> {
        let state = self.state.first(rows)?;
        Ok(gpu.read_later(&[&state.position, &state.live, &state.out]))
    }

    /// Waits for such a reading.
    pub(super) async fn snapshot(&self, gpu: &Gpu, read: Pending, rows: usize) -> Result<Snapshot> {
        let words: Vec<u32> = bytemuck::pod_collect_to_vec(&read.bytes(gpu).await?);
        let (position, rest) = words.split_at(rows);
        let (live, out) = rest.split_at(rows);
        Ok(Snapshot {
            position: position.to_vec(),
            live: live.to_vec(),
            out: out.to_vec(),
            capacity: self.capacity(),
        })
    }
}

/// What the rows had done when a block ended.
pub(super) struct Snapshot {
    position: Vec<u32>,
    live: Vec<u32>,
    out: Vec<u32>,
    capacity: usize,
}

impl Snapshot {
    /// Whether a row goes on.
    pub(super) fn live(&self, row: usize) -> bool {
        self.live[row] != 0
    }

    /// Tokens and log-probabilities of a row after the first `seen`; `first` is its first position.
    pub(super) fn news(&self, row: usize, first: usize, seen: usize) -> (Vec<u32>, Vec<f32>) {
        let count = (self.position[row] as usize).saturating_sub(first).min(self.capacity);
        let at = row * self.capacity * 2;
        let pairs = self.out[at + seen.min(count) * 2..at + count * 2].chunks_exact(2);
        pairs.map(|pair| (pair[0], f32::from_bits(pair[1]))).unzip()
    }
}
