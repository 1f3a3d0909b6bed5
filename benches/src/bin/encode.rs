//! Measures the text encoder; see `encoding.rs`.

// The module includes source files of the encoder; their unit tests only compile in its crate.
#[cfg(not(test))]
#[path = "../encoding.rs"]
mod encoding;

fn main() {
    #[cfg(not(test))]
    encoding::print();
}
