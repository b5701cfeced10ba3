//! The `stepladder` program: reads the command line, runs one command, maps its result to an exit status.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
