//! Whole passes of a model that are timed: prompts, decoding, training steps, GRPO steps.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use super::measure::Cost;
use super::shape::parameters;
use crate::gpu::Gpu;
use crate::model::Model;
use crate::model::generate::{Generator, Progress, Request, Sampling};
use crate::model::lora::Layout;
use crate::model::module::Module;
use crate::task::{Integral, Problem, Task, TaskOptions};
use crate::train::loss::LossName;
use crate::train::trainer::{Optimizer, Trainer, Trajectory};
use crate::{Error, Result};

const LEARNING_RATE: f64 = 1e-4;
/// Tokens that each row decodes in one run after the first news, or a few less.
const DECODE_STEPS: usize = 16;

/// What one run took.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Taken {
    /// Seconds by the clock.
    pub(super) seconds: f64,
    /// Seconds in which the host encoded and submitted.
    pub(super) host: f64,
    /// Share of the time in which the device waited for the host.
    pub(super) idle: f64,
    pub(super) dispatches: u64,
    pub(super) submissions: u64,
    /// Steps that this covers.
    pub(super) steps: usize,
}

/// Counts of a device at one moment.
struct Mark {
    began: Instant,
    host: u64,
    idle: u64,
    dispatches: u64,
    submissions: u64,
}

impl Mark {
    fn now(gpu: &Gpu) -> Self {
        let work = gpu.work();
        Self {
            began: Instant::now(),
            host: work.host_nanoseconds(),
            idle: work.idle_nanoseconds(),
            dispatches: work.dispatches(),
            submissions: work.submissions(),
        }
    }

    fn taken(&self, gpu: &Gpu) -> Taken {
        let work = gpu.work();
        let seconds = self.began.elapsed().as_secs_f64();
        Taken {
            seconds,
            host: (work.host_nanoseconds() - self.host) as f64 * 1e-9,
            idle: (work.idle_nanoseconds() - self.idle) as f64 * 1e-9 / seconds,
            dispatches: work.dispatches() - self.dispatches,
            submissions: work.submissions() - self.submissions,
            steps: 1,
        }
    }
}

fn layout(model: &Model, rank: usize) -> Result<Layout> {
    let config = model.config();
    let there = Module::ALL.into_iter().filter(|&module| config.module_shape(module).is_some());
    let there: Vec<Module> = there.collect();
    let all = (0..config.num_layers).flat_map(|l| there.iter().map(move |&module| (l, module, rank, 1.0)));
    Layout::new(config, all)
}

/// A pass with everything that it runs on.
pub(super) enum Job {
    Prefill { generator: Generator, tokens: usize },
    Decode { generator: Generator, rows: usize, prompt: usize },
    Train { trainer: Trainer, count: usize, len: usize },
    Update { trainer: Trainer, answers: Answers },
    Grpo(Box<Grpo>),
}

/// What an update is given: answers of some tokens, to one prompt or each to another of the same length.
#[derive(Clone, Copy)]
pub(super) struct Answers {
    pub(super) count: usize,
    pub(super) prompt: usize,
    pub(super) tokens: usize,
    pub(super) one_prompt: bool,
}

impl Answers {
    /// Half of them good.
    fn batch(&self) -> Vec<Trajectory> {
        let &Self { count, prompt, tokens, one_prompt } = self;
        let answer = |index: usize| {
            let before = text(if one_prompt { 0 } else { index * prompt }, prompt);
            let all = [before, text(count * prompt + index * tokens, tokens)].concat();
            let advantage = Some(if index.is_multiple_of(2) { 1.0 } else { -1.0 });
            Trajectory { advantage, ..Trajectory::completing(all, prompt) }
        };
        (0..count).map(answer).collect()
    }

    /// Rows that the model has to compute.
    fn rows(&self) -> usize {
        self.count * self.tokens + self.prompt * if self.one_prompt { 1 } else { self.count }
    }
}

impl Job {
    /// One prompt of `tokens` tokens and the first token after it.
    pub(super) fn prefill(model: &Arc<Model>, tokens: usize) -> Self {
        Self::Prefill { generator: Generator::new(Arc::clone(model), None, 1), tokens }
    }

