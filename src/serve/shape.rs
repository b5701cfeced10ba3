//! What a request asks of the text beside how tokens are drawn: biases, penalties, and the form of an answer.

use serde_json::{Map, Value};

use super::fields::Fields;
use super::refusal::Refusal;
use crate::model::config::advice::SamplingAdvice;
use crate::model::generate::Adjustment;
use crate::model::guide::Form;

/// Most tokens with a bias.
const MAX_BIASES: usize = 1024;
/// Repetition penalties; further ones make logits that are not finite.
const REPETITIONS: std::ops::RangeInclusive<f64> = 0.01..=100.0;

/// The biases and penalties of a request; the model's makers may advise one.
pub(super) fn adjustment(fields: &mut Fields, advice: SamplingAdvice) -> Result<Adjustment, Refusal> {
    let mut penalty =
        |name: &str| fields.number(name, |p| (-2.0..=2.0).contains(&p), "a number from -2 to 2; 0 is none");
    let (presence, frequency) = (penalty("presence_penalty")?, penalty("frequency_penalty")?);
    let repetition = fields.number(
        "repetition_penalty",
        |p| REPETITIONS.contains(&p),
        "a number from 0.01 to 100; 1 is none",
    )?;
    let bias = match fields.take("logit_bias") {
        None => Vec::new(),
        Some(Value::Object(biases)) => biases_of(&biases)?,
        Some(_) => return Err(wrong_bias("is no object".into())),
    };
    Ok(Adjustment {
        bias,
        presence: presence.unwrap_or(0.0) as f32,
        frequency: frequency.unwrap_or(0.0) as f32,
        repetition: repetition.or(advice.repetition_penalty).unwrap_or(1.0) as f32,
    })
}

fn wrong_bias(problem: String) -> Refusal {
    Refusal::field("logit_bias", problem, "give tokens and numbers from -100 to 100, as {\"42\": -100}")
}

fn biases_of(biases: &Map<String, Value>) -> Result<Vec<(u32, f32)>, Refusal> {
    if biases.len() > MAX_BIASES {
        return Err(wrong_bias(format!("has more than {MAX_BIASES} tokens")));
    }
    let bias = |(token, value): (&String, &Value)| {
        let shown: String = token.chars().take(40).collect();
        // `065` would be another name of a token that may be there, too.
        let number = token.parse().ok().filter(|number: &u32| number.to_string() == *token);
        let token = number.ok_or_else(|| wrong_bias(format!("has {shown:?}, which is no token")))?;
        let number = value.as_f64().filter(|number| (-100.0..=100.0).contains(number));
        let number =
            number.ok_or_else(|| wrong_bias(format!("has a bias of token {token} out of bounds")))?;
        Ok((token, number as f32))
    };
    biases.iter().map(bias).collect()
}

/// The form that a chat's answer is held to. Whether a schema is called strict changes nothing: each is kept to.
pub(super) fn form(fields: &mut Fields) -> Result<Option<Form>, Refusal> {
    let Some(mut format) = fields.object("response_format")? else { return Ok(None) };
    let form = match format.text("type")?.as_deref() {
        Some("text") => None,
        Some("json_object") => Some(Form::json_object()),
        Some("json_schema") => {
            let missing = |name: &str| Refusal::field(name, "is missing", "give a name and a schema");
            let mut wanted =
                format.object("json_schema")?.ok_or_else(|| missing("response_format.json_schema"))?;
            // For the model to read, by OpenAI's description; here prompts stay as they were sent.
            wanted.take("name");
            wanted.take("description");
            wanted.flag("strict")?;
            let schema =
                wanted.take("schema").ok_or_else(|| missing("response_format.json_schema.schema"))?;
            wanted.finish()?;
            Some(Form::Schema(schema))
        }
        _ => {
            let hint = "use text, json_object or json_schema";
            return Err(Refusal::field("response_format.type", "is no form of answers", hint));
        }
    };
    format.finish()?;
    Ok(form)
}
