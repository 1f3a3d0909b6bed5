//! Calls counted and timed functions in a separate process, for tests that measure its memory or read its stderr:
//! `call_sites threads|flood|conflict`.

use std::sync::{Arc, Barrier, LazyLock};
use std::thread;

use metrics_push::__private::{CountedSite, LabelValue, SiteMetric, SiteTiming, TimedSite, label};
use metrics_push::prometheus::{Registry, TextEncoder};
use metrics_push::{Outcome, counted, timed};

const NO_LABELS: &[LabelValue<'_>] = &[];

/// A new registry, in the form of the argument `registry`.
macro_rules! registry {
    () => {{
        static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::new);
        || &REGISTRY
    }};
}

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("threads") => call_on_many_short_threads(),
        Some("flood") => exceed_max_series(),
        Some("conflict") => register_conflicting_sites(),
        other => panic!("unknown argument {other:?}"),
    }
}

fn call_on_many_short_threads() {
    const THREADS: usize = 64;
    const WAVES: usize = 125;
    const CALLS: usize = 1_000_000 / (THREADS * WAVES);
    const REGISTRY: fn() -> &'static Registry = registry!();
    /// Works.
    #[counted(name = "works_total", registry = REGISTRY())]
    #[timed(name = "works_seconds", registry = REGISTRY())]
    fn work() {}
    let wave = || {
        let together = Arc::new(Barrier::new(THREADS));
        let calls = move |together: Arc<Barrier>| {
            together.wait();
            (0..CALLS).for_each(|_| work());
        };
        let spawn = |_| {
            let together = Arc::clone(&together);
            thread::spawn(move || calls(together))
        };
        let threads: Vec<_> = (0..THREADS).map(spawn).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    };
    // The first threads allocate the stripes of their slots, and the system allocates memory for threads.
    (0..WAVES / 5).for_each(|_| wave());
    let before = resident();
    (0..WAVES - WAVES / 5).for_each(|_| wave());
    let growth = resident() - before;
    // One new stripe per thread would be a megabyte.
    assert!(growth < 512 * 1024, "{growth} bytes");
    let counted =
        sample(REGISTRY, r#"works_total{function="work",module="call_sites",outcome="success"}"#);
    let timed = sample(REGISTRY, r#"works_seconds_count{function="work",module="call_sites"}"#);
    assert_eq!([counted.as_str(), &timed], ["1000000", "1000000"]);
}

/// Returns the resident memory of this process, in bytes.
fn resident() -> i64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<i64>().unwrap() * 4096
}

fn exceed_max_series() {
    const REGISTRY: fn() -> &'static Registry = registry!();
    static SITE: CountedSite = CountedSite::new("flood", "m").metric(
        &const {
            SiteMetric::new("flood_total", "F.")
                .labels(&["a", "b"])
                .max_series(3)
                .registry(REGISTRY)
        },
    );
    for value in 0..10 {
        SITE.enter(&[label(&value).value(), label(&"x").value()]).finish(Outcome::Success);
        SITE.enter(&[label(&0).value(), label(&"x").value()]).finish(Outcome::Success);
    }
    let count = |a, b| {
        let labels = format!(r#"a="{a}",b="{b}",function="flood",module="m",outcome="success""#);
        sample(REGISTRY, &format!("flood_total{{{labels}}}"))
    };
    assert_eq!([count("0", "x"), count("2", "x"), count("_other", "_other")], ["11", "1", "7"]);
    assert_eq!(samples(REGISTRY).len(), 4 * 4);
}

fn register_conflicting_sites() {
    const REGISTRY: fn() -> &'static Registry = registry!();
    static ONE: CountedSite = CountedSite::new("one", "m")
        .metric(&const { SiteMetric::new("clash_total", "C.").registry(REGISTRY) });
    static SECOND: TimedSite = TimedSite::new("second", "m")
        .metric(&const { SiteMetric::new("clash_total", "C.").registry(REGISTRY) })
        .timing(&const { SiteTiming::new().in_flight() });
    for _ in 0..3 {
        ONE.enter(NO_LABELS).finish(Outcome::Success);
        SECOND.enter(NO_LABELS).finish(Outcome::Success);
    }
    assert_eq!(
        sample(REGISTRY, r#"clash_total{function="one",module="m",outcome="success"}"#),
        "3"
    );
    assert!(samples(REGISTRY).iter().all(|line| line.contains("one")));
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
