//! The first half of LoRA for all modules that read the same input. Shader: shaders/lora/down.wgsl.
//! Reference: tests/reference/lora/down.rs.

use super::super::rms_norm::{Input, Norm};
use super::super::swiglu::Activation;
use super::super::{FEW_ROWS, GROUP, MAX_JOINED, distinct, power_of_two, word};
use super::site::Site;
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

const DOWN: Kernel = kernel!("lora/down", "down", Params, ["x", "a", "t"]);
const SHARED: Kernel = kernel!("lora/down", "down_shared", Params, ["x", "a", "t"]);

/// What the first half reads and leaves: its kernel and imports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// x as it is.
    Plain,
    /// x normalised on the way.
    Normed,
    /// x normalised on the way, which is kept.
    NormedKept,
    /// act(x)·up, which is kept.
    GatedKept(Activation),
}

impl Form {
    /// The kernel by which a workgroup shares a tile.
    fn shared(self) -> Kernel {
        let bindings: &'static [&'static str] = match self {
            Self::Plain => SHARED.bindings,
            Self::Normed => &["x", "a", "t", "norm"],
            Self::NormedKept => &["x", "a", "t", "norm", "kept"],
            Self::GatedKept(_) => &["x", "a", "t", "up", "kept"],
        };
        Kernel { bindings, ..SHARED }
    }

    fn imports(self) -> Vec<&'static str> {
        match self {
            Self::Plain => vec!["input_plain", "keep_nothing"],
            Self::Normed => vec!["input_normed", "keep_nothing"],
            Self::NormedKept => vec!["input_normed", "keep_input"],
            Self::GatedKept(act) => vec![act.import(), "input_swiglu", "keep_input"],
        }
    }
}

/// The part of the result that a thread (software) or a workgroup (GPU) owns, and the threads of a workgroup.
/// `product::direct` says what the two kinds of adapters want.
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
        let rows = |most: usize| power_of_two(m, most);
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
        form.imports().into_iter().fold(variant, |variant, import| variant.import(import))
    }
}

/// Every variant to compile.
pub(in crate::kernel) fn variants() -> Vec<(Kernel, Variant)> {
    let gated = Activation::ALL.map(Form::GatedKept);
    let forms = [Form::Plain, Form::Normed, Form::NormedKept].into_iter().chain(gated);
    let kinds = forms.flat_map(|form| [(true, form), (false, form)]);
    let tiles = kinds.flat_map(|(software, form)| [1, 2, 4, 8].map(|m| Tile::new(software, form, m)));
    distinct(tiles.map(|tile| (tile.kernel, tile.variant())))
}

/// What a first half makes of its input on the way and keeps.
#[derive(Debug, Clone, Copy)]
pub enum Made<'a> {
    /// RMSNorm of x.
    Norm(Norm<'a>),
    /// act(x)·up, up `[m, k]`.
    Gated(Activation, &'a Buffer),
}

/// Whether [`down_keeping`] pays for `m` rows: what each tile makes again is then less than a dispatch costs.
pub fn keeps(m: usize) -> bool {
    m <= FEW_ROWS
}

/// low of every module = x `[m, k]` · Aᵀ, x normalised on the way if there is a norm.
/// `adapter` and `low` are the buffers that the starts of the sites count in; of a site its rank and the starts of A and of
/// low are read.
///
/// # Errors
/// [`Error::Shape`] for no module or more than three, and where a matrix does not lie within its buffer.
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
            weight.expect("lora/down", "norm", &[x.matrix("lora/down", "x")?[1]])?;
            dispatch(rec, Form::Normed, [x, adapter, low], &[weight], eps, sites)
        }
    }
}

/// Like [`down`], but applies `made` (e.g. a norm) to x first and stores the result in `kept` `[m, k]` for later readers. One
/// dispatch instead of two, for a few rows: each tile makes it again.
///
/// # Errors
/// [`Error::Shape`] where [`down`] has it, and for a `kept`, an up or a norm's weight of another shape.
pub fn down_keeping(
    rec: &mut Recorder<'_>,
    x: &Buffer,
    made: Made<'_>,
    kept: &Buffer,
    adapter: &Buffer,
    low: &Buffer,
    sites: &[Site],
) -> Result<()> {
    kept.expect("lora/down", "kept", x.shape())?;
    match made {
        Made::Norm(Norm { weight, eps }) => {
            weight.expect("lora/down", "norm", &[x.matrix("lora/down", "x")?[1]])?;
            dispatch(rec, Form::NormedKept, [x, adapter, low], &[weight, kept], eps, sites)
        }
        Made::Gated(act, up) => {
            up.expect("lora/down", "up", x.shape())?;
            dispatch(rec, Form::GatedKept(act), [x, adapter, low], &[up, kept], 0.0, sites)
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
    let [m, k] = x.matrix("lora/down", "x")?;
    let fits = |site: &Site| {
        site.a_start.is_multiple_of(4)
            && site.a_start + site.rank * k <= adapter.len()
            && site.low_start + m * site.rank <= low.len()
    };
    if sites.is_empty() || sites.len() > MAX_JOINED || !k.is_multiple_of(4) || !sites.iter().all(fits) {
        return Err(Error::Shape {
            kernel: "lora/down",
            arg: "sites",
            expected: vec![m, k, adapter.len(), low.len()],
            got: sites.iter().flat_map(|site| [site.rank, site.a_start, site.low_start]).collect(),
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
        t0: word(first.low_start),
        t1: word(second.low_start),
        t2: word(third.low_start),
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
