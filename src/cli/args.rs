//! Groups of options that several commands share, and the checks of single values.

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use serde::Serialize;
use serde_json::Map;
use stepladder::kernel::cache::CacheFormat;
use stepladder::kernel::weight::Format;
use stepladder::model::generate::Sampling;
use stepladder::settings::PROGRAM;
use stepladder::task::{PromptStyle, TaskOptions};
use stepladder::train::fingerprint::Base;

use super::context::Context;

/// How a model is put on the GPU.
#[derive(Debug, Clone, Args, Serialize)]
pub(super) struct DeviceArgs {
    /// Store the weights in this format [default: as they are in the file]
    #[arg(long, value_name = "FORMAT", value_parser = weight_format(), help_heading = "Options of the device")]
    pub(super) weights: Option<Format>,
    /// Longest sequence, prompt and answer together
    #[arg(long, value_name = "TOKENS", help = context_help(), value_parser = clap::value_parser!(u32).range(2..), help_heading = "Options of the device")]
    pub(super) context: Option<u32>,
    /// Never allocate more than this on the GPU: bytes, or with a unit, as in 512MB or 2GiB
    #[arg(long, value_name = "BYTES", value_parser = byte_count, help_heading = "Options of the device")]
    pub(super) memory_limit: Option<u64>,
    /// As --f16, for a run that was begun with it.
    #[arg(skip)]
    pub(super) f16: bool,
}

impl DeviceArgs {
    /// What numbers depend on beside the model.
    pub(super) fn base(&self, context: &Context) -> Base {
        Base {
            sha256: String::new(),
            weights: self.weights.map(|format| format.name().into()),
            context: self.context,
            f16: context.f16 || self.f16,
            model: Map::new(),
        }
    }

    /// The longest sequence that is asked for, or taken where the model has no shorter.
    pub(super) fn context_length(&self) -> usize {
        self.context.map_or(PROGRAM.context, |context| context as usize)
    }

    /// The same computed as in a run that goes on.
    pub(super) fn as_in(&self, base: Option<&Base>) -> Self {
        let Some(base) = base else { return self.clone() };
        let weights = base.weights.as_deref().and_then(Format::named);
        Self { weights, context: base.context, f16: base.f16, ..self.clone() }
    }
}

fn context_help() -> String {
    let most = PROGRAM.context;
    format!("Longest sequence, prompt and answer together [default: the model's own, at most {most}]")
}

/// Reads a weight format that a user may ask for.
pub(super) fn weight_format() -> impl TypedValueParser<Value = Format> {
    let value = |(format, help): (Format, &'static str)| PossibleValue::new(format.name()).help(help);
    let names = PossibleValuesParser::new(Format::offered().map(value));
    names.try_map(|name| Format::named(&name).ok_or("there is no such format"))
}

/// How keys and values are kept while tokens are drawn.
#[derive(Debug, Clone, Copy, Args, Serialize)]
pub(super) struct CacheArgs {
    /// Keep keys and values in this format: f16 halves their memory, and rounds log-probabilities in the fourth digit
    #[arg(long, value_name = "FORMAT", default_value = "f32", value_parser = cache_format(), help_heading = "Options of the device")]
    pub(super) kv_cache: CacheFormat,
}

/// Reads the format of a cache.
fn cache_format() -> impl TypedValueParser<Value = CacheFormat> {
    let names = PossibleValuesParser::new(CacheFormat::ALL.map(CacheFormat::name));
    let named = |name: String| CacheFormat::ALL.into_iter().find(|format| format.name() == name);
    names.try_map(move |name| named(name).ok_or("there is no such format"))
}

/// How tokens are drawn.
#[derive(Debug, Clone, Args, Serialize)]
pub(super) struct SamplingArgs {
    /// Spread of the choice; 0 always takes the likeliest token
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = non_negative)]
    pub(super) temperature: f64,
    /// Choose among the K likeliest tokens only; 0 is all
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub(super) top_k: u32,
    /// Choose among the likeliest tokens that together have probability P
    #[arg(long, value_name = "P", default_value_t = 1.0, value_parser = positive_share)]
    pub(super) top_p: f64,
    /// Choose among tokens at least P times as likely as the likeliest
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = share)]
    pub(super) min_p: f64,
    /// Seed of every random choice; the same seed on the same GPU gives the same text
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) seed: u64,
}

impl SamplingArgs {
    /// Settings of the sampler, with the most tokens to draw.
    pub(super) fn sampling(&self, max_tokens: u32) -> Sampling {
        Sampling {
            max_tokens: max_tokens as usize,
            temperature: self.temperature as f32,
            top_k: self.top_k as usize,
            top_p: self.top_p as f32,
            min_p: self.min_p as f32,
        }
    }
}

/// How prompts are worded.
#[derive(Debug, Clone, Copy, clap::ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Style {
    /// Full sentences and chat messages
    Instruct,
    /// The task's own short notation, as prompt and completion
    Terse,
}

