//! What the fixture programs have in common: one body, and every ending it can have.

use std::io::Write as _;

/// Ends as the first argument says.
pub(crate) fn body(processed: impl Fn(u64)) -> Result<(), String> {
    println!("the job's own output");
    let _ = std::io::stdout().flush();
    processed(3);
    match std::env::args().nth(1).as_deref() {
        Some("error") => Err("the input is gone".to_owned()),
        Some("early") => {
            check("no number")?;
            Ok(())
        }
        // Until whoever started it closes the input, or is gone.
        Some("wait") => {
            std::io::copy(&mut std::io::stdin(), &mut std::io::sink())
                .map_err(|why| why.to_string())?;
            Ok(())
        }
        Some("panic") => panic!("the job's own panic"),
        _ => Ok(()),
    }
}

fn check(text: &str) -> Result<u32, String> {
    text.parse().map_err(|error: std::num::ParseIntError| error.to_string())
}
