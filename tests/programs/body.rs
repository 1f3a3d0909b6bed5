//! The body of the job programs. The first argument selects the ending.

use std::io::Write as _;

/// Counts three records and then ends in the way that the first argument names: `error`, `early`, `wait` or `panic`.
/// Succeeds with any other argument and without one.
pub(crate) fn body(processed: impl Fn(u64)) -> Result<(), String> {
    println!("the job's own output");
    let _ = std::io::stdout().flush();
    processed(3);
    match std::env::args().nth(1).as_deref() {
        Some("error") => Err("the input is missing".to_owned()),
        Some("early") => {
            check("no number")?;
            Ok(())
        }
        // Waits until the parent closes the input or exits.
        Some("wait") => {
            std::io::copy(&mut std::io::stdin(), &mut std::io::sink())
                .map_err(|error| error.to_string())?;
            Ok(())
        }
        Some("panic") => panic!("the job's own panic"),
        _ => Ok(()),
    }
}

fn check(text: &str) -> Result<u32, String> {
    text.parse().map_err(|error: std::num::ParseIntError| error.to_string())
}
