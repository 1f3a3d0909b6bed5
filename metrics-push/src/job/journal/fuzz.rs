//! Checks the reader of journals with arbitrary bytes.

use super::line::{Line, parse};

/// Parses a journal. The runs that it contains have the same meaning after they are written again.
///
/// # Panics
/// If the reader is wrong.
pub fn journal(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(contents) = parse(&text) else { return };
    let mut again = Line::Header(contents.header.clone()).to_text();
    for run in &contents.runs {
        again += &Line::Started(run.id, run.started.clone()).to_text();
        if let Some(finished) = &run.finished {
            again += &Line::Finished(run.id, finished.clone()).to_text();
        }
        if let Some(at) = run.found_at {
            again += &Line::Abandoned(run.id, at).to_text();
        }
    }
    // A number that is not a number differs from itself, so the texts are compared.
    let read_again = parse(&again);
    assert_eq!(format!("{read_again:?}"), format!("{:?}", Ok::<_, ()>(contents)));
}
