//! Compares [`Exposition`] with the parser of the real gateway, by generated texts: what one accepts, the other accepts, with
//! the same series. The documentation of `Exposition` lists the deliberate differences.

use std::cell::Cell;
use std::time::{Duration, Instant};

use metrics_push::{Exposition, Gateway, GroupingKey};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use crate::http::send;
use crate::real::Pushgateway;

/// The time after which the test skips the remaining texts.
const MAX_TEST_TIME: Duration = Duration::from_secs(20);

/// Parts of the messages for texts that the gateway accepts, in the order of the documentation of `Exposition`.
const DELIBERATE: [&str; 9] = [
    "has a sample without a suffix",
    "has no numeric label",
    "has the label \"le\"",
    "has the label \"quantile\"",
    "duplicate series",
    "duplicate label",
    "invalid label name \"__",
    "is reserved by the gateway",
    "invalid metric type \"gauge_histogram\"",
];

fn select(choices: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(choices)
}

fn any_blank() -> impl Strategy<Value = &'static str> {
    select(&[" ", " ", " ", "\t", "  ", " \t", "\t "])
}

fn any_optional_blank() -> impl Strategy<Value = &'static str> {
    select(&["", "", "", " ", "\t", "  "])
}

fn any_name() -> impl Strategy<Value = &'static str> {
    select(&[
        "m",
        "m",
        "m",
        "h",
        "h_count",
        "h_sum",
        "h_bucket",
        "m_count",
        "m_sum",
        "m_bucket",
        "m_count_sum",
        ":m",
        "_",
        "m1",
        "push_time_seconds",
        "1m",
        "m-n",
        "m.n",
        "é",
    ])
}

fn any_value() -> impl Strategy<Value = &'static str> {
    select(&[
        "1",
        "2",
        "0",
        "-1",
        "+1.5",
        ".5",
        "5.",
        "1e3",
        "1E-3",
        "NaN",
        "nan",
        "NAN",
        "-nan",
        "+NaN",
        "Inf",
        "+Inf",
        "-inf",
        "infinity",
        "+INFINITY",
        "infinit",
        "1e308",
        "1e309",
        "-1e999",
        "1e-999",
        "0x10",
        "0x1p2",
        "1_0",
        "1,5",
        "--1",
        "",
        "one",
        "9007199254740993",
        "1 2",
        "1 x",
        "1 1700000000000",
    ])
}

fn any_label_value() -> impl Strategy<Value = &'static str> {
    select(&[
        "1", "2", "", "a b", "é", r"\\", r"\n", r#"\""#, r"C:\data", r"\", "a}b", "a{b", "a,b=",
        "#", "0.5", "+Inf", "NaN", "1.0", "-inf", "x\ty", "1e999",
    ])
}

fn any_labels() -> impl Strategy<Value = String> {
    let name = select(&[
        "a", "a", "b", "_c", "le", "le", "quantile", "9", "a-b", "", "__name__", "__x", "A1",
    ]);
    let label =
        (any_optional_blank(), name, any_optional_blank(), any_label_value(), any_optional_blank())
            .prop_map(|(before, name, equals, value, after)| {
                format!("{before}{name}{equals}={equals}\"{value}\"{after}")
            });
    let labels = prop::collection::vec(label, 0..3);
    let end = select(&["", "", "", ",", ", ", " ", ",,"]);
    prop_oneof![
        2 => Just(String::new()),
        4 => (labels, end).prop_map(|(labels, end)| format!("{{{}{end}}}", labels.join(","))),
        1 => select(&["{", "{}", "{ }", "{,}", "{a}", "{a=1}", "{a=\"1}", "{a=\"1\"", "{a=\"1\" b=\"2\"}", "{a=\"1\"x}"])
            .prop_map(str::to_owned),
    ]
}

fn any_help() -> impl Strategy<Value = &'static str> {
    select(&["a help text", r"C:\data", r"\\ and \n", r"ends with \", "\"quoted\"", "two  blanks"])
}

fn any_comment() -> impl Strategy<Value = String> {
    let keyword = select(&["TYPE", "TYPE", "TYPE", "HELP", "HELP", "EOF", "UNIT", "help", ""]);
    let text = select(&[
        "counter",
        "gauge",
        "Gauge",
        "HISTOGRAM",
        "histogram",
        "histogram",
        "summary",
        "summary",
        "untyped",
        "unknown",
        "info",
        "",
        "a help text",
        r"C:\data",
        r"\\ and \n",
        r"ends with \",
        "\"quoted\"",
        "two  blanks",
    ]);
    (any_optional_blank(), keyword, any_blank(), any_name(), any_blank(), text).prop_map(
        |(before, keyword, first, name, second, text)| match text {
            "" => format!("#{before}{keyword}{first}{name}"),
            text => format!("#{before}{keyword}{first}{name}{second}{text}"),
        },
    )
}

