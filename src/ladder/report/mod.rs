//! `report.html`: a run on one page that needs no network and no script.
//!
//! Everything that a model wrote goes through the template engine's HTML escaping, and characters that a terminal or a
//! browser would act on (controls, bidirectional overrides) are replaced before.

mod charts;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use charts::short;
mod contamination;
mod course;
mod page;
mod rewards;
pub(crate) mod text;
mod tree_view;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;

use crate::ladder::events::Event;
use crate::ladder::run::RunCard;
use crate::ladder::tree::Node;

/// The page. `events` is the run's log, `nodes` its tree.
///
/// # Errors
/// The template engine's; the template is fixed, so one is a defect of this program.
pub fn render(card: &RunCard, events: &[Event], nodes: &[Node]) -> Result<String, minijinja::Error> {
    fill(include_str!("report.html"), &page::Page::of(card, events, nodes))
}

/// A page that needs no network and no script: `template`, which includes `page.css`, filled with `values`, which are escaped.
pub(crate) fn fill(template: &str, values: &impl serde::Serialize) -> Result<String, minijinja::Error> {
    let mut environment = minijinja::Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.add_template("page.css", include_str!("page.css"))?;
    environment.add_template("page.html", template)?;
    environment.get_template("page.html")?.render(Serde(values))
}