impl From<Style> for PromptStyle {
    fn from(style: Style) -> Self {
        match style {
            Style::Instruct => Self::Instruct,
            Style::Terse => Self::Terse,
        }
    }
}

/// Which task, with its parameters.
#[derive(Debug, Args, Serialize)]
pub(super) struct TaskArgs {
    /// Kind of problem: what is asked, and who judges answers (see below)
    #[arg(long, value_name = "NAME")]
    pub(super) task: String,
    /// A parameter of the task; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_value)]
    pub(super) task_option: Vec<(String, String)>,
}

impl TaskArgs {
    /// The task's parameters.
    pub(super) fn options(&self) -> TaskOptions {
        self.task_option.iter().cloned().collect()
    }
}

/// `name=value`, split at the first `=`.
pub(super) fn name_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_string(), value.to_string()))
}

/// A finite number of at least 0.
pub(super) fn non_negative(text: &str) -> Result<f64, String> {
    number(text, "at least 0", |value| value >= 0.0)
}

/// A finite number above 0.
pub(super) fn positive(text: &str) -> Result<f64, String> {
    number(text, "above 0", |value| value > 0.0)
}

/// A number from 0 to 1.
pub(super) fn share(text: &str) -> Result<f64, String> {
    number(text, "from 0 to 1", |value| (0.0..=1.0).contains(&value))
}

/// A number above 0, at most 1.
pub(super) fn positive_share(text: &str) -> Result<f64, String> {
    number(text, "above 0 and at most 1", |value| value > 0.0 && value <= 1.0)
}

/// A number of bytes, alone or with a unit of decimal (MB) or binary (MiB) thousands; `M` is `MB`.
pub(super) fn byte_count(text: &str) -> Result<u64, String> {
    let expected = || "expected a number of bytes, as 1500000, 100MB or 2GiB".to_owned();
    let text = text.trim();
    let (number, unit) =
        text.split_at(text.find(|sign: char| sign.is_ascii_alphabetic()).unwrap_or(text.len()));
    let unit = unit.to_ascii_lowercase();
    let (letter, thousand) = match unit.strip_suffix('b').unwrap_or(&unit) {
        letter if letter.len() == 2 && letter.ends_with('i') => (&letter[..1], 1024.0),
        letter => (letter, 1000.0),
    };
    let power = ["", "k", "m", "g", "t"].iter().position(|known| *known == letter).ok_or_else(expected)?;
    if let (0, Ok(bytes)) = (power, number.trim().parse()) {
        return Ok(bytes);
    }
    let count: f64 = number.trim().parse().map_err(|_| expected())?;
    let bytes = count * f64::powi(thousand, power as i32);
    // The largest whole number up to which all have a double of their own.
    let fits = power > 0 && (0.0..=9_007_199_254_740_992.0).contains(&bytes);
    if fits { Ok(bytes as u64) } else { Err(expected()) }
}

/// What an option that takes a text got: the text, or all of standard input for `-`, without the newline at its end.
pub(super) fn text_or_input(text: &str) -> stepladder::Result<String> {
    if text != "-" {
        return Ok(text.to_owned());
    }
    let text = std::io::read_to_string(std::io::stdin().lock())
        .map_err(|source| stepladder::Error::read("standard input", source))?;
    let whole = text.strip_suffix('\n').unwrap_or(&text);
    Ok(whole.strip_suffix('\r').unwrap_or(whole).to_owned())
}

fn number(text: &str, range: &str, fits: impl Fn(f64) -> bool) -> Result<f64, String> {
    let value = text.parse().ok().filter(|value: &f64| value.is_finite() && fits(*value));
    value.ok_or_else(|| format!("expected a number {range}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_held_to_their_range() {
        assert_eq!(non_negative("0"), Ok(0.0));
        assert_eq!(positive("1e-4"), Ok(1e-4));
        assert_eq!(share("1"), Ok(1.0));
        for text in ["-1", "nan", "inf", "", "1x"] {
            assert!(non_negative(text).is_err(), "{text}");
        }
        assert!(positive("0").is_err());
        assert!(positive_share("0").is_err() && share("1.01").is_err());
    }

    #[test]
    fn bytes_have_units() {
        for (text, bytes) in [
            ("0", 0),
            ("1500000", 1_500_000),
            ("18446744073709551615", u64::MAX),
            ("100MB", 100_000_000),
            ("100 mb", 100_000_000),
            ("1.5G", 1_500_000_000),
            ("2GiB", 2 << 30),
            ("64KiB", 65_536),
            ("3b", 3),
        ] {
            assert_eq!(byte_count(text), Ok(bytes), "{text}");
        }
        for text in ["", "MB", "1.5", "-1", "-1MB", "1XB", "1iB", "infMB", "nanGB", "1e99GB", "1 M B"] {
            assert!(byte_count(text).is_err(), "{text}");
        }
    }

    #[test]
    fn options_split_at_the_first_equals_sign() {
        assert_eq!(name_value("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(name_value("a").is_err());
    }
}