fn any_line() -> impl Strategy<Value = String> {
    let sample =
        (any_optional_blank(), any_name(), any_optional_blank(), any_labels(), any_value())
            .prop_map(|(before, name, after, labels, value)| {
                format!("{before}{name}{after}{labels} {value}")
            });
    let simple = (select(&["m", "h", "h_sum", "h_count", "s", "s_sum"]), any_value())
        .prop_map(|(name, value)| format!("{name} {value}"));
    let bucket = (select(&["h_bucket", "m_bucket"]), any_label_value(), select(&["1", "2"]))
        .prop_map(|(name, bound, count)| format!("{name}{{le=\"{bound}\"}} {count}"));
    let quantile = (select(&["m", "s"]), any_label_value())
        .prop_map(|(name, rank)| format!("{name}{{quantile=\"{rank}\"}} 1"));
    let typed = (
        select(&["m", "h", "h", "s", "h_count", "s_sum"]),
        select(&["gauge", "histogram", "summary", "COUNTER"]),
    )
        .prop_map(|(name, word)| format!("# TYPE {name} {word}"));
    let described = (select(&["m", "h", "s"]), any_help())
        .prop_map(|(name, help)| format!("# HELP {name} {help}"));
    // Bounds where none belong.
    let bounded = (
        select(&["h_count", "h_sum", "s_count", "s_sum"]),
        select(&["le", "quantile"]),
        any_label_value(),
    )
        .prop_map(|(name, label, bound)| format!("{name}{{{label}=\"{bound}\"}} 1"));
    prop_oneof![
        3 => sample,
        3 => simple,
        2 => bucket,
        1 => quantile,
        3 => typed,
        1 => described,
        1 => bounded,
        2 => any_comment(),
        1 => select(&["", " ", "#", "# ", "##", "# a comment", "a 1 # a comment", "a", "{\"m.n\"} 1"]).prop_map(str::to_owned),
    ]
}

fn any_text() -> impl Strategy<Value = String> {
    let line = (any_line(), select(&["", "", "", "", "", " ", "\t", "\r", " \r"]))
        .prop_map(|(line, end)| line + end);
    let lines = prop::collection::vec(line, 1..6);
    (select(&["", "", "", "\u{feff}"]), lines, select(&["", "\n"]))
        .prop_map(|(start, lines, end)| format!("{start}{}{end}", lines.join("\n")))
}

/// Replaces the forms that only `Exposition` accepts: the byte order mark, the ends of lines, and backslashes in help texts.
fn strict(text: &str) -> String {
    let lines = text.trim_start_matches('\u{feff}').split('\n').map(|line| {
        let line = line.strip_suffix('\r').unwrap_or(line);
        match line.trim_start_matches([' ', '\t']).strip_prefix('#') {
            Some(comment) if comment.trim_start().starts_with("HELP") => escape(line),
            _ => line.trim_end_matches([' ', '\t']).to_owned(),
        }
    });
    lines.map(|line| line + "\n").collect()
}

/// Escapes the backslashes that are not part of an escape sequence of help texts.
fn escape(help: &str) -> String {
    let mut escaped = String::new();
    let mut characters = help.chars().peekable();
    while let Some(character) = characters.next() {
        escaped.push(character);
        if character == '\\' {
            escaped.push(characters.next_if(|next| matches!(next, 'n' | '\\')).unwrap_or('\\'));
        }
    }
    escaped
}

/// Pushes a text without any check. Returns the error of the gateway.
fn push_raw(gateway: &Pushgateway, text: &str) -> Result<(), String> {
    let response = send(gateway.address(), "PUT", "/metrics/job/x", text.as_bytes()).unwrap();
    if response.status == 200 { Ok(()) } else { Err(response.text()) }
}

