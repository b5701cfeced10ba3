//! Named sets of settings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ladder::policy::Sampling;
use crate::ladder::reward;
use crate::ladder::settings::{
    CurriculumSettings, EvaluationSettings, Method, Rewards, Settings, VariantMix, VariantSettings,
    length_from,
};
use crate::ladder::tree::Limits;
use crate::settings::list;
use crate::train::lora_config::LoraConfig;
use crate::train::loss::{KlConfig, KlEstimator, LossConfig, LossName};
use crate::train::schedule::ScheduleKind;
use crate::train::trainer::Optimizer;
use crate::{Error, Result};

/// A named set of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// The paper's values where it gives them (arXiv 2503.00735, sections 3.1 and 3.2) and those of its released
    /// training scripts elsewhere, with the tenfold learning rate that LoRA needs; static tree, no probes, no refill.
    Paper,
    /// For instruction-tuned models under a billion parameters on one GPU: small groups and batches, adaptive tree.
    Small,
    /// For such models where the GPU is a program on the CPU: a step in minutes rather than hours. Too small a batch to
    /// expect much of.
    Software,
    /// For the embedded `tiny` model: terse prompts, short answers, a high learning rate (`models/tiny/README.md` compares
    /// settings).
    Tiny,
}

impl Preset {
    /// All presets, in the order of the help.
    pub const ALL: [Self; 4] = [Self::Paper, Self::Small, Self::Software, Self::Tiny];

    /// The name by which a user asks for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Paper => "paper",
            Self::Small => "small",
            Self::Software => "software",
            Self::Tiny => "tiny",
        }
    }

    /// All names, for messages: `a, b or c`.
    pub fn names() -> String {
        list(&Self::ALL.map(Self::as_str))
    }
}

impl std::str::FromStr for Preset {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|preset| preset.as_str() == name).ok_or_else(|| {
            Error::usage("preset", format!("unknown preset `{name}`"), format!("use {}", Self::names()))
        })
    }
}

impl Settings {
    /// The settings of a preset.
    pub fn preset(preset: Preset) -> Self {
        match preset {
            Preset::Paper => Self::paper(),
            Preset::Small => Self::small(),
            Preset::Software => Self::software(),
            Preset::Tiny => Self::tiny(),
        }
    }

    fn paper() -> Self {
        Self {
            seed: 0,
            method: Method::PolicyGradient,
            prompt_style: None,
            steps: 250,
            token_budget: None,
            prompts_per_step: 128,
            passes_per_step: 1,
            group_size: 5,
            sampling: Sampling { max_tokens: 1024, ..Sampling::default() },
            learning_rate: 1e-5,
            schedule: ScheduleKind::Constant,
            warmup_steps: 0,
            optimizer: Optimizer::default(),
            lora: LoraConfig { rank: 32, ..LoraConfig::default() },
            loss: LossConfig {
                kl: Some(KlConfig { coef: 1e-3, estimator: KlEstimator::K3, bias_correction: false }),
                ..LossName::Grpo.config(1024)
            },
            reward: Rewards {
                correct: 1.0,
                wrong: 0.0,
                malformed: 0.0,
                weights: [(reward::FORMAT.to_owned(), 0.05)].into(),
                length_from: length_from(),
            },
            variants: VariantSettings {
                enabled: true,
                per_node: 20,
                per_completion: 10,
                initial_levels: 3,
                parents_per_level: 300,
                limits: Limits { depth: 3, children: 40, nodes: 9000, problem_bytes: 256 },
                mix: VariantMix { easier: 0.7, equivalent: 0.3, harder: 0.0 },
                transformations: [3, 5],
                temperatures: vec![0.8, 1.0, 1.2, 1.4],
                sampling: Sampling { max_tokens: 1536, ..Sampling::default() },
                personas: personas(),
                extend_library: 0,
                check_solvable: false,
            },
            curriculum: CurriculumSettings {
                adaptive: false,
                sharpness: 2.0,
                root_share: 0.0,
                probe_samples: 0,
                probe_until: 0.0,
                probe_threshold: 0.0,
                refill_rounds: 0,
                prior_strength: 2.0,
                memory: 0.7,
                solved_rate: 0.9,
                rest_steps: 20,
                grow_after: 8.0,
                grow_per_step: 0,
                promote_share: 0.5,
            },
            evaluation: EvaluationSettings {
                every: 10,
                samples: 1,
                sampling: Sampling { max_tokens: 1024, ..Sampling::default() },
            },
            checkpoint_every: 10,
        }
    }

