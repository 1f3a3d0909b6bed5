//! The body of the jobs with and without the attribute.

use std::io::Write as _;

/// The first argument selects the ending.
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
        // Until the parent closes the input or exits.
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
