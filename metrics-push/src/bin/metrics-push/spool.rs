//! `metrics-push spool`: what waits on disk, listed, shown, and given up.

use std::process::ExitCode;
use std::time::SystemTime;

use metrics_push::{GroupingKey, SpooledRequest};

use crate::arguments::{Gateways, Group, Spool, SpoolDrop, SpoolList, SpoolShow};
use crate::ending::{FAILED, Failure};
use crate::spelling::duration;
use crate::{session, terminal};

pub(crate) fn run(arguments: &Spool) -> Result<ExitCode, Failure> {
    match arguments {
        Spool::List(arguments) => list(arguments),
        Spool::Show(arguments) => show(arguments),
        Spool::Drop(arguments) => discard(arguments),
    }
}

fn list(arguments: &SpoolList) -> Result<ExitCode, Failure> {
    let found = wanted(&arguments.gateways, None)?;
    let text: String = found.iter().map(line).collect();
    terminal::print(if text.is_empty() { "Nothing waits.\n" } else { &text })?;
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn show(arguments: &SpoolShow) -> Result<ExitCode, Failure> {
    let found = wanted(&arguments.gateways, Some(&arguments.group))?;
    for spooled in &found {
        terminal::print(&format!("# {}{}", line(spooled), spooled.exposition()))?;
    }
    done(&found)
}

fn discard(arguments: &SpoolDrop) -> Result<ExitCode, Failure> {
    let group = (!arguments.all).then_some(&arguments.group);
    let found = wanted(&arguments.gateways, group)?;
    let verb = if arguments.dry_run { "Would drop" } else { "Dropped" };
    let ended = done(&found)?;
    for spooled in found {
        terminal::print(&format!(
            "{verb} what waited for {} at {}.\n",
            spooled.key(),
            spooled.url()
        ))?;
        if !arguments.dry_run {
            spooled.discard();
        }
    }
    Ok(ended)
}

/// What waits for this group, or for all.
fn wanted(gateways: &Gateways, group: Option<&Group>) -> Result<Vec<SpooledRequest>, Failure> {
    let config = session::config(gateways)?;
    // A record belongs to a gateway: without one, there would be nothing to see.
    session::gateways(&config)?;
    let key: Option<GroupingKey> = group.map(|group| session::key(&config, group)).transpose()?;
    metrics_push::init(config)?;
    let is_wanted = |spooled: &SpooledRequest| key.as_ref().is_none_or(|key| spooled.key() == key);
    Ok(metrics_push::spooled_requests().into_iter().filter(is_wanted).collect())
}

fn done(found: &[SpooledRequest]) -> Result<ExitCode, Failure> {
    if found.is_empty() {
        return Err(Failure::misused(
            "nothing waits for this group; metrics-push spool list shows what does",
        )
        .with_status(FAILED));
    }
    Ok(ExitCode::SUCCESS)
}

fn line(spooled: &SpooledRequest) -> String {
    let age = SystemTime::now().duration_since(spooled.created_at()).unwrap_or_default();
    let age = duration(age.as_secs_f64());
    format!("{age:>6} ago  {:<6}  {}  {}\n", spooled.verb().as_str(), spooled.key(), spooled.url())
}
