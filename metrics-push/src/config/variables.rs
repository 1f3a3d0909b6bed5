//! The table of environment variables. Only this file reads settings from the environment.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Config;
use super::connection::{ConnectionSettings, PASSWORD, PASSWORD_FILE, TOKEN, TOKEN_FILE, USERNAME};
use super::duration::parse_duration;
use super::sink_config::{SinkConfig, split_urls};
use crate::error::Error;
use crate::history::TotalsPolicy;
use crate::http::{
    ConfigFile, ProxySettings, Secret, SecretSource, check_headers, check_server_name,
};
use crate::labels::GroupingKey;
use crate::sink::{GatewayKind, RemoteWriteVersion, SaslMechanism};
use crate::state_dir::StateDirPath;

/// An environment variable.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Variable {
    /// The name.
    pub name: &'static str,
    /// An example of a value.
    pub example: &'static str,
    /// The setting that the variable changes.
    pub meaning: &'static str,
    setting: Setting,
}

/// The setting that a variable changes.
#[derive(Clone, Copy, Debug)]
enum Setting {
    Config(fn(&mut Config, &str) -> Result<(), Error>),
    /// A setting of the connection to one sink. A variable whose name ends with an underscore and the number of a sink in
    /// the list of URLs applies to that sink. The last argument is the name of the variable.
    Connection(fn(&mut ConnectionSettings, &str, &str) -> Result<(), Error>),
}

impl Variable {
    /// Returns true if the variable can be set for a single sink, by appending an underscore and the number of the sink in
    /// `METRICS_PUSH_URL`, as in `METRICS_PUSH_TOKEN_2`.
    #[must_use]
    pub fn is_per_sink(&self) -> bool {
        matches!(self.setting, Setting::Connection(_))
    }
}

