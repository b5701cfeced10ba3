//! What a user asks of supervised training, by the rows of [`SFT`].

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::settings::{
    BATCH_SIZE, EPOCH_STEPS, EPOCH_TOKENS, EPOCHS, PATIENCE, STEPS_PER_WARMUP, SftSettings, learning_rate,
};
use super::split::Split;
use crate::settings::{Change, PROGRAM, SFT, Shell, Table, Tabled, expect_one_value, put};
use crate::train::data::Dataset;
use crate::train::lora_config::LoraConfig;
use crate::train::resume::{Owner, change};
use crate::train::schedule::ScheduleKind;
use crate::train::trainer::Optimizer;
use crate::{Error, Result};

/// What a user asks for; what is `None` follows from the model and the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SftOptions {
    /// See [`SftSettings::steps`].
    pub steps: Option<u64>,
    /// See [`SftSettings::epochs`].
    pub epochs: Option<u64>,
    /// See [`SftSettings::batch_size`].
    pub batch_size: Option<usize>,
    /// See [`SftSettings::learning_rate`].
    pub learning_rate: Option<f64>,
    /// See [`SftSettings::schedule`].
    pub schedule: ScheduleKind,
    /// See [`SftSettings::warmup_steps`].
    pub warmup_steps: Option<u64>,
    /// See [`SftSettings::patience`].
    pub patience: Option<u64>,
    /// See [`SftSettings::held_out`].
    pub held_out: f64,
    /// See [`SftSettings::max_length`].
    pub max_length: usize,
    /// See [`SftSettings::shuffle`].
    pub shuffle: bool,
    /// See [`SftSettings::seed`].
    pub seed: u64,
    /// See [`SftSettings::optimizer`].
    pub optimizer: Optimizer,
    /// The adapter of a run that goes on from none.
    pub lora: LoraConfig,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
}

/// A user of the program who says nothing.
impl Default for SftOptions {
    fn default() -> Self {
        Self::of(PROGRAM)
    }
}

impl SftOptions {
    /// A user of `shell` who says nothing.
    pub fn of(shell: Shell) -> Self {
        Self {
            steps: None,
            epochs: None,
            batch_size: None,
            learning_rate: None,
            schedule: ScheduleKind::Cosine,
            warmup_steps: None,
            patience: None,
            held_out: 0.1,
            max_length: 512,
            shuffle: true,
            seed: 0,
            optimizer: Optimizer::default(),
            lora: SftSettings::adapter(),
            checkpoint_every: shell.checkpoint_every,
        }
    }
}

impl Tabled for SftOptions {
    const TABLE: Table = SFT;

    fn set_value(&mut self, path: &str, value: Value) -> Result<()> {
        SFT.find(path)?.check(&value)?;
        *self = put(self, path, value, false)?;
        Ok(())
    }
}

impl SftOptions {
    /// What `changes` ask for.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the change: for a path that no setting has, a value that does not fit its row, and a setting that
    /// gets two values.
    pub fn with(mut self, changes: &[Change]) -> Result<Self> {
        expect_one_value(SFT, changes)?;
        changes.iter().try_for_each(|change| change.make(&mut self))?;
        Ok(self)
    }

    /// Changes what defines a run that goes on, as JSON with the fields `settings`, `lora` and `checkpoint_every`, or an adapter that
    /// training goes on from, as JSON with the field `lora`.
    ///
    /// # Errors
    /// As [`SftOptions::with`]; [`Error::Usage`] for a change of what may not change.
    pub fn change(owner: Owner<'_>, changes: &[Change], has: &mut Value) -> Result<()> {
        let asked = serde_json::to_value(Self::default().with(changes)?)
            .map_err(|error| Error::usage("settings", error.to_string(), "report this"))?;
        change(owner, SFT, changes, &asked, place, has)
    }