/// Returns the samples of the group, with their comments, and deletes it.
fn take_series(gateway: &Pushgateway) -> Vec<String> {
    let metrics = send(gateway.address(), "GET", "/metrics", b"").unwrap().text();
    let own =
        metrics.lines().filter(|line| line.contains("job=\"x\"") && !line.starts_with("push_"));
    // Prometheus does not distinguish an empty label from a missing one.
    let mut series: Vec<_> = own
        .map(|line| {
            ["a", "b", "_c", "A1", "le", "quantile"].iter().fold(line.to_owned(), |line, label| {
                line.replace(&format!(",{label}=\"\""), "")
                    .replace(&format!("{{{label}=\"\","), "{")
            })
        })
        .collect();
    series.sort();
    let key = GroupingKey::new("x").unwrap();
    Gateway::new(gateway.url()).unwrap().delete(&key).unwrap();
    series
}

/// How both read a text.
#[derive(Clone, Copy)]
enum Agreement {
    Accepted,
    Rejected,
    Deliberate,
}

/// Compares how the gateway reads a text with how `Exposition` reads it.
fn compare(gateway: &Pushgateway, text: &str) -> Result<Agreement, String> {
    let strict = strict(text);
    let raw = push_raw(gateway, &strict);
    let expected = take_series(gateway);
    let exposition = match text.parse::<Exposition>() {
        Ok(exposition) => exposition,
        Err(error) => {
            let message = error.to_string();
            let is_deliberate = DELIBERATE.iter().any(|part| message.contains(part))
                || message.contains("invalid metric name") && is_joined(&message);
            return match raw {
                Ok(()) if is_deliberate => Ok(Agreement::Deliberate),
                Ok(()) => Err(format!("only Exposition rejects {text:?}: {message}")),
                Err(_) => Ok(Agreement::Rejected),
            };
        }
    };
    if exposition.is_empty() {
        let accepted = raw.map(|()| Agreement::Accepted);
        return accepted.map_err(|error| format!("only the gateway rejects {text:?}: {error}"));
    }
    let key = GroupingKey::new("x").unwrap();
    let pushed = Gateway::new(gateway.url()).unwrap().push(&key, &exposition);
    pushed.map_err(|error| format!("Exposition accepts {text:?}: {error:?}"))?;
    let sent = take_series(gateway);
    match raw {
        Err(error) => Err(format!("only the gateway rejects {strict:?}: {error}")),
        Ok(()) if sent == expected => Ok(Agreement::Accepted),
        Ok(()) => Err(format!("{text:?}:\nsent: {sent:?}\nexpected: {expected:?}")),
    }
}

/// Returns true if the invalid name in a message is a name with a value directly behind it.
fn is_joined(message: &str) -> bool {
    let name = message.split('"').nth(1).unwrap_or_default();
    name.contains(['-', '.', '+', 'é'])
}

#[test]
fn exposition_accepts_what_the_gateway_accepts() {
    let gateway = Pushgateway::start();
    for text in [
        "# HELP\ta\tx\na 1\n",
        "#  TYPE  a  GAUGE\na 1\n",
        "# HELP\n# TYPE\n# TYPE a\na 1\n",
        "#EOF\n# EOF of this\na 1\n",
        "# HELP r Size of C:\\data\nr 1\n",
        "# TYPE s_sum gauge\n# TYPE s summary\ns_sum 1\n",
        "# TYPE h histogram\nh_count 1\nh_count{le=\"f\"} 1\n",
        "# TYPE h_count counter\nh_count 5\n# TYPE h histogram\nh_sum 1\n",
        "h_bucket{le=\"1\"} 1\n# TYPE h histogram\nh_sum 1\n",
        "# TYPE g gauge_histogram\ng 1\n",
        "# TYPE g gauge_histogram\ng_count 1\n",
        "\u{feff}a{b=\"1\"}2\r\n",
        "r -nan\n",
    ] {
        compare(&gateway, text).unwrap();
    }
}

#[test]
fn generated_expositions_are_read_as_by_the_gateway() {
    let gateway = Pushgateway::start();
    let start = Instant::now();
    let config = Config {
        cases: 3_000,
        rng_seed: RngSeed::Fixed(14),
        failure_persistence: None,
        ..Config::default()
    };
    let counts = [0_u32; 3].map(Cell::new);
    let outcome = TestRunner::new(config).run(&any_text(), |text| {
        if start.elapsed() > MAX_TEST_TIME {
            return Ok(());
        }
        let agreement = compare(&gateway, &text).map_err(TestCaseError::fail)?;
        let count = &counts[agreement as usize];
        count.set(count.get() + 1);
        Ok(())
    });
    outcome.unwrap();
    let counts = counts.map(Cell::into_inner);
    println!("accepted, rejected, deliberately rejected: {counts:?}");
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
}
