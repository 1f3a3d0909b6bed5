//! `move_undelivered`: assigns what is stored for one gateway to another one.

use super::spooled::spooled_requests;
use super::unreported::unreported_runs;
use crate::error::Error;
use crate::http::{Server, Transport};
use crate::pipeline::Pipeline;
use crate::spool::Spool;

/// Assigns the undelivered requests and unreported runs for the gateway at `from` to the gateway at `to`, and returns their
/// number. For a gateway whose URL was wrong or has changed.
///
/// Sends nothing: the next run that is configured for `to` delivers them, and so does [`recover`](crate::recover()). A request
/// is merged with a stored one for the same group of `to`. Both URLs may contain credentials, which are ignored.
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

/// Returns a URL as the state directory stores it: without credentials, in lower case, without a default port.
fn normalized(url: &str) -> Result<String, Error> {
    Server::new(url, Transport::default()).map(|server| server.redacted_url().to_owned())
}
