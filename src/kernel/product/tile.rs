//! How a product is cut up: its shader, the sizes of its pieces, and the bindings, constants and imports that follow from
//! them. The strategies beside this file make tiles, [`super::record`] records a product by one.
//! No shader of its own.

use super::super::swiglu::Activation;
use super::super::weight::Format;
use super::super::word;
use crate::gpu::{Coop, Kernel, Variant, groups_for};

/// Which product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// y = x·Wᵀ
    Forward,
    /// dx = dy·W
    BackwardX,
}

impl Product {
    /// Columns of the output for each column of a thread's tile.
    pub(super) fn unit(self) -> usize {
        match self {
            Self::Forward => 1,
            Self::BackwardX => 8,
        }
    }
}

/// Who makes what part of the output. A block is the rows and columns of the output that a workgroup owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strategy {
    /// Each thread makes its tile alone.
    Direct,
    /// The threads of a workgroup share the sums of one tile.
    FewRows(Form),
    /// The lanes of a subgroup, which is a workgroup, load for each other; each makes the columns of its tile.
    PerLane,
    /// The threads of a workgroup share operands; each makes its tile of the block.
    Tiled {
        /// What the workgroup owns.
        block: [usize; 2],
        /// Equal parts of the threads, each with a share of the sums.
        slices: usize,
        /// Numbers of a sum between two barriers.
        step: usize,
    },
    /// The subgroups of a workgroup share operands; each makes its tile of the block by cooperative matrices.
    MatrixUnits {
        /// What the workgroup owns.
        block: [usize; 2],
        /// The matrices.
        coop: Coop,
    },
}

/// What stands before and after a product of a few rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Form {
    /// The input is normalised on the way.
    pub(super) normed: bool,
    /// A gate through this joins the sums of two segments.
    pub(super) gated: Option<Activation>,
}

impl Form {
    /// Every form.
    fn all() -> impl Iterator<Item = Self> {
        let ends = [None].into_iter().chain(Activation::ALL.map(Some));
        ends.flat_map(|gated| [false, true].map(|normed| Self { normed, gated }))
    }

    fn imports(self) -> Vec<&'static str> {
        let input = if self.normed { "input_normed" } else { "input_plain" };
        match self.gated {
            None => vec![input, "few_output"],
            Some(act) => vec![input, "few_swiglu", act.import()],
        }
    }
}

/// How a product is cut up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tile {
    pub(super) product: Product,
    pub(super) strategy: Strategy,
    /// With the bindings that a product always has.
    pub(super) kernel: Kernel,
    /// Threads of a workgroup.
    pub(super) group: usize,
    /// Rows of the output in a thread's tile; in that of a subgroup if the strategy is [`Strategy::PerLane`] or
    /// [`Strategy::MatrixUnits`].
    pub(super) rows: usize,
    /// Columns (forward) or groups of 8 columns (backward) in a thread's tile; in that of a subgroup columns if the strategy
    /// is [`Strategy::MatrixUnits`].
    pub(super) cols: usize,
}

impl Tile {
    /// The tile with another form, where its strategy has forms.
    pub(super) fn in_form(self, form: Form) -> Self {
        match self.strategy {
            Strategy::FewRows(_) => Self { strategy: Strategy::FewRows(form), ..self },
            _ => self,
        }
    }

    /// The tile in every form that it may be asked for.
    pub(super) fn forms(self) -> Vec<Self> {
        match self.strategy {
            Strategy::FewRows(_) => Form::all().map(|form| self.in_form(form)).collect(),
            _ => vec![self],
        }
    }

    /// Whether it normalises its input.
    pub(super) fn normed(&self) -> bool {
        matches!(self.strategy, Strategy::FewRows(Form { normed: true, .. }))
    }

    /// Whether it takes weights as f16 numbers.
    pub(super) fn takes_f16(&self) -> bool {
        matches!(self.strategy, Strategy::MatrixUnits { .. })
    }

    /// The kernel with the bindings of adapters and of a norm.
    pub(super) fn kernel(&self, adapted: bool, normed: bool) -> Kernel {
        let bindings: &[_] = match (self.product, adapted, normed) {
            (Product::BackwardX, true, _) => &["w", "w_scale", "dy", "dx", "low", "a"],
            (Product::Forward, true, false) => &["w", "w_scale", "x", "y", "bias", "low", "b"],
            (Product::Forward, true, true) => &["w", "w_scale", "x", "y", "bias", "low", "b", "norm"],
            (Product::Forward, false, true) => &["w", "w_scale", "x", "y", "bias", "norm"],
            (_, false, _) => self.kernel.bindings,
        };
        Kernel { bindings, ..self.kernel }
    }

