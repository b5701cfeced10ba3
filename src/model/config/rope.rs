//! RoPE's fields of a `config.json`: `rope_theta` with `rope_scaling` (transformers 4), `rope_parameters` (transformers 5),
//! and both in one file.

use super::fields::{Fields, Harmless};
use serde_json::{Map, Value};

use super::{LocalRope, LongRope, Rope, RopeScaling, Yarn};
use crate::Result;
use crate::model::family::{Family, window};

/// The key of transformers 5, which a family may have a default for; transformers takes that only where there is no `rope_scaling`.
pub const PARAMETERS: &str = "rope_parameters";

/// What changes nothing in the scalings that are known.
const HARMLESS: &[Harmless] = &[
    Harmless { reason: "says that the model was trained with the scaling", names: &["finetuned"] },
    Harmless { reason: "says again what stands outside", names: &["max_position_embeddings"] },
];

/// The RoPE of a model's layers.
pub struct Ropes {
    /// Of all, or of all but those below.
    pub rope: Rope,
    /// Of those with a sliding window, in families where it is another, and of those without RoPE.
    pub local: Option<LocalRope>,
}

/// Reads RoPE of a model of `family`.
///
/// # Errors
/// `Input` for anything missing, contradictory or unsupported.
pub fn ropes(fields: &Fields<'_>, family: &Family) -> Result<Ropes> {
    match family.local_theta {
        Some((local_key, local_theta)) => {
            let [rope, local] = by_kind(fields, family, local_key, [family.rope_theta, local_theta])?;
            let layers = window::alternate(fields, family)?;
            Ok(Ropes { rope, local: Some(LocalRope { rope: Some(local), layers }) })
        }
        None => Ok(Ropes { rope: rope(fields, family)?, local: unrotated(fields, family)? }),
    }
}

/// The layers without RoPE: those for which `no_rope_layers`, whose name says the contrary, has 0; without it each
/// `no_rope_layer_interval`-th.
fn unrotated(fields: &Fields<'_>, family: &Family) -> Result<Option<LocalRope>> {
    let Some(absent) = family.unrotated_every else { return Ok(None) };
    let count = fields.required_count("num_hidden_layers")?;
    let every = fields.count("no_rope_layer_interval")?.unwrap_or(absent);
    let layers = match fields.get("no_rope_layers") {
        None if every == 0 => {
            return Err(fields.error("no_rope_layer_interval", "is 0", "take the original config.json"));
        }
        None => each(every, count),
        Some(value) => {
            let flags = value.as_array().map(Vec::as_slice).unwrap_or_default();
            let flag = |value: &Value| value.as_bool().or_else(|| value.as_u64().map(|number| number != 0));
            let flags: Option<Vec<bool>> = flags.iter().map(|value| Some(!flag(value)?)).collect();
            flags.filter(|flags| flags.len() == count).ok_or_else(|| {
                let problem = format!("is no list of 0 and 1 for {count} layers");
                fields.error("no_rope_layers", problem, "take the original config.json")
            })?
        }
    };
    Ok(none_in(layers))
}

/// Whether each of `count` layers is an `every`-th one.
pub(super) fn each(every: usize, count: usize) -> Vec<bool> {
    (1..=count).map(|number| number.is_multiple_of(every)).collect()
}

/// No RoPE in these layers.
pub(super) fn none_in(layers: Vec<bool>) -> Option<LocalRope> {
    layers.contains(&true).then_some(LocalRope { rope: None, layers })
}

