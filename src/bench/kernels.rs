//! The kernels that take the time, at a model's shapes.

use super::measure::{Cost, Work};
use super::shape::{Shape, random_values, random_weight};
use super::{Options, What};
use crate::Result;
use crate::gpu::{Buffer, Gpu, Recorder};
use crate::kernel::attention::full::{Gradients, Saved};
use crate::kernel::attention::{self, Heads};
use crate::kernel::lora::site::{Joined, Site};
use crate::kernel::lora::{down, grad};
use crate::kernel::product::{self, By, Segment};
use crate::kernel::rms_norm::{self, Input};
use crate::kernel::sample::{self, Settings, State};
use crate::kernel::weight::Format;
use crate::kernel::{adamw, log_softmax, swiglu};

/// LoRA's rank.
const RANK: usize = 16;
const EPS: f32 = 1e-5;

/// Rows and columns of a product that keeps every core of a GPU busy.
const LARGE: usize = 4_096;

/// A kernel at one shape.
pub(super) struct Case {
    /// The name by which results of several versions are compared, whatever files the kernels lie in.
    pub(super) name: &'static str,
    pub(super) what: What,
    pub(super) shape: String,
    pub(super) cost: Cost,
    pub(super) work: Work,
}

/// Makes buffers and cases.
struct Maker<'g> {
    gpu: &'g Gpu,
    options: &'g Options,
    model: Shape,
    /// Weight format of the next cases.
    format: Option<&'static str>,
    cases: Vec<Case>,
}

/// Number of values of some buffers, as bytes.
fn bytes(buffers: &[&Buffer]) -> f64 {
    buffers.iter().map(|buffer| buffer.bytes() as f64).sum()
}