    /// `f16`: multiply in f16, only for the forward products; `adapted`: with LoRA.
    pub(super) fn variant(&self, format: Format, f16: bool, adapted: bool) -> Variant {
        let constants = match self.strategy {
            Strategy::MatrixUnits { block, coop } => self.matrix_constants(block, coop),
            _ => self.constants(),
        };
        let constants: Vec<_> = constants.into_iter().map(|(name, value)| (name, word(value))).collect();
        let imports = self.imports(format, f16, adapted);
        imports.into_iter().fold(Variant::constants(&constants), |variant, import| variant.import(import))
    }

    fn constants(&self) -> Vec<(&'static str, usize)> {
        let Self { product, group, rows, cols, .. } = *self;
        let mut constants = vec![("WG", group), ("TM", rows), ("TN", cols)];
        if let Some([block_rows, block_cols]) = self.block() {
            constants.extend([("BM", block_rows), ("BN", block_cols)]);
        }
        if self.strategy == Strategy::PerLane {
            constants.extend([("LANES", group), ("TB", rows / group)]);
        }
        if let Strategy::Tiled { block: [block_rows, block_cols], slices, step } = self.strategy {
            // Numbers of a sum in a load of x or dy, in one of W, and multiplied together.
            let [of_x, of_w, together] = if product == Product::Forward { [8, 8, 8] } else { [4, 1, 2] };
            constants.extend([
                ("SLICES", slices),
                ("STEP", step),
                ("SHARE", step / together / slices),
                // Loads of a thread for a step.
                ("LOADS", (block_rows * step / of_x).div_ceil(group)),
                ("LOADS_W", (block_cols / product.unit() * step / of_w).div_ceil(group)),
                // Sums of a thread in forward, in fours.
                ("QUADS", rows * cols / 4),
            ]);
        }
        // How far apart the rows and columns of a thread lie.
        let [down, across] = match (self.strategy, product) {
            (Strategy::Tiled { block: [block_rows, block_cols], .. }, Product::Forward) => {
                [block_rows / rows, block_cols / cols]
            }
            _ => [1, 1],
        };
        constants.extend([("DM", down), ("DN", across)]);
        constants
    }

    fn matrix_constants(
        &self,
        [block_rows, block_cols]: [usize; 2],
        coop: Coop,
    ) -> Vec<(&'static str, usize)> {
        let [down, across] = [self.rows / coop.side, self.cols / coop.side];
        vec![
            ("WG", self.group),
            ("BM", block_rows),
            ("BN", block_cols),
            ("FM", down),
            ("FN", across),
            ("MATRICES", down * across),
            ("TOGETHER", (block_rows / 4).min(8)),
            // A thread's tile in adapted.wgsl, of which only what adds single numbers is used.
            ("TM", 1),
            ("TN", 1),
            ("DM", 1),
            ("DN", 1),
        ]
    }

    fn imports(&self, format: Format, f16: bool, adapted: bool) -> Vec<&'static str> {
        let end = match (adapted, self.strategy) {
            (true, Strategy::PerLane) => "adapted_lanes",
            (true, _) => "adapted",
            (false, _) => "plain",
        };
        if let Strategy::MatrixUnits { coop, .. } = self.strategy {
            return [&coop.imports()[..], &[format.import(), end]].concat();
        }
        let form = match self.strategy {
            Strategy::FewRows(form) => form.imports(),
            _ => Vec::new(),
        };
        let arithmetic = if f16 { "product_f16" } else { "product_f32" };
        [vec![format.import(), arithmetic, end], form].concat()
    }

    /// Rows and columns of the output that a workgroup owns, where it owns a block of them.
    pub(super) fn block(&self) -> Option<[usize; 2]> {
        match self.strategy {
            Strategy::Direct | Strategy::FewRows(_) => None,
            Strategy::PerLane => Some([self.rows, self.group * self.cols * self.product.unit()]),
            Strategy::Tiled { block, .. } | Strategy::MatrixUnits { block, .. } => Some(block),
        }
    }

    /// Workgroups for `m` rows of `cols` columns (forward) or groups of 8 columns (backward).
    pub(super) fn groups(&self, m: usize, cols: usize) -> u32 {
        if let Some([block_rows, block_cols]) = self.block() {
            return word(m.div_ceil(block_rows) * (cols * self.product.unit()).div_ceil(block_cols));
        }
        let tiles = m.div_ceil(self.rows) * cols.div_ceil(self.cols);
        match self.strategy {
            Strategy::FewRows(_) => word(tiles),
            _ => groups_for(tiles, self.group),
        }
    }
}
