//! The gateway of the examples, and a list of its stored metrics.

use std::error::Error;
use std::time::Duration;

use metrics_push::testing::FakeGateway;
use metrics_push::{Config, Gateway};

/// The gateway of `METRICS_PUSH_URL`, or a fake gateway inside the process.
pub(crate) struct Showcase {
    own: Option<FakeGateway>,
}

impl Showcase {
    pub(crate) fn open() -> Result<Self, Box<dyn Error>> {
        if std::env::var_os("METRICS_PUSH_URL").is_some_and(|url| !url.is_empty()) {
            return Ok(Self { own: None });
        }
        let own = FakeGateway::start();
        metrics_push::init(Config::default().url(own.url())?)?;
        Ok(Self { own: Some(own) })
    }

    /// Prints the stored metrics of these jobs.
    pub(crate) fn show(&self, jobs: &[&str]) -> Result<(), Box<dyn Error>> {
        metrics_push::flush(Duration::from_secs(10));
        let url = match &self.own {
            Some(own) => own.url(),
            None => std::env::var("METRICS_PUSH_URL")?,
        };
        println!("Stored at {}:", without_credentials(&url));
        for group in Gateway::new(url)?.metrics()? {
            if !jobs.contains(&group.labels["job"].as_str()) {
                continue;
            }
            println!("\n{:?}", group.labels);
            for (name, family) in &group.families {
                for metric in &family.metrics {
                    let own: Vec<_> = metric
                        .labels
                        .iter()
                        .filter(|(name, value)| {
                            !group.labels.contains_key(*name) && !value.is_empty()
                        })
                        .map(|(name, value)| format!("{name}={value:?}"))
                        .collect();
                    println!("  {name}{{{}}} {}", own.join(","), metric.value);
                }
            }
        }
        Ok(())
    }
}

fn without_credentials(url: &str) -> &str {
    url.rsplit_once('@').map_or(url, |(_, host)| host)
}