impl Maker<'_> {
    /// A buffer of random values.
    fn random(&self, shape: &[usize]) -> Result<Buffer> {
        let values = random_values(shape.iter().product(), shape.len());
        self.gpu.upload("bench", shape, &values)
    }

    fn add(
        &mut self,
        name: &'static str,
        shape: String,
        cost: Cost,
        after: &Buffer,
        record: impl FnOnce(&mut Recorder<'_>) -> Result<()>,
    ) -> Result<()> {
        if !self.options.wants(name, &shape) {
            return Ok(());
        }
        let mut rec = Recorder::new(self.gpu);
        record(&mut rec)?;
        let work = Work::new(rec, after)?;
        let what = What {
            model: self.model.name,
            layers: None,
            format: self.format,
            batch: None,
            length: None,
            rank: None,
        };
        self.cases.push(Case { name, what, shape, cost, work });
        Ok(())
    }

    /// Products of `rows` rows with a weight matrix `[n, k]`, forward and, where `backward`, the input's gradient.
    fn matmul(&mut self, format: Format, rows: &[usize], n: usize, k: usize, backward: bool) -> Result<()> {
        let w = random_weight(self.gpu, "bench.w", format, n, k)?;
        self.format = Some(format.name());
        for &m in rows {
            let (x, y) = (self.random(&[m, k])?, self.random(&[m, n])?);
            let cost = Cost { flops: (2 * m * n * k) as f64, bytes: w.bytes() as f64 + bytes(&[&x, &y]) };
            let format = format.name();
            let shape = format!("{m} x {k} -> {n}, {format}");
            self.add("matmul/forward", shape, cost, &y, |rec| {
                product::forward(rec, &w, &x, &y, None, false)
            })?;
            if backward {
                let shape = format!("{m} x {n} -> {k}, {format}");
                self.add("matmul/backward_x", shape, cost, &x, |rec| {
                    product::backward_x(rec, &w, &y, &x, None, false)
                })?;
            }
        }
        self.format = None;
        Ok(())
    }

    /// A product that is large enough for the arithmetic peak of a GPU to matter.
    fn matmul_large(&mut self) -> Result<()> {
        if self.gpu.is_software() {
            return Ok(());
        }
        self.matmul(Format::F32, &[LARGE], LARGE, LARGE, true)
    }

    /// Products by cooperative matrices, large enough for their peak to matter, where the device has them.
    fn matmul_coop(&mut self) -> Result<()> {
        if self.gpu.coop().is_none() {
            return Ok(());
        }
        let n = if self.gpu.is_software() { 256 } else { LARGE };
        for format in [Format::F16, Format::Q4] {
            let w = random_weight(self.gpu, "bench.w", format, n, n)?;
            let (x, y) = (self.random(&[n, n])?, self.random(&[n, n])?);
            let cost = Cost { flops: 2.0 * (n as f64).powi(3), bytes: w.bytes() as f64 + bytes(&[&x, &y]) };
            self.format = Some(format.name());
            let shape = format!("{n} x {n} -> {n}, {}", format.name());
            self.add("matmul_coop/forward", shape.clone(), cost, &y, |rec| {
                product::forward_by(rec, By::MatrixUnits, &w, &x, &[Segment::plain(&y)], false)
            })?;
            self.add("matmul_coop/backward_x", shape, cost, &x, |rec| {
                product::backward_x_by(rec, By::MatrixUnits, &w, &[Segment::plain(&y)], &x, false)
            })?;
        }
        self.format = None;
        Ok(())
    }

    /// LoRA's products that are kernels of their own, for modules of `cols` outputs that read the same `k` numbers: the first
    /// half, and where `backward` the gradients.
    fn lora(&mut self, m: usize, k: usize, cols: &[usize], backward: bool) -> Result<()> {
        let mut sites = Vec::new();
        let (mut values, mut lows, mut dys) = (0, 0, 0);
        for &cols in cols {
            let (a_start, b_start, low_start) = (values, values + RANK * k, lows);
            sites.push(Site { rank: RANK, scale: 2.0, a_start, b_start, low_start, cols, dy_start: dys });
            values = b_start + RANK * cols;
            lows += RANK * m;
            dys += m * cols;
        }
        let (x, adapter, gradient) =
            (self.random(&[m, k])?, self.random(&[values])?, self.random(&[values])?);
        let (low, d_low, dy) = (self.random(&[lows])?, self.random(&[lows])?, self.random(&[dys])?);
        let outputs: Vec<String> = cols.iter().map(usize::to_string).collect();
        let shape = format!("{m} x {k} -> {}, rank {RANK}", outputs.join(" + "));
        let ranks = RANK * cols.len();
        let of_a = (4 * ranks * k) as f64;
        let cost = Cost { flops: (2 * m * ranks * k) as f64, bytes: bytes(&[&x, &low]) + of_a };
        self.add("lora/down", shape.clone(), cost, &low, |rec| {
            down::down(rec, Input::plain(&x), &adapter, &low, &sites)
        })?;
        if !backward {
            return Ok(());
        }
        let joined = Joined {
            x: &x,
            dy: &dy,
            adapter: &adapter,
            low: &low,
            d_low: &d_low,
            gradient: &gradient,
            sites: &sites,
        };
        let of_b = adapter.bytes() as f64 - of_a;
        let cost = Cost { flops: (2 * RANK * dys) as f64, bytes: bytes(&[&dy, &d_low]) + of_b };
        self.add("lora_grad/back", shape.clone(), cost, &d_low, |rec| grad::back(rec, &joined))?;
        let moved = bytes(&[&x, &dy, &low, &d_low, &gradient, &gradient]);
        let cost = Cost { flops: (2 * m * ranks * k + 2 * RANK * dys) as f64, bytes: moved };
        self.add("lora_grad/gradients", shape, cost, &gradient, |rec| grad::gradients(rec, &joined))
    }

    /// Causal attention over `count` sequences of `len` tokens.
    fn attention(&mut self, count: usize, len: usize) -> Result<()> {
        let shape_heads = self.model.heads;
        let tokens = count * len;
        let Heads { heads, kv_heads, head_dim, .. } = self.model.heads;
        let firsts = (0..tokens).map(|t| t / len * len);
        let spans: Vec<u32> = firsts.flat_map(|first| [first, first, first, first + len]).map(word).collect();
        let span = self.gpu.upload("bench.span", &[tokens, attention::SPAN], &spans)?;
        let (q_shape, kv_shape) = ([tokens, heads * head_dim], [tokens, kv_heads * head_dim]);
        let (q, k, v, o) = (
            self.random(&q_shape)?,
            self.random(&kv_shape)?,
            self.random(&kv_shape)?,
            self.random(&q_shape)?,
        );
        let stats = self.random(&[tokens, heads, 2])?;
        let (d_out, dq) = (self.random(&q_shape)?, self.random(&q_shape)?);
        let (dk, dv) = (self.random(&kv_shape)?, self.random(&kv_shape)?);
        let saved = Saved { q: &q, k: &k, v: &v, o: &o, stats: &stats };
        let grads = Gradients { dq: &dq, dk: &dk, dv: &dv };
        // Each of the `pairs` takes a product of head_dim numbers two times forward (scores, values), seven times
        // backward (scores and dP, each for dq and for dk and dv, and the three gradients).
        let pairs = (count * len * (len + 1) / 2 * heads) as f64;
        let product = 2.0 * pairs * head_dim as f64;
        let shape = format!("{count} x {len} tokens, {heads} heads of {head_dim}");
        let cost = Cost { flops: 2.0 * product, bytes: bytes(&[&q, &k, &v, &o, &stats]) };
        self.add("attention/forward", shape.clone(), cost, &o, |rec| {
            attention::full::forward(rec, shape_heads, &span, saved)
        })?;
        let moved = bytes(&[&q, &k, &v, &o, &stats, &d_out, &dq, &dk, &dv]);
        let cost = Cost { flops: 7.0 * product, bytes: moved };
        self.add("attention/backward", shape, cost, &dv, |rec| {
            // Gradients need the statistics that forward leaves.
            attention::full::backward(rec, shape_heads, &span, saved, &d_out, grads)
        })
    }

    /// One new token in each of `rows` rows that hold `len` tokens.
    fn decode_attention(&mut self, rows: usize, len: usize) -> Result<()> {
        let shape_heads = self.model.heads;
        let Heads { heads, kv_heads, head_dim, .. } = self.model.heads;
        let row_pages = len / attention::PAGE;
        let all = |value: usize| vec![word(value); rows];
        let position = self.gpu.upload("bench.position", &[rows], &all(len - 1))?;
        let live = self.gpu.upload("bench.live", &[rows], &all(1))?;
        let numbers: Vec<u32> = (0..rows * row_pages).map(word).collect();
        let pages = self.gpu.upload("bench.pages", &[rows, row_pages], &numbers)?;
        let (q, o) = (self.random(&[rows, heads * head_dim])?, self.random(&[rows, heads * head_dim])?);
        let cache = [rows * len, kv_heads * head_dim];
        let (k, v) = (self.random(&cache)?, self.random(&cache)?);
        let cost =
            Cost { flops: (4 * rows * len * heads * head_dim) as f64, bytes: bytes(&[&k, &v, &q, &o]) };
        let parts = attention::decode_split::part_elements(shape_heads, rows, row_pages).max(1);
        let parts = self.gpu.buffer("bench.parts", &[parts])?;
        let at = attention::Rows { position: &position, live: &live, pages: &pages, parts: Some(&parts) };
        let shape = format!("{rows} rows of {len} tokens");
        self.add("decode_attention/forward", shape, cost, &o, |rec| {
            attention::decode::forward(rec, shape_heads, at, &q, &k, &v, &o)
        })
    }

    /// Sampling with top-k and top-p from the whole vocabulary.
    fn sample(&mut self, rows: usize) -> Result<()> {
        let vocab = self.model.vocab;
        let z = self.random(&[rows, vocab])?;
        let settings = Settings {
            temperature: 0.8,
            top_p: 0.95,
            min_p: 0.0,
            top_k: 50,
            seed: 1,
            first: 0,
            limit: u32::MAX,
            stops: 0,
            stop: [0; sample::MAX_STOPS],
        };
        let zeros = |shape: &[usize]| self.gpu.buffer("bench.state", shape);
        let state = State {
            settings: self.gpu.upload(
                "bench.settings",
                &[rows, sample::Settings::WORDS],
                &vec![settings; rows],
            )?,
            pages: zeros(&[rows, 1])?,
            token: zeros(&[rows])?,
            position: zeros(&[rows])?,
            live: self.gpu.upload("bench.live", &[rows], &vec![1u32; rows])?,
            pair: zeros(&[rows, 2])?,
            out: zeros(&[rows, 1, 2])?,
        };
        let cost = Cost { flops: 0.0, bytes: z.bytes() as f64 };
        self.add("sample/forward", format!("{rows} x {vocab}"), cost, &state.out, |rec| {
            // Every run starts from the same place.
            rec.clear(&state.position);
            sample::forward(rec, &z, &state)
        })
    }

    /// Kernels that go over their rows once or twice.
    fn rows(&mut self) -> Result<()> {
        let Shape { hidden, mlp, vocab, .. } = self.model;
        let tokens = 128;
        let shape = format!("{tokens} x {hidden}");
        let (x, w, y) =
            (self.random(&[tokens, hidden])?, self.random(&[hidden])?, self.random(&[tokens, hidden])?);
        let dx = self.random(&[tokens, hidden])?;
        let cost = Cost { flops: 4.0 * x.len() as f64, bytes: bytes(&[&x, &w, &y]) };
        self.add("rms_norm/forward", shape.clone(), cost, &y, |rec| rms_norm::forward(rec, &x, &w, &y, EPS))?;
        let cost = Cost { flops: 10.0 * x.len() as f64, bytes: bytes(&[&x, &w, &y, &dx]) };
        self.add("rms_norm/backward_x", shape, cost, &dx, |rec| {
            rms_norm::backward_x(rec, &x, &w, &y, &dx, EPS, false)
        })?;
        let shape = format!("{tokens} x {mlp}");
        let [gate, up, act] = [0; 3].map(|_| self.random(&[tokens, mlp]));
        let (gate, up, act) = (gate?, up?, act?);
        let cost = Cost { flops: 5.0 * act.len() as f64, bytes: bytes(&[&gate, &up, &act]) };
        self.add("swiglu/forward", shape, cost, &act, |rec| {
            swiglu::forward(rec, swiglu::Activation::Silu, &gate, &up, &act)
        })?;
        let rows = 32;
        let z = self.random(&[rows, vocab])?;
        let target = self.gpu.buffer("bench.target", &[rows])?;
        let (logprob, entropy) = (self.random(&[rows])?, self.random(&[rows])?);
        let cost = Cost { flops: 0.0, bytes: bytes(&[&z]) };
        self.add("log_softmax/forward", format!("{rows} x {vocab}"), cost, &logprob, |rec| {
            log_softmax::forward(rec, 0, &target, &z, &logprob, &entropy)
        })?;
        let len = 1 << 20;
        let (weights, grads) = (self.random(&[len])?, self.random(&[len])?);
        let state = adamw::State::new(self.gpu, len)?;
        let cost = Cost { flops: 15.0 * len as f64, bytes: 8.0 * weights.bytes() as f64 };
        self.add("adamw/step", format!("{len}"), cost, &weights, |rec| {
            adamw::step(rec, &weights, &grads, &state)
        })
    }
}