/// The variables in the order of the documentation. They are applied in this order.
static ALL: &[Variable] = &[
    Variable {
        name: URL,
        example: "http://gateway:9091",
        meaning: "the URL of the gateway, or of another sink; separate several with commas. Default: `PUSHGATEWAY_URL`. Without a URL, nothing is pushed",
        setting: Setting::Config(Config::add_urls),
    },
    Variable {
        name: "METRICS_PUSH_JOB",
        example: "nightly_import",
        meaning: "the `job` label of a `main` with `#[push_job]`",
        setting: Setting::Config(|config, value| {
            config.job = Some(GroupingKey::new(value)?.job().to_owned());
            Ok(())
        }),
    },
    Variable {
        name: "METRICS_PUSH_INSTANCE",
        example: "worker-1",
        meaning: "the `instance` label of every run. Default: no label, unless the attribute adds it",
        setting: Setting::Config(|config, value| {
            config.grouping.insert("instance".into(), value.into());
            Ok(())
        }),
    },
    Variable {
        name: "METRICS_PUSH_GROUPING",
        example: "region=eu,shard=2",
        meaning: "further grouping labels of every run",
        setting: Setting::Config(|config, value| {
            for (name, value) in parse_pairs(value)? {
                config.set_label(&name, &value)?;
            }
            Ok(())
        }),
    },
    Variable {
        name: "METRICS_PUSH_TIMEOUT",
        example: "10s",
        meaning: "the timeout for delivering the outcome of a run. Default: 10 s",
        setting: Setting::Config(|config, value| {
            config.timeout = parse_duration(value)?;
            Ok(())
        }),
    },
    Variable {
        name: USERNAME,
        example: "batch",
        meaning: "the user for basic authentication",
        setting: Setting::Connection(|connection, value, _| {
            connection.username = Some(value.into());
            Ok(())
        }),
    },
    Variable {
        name: PASSWORD,
        example: "…",
        meaning: "the password for basic authentication",
        setting: Setting::Connection(|connection, value, _| {
            connection.password = Some(SecretSource::Value(Secret::new(value)));
            Ok(())
        }),
    },
    Variable {
        name: PASSWORD_FILE,
        example: "/run/secrets/password",
        meaning: "a file with the password, read before every push",
        setting: Setting::Connection(|connection, value, name| {
            connection.password_file =
                Some(SecretSource::File(ConfigFile::from_variable(name, value)));
            Ok(())
        }),
    },
    Variable {
        name: TOKEN,
        example: "…",
        meaning: "a bearer token",
        setting: Setting::Connection(|connection, value, _| {
            connection.token = Some(SecretSource::Value(Secret::new(value)));
            Ok(())
        }),
    },
    Variable {
        name: TOKEN_FILE,
        example: "/run/secrets/token",
        meaning: "a file with the bearer token, read before every push",
        setting: Setting::Connection(|connection, value, name| {
            connection.token_file =
                Some(SecretSource::File(ConfigFile::from_variable(name, value)));
            Ok(())
        }),
    },
    Variable {
        name: "METRICS_PUSH_HEADERS",
        example: "X-Scope-OrgID=team,X-Trace=on",
        meaning: "further request headers",
        setting: Setting::Connection(|connection, value, _| {
            let headers = parse_pairs(value)?.into_iter();
            let headers: Vec<_> = headers.map(|(name, value)| (name, Secret::new(value))).collect();
            check_headers(&headers)?;
            connection.headers.extend(headers);
            Ok(())
        }),
    },
    Variable {
        name: CA_FILE,
        example: "/etc/ssl/gateway-ca.pem",
        meaning: "certificates to trust in addition to those of the system",
        setting: Setting::Connection(|connection, value, name| {
            connection.ca_file = Some(ConfigFile::from_variable(name, value));
            Ok(())
        }),
    },
    Variable {
        name: CERT_FILE,
        example: "/etc/ssl/job.pem",
        meaning: "the client certificate with its chain",
        setting: Setting::Connection(|connection, value, name| {
            connection.cert_file = Some(ConfigFile::from_variable(name, value));
            Ok(())
        }),
    },
    Variable {
        name: KEY_FILE,
        example: "/etc/ssl/job.key",
        meaning: "the key of the client certificate",
        setting: Setting::Connection(|connection, value, name| {
            connection.key_file = Some(ConfigFile::from_variable(name, value));
            Ok(())
        }),
    },
    Variable {
        name: "METRICS_PUSH_SERVER_NAME",
        example: "gateway.example",
        meaning: "the name that the gateway's certificate must have. Default: the host of the URL",
        setting: Setting::Connection(|connection, value, _| {
            check_server_name(value)?;
            connection.server_name = Some(value.into());
            Ok(())
        }),
    },
    Variable {
        name: "METRICS_PUSH_GATEWAY_KIND",
        example: "pushgateway",
        meaning: "`aggregating` for a gateway that adds up the values it receives: a request that may have arrived is not sent again. Default: `pushgateway`",
        setting: Setting::Config(|config, value| {
            config.kind = parse_kind(value)?;
            Ok(())
        }),
    },
    Variable {
        name: "METRICS_PUSH_PROTOBUF",
        example: "true",
        meaning: "sends protobuf instead of text: a Pushgateway parses many series faster, but other servers may not support it",
        setting: Setting::Config(|config, value| {
            if parse_bool(value)? {
                config.encoding = config.encoding.protobuf();
            }
            Ok(())
        }),
    },
    Variable {
        name: "METRICS_PUSH_GZIP",
        example: "true",
        meaning: "compresses large bodies; needs the feature `gzip` and Pushgateway 1.5 or newer",
        setting: Setting::Config(|config, value| {
            if parse_bool(value)? {
                config.encoding = config.encoding.gzip()?;
            }
            Ok(())
        }),
    },
    Variable {
        name: "METRICS_PUSH_REMOTE_WRITE",
        example: "2",
        meaning: "the version of remote write to send first; a receiver without 2.0 gets 1.0. Default: `1`",
        setting: Setting::Config(|config, value| {
            config.remote_write = parse_remote_write_version(value)?;
            Ok(())
        }),
    },
    Variable {
        name: "METRICS_PUSH_KAFKA_SASL",
        example: "scram-sha-512",
        meaning: "how the user name and the password are sent to Kafka brokers: `plain`, `scram-sha-256` or `scram-sha-512`. Default: `plain`",
        setting: Setting::Config(|config, value| {
            config.sasl_mechanism = parse_sasl_mechanism(value)?;
            Ok(())
        }),
    },
    Variable {
        name: STATE_DIR,
        example: "/var/lib/metrics-push",
        meaning: "the directory for undelivered outcomes; `off` disables it. Default: `STATE_DIRECTORY`, `XDG_STATE_HOME/metrics-push` or `~/.local/state/metrics-push`",
        setting: Setting::Config(|config, value| {
            config.state_dir = parse_directory(value)?;
            Ok(())
        }),
    },
    Variable {
        name: "METRICS_PUSH_TOTALS",
        example: "on",
        meaning: "`on` exports totals over the runs of every group, `off` of none. Default: of the groups with a label that distinguishes machines, such as `instance`",
        setting: Setting::Config(|config, value| {
            config.totals = if parse_bool(value)? { TotalsPolicy::On } else { TotalsPolicy::Off };
            Ok(())
        }),
    },
    Variable {
        name: "METRICS_PUSH_DISABLED",
        example: "true",
        meaning: "disables all pushes",
        setting: Setting::Config(|config, value| {
            config.is_disabled = parse_bool(value)?;
            Ok(())
        }),
    },
    Variable {
        name: "METRICS_PUSH_DRY_RUN",
        example: "true",
        meaning: "writes to stderr what would be pushed, and pushes nothing",
        setting: Setting::Config(|config, value| {
            config.is_dry_run = parse_bool(value)?;
            Ok(())
        }),
    },
];