    /// The settings of a run on a model of so many parameters and on `data`, of which a part is held out.
    ///
    /// # Errors
    /// [`Error::Usage`] if the run is to wait for a held-out loss that there is none of.
    pub fn settings(&self, parameters: u64, data: &Dataset) -> Result<SftSettings> {
        let split = Split::new(data, self.held_out, self.seed);
        let learnt = || split.learnt.iter().map(|&index| &data.examples[index]);
        let tokens = learnt().map(|example| example.scored_tokens()).sum();
        let mut settings = SftSettings::for_model_and_data(self, parameters, learnt().count(), tokens);
        if split.held_out.is_empty() {
            if let Some(patience) = self.patience.filter(|&patience| patience > 0) {
                let problem = format!("is {patience}, but no examples are held out whose loss could tell");
                return Err(Error::usage(
                    "patience",
                    problem,
                    "leave it out, or hold out a share of ten examples or more",
                ));
            }
            settings.patience = 0;
        }
        Ok(settings)
    }
}

impl SftSettings {
    /// What is taken where a user says nothing, for a model of so many parameters and so many examples to learn with so many
    /// scored tokens; what was asked for is taken as it is.
    pub fn for_model_and_data(
        asked: &SftOptions,
        parameters: u64,
        examples: usize,
        scored_tokens: usize,
    ) -> Self {
        let batch_size = asked.batch_size.unwrap_or((examples / EPOCH_STEPS).clamp(1, BATCH_SIZE));
        let epochs = asked.epochs.unwrap_or((EPOCH_TOKENS / (scored_tokens as u64).max(1)).clamp(1, EPOCHS));
        let mut settings = Self {
            steps: asked.steps,
            epochs,
            batch_size,
            max_length: asked.max_length,
            shuffle: asked.shuffle,
            seed: asked.seed,
            learning_rate: asked.learning_rate.unwrap_or_else(|| learning_rate(parameters)),
            schedule: asked.schedule,
            warmup_steps: 0,
            optimizer: asked.optimizer,
            held_out: asked.held_out,
            patience: asked.patience.unwrap_or(if examples >= PATIENCE.0 { PATIENCE.1 } else { 0 }),
        };
        settings.warmup_steps = asked.warmup_steps.unwrap_or(settings.steps_for(examples) / STEPS_PER_WARMUP);
        settings
    }
}