/// A size as the shaders take it.
fn word(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

/// Every kernel to measure.
pub(super) fn cases(gpu: &Gpu, options: &Options, shape: Shape) -> Result<Vec<Case>> {
    let Shape { hidden, mlp, vocab, .. } = shape;
    let mut maker = Maker { gpu, options, model: shape, format: None, cases: Vec::new() };
    if options.quick {
        for format in [Format::F32, Format::Q4] {
            maker.matmul(format, &[1], mlp, hidden, false)?;
            maker.matmul(format, &[128], mlp, hidden, true)?;
        }
        maker.matmul_coop()?;
        maker.lora(128, hidden, &[mlp; 2], true)?;
        maker.attention(1, 64)?;
        maker.rows()?;
        return Ok(maker.cases);
    }
    let Heads { heads, kv_heads, head_dim, .. } = shape.heads;
    let [q, kv] = [heads * head_dim, kv_heads * head_dim];
    let wanted = |format: &Format| options.formats.is_empty() || options.formats.contains(format);
    for format in Format::offered().map(|(format, _)| format).filter(wanted) {
        // Queries, keys and values are one product, gate and up another.
        maker.matmul(format, &[1, 8], q + 2 * kv, hidden, false)?;
        maker.matmul(format, &[1, 8], 2 * mlp, hidden, false)?;
        maker.matmul(format, &[128], mlp, hidden, true)?;
        maker.matmul(format, &[1, 8], hidden, mlp, false)?;
        maker.matmul(format, &[512], hidden, hidden, true)?;
        maker.matmul(format, &[1, 8], vocab, hidden, false)?;
    }
    if options.formats.is_empty() || options.formats.contains(&Format::F32) {
        maker.matmul_large()?;
    }
    maker.matmul_coop()?;
    maker.lora(1, hidden, &[q, kv, kv], false)?;
    maker.lora(8, hidden, &[q, kv, kv], false)?;
    maker.lora(128, hidden, &[q, kv, kv], true)?;
    maker.lora(128, hidden, &[mlp; 2], true)?;
    maker.lora(128, mlp, &[hidden], true)?;
    maker.attention(1, 128)?;
    maker.attention(4, 64)?;
    maker.decode_attention(8, 256)?;
    maker.decode_attention(1, 2048)?;
    maker.rows()?;
    maker.sample(8)?;
    Ok(maker.cases)
}
