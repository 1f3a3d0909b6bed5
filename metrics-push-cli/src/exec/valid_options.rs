//! Parses the options of `exec` one by one, so that a mistake in an option does not prevent the command from running.
//!
//! clap stops at the first mistake. Here, each option is parsed together with the valid ones before it. An invalid option
//! is left out and described.

use std::error::Error as _;
use std::ffi::{OsStr, OsString};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, FromArgMatches as _};

use super::Arguments;
use crate::failure::Failure;

const NAME: &str = "exec";
/// Ends the options.
const END: &str = "--";

/// Returns the valid arguments of `exec` and a description of each invalid one.
///
/// # Errors
/// `error`, or the help, if the words do not run a command with `exec`.
pub(crate) fn parse(
    root: &Command,
    words: &[OsString],
    error: clap::Error,
) -> Result<(Arguments, Vec<Failure>), clap::Error> {
    let (Some(program), Some(exec)) = (words.first(), root.find_subcommand(NAME)) else {
        return Err(error);
    };
    let (mut options, rest) = split_options(root, exec, &words[1..]);
    let Some(rest) = rest.strip_prefix(&[OsString::from(NAME)]) else { return Err(error) };
    let (further, command) = split_options(root, exec, rest);
    options.extend(further);
    let run = [&[END.into()], command].concat();
    let mut valid = vec![program.clone(), NAME.into()];
    let mut problems = Vec::new();
    for option in options {
        match root.clone().try_get_matches_from(valid.iter().chain(option).chain(&run)) {
            Ok(_) => valid.extend_from_slice(option),
            Err(error) if error.exit_code() == 0 => return Err(error),
            Err(error) => problems.push(describe(exec, &option[0], &error)),
        }
    }
    if command.is_empty() {
        return Err(error);
    }
    let matches = root.clone().try_get_matches_from(valid.iter().chain(&run))?;
    let matches = matches.subcommand_matches(NAME).ok_or(error)?;
    Ok((Arguments::from_arg_matches(matches)?, problems))
}

/// Splits words into the options at their start, each with its value, and the words after them.
fn split_options<'a>(
    root: &Command,
    exec: &Command,
    mut words: &'a [OsString],
) -> (Vec<&'a [OsString]>, &'a [OsString]) {
    let mut options = Vec::new();
    while let Some((first, after)) = words.split_first() {
        if first == END {
            return (options, after);
        }
        if !is_option(first) {
            break;
        }
        let length = if has_separate_value(root, exec, first, after) { 2 } else { 1 };
        let (option, rest) = words.split_at(length);
        options.push(option);
        words = rest;
    }
    (options, words)
}

fn is_option(word: &OsStr) -> bool {
    word.len() > 1 && word.as_encoded_bytes().starts_with(b"-")
}

/// Returns true if the word after an option is its value.
fn has_separate_value(root: &Command, exec: &Command, option: &OsStr, after: &[OsString]) -> bool {
    let has_candidate = after.first().is_some_and(|word| !is_option(word));
    if !has_candidate || option.as_encoded_bytes().contains(&b'=') {
        return false;
    }
    if let Some(known) = find(exec, option) {
        return takes_value(known);
    }
    // The word is a value if an option follows, or if the option is a misspelled one and a command follows.
    after.get(1).is_some_and(|next| {
        let is_followed_by_option = next == END || find(exec, next).is_some();
        is_followed_by_option
            || (!is_option(next) && nearest(root, exec, option).is_some_and(takes_value))
    })
}

fn takes_value(argument: &Arg) -> bool {
    argument.get_action().takes_values()
}

/// Returns the argument that a word such as `--every` or `--every=1h` names.
fn find<'a>(exec: &'a Command, word: &OsStr) -> Option<&'a Arg> {
    let name = name(word);
    exec.get_arguments()
        .find(|argument| argument.get_long().is_some_and(|long| name == format!("--{long}")))
}

/// Returns the argument with the name that clap suggests for an unknown option.
fn nearest<'a>(root: &Command, exec: &'a Command, option: &OsStr) -> Option<&'a Arg> {
    let words = ["metrics-push".as_ref(), NAME.as_ref(), option];
    let error = root.clone().try_get_matches_from(words).err()?;
    find(exec, suggestion(&error)?.as_ref())
}

fn suggestion(error: &clap::Error) -> Option<&str> {
    match error.get(ContextKind::SuggestedArg)? {
        ContextValue::String(name) => Some(name),
        _ => None,
    }
}

/// Returns the other option of a conflict, unless the option is repeated.
fn excluded_by<'a>(error: &'a clap::Error, name: &str) -> Option<&'a str> {
    let option = |kind| match error.get(kind)? {
        ContextValue::String(option) => option.split(' ').next(),
        _ => None,
    };
    let mut options =
        [ContextKind::InvalidArg, ContextKind::PriorArg].into_iter().filter_map(option);
    options.find(|option| *option != name)
}

/// Returns an option without its value.
fn name(option: &OsStr) -> String {
    let option = option.to_string_lossy();
    option.split_once('=').map_or(&*option, |(name, _)| name).to_owned()
}

/// Describes why an option is left out. Does not repeat its value, which may contain a password.
fn describe(exec: &Command, option: &OsStr, error: &clap::Error) -> Failure {
    let name = name(option);
    let cause = match (error.kind(), error.source()) {
        (ErrorKind::UnknownArgument, _) => {
            let remedy = match suggestion(error) {
                Some(suggestion) => format!("write {suggestion}"),
                None => "run `metrics-push exec --help` for a list".to_owned(),
            };
            return Failure::usage(format!("ignored the unknown option {name:?}; {remedy}"));
        }
        (ErrorKind::ValueValidation, Some(cause)) => cause.to_string(),
        (ErrorKind::ArgumentConflict, _) => match excluded_by(error, &name) {
            Some(other) => format!("it excludes {other}; remove one of the two"),
            None => "the option is repeated; write it once".to_owned(),
        },
        (ErrorKind::InvalidUtf8, _) => "the value is not UTF-8; write it in UTF-8".to_owned(),
        (ErrorKind::TooManyValues, _) => format!("the option has no value; write {name}"),
        (ErrorKind::InvalidValue, _) => {
            let value = find(exec, option).and_then(|known| known.get_value_names()?.first());
            let value = value.map_or("VALUE", |value| value.as_str());
            format!("the value is missing; write {name} {value}")
        }
        (_, _) => error.kind().to_string(),
    };
    Failure::usage(format!("ignored {name}: {cause}"))
}
