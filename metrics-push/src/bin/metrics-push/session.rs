//! What a subcommand works with: the gateways and the group that arguments and environment name.
//!
//! Arguments beat the environment. A bad variable ends the command: whoever runs it is there to mend it.

use metrics_push::{Config, Error, Gateway, GroupingKey};

use crate::arguments::{Gateways, Group};
use crate::ending::Failure;

/// The configuration in force.
pub(crate) fn config(arguments: &Gateways) -> Result<Config, Failure> {
    let (config, problems) = config_and_problems(arguments);
    match problems.into_iter().next() {
        None => Ok(config),
        Some(problem) => Err(problem.into()),
    }
}

/// The same for those who go on without what is wrong.
pub(crate) fn config_and_problems(arguments: &Gateways) -> (Config, Vec<Error>) {
    let (config, problems) = Config::from_variables(|name| match (name, &arguments.url) {
        ("METRICS_PUSH_URL", Some(url)) => Some(url.into()),
        _ => std::env::var_os(name),
    });
    match arguments.timeout {
        Some(timeout) => (config.timeout(timeout), problems),
        None => (config, problems),
    }
}

/// The gateways of a configuration, of which there is at least one.
pub(crate) fn gateways(config: &Config) -> Result<Vec<Gateway>, Failure> {
    let gateways = Gateway::from_config(config)?;
    match (gateways.is_empty(), config.is_disabled()) {
        (false, _) => Ok(gateways),
        (true, true) => {
            Err(Failure::misused("METRICS_PUSH_DISABLED is set; unset it to reach the gateway"))
        }
        (true, false) => Err(Failure::misused(
            "no gateway is named; give its address with --url or in METRICS_PUSH_URL",
        )),
    }
}

/// The group that is meant.
pub(crate) fn key(config: &Config, group: &Group) -> Result<GroupingKey, Failure> {
    let job = group.job.as_deref().or(config.job_name());
    let job = job.ok_or_else(|| {
        Failure::misused("no job is named; give its name with --job or in METRICS_PUSH_JOB")
    })?;
    let labels = group.grouping.iter();
    let key = labels.fold(config.grouping_key(job), |key: Result<_, Error>, (name, value)| {
        key.and_then(|key| key.label(name, value))
    });
    Ok(key?)
}

/// Does something with each gateway, and goes on where one fails. The last failure counts; earlier ones are told.
pub(crate) fn each(
    gateways: &[Gateway],
    mut task: impl FnMut(&Gateway) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut last = Ok(());
    for gateway in gateways {
        if let Err(failure) = task(gateway)
            && let Err(earlier) = std::mem::replace(&mut last, Err(failure))
        {
            earlier.tell();
        }
    }
    last
}
