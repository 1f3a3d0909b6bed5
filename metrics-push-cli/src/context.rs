//! The gateways and the group that the arguments and the environment select.
//!
//! Arguments override the environment. An invalid variable ends the command, except for `exec`. Unknown variables are
//! reported.

use std::collections::BTreeMap;
use std::sync::Once;
use std::time::Duration;

use clap::Args;
use metrics_push::{Config, Error, Gateway, GroupingKey, SinkConfig, parse_duration};

use crate::failure::Failure;

/// Arguments that select gateways.
#[derive(Debug, Default, Args)]
pub(crate) struct GatewayArguments {
    /// The URL of the gateway; overrides METRICS_PUSH_URL. Empty means that there is no gateway.
    #[arg(long, value_parser = parse_url)]
    url: Option<String>,
    /// The timeout of a request, such as 10s; overrides METRICS_PUSH_TIMEOUT.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,
    /// The name that the gateway's certificate must have; overrides METRICS_PUSH_SERVER_NAME.
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
}

impl GatewayArguments {
    /// Returns the timeout of the argument or the environment; `default` if neither is set.
    pub(crate) fn timeout_or(&self, default: Duration) -> Duration {
        let variable = || parse_duration(&std::env::var("METRICS_PUSH_TIMEOUT").ok()?).ok();
        self.timeout.or_else(variable).unwrap_or(default)
    }
}

/// Arguments that select a group.
#[derive(Debug, Args)]
pub(crate) struct GroupArguments {
    /// The name of the job; overrides METRICS_PUSH_JOB.
    #[arg(long, value_name = "NAME", value_parser = parse_job)]
    pub(crate) job: Option<String>,
    /// A grouping label, added to those of METRICS_PUSH_GROUPING and METRICS_PUSH_INSTANCE; an empty value removes one of
    /// them.
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_label)]
    pub(crate) grouping: Vec<(String, String)>,
}

/// Returns the name of the job that the environment selects.
pub(crate) fn job_variable() -> Option<String> {
    std::env::var("METRICS_PUSH_JOB").ok().filter(|job| !job.is_empty())
}

/// Returns the configuration, or the first problem with it. Prints an error for each unknown variable, once.
pub(crate) fn config(arguments: &GatewayArguments) -> Result<Config, Failure> {
    static PRINTED: Once = Once::new();

    PRINTED.call_once(|| {
        unknown_variables(arguments).into_iter().map(Failure::from).for_each(|it| it.print());
    });
    let (config, problems) = config_and_problems(arguments);
    match problems.into_iter().next() {
        None => Ok(config),
        Some(problem) => Err(problem.into()),
    }
}

/// Returns the configuration with another URL, which gets the credentials of the variables.
pub(crate) fn config_at(url: &str, arguments: &GatewayArguments) -> Result<Config, Failure> {
    let url = Some(url.to_owned());
    config(&GatewayArguments { url, server_name: arguments.server_name.clone(), ..*arguments })
}

/// Returns the configuration without the invalid variables, and the problems with these.
pub(crate) fn config_and_problems(arguments: &GatewayArguments) -> (Config, Vec<Error>) {
    let argument = |name: &str| match name {
        "METRICS_PUSH_URL" => arguments.url.as_ref(),
        "METRICS_PUSH_SERVER_NAME" => arguments.server_name.as_ref(),
        _ => None,
    };
    let (config, problems) = Config::from_variables(|name| match argument(name) {
        Some(value) => Some(value.into()),
        None => std::env::var_os(name),
    });
    match arguments.timeout {
        Some(timeout) => (config.timeout(timeout), problems),
        None => (config, problems),
    }
}

/// Returns an error for each unknown variable.
pub(crate) fn unknown_variables(arguments: &GatewayArguments) -> Vec<Error> {
    metrics_push::__private::unknown_variables(arguments.url.as_deref().unwrap_or_default())
}

/// Returns the Pushgateways of a configuration, and prints which other sinks are skipped, because these subcommands use its API.
///
/// # Errors
/// If it has no Pushgateway.
pub(crate) fn gateways(config: &Config) -> Result<Vec<Gateway>, Failure> {
    gateways_beside(config, &[])
}

