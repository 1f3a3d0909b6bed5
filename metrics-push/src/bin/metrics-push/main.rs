//! `metrics-push`, the command: what operators and scripts do with a gateway.
//!
//! Each subcommand has a file; this one dispatches. Everything goes through the library's public interface, and the
//! library's variables of the environment hold here, too.

mod arguments;
mod ending;
mod exec;
mod generate;
mod manual;
mod push;
mod recover;
mod remove;
mod session;
mod shipped;
mod spelling;
mod spool;
mod status;
mod terminal;

use std::process::ExitCode;

use arguments::Subcommand;

fn main() -> ExitCode {
    let ended = match arguments::parse() {
        Subcommand::Status(arguments) => status::run(&arguments),
        Subcommand::Push(arguments) => push::run(&arguments),
        Subcommand::Delete(arguments) => remove::delete(&arguments),
        Subcommand::Prune(arguments) => remove::prune(&arguments),
        Subcommand::Wipe(arguments) => remove::wipe(&arguments),
        Subcommand::Recover(arguments) => recover::run(&arguments),
        Subcommand::Spool(arguments) => spool::run(&arguments),
        Subcommand::Exec(arguments) => exec::run(&arguments),
        Subcommand::Rules => shipped::rules(),
        Subcommand::Dashboard => shipped::dashboard(),
        Subcommand::Completions(arguments) => generate::completions(&arguments),
        Subcommand::Man(arguments) => generate::man_page(&arguments),
    };
    ended.unwrap_or_else(|failure| {
        failure.tell();
        failure.code()
    })
}
