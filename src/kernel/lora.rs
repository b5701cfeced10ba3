//! The first half of LoRA for all modules that read the same input. Shader: shaders/lora.wgsl.
//! Reference: tests/reference/lora.rs. The second half is [`super::matmul::Adapter`].

use super::matmul::Input;
use super::matmul_few::MOST_ROWS;
use super::rms_norm::Norm;
use super::{GROUP, word};
use crate::gpu::{Buffer, Kernel, Recorder, Variant, groups_for};
use crate::{Error, Result};

params! {
    Params {
        m: u32, k: u32,
        rank0: u32, rank1: u32, rank2: u32,
        a0: u32, a1: u32, a2: u32,
        t0: u32, t1: u32, t2: u32,
        eps: f32,
    }
}

const DOWN: Kernel = kernel!("lora", "down", Params, ["x", "a", "t"]);
const SHARED: Kernel = kernel!("lora", "down_shared", Params, ["x", "a", "t"]);

/// What the first half reads and leaves: its kernel and imports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// x as it is.
    Plain,
    /// x normalised on the way.
    Normed,
    /// The same, and the normalised x is kept.
    NormedKept,
    /// silu(x)·up, which is kept.
    SwiGluKept,
}

impl Form {
    /// The kernel by which a workgroup shares a tile.
    fn shared(self) -> Kernel {
        let bindings: &'static [&'static str] = match self {
            Self::Plain => SHARED.bindings,
            Self::Normed => &["x", "a", "t", "norm"],
            Self::NormedKept => &["x", "a", "t", "norm", "kept"],
            Self::SwiGluKept => &["x", "a", "t", "up", "kept"],
        };
        Kernel { bindings, ..SHARED }
    }

    fn imports(self) -> &'static [&'static str] {
        match self {
            Self::Plain => &["input_plain", "keep_nothing"],
            Self::Normed => &["input_normed", "keep_nothing"],
            Self::NormedKept => &["input_normed", "keep_input"],
            Self::SwiGluKept => &["sigmoid", "input_swiglu", "keep_input"],
        }
    }
}

/// Most modules that read the same input: queries, keys, values.
pub const MAX_SITES: usize = 3;

/// The product of one module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Site {
    /// Rows of A.
    pub rank: usize,
    /// First element of A `[rank, k]` in the adapter's buffer; a multiple of 4.
    pub a_start: usize,
    /// First element of t `[m, rank]` in its buffer.
    pub t_start: usize,
}

/// The part of the result that a thread (software) or a workgroup (GPU) owns, and the threads of a workgroup. See `matmul`
/// for what the two kinds of adapters want.
#[derive(Debug, Clone, Copy)]
struct Tile {
    kernel: Kernel,
    form: Form,
    group: usize,
    rows: usize,
    cols: usize,
    /// Threads that share a tile.
    share: usize,
}

impl Tile {
    fn new(software: bool, form: Form, m: usize) -> Self {
        let rows = |most: usize| 1 << m.clamp(1, most).ilog2();
        if software && form == Form::Plain {
            return Self { kernel: DOWN, form, group: 8, rows: rows(8), cols: 4, share: 1 };
        }
        let (group, cols) = match software {
            // A workgroup is one subgroup, or one for each row.
            true => (8 * rows(4), 8),
            false => (GROUP as usize, 4),
        };
        Self { kernel: form.shared(), form, group, rows: rows(4), cols, share: group }
    }

    fn variant(self) -> Variant {
        let Self { form, group, rows, cols, .. } = self;
        let variant = Variant::constants(&[("WG", word(group)), ("TM", word(rows)), ("TN", word(cols))]);
        form.imports().iter().fold(variant, |variant, import| variant.import(import))
    }
}

pub(super) fn variants() -> Vec<(Kernel, Variant)> {
    let forms = [Form::Plain, Form::Normed, Form::NormedKept, Form::SwiGluKept];
    let kinds = forms.into_iter().flat_map(|form| [(true, form), (false, form)]);
    let tiles = kinds.flat_map(|(software, form)| [1, 2, 4, 8].map(|m| Tile::new(software, form, m)));
    let mut variants: Vec<(Kernel, Variant)> = Vec::new();
    for tile in tiles {
        let variant = tile.variant();
        if !variants.iter().any(|(k, v)| k.entry == tile.kernel.entry && *v == variant) {
            variants.push((tile.kernel, variant));
        }
    }
    variants
}

