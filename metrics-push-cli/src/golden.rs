//! Compares output with the files in `golden/`.

/// Fails unless a text is that of a file in `golden/`. The message has the whole text, to copy it into the file.
macro_rules! assert_golden {
    ($name:literal, $text:expr) => {
        let (golden, text) = (
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/golden/", $name, ".txt")),
            $text,
        );
        assert!(golden == text, "{} differs from this text:\n{text}", $name);
    };
}

pub(crate) use assert_golden;
