//! The gateway of the examples: the one in `METRICS_PUSH_URL`, or a fake one if the variable is not set.

mod table;

use std::env;
use std::error::Error;
use std::time::Duration;

use metrics_push::testing::FakeGateway;
use metrics_push::{Config, Gateway, StoredGroup};

/// Prints all stored metrics instead of the table.
const METRICS_FLAG: &str = "--metrics";

pub(crate) struct ExampleGateway {
    config: Config,
    /// Runs until the example ends.
    _fake: Option<FakeGateway>,
}

impl ExampleGateway {
    /// Starts a fake gateway and configures the library to push to it, unless `METRICS_PUSH_URL` is set.
    pub(crate) fn start() -> Result<Self, Box<dyn Error>> {
        // An example pushes to no gateway that is meant for other programs, and leaves no files: it has a state directory
        // only if the variable is set.
        let (config, _) = Config::from_variables(|name| match name {
            "PUSHGATEWAY_URL" => None,
            "METRICS_PUSH_STATE_DIR" => Some(env::var_os(name).unwrap_or_else(|| "off".into())),
            _ => env::var_os(name),
        });
        let is_configured = env::var_os("METRICS_PUSH_URL").is_some_and(|url| !url.is_empty());
        let fake = (!is_configured).then(FakeGateway::start);
        let config = match &fake {
            Some(fake) => config.url(fake.url())?,
            None => config,
        };
        metrics_push::init(config.clone())?;
        Ok(Self { config, _fake: fake })
    }

    /// Waits for pending pushes, then prints the groups of these jobs.
    pub(crate) fn print_groups(&self, jobs: &[&str]) -> Result<(), Box<dyn Error>> {
        metrics_push::flush(Duration::from_secs(10));
        for gateway in Gateway::from_config(&self.config)? {
            let mut groups = gateway.metrics()?;
            groups.retain(|group| jobs.contains(&group.labels["job"].as_str()));
            if env::args().any(|argument| argument == METRICS_FLAG) {
                println!("Stored on {}:", gateway.url());
                groups.iter().for_each(print_metrics);
            } else {
                println!("Stored on {}, as \"metrics-push status\" shows it:\n", gateway.url());
                table::print(&groups);
                println!("\nRun the example with {METRICS_FLAG} to print all stored metrics.");
            }
        }
        Ok(())
    }
}

fn print_metrics(group: &StoredGroup) {
    println!("\n{:?}", group.labels);
    for (name, family) in &group.families {
        for metric in &family.metrics {
            // Each stored metric also has the labels of its group.
            let own = metric.labels.iter().filter(|(name, value)| {
                !group.labels.contains_key(name.as_str()) && !value.is_empty()
            });
            let own: Vec<_> = own.map(|(name, value)| format!("{name}={value:?}")).collect();
            println!("  {name}{{{}}} {}", own.join(","), metric.value);
        }
    }
}
