//! The loop of one connection: reads a request, then writes the response or injects a fault.

use std::io::{self, ErrorKind};
use std::time::Duration;

use super::fault::{Fault, FaultEffect, Storing};
use super::http::{Framing, HttpStream, KeepAlive, ReadError, Request, ResponseBody};
use super::service::Service;
use super::state::{Action, ConnectionId, FaultStart, SharedState};

/// Serves requests until the client or a fault closes the connection.
pub(super) fn serve<S: Service>(
    shared: &SharedState<S>,
    stream: &mut HttpStream,
    connection: ConnectionId,
) {
    loop {
        let (request, framing) = match stream.read() {
            Ok(read) => read,
            Err(ReadError::Disconnected) => return,
            Err(ReadError::Rejected(response)) => {
                let framing = Framing { keep_alive: KeepAlive::No, body: ResponseBody::Sent };
                // The client may have disconnected.
                let _ = stream.send(&response.encode(framing));
                return;
            }
        };
        let sent = match shared.receive(&request, connection) {
            Action::Respond(response) => {
                let sent = stream.send(&response.encode(framing));
                shared.finish_response();
                sent
            }
            Action::Fail(fault, start) => inject(shared, stream, &request, framing, fault, start),
            Action::Close => return,
        };
        if sent.is_err() || framing.keep_alive == KeepAlive::No {
            return;
        }
    }
}

/// Injects a fault. An error closes the connection.
fn inject<S: Service>(
    shared: &SharedState<S>,
    stream: &mut HttpStream,
    request: &Request,
    framing: Framing,
    fault: Fault,
    start: FaultStart,
) -> io::Result<()> {
    let close = || Err(ErrorKind::ConnectionAborted.into());
    if let FaultEffect::Stall(pause) = fault.effect {
        shared.pause(pause, start);
    }
    let correct_response = match fault.storing {
        Storing::Yes => match shared.handle_despite_fault(request, start) {
            Some(response) => response.encode(framing),
            None => return close(),
        },
        Storing::No => Vec::new(),
    };
    match fault.effect {
        FaultEffect::Respond(response) => stream.send(&response.encode(framing)),
        FaultEffect::Stall(_) => stream.send(&correct_response),
        FaultEffect::Drip(pause) => drip(shared, stream, &correct_response, pause, start),
        FaultEffect::CutOff(bytes) => {
            stream.send(&correct_response[..bytes.min(correct_response.len())])?;
            close()
        }
        FaultEffect::Endless => {
            flood(shared, stream, start)?;
            close()
        }
        FaultEffect::Hang => {
            shared.wait_for_end(start);
            close()
        }
        FaultEffect::Close => close(),
    }
}

fn drip<S: Service>(
    shared: &SharedState<S>,
    stream: &mut HttpStream,
    bytes: &[u8],
    pause: Duration,
    start: FaultStart,
) -> io::Result<()> {
    for (position, byte) in bytes.iter().enumerate() {
        if !shared.pause(pause, start) {
            // The server is healed: send the rest at once.
            return stream.send(&bytes[position..]);
        }
        stream.send(&[*byte])?;
    }
    Ok(())
}

fn flood<S: Service>(
    shared: &SharedState<S>,
    stream: &mut HttpStream,
    start: FaultStart,
) -> io::Result<()> {
    stream.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n")?;
    while !shared.has_ended(start) {
        stream.send(&[b'x'; 4096])?;
    }
    Ok(())
}
