//! The outcome of a run: whether it is a failure, and how sentences describe it.

pub(super) fn is_failure(outcome: &str) -> bool {
    !matches!(outcome, "success" | "skipped")
}

/// Describes an outcome with the exit code or the signal of the run.
pub(super) fn describe_outcome(
    outcome: &str,
    exit_code: Option<f64>,
    signal: Option<f64>,
) -> String {
    match (outcome, exit_code, signal) {
        ("exit_code", Some(code), _) if code != 0.0 => format!("exit code {code}"),
        ("signal", _, Some(number)) if number != 0.0 => match signal_name(number) {
            Some(name) => format!("signal {number}, {name}"),
            None => format!("signal {number}"),
        },
        ("oom", ..) => "out of memory".to_owned(),
        _ => outcome.to_owned(),
    }
}

/// Returns the name of a signal that has the same number on every platform.
fn signal_name(number: f64) -> Option<&'static str> {
    const NAMES: [(f64, &str); 11] = [
        (1.0, "HUP"),
        (2.0, "INT"),
        (3.0, "QUIT"),
        (4.0, "ILL"),
        (6.0, "ABRT"),
        (8.0, "FPE"),
        (9.0, "KILL"),
        (11.0, "SEGV"),
        (13.0, "PIPE"),
        (14.0, "ALRM"),
        (15.0, "TERM"),
    ];
    NAMES.iter().find(|(other, _)| *other == number).map(|(_, name)| *name)
}
