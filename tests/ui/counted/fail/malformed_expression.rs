//! Arguments that are not expressions, predicates or paths.

use metrics_push::counted;

#[counted(ok_if = & u8 | x)]
fn missing_bar() -> u8 {
    1
}

#[counted(error_if = true)]
fn literal() -> u8 {
    1
}

#[counted(crate = ::a a::b)]
fn two_paths() {}

#[counted(registry = REGISTRY other)]
fn two_operands() {}

#[counted(name = "calls_total", labels(shard = n +, region = "eu" "us"))]
fn incomplete_values(n: u8) {}

#[counted(name = "calls_total", labels(1x = 1, "region" = "eu"))]
fn invalid_names() {}

#[counted("calls_total")]
fn missing_argument_name() {}

fn main() {}