const PREFIX: &str = "METRICS_PUSH_";
/// Kubernetes sets variables with these prefixes if a service is named `metrics-push`.
const SERVICE_PREFIXES: [&str; 2] = ["METRICS_PUSH_PORT", "METRICS_PUSH_SERVICE_"];
/// The variable that a supervisor sets for its job. It is not a setting.
pub(crate) const SUPERVISOR_VARIABLE: &str = "METRICS_PUSH_SUPERVISOR";
/// The variable with the id of the run for the command of `Run::exec`. It is not a setting.
pub(crate) const RUN_ID_VARIABLE: &str = "METRICS_PUSH_RUN_ID";
/// The variables that the library sets.
const INTERNAL: [&str; 2] = [SUPERVISOR_VARIABLE, RUN_ID_VARIABLE];
const URL: &str = "METRICS_PUSH_URL";
const CA_FILE: &str = "METRICS_PUSH_CA_FILE";
const CERT_FILE: &str = "METRICS_PUSH_CERT_FILE";
const KEY_FILE: &str = "METRICS_PUSH_KEY_FILE";
const STATE_DIR: &str = "METRICS_PUSH_STATE_DIR";
/// The variable that other Pushgateway clients use for the URL.
const FALLBACK_URL: &str = "PUSHGATEWAY_URL";

/// Returns the state directory that systemd sets, that of the XDG base directory specification, or that in the home
/// directory.
fn default_state_dir(value_of: &impl Fn(&str) -> Option<OsString>) -> StateDirPath {
    let within = |base: OsString, below: &str| {
        let base = PathBuf::from(base);
        // A relative path would depend on the working directory.
        base.is_absolute().then(|| base.join(below))
    };
    // The home directory of a system user often does not exist, and must not be created.
    let home = || value_of("HOME").filter(|home| Path::new(home).is_dir());
    let systemd = || std::env::split_paths(&value_of("STATE_DIRECTORY")?).next();
    systemd()
        .or_else(|| within(value_of("XDG_STATE_HOME")?, "metrics-push"))
        .or_else(|| within(home()?, ".local/state/metrics-push"))
        .map_or(StateDirPath::Disabled, StateDirPath::Default)
}

/// Returns the value of an environment variable of the process.
fn process_variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Returns the proxy variables of the environment.
pub(crate) fn proxy_settings() -> ProxySettings {
    ProxySettings::from_variables(|name| process_variable(name)?.into_string().ok())
}

