//! LADDER: a model that teaches itself what a task can judge.

use std::sync::Arc;

use web_time::Instant;

use super::{Opened, Session};
use crate::Result;
use crate::ladder::events::EventSink;
use crate::ladder::learner::{Language, Learner, LearnerSettings};
use crate::ladder::presets::Preset;
use crate::ladder::run::{self, Outcome, RunCard};
use crate::ladder::settings::Settings;
use crate::ladder::state::{Host, MemoryStore};
use crate::model::module::Module;
use crate::task::{Origin, Problem, Task, TaskOptions, check_problems};
use crate::train::lora_config::LoraConfig;
use crate::train::peft::AdapterFile;

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Learnt {
    /// The last event, and the tree of problems.
    pub outcome: Outcome,
    /// What was learnt.
    pub adapter: AdapterFile,
}

/// The embedded model's name; the model itself is not a part of every build.
const TINY: &str = "tiny";

/// The preset that suits a model and a device if none is asked for.
///
/// # Errors
/// Those of finding out about the device.
pub fn suiting_preset(model: &str, is_software: impl FnOnce() -> Result<bool>) -> Result<Preset> {
    Ok(match model {
        TINY => Preset::Tiny,
        _ if is_software()? => Preset::Software,
        _ => Preset::Small,
    })
}

impl Opened {
    /// The preset that suits the model and the device if none is asked for.
    pub fn preset(&self) -> Preset {
        suiting_preset(&self.name, || Ok(self.gpu.is_software())).unwrap_or(Preset::Small)
    }

    /// Fails, with what is wrong, if a run with an adapter of the shape `lora` cannot begin; answers the wording of its prompts.
    ///
    /// # Errors
    /// [`Error::Context`](crate::Error::Context), [`Error::OutOfMemory`](crate::Error::OutOfMemory),
    /// [`Error::Usage`](crate::Error::Usage) that names the setting.
    pub fn check_run(
        &self,
        what: &str,
        settings: &Settings,
        task: &dyn Task,
        problems: [&[Problem]; 2],
        lora: &LoraConfig,
    ) -> Result<Arc<Language>> {
        let (layout, language) = (self.layout(lora)?, self.worded(settings.prompt_style));
        let learner = LearnerSettings::default();
        let workload =
            learner.run(settings, &language, task, problems, layout, (&self.config, self.context_length))?;
        self.check_memory(what, &workload)?;
        Ok(language)
    }

    /// Says so if the vocabulary lacks characters of problems.
    pub fn tell_lacking_of(&self, problems: [&[Problem]; 2]) {
        self.tell_lacking(problems.into_iter().flatten().map(|problem| problem.problem.as_str()));
    }
}

