//! Pairs of a chosen and a rejected answer, learnt by a loss on preferences: a forward pass gives the log-probabilities, the loss
//! what each is to change by, and a cross-entropy of that weight makes the gradient.

use super::fact::Fact;
use super::outcome::Judge;
use super::records::Encoder;
use crate::Result;
use crate::train::data::Example;
use crate::train::loss::preference::{AnswerScore, PairScore, PreferenceConfig, PreferenceLoss, preference};
use crate::train::trainer::{Scores, Trainer, Trajectory};

/// A chosen and a rejected answer to the same prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The better answer.
    pub chosen: Trajectory,
    /// The worse one.
    pub rejected: Trajectory,
    /// The better answer to another prompt after this one, by which KTO estimates how far the policy has moved.
    pub other: Option<Trajectory>,
    /// How much it counts.
    pub weight: f32,
    /// The loss that it is learnt by.
    pub config: PreferenceConfig,
}

/// Log-probabilities of a choice's answers under the reference: chosen, rejected, other.
pub type Reference = [f64; 3];

impl Choice {
    /// Tokens whose log-probability is learnt.
    pub fn scored_count(&self) -> usize {
        self.chosen.scored_count() + self.rejected.scored_count()
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &Trajectory> {
        [&self.chosen, &self.rejected].into_iter().chain(&self.other)
    }
}

/// The choices that `facts` are, one for each wording; facts that are none are left out.
///
/// # Errors
/// As [`Encoder::exchange`].
pub fn choices(encoder: &Encoder, facts: &[&Fact], config: PreferenceConfig) -> Result<Vec<Choice>> {
    let mut examples: Vec<(Example, Example, f32)> = Vec::new();
    for fact in facts {
        let Some(Judge::Over(worse)) = &fact.judge else { continue };
        for wording in &fact.wordings {
            let chosen = encoder.exchange(&fact.before, wording, &fact.answer)?.alone();
            examples.push((chosen, encoder.exchange(&fact.before, wording, worse)?.alone(), fact.weight));
        }
    }
    let all = examples.len();
    // A prompt of the same fact would say the same: facts have the same number of wordings, or nearly.
    let several = facts.iter().filter(|fact| fact.is_choice()).count();
    let apart = all / several.max(1);
    let mismatched = |place: usize| {
        let (this, next) = (&examples[place].0, &examples[(place + apart.max(1)) % all].0);
        let prompt = &this.tokens[..this.answer().start];
        Example::completion(prompt, &next.tokens[next.answer()]).into()
    };
    let choice = |place: usize| Choice {
        chosen: examples[place].0.clone().into(),
        rejected: examples[place].1.clone().into(),
        other: (config.loss == PreferenceLoss::Kto && several > 1).then(|| mismatched(place)),
        weight: examples[place].2,
        config,
    };
    Ok((0..all).map(choice).collect())
}

/// Log-probabilities of the answers of `choices` under the trainer's adapter.
///
/// # Errors
/// GPU errors; a model whose numbers are not finite.
pub async fn scores(trainer: &mut Trainer, choices: &[&Choice]) -> Result<Vec<Reference>> {
    let records: Vec<Trajectory> = choices.iter().flat_map(|choice| choice.records().cloned()).collect();
    let mut scores = trainer.logprobs(&records, true).await?.into_iter();
    let sum = |scores: Option<Scores>| -> f64 {
        scores.unwrap_or_default().logp.iter().map(|&logp| f64::from(logp)).sum()
    };
    let of = |choice: &&Choice| {
        let mut sums = [0.0; 3];
        for (place, _) in choice.records().enumerate() {
            sums[place] = sum(scores.next());
        }
        sums
    };
    Ok(choices.iter().map(of).collect())
}

/// Choices of one update as records of a weighted cross-entropy.
#[derive(Debug, Default)]
pub struct Weighed {
    /// Both answers of each choice.
    pub records: Vec<Trajectory>,
    /// The loss on preferences, a mean over the choices.
    pub loss: f64,
    /// Tokens of the answers.
    scored: usize,
    /// What the cross-entropy sums up of them, by which it differs from the loss on preferences.
    linear: f64,
}

impl Weighed {
    /// The loss of an update of `scored` learnt tokens whose cross-entropy, with these records in it, was `loss`: each choice counts as
    /// much as the tokens of its answers.
    pub fn loss_of(&self, loss: f64, scored: usize) -> f64 {
        loss + (self.linear + self.scored as f64 * self.loss) / scored.max(1) as f64
    }
}

/// Weighs `choices` by the slope of their loss at the trainer's adapter.
///
/// # Errors
/// As [`scores`].
pub async fn weigh(trainer: &mut Trainer, choices: &[&Choice], references: &[Reference]) -> Result<Weighed> {
    if choices.is_empty() {
        return Ok(Weighed::default());
    }
    Ok(weighed(choices, &scores(trainer, choices).await?, references))
}

fn weighed(choices: &[&Choice], scores: &[Reference], references: &[Reference]) -> Weighed {
    let share = 1.0 / choices.len() as f64;
    let moved: Vec<f64> = choices
        .iter()
        .zip(scores.iter().zip(references))
        .filter(|(choice, _)| choice.other.is_some())
        .map(|(_, (now, before))| now[2] - before[2])
        .collect();
    let divergence = moved.iter().sum::<f64>() / moved.len().max(1) as f64;
    let all: usize = choices.iter().map(|choice| choice.scored_count()).sum();
    let mut weighed = Weighed { scored: all, ..Weighed::default() };
    for (choice, (now, before)) in choices.iter().zip(scores.iter().zip(references)) {
        let score = |place: usize, answer: &Trajectory| AnswerScore {
            policy: now[place],
            reference: before[place],
            tokens: answer.scored_count(),
        };
        let (chosen, rejected) = (score(0, &choice.chosen), score(1, &choice.rejected));
        let pair = PairScore { chosen, rejected, weight: f64::from(choice.weight) };
        let output = preference(&choice.config, &[pair], divergence);
        weighed.loss += share * output.loss;
        for (place, record) in [&choice.chosen, &choice.rejected].into_iter().enumerate() {
            // A cross-entropy divides by the learnt tokens and goes down where a weight is above 0.
            let weight = -share * output.slopes[0][place] * all as f64;
            weighed.linear += weight * now[place];
            weighed.records.push(Trajectory { advantage: Some(weight as f32), ..record.clone() });
        }
    }
    weighed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(chosen: usize, rejected: usize, loss: PreferenceLoss) -> Choice {
        let record = |mark: u32, tokens: usize| Trajectory::completing(vec![mark; tokens + 1], 1);
        Choice {
            chosen: record(1, chosen),
            rejected: record(2, rejected),
            other: (loss == PreferenceLoss::Kto).then(|| record(3, chosen)),
            weight: 1.0,
            config: PreferenceConfig { loss, beta: 0.1 },
        }
    }

    /// The cross-entropy that the trainer computes of the weighed records, at these sums of log-probabilities.
    fn cross_entropy(records: &[Trajectory], sums: &[f64]) -> f64 {
        let tokens: usize = records.iter().map(Trajectory::scored_count).sum();
        let of = |(record, sum): (&Trajectory, &f64)| f64::from(record.advantage.unwrap_or_default()) * sum;
        -records.iter().zip(sums).map(of).sum::<f64>() / tokens as f64
    }

    /// With replay beside them the choices weigh as their tokens do, and the gradient is that of their loss.
    #[test]
    fn weights_make_the_gradient_of_the_loss() {
        for loss in [PreferenceLoss::Dpo, PreferenceLoss::Ipo, PreferenceLoss::Kto] {
            let choices = [choice(3, 5, loss), choice(4, 2, loss)];
            let choices: Vec<&Choice> = choices.iter().collect();
            let (scores, references) =
                ([[-3.0, -9.0, -4.0], [-8.0, -2.0, -6.0]], [[-4.0, -7.0, -5.0], [-6.0, -3.0, -6.5]]);
            let weighed = weighed(&choices, &scores, &references);
            let replay = Trajectory::completing(vec![9; 7], 1);
            let records: Vec<Trajectory> = weighed.records.iter().cloned().chain([replay]).collect();
            let tokens: usize = records.iter().map(Trajectory::scored_count).sum();
            let sums = [-3.0, -9.0, -8.0, -2.0, -11.0];
            let whole = weighed.loss_of(cross_entropy(&records, &sums), tokens);
            let expected = (14.0 * weighed.loss + 11.0) / 20.0;
            assert!((whole - expected).abs() < 1e-5, "{loss:?}: {whole}, not {expected}");
            // Moving one answer changes the cross-entropy as it changes the loss of all choices; KTO's estimate of the divergence stays.
            let step = 1e-4;
            for (place, side) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let mut moved = scores;
                moved[place][side] += step;
                let change = self::weighed(&choices, &moved, &references).loss - weighed.loss;
                let slope = 14.0 / 20.0 * change / step;
                let mut sums = sums;
                sums[2 * place + side] += step;
                let linear = (cross_entropy(&records, &sums)
                    - cross_entropy(&records, &[-3.0, -9.0, -8.0, -2.0, -11.0]))
                    / step;
                assert!(
                    (slope - linear).abs() < 1e-3 * (1.0 + slope.abs()),
                    "{loss:?} {place} {side}: {slope} {linear}"
                );
            }
        }
    }
}
