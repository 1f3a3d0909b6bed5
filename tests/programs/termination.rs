//! A job that returns its own `Termination` type, so that only the exit code shows the outcome.

use std::process::{ExitCode, Termination};

struct Ended(u8);

impl Termination for Ended {
    fn report(self) -> ExitCode {
        self.0.into()
    }
}

#[metrics_push::push_job]
fn main() -> Result<Ended, String> {
    let code = std::env::args().nth(1).and_then(|code| code.parse().ok());
    code.map(Ended).ok_or_else(|| "no code".to_owned())
}
