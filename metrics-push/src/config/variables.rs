//! The table of variables, and the only place that reads the environment.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Config;
use super::duration::parse_duration;
use crate::error::Error;
use crate::http::{Proxy, Secret, SecretSource, check_headers};
use crate::labels::GroupingKey;
use crate::sink::GatewayKind;

/// One variable of the environment.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What a value looks like.
    pub example: &'static str,
    /// What it sets.
    pub meaning: &'static str,
    read: fn(&mut Config, &str) -> Result<(), Error>,
}

/// The variables, in the order in which they are documented. A later one may refine an earlier one.
pub(super) static ALL: &[Variable] = &[
    Variable {
        name: URL,
        example: "http://gateway:9091",
        meaning: "where to push, `PUSHGATEWAY_URL` if unset; several gateways are separated by commas. Unset: nothing is pushed",
        read: |config, value| config.set_urls(value),
    },
    Variable {
        name: "METRICS_PUSH_JOB",
        example: "nightly_import",
        meaning: "the `job` label of a `main` with `#[push_job]`",
        read: |config, value| {
            config.job = Some(GroupingKey::new(value)?.job().to_owned());
            Ok(())
        },
    },
    Variable {
        name: "METRICS_PUSH_INSTANCE",
        example: "worker-1",
        meaning: "the `instance` label of every run. Unset: none, unless the attribute asks for one",
        read: |config, value| {
            config.grouping.insert("instance".into(), value.into());
            Ok(())
        },
    },
    Variable {
        name: "METRICS_PUSH_GROUPING",
        example: "region=eu,shard=2",
        meaning: "further grouping labels of every run",
        read: |config, value| {
            for (name, value) in pairs(value)? {
                config.set_label(&name, &value)?;
            }
            Ok(())
        },
    },
    Variable {
        name: "METRICS_PUSH_TIMEOUT",
        example: "10s",
        meaning: "how long an ending may take to be delivered; the default is 10 s",
        read: |config, value| {
            config.timeout = parse_duration(value)?;
            Ok(())
        },
    },
    Variable {
        name: "METRICS_PUSH_USERNAME",
        example: "batch",
        meaning: "the user for basic authentication",
        read: |config, value| {
            config.username = Some(value.into());
            Ok(())
        },
    },
    Variable {
        name: "METRICS_PUSH_PASSWORD",
        example: "…",
        meaning: "its password",
        read: |config, value| {
            config.password = Some(SecretSource::Value(Secret::new(value)));
            Ok(())
        },
    },
    Variable {
        name: "METRICS_PUSH_PASSWORD_FILE",
        example: "/run/secrets/password",
        meaning: "a file with the password, read for every push",
        read: |config, value| {
            config.password = Some(SecretSource::File(value.into()));
            Ok(())
        },
    },
    Variable {
        name: "METRICS_PUSH_TOKEN",
        example: "…",
        meaning: "a bearer token",
        read: |config, value| {
            config.token = Some(SecretSource::Value(Secret::new(value)));
            Ok(())
        },
    },
    Variable {
        name: "METRICS_PUSH_TOKEN_FILE",
        example: "/run/secrets/token",
        meaning: "a file with the bearer token, read for every push",
        read: |config, value| {
            config.token = Some(SecretSource::File(value.into()));
            Ok(())
        },
    },
    Variable {
        name: "METRICS_PUSH_HEADERS",
        example: "X-Scope-OrgID=team,X-Trace=on",
        meaning: "further request headers",
        read: |config, value| {
            let headers = pairs(value)?.into_iter();
            let headers: Vec<_> = headers.map(|(name, value)| (name, Secret::new(value))).collect();
            check_headers(&headers)?;
            config.headers.extend(headers);
            Ok(())
        },
    },
    Variable {
        name: "METRICS_PUSH_CA_FILE",
        example: "/etc/ssl/gateway-ca.pem",
        meaning: "certificates to trust besides the machine's own",
        read: |config, value| {
            config.ca_file = Some(value.into());
            Ok(())
        },
    },
    Variable {
        name: "METRICS_PUSH_CERT_FILE",
        example: "/etc/ssl/job.pem",
        meaning: "the client certificate, with its chain",
        read: |config, value| {
            config.cert_file = Some(value.into());
            Ok(())
        },
    },
    Variable {
        name: "METRICS_PUSH_KEY_FILE",
        example: "/etc/ssl/job.key",
        meaning: "the client certificate's key",
        read: |config, value| {
            config.key_file = Some(value.into());
            Ok(())
        },
    },
    Variable {
        name: "METRICS_PUSH_GATEWAY_KIND",
        example: "pushgateway",
        meaning: "`aggregating` for a gateway that adds up what it gets: nothing is sent again that may have arrived. Unset: `pushgateway`",
        read: |config, value| {
            config.kind = parse_kind(value)?;
            Ok(())
        },
    },
    Variable {
        name: "METRICS_PUSH_PROTOBUF",
        example: "true",
        meaning: "sends protobuf instead of text: a Pushgateway reads very many series faster, other servers may not read it",
        read: |config, value| {
            if parse_switch(value)? {
                config.wire = config.wire.protobuf();
            }
            Ok(())
        },
    },
    Variable {
        name: "METRICS_PUSH_GZIP",
        example: "true",
        meaning: "compresses large bodies; needs the feature `gzip`, and a Pushgateway 1.5 or newer",
        read: |config, value| {
            if parse_switch(value)? {
                config.wire = config.wire.gzip()?;
            }
            Ok(())
        },
    },
    Variable {
        name: STATE_DIR,
        example: "/var/lib/metrics-push",
        meaning: "where undelivered outcomes wait; `off` for nowhere. Unset: `STATE_DIRECTORY`, `XDG_STATE_HOME/metrics-push` or `~/.local/state/metrics-push`",
        read: |config, value| {
            config.state_dir = parse_directory(value)?;
            Ok(())
        },
    },
    Variable {
        name: "METRICS_PUSH_DISABLED",
        example: "true",
        meaning: "pushes nothing, whatever else is set",
        read: |config, value| {
            config.is_disabled = parse_switch(value)?;
            Ok(())
        },
    },
    Variable {
        name: "METRICS_PUSH_DRY_RUN",
        example: "true",
        meaning: "shows on stderr what would be pushed, and pushes nothing",
        read: |config, value| {
            config.is_dry_run = parse_switch(value)?;
            Ok(())
        },
    },
];

