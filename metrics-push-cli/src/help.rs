//! Help texts beyond the arguments, for terminals and for man pages.
//!
//! Both are made from one format: headings start at column 0, terms at column 2, descriptions at column 10.

use std::fmt::Write as _;

use metrics_push::Config;

/// Returns the library's table of environment variables.
pub(crate) fn environment() -> String {
    let mut text = String::from("Environment:\n");
    for variable in Config::variables() {
        let meaning = variable.meaning.replace('`', "");
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {}\n          {meaning}", variable.name);
    }
    text
}

/// Converts a help text to sections of a man page.
pub(crate) fn man_sections(text: &str) -> String {
    // No hyphenation and no justification: users copy the terms.
    let mut page = String::from(".nh\n.ad l\n");
    for line in text.lines() {
        let content = line.trim_start().replace('\\', "\\e").replace('-', "\\-");
        let _ = match line.len() - line.trim_start().len() {
            _ if line.is_empty() => continue,
            0 => writeln!(page, ".SH \"{}\"", content.trim_end_matches(':').to_uppercase()),
            2 => writeln!(page, ".TP\n\\fB{content}\\fR"),
            // Without `\&`, a line that starts with a dot or a quote is a request.
            _ => writeln!(page, "\\&{content}"),
        };
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn man_sections_convert_headings_terms_and_descriptions() {
        let page =
            man_sections("Exit status:\n  0\n          .All is well.\n\nExamples:\n  a --b\n");
        assert_eq!(
            page,
            ".nh\n.ad l\n.SH \"EXIT STATUS\"\n.TP\n\\fB0\\fR\n\\&.All is well.\n.SH \"EXAMPLES\"\n.TP\n\\fBa \\-\\-b\\fR\n"
        );
    }
}
