//! What encoding costs; see `encoding.rs`.

// It includes the encoder's own file, whose tests belong to its own crate.
#[cfg(not(test))]
#[path = "../encoding.rs"]
mod encoding;

fn main() {
    #[cfg(not(test))]
    encoding::print();
}