/// RoPE of both kinds of layers, as transformers 5 (`rope_parameters` with an object for each kind) and 4 have it: there
/// `rope_scaling` is of layers that see everything, and the others have the base that `local_key` says and no scaling.
fn by_kind(fields: &Fields<'_>, family: &Family, local_key: &str, absent: [f64; 2]) -> Result<[Rope; 2]> {
    const KINDS: [&str; 2] = ["full_attention", "sliding_attention"];
    let outer = [fields.number("rope_theta")?, fields.number(local_key)?];
    let parameters = fields.object(PARAMETERS)?.filter(|map| !map.is_empty());
    let legacy = fields.object("rope_scaling")?.filter(|map| !map.is_empty());
    // Read even if it is not used, for fields that are outside of both.
    fields.count("original_max_position_embeddings")?;
    let Some(map) = parameters else {
        let base =
            |kind: usize| Rope { theta: outer[kind].unwrap_or(absent[kind]), scaling: RopeScaling::None };
        let scaled = |map| {
            read_one(fields, &Fields::new(fields.file, "rope_scaling.", map), family, outer[0], absent[0])
        };
        return Ok([legacy.map_or_else(|| Ok(base(0)), scaled)?, base(1)]);
    };
    if legacy.is_some() {
        let problem = "stands beside rope_parameters, of which it would change a part";
        return Err(fields.error(
            "rope_scaling",
            problem,
            "put everything into rope_parameters and remove it",
        ));
    }
    let inner = Fields::new(fields.file, "rope_parameters.", map);
    let empty = Map::<String, Value>::new();
    let prefixes = KINDS.map(|kind| format!("rope_parameters.{kind}."));
    let read = |kind: usize| {
        let map = inner.object(KINDS[kind])?.unwrap_or(&empty);
        let rope = read_one(
            fields,
            &Fields::new(fields.file, &prefixes[kind], map),
            family,
            outer[kind],
            absent[kind],
        )?;
        match rope.scaling {
            RopeScaling::Yarn(Yarn { truncate: false, .. }) => {
                let problem = "false counts for nothing below the kind of a layer in transformers";
                Err(fields.error(&format!("{}truncate", prefixes[kind]), problem, "remove it"))
            }
            _ => Ok(rope),
        }
    };
    let ropes = [read(0)?, read(1)?];
    // A base outside of both kinds would be passed over.
    inner.finish(&[])?;
    Ok(ropes)
}

/// Reads RoPE's base and scaling.
///
/// Where `rope_scaling` and `rope_parameters` are both there, `rope_scaling` takes the place of the other, as in
/// transformers 5.24 (`RotaryEmbeddingConfigMixin.convert_rope_params_to_dict`). Where that would lose the base, which
/// nobody can want, it is an error.
///
/// # Errors
/// `Input` for anything missing, contradictory or unsupported.
fn rope(fields: &Fields<'_>, family: &Family) -> Result<Rope> {
    let absent = family.rope_theta;
    let outer_theta = fields.number("rope_theta")?;
    let parameters = fields.object(PARAMETERS)?.filter(|map| !map.is_empty());
    let legacy = fields.object("rope_scaling")?.filter(|map| !map.is_empty());
    let read =
        |prefix, map| read_one(fields, &Fields::new(fields.file, prefix, map), family, outer_theta, absent);
    let parameters = parameters.map(|map| read("rope_parameters.", map)).transpose()?;
    let Some(map) = legacy else {
        // Read even if it is not used, for fields that are outside of both.
        fields.count("original_max_position_embeddings")?;
        let none = Rope { theta: outer_theta.unwrap_or(absent), scaling: RopeScaling::None };
        return Ok(parameters.unwrap_or(none));
    };
    let rope = read("rope_scaling.", map)?;
    if let Some(parameters) = parameters
        && parameters.theta != rope.theta
    {
        let problem = format!("has no rope_theta, and rope_parameters has {}", parameters.theta);
        let hint = "put everything into rope_parameters and remove rope_scaling";
        return Err(fields.error("rope_scaling", problem, hint));
    }
    Ok(rope)
}