const URL: &str = "METRICS_PUSH_URL";
const STATE_DIR: &str = "METRICS_PUSH_STATE_DIR";
/// What other clients call the gateway's URL.
const FALLBACK_URL: &str = "PUSHGATEWAY_URL";

/// Where systemd, the XDG base directory specification and custom keep a program's state, in this order.
fn usual_state_dir(value_of: &impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let within = |base: OsString, below: &str| {
        let base = PathBuf::from(base);
        // A relative path would depend on where the job happens to be started.
        base.is_absolute().then(|| base.join(below))
    };
    // System users are given a home that does not exist, and nobody should make it.
    let home = || value_of("HOME").filter(|home| Path::new(home).is_dir());
    let of_unit = || std::env::split_paths(&value_of("STATE_DIRECTORY")?).next();
    of_unit()
        .or_else(|| within(value_of("XDG_STATE_HOME")?, "metrics-push"))
        .or_else(|| within(home()?, ".local/state/metrics-push"))
}

/// The process' own environment.
pub(super) fn of_process(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Whether a variable names a proxy at all.
pub(crate) fn proxy() -> Proxy {
    const NAMES: [&str; 3] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];

    let is_set = |name: &str| of_process(name).is_some_and(|value| !value.is_empty());
    let names_one = |name: &&str| is_set(name) || is_set(&name.to_lowercase());
    if NAMES.iter().any(names_one) { Proxy::Environment } else { Proxy::Never }
}

