//! One conversation: requests are read, answered or failed until somebody hangs up.

use std::io;
use std::time::Duration;

use super::fault::{Effect, Fault, Storing};
use super::http::{BodyWanted, Broken, Framing, KeepAlive, Request, Wire};
use super::server::{Received, Shared, Since};

/// Answers requests until the peer or a fault ends the connection.
pub(super) fn talk(shared: &Shared, wire: &mut Wire, life: u64) {
    loop {
        let (request, framing) = match wire.read() {
            Ok(read) => read,
            Err(Broken::Gone) => return,
            Err(Broken::Refused(response)) => {
                let framing = Framing { keep_alive: KeepAlive::No, body: BodyWanted::Yes };
                // Whoever sent that may not be there to hear of it.
                let _ = wire.send(&response.frame(framing));
                return;
            }
        };
        let next = match shared.receive(&request, life) {
            Received::Answered(response) => {
                let sent = wire.send(&response.frame(framing));
                shared.answered();
                Next::Continue(sent)
            }
            Received::Failing(fault, since) => {
                misbehave(shared, wire, &request, framing, fault, since)
            }
            Received::Lost => Next::Close,
        };
        let Next::Continue(sent) = next else { return };
        if sent.is_err() || framing.keep_alive == KeepAlive::No {
            return;
        }
    }
}

/// What becomes of the connection after a fault.
enum Next {
    Continue(io::Result<()>),
    Close,
}

fn misbehave(
    shared: &Shared,
    wire: &mut Wire,
    request: &Request,
    framing: Framing,
    fault: Fault,
    since: Since,
) -> Next {
    if let Effect::Stall(pause) = fault.effect {
        shared.pause(Some(pause), since);
    }
    let proper = match fault.storing {
        Storing::Yes => match shared.store_now(request, since) {
            Some(response) => response.frame(framing),
            None => return Next::Close,
        },
        Storing::No => Vec::new(),
    };
    match fault.effect {
        Effect::Answer(response) => return Next::Continue(wire.send(&response.frame(framing))),
        Effect::Stall(_) => return Next::Continue(wire.send(&proper)),
        Effect::Drip(pause) => return Next::Continue(drip(shared, wire, &proper, pause, since)),
        Effect::CutOff(bytes) => {
            let _ = wire.send(&proper[..bytes.min(proper.len())]);
        }
        Effect::Endless => flood(shared, wire, since),
        Effect::Hang => {
            shared.pause(None, since);
        }
        Effect::Close => {}
    }
    Next::Close
}

fn drip(
    shared: &Shared,
    wire: &mut Wire,
    bytes: &[u8],
    pause: Duration,
    since: Since,
) -> io::Result<()> {
    for (position, byte) in bytes.iter().enumerate() {
        if !shared.pause(Some(pause), since) {
            // Healed: the rest comes at once.
            return wire.send(&bytes[position..]);
        }
        wire.send(&[*byte])?;
    }
    Ok(())
}

fn flood(shared: &Shared, wire: &mut Wire, since: Since) {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n";
    let mut sent = wire.send(head.as_bytes());
    while sent.is_ok() && !shared.is_over(since) {
        sent = wire.send(&[b'x'; 4096]);
    }
}