/// What a first half makes of its input on the way and keeps.
#[derive(Debug, Clone, Copy)]
pub enum Made<'a> {
    /// RMSNorm of x.
    Norm(Norm<'a>),
    /// silu(x)·up, `[m, k]`.
    SwiGlu(&'a Buffer),
}

/// Whether [`down_keeping`] pays for `m` rows: what each tile makes again is then less than a dispatch costs.
pub fn keeps(m: usize) -> bool {
    m <= MOST_ROWS
}

/// t of every site = x `[m, k]` · Aᵀ, x normalised on the way if there is a norm.
/// `adapter` and `low` are the buffers that the sites' starts count in.
///
/// # Errors
/// [`Error::Shape`] for no site or more than [`MAX_SITES`], and where a matrix does not lie within its buffer.
pub fn down(
    rec: &mut Recorder<'_>,
    Input { x, norm }: Input<'_>,
    adapter: &Buffer,
    low: &Buffer,
    sites: &[Site],
) -> Result<()> {
    match norm {
        None => dispatch(rec, Form::Plain, [x, adapter, low], &[], 0.0, sites),
        Some(Norm { weight, eps }) => {
            weight.expect("lora", "norm", &[x.matrix("lora", "x")?[1]])?;
            dispatch(rec, Form::Normed, [x, adapter, low], &[weight], eps, sites)
        }
    }
}

/// The same of what is `made` of x, which others read too: it goes to `kept` `[m, k]`. One dispatch instead of two, for a few rows:
/// each tile makes it again.
///
/// # Errors
/// As [`down`], and for a `kept`, an up or a norm's weight of another shape.
pub fn down_keeping(
    rec: &mut Recorder<'_>,
    x: &Buffer,
    made: Made<'_>,
    kept: &Buffer,
    adapter: &Buffer,
    low: &Buffer,
    sites: &[Site],
) -> Result<()> {
    kept.expect("lora", "kept", x.shape())?;
    match made {
        Made::Norm(Norm { weight, eps }) => {
            weight.expect("lora", "norm", &[x.matrix("lora", "x")?[1]])?;
            dispatch(rec, Form::NormedKept, [x, adapter, low], &[weight, kept], eps, sites)
        }
        Made::SwiGlu(up) => {
            up.expect("lora", "up", x.shape())?;
            dispatch(rec, Form::SwiGluKept, [x, adapter, low], &[up, kept], 0.0, sites)
        }
    }
}

fn dispatch(
    rec: &mut Recorder<'_>,
    form: Form,
    [x, adapter, low]: [&Buffer; 3],
    more: &[&Buffer],
    eps: f32,
    sites: &[Site],
) -> Result<()> {
    let [m, k] = x.matrix("lora", "x")?;
    let fits = |site: &Site| {
        site.a_start.is_multiple_of(4)
            && site.a_start + site.rank * k <= adapter.len()
            && site.t_start + m * site.rank <= low.len()
    };
    if sites.is_empty() || sites.len() > MAX_SITES || !k.is_multiple_of(4) || !sites.iter().all(fits) {
        return Err(Error::Shape {
            kernel: "lora",
            arg: "sites",
            expected: vec![m, k, adapter.len(), low.len()],
            got: sites.iter().flat_map(|site| [site.rank, site.a_start, site.t_start]).collect(),
        });
    }
    let site = |index: usize| sites.get(index).copied().unwrap_or_default();
    let [first, second, third] = [site(0), site(1), site(2)];
    let params = Params {
        m: word(m),
        k: word(k),
        rank0: word(first.rank),
        rank1: word(second.rank),
        rank2: word(third.rank),
        a0: word(first.a_start),
        a1: word(second.a_start),
        a2: word(third.a_start),
        t0: word(first.t_start),
        t1: word(second.t_start),
        t2: word(third.t_start),
        eps,
    };
    let columns: usize = sites.iter().map(|site| site.rank).sum();
    let tile = Tile::new(rec.gpu().is_software(), form, m);
    let tiles = m.div_ceil(tile.rows) * columns.div_ceil(tile.cols);
    let groups = groups_for(tiles * tile.share, tile.group);
    let arguments = [&[x, adapter, low], more].concat();
    rec.dispatch(&tile.kernel, &tile.variant(), &params, &arguments, groups)?;
    rec.flops(2 * m * columns * k);
    let moved = m * k + columns * (k + m) + more.iter().map(|buffer| buffer.len()).sum::<usize>();
    rec.bytes(4 * moved as u64);
    Ok(())
}
