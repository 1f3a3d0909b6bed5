//! Secrets are never in log lines, events, errors, `Debug` output or files.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use metrics_push::prometheus::{Gauge, Registry};
use metrics_push::testing::{FakeGateway, Fault};
use metrics_push::{Config, Gateway, Job, Outcome, Pusher};

use crate::place::Place;

/// A password, and its encoding in the header of basic authentication.
const PASSWORD: &str = "hunter2-Zq9";
const ENCODED: &str = "YmF0Y2g6aHVudGVyMi1acTk=";
const USERINFO: &str = "wander3-Xw7";
const TOKEN: &str = "sesame4-Yt5";
const HEADER: &str = "orgkey5-Lm3";

const BUDGET: Duration = Duration::from_millis(400);

fn empty_registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(Registry::new)
}

/// Prints every event of every crate.
struct PrintAll;

struct Fields(String);

impl tracing::field::Visit for Fields {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

impl tracing::Subscriber for PrintAll {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        let mut fields = Fields(String::new());
        attributes.record(&mut fields);
        println!("span{}", fields.0);
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, values: &tracing::span::Record<'_>) {
        let mut fields = Fields(String::new());
        values.record(&mut fields);
        println!("record{}", fields.0);
    }

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut fields = Fields(String::new());
        event.record(&mut fields);
        let _ = writeln!(std::io::stdout(), "{}{}", event.metadata().target(), fields.0);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

/// Combines every fault with every kind of secret. Runs in a child process, whose output the test reads.
#[test]
#[ignore = "run by `secrets_are_in_no_output_and_no_file`"]
fn print_every_failure() {
    tracing::subscriber::set_global_default(PrintAll).unwrap();
    let state = std::env::var_os("TEST_STATE_DIR").unwrap();
    let gateway = FakeGateway::start();
    let with_userinfo = gateway.url().replace("http://", &format!("http://batch:{USERINFO}@"));
    let configs = || {
        let with = |url: &str| Config::default().url(url).unwrap().header("X-Scope-OrgID", HEADER);
        [
            with(&gateway.url()).basic_auth("batch", PASSWORD),
            with(&gateway.url()).bearer_token(TOKEN),
            with(&with_userinfo),
        ]
    };
    let faults = [
        Fault::status(401).body("wrong"),
        Fault::close(),
        Fault::hang(),
        Fault::redirect(301, "http://elsewhere/"),
        Fault::status(400).body("invalid or inconsistent"),
        // The last fault leaves a record on disk.
        Fault::status(503),
    ];
    for fault in faults {
        gateway.heal();
        gateway.fault(fault);
        for config in configs() {
            println!("{config:?}");
            let _scope = config.state_dir(&state).timeout(BUDGET).scope().unwrap();
            Job::new("secretive")
                .registry(empty_registry)
                .whole_process()
                .start()
                .finish(Outcome::Error);
            println!("{:?}", metrics_push::recover(BUDGET));
        }
        let gauge = Gauge::new("rows", "Rows.").unwrap();
        let pusher = Pusher::new(&with_userinfo, "direct").unwrap().collector(gauge).unwrap();
        let pusher = pusher.map_gateway(|gateway| {
            gateway.basic_auth("batch", PASSWORD).header("X-Key", HEADER).timeout(BUDGET)
        });
        println!("{pusher:?} {:?}", pusher.push());
        let remote = Gateway::new(&with_userinfo).unwrap().bearer_token(TOKEN).timeout(BUDGET);
        println!("{remote:?} {:?} {:?}", remote.metrics(), remote.ready());
    }
    for bad in [
        "http://batch:{}@ho st",
        "http://batch:{}@gateway/?x",
        "ftp://batch:{}@gateway",
        "batch:{}@",
    ] {
        println!("{:?}", Gateway::new(bad.replace("{}", USERINFO)).map(drop));
        let variables =
            |name: &str| (name == "METRICS_PUSH_URL").then(|| bad.replace("{}", USERINFO).into());
        println!("{:?}", Config::from_variables(variables));
    }
    println!("{:?}", Config::default().bearer_token(format!("{TOKEN}\n")).scope().map(drop));
    println!("{:?}", Config::default().header("no header", HEADER));
    println!(
        "{:?}",
        Pusher::new(gateway.url(), "x")
            .unwrap()
            .map_gateway(|gateway| gateway.header("X-Bad", format!("{HEADER}\n")))
            .delete()
    );
}

#[test]
fn secrets_are_in_no_output_and_no_file() {
    let state = Place::new();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "secrets::print_every_failure", "--ignored", "--nocapture"])
        .env("TEST_STATE_DIR", state.path())
        .output()
        .unwrap();
    let mut output_text = String::from_utf8_lossy(&output.stdout).into_owned();
    output_text.push_str(&String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{output_text}");
    let lines = output_text.lines().filter(|line| line.starts_with("metrics-push: ")).count();
    let events =
        output_text.lines().filter(|line| line.starts_with("metrics_push message")).count();
    assert!(lines > 5 && events > 100, "{lines} lines and {events} events:\n{output_text}");
    assert!(!state.records().is_empty());
    for path in state.records() {
        output_text.push_str(&String::from_utf8_lossy(&std::fs::read(path).unwrap()));
    }
    for secret in [PASSWORD, ENCODED, USERINFO, TOKEN, HEADER] {
        let at = output_text.find(secret);
        assert!(
            at.is_none(),
            "{secret} is in: {:?}",
            &output_text[at.unwrap().saturating_sub(200)..][..300]
        );
    }
}
