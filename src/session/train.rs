//! Supervised fine-tuning: from lines of examples to a run that is taken a step at a time.

use std::path::Path;
use std::sync::Arc;

use super::{Opened, Session};
use crate::Result;
use crate::ladder::learner::LearnerSettings;
use crate::model::lora::Layout;
use crate::train::adapter;
use crate::train::data::Dataset;
use crate::train::fit::Workload;
use crate::train::lora_config::LoraConfig;
use crate::train::peft::AdapterFile;
use crate::train::sft::{Sft, SftOptions, SftSettings, largest_pass};
use crate::train::text::ModelText;
use crate::train::trainer::Trainer;

impl Opened {
    /// Examples, JSON lines of `file`, as the model sees them; those that are longer than `max_length` tokens are cut.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) with the line at fault.
    pub fn dataset(&self, lines: &[u8], file: &Path, max_length: usize) -> Result<Dataset> {
        let text = ModelText {
            tokenizer: &self.language.tokenizer,
            chat: self.language.chat.as_ref(),
            ends: &self.config.eos_token_ids,
        };
        Dataset::from_jsonl(lines, file, &text, max_length)
    }

    /// Fails if there is no memory to train an adapter of this shape on `data`, `batch_size` examples a step.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory); [`Error::Usage`](crate::Error::Usage) for a shape that cannot be.
    pub fn check_training(&self, lora: &LoraConfig, data: &Dataset, batch_size: usize) -> Result<()> {
        let pass = largest_pass(data, batch_size, LearnerSettings::default().pack_tokens);
        let adapter = Some(self.layout(lora)?);
        self.check_memory("training", &Workload { training: Some(pass), adapter, ..Workload::default() })
    }
}

impl Session {
    /// A run of supervised steps on `examples`, JSON lines with `text`, or `prompt` and `completion`, or `messages`. It goes on
    /// from `adapter`, or from a fresh one as `options` say.
    ///
    /// ```
    /// use stepladder::session::{News, Session, SessionOptions, SftOptions};
    ///
    /// # fn main() -> stepladder::Result<()> {
    /// pollster::block_on(async {
    ///     let session = Session::open("tiny", &SessionOptions::default()).await?;
    ///     let examples = r#"{"prompt": "?2*x=", "completion": "x**2"}"#;
    ///     let options = SftOptions { steps: Some(4), held_out: 0.0, ..SftOptions::default() };
    ///     let mut run = session.train(examples, &options, None)?;
    ///     let mut losses = Vec::new();
    ///     while let Some(news) = run.next().await? {
    ///         if let News::Step(step) = news {
    ///             losses.push(step.loss);
    ///         }
    ///     }
    ///     assert!(losses.len() == 4 && losses[3] < losses[0]);
    ///     let adapter = run.adapter_file().await?;
    ///     println!("{:?}", session.score("?2*x=x**2", Some(&adapter)).await?.logprobs);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) with the line at fault; [`Error::Usage`](crate::Error::Usage) that names the setting;
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory); GPU errors.
    pub fn train(&self, examples: &str, options: &SftOptions, adapter: Option<&AdapterFile>) -> Result<Sft> {
        let opened = self.opened();
        let max_length = options.max_length.min(opened.context_length);
        let data = opened.dataset(examples.as_bytes(), Path::new("examples"), max_length)?;
        data.notes("the length limit").iter().for_each(|note| opened.warn(note));
        let settings = options.settings(opened.config.parameters(), &data)?;
        let fresh;
        let adapter = match adapter {
            Some(adapter) => adapter,
            None => {
                fresh = opened.fresh_adapter(&options.lora, options.seed)?;
                &fresh
            }
        };
        opened.check_training(&adapter.config, &data, settings.batch_size)?;
        self.supervised(adapter, &data, settings)
    }

    /// The beginning of a run of supervised steps on data that is read, with settings that are whole.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) if there are no examples; GPU errors.
    #[doc(hidden)]
    pub fn supervised(&self, adapter: &AdapterFile, data: &Dataset, settings: SftSettings) -> Result<Sft> {
        let layout: Layout = self.opened().layout(&adapter.config)?;
        let model = Arc::clone(self.model());
        let mut trainer = Trainer::new(model, &layout, LearnerSettings::default().pack_tokens)?;
        trainer.set_cancel(Arc::clone(&self.opened().cancel));
        trainer.write_adapter(&adapter::flatten(&layout, adapter)?)?;
        Sft::new(trainer, adapter.config.clone(), data, settings)
    }
}
