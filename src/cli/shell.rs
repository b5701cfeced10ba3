//! `stepladder completions` and `man`: the command line for shells and for `man`, made from its definition. No GPU is needed.

use std::path::PathBuf;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use serde::Serialize;
use serde_json::json;
use stepladder::train::files::{create_folder, write_atomic};
use stepladder::{Error, Result};

use super::context::Context;

/// The program as it is called.
const PROGRAM: &str = "stepladder";

/// Options of `completions`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    #[serde(serialize_with = "shell_name")]
    pub(super) shell: Shell,
}

/// Options of `man`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct ManArgs {
    /// The command to print the page of [default: the program]
    #[arg(value_name = "COMMAND", conflicts_with = "output")]
    pub(super) command: Option<String>,
    /// Write the pages of all commands into DIR instead
    #[arg(long, value_name = "DIR")]
    pub(super) output: Option<PathBuf>,
}

fn shell_name<S: serde::Serializer>(shell: &Shell, to: S) -> std::result::Result<S::Ok, S::Error> {
    to.serialize_str(&shell.to_string())
}

/// Prints a shell's completions.
pub(super) fn completions(args: &CompletionsArgs, mut definition: Command, context: &Context) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut definition, PROGRAM, &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    let shell = args.shell.to_string();
    context.answer(&json!({ "shell": shell, "script": script }), || script.trim_end().to_owned())
}

/// Prints a page, or writes all.
pub(super) fn man(args: &ManArgs, mut definition: Command, context: &Context) -> Result<()> {
    definition.build();
    let Some(folder) = &args.output else {
        let page = match &args.command {
            None => page(&definition)?,
            Some(name) => {
                let command = definition.find_subcommand(name).ok_or_else(|| {
                    let hint = format!("`{PROGRAM} help` lists the commands");
                    Error::usage("COMMAND", format!("there is no command `{name}`"), hint)
                })?;
                page(command)?
            }
        };
        return context.answer(&json!({ "page": page }), || page.trim_end().to_owned());
    };
    let mut pages = vec![(format!("{PROGRAM}.1"), page(&definition)?)];
    for command in definition.get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = format!("{PROGRAM}-{}", command.get_name());
        pages.push((format!("{name}.1"), page(command)?));
    }
    create_folder(folder)?;
    for (name, _) in &pages {
        context.gate.file("--output", &folder.join(name))?;
    }
    for (name, page) in &pages {
        write_atomic(folder.join(name), page.as_bytes())?;
    }
    let count = pages.len();
    context.answer(&json!({ "pages": count, "output": folder }), || {
        format!("{count} pages in {}; man {0}/{PROGRAM}.1 shows the first", folder.display())
    })
}

/// A page in the language of `man`. The definition is built, so that a command knows its whole name.
fn page(command: &Command) -> Result<String> {
    let mut text = Vec::new();
    Man::new(command.clone()).render(&mut text).map_err(|error| Error::write("standard output", error))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use clap::ValueEnum;

    use super::*;

    /// Each shell's script and each page names only commands and options of the program.
    #[test]
    fn scripts_and_pages_know_the_commands() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut super::super::definition(), PROGRAM, &mut script);
            let script = String::from_utf8(script).unwrap();
            for word in ["ladder", "rollback", "max-tokens"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
        let mut definition = super::super::definition();
        definition.build();
        let whole = page(&definition).unwrap();
        assert!(whole.contains("stepladder\\-ladder(1)"), "{whole}");
        let ladder = page(definition.find_subcommand("ladder").unwrap()).unwrap();
        assert!(ladder.contains("stepladder ladder") && ladder.contains("learning\\-rate"), "{ladder}");
    }
}
