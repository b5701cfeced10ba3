//! `adapter_config.json`: what PEFT writes there, and which of it is understood here.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::pattern::{Patterns, Selection, is_all};
use crate::model::config::fields::{Harmless, is_harmless, is_off, shown};
use crate::train::lora_config::{LoraConfig, Module};
use crate::{Error, Result, json};

/// The file as PEFT writes it.
#[derive(Deserialize)]
struct File {
    peft_type: String,
    r: usize,
    #[serde(default = "default_alpha")]
    lora_alpha: f64,
    #[serde(default)]
    lora_dropout: f64,
    #[serde(default)]
    use_rslora: bool,
    target_modules: Option<TextOrList>,
    exclude_modules: Option<TextOrList>,
    layers_to_transform: Option<IndexOrList>,
    layers_pattern: Option<TextOrList>,
    rank_pattern: Option<Map<String, Value>>,
    alpha_pattern: Option<Map<String, Value>>,
    base_model_name_or_path: Option<String>,
    bias: Option<String>,
    init_lora_weights: Option<Value>,
    fan_in_fan_out: Option<Value>,
    lora_bias: Option<Value>,
    use_dora: Option<Value>,
    use_qalora: Option<Value>,
    modules_to_save: Option<TextOrList>,
    trainable_token_indices: Option<Value>,
    target_parameters: Option<Value>,
    layer_replication: Option<Value>,
    alora_invocation_tokens: Option<Value>,
    arrow_config: Option<Value>,
    kasa_config: Option<Value>,
    monteclora_config: Option<Value>,
    use_bdlora: Option<Value>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// Fields that change no result.
const HARMLESS: &[Harmless] = &[
    Harmless {
        reason: "where the adapter comes from and what it is for",
        names: &[
            "task_type",
            "auto_mapping",
            "peft_version",
            "inference_mode",
            "revision",
            "unsloth_*",
            "_*",
        ],
    },
    Harmless {
        reason: "how it was initialised and trained, or where a program keeps it",
        names: &[
            "loftq_config",
            "eva_config",
            "corda_config",
            "lora_ga_config",
            "velora_config",
            "qalora_group_size",
            "ensure_weight_tying",
            "megatron_config",
            "megatron_core",
            "runtime_config",
        ],
    },
];

/// `LoraConfig`'s default in PEFT, for files that leave it out.
fn default_alpha() -> f64 {
    8.0
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TextOrList {
    Text(String),
    List(Vec<String>),
}

impl TextOrList {
    fn names(&self) -> &[String] {
        match self {
            Self::Text(text) if text.is_empty() => &[],
            Self::Text(text) => std::slice::from_ref(text),
            Self::List(names) => names,
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum IndexOrList {
    Index(usize),
    List(BTreeSet<usize>),
}

/// A read configuration, before it is known which layers the model has.
pub(super) struct Parsed {
    file: File,
    targets: Selection,
    excluded: Option<Selection>,
    ranks: Patterns<usize>,
    alphas: Patterns<f64>,
}

impl Parsed {
    /// Reads `bytes`; `path` is named in errors.
    pub(super) fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self> {
        let file: File = json::from_slice(bytes).map_err(|error| {
            let field = json::key(bytes, &error).unwrap_or_else(|| "contents".into());
            Error::input(path, field, json::what(&error), "use the adapter_config.json that PEFT writes")
        })?;
        file.refuse_other_methods(path)?;
        let bad = |field: &'static str| move |problem: String| unreadable(path, field, problem);
        let select = |value: &TextOrList| match value {
            TextOrList::Text(text) => Selection::from_text(text),
            TextOrList::List(names) if names.len() == 1 && is_all(&names[0]) => Ok(Selection::AllLinear),
            TextOrList::List(names) => Ok(Selection::Names(names.clone())),
        };
        let targets =
            file.target_modules.as_ref().ok_or_else(|| bad("target_modules")("is missing".into()))?;
        let targets = select(targets).map_err(bad("target_modules"))?;
        let excluded =
            file.exclude_modules.as_ref().map(select).transpose().map_err(bad("exclude_modules"))?;
        let rank = |value: &Value| {
            value.as_u64().and_then(|rank| usize::try_from(rank).ok()).filter(|&rank| rank > 0)
        };
        let ranks = patterns(file.rank_pattern.as_ref(), rank).map_err(bad("rank_pattern"))?;
        let alphas = patterns(file.alpha_pattern.as_ref(), Value::as_f64).map_err(bad("alpha_pattern"))?;
        Ok(Self { file, targets, excluded, ranks, alphas })
    }

    /// Whether the module of `layer` is adapted.
    fn adapts(&self, layer: usize, module: Module) -> std::result::Result<bool, String> {
        let in_layer = match &self.file.layers_to_transform {
            None => true,
            Some(IndexOrList::Index(index)) => *index == layer,
            // PEFT writes an empty list for "all layers".
            Some(IndexOrList::List(layers)) => layers.is_empty() || layers.contains(&layer),
        };
        let path = module.path(layer);
        let excluded = self.excluded.as_ref().map_or(Ok(false), |excluded| excluded.matches(&path))?;
        Ok(in_layer && !excluded && self.targets.matches(&path)?)
    }

    /// The configuration with every pattern resolved for a model in which `exists` says which modules there are.
    /// Layers are counted from 0 up to the first without any module.
    pub(super) fn resolve(&self, exists: &dyn Fn(usize, Module) -> bool, path: &Path) -> Result<LoraConfig> {
        let mut config = LoraConfig {
            rank: self.file.r,
            alpha: self.file.lora_alpha,
            rslora: self.file.use_rslora,
            dropout: self.file.lora_dropout,
            targets: BTreeSet::new(),
            base_model: self.file.base_model_name_or_path.clone().filter(|name| !name.is_empty()),
            ..LoraConfig::default()
        };
        let (mut adapted, mut layers) = (BTreeSet::new(), 0);
        while Module::ALL.into_iter().any(|module| exists(layers, module)) {
            for module in Module::ALL.into_iter().filter(|&module| exists(layers, module)) {
                let bad = |problem| unreadable(path, "target_modules", problem);
                if !self.adapts(layers, module).map_err(bad)? {
                    continue;
                }
                let name = module.path(layers);
                let bad = |problem| unreadable(path, "rank_pattern", problem);
                if let Some(rank) = self.ranks.find(&name).map_err(bad)?.filter(|&rank| rank != config.rank) {
                    config.rank_pattern.insert(name.clone(), rank);
                }
                let bad = |problem| unreadable(path, "alpha_pattern", problem);
                if let Some(alpha) =
                    self.alphas.find(&name).map_err(bad)?.filter(|&alpha| alpha != config.alpha)
                {
                    config.alpha_pattern.insert(name.clone(), alpha);
                }
                config.targets.insert(module);
                adapted.insert(name);
            }
            layers += 1;
        }
        if adapted.len() < layers * config.targets.len() {
            config.only = Some(adapted);
        }
        if config.targets.is_empty() {
            return Err(unreadable(path, "target_modules", "match no module of the model".into()));
        }
        let refuse = |field: &str, problem: String| {
            Err(Error::input(path, field, problem, "merge the adapter into its model with PEFT"))
        };
        let usable = |alpha: f64| alpha.is_finite() && alpha > 0.0;
        if !usable(config.alpha) {
            return refuse("lora_alpha", format!("is {}; only numbers above 0 are supported", config.alpha));
        }
        if let Some((name, alpha)) = config.alpha_pattern.iter().find(|(_, alpha)| !usable(**alpha)) {
            return refuse(
                "alpha_pattern",
                format!("is {alpha} for {name}; only numbers above 0 are supported"),
            );
        }
        if config.rank == 0 {
            return refuse("r", "is 0; only numbers above 0 are supported".into());
        }
        if !(0.0..1.0).contains(&config.dropout) {
            return refuse(
                "lora_dropout",
                format!("is {}; only numbers in [0, 1) are supported", config.dropout),
            );
        }
        config.validate().map_err(|error| unreadable(path, "contents", error.to_string()))?;
        Ok(config)
    }
}

fn unreadable(path: &Path, field: &str, problem: String) -> Error {
    Error::input(
        path,
        field,
        problem,
        "adapters of q, k, v, o, gate, up and down projections are supported, and of qkv and gate_up",
    )
}

fn patterns<T: Copy>(
    map: Option<&Map<String, Value>>,
    parse: impl Fn(&Value) -> Option<T>,
) -> std::result::Result<Patterns<T>, String> {
    let pairs = map.into_iter().flatten().map(|(key, value)| {
        let number = parse(value).ok_or_else(|| format!("`{key}` has the value {value}"))?;
        Ok((key.clone(), number))
    });
    Patterns::new(pairs.collect::<std::result::Result<_, String>>()?)
}

impl File {
    /// Refuses what would change the result but is not implemented.
    fn refuse_other_methods(&self, path: &Path) -> Result<()> {
        let refuse = |field: &str, problem: String| {
            Err(Error::input(
                path,
                field,
                problem,
                "train a plain LoRA adapter, or merge this one with PEFT first",
            ))
        };
        if self.peft_type != "LORA" {
            return refuse("peft_type", format!("is `{}`; only LORA adapters are supported", self.peft_type));
        }
        if let Some(bias) = self.bias.as_deref().filter(|&bias| bias != "none") {
            return refuse("bias", format!("is `{bias}`; trained biases are not supported"));
        }
        let switches = [
            ("fan_in_fan_out", &self.fan_in_fan_out),
            ("lora_bias", &self.lora_bias),
            ("use_dora", &self.use_dora),
            ("use_qalora", &self.use_qalora),
            ("trainable_token_indices", &self.trainable_token_indices),
            ("target_parameters", &self.target_parameters),
            ("layer_replication", &self.layer_replication),
            ("alora_invocation_tokens", &self.alora_invocation_tokens),
            ("arrow_config", &self.arrow_config),
            ("kasa_config", &self.kasa_config),
            ("monteclora_config", &self.monteclora_config),
            ("use_bdlora", &self.use_bdlora),
        ];
        for (field, value) in switches {
            if let Some(value) = value.as_ref().filter(|value| !is_off(value)) {
                return refuse(field, format!("is {}, which is not supported", shown(value)));
            }
        }
        if let Some((field, value)) =
            self.others.iter().find(|(field, value)| !is_harmless(HARMLESS, field) && !is_off(value))
        {
            return refuse(field, format!("is {}, and what it means is not known here", shown(value)));
        }
        // Layers are found by this name alone, which is PEFT's default too.
        if let Some(other) =
            self.layers_pattern.iter().flat_map(TextOrList::names).find(|name| *name != "layers")
        {
            return refuse(
                "layers_pattern",
                format!("is `{other}`, and the layers of the models here are in `layers`"),
            );
        }
        // A saved copy that equals the base's is let through when the weights are read.
        let saved = self.modules_to_save.iter().flat_map(TextOrList::names);
        if let Some(other) =
            saved.into_iter().find(|name| !["embed_tokens", "lm_head"].contains(&last_part(name)))
        {
            return refuse("modules_to_save", format!("has `{other}`, which is not supported"));
        }
        match &self.init_lora_weights {
            None | Some(Value::Null | Value::Bool(_)) => Ok(()),
            // These leave the base weights as they are; others (PiSSA, OLoRA, LoftQ, CorDA) change them on loading.
            Some(Value::String(name)) if ["gaussian", "eva", "orthogonal"].contains(&name.as_str()) => Ok(()),
            Some(other) => refuse("init_lora_weights", format!("is {other}, which changes the base weights")),
        }
    }
}

/// The last part of a module's path.
fn last_part(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// The file for PEFT.
pub(super) fn to_bytes(config: &LoraConfig) -> Vec<u8> {
    let targets: Vec<String> = match &config.only {
        None => config.targets.iter().map(ToString::to_string).collect(),
        Some(paths) => paths.iter().cloned().collect(),
    };
    let alphas: Map<String, Value> =
        config.alpha_pattern.iter().map(|(path, &alpha)| (path.clone(), number(alpha))).collect();
    let file = json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": config.base_model,
        "r": config.rank,
        "lora_alpha": number(config.alpha),
        "lora_dropout": config.dropout,
        "use_rslora": config.rslora,
        "target_modules": targets,
        "rank_pattern": config.rank_pattern,
        "alpha_pattern": alphas,
        "bias": "none",
        "fan_in_fan_out": false,
        "use_dora": false,
        "init_lora_weights": true,
        "modules_to_save": null,
        "layers_to_transform": null,
        "layers_pattern": null,
        "inference_mode": true,
        "revision": null,
    });
    format!("{file:#}\n").into_bytes()
}

/// A whole number is written as an integer, which is what PEFT declares alpha to be.
fn number(value: f64) -> Value {
    let whole = value as i64;
    if whole as f64 == value { json!(whole) } else { json!(value) }
}