/// What a source of variables says, and an error for every bad value.
pub(super) fn read(look_up: impl Fn(&str) -> Option<OsString>) -> (Config, Vec<Error>) {
    let mut problems = Vec::new();
    // An empty value is how many deployments say that a variable is not set.
    let value_of = |name: &str| look_up(name).filter(|value| !value.is_empty());
    let mut config = Config { state_dir: usual_state_dir(&value_of), ..Config::default() };
    for variable in ALL {
        let mut name = variable.name;
        let mut value = value_of(name);
        if value.is_none() && name == URL {
            name = FALLBACK_URL;
            value = value_of(name);
        }
        let Some(value) = value else { continue };
        let read = match value.to_str() {
            Some(text) => (variable.read)(&mut config, text.trim()),
            None => Err(Error::config("the value is not UTF-8")),
        };
        if let Err(error) = read {
            problems.push(error.at("variable", name));
        }
    }
    (config, problems)
}

/// `name=value` pairs separated by commas.
fn pairs(text: &str) -> Result<Vec<(String, String)>, Error> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries
        .map(|entry| match entry.split_once('=') {
            Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
            None => Err(Error::config("an entry has no \"=\"")
                .remedy("write name=value, and commas between entries")),
        })
        .collect()
}

fn parse_kind(value: &str) -> Result<GatewayKind, Error> {
    match value.to_lowercase().as_str() {
        "pushgateway" => Ok(GatewayKind::Pushgateway),
        "aggregating" => Ok(GatewayKind::Aggregating),
        _ => Err(Error::config("the value names no kind of gateway")
            .remedy("use pushgateway or aggregating")),
    }
}

fn parse_switch(text: &str) -> Result<bool, Error> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err(Error::config(format!("{text:?} is neither true nor false"))
            .remedy("write true or false")),
    }
}

/// An absolute path, or nowhere.
fn parse_directory(text: &str) -> Result<Option<PathBuf>, Error> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    let directory = PathBuf::from(text);
    if directory.is_relative() {
        return Err(Error::config(format!("{text:?} depends on where the job is started"))
            .remedy("write an absolute path, or off"));
    }
    Ok(Some(directory))
}

#[cfg(test)]
mod tests {
    use super::super::DEFAULT_TIMEOUT;
    use super::*;
    use crate::http::RawUrl;
    use crate::sink::wire::Wire;

