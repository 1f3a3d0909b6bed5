//! Combines every fault with every kind of secret, and prints every event, error and `Debug` output.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::LazyLock;
use std::time::Duration;

use metrics_push::prometheus::{Gauge, Registry};
use metrics_push::testing::{FakeGateway, Fault};
use metrics_push::{Config, Gateway, Job, Outcome, Pusher};

const SHORT_TIMEOUT: Duration = Duration::from_millis(400);

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [output, state, password, userinfo, token, header] = &arguments[..] else {
        panic!("usage: secrets events|lines STATE_DIR PASSWORD USERINFO TOKEN HEADER")
    };
    // With a subscriber, no line is written to stderr.
    if output == "events" {
        tracing::subscriber::set_global_default(PrintAll).unwrap();
    }
    let gateway = FakeGateway::start();
    let with_userinfo = gateway.url().replace("http://", &format!("http://batch:{userinfo}@"));
    let configs = || {
        let with = |url: &str| Config::default().url(url).unwrap().header("X-Scope-OrgID", header);
        [
            with(&gateway.url()).basic_auth("batch", password),
            with(&gateway.url()).bearer_token(token),
            with(&with_userinfo),
        ]
    };
    let faults = [
        Fault::status(401).body("wrong"),
        Fault::close(),
        Fault::hang(),
        Fault::redirect(301, "http://elsewhere/"),
        Fault::status(400).body("invalid or inconsistent"),
        // Last, so that a request stays in the spool.
        Fault::status(503),
    ];
    for fault in faults {
        gateway.heal();
        gateway.fault(fault);
        for config in configs() {
            println!("{config:?}");
            let _scope = config.state_dir(state).timeout(SHORT_TIMEOUT).scope().unwrap();
            Job::new("secretive")
                .registry(empty_registry)
                .whole_process()
                .start()
                .finish(Outcome::Error);
            println!("{:?}", metrics_push::recover(SHORT_TIMEOUT));
        }
        let gauge = Gauge::new("rows", "Rows.").unwrap();
        let pusher = Pusher::new(&with_userinfo, "direct").unwrap().collector(gauge).unwrap();
        let pusher = pusher.map_gateway(|gateway| {
            gateway.basic_auth("batch", password).header("X-Key", header).timeout(SHORT_TIMEOUT)
        });
        println!("{pusher:?} {:?}", pusher.push());
        let remote =
            Gateway::new(&with_userinfo).unwrap().bearer_token(token).timeout(SHORT_TIMEOUT);
        println!("{remote:?} {:?} {:?}", remote.metrics(), remote.ready());
    }
    for bad in [
        "http://batch:{}@ho st",
        "http://batch:{}@gateway/?x",
        "ftp://batch:{}@gateway",
        "batch:{}@",
    ] {
        println!("{:?}", Gateway::new(bad.replace("{}", userinfo)).map(drop));
        let variables =
            |name: &str| (name == "METRICS_PUSH_URL").then(|| bad.replace("{}", userinfo).into());
        println!("{:?}", Config::from_variables(variables));
    }
    println!("{:?}", Config::default().bearer_token(format!("{token}\n")).scope().map(drop));
    println!("{:?}", Config::default().header("no header", header));
    println!(
        "{:?}",
        Pusher::new(gateway.url(), "x")
            .unwrap()
            .map_gateway(|gateway| gateway.header("X-Bad", format!("{header}\n")))
            .delete()
    );
}

fn empty_registry() -> &'static Registry {
    static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::new);
    &REGISTRY
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
