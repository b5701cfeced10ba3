//! `stepladder models`: the models that were downloaded. No GPU is needed.

use serde::Serialize;
use serde_json::json;
use stepladder::model::hub::{CachedModel, Hub, Repo};
use stepladder::model::tiny;
use stepladder::{Error, Result};

use super::context::Context;
use super::info::bytes as shown;

/// Options of `models`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    /// Remove this one from the cache, which other programs share
    #[arg(long, value_name = "hf:OWNER/NAME")]
    pub(super) remove: Option<String>,
}

/// Lists the models of the cache, or removes one.
pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let hub = Hub::from_env()?;
    let place = hub.cache().display().to_string();
    if let Some(name) = &args.remove {
        let repo = Repo::parse(name.strip_prefix("hf:").unwrap_or(name))?;
        if name.contains('@') {
            let problem =
                format!("`{name}` names a revision, and a model is removed with all of its revisions");
            return Err(Error::usage("--remove", problem, format!("write hf:{}", repo.id)));
        }
        let bytes = hub.remove(&repo)?;
        return context.answer(&json!({ "removed": repo.id, "bytes": bytes }), || {
            format!("hf:{} is removed from {place}: {} are free again", repo.id, shown(bytes))
        });
    }
    let models = hub.models()?;
    let listed: Vec<_> = models
        .iter()
        .map(|CachedModel { id, bytes, revisions }| {
            json!({ "model": format!("hf:{id}"), "bytes": bytes, "revisions": revisions })
        })
        .collect();
    context.answer(&json!({ "cache": place, "models": listed }), || {
        let mut lines = vec![format!("{:>12}  {}, built in", "", tiny::NAME)];
        lines.extend(models.iter().map(|model| {
            let whole = match model.revisions.as_slice() {
                [] => ": not whole, or not in a form that is read".into(),
                [one] if one == "main" => String::new(),
                some => format!(" @ {}", some.join(", ")),
            };
            format!("{:>12}  hf:{}{whole}", shown(model.bytes), model.id)
        }));
        lines.push(format!(
            "\n{} in {place}",
            if models.is_empty() { "nothing is downloaded" } else { "downloads are" }
        ));
        lines.join("\n")
    })
}