    fn read(variables: &[(&str, &str)]) -> (Config, Vec<String>) {
        let (config, problems) = Config::from_variables(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        });
        (config, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_variable_is_read() {
        let examples: Vec<_> = ALL.iter().map(|v| (v.name, v.example)).collect();
        let (config, problems) = read(&examples);
        // One of them needs a feature.
        let refused = usize::from(Wire::default().gzip().is_err());
        assert_eq!(problems.len(), refused, "{problems:?}");
        let text = format!("{config:?}");
        for expected in
            ["gateway:9091", "nightly_import", "worker-1", "\"shard\": \"2\"", "10s", "batch"]
        {
            assert!(text.contains(expected), "{expected} in {text}");
        }
        assert!(config.is_disabled && config.is_dry_run && config.token.is_some());
        assert_eq!(config.headers.len(), 2);
        assert!(
            config.ca_file.is_some() && config.cert_file.is_some() && config.key_file.is_some()
        );
    }

    #[test]
    fn a_bad_value_is_named_and_the_others_hold() {
        let (config, problems) = read(&[
            ("METRICS_PUSH_URL", "http://gateway/?x=1"),
            ("METRICS_PUSH_TIMEOUT", "soon"),
            ("METRICS_PUSH_GROUPING", "a=1,b"),
            ("METRICS_PUSH_DISABLED", "maybe"),
            ("METRICS_PUSH_INSTANCE", "one"),
        ]);
        let named = ["URL", "GROUPING", "TIMEOUT", "DISABLED"].map(|n| format!("METRICS_PUSH_{n}"));
        assert_eq!(problems.len(), named.len(), "{problems:?}");
        for (problem, name) in problems.iter().zip(named) {
            assert!(problem.contains(&name), "{problem}");
        }
        assert_eq!(config.timeout, DEFAULT_TIMEOUT);
        assert_eq!(config.grouping["instance"], "one");
    }

    #[test]
    fn the_url_has_a_fallback_and_empty_means_unset() {
        let (config, _) = read(&[("METRICS_PUSH_URL", ""), ("PUSHGATEWAY_URL", "other:9091")]);
        assert_eq!(config.urls, [RawUrl::new("other:9091")]);
        let (config, _) = read(&[("METRICS_PUSH_URL", "a:1, b:2"), ("PUSHGATEWAY_URL", "c:3")]);
        assert_eq!(config.urls, ["a:1", "b:2"].map(RawUrl::new));
    }

    #[test]
    fn state_is_kept_where_such_things_are() {
        let state_dir = |variables: &[(&str, &str)]| {
            read(variables).0.state_dir.map(|path| path.display().to_string())
        };
        let mut variables = vec![("HOME", "/usr")];
        assert_eq!(state_dir(&variables).unwrap(), "/usr/.local/state/metrics-push");
        variables.push(("XDG_STATE_HOME", "/xdg"));
        assert_eq!(state_dir(&variables).unwrap(), "/xdg/metrics-push");
        variables.push(("STATE_DIRECTORY", "/var/lib/a:/var/lib/b"));
        assert_eq!(state_dir(&variables).unwrap(), "/var/lib/a");
        variables.push(("METRICS_PUSH_STATE_DIR", "/own"));
        assert_eq!(state_dir(&variables).unwrap(), "/own");
        variables.pop();
        for off in ["off", "OFF"] {
            variables.push(("METRICS_PUSH_STATE_DIR", off));
            assert_eq!(state_dir(&variables), None);
            variables.pop();
        }
        assert_eq!(state_dir(&[("HOME", "relative")]), None);
    }

    #[test]
    fn a_home_that_does_not_exist_is_not_made() {
        // What system users have.
        assert_eq!(read(&[("HOME", "/nonexistent")]).0.state_dir, None);
    }

    #[test]
    fn a_state_directory_that_depends_on_where_the_job_starts_is_refused() {
        for relative in ["state", "~/state", "true"] {
            let (config, problems) = read(&[("METRICS_PUSH_STATE_DIR", relative)]);
            assert_eq!(config.state_dir, None, "{relative}");
            assert!(problems[0].contains("absolute"), "{problems:?}");
        }
    }

    #[test]
    fn good_urls_hold_beside_a_bad_one() {
        let (config, problems) = read(&[("METRICS_PUSH_URL", "a:1,ftp://b,c:3")]);
        assert_eq!(config.urls, ["a:1", "c:3"].map(RawUrl::new));
        assert!(problems[0].contains("ftp://b"), "{problems:?}");
    }

    #[test]
    fn headers_that_can_not_be_sent_are_left_out() {
        for headers in
            ["bad name=1", "X-Note=a\u{7}b", "Content-Length=5", "transfer-encoding=chunked"]
        {
            let (config, problems) = read(&[("METRICS_PUSH_HEADERS", headers)]);
            assert!(config.headers.is_empty(), "{headers}");
            assert!(problems[0].contains("METRICS_PUSH_HEADERS"), "{problems:?}");
        }
    }

    #[test]
    fn nothing_set_pushes_nowhere_and_disabled_beats_a_url() {
        let (config, problems) = read(&[]);
        assert!(problems.is_empty() && config.targets().unwrap().is_empty());
        let (config, _) = read(&[("METRICS_PUSH_URL", "a:1"), ("METRICS_PUSH_DISABLED", "1")]);
        assert!(config.targets().unwrap().is_empty());
    }

    #[test]
    fn a_password_without_a_user_is_refused() {
        let (config, _) = read(&[("METRICS_PUSH_URL", "a:1"), ("METRICS_PUSH_PASSWORD", "x")]);
        assert!(config.targets().unwrap_err().to_string().contains("METRICS_PUSH_USERNAME"));
        let (config, _) = read(&[("METRICS_PUSH_PASSWORD", "x")]);
        assert!(config.targets().unwrap().is_empty(), "nobody asks for a password");
    }
}