/// Where what defines a run has the value at a path, as a JSON pointer.
fn place(path: &str) -> String {
    let within = !path.starts_with("lora.") && path != "checkpoint_every";
    format!("{}/{}", if within { "/settings" } else { "" }, path.replace('.', "/"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::module::Module;
    use crate::settings::at;

    const RUN: Owner<'static> = Owner { name: "the run", hint: "leave it out" };

    fn changes(list: &[(&str, &str)]) -> Vec<Change> {
        list.iter().map(|&(path, text)| Change::new(path, path, text.into())).collect()
    }

    fn with(list: &[(&str, &str)]) -> Result<SftOptions, String> {
        SftOptions::default().with(&changes(list)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_rows_are_what_there_is() {
        let options = serde_json::to_value(SftOptions::default()).unwrap();
        for row in SFT.rows {
            let value = at(&options, row.path).unwrap_or_else(|| panic!("{} has no field", row.path));
            row.check(value).unwrap();
            assert_eq!(value.is_null(), row.nullable, "{}", row.path);
        }
        // A fresh adapter is like all its modules, without dropout.
        let unsaid = ["lora.dropout"];
        let (mut fields, mut found) = (vec![(String::new(), &options)], 0);
        while let Some((prefix, value)) = fields.pop() {
            match value {
                Value::Object(inner) => fields.extend(inner.iter().map(|(name, value)| {
                    (if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") }, value)
                })),
                _ if unsaid.contains(&prefix.as_str()) => {}
                _ => found += usize::from(SFT.find(&prefix).unwrap().path == prefix),
            }
        }
        assert_eq!(found, SFT.rows.len());
        let names = Module::ALL.map(|module| Value::from(module.hf_name()));
        SFT.find("lora.targets").unwrap().check(&Value::from(names.to_vec())).unwrap();
    }

    #[test]
    fn every_row_is_set_by_its_path() {
        let options = with(&[
            ("steps", "7"),
            ("batch_size", "2"),
            ("learning_rate", ".5"),
            ("schedule", "linear"),
            ("held_out", "0"),
            ("optimizer.beta2", "0.95"),
            ("lora.rank", "4"),
            ("lora.targets", "q_proj,v_proj"),
            ("lora.rslora", "true"),
            ("shuffle", "false"),
            ("epochs", "null"),
        ])
        .unwrap();
        assert_eq!((options.steps, options.batch_size, options.learning_rate), (Some(7), Some(2), Some(0.5)));
        assert_eq!((options.schedule, options.held_out, options.epochs), (ScheduleKind::Linear, 0.0, None));
        assert_eq!((options.optimizer.beta2, options.lora.rank, options.shuffle), (0.95, 4, false));
        assert_eq!(options.lora.targets, [Module::Q, Module::V].into());
        assert!(options.lora.rslora);
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (path, text, words) in [
            ("steps", "0", "is 0; give a whole number from 1 up, or null"),
            ("learning_rate", "0", "give a number above 0"),
            ("learning_rate", "1e39", "above 0 that fits 32-bit floats"),
            ("held_out", "1", "from 0 to below 1"),
            ("held_out", "null", "is not a finite number"),
            ("schedule", "cos", "give constant, linear or cosine"),
            ("lora.targets", "q_proj,head", "a list of q_proj"),
            ("lora.dropout", "0.1", "there is no such setting"),
            ("rank", "4", "did you mean lora.rank?"),
            ("max_length", "1", "from 2 up"),
        ] {
            let error = with(&[(path, text)]).unwrap_err();
            assert!(error.starts_with(&format!("{path}: ")) && error.contains(words), "{error}");
        }
        let both = with(&[("steps", "3"), ("epochs", "1")]).unwrap_err();
        assert_eq!(both, "epochs: is 1, but steps is 3 in the same call; give one of them");
        assert!(with(&[("lora.rank", "3"), ("lora.rank", "4")]).is_err());
    }

    #[test]
    fn a_run_that_goes_on_takes_what_may_change() {
        let kept = json!({
            "settings": {
                "learning_rate": 0.1, "seed": 1, "shuffle": true, "steps": 9, "epochs": 4, "batch_size": 2,
                "optimizer": {"beta1": 0.9, "weight_decay": 0.0},
            },
            "lora": {"rank": 8, "alpha": 32.0},
            "checkpoint_every": null,
        });
        let hold = |list: &[(&str, &str)]| {
            let mut has = kept.clone();
            SftOptions::change(RUN, &changes(list), &mut has).map(|()| has).map_err(|error| error.to_string())
        };
        assert_eq!(hold(&[]).unwrap(), kept);
        let taken = hold(&[
            ("learning_rate", "0.2"),
            ("lora.rank", "8"),
            ("checkpoint_every", "7"),
            ("optimizer.weight_decay", "0.5"),
            ("batch_size", "null"),
        ])
        .unwrap();
        let settings = &taken["settings"];
        assert_eq!((&settings["learning_rate"], &taken["checkpoint_every"]), (&json!(0.2), &json!(7)));
        assert_eq!(
            (&settings["optimizer"]["weight_decay"], &settings["batch_size"]),
            (&json!(0.5), &json!(2))
        );
        // Epochs end what so many steps were to end, even if they are as many as ever.
        let epochs = hold(&[("epochs", "4")]).unwrap();
        assert_eq!((&epochs["settings"]["steps"], &epochs["settings"]["epochs"]), (&Value::Null, &json!(4)));
        assert_eq!(hold(&[("steps", "12")]).unwrap()["settings"]["steps"], 12);
        for (path, text, words) in [
            ("seed", "2", "seed: is 2, but the run has 1; leave it out"),
            ("shuffle", "false", "shuffle: is false, but the run has true"),
            ("optimizer.beta1", "0.5", "optimizer.beta1: is 0.5, but the run has 0.9"),
            ("lora.rank", "4", "lora.rank: is 4, but the run has 8"),
        ] {
            let error = hold(&[(path, text)]).unwrap_err();
            assert!(error.starts_with(words), "{error}");
        }
    }
}
