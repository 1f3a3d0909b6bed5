//! The runtime of `#[counted]` and `#[timed]`, called as expansions call it: outcomes, labels and their limit, and
//! conflicts that do not affect the function.

use std::fmt::Display;
use std::panic::catch_unwind;
use std::sync::{LazyLock, Once};
use std::thread;

use metrics_push::__private::{
    CountedSite, LabelValue, SiteMetric, SiteTiming, TimedSite, guard, label,
};
use metrics_push::Outcome;
use metrics_push::prometheus::core::{Collector, Desc};
use metrics_push::prometheus::proto::MetricFamily;
use metrics_push::prometheus::{Registry, TextEncoder};

use crate::programs::{command, program};

const NO_LABELS: &[LabelValue<'_>] = &[];

/// A new registry, in the form of the argument `registry`.
macro_rules! registry {
    () => {{
        static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::new);
        || &REGISTRY
    }};
}

/// Returns the sample lines of a registry.
fn samples(registry: fn() -> &'static Registry) -> Vec<String> {
    let text = TextEncoder::new().encode_to_string(&registry().gather()).expect("typed families");
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

fn sample(registry: fn() -> &'static Registry, name: &str) -> String {
    let samples = samples(registry);
    let found = samples.iter().find_map(|line| line.strip_prefix(name));
    found.unwrap_or_else(|| panic!("no {name} in {samples:#?}")).trim().to_owned()
}

#[test]
fn every_outcome_has_a_series_after_the_first_call() {
    const REGISTRY: fn() -> &'static Registry = registry!();
    static SITE: CountedSite = CountedSite::new("load", "m")
        .metric(&const { SiteMetric::new("calls_total", "Calls.").registry(REGISTRY) });
    SITE.enter(NO_LABELS).finish(Outcome::Success);
    assert_eq!(
        samples(REGISTRY),
        [
            r#"calls_total{function="load",module="m",outcome="cancelled"} 0"#,
            r#"calls_total{function="load",module="m",outcome="error"} 0"#,
            r#"calls_total{function="load",module="m",outcome="panic"} 0"#,
            r#"calls_total{function="load",module="m",outcome="success"} 1"#,
        ]
    );
    for outcome in [Outcome::Error, Outcome::Cancelled, Outcome::Panic, Outcome::Cancelled] {
        SITE.enter(NO_LABELS).finish(outcome);
    }
    let counts: Vec<_> =
        samples(REGISTRY).iter().map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect();
    assert_eq!(counts, ["2", "1", "1", "1"]);
}

#[test]
fn only_errors_site_has_no_success_series() {
    const REGISTRY: fn() -> &'static Registry = registry!();
    static SITE: CountedSite = CountedSite::new("load", "m")
        .metric(&const { SiteMetric::new("e_total", "E.").registry(REGISTRY) })
        .only_errors();
    SITE.enter(NO_LABELS).finish(Outcome::Success);
    SITE.enter(NO_LABELS).finish(Outcome::Error);
    assert_eq!(
        samples(REGISTRY),
        [
            r#"e_total{function="load",module="m",outcome="cancelled"} 0"#,
            r#"e_total{function="load",module="m",outcome="error"} 1"#,
            r#"e_total{function="load",module="m",outcome="panic"} 0"#,
        ]
    );
}

/// Calls a counted function when it is dropped.
struct CallsOnDrop(&'static CountedSite);

impl Drop for CallsOnDrop {
    fn drop(&mut self) {
        assert!(thread::panicking(), "dropped while unwinding");
        drop(guard(self.0.enter(NO_LABELS)));
    }
}

#[test]
fn guard_reports_a_panic_only_if_it_starts_in_the_call() {
    const REGISTRY: fn() -> &'static Registry = registry!();
    static SITE: CountedSite = CountedSite::new("load", "m")
        .metric(&const { SiteMetric::new("c", "C.").registry(REGISTRY) });
    let unwound = catch_unwind(|| {
        let _cleans_up = CallsOnDrop(&SITE);
        let _call = guard(SITE.enter(NO_LABELS));
        panic!("in the middle of the call");
    });
    assert!(unwound.is_err());
    let count = |outcome| {
        sample(REGISTRY, &format!(r#"c{{function="load",module="m",outcome="{outcome}"}}"#))
    };
    assert_eq!((count("panic").as_str(), count("success").as_str()), ("1", "1"));
}

#[test]
fn labels_of_a_call_select_its_series() {
    const REGISTRY: fn() -> &'static Registry = registry!();
    static SITE: CountedSite = CountedSite::new("pay", "m").metric(
        &const {
            SiteMetric::new("pay_total", "P.")
                .labels(&["zone", "amount"])
                .fixed_labels(&[("service", "checkout")])
                .registry(REGISTRY)
        },
    );
    for (zone, amount) in [("eu", 5), ("eu", 5), ("", 15), ("e", 5)] {
        SITE.enter(&[label(&zone).value(), label(&amount).value()]).finish(Outcome::Success);
    }
    let count = |zone, amount| {
        let labels = format!(
            r#"amount="{amount}",function="pay",module="m",outcome="success",service="checkout",zone="{zone}""#
        );
        sample(REGISTRY, &format!("pay_total{{{labels}}}"))
    };
    assert_eq!([count("eu", 5), count("", 15), count("e", 5)], ["2", "1", "1"]);
    assert_eq!(samples(REGISTRY).len(), 3 * 4);
}

#[test]
fn label_types_with_equal_text_share_a_series() {
    const REGISTRY: fn() -> &'static Registry = registry!();
    static SITE: CountedSite = CountedSite::new("f", "m")
        .metric(&const { SiteMetric::new("k", "K.").labels(&["l", "m"]).registry(REGISTRY) });
    let (owned, boxed): (String, Box<str>) = ("7".to_owned(), "7".into());
    for value in [
        label("7").value(),
        label(&"7").value(),
        label(&owned).value(),
        label(&&owned).value(),
        label(&boxed).value(),
        label(&7).value(),
    ] {
        SITE.enter(&[value, label("x").value()]).finish(Outcome::Success);
        SITE.enter(&[label("x").value(), value]).finish(Outcome::Success);
    }
    for (l, m) in [("7", "x"), ("x", "7")] {
        let labels = format!(r#"function="f",l="{l}",m="{m}",module="m",outcome="success""#);
        assert_eq!(sample(REGISTRY, &format!("k{{{labels}}}")), "6");
    }
    assert_eq!(samples(REGISTRY).len(), 2 * 4);
}

#[test]
fn sites_with_reordered_or_fixed_labels_share_a_metric() {
    const REGISTRY: fn() -> &'static Registry = registry!();
    static ONE: CountedSite = CountedSite::new("one", "m").metric(
        &const { SiteMetric::new("both_total", "B.").labels(&["b", "a"]).registry(REGISTRY) },
    );
    static OTHER: CountedSite = CountedSite::new("other", "m").metric(
        &const {
            SiteMetric::new("both_total", "B.")
                .labels(&["a"])
                .fixed_labels(&[("b", "2")])
                .registry(REGISTRY)
        },
    );
    ONE.enter(&[label(&2).value(), label(&1).value()]).finish(Outcome::Success);
    OTHER.enter(&[label(&1).value()]).finish(Outcome::Success);
    for function in ["one", "other"] {
        let series = format!(
            r#"both_total{{a="1",b="2",function="{function}",module="m",outcome="success"}}"#
        );
        assert_eq!(sample(REGISTRY, &series), "1");
    }
}

/// A label value whose `Display` implementation calls a counted function.
struct Nested(&'static CountedSite);

impl Display for Nested {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("before-")?;
        self.0.enter(&[label(&"inner").value()]).finish(Outcome::Success);
        f.write_str("after")
    }
}

#[test]
fn label_display_may_call_a_counted_function() {
    const REGISTRY: fn() -> &'static Registry = registry!();
    static SITE: CountedSite = CountedSite::new("f", "m")
        .metric(&const { SiteMetric::new("n", "N.").labels(&["l"]).registry(REGISTRY) });
    SITE.enter(&[label(&Nested(&SITE)).value()]).finish(Outcome::Success);
    for value in ["inner", "before-after"] {
        let series = format!(r#"n{{function="f",l="{value}",module="m",outcome="success"}}"#);
        assert_eq!(sample(REGISTRY, &series), "1");
    }
}

#[test]
fn timed_site_records_durations_and_calls_in_flight() {
    const REGISTRY: fn() -> &'static Registry = registry!();
    static SITE: TimedSite = TimedSite::new("load", "m")
        .metric(&const { SiteMetric::new("load_seconds", "L.").registry(REGISTRY) })
        .timing(&const { SiteTiming::new().buckets(&[1e9]).in_flight() });
    let in_flight = || sample(REGISTRY, r#"function_in_flight{function="load",module="m"}"#);
    let call = SITE.enter(NO_LABELS);
    let elsewhere = SITE.enter(NO_LABELS);
    assert_eq!(in_flight(), "2");
    thread::spawn(move || drop(elsewhere)).join().unwrap();
    assert_eq!(in_flight(), "1");
    call.finish(Outcome::Error);
    let unwound = catch_unwind(|| {
        let _call = SITE.enter(NO_LABELS);
        panic!("in the middle of the call");
    });
    assert!(unwound.is_err());
    assert_eq!(in_flight(), "0");
    assert_eq!(sample(REGISTRY, r#"load_seconds_count{function="load",module="m"}"#), "3");
    let sum = sample(REGISTRY, r#"load_seconds_sum{function="load",module="m"}"#);
    assert!(sum.parse::<f64>().is_ok_and(|sum| sum > 0.0), "{sum}");
}

#[test]
fn timed_site_with_outcome_records_durations_per_outcome() {
    const REGISTRY: fn() -> &'static Registry = registry!();
    static SITE: TimedSite = TimedSite::new("load", "m")
        .metric(&const { SiteMetric::new("d", "D.").labels(&["l"]).registry(REGISTRY) })
        .timing(&const { SiteTiming::new().outcome() });
    SITE.enter(&[label(&"x").value()]).finish(Outcome::Cancelled);
    SITE.prepare(&[label(&"x").value()]).enter().finish(Outcome::Cancelled);
    let _ = SITE.prepare(&[label(&"x").value()]);
    let count = |outcome| {
        let labels = format!(r#"function="load",l="x",module="m",outcome="{outcome}""#);
        sample(REGISTRY, &format!("d_count{{{labels}}}"))
    };
    assert_eq!(["success", "error", "panic", "cancelled"].map(count), ["0", "0", "0", "2"]);
}

#[test]
fn threads_with_equal_labels_share_a_series() {
    const REGISTRY: fn() -> &'static Registry = registry!();
    static SITE: CountedSite = CountedSite::new("f", "m")
        .metric(&const { SiteMetric::new("t", "T.").labels(&["l"]).registry(REGISTRY) });
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for value in (0..80).cycle().take(4_000) {
                    SITE.enter(&[label(&value).value()]).finish(Outcome::Success);
                }
            });
        }
    });
    let successes: Vec<_> =
        samples(REGISTRY).into_iter().filter(|line| line.contains("success")).collect();
    assert_eq!(successes.len(), 80);
    assert!(successes.iter().all(|line| line.ends_with(" 400")), "{successes:?}");
}

/// A collector that calls a counted function when it is first gathered.
struct CallsOnCollect(Desc, Once, &'static CountedSite);

impl Collector for CallsOnCollect {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.1.call_once(|| self.2.enter(NO_LABELS).finish(Outcome::Success));
        Vec::new()
    }
}

#[test]
fn first_call_while_gathering_does_not_deadlock() {
    const REGISTRY: fn() -> &'static Registry = registry!();
    static SITE: CountedSite =
        CountedSite::new("f", "m").metric(&const { SiteMetric::new("g", "G.").registry(REGISTRY) });
    let desc = Desc::new("x".into(), "X.".into(), vec![], Default::default()).unwrap();
    REGISTRY().register(Box::new(CallsOnCollect(desc, Once::new(), &SITE))).unwrap();
    let _ = metrics_push::Pusher::new("http://127.0.0.1:9", "job")
        .map(|pusher| pusher.gatherer(REGISTRY()).push());
    SITE.enter(NO_LABELS).finish(Outcome::Success);
    assert_eq!(sample(REGISTRY, r#"g{function="f",module="m",outcome="success"}"#), "1");
}

#[test]
fn call_with_a_known_label_set_does_not_allocate() {
    const REGISTRY: fn() -> &'static Registry = registry!();
    static COUNTED: CountedSite = CountedSite::new("f", "m")
        .metric(&const { SiteMetric::new("a_total", "A.").labels(&["l", "m"]).registry(REGISTRY) });
    static TIMED: TimedSite = TimedSite::new("f", "m")
        .metric(&const { SiteMetric::new("a_seconds", "A.").registry(REGISTRY) })
        .timing(&const { SiteTiming::new().in_flight() });
    let calls = || {
        for value in 0..50 {
            let counted = COUNTED.enter(&[label(&value).value(), label(&"constant").value()]);
            drop(TIMED.enter(NO_LABELS));
            counted.finish(Outcome::Success);
        }
    };
    assert_ne!(allocation_counter::measure(calls).count_total, 0);
    assert_eq!(allocation_counter::measure(calls).count_total, 0);
}

#[test]
fn ended_threads_keep_their_counts_and_leak_no_memory() {
    assert_eq!(stderr_of("threads"), "");
}

/// Runs a part of the program `call_sites` and returns what it writes to stderr.
fn stderr_of(part: &str) -> String {
    let output = command(program("call_sites")).arg(part).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn label_sets_above_the_limit_become_other_with_one_warning() {
    let stderr = stderr_of("flood");
    let expected = "metrics-push: flood_total has reached the limit of 3 sets of label values in flood: \
                    further sets are recorded as \"_other\"; use fewer label values, or raise max_series\n";
    assert_eq!(stderr, expected);
}

#[test]
fn conflicting_sites_log_both_places_and_still_run() {
    const FILE: &str = "tests/programs/call_sites.rs";
    let stderr = stderr_of("conflict");
    let lines: Vec<_> = stderr.lines().collect();
    let [line] = lines.as_slice() else { panic!("{stderr}") };
    assert!(line.starts_with("metrics-push: clash_total is not recorded: metric \"clash_total\""));
    let (here, first) =
        (format!("requested: second at {FILE}"), format!("registered: one at {FILE}"));
    assert!(line.contains(&here) && line.contains(&first), "{line}");
}