impl Config {
    /// Returns the variables that [`from_env`](Self::from_env) reads.
    #[must_use]
    pub fn variables() -> &'static [Variable] {
        ALL
    }

    /// Reads the environment. Returns the configuration, and an error for each invalid value and each unknown variable
    /// whose name starts with `METRICS_PUSH_`, which are skipped.
    #[must_use]
    pub fn from_env() -> (Self, Vec<Error>) {
        // One copy of the environment, which `std` makes in any case, is cheaper than a search for each variable. Few
        // variables are looked up, so the copy is not sorted.
        let set = non_empty_variables();
        let (config, mut errors) = Self::from_variables(|name| value_in(&set, name));
        errors.extend(check_names(&set, sink_count(&set)));
        (config, errors)
    }

    /// Like [`from_env`](Self::from_env), but calls `look_up` for the value of each variable.
    ///
    /// ```
    /// let variables = |name: &str| (name == "METRICS_PUSH_TIMEOUT").then(|| "soon".into());
    /// let (_, errors) = metrics_push::Config::from_variables(variables);
    /// assert!(errors[0].to_string().contains("METRICS_PUSH_TIMEOUT"));
    /// ```
    #[must_use]
    pub fn from_variables(look_up: impl Fn(&str) -> Option<OsString>) -> (Self, Vec<Error>) {
        let mut errors = Vec::new();
        // Many deployments set a variable to an empty value to unset it.
        let value_of = |name: &str| look_up(name).filter(|value| !value.is_empty());
        let mut config = Self { state_dir: default_state_dir(&value_of), ..Self::default() };
        let mut apply = |name: &str, set: &mut dyn FnMut(&str) -> Result<(), Error>| {
            let Some(value) = value_of(name) else { return };
            let text = value.to_str().ok_or_else(|| Error::config("the value is not UTF-8"));
            let result = text.and_then(|text| unquoted(text.trim())).and_then(set);
            errors.extend(result.map_err(|error| error.at("variable", name)).err());
        };
        for variable in ALL {
            let name = variable.name;
            match variable.setting {
                Setting::Config(set) => {
                    let is_fallback = name == URL && value_of(URL).is_none();
                    let name = if is_fallback { FALLBACK_URL } else { name };
                    apply(name, &mut |text| set(&mut config, text));
                }
                Setting::Connection(set) => {
                    apply(name, &mut |text| set(&mut config.connection, text, name));
                    for SinkConfig { connection, .. } in &mut config.sinks {
                        let name = [name, &connection.suffix].concat();
                        apply(&name, &mut |text| set(connection, text, &name));
                    }
                }
            }
        }
        (config, errors)
    }
}

/// Returns an error for each variable of the environment that [`Config::from_env`] reports as unknown. A variable of
/// one sink, such as `METRICS_PUSH_TOKEN_2`, is known if the environment or `urls` lists that many URLs.
#[must_use]
pub fn unknown_variables(urls: &str) -> Vec<Error> {
    let set = non_empty_variables();
    check_names(&set, sink_count(&set).max(split_urls(urls).count()))
}

/// Returns the variables of the environment that have a value.
fn non_empty_variables() -> Vec<(OsString, OsString)> {
    std::env::vars_os().filter(|(_, value)| !value.is_empty()).collect()
}

fn value_in(set: &[(OsString, OsString)], name: &str) -> Option<OsString> {
    let (_, value) = set.iter().find(|(known, _)| known == name)?;
    Some(value.clone())
}

/// Returns the number of URLs in `METRICS_PUSH_URL`, or else in `PUSHGATEWAY_URL`.
fn sink_count(set: &[(OsString, OsString)]) -> usize {
    let urls = value_in(set, URL).or_else(|| value_in(set, FALLBACK_URL));
    urls.map_or(0, |urls| split_urls(&urls.to_string_lossy()).count())
}

/// Checks the names of the variables. `sinks` is the number of URLs in the list.
fn check_names(set: &[(OsString, OsString)], sinks: usize) -> Vec<Error> {
    let names = set.iter().map(|(name, _)| name.to_string_lossy());
    names.filter_map(|name| check_name(&name, sinks).err()).collect()
}

/// Checks the name of a variable, if it starts like those of this library. `sinks` is the number of URLs in the list.
///
/// # Errors
/// `is_config` if the name is unknown, with the nearest one that is known, or if it is for a sink that is not in the list.
fn check_name(name: &str, sinks: usize) -> Result<(), Error> {
    let mut known = ALL.iter().map(|variable| variable.name).chain(INTERNAL);
    let is_of_service = SERVICE_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    if !name.starts_with(PREFIX) || is_of_service || known.any(|known| known == name) {
        return Ok(());
    }
    if let Some((base, number)) = split_number(name)
        && ALL.iter().any(|variable| variable.is_per_sink() && variable.name == base)
    {
        if (1..=sinks).contains(&number) {
            return Ok(());
        }
        return Err(Error::config(format!("unknown sink {number} of {sinks}"))
            .at("variable", name)
            .remedy(format!("append the number of a URL in {URL}, counted from 1")));
    }
    let nearest = ALL.iter().map(|variable| variable.name).min_by_key(|known| edits(known, name));
    Err(Error::config(format!("unknown variable {name:?}"))
        .remedy(format!("check the name: the nearest one is {}", nearest.unwrap_or(URL))))
}