/// Like [`gateways`], if the subcommand does not skip the other sinks with these URLs.
///
/// # Errors
/// If the configuration has neither these nor a Pushgateway.
pub(crate) fn gateways_beside(
    config: &Config,
    included: &[String],
) -> Result<Vec<Gateway>, Failure> {
    let sinks = sinks(config)?;
    let is_included = |sink: &&SinkConfig| included.iter().any(|url| url == sink.url());
    let others = sinks.iter().filter(|sink| !sink.is_pushgateway() && !is_included(sink));
    let skipped = others
        .map(|sink| Failure::usage(format!("skipped {}: it is not a Pushgateway", sink.url())));
    let gateways = Gateway::from_config(config)?;
    if gateways.is_empty() && included.is_empty() && !sinks.is_empty() {
        let urls: Vec<_> = sinks.iter().map(SinkConfig::url).collect();
        return Err(Failure::usage(format!(
            "no Pushgateway is configured, only {}; set the URL of a Pushgateway with --url or METRICS_PUSH_URL",
            urls.join(", ")
        )));
    }
    skipped.for_each(|skipped| skipped.print());
    Ok(gateways)
}

/// Returns the sinks of a configuration. A dry run needs none.
///
/// # Errors
/// If it has none, or pushing is disabled.
pub(crate) fn sinks(config: &Config) -> Result<&[SinkConfig], Failure> {
    match config.sinks() {
        _ if config.is_disabled() => {
            Err(Failure::usage("METRICS_PUSH_DISABLED is set; unset it to reach the gateway"))
        }
        [] if !config.is_dry_run() => Err(Failure::usage(
            "no gateway is configured; set its URL with --url or METRICS_PUSH_URL",
        )),
        sinks => Ok(sinks),
    }
}

/// Returns the URL of the only sink of a configuration, without credentials.
///
/// # Errors
/// If there are others. The error names the option that selects one.
pub(crate) fn only_sink<'a>(config: &'a Config, option: &str) -> Result<&'a str, Failure> {
    match sinks(config)? {
        [sink] => Ok(sink.url()),
        [] => Err(Failure::usage(format!("no gateway is configured; select one with {option}"))),
        sinks => Err(Failure::usage(format!(
            "{} gateways are configured; select one with {option}",
            sinks.len()
        ))),
    }
}

/// Returns the grouping key that the configuration and the arguments select.
pub(crate) fn key(config: &Config, group: &GroupArguments) -> Result<GroupingKey, Failure> {
    let job = group.job.as_deref().or(config.job_name());
    let job = job.ok_or_else(|| {
        Failure::usage("no job is selected; set its name with --job or METRICS_PUSH_JOB")
    })?;
    let labels = group.grouping.iter();
    let key = labels.fold(config.grouping_key(job), |key: Result<_, Error>, (name, value)| {
        key.and_then(|key| key.label(name, value))
    });
    Ok(key?)
}

/// Returns the grouping key with these labels; `None` if they are not valid in a key.
pub(crate) fn key_with(labels: &BTreeMap<String, String>) -> Option<GroupingKey> {
    let key = GroupingKey::new(labels.get("job")?).ok()?;
    let mut others = labels.iter().filter(|(name, _)| *name != "job");
    others.try_fold(key, |key, (name, value)| key.label(name, value).ok())
}

/// Calls `task` for each gateway, also after a failure. Returns the last failure and prints the others.
pub(crate) fn for_each(
    gateways: &[Gateway],
    mut task: impl FnMut(&Gateway) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut last = Ok(());
    for gateway in gateways {
        if let Err(failure) = task(gateway)
            && let Err(earlier) = std::mem::replace(&mut last, Err(failure))
        {
            earlier.print();
        }
    }
    last
}

pub(crate) fn parse_url(text: &str) -> Result<String, Error> {
    let is_valid = if text.is_empty() { Ok(()) } else { SinkConfig::new(text).map(drop) };
    is_valid.map(|()| text.to_owned())
}

/// Returns the URL as the state directory stores it, without credentials.
pub(crate) fn parse_stored_url(text: &str) -> Result<String, Error> {
    SinkConfig::new(text).map(|sink| sink.url().to_owned())
}

fn parse_job(text: &str) -> Result<String, Error> {
    GroupingKey::new(text).map(|_| text.to_owned())
}

/// Parses a grouping label of the form `name=value`.
pub(crate) fn parse_label(text: &str) -> Result<(String, String), String> {
    let invalid = || format!("invalid grouping label {text:?}; write it as name=value");
    let (name, value) = text.split_once('=').ok_or_else(invalid)?;
    let key = GroupingKey::new("any").and_then(|key| key.label(name, value));
    key.map(|_| (name.to_owned(), value.to_owned())).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_argument_is_validated() {
        assert_eq!(parse_label("a=b=c").unwrap(), ("a".to_owned(), "b=c".to_owned()));
        assert!(parse_label("a").unwrap_err().contains("name=value"));
        assert!(parse_label("a-b=c").unwrap_err().contains("underscores"));
        assert!(parse_label("job=c").unwrap_err().contains("\"job\""));
    }
}
