//! What a run says of itself to workers: what they must have to draw the same.

use serde::{Deserialize, Serialize};

use crate::ladder::base::first_difference;
use crate::train::fingerprint::{Base, sha256};
use crate::train::resume::words;

/// The form of announcements.
const FORM: u32 = 1;
/// What a base says about the wording of prompts, which come to workers as tokens.
const WORDING: [&str; 2] = ["prompt style", "chat_template"];

/// What completions depend on beside adapter and request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Announcement {
    v: u32,
    /// Version of the program.
    version: String,
    /// The model as its user named it; the same weights elsewhere are the same.
    pub model: String,
    /// The device that trains, in words.
    pub device: String,
    base: Base,
}

impl Announcement {
    /// Of this version of the program, a model by its name and on its base, and a device in words.
    pub fn new(model: &str, device: &str, base: &Base) -> Self {
        // The context that was asked for is among what the model computes as the one that it has.
        let mut base = Base { context: None, ..base.clone() };
        for name in WORDING {
            base.model.shift_remove(name);
        }
        let (model, device) = (model.to_owned(), device.to_owned());
        Self { v: FORM, version: env!("CARGO_PKG_VERSION").into(), model, device, base }
    }

    /// Hash of what must be alike: version, weights, how they are kept and computed with, tokenizer.
    pub fn hash(&self) -> String {
        let base = serde_json::to_string(&self.base).unwrap_or_default();
        sha256(format!("{}\0{}\0{base}", self.v, self.version).as_bytes())
    }

    /// Its text as it is kept on the server.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What a server keeps as one.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }

    /// What a worker with `own` has otherwise, in words, if anything.
    pub fn difference(&self, own: &Self) -> Option<String> {
        if self.v != own.v || self.version != own.version {
            let (theirs, own) = (&self.version, &own.version);
            return Some(format!("its trainer is stepladder {theirs}, and this is {own}"));
        }
        let differs = |what: &str, theirs: &str, own: &str| {
            Some(format!("{what}: its trainer has {theirs}, this worker {own}"))
        };
        if self.base.sha256 != own.base.sha256 {
            let hash = |base: &Base| base.sha256.chars().take(12).collect::<String>();
            return differs("weights of the model", &hash(&self.base), &hash(&own.base));
        }
        if self.base.weights != own.base.weights {
            let format = |base: &Base| base.weights.clone().unwrap_or_else(|| "those of the file".into());
            return differs("format of the weights", &format(&self.base), &format(&own.base));
        }
        if self.base.f16 != own.base.f16 {
            return differs("16-bit products", &self.base.f16.to_string(), &own.base.f16.to_string());
        }
        if let Some((field, theirs, own)) = first_difference(&self.base.model, &own.base.model) {
            return differs(&field, &words(&theirs), &words(&own));
        }
        (self.hash() != own.hash()).then(|| "what its model computes has other names".into())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_told() {
        let model = |eps: f64| {
            let value = serde_json::json!({ "rms_norm_eps": eps, "prompt style": "terse" });
            value.as_object().cloned().unwrap()
        };
        let base = Base { sha256: "a".repeat(64), model: model(1e-5), ..Base::default() };
        let of = |base: &Base| Announcement::new("m", "d", base);
        let own = of(&base);
        let read = Announcement::from_bytes(&own.to_bytes()).unwrap();
        assert_eq!((read.hash(), own.difference(&read)), (own.hash(), None));
        let mut worded = base.clone();
        worded.model.insert("prompt style".into(), "instruct".into());
        assert_eq!(own.difference(&of(&worded)), None);
        for (other, words) in [
            (
                Base { sha256: "b".repeat(64), ..base.clone() },
                "weights of the model: its trainer has aaaaaaaaaaaa",
            ),
            (Base { f16: true, ..base.clone() }, "16-bit products: its trainer has false"),
            (
                Base { weights: Some("q8".into()), ..base.clone() },
                "format of the weights: its trainer has those of the file",
            ),
            (Base { model: model(1e-6), ..base.clone() }, "rms_norm_eps: its trainer has "),
        ] {
            let told = own.difference(&of(&other)).unwrap();
            assert!(told.starts_with(words), "{told}");
            assert_ne!(own.hash(), of(&other).hash());
        }
        let text = String::from_utf8(own.to_bytes()).unwrap();
        let old = text.replace(env!("CARGO_PKG_VERSION"), "0.0.1");
        let old = Announcement::from_bytes(old.as_bytes()).unwrap();
        assert!(old.difference(&own).unwrap().starts_with("its trainer is stepladder 0.0.1"));
        assert!(Announcement::from_bytes(b"{}").is_err());
    }
}
