//! A model that is ready to work: opened, put on the GPU, asked, taught. The command line and the package stand on it, and so may
//! a Rust program of one's own.
//!
//! What waits for the GPU is `async` and takes any executor. This one continues a prompt and scores a text:
//!
//! ```
//! use stepladder::session::{Sampling, Session, SessionOptions};
//!
//! # fn main() -> stepladder::Result<()> {
//! pollster::block_on(async {
//!     let session = Session::open("tiny", &SessionOptions::default()).await?;
//!     let sampling = Sampling { max_tokens: 24, temperature: 0.0, ..Sampling::default() };
//!     let request = session.request("?x**2=", sampling)?;
//!     let answers = session.generate(&request, None, &mut |piece| Ok(print!("{}", piece.text))).await?;
//!     assert!(!answers[0].text.is_empty() && answers[0].tokens.len() <= 24);
//!
//!     let score = session.score("?x**2=x**3/3", None).await?;
//!     assert_eq!(score.logprobs.len(), score.tokens.len() - 1);
//!     assert!(score.logprobs.iter().all(|logprob| *logprob <= 0.0));
//!     Ok(())
//! })
//! # }
//! ```
//!
//! [`Session::train`] teaches examples, and [`Session::ladder`] lets the model teach itself what a [`Task`] can judge. Both give an
//! [`AdapterFile`], which other calls take, and which [`write_adapter`] writes in PEFT's layout.

#[cfg(not(target_arch = "wasm32"))]
mod formed;
mod ladder;
mod opened;
mod text;
mod train;

use std::sync::Arc;

pub use ladder::Learnt;
#[doc(hidden)]
pub use ladder::suiting_preset;
#[doc(hidden)]
pub use opened::Opened;
pub use opened::SessionOptions;
pub use text::{OnText, Piece, Scored};

#[doc(inline)]
pub use crate::gpu::GpuOptions;
#[doc(inline)]
pub use crate::kernel::weight::Format;
#[doc(inline)]
pub use crate::ladder::events::{Event, EventSink};
#[doc(inline)]
pub use crate::ladder::presets::Preset;
#[doc(inline)]
pub use crate::ladder::settings::Settings;
#[doc(inline)]
pub use crate::model::chat::Message;
#[doc(inline)]
pub use crate::model::generate::{Completion, Request, Sampling};
#[cfg(not(target_arch = "wasm32"))]
#[doc(inline)]
pub use crate::model::guide::Form;
pub use crate::task::Task;
#[cfg(not(target_arch = "wasm32"))]
#[doc(inline)]
pub use crate::train::files::write_adapter;
#[doc(inline)]
pub use crate::train::peft::AdapterFile;
#[doc(inline)]
pub use crate::train::sft::{News, Sft, SftOptions, SftStep};

use crate::Result;
use crate::model::Model;
use crate::model::generate::Generator;
use crate::train::adapter;

/// A model on the GPU, with its tokenizer and chat template.
pub struct Session {
    opened: Opened,
    model: Arc<Model>,
}

impl Session {
    /// Opens a model and a device, and puts the model on it: `tiny` (built in), a Hugging Face folder, a `.gguf` file, or
    /// `hf:OWNER/NAME[@REV]`, which is downloaded where it is not at hand.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) if `model` names nothing; [`Error::Input`](crate::Error::Input) for files that are
    /// damaged or contradict each other; those of downloading and of the GPU.
    #[cfg(not(target_arch = "wasm32"))]
    pub async fn open(model: &str, options: &SessionOptions) -> Result<Self> {
        let files = crate::model::open::open(model)?;
        files.warnings.iter().for_each(|warning| (options.warn)(warning));
        let gpu = Arc::new(crate::gpu::Gpu::open(&options.gpu).await?);
        let opened = Opened::new(files, gpu, options);
        opened.check_memory(model, &Default::default())?;
        opened.load(&mut |_, _| true)
    }

    /// One completion of a text as it stands; more by [`Request::samples`].
    ///
    /// # Errors
    /// The tokenizer's.
    pub fn request(&self, prompt: &str, sampling: Sampling) -> Result<Request> {
        self.opened.request(prompt, sampling)
    }

    /// One answer in a conversation, by the model's chat template.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) if the model has no chat template; those of the template and the tokenizer.
    pub fn chat_request(&self, messages: &[Message], sampling: Sampling) -> Result<Request> {
        self.opened.chat_request(messages, sampling)
    }

    /// An adapter in a PEFT folder, to go on from or to speak with.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) for one that is damaged or of another model; those of reading.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read_adapter(&self, folder: &std::path::Path) -> Result<AdapterFile> {
        self.opened.read_adapter(folder)
    }

    /// What there was before the weights were read, and still is: names, sizes, tokenizer, files.
    #[doc(hidden)]
    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    /// The weights on the GPU.
    #[doc(hidden)]
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// A generator of at most `rows` completions at a time, with an adapter or without.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) if the adapter is not one of this model; GPU errors.
    #[doc(hidden)]
    pub fn generator(&self, adapter: Option<&AdapterFile>, rows: usize) -> Result<Generator> {
        let (gpu, config) = (self.model.gpu(), self.model.config());
        let lora = adapter.map(|file| adapter::upload(gpu, config, file)).transpose()?;
        let mut generator = Generator::new(Arc::clone(&self.model), lora.as_ref(), rows);
        generator.set_cancel(Arc::clone(&self.opened.cancel));
        Ok(generator)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Session").field("opened", &self.opened).finish()
    }
}
