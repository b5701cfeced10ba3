//! The model adds transformations of its own to the task's library (LADDER section 3.1.2: "the model generates a set of
//! transformations"; the released code has a fixed list).

use crate::Result;
use crate::ladder::climb::Climb;
use crate::ladder::events::Phase;
use crate::ladder::policy::{Policy, Request};
use crate::ladder::state::Transformation;
use crate::task::{PromptStyle, VariantKind, library};

/// Completions asked for each kind.
const COMPLETIONS: usize = 4;

impl<P: Policy> Climb<'_, '_, P> {
    /// The transformations of `kind`: the task's, then the model's own.
    pub(crate) fn transformations(&self, kind: VariantKind) -> Vec<String> {
        let own = self.progress.library.iter().filter(|own| own.kind == kind).map(|own| own.text.clone());
        self.task.transformations(kind).iter().map(|&text| text.to_owned()).chain(own).collect()
    }

    /// Asks for `extend_library` new transformations of every kind in use, once a run and before the first variant.
    pub(crate) async fn extend_library(&mut self) -> Result<()> {
        let variants = &self.settings.variants;
        let wanted = variants.extend_library;
        if self.progress.library_extended || wanted == 0 || self.policy.prompt_style() == PromptStyle::Terse {
            return Ok(());
        }
        let mix = variants.mix;
        let kinds = [
            (VariantKind::Easier, mix.easier),
            (VariantKind::Equivalent, mix.equivalent),
            (VariantKind::Harder, mix.harder),
        ];
        let kinds: Vec<VariantKind> =
            kinds.into_iter().filter(|(_, share)| *share > 0.0).map(|(kind, _)| kind).collect();
        let Some(example) = self.tree.roots().next().map(|id| self.tree.node(id).problem.clone()) else {
            return Ok(());
        };
        let mut requests = Vec::new();
        for &kind in &kinds {
            let prompt = library::prompt(&example, kind, self.task.transformations(kind), wanted);
            requests.push(Request {
                prompt: self.policy.encode_prompt(&prompt)?,
                samples: COMPLETIONS,
                sampling: variants.sampling,
                seed: self.progress.random.seed(),
            });
        }
        let answers = self.sample(Phase::Variants, self.progress.step, &requests).await?;
        for (kind, samples) in kinds.into_iter().zip(answers) {
            let mut known = self.transformations(kind);
            let before = known.len();
            for sample in &samples {
                self.progress.total_rollout_tokens += sample.tokens.len() as u64;
                self.progress.variant_tokens += sample.tokens.len();
                // The last line of a text that was cut off may be half a sentence.
                let text = match sample.truncated {
                    false => sample.text.as_str(),
                    true => sample.text.rsplit_once('\n').map_or("", |(whole, _)| whole),
                };
                for text in library::parse(text) {
                    if known.len() - before < wanted
                        && !known.iter().any(|old| old.eq_ignore_ascii_case(&text))
                    {
                        known.push(text.clone());
                        self.progress.library.push(Transformation { kind, text });
                    }
                }
            }
        }
        self.progress.library_extended = true;
        Ok(())
    }
}
