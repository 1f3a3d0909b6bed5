//! The gateway of the examples: the one in `METRICS_PUSH_URL`, or a fake one if the variable is not set.

use std::error::Error;
use std::time::Duration;

use metrics_push::testing::FakeGateway;
use metrics_push::{Config, Gateway, StoredGroup};

pub(crate) struct ExampleGateway {
    fake: Option<FakeGateway>,
}

impl ExampleGateway {
    /// Starts a fake gateway and configures the library to push to it, unless `METRICS_PUSH_URL` is set.
    pub(crate) fn start() -> Result<Self, Box<dyn Error>> {
        if std::env::var_os("METRICS_PUSH_URL").is_some_and(|url| !url.is_empty()) {
            return Ok(Self { fake: None });
        }
        let fake = FakeGateway::start();
        metrics_push::init(Config::default().url(fake.url())?)?;
        Ok(Self { fake: Some(fake) })
    }

    /// Waits for pending pushes, then prints the stored groups of these jobs.
    pub(crate) fn print_groups(&self, jobs: &[&str]) -> Result<(), Box<dyn Error>> {
        metrics_push::flush(Duration::from_secs(10));
        let gateways = match &self.fake {
            Some(fake) => vec![Gateway::new(fake.url())?],
            None => Gateway::from_config(&Config::from_env().0)?,
        };
        for gateway in gateways {
            println!("Stored on {}:", gateway.url());
            for group in gateway.metrics()? {
                if jobs.contains(&group.labels["job"].as_str()) {
                    print_group(&group);
                }
            }
        }
        Ok(())
    }
}

fn print_group(group: &StoredGroup) {
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