    /// Decoding in `rows` rows behind prompts of `prompt` tokens, with a live adapter if `rank` is not 0.
    pub(super) fn decode(model: &Arc<Model>, rows: usize, prompt: usize, rank: usize) -> Result<Self> {
        let trainer = match rank {
            0 => None,
            _ => Some(Trainer::new(Arc::clone(model), &layout(model, rank)?, 64)?),
        };
        let generator = Generator::new(Arc::clone(model), trainer.as_ref().map(Trainer::lora), rows);
        Ok(Self::Decode { generator, rows, prompt })
    }

    /// A supervised step on `count` texts of `len` tokens.
    pub(super) fn train(model: &Arc<Model>, count: usize, len: usize, rank: usize) -> Result<Self> {
        let trainer = Trainer::new(Arc::clone(model), &layout(model, rank)?, count * len)?;
        Ok(Self::Train { trainer, count, len })
    }

    /// A GRPO update on answers that are there.
    pub(super) fn update(model: &Arc<Model>, answers: Answers, rank: usize) -> Result<Self> {
        let trainer = Trainer::new(Arc::clone(model), &layout(model, rank)?, answers.rows())?;
        Ok(Self::Update { trainer, answers })
    }

    /// Tokens of a step.
    pub(super) fn tokens(&self) -> usize {
        match self {
            Self::Prefill { tokens, .. } => *tokens,
            Self::Decode { rows, .. } => *rows,
            Self::Train { count, len, .. } => count * len,
            Self::Update { answers, .. } => answers.count * answers.tokens,
            Self::Grpo(grpo) => grpo.prompts * grpo.samples * grpo.tokens,
        }
    }

    /// What a step has to do at least. Attention and the adapter are left out: they are small at these lengths.
    pub(super) fn cost(&self, model: &Model) -> Cost {
        let (parameters, bytes) = (parameters(model), model.weights().bytes() as f64);
        let head = (model.config().vocab_size * model.config().hidden_size) as f64;
        // Forward and the gradient of every input take 2 operations a parameter and token each.
        let train = |tokens: usize, scored: usize| Cost {
            flops: 4.0 * (parameters - head) * tokens as f64 + 4.0 * head * scored as f64,
            bytes: 2.0 * bytes,
        };
        match self {
            Self::Prefill { tokens, .. } => {
                Cost { flops: 2.0 * ((parameters - head) * *tokens as f64 + head), bytes }
            }
            Self::Decode { rows, .. } => Cost { flops: 2.0 * parameters * *rows as f64, bytes },
            Self::Train { count, len, .. } => train(count * len, count * (len - 1)),
            Self::Update { answers, .. } => train(answers.rows(), answers.count * answers.tokens),
            Self::Grpo(grpo) => {
                let rows = (grpo.prompts * grpo.samples) as f64;
                let update = train(grpo.prompts * grpo.samples * grpo.tokens, grpo.prompts * grpo.samples);
                let steps = grpo.tokens as f64;
                Cost {
                    flops: update.flops + 2.0 * parameters * rows * steps,
                    bytes: update.bytes + bytes * steps,
                }
            }
        }
    }

    /// One run.
    pub(super) async fn run(&mut self, gpu: &Gpu) -> Result<Taken> {
        let mark = Mark::now(gpu);
        match self {
            Self::Prefill { generator, tokens } => {
                let sampling = Sampling { max_tokens: 1, ..Sampling::default() };
                let request = Request { prompt: text(0, *tokens + 1), samples: 1, sampling, seed: 1 };
                generator.generate(&[request], &mut |_| ControlFlow::Continue(())).await?;
            }
            Self::Decode { generator, rows, prompt } => return decode(gpu, generator, *rows, *prompt).await,
            Self::Train { trainer, count, len } => {
                let scored = vec![true; *len];
                let batch: Vec<Trajectory> = (0..*count)
                    .map(|i| Trajectory::supervised(text(i * *len, *len), scored.clone()))
                    .collect();
                update(trainer, &batch, LossName::Sft).await?;
            }
            Self::Update { trainer, answers } => update(trainer, &answers.batch(), LossName::Grpo).await?,
            Self::Grpo(grpo) => grpo.run(gpu).await?,
        }
        Ok(mark.taken(gpu))
    }
}

/// Tokens of a text; texts of other starts differ.
fn text(start: usize, len: usize) -> Vec<u32> {
    (start..start + len).map(|t| (t * 977 % 4_096) as u32).collect()
}