impl Session {
    /// Runs LADDER on `problems` of a task, measured on those that are `held_out`; it goes on from `adapter`, or from a fresh one
    /// as `settings` say. `on_event` hears all that happens; what it keeps of the run is in memory.
    ///
    /// A task of one's own:
    ///
    /// ```
    /// use stepladder::session::{Event, Preset, Session, SessionOptions, Settings, Task};
    /// use stepladder::task::{Problem, VariantKind, Verdict, VerdictKind};
    ///
    /// /// Answers in few signs, whatever they are worth.
    /// struct Brief;
    ///
    /// impl Task for Brief {
    ///     fn name(&self) -> &'static str { "brief" }
    ///     fn transformations(&self, _: VariantKind) -> &'static [&'static str] { &["change a number"] }
    ///     fn parse_variants(&self, text: &str) -> Vec<String> { vec![text.trim().to_owned()] }
    ///     fn verify(&self, _: &Problem, text: &str) -> Verdict {
    ///         let kind = if text.len() < 10 { VerdictKind::Correct } else { VerdictKind::Wrong };
    ///         Verdict::new(kind, format!("{} signs", text.len()), Some(text.to_owned()))
    ///     }
    /// }
    ///
    /// # fn main() -> stepladder::Result<()> {
    /// pollster::block_on(async {
    ///     let session = Session::open("tiny", &SessionOptions::default()).await?;
    ///     let few = Settings { steps: 2, prompts_per_step: 2, ..Settings::preset(Preset::Tiny) };
    ///     let problems = ["x*sin(2*x)", "x**3"].map(Problem::new);
    ///     let mut print = |event: &Event| match event {
    ///         Event::Step(step) => Ok(println!("step {}: {:?}", step.step, step.pass_rate)),
    ///         _ => Ok(()),
    ///     };
    ///     let learnt = session.ladder(&Brief, few, [&problems, &[]], None, &mut print).await?;
    ///     assert!(learnt.outcome.finished.step == 2 && learnt.outcome.nodes.len() > 2);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) that names the setting or the problem; [`Error::Context`](crate::Error::Context);
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory); [`Error::Cancelled`](crate::Error::Cancelled);
    /// [`Error::Diverged`](crate::Error::Diverged); those of the listener and the GPU.
    pub async fn ladder(
        &self,
        task: &dyn Task,
        settings: Settings,
        problems: [&[Problem]; 2],
        adapter: Option<&AdapterFile>,
        on_event: &mut dyn EventSink,
    ) -> Result<Learnt> {
        let opened = self.opened();
        settings.check()?;
        for (name, problems) in ["problems", "eval_problems"].into_iter().zip(problems) {
            if !problems.is_empty() || name == "problems" {
                check_problems(task, Origin::Option(name), problems)?;
            }
        }
        if let Some(problem) = problems[0].first() {
            task.try_out(problem)?;
        }
        let adapter = match adapter {
            Some(adapter) => adapter.clone(),
            None => opened.fresh_adapter(&settings.lora, settings.seed)?,
        };
        let settings = Settings { lora: adapter.config.clone(), ..settings };
        opened.tell_lacking_of(problems);
        let language = opened.check_run("the run", &settings, task, problems, &adapter.config)?;
        let name = (task.name().to_owned(), TaskOptions::new());
        let card = RunCard::new(opened.name.clone(), name, settings, problems.map(<[Problem]>::to_vec));
        let mut learner = self.learner_in(language, &adapter)?;
        let (began, mut store) = (Instant::now(), MemoryStore::default());
        let clock = move || began.elapsed().as_secs_f64();
        let mut host = Host { store: &mut store, sink: on_event, clock: &clock, cancel: &opened.cancel };
        let outcome = run::run(&mut learner, task, &card, None, &mut host).await?;
        Ok(Learnt { outcome, adapter: learner.adapter_file().await? })
    }

    /// A learner that goes on from `adapter`.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) if the adapter is not one of this model; GPU errors.
    #[doc(hidden)]
    pub fn learner(&self, adapter: &AdapterFile) -> Result<Learner> {
        self.learner_in(Arc::clone(&self.opened().language), adapter)
    }

    /// [`Session::learner`] whose prompts are worded as [`Opened::check_run`] answered.
    ///
    /// # Errors
    /// As [`Session::learner`].
    #[doc(hidden)]
    pub fn learner_in(&self, language: Arc<Language>, adapter: &AdapterFile) -> Result<Learner> {
        let (name, cancel) = (self.opened().name.clone(), Arc::clone(&self.opened().cancel));
        Learner::new(name, Arc::clone(self.model()), language, adapter, LearnerSettings::default(), cancel)
    }

    /// A learner that will only be asked to sample: with `adapter`, or from the model as it is.
    ///
    /// # Errors
    /// As [`Session::learner`].
    #[doc(hidden)]
    pub fn sampler(&self, adapter: Option<&AdapterFile>) -> Result<Learner> {
        if let Some(adapter) = adapter {
            return self.learner(adapter);
        }
        let smallest = LoraConfig { rank: 1, targets: [Module::Q].into(), ..LoraConfig::default() };
        let mut learner = self.learner(&self.opened().fresh_adapter(&smallest, 0)?)?;
        learner.sample_base();
        Ok(learner)
    }
}
