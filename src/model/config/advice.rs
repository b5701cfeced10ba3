//! How a model's makers advise to draw tokens, in its `generation_config.json`.

use serde_json::Value;

use super::fields::Fields;

/// Numbers that a conversation takes unless its user gives others. `None` where nothing is advised.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SamplingAdvice {
    /// Spread of the choice.
    pub temperature: Option<f64>,
    /// Number of likeliest tokens to choose among; 0 is all.
    pub top_k: Option<u32>,
    /// Probability of the likeliest tokens to choose among, together.
    pub top_p: Option<f64>,
    /// Share of the likeliest token's probability that a token must have.
    pub min_p: Option<f64>,
    /// Divisor of positive logits, and factor of others, of tokens seen before; 1 is none.
    pub repetition_penalty: Option<f64>,
}

impl SamplingAdvice {
    /// Takes the advice out of `fields`, and the names of those that mean nothing. `do_sample: false` is a temperature of 0.
    pub(super) fn read(fields: &Fields<'_>) -> (Self, Vec<String>) {
        let mut strange = Vec::new();
        let mut number = |name: &str, fits: &dyn Fn(f64) -> bool| {
            let value = fields.get(name).filter(|value| !value.is_null())?;
            let number = value.as_f64().filter(|number| fits(*number));
            if number.is_none() {
                strange.push(name.to_owned());
            }
            number
        };
        let temperature = number("temperature", &|value| value >= 0.0);
        let top_k = number("top_k", &|value| value >= 0.0 && value <= f64::from(u32::MAX));
        let top_p = number("top_p", &|value| value > 0.0 && value <= 1.0);
        let min_p = number("min_p", &|value| (0.0..=1.0).contains(&value));
        let repetition_penalty = number("repetition_penalty", &|value| value > 0.0 && value <= 100.0);
        let is_greedy = fields.get("do_sample") == Some(&Value::Bool(false));
        let temperature = if is_greedy { Some(0.0) } else { temperature };
        let top_k = top_k.map(|count| count as u32);
        (Self { temperature, top_k, top_p, min_p, repetition_penalty }, strange)
    }

    /// Whether there is any on how to choose among the likeliest tokens.
    pub fn is_some(&self) -> bool {
        Self { repetition_penalty: None, ..*self } != Self::default()
    }
}
