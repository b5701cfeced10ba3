//! How messages call settings and other things that a user gives: by the options of the command at hand.

use std::collections::BTreeSet;

use clap::Command;
use stepladder::settings::{LADDER, LESSONS, SFT, TABLES, Table};

/// The names of options of one command.
#[derive(Debug)]
pub(super) struct Names {
    /// Long names, without dashes.
    options: BTreeSet<String>,
    /// The settings that the command has.
    table: Table,
}

impl Names {
    /// The names of `command`, one of `program`'s.
    pub(super) fn new(program: &Command, command: &str) -> Self {
        let own = program.find_subcommand(command).into_iter().flat_map(Command::get_arguments);
        let every = program.get_arguments().filter(|arg| arg.is_global_set());
        let options = own.chain(every).filter_map(|arg| arg.get_long().map(str::to_owned)).collect();
        let table = match command {
            "train" => SFT,
            "learn" => LESSONS,
            _ => LADDER,
        };
        Self { options, table }
    }

    /// The option that stands for `name`, the path of a setting or a word for what is given; `None` if there is none.
    pub(super) fn option(&self, name: &str) -> Option<String> {
        let has = |option: &str| self.options.contains(option).then(|| format!("--{option}"));
        let row = self.table.rows.iter().find(|row| row.path == name);
        let by_row = || row.and_then(|row| row.option).and_then(has);
        // A setting is known by the last part of its path where a command has it alone; other paths are no names.
        let is_name = !name.contains('.') || TABLES.iter().any(|table| table.find(name).is_ok());
        let by_name = || has(&name.rsplit('.').next().filter(|_| is_name)?.replace('_', "-"));
        let by_path = || {
            (self.options.contains("set") && self.table.find(name).is_ok()).then(|| format!("--set {name}"))
        };
        match row {
            Some(_) => by_row().or_else(by_path).or_else(by_name),
            None => by_name().or_else(by_path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::definition;
    use super::*;

    #[test]
    fn names_are_the_options_of_the_command() {
        let program = definition();
        for (command, name, option) in [
            ("train", "optimizer.weight_decay", Some("--weight-decay")),
            ("train", "lora.rank", Some("--rank")),
            ("train", "lora.targets", Some("--target-modules")),
            ("train", "optimizer.beta1", Some("--set optimizer.beta1")),
            ("train", "max_length", Some("--max-length")),
            ("train", "group_size", None),
            ("train", "f16", Some("--f16")),
            ("ladder", "group_size", Some("--group-size")),
            ("learn", "lora.rank", Some("--rank")),
            ("learn", "recall", Some("--set recall")),
            ("ladder", "max_tokens", Some("--max-tokens")),
            ("ladder", "schedule", Some("--set schedule")),
            ("ladder", "lora.rank", Some("--set lora.rank")),
            ("ladder", "loss.kl.coef", Some("--kl-coef")),
            ("ladder", "max_length", None),
            ("ladder", "eval_problems", Some("--eval-problems")),
            ("ttrl", "votes", Some("--votes")),
            ("ttrl", "task_option", Some("--task-option")),
            ("info", "lora.rank", Some("--rank")),
            ("generate", "temperature", Some("--temperature")),
            ("generate", "learning_rate", None),
            ("chat", "memory_limit", Some("--memory-limit")),
            ("chat", "preset", None),
            ("study", "arms.output", None),
            ("ladder", "--set", None),
        ] {
            assert_eq!(Names::new(&program, command).option(name).as_deref(), option, "{command} {name}");
        }
    }
}