    fn small() -> Self {
        let paper = Self::paper();
        let answer = Sampling { max_tokens: 256, ..Sampling::default() };
        Self {
            steps: 100,
            lora: LoraConfig { rank: 16, ..LoraConfig::default() },
            prompts_per_step: 8,
            group_size: 8,
            sampling: answer,
            learning_rate: 4e-5,
            warmup_steps: 2,
            loss: LossName::Dapo.config(answer.max_tokens),
            variants: VariantSettings {
                per_node: 10,
                per_completion: 5,
                initial_levels: 1,
                parents_per_level: 32,
                limits: Limits { depth: 3, children: 30, nodes: 2000, problem_bytes: 200 },
                transformations: [3, 6],
                sampling: Sampling { max_tokens: 320, top_p: 0.95, ..answer },
                check_solvable: true,
                ..paper.variants
            },
            curriculum: CurriculumSettings {
                adaptive: true,
                root_share: 0.4,
                probe_samples: 2,
                probe_until: 4.0,
                probe_threshold: 0.35,
                refill_rounds: 3,
                grow_after: 3.0,
                grow_per_step: 4,
                ..paper.curriculum
            },
            evaluation: EvaluationSettings { every: 10, samples: 1, sampling: answer },
            checkpoint_every: 5,
            ..paper
        }
    }

    fn software() -> Self {
        let small = Self::small();
        let answer = Sampling { max_tokens: 64, ..Sampling::default() };
        Self {
            steps: 10,
            prompts_per_step: 2,
            group_size: 4,
            sampling: answer,
            loss: LossName::Dapo.config(answer.max_tokens),
            lora: LoraConfig { rank: 8, ..LoraConfig::default() },
            variants: VariantSettings {
                per_node: 4,
                per_completion: 4,
                parents_per_level: 4,
                limits: Limits { depth: 2, children: 8, nodes: 200, problem_bytes: 200 },
                sampling: Sampling { max_tokens: 96, top_p: 0.95, ..answer },
                ..small.variants
            },
            curriculum: CurriculumSettings { refill_rounds: 1, grow_per_step: 1, ..small.curriculum },
            evaluation: EvaluationSettings { every: 0, samples: 1, sampling: answer },
            checkpoint_every: 1,
            ..small
        }
    }

    fn tiny() -> Self {
        let small = Self::small();
        let answer = Sampling { max_tokens: 64, ..Sampling::default() };
        Self {
            steps: 40,
            prompts_per_step: 32,
            group_size: 4,
            sampling: answer,
            learning_rate: 2e-3,
            lora: LoraConfig { rank: 8, alpha: 16.0, ..LoraConfig::default() },
            warmup_steps: 0,
            reward: Rewards { weights: BTreeMap::new(), ..small.reward },
            loss: LossName::Grpo.config(answer.max_tokens),
            variants: VariantSettings {
                per_node: 8,
                per_completion: 1,
                parents_per_level: 64,
                limits: Limits { depth: 3, children: 24, nodes: 2000, problem_bytes: 64 },
                sampling: Sampling { top_p: 1.0, ..answer },
                personas: Vec::new(),
                ..small.variants
            },
            curriculum: CurriculumSettings { root_share: 0.25, grow_per_step: 8, ..small.curriculum },
            evaluation: EvaluationSettings { every: 20, samples: 4, sampling: answer },
            checkpoint_every: 10,
            ..small
        }
    }
}

/// Experts whose ways of looking at a problem give different variants.
fn personas() -> Vec<String> {
    [
        "Leonhard Euler, who thinks in series and substitutions",
        "Carl Friedrich Gauss, who looks for patterns and symmetry",
        "Emmy Noether, who strips a problem to its structure",
        "Bernhard Riemann, who sees functions as geometry",
        "Srinivasa Ramanujan, who finds unexpected special cases",
        "a calculus teacher who writes graded exercise sheets",
        "an engineer who needs formulas that can be computed by hand",
        "a contest author who hides a simple idea in an unusual form",
    ]
    .map(str::to_owned)
    .to_vec()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn presets_are_valid_and_survive_json() {
        for preset in Preset::ALL {
            assert_eq!(preset.as_str().parse::<Preset>().unwrap(), preset);
            let settings = Settings::preset(preset);
            settings.check().unwrap();
            let json = serde_json::to_string(&settings).unwrap();
            assert_eq!(serde_json::from_str::<Settings>(&json).unwrap(), settings);
        }
        assert!("pape".parse::<Preset>().unwrap_err().to_string().contains("paper, small, software or tiny"));
    }
}