/// One of the two objects; `absent` is the base where the file does not say.
fn read_one(
    fields: &Fields<'_>,
    inner: &Fields<'_>,
    family: &Family,
    outer_theta: Option<f64>,
    absent: f64,
) -> Result<Rope> {
    let inner_theta = inner.number("rope_theta")?;
    if let (Some(inner_value), Some(outer_value)) = (inner_theta, outer_theta)
        && inner_value != outer_value
    {
        let problem = format!("{inner_value} contradicts the outer rope_theta {outer_value}");
        return Err(inner.error("rope_theta", problem, "remove the wrong one"));
    }
    // Read by [`evenly_tempered`].
    inner.number("llama_4_scaling_beta")?;
    if inner.number(PARTIAL)?.is_some_and(|factor| factor != 1.0) && !family.partial_rope {
        let problem = "partial RoPE is not supported";
        return Err(inner.error(PARTIAL, problem, "use another model"));
    }
    let scaling = match kind(inner)? {
        "longrope" => RopeScaling::LongRope(longrope(fields, inner)?),
        // What earlier files of Phi called it.
        "su" | "yarn" if family.partial_rope => RopeScaling::LongRope(longrope(fields, inner)?),
        "default" => {
            // Left over from a scaling that was switched off.
            inner.get("original_max_position_embeddings");
            if inner.number("factor")?.is_some_and(|factor| factor != 1.0) {
                let problem = "is given, but the type does not scale";
                return Err(inner.error(
                    "factor",
                    problem,
                    "write the rope_type that is meant, or remove it",
                ));
            }
            RopeScaling::None
        }
        "linear" => {
            inner.get("original_max_position_embeddings");
            RopeScaling::Linear { factor: inner.required_number("factor")? }
        }
        "llama3" => RopeScaling::Llama3 {
            factor: inner.required_number("factor")?,
            low_freq_factor: inner.required_number("low_freq_factor")?,
            high_freq_factor: inner.required_number("high_freq_factor")?,
            original_max_position_embeddings: original_length(fields, inner)?,
        },
        "dynamic" => {
            // The longest sequence is the outer one's, and up to that nothing is scaled.
            inner.get("original_max_position_embeddings");
            RopeScaling::Dynamic { factor: inner.required_number("factor")? }
        }
        "yarn" => RopeScaling::Yarn(yarn(fields, inner)?),
        other => {
            let problem = format!("RoPE scaling {other:?} is not supported");
            let hint = "known are default, linear, dynamic, llama3, yarn and longrope";
            return Err(inner.error("rope_type", problem, hint));
        }
    };
    inner.finish(HARMLESS)?;
    Ok(Rope { theta: inner_theta.or(outer_theta).unwrap_or(absent), scaling })
}

/// The key of the part of each head that turns.
const PARTIAL: &str = "partial_rotary_factor";

/// Values of a head of `head_dim` that turn, its first ones: all, where the family does not know a part.
///
/// # Errors
/// `Input` for a part that is none, or two that are not one.
pub fn turned(fields: &Fields<'_>, family: &Family, head_dim: usize) -> Result<usize> {
    if !family.partial_rope {
        return Ok(head_dim);
    }
    let outer = fields.number(PARTIAL)?;
    let map = fields.object("rope_scaling")?.filter(|map| !map.is_empty()).or(fields.object(PARAMETERS)?);
    let inner = map.and_then(|map| map.get(PARTIAL)).and_then(Value::as_f64);
    match inner.or(outer).unwrap_or(1.0) {
        factor if outer.is_some_and(|outer| outer != factor) => {
            let problem = format!("contradicts {factor} of RoPE's parameters");
            Err(fields.error(PARTIAL, problem, "remove the wrong one"))
        }
        factor if factor > 0.0 && factor <= 1.0 => Ok((head_dim as f64 * factor) as usize),
        _ => Err(fields.error(PARTIAL, "must be above 0 and at most 1", "take the original config.json")),
    }
}

