//! The linear modules of a transformer block and their names in checkpoints.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What the names of tensors of blocks begin with in Hugging Face checkpoints.
pub const BLOCKS: &str = "model.layers.";

/// A linear module of a transformer block, in the order of the forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum Module {
    /// Query projection.
    #[serde(rename = "q_proj")]
    Q,
    /// Key projection.
    #[serde(rename = "k_proj")]
    K,
    /// Value projection.
    #[serde(rename = "v_proj")]
    V,
    /// Attention output projection.
    #[serde(rename = "o_proj")]
    O,
    /// Gate projection of the MLP.
    #[serde(rename = "gate_proj")]
    Gate,
    /// Up projection of the MLP.
    #[serde(rename = "up_proj")]
    Up,
    /// Down projection of the MLP.
    #[serde(rename = "down_proj")]
    Down,
    /// Query, key and value projection as one matrix, its rows in this order.
    #[serde(rename = "qkv_proj")]
    Qkv,
    /// Gate and up projection of the MLP as one matrix, its rows in this order.
    #[serde(rename = "gate_up_proj")]
    GateUp,
    /// The same as Granite 4 names it.
    #[serde(rename = "input_linear")]
    Input,
    /// The down projection as Granite 4 names it.
    #[serde(rename = "output_linear")]
    Output,
}

/// The projections before attention, which read one input.
pub const QKV: &[Module] = &[Module::Q, Module::K, Module::V];
/// The projections before the MLP's activation, which read one input.
pub const GATE_UP: &[Module] = &[Module::Gate, Module::Up];

impl Module {
    /// All modules.
    pub const ALL: [Self; 11] = [
        Self::Q,
        Self::K,
        Self::V,
        Self::O,
        Self::Gate,
        Self::Up,
        Self::Down,
        Self::Qkv,
        Self::GateUp,
        Self::Input,
        Self::Output,
    ];
    /// What the forward pass is made of, each in its place of [`Module::ALL`]: modules, or [parts](Module::parts) of one.
    pub const PARTS: [Self; 7] = [Self::Q, Self::K, Self::V, Self::O, Self::Gate, Self::Up, Self::Down];

    /// What it is for the forward pass: itself, the module that it is under another name, or those whose rows it holds one behind the
    /// other.
    pub const fn parts(&self) -> &[Self] {
        match self {
            Self::Qkv => QKV,
            Self::GateUp | Self::Input => GATE_UP,
            Self::Output => &[Self::Down],
            _ => std::slice::from_ref(self),
        }
    }

    /// The path inside a block in Hugging Face checkpoints, such as `self_attn.q_proj`.
    pub const fn stem(self) -> &'static str {
        match self {
            Self::Q => "self_attn.q_proj",
            Self::K => "self_attn.k_proj",
            Self::V => "self_attn.v_proj",
            Self::O => "self_attn.o_proj",
            Self::Gate => "mlp.gate_proj",
            Self::Up => "mlp.up_proj",
            Self::Down => "mlp.down_proj",
            Self::Qkv => "self_attn.qkv_proj",
            Self::GateUp => "mlp.gate_up_proj",
            Self::Input => "shared_mlp.input_linear",
            Self::Output => "shared_mlp.output_linear",
        }
    }

    /// The name in Hugging Face checkpoints, such as `q_proj`.
    pub fn hf_name(self) -> &'static str {
        self.stem().rsplit_once('.').map_or(self.stem(), |(_, name)| name)
    }

    /// The path inside the model, such as `model.layers.3.self_attn.q_proj`.
    pub fn path(self, layer: usize) -> String {
        format!("{BLOCKS}{layer}.{}", self.stem())
    }

    /// The layer and module of such a path; `None` for any other.
    pub fn from_path(path: &str) -> Option<(usize, Self)> {
        let (layer, rest) = path.strip_prefix(BLOCKS)?.split_once('.')?;
        let module: Self = rest.rsplit_once('.')?.1.parse().ok()?;
        let layer = layer.parse().ok()?;
        // Comparing with the canonical form rejects `model.layers.+1`, `01`, and a module under another parent.
        (module.path(layer) == path).then_some((layer, module))
    }
}

impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hf_name())
    }
}

impl FromStr for Module {
    type Err = Error;

    /// Takes `q_proj` and the short `q`.
    fn from_str(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|module| module.hf_name() == name || module.hf_name().strip_suffix("_proj") == Some(name))
            .ok_or_else(|| {
                Error::usage(
                    "lora.targets",
                    format!("unknown module `{name}`"),
                    "use any of q, k, v, o, gate, up, down, or qkv, gate_up, input_linear and output_linear where a model has \
                     those, separated by commas, or all-linear",
                )
            })
    }
}
