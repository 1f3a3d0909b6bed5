//! `move_undelivered`: assigns the stored requests and runs of one sink to another one.

use super::spooled::spooled_requests;
use super::unreported::unreported_runs;
use crate::error::Error;
use crate::http::RawUrl;
use crate::pipeline::Pipeline;
use crate::sink;
use crate::spool::Spool;

/// Assigns the undelivered requests and unreported runs for the sink at `from` to the sink at `to`, and returns their
/// number. Use it if the URL of a sink was wrong or has changed.
///
/// Sends nothing: the next run that is configured for `to` delivers them, and so does [`recover`](crate::recover()). A
/// request is merged with a stored one for the same group of `to`. Both URLs may contain credentials, which are ignored.
///
/// ```
/// # fn main() -> Result<(), metrics_push::Error> {
/// let moved = metrics_push::move_undelivered("http://gatway:9091", "http://gateway:9091")?;
/// println!("{moved} outcomes moved");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `is_config` if a URL is invalid, or if the state directory cannot be changed.
pub fn move_undelivered(from: &str, to: &str) -> Result<usize, Error> {
    let (from, to) = (normalized(from)?, normalized(to)?);
    let state_dir = &Pipeline::current().state_dir;
    let Some(spool) = Spool::new(state_dir, &to, &[]).filter(|_| from != to) else { return Ok(0) };
    let mut moved = 0;
    for request in spooled_requests().iter().filter(|request| request.url() == from) {
        request.move_to(&spool)?;
        moved += 1;
    }
    for run in unreported_runs().iter().filter(|run| run.urls().contains(&from)) {
        run.replace_url(&from, &to)?;
        moved += 1;
    }
    Ok(moved)
}

/// Returns a URL as the state directory stores it: without credentials and without a default port, and with the scheme and
/// the host in lower case.
fn normalized(url: &str) -> Result<String, Error> {
    sink::display_url(&RawUrl::new(url))
}