/// Splits the name of a variable for one sink into the name for all sinks and the number of the sink.
fn split_number(name: &str) -> Option<(&str, usize)> {
    let (base, number) = name.rsplit_once('_')?;
    Some((base, number.parse().ok()?))
}

/// Returns the number of characters to insert, delete or replace to turn one text into the other (Levenshtein distance).
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<_> = to.chars().collect();
    // The distances between the part of `from` that is already read and each prefix of `to`.
    let mut distances: Vec<_> = (0..=to.len()).collect();
    for (row, expected) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut distances[0], row + 1);
        for (column, found) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(*found != expected);
            diagonal = distances[column + 1];
            distances[column + 1] = replaced.min(diagonal + 1).min(distances[column] + 1);
        }
    }
    distances[to.len()]
}

/// Returns the value, unless it is in quotes. Shells remove quotes; the env files of containers do not.
///
/// # Errors
/// `is_config` if the value is in quotes.
fn unquoted(text: &str) -> Result<&str, Error> {
    let is_quoted = ['"', '\'']
        .into_iter()
        .any(|quote| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote));
    if is_quoted {
        return Err(Error::config("the value is in quotes")
            .remedy("remove the quotes: the env file of a container keeps them"));
    }
    Ok(text)
}

/// Parses `name=value` pairs separated by commas.
fn parse_pairs(text: &str) -> Result<Vec<(String, String)>, Error> {
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
        _ => Err(Error::config(format!("unknown kind of gateway {value:?}"))
            .remedy("use pushgateway or aggregating")),
    }
}

fn parse_remote_write_version(value: &str) -> Result<RemoteWriteVersion, Error> {
    match value {
        "1" | "1.0" => Ok(RemoteWriteVersion::V1),
        "2" | "2.0" => Ok(RemoteWriteVersion::V2),
        _ => Err(Error::config(format!("invalid version of remote write {value:?}"))
            .remedy("write 1 or 2")),
    }
}

fn parse_sasl_mechanism(value: &str) -> Result<SaslMechanism, Error> {
    let all = [SaslMechanism::Plain, SaslMechanism::ScramSha256, SaslMechanism::ScramSha512];
    let mechanism = all.into_iter().find(|it| it.as_str().eq_ignore_ascii_case(value));
    mechanism.ok_or_else(|| {
        Error::config(format!("unknown SASL mechanism {value:?}"))
            .remedy("write plain, scram-sha-256 or scram-sha-512")
    })
}

fn parse_bool(text: &str) -> Result<bool, Error> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err(Error::config(format!("invalid boolean {text:?}")).remedy("write true or false")),
    }
}

