//! Compares output with the files in `golden/`.

/// Compares a text with a file. With the variable `METRICS_PUSH_BLESS`, writes the file instead.
#[track_caller]
pub(crate) fn assert_golden(name: &str, text: &str) {
    let path = format!("{}/src/golden/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("METRICS_PUSH_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    assert!(golden == text, "{name} differs; set METRICS_PUSH_BLESS=1 to write it:\n{text}");
}