/// From the first news on, so that prompts and the first steps are left out.
async fn decode(gpu: &Gpu, generator: &mut Generator, rows: usize, prompt: usize) -> Result<Taken> {
    let max_tokens = 8 + DECODE_STEPS;
    let sampling = Sampling { max_tokens, ..Sampling::default() };
    let request = Request { prompt: text(0, prompt), samples: rows, sampling, seed: 1 };
    let mut first: Option<(Mark, usize)> = None;
    let mut news = |progress: Progress<'_>| {
        first.get_or_insert_with(|| (Mark::now(gpu), progress.tokens.len()));
        ControlFlow::Continue(())
    };
    generator.generate(&[request], &mut news).await?;
    let Some((mark, seen)) = first.filter(|&(_, seen)| seen < max_tokens) else {
        return Err(Error::Gpu {
            what: "bench".into(),
            problem: "decoding was over with the first news".into(),
        });
    };
    Ok(Taken { steps: max_tokens - seen, ..mark.taken(gpu) })
}

async fn update(trainer: &mut Trainer, batch: &[Trajectory], loss: LossName) -> Result<()> {
    let longest = batch.iter().map(|trajectory| trajectory.tokens.len()).max().unwrap_or(0);
    let report = trainer.step(batch, &loss.config(longest), LEARNING_RATE, &Optimizer::default()).await?;
    if report.skipped {
        let problem = format!("a training step gave loss {} and was skipped", report.loss);
        return Err(Error::Gpu { what: "bench".into(), problem });
    }
    Ok(())
}

/// A step of GRPO: completions of some prompts, their judgement, an update on all of them.
pub(super) struct Grpo {
    trainer: Trainer,
    generator: Generator,
    prompts: usize,
    samples: usize,
    tokens: usize,
    /// The three parts of each run.
    pub(super) parts: Vec<[Taken; 3]>,
}

/// What the judge is given in place of the random model's text.
const ANSWERS: [&str; 4] = ["x*exp(x) - exp(x) + C", "exp(x)*(x-1)", "x^2*exp(x)/2", "x*exp(x) + ln|x|"];

impl Grpo {
    pub(super) fn new(
        model: &Arc<Model>,
        prompts: usize,
        samples: usize,
        tokens: usize,
        rank: usize,
    ) -> Result<Self> {
        let trainer = Trainer::new(Arc::clone(model), &layout(model, rank)?, 1024)?;
        let generator = Generator::new(Arc::clone(model), Some(trainer.lora()), prompts * samples);
        Ok(Self { trainer, generator, prompts, samples, tokens, parts: Vec::new() })
    }

    async fn run(&mut self, gpu: &Gpu) -> Result<()> {
        let mark = Mark::now(gpu);
        let sampling = Sampling { max_tokens: self.tokens, ..Sampling::default() };
        let requests: Vec<Request> = (0..self.prompts)
            .map(|index| Request {
                prompt: text(index * 16, 16),
                samples: self.samples,
                sampling,
                seed: index as u64,
            })
            .collect();
        let answers = self.generator.generate(&requests, &mut |_| ControlFlow::Continue(())).await?;
        let rollout = mark.taken(gpu);

        let mark = Mark::now(gpu);
        let judge = Integral::new(&TaskOptions::new())?;
        let problem = Problem::new("x*exp(x)");
        for answer in ANSWERS.iter().cycle().take(self.prompts * self.samples) {
            judge.verify(&problem, answer);
        }
        let verify = mark.taken(gpu);

        let mark = Mark::now(gpu);
        let mut batch = Vec::new();
        for (request, completions) in requests.iter().zip(&answers) {
            for (index, completion) in completions.iter().enumerate() {
                let tokens = [request.prompt.as_slice(), &completion.tokens].concat();
                batch.push(Trajectory {
                    old_logp: Some(completion.logprobs.clone()),
                    advantage: Some(if index % 2 == 0 { 1.0 } else { -1.0 }),
                    ..Trajectory::completing(tokens, request.prompt.len())
                });
            }
        }
        update(&mut self.trainer, &batch, LossName::Grpo).await?;
        self.parts.push([rollout, verify, mark.taken(gpu)]);
        Ok(())
    }
}
