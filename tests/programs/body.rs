//! The body of the job programs, with an ending that the first argument selects.

use std::io::Write as _;

/// Ends as the first argument says: `error`, `early`, `wait`, `panic`, or a success.
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
