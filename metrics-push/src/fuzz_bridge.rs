//! The fuzz targets: functions that read foreign bytes with the private readers of this crate, and check the result.
//!
//! They exist in unit tests and with `--cfg fuzzing`, which `cargo fuzz` sets. `tests/fuzz` has a program for each.

pub use crate::config::fuzz::{duration, variables};
pub use crate::exposition::fuzz::exposition;
pub use crate::history::fuzz::{history, history_lines};
pub use crate::http::fuzz::{retry_after_header, url};
pub use crate::job::fuzz::journal;
#[cfg(unix)]
pub use crate::job::supervisor_fuzz::supervisor_link;
pub use crate::sink::pushgateway::fuzz::{response, start_time, stored_groups};
pub use crate::spool::fuzz::{outage_record, record, record_fields};
#[cfg(feature = "testing")]
pub use crate::testing::fuzz::{fake_connection, fake_path, fake_protobuf, fake_text};

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::{Duration, Instant};

    use super::*;

    type Target = fn(&[u8]);

    /// The longest time for a megabyte, without optimisation and on a busy machine.
    const MAX_DURATION: Duration = Duration::from_secs(20);

    const TARGETS: &[(&str, Target)] = &[
        ("duration", duration),
        ("exposition", exposition),
        #[cfg(feature = "testing")]
        ("fake_connection", fake_connection),
        #[cfg(feature = "testing")]
        ("fake_path", fake_path),
        #[cfg(feature = "testing")]
        ("fake_protobuf", fake_protobuf),
        #[cfg(feature = "testing")]
        ("fake_text", fake_text),
        ("history", history),
        ("history_lines", history_lines),
        ("journal", journal),
        ("outage_record", outage_record),
        ("record", record),
        ("record_fields", record_fields),
        ("response", response),
        ("retry_after_header", retry_after_header),
        ("start_time", start_time),
        ("stored_groups", stored_groups),
        #[cfg(unix)]
        ("supervisor_link", supervisor_link),
        ("url", url),
        ("variables", variables),
    ];

    /// The inputs of each target, in a folder of its name. The published package does not contain them.
    const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fuzz/corpus");

    #[test]
    fn readers_accept_the_corpus() {
        if !Path::new(CORPUS).is_dir() {
            return;
        }
        for (name, target) in TARGETS {
            let folder = Path::new(CORPUS).join(name);
            let files =
                std::fs::read_dir(&folder).unwrap_or_else(|why| panic!("{folder:?}: {why}"));
            for file in files {
                target(&std::fs::read(file.unwrap().path()).unwrap());
            }
        }
    }

    /// The start of an input, the part that is repeated, and the end.
    type Repeated = (&'static str, &'static str, &'static str);

    /// Inputs that take the longest known time. `#` in the repeated part is a number.
    const WORST: &[(&str, &[Repeated])] = &[
        ("duration", &[("", "1s", ""), ("", "9", "s"), ("", "1e9s ", ""), ("", "s", "")]),
        (
            "exposition",
            &[
                ("a{", "l#=\"v\",", "} 1\n"),
                ("a{l=\"", "\\n", "\"} 1\n"),
                ("", "a{l=\"#\"} 1\n", ""),
                ("", "a# 1\n", ""),
                ("", "# TYPE a# histogram\n", ""),
                ("# TYPE a histogram\n", "a_bucket{le=\"#\"} 1\n", ""),
                ("# HELP a ", "\\\\", "\na 1\n"),
                ("", "a", " 1\n"),
                ("", "{", ""),
                ("", "\n", ""),
            ],
        ),
        (
            "fake_connection",
            &[
                ("", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", ""),
                (
                    "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
                    "1\r\na\r\n",
                    "0\r\n\r\n",
                ),
                ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "a: #\r\n", "\r\n"),
                ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n1;", "a", "\r\n"),
                ("POST / HTTP/1.0\r\nContent-Length: 1000000\r\n\r\n", "a", ""),
                ("GET / HTTP/1.1\r\n", "a: b\r\n", "\r\n"),
                ("GET /", "a", " HTTP/1.1\r\n\r\n"),
            ],
        ),
        ("fake_path", &[("", "/..", ""), ("j", "/a#/b", ""), ("", "%2F", ""), ("j", "/", "")]),
        ("fake_protobuf", &[("", "\u{1}\n", ""), ("", "\u{7f}", ""), ("", "\n\u{2}\n\0", "")]),
        (
            "fake_text",
            &[
                ("a{", "l#=\"v\",", "} 1\n"),
                ("", "a{l=\"#\"} 1\n", ""),
                ("", "a# 1\n", ""),
                ("# TYPE a histogram\n", "a_bucket{le=\"#\"} 1\n", ""),
                ("# TYPE a histogram\n", "a_bucket{l=\"#\",le=\"1\"} 1\n", ""),
                ("", "# HELP a# x\n", ""),
                ("", "{", ""),
            ],
        ),
        (
            "history",
            &[
                ("metrics-push history 1\tchecksum=", "0", "\n"),
                ("metrics-push history ", "1", "\n"),
            ],
        ),
        (
            "history_lines",
            &[
                ("group\tjob=a\n", "run\tid=#\toutcome=error\tstart=1\tend=1\n", ""),
                ("group\tjob=a\n", "total\tname=a#\tsince=1\ttext=b\n", ""),
                ("group\tjob=a\ncounted", "\tid=#", "\n"),
                ("group\tjob=a\n", "checked\tsink=#\tat=1\n", ""),
                ("group\tjob=a", "\tlabel=l#=v", "\n"),
                ("group\tjob=a\n", "\n", ""),
            ],
        ),
        (
            "journal",
            &[
                ("metrics-push journal 1\n", "started\tid=#\tat=1\tjob=a\n", ""),
                ("metrics-push journal 1\nstarted\tid=1\tat=1\tjob=a", "\tlabel=l#=v", "\n"),
                ("metrics-push journal 1\nstarted\tid=1\tat=1\tjob=a", "\tsink=#", "\n"),
                ("metrics-push journal 1\nstarted\tid=1\tat=1\tjob=", "\\n", "\n"),
                ("metrics-push journal 1\n", "acknowledged\tid=#\n", ""),
                ("metrics-push journal 1", "\ta", "\n"),
                ("metrics-push journal ", "1", "\n"),
            ],
        ),
        (
            "outage_record",
            &[("metrics-push outage 1\na\n", "1", "\n"), ("metrics-push outage 1\n", "a", "\n1\n")],
        ),
        ("record", &[("metrics-push request 1 ", "0", "\n"), ("metrics-push request ", "1", "")]),
        (
            "record_fields",
            &[
                ("1:s\n3:add\n1:1\n1:j\n6:900000\n", "1:l\n1:v\n", ""),
                ("1:s\n3:add\n1:1\n1:j\n1:0\n19:9999999999999999999\n", "1:f\n1:v\n", ""),
                ("", "9", ":"),
            ],
        ),
        ("response", &[("aa", "<", ""), ("xx", "collected metric \"a\" ", ""), ("xx", "\n", "")]),
        ("retry_after_header", &[("", "9", ""), ("Sun, ", "0", " Nov 1994 08:49:37 GMT")]),
        (
            "start_time",
            &[("", "9", "-01-01T00:00:00Z"), ("2006-01-02T15:04:05.", "0", "Z"), ("", "-", "T")],
        ),
        (
            "stored_groups",
            &[
                ("{\"data\":[", "[", ""),
                ("{\"data\":[", "0,", "0]}"),
                (
                    "{\"data\":[",
                    "{\"labels\":{\"job\":\"#\"},\"last_push_successful\":true},",
                    "{\"labels\":{\"job\":\"j\"},\"last_push_successful\":true}]}",
                ),
                (
                    "{\"data\":[{\"labels\":{",
                    "\"l#\":\"v\",",
                    "\"job\":\"j\"},\"last_push_successful\":true}]}",
                ),
                (
                    "{\"data\":[{\"labels\":{\"job\":\"j\"},\"last_push_successful\":true,\"a\":{\"type\":\"GAUGE\",\"metrics\":[",
                    "{\"labels\":{\"l\":\"#\"},\"value\":\"1\"},",
                    "{\"value\":\"1\"}]}}]}",
                ),
            ],
        ),
        (
            "supervisor_link",
            &[
                ("", "started\tid=#\tat=1\tjob=a\n", ""),
                ("", "started\tid=1\tat=1\tjob=a\n", ""),
                ("", "a", "\n"),
                ("", "\n", ""),
            ],
        ),
        (
            "url",
            &[("", "a", ":1"), ("http://", "@", "x"), ("http://x/", "../", ""), ("", "%41", "")],
        ),
        (
            "variables",
            &[
                ("URL=", "a:#,", "\n"),
                ("GROUPING=", "l#=v,", "\n"),
                ("HEADERS=", "x#=v,", "\n"),
                ("JOB=", "j", "\n"),
                ("TIMEOUT=", "1s", "\n"),
                ("", "A#=v\n", ""),
            ],
        ),
    ];

    /// Returns an input of about this length.
    fn input((start, part, end): Repeated, length: usize) -> Vec<u8> {
        let mut text = String::from(start);
        for number in 0.. {
            if text.len() >= length {
                break;
            }
            text.push_str(&part.replace('#', &number.to_string()));
        }
        text.push_str(end);
        text.into_bytes()
    }

    /// Returns the CPU time that a target takes. Other programs do not increase it. Without `/proc`, it is the elapsed time.
    fn duration_of(target: Target, input: &[u8]) -> Duration {
        let started = Instant::now();
        let used_by = |stat: &str| stat.split(' ').next()?.parse().ok().map(Duration::from_nanos);
        let cpu_time =
            || used_by(&std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default());
        let before = cpu_time();
        target(input);
        match (before, cpu_time()) {
            (Some(before), Some(after)) => after - before,
            _ => started.elapsed(),
        }
    }

    /// Fails if the target takes more than three times as long for a whole input as for half of it. Other programs slow
    /// down some runs, so a slow run is repeated.
    fn assert_linear(target: Target, half: &[u8], whole: &[u8], context: &str) {
        let mut ratios = Vec::new();
        while ratios.len() < 5 {
            let (half, whole) = (duration_of(target, half), duration_of(target, whole));
            assert!(whole < MAX_DURATION, "{context} takes {whole:?}");
            ratios.push(whole.as_secs_f64() / half.as_secs_f64());
            if whole < Duration::from_millis(20) || ratios.last() < Some(&3.0) {
                return;
            }
        }
        panic!("{context} is not linear: {ratios:?}");
    }

    #[test]
    fn readers_are_linear_at_a_megabyte() {
        const MEGABYTE: usize = 1 << 20;
        for (name, inputs) in WORST {
            let Some((_, target)) = TARGETS.iter().find(|(other, _)| other == name) else {
                continue;
            };
            for repeated in *inputs {
                let (half, whole) = (input(*repeated, MEGABYTE / 2), input(*repeated, MEGABYTE));
                assert_linear(*target, &half, &whole, &format!("{name}: {repeated:?}"));
            }
        }
    }

    #[test]
    fn every_target_has_worst_inputs() {
        for (name, _) in TARGETS {
            assert!(WORST.iter().any(|(other, _)| other == name), "{name}");
        }
    }
}