/// Parses an absolute path, or `off`.
fn parse_directory(text: &str) -> Result<StateDirPath, Error> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(StateDirPath::Disabled);
    }
    let directory = PathBuf::from(text);
    if directory.is_relative() {
        return Err(Error::config(format!("invalid directory {text:?}: the path is relative"))
            .remedy("write an absolute path, or off"));
    }
    Ok(StateDirPath::Configured(directory))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::DEFAULT_TIMEOUT;
    use super::*;
    use crate::clock::Moment;
    use crate::http::Auth;
    use crate::sink;
    use crate::sink::pushgateway::Encoding;

    fn read(variables: &[(&str, &str)]) -> (Config, Vec<String>) {
        let (config, errors) = Config::from_variables(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        });
        (config, errors.iter().map(ToString::to_string).collect())
    }

    fn urls(config: &Config) -> Vec<&str> {
        config.sinks.iter().map(|sink| sink.url.as_str()).collect()
    }

    #[test]
    fn every_variable_is_applied() {
        let examples: Vec<_> = ALL.iter().map(|v| (v.name, v.example)).collect();
        let (config, errors) = read(&examples);
        // One variable needs the feature `gzip`.
        let unsupported = usize::from(Encoding::default().gzip().is_err());
        assert_eq!(errors.len(), unsupported, "{errors:?}");
        let text = format!("{config:?}");
        for expected in
            ["gateway:9091", "nightly_import", "worker-1", "\"shard\": \"2\"", "10s", "batch"]
        {
            assert!(text.contains(expected), "{expected} in {text}");
        }
        assert!(config.is_disabled && config.is_dry_run && config.connection.token.is_some());
        assert_eq!(config.connection.headers.len(), 2);
        let connection = &config.connection;
        let files = [&connection.ca_file, &connection.cert_file, &connection.key_file];
        assert!(files.iter().all(|file| file.is_some()));
    }

    #[test]
    fn invalid_value_is_reported_and_others_are_applied() {
        let (config, errors) = read(&[
            ("METRICS_PUSH_URL", "http://gateway/?x=1"),
            ("METRICS_PUSH_TIMEOUT", "soon"),
            ("METRICS_PUSH_GROUPING", "a=1,b"),
            ("METRICS_PUSH_DISABLED", "maybe"),
            ("METRICS_PUSH_INSTANCE", "one"),
        ]);
        let names = ["URL", "GROUPING", "TIMEOUT", "DISABLED"].map(|n| format!("METRICS_PUSH_{n}"));
        assert_eq!(errors.len(), names.len(), "{errors:?}");
        for (error, name) in errors.iter().zip(names) {
            assert!(error.contains(&name), "{error}");
        }
        assert_eq!(config.timeout, DEFAULT_TIMEOUT);
        assert_eq!(config.grouping["instance"], "one");
    }

    #[test]
    fn unknown_name_is_reported_with_the_nearest_one() {
        for (name, nearest) in [
            ("METRICS_PUSH_TIMEOT", "METRICS_PUSH_TIMEOUT"),
            ("METRICS_PUSH_TIMOUT", "METRICS_PUSH_TIMEOUT"),
            ("METRICS_PUSH_PASWORD_FILE", "METRICS_PUSH_PASSWORD_FILE"),
            ("METRICS_PUSH_STATEDIR", "METRICS_PUSH_STATE_DIR"),
            ("METRICS_PUSH_url", "METRICS_PUSH_URL"),
            ("METRICS_PUSH_HEADER", "METRICS_PUSH_HEADERS"),
            ("METRICS_PUSH_é", "METRICS_PUSH_URL"),
            ("METRICS_PUSH_", "METRICS_PUSH_URL"),
        ] {
            let error = check_name(name, 2).unwrap_err().to_string();
            assert!(error.contains(name) && error.ends_with(nearest), "{error}");
        }
    }

    #[test]
    fn known_and_foreign_names_are_not_reported() {
        let known = ALL.iter().map(|variable| variable.name);
        let foreign = ["METRICS_PUSHER", "PATH", ""];
        let of_service = ["METRICS_PUSH_PORT_9091_TCP", "METRICS_PUSH_SERVICE_HOST"];
        for name in known
            .chain(["METRICS_PUSH_SUPERVISOR", "METRICS_PUSH_RUN_ID"])
            .chain(foreign)
            .chain(of_service)
        {
            assert!(check_name(name, 2).is_ok(), "{name}");
        }
    }

    /// Returns the authentication of each sink.
    fn auths(config: &Config) -> Vec<Auth> {
        config.targets().unwrap().into_iter().map(|target| target.transport.auth).collect()
    }

    fn bearer(token: &str) -> Auth {
        Auth::Bearer(SecretSource::Value(Secret::new(token)))
    }

    #[test]
    fn variable_with_a_number_is_for_one_sink() {
        let (config, errors) = read(&[
            ("METRICS_PUSH_URL", "a:1,b:2,c:3"),
            ("METRICS_PUSH_TOKEN", "shared"),
            ("METRICS_PUSH_TOKEN_2", "own"),
            ("METRICS_PUSH_USERNAME_3", "user"),
            ("METRICS_PUSH_HEADERS_3", "X-Scope-OrgID=team"),
        ]);
        assert!(errors.is_empty(), "{errors:?}");
        let password = SecretSource::Value(Secret::new(""));
        let basic = Auth::Basic { user: "user".into(), password };
        assert_eq!(auths(&config), [bearer("shared"), bearer("own"), basic]);
        let headers = config.targets().unwrap().into_iter().map(|it| it.transport.headers.len());
        assert_eq!(headers.collect::<Vec<_>>(), [0, 0, 1]);
    }

    #[test]
    fn number_of_a_sink_counts_invalid_urls() {
        let (config, errors) = read(&[
            ("METRICS_PUSH_URL", "a:1,ftp://b,c:3"),
            ("METRICS_PUSH_TOKEN_3", "third"),
            ("METRICS_PUSH_TOKEN_2", "second"),
        ]);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(auths(&config), [Auth::None, bearer("third")]);
    }

    #[test]
    fn credentials_of_all_sinks_are_only_for_pushgateways() {
        let textfile = "textfile:///metrics";
        for (urls, expected) in [
            ("a:1,textfile:///metrics", vec![bearer("secret"), Auth::None]),
            ("textfile:///a,textfile:///b", vec![Auth::None, Auth::None]),
            (textfile, vec![bearer("secret")]),
        ] {
            let (config, errors) =
                read(&[("METRICS_PUSH_URL", urls), ("METRICS_PUSH_TOKEN", "secret")]);
            assert!(errors.is_empty(), "{errors:?}");
            assert_eq!(auths(&config), expected, "{urls}");
        }
    }

    #[test]
    fn invalid_value_for_one_sink_is_reported_with_its_number() {
        let (_, errors) =
            read(&[("METRICS_PUSH_URL", "a:1,b:2"), ("METRICS_PUSH_HEADERS_2", "bad name=1")]);
        assert!(errors[0].contains("METRICS_PUSH_HEADERS_2"), "{errors:?}");
        let (config, _) =
            read(&[("METRICS_PUSH_URL", "a:1,b:2"), ("METRICS_PUSH_PASSWORD_2", "x")]);
        let error = config.targets().unwrap_err().to_string();
        assert!(error.ends_with("set METRICS_PUSH_USERNAME_2"), "{error}");
    }

    #[test]
    fn variable_for_a_sink_that_is_not_in_the_list_is_an_error() {
        for (name, is_known) in [
            ("METRICS_PUSH_TOKEN_1", true),
            ("METRICS_PUSH_TOKEN_FILE_2", true),
            ("METRICS_PUSH_TOKEN_3", false),
            ("METRICS_PUSH_TOKEN_0", false),
        ] {
            assert_eq!(check_name(name, 2).is_ok(), is_known, "{name}");
        }
        let error = check_name("METRICS_PUSH_TOKEN_3", 2).unwrap_err().to_string();
        assert!(
            error.starts_with("unknown sink 3 of 2 (variable: METRICS_PUSH_TOKEN_3)"),
            "{error}"
        );
        // This setting is the same for all sinks.
        let error = check_name("METRICS_PUSH_TIMEOUT_2", 2).unwrap_err().to_string();
        assert!(error.contains("the nearest one is METRICS_PUSH_TIMEOUT"), "{error}");
    }

    #[test]
    fn value_in_quotes_is_reported_and_not_applied() {
        for variable in ALL {
            for quote in ["\"", "'"] {
                let value = format!(" {quote}{}{quote} ", variable.example);
                let (config, errors) = read(&[(variable.name, &value)]);
                assert!(errors[0].contains("quotes"), "{errors:?}");
                assert!(errors[0].contains(variable.name), "{errors:?}");
                assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
            }
        }
        for value in ["\"", "it's", "'a", "a\""] {
            let (config, errors) = read(&[("METRICS_PUSH_INSTANCE", value)]);
            assert_eq!((&*config.grouping["instance"], errors.len()), (value, 0));
        }
    }

    #[test]
    fn url_has_a_fallback_and_an_empty_value_is_unset() {
        let (config, _) = read(&[("METRICS_PUSH_URL", ""), ("PUSHGATEWAY_URL", "other:9091")]);
        assert_eq!(urls(&config), ["other:9091"]);
        let (config, _) = read(&[("METRICS_PUSH_URL", "a:1, b:2"), ("PUSHGATEWAY_URL", "c:3")]);
        assert_eq!(urls(&config), ["a:1", "b:2"]);
    }

    #[test]
    fn state_directory_has_defaults() {
        let state_dir = |variables: &[(&str, &str)]| {
            read(variables).0.state_dir.path().map(|path| path.display().to_string())
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
    fn home_directory_that_does_not_exist_is_not_used() {
        assert_eq!(read(&[("HOME", "/nonexistent")]).0.state_dir, StateDirPath::Disabled);
    }

    #[test]
    fn relative_state_directory_is_an_error() {
        for relative in ["state", "~/state", "true"] {
            let (config, errors) = read(&[("METRICS_PUSH_STATE_DIR", relative)]);
            assert_eq!(config.state_dir, StateDirPath::Disabled, "{relative}");
            assert!(errors[0].contains("absolute"), "{errors:?}");
        }
    }

    #[test]
    fn valid_urls_are_applied_beside_an_invalid_one() {
        let (config, errors) = read(&[("METRICS_PUSH_URL", "a:1,ftp://b,c:3")]);
        assert_eq!(urls(&config), ["a:1", "c:3"]);
        assert!(errors[0].contains("ftp://b"), "{errors:?}");
    }

    #[test]
    fn invalid_headers_are_not_applied() {
        for headers in
            ["bad name=1", "X-Note=a\u{7}b", "Content-Length=5", "transfer-encoding=chunked"]
        {
            let (config, errors) = read(&[("METRICS_PUSH_HEADERS", headers)]);
            assert!(config.connection.headers.is_empty(), "{headers}");
            assert!(errors[0].contains("METRICS_PUSH_HEADERS"), "{errors:?}");
        }
    }

    #[test]
    fn too_many_headers_are_an_error() {
        let headers = "X-A=b,".repeat(25_000);
        let distinct: String = (0..25_000).map(|number| format!("X-{number}=b,")).collect();
        for value in [headers, distinct] {
            let (config, errors) =
                read(&[("METRICS_PUSH_HEADERS", &*value), ("METRICS_PUSH_URL", "gateway:9091")]);
            assert!(config.connection.headers.is_empty());
            assert!(errors[0].contains("METRICS_PUSH_HEADERS"), "{errors:?}");
            assert_eq!(config.targets().unwrap().len(), 1);
        }
    }

    /// A value of a variable: an entry or a long list of entries, which may be valid for some variables.
    fn any_value() -> impl Strategy<Value = String> {
        let examples: Vec<_> = ALL.iter().map(|variable| variable.example).collect();
        let entry = prop_oneof![
            "\\PC{0,20}",
            "[a-zA-Z-]{1,8}=[a-z0-9]{0,8}",
            "[0-9.]{1,30}(ms|s|m|h|d)",
            "(http|https|ftp)://[a-z0-9:@.\\[\\]%/?#-]{0,20}",
            proptest::sample::select(examples).prop_map(str::to_owned),
        ];
        let separator = prop_oneof![Just(","), Just(""), Just(" ")];
        let count = prop_oneof![Just(1_usize), 25_000..35_000_usize];
        (entry, separator, count)
            .prop_map(|(entry, separator, count)| format!("{entry}{separator}").repeat(count))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_content_of_the_variables_panics(
            value in any_value(),
            suffix in prop_oneof![Just(Vec::new()), proptest::collection::vec(any::<u8>(), 1..8)],
        ) {
            let raw = os_string(value, suffix);
            let urls = Config::from_variables(|name| (name == URL).then(|| raw.clone()));
            let others = Config::from_variables(|name| {
                Some(if name == URL { "gateway:9091".into() } else { raw.clone() })
            });
            for (config, errors) in [urls, others] {
                for error in errors {
                    prop_assert!(error.to_string().contains("METRICS_PUSH_"), "{}", error);
                }
                let _ = Moment::now().after(config.timeout);
                for target in config.targets().into_iter().flatten().take(10) {
                    let _ = sink::open(&target);
                }
            }
        }
    }

    /// Returns a text followed by bytes that may not be UTF-8, if the platform supports them.
    fn os_string(text: String, bytes: Vec<u8>) -> OsString {
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStringExt as _;

            OsString::from_vec([text.into_bytes(), bytes].concat())
        }
        #[cfg(not(unix))]
        {
            let _ = bytes;
            text.into()
        }
    }

    #[test]
    fn config_without_url_or_with_disabled_has_no_targets() {
        let (config, errors) = read(&[]);
        assert!(errors.is_empty() && config.targets().unwrap().is_empty());
        let (config, _) = read(&[("METRICS_PUSH_URL", "a:1"), ("METRICS_PUSH_DISABLED", "1")]);
        assert!(config.targets().unwrap().is_empty());
    }

    #[test]
    fn password_without_a_user_is_an_error() {
        let (config, _) = read(&[("METRICS_PUSH_URL", "a:1"), ("METRICS_PUSH_PASSWORD", "x")]);
        assert!(config.targets().unwrap_err().to_string().contains("METRICS_PUSH_USERNAME"));
        let (config, _) = read(&[("METRICS_PUSH_PASSWORD", "x")]);
        assert!(config.targets().unwrap().is_empty(), "the password is not needed");
    }
}