/// LongRoPE as transformers reads it: the lists, and a factor of queries and keys by how much longer the longest context is.
fn longrope(fields: &Fields<'_>, inner: &Fields<'_>) -> Result<LongRope> {
    let (original, longest) =
        (original_length(fields, inner)?, fields.required_count("max_position_embeddings")?);
    let factor = inner.number("factor")?.unwrap_or(longest as f64 / original as f64);
    let list = |name: &str| {
        let numbers = inner.get(name).and_then(Value::as_array);
        let numbers = numbers.map(|list| list.iter().map(|number| Some(number.as_f64()? as f32)).collect());
        let problem = "must be a list of numbers";
        numbers.flatten().ok_or_else(|| inner.error(name, problem, "take the original config.json"))
    };
    let attention_factor =
        inner.number("attention_factor")?.unwrap_or_else(|| LongRope::magnitude(factor, original));
    Ok(LongRope {
        short: list("short_factor")?,
        long: list("long_factor")?,
        original,
        longest,
        attention_factor,
    })
}

/// YaRN as transformers reads it: a factor of null is what the longest sequence is of the original one, and 0 stands for the usual number
/// of turns and for no `mscale`.
fn yarn(fields: &Fields<'_>, inner: &Fields<'_>) -> Result<Yarn> {
    let original = original_length(fields, inner)?;
    let factor = match inner.number("factor")? {
        Some(factor) => factor,
        None => fields.required_count("max_position_embeddings")? as f64 / original as f64,
    };
    let given = |name: &str| Ok(inner.number(name)?.filter(|&number| number != 0.0));
    let attention_factor =
        match (inner.number("attention_factor")?, given("mscale")?, given("mscale_all_dim")?) {
            (Some(factor), ..) => factor,
            (None, Some(scale), Some(all)) => Yarn::magnitude(factor, scale) / Yarn::magnitude(factor, all),
            (None, ..) => Yarn::magnitude(factor, 1.0),
        };
    Ok(Yarn {
        factor,
        original,
        beta_fast: given("beta_fast")?.unwrap_or(32.0),
        beta_slow: given("beta_slow")?.unwrap_or(1.0),
        truncate: !inner.has("truncate") || inner.flag("truncate")?,
        attention_factor,
    })
}

/// The longest sequence of which each query has the same temperature: beyond the original context Ministral multiplies queries with
/// 1 + beta·ln(1 + ⌊position / original⌋), which is not done here.
///
/// # Errors
/// `Input` if the file says it of a scaling without an original context.
pub fn evenly_tempered(fields: &Fields<'_>, rope: &Rope) -> Result<Option<usize>> {
    let Some(map) = fields.object(PARAMETERS)?.or(fields.object("rope_scaling")?) else {
        return Ok(None);
    };
    let name = "llama_4_scaling_beta";
    match (map.get(name).and_then(Value::as_f64), &rope.scaling) {
        (None | Some(0.0), _) => Ok(None),
        (Some(_), RopeScaling::Yarn(yarn)) => Ok(Some(yarn.original)),
        (Some(_), _) => {
            Err(fields.error(name, "is only supported with yarn", "take the original config.json"))
        }
    }
}

/// `rope_type`, or `type` as it was called before.
fn kind<'a>(inner: &Fields<'a>) -> Result<&'a str> {
    match (inner.text("rope_type")?, inner.text("type")?) {
        (Some(kind), Some(old)) if kind != old => {
            let problem = format!("{kind:?} contradicts type {old:?}");
            Err(inner.error("rope_type", problem, "remove the wrong one"))
        }
        (kind, old) => Ok(kind.or(old).unwrap_or("default")),
    }
}

/// Llama 3's original context, inside or outside of the object; the longest sequence where a file does not say.
fn original_length(fields: &Fields<'_>, inner: &Fields<'_>) -> Result<usize> {
    let name = "original_max_position_embeddings";
    match (inner.count(name)?, fields.count(name)?) {
        (Some(length), Some(outer)) if length != outer => {
            let problem = format!("{length} contradicts the outer {name} {outer}");
            Err(inner.error(name, problem, "remove the wrong one"))
        }
        (Some(length), _) | (None, Some(length)) => Ok(length),
        (None, None) => fields.required_count("max_position_embeddings"),
    }
}
