//! The gateway of the examples: the one in `METRICS_PUSH_URL`, or a fake one if the variable is not set.

use std::env;
use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use metrics_push::testing::FakeGateway;
use metrics_push::{Config, Gateway, StoredGroup};
use metrics_push_cli::StatusReport;

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
        let state_directory = beside_the_program("state")?;
        // An example pushes to no gateway that is meant for other programs, and leaves no files outside of `target`.
        let (config, _) = Config::from_variables(|name| match name {
            "PUSHGATEWAY_URL" => None,
            "METRICS_PUSH_STATE_DIR" => {
                env::var_os(name).or_else(|| Some(state_directory.clone().into()))
            }
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

    /// Waits for pending pushes, then prints the state of all jobs and writes their page.
    pub(crate) fn print_status(&self) -> Result<(), Box<dyn Error>> {
        metrics_push::flush(Duration::from_secs(10));
        if env::args().any(|argument| argument == METRICS_FLAG) {
            return self.print_metrics();
        }
        let report = StatusReport::read(&self.config)?;
        let page = beside_the_program("html")?;
        report.write_page(&page)?;
        println!(
            "The state of all jobs, as \"metrics-push status\" shows it:\n\n{}",
            report.table()
        );
        println!("The same as a page with the last runs: {}", page.display());
        println!("All stored metrics: run the example with {METRICS_FLAG}");
        Ok(())
    }

    fn print_metrics(&self) -> Result<(), Box<dyn Error>> {
        for gateway in Gateway::from_config(&self.config)? {
            println!("Stored on {}:", gateway.url());
            gateway.metrics()?.iter().for_each(print_metrics);
        }
        Ok(())
    }
}

/// Returns the path of the program with another extension: a path in `target`.
fn beside_the_program(extension: &str) -> std::io::Result<PathBuf> {
    env::current_exe().map(|program| program.with_extension(extension))
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
