//! `stepladder variants`: the tree of variants of one problem.

use pollster::block_on;
use serde::Serialize;
use serde_json::json;
use stepladder::ladder::settings::Settings;
use stepladder::ladder::variants::{ProposedVariant, variant_tree};
use stepladder::settings::Setting;
use stepladder::task::Problem;
use stepladder::{Result, task};

use super::args::{DeviceArgs, TaskArgs};
use super::chosen::ModelArgs;
use super::context::Context;
use super::ladder::default_preset;
use super::ladder_view::View;
use super::session::{adapter, load, print_profile, worded};
use super::setting_args::{Rows, SettingArgs};

/// Options of `variants`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) model: ModelArgs,
    #[command(flatten)]
    pub(super) task: TaskArgs,
    /// The problem at the root
    #[arg(long, allow_hyphen_values = true)]
    pub(super) problem: String,
    #[command(flatten)]
    pub(super) settings: SettingArgs<SeedRow>,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
}

/// The seed; other settings of variants have no option of their own.
#[derive(Debug)]
pub(super) struct SeedRow;

impl Rows for SeedRow {
    const DEFAULT_PRESET: Option<&'static str> = Some("as for `ladder`");

    fn unused(path: &str) -> Option<&'static str> {
        let used = ["seed", "prompt_style", "variants"].contains(&path) || path.starts_with("variants.");
        match path {
            "variants.enabled" => Some("says nothing here: variants are what is asked for"),
            "variants.sampling.temperature" => Some("is not used: `variants.temperatures` is"),
            _ if used => None,
            _ => Some("is a setting of learning, and `variants` learns nothing"),
        }
    }

    fn take(setting: &Setting) -> bool {
        setting.option == Some("seed")
    }
}

/// Lets the model write variants and says what became of each.
pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let chosen = args.model.choose()?;
    let task = task::create(&args.task.task, &args.task.options())?;
    let problem = Problem::new(args.problem.clone());
    let preset = match args.settings.preset()? {
        Some(preset) => preset,
        None => default_preset(context, &chosen.model, &args.device)?,
    };
    let mut settings = Settings::preset(preset);
    args.settings.asked()?.make(&mut settings)?;
    settings.check()?;
    let opened = worded(chosen.open(context, &args.device)?, settings.prompt_style);
    let adapter = adapter(&opened, chosen.adapter.as_deref())?;
    let session = load(opened)?;
    let mut sampler = session.sampler(adapter.as_ref())?;
    let mut view = View::quiet(context, "variants");
    let nodes = view.host(|host| block_on(variant_tree(&mut sampler, &*task, &problem, &settings, host)))?;
    drop(view);
    context.answer(&json!({ "nodes": nodes }), || nodes.iter().map(line).collect::<Vec<_>>().join("\n"))?;
    print_profile(context, session.model().gpu())
}

fn line(node: &ProposedVariant) -> String {
    match (node.id, node.parent) {
        (Some(id), None) => format!("{id:>4}        {}", node.problem),
        (Some(id), Some(parent)) => format!("{id:>4} <- {parent:<3} {}", node.problem),
        (None, _) => {
            let why = node.reason.map_or("", |reason| reason.words());
            format!("   - <- {:<3} {} ({why})", node.parent.unwrap_or(0), node.problem)
        }
    }
}
