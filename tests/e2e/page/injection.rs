//! Labels and queries that try to run a script, to leave their element, or to disguise text.

use super::chromium::Chromium;
use super::fleet::{Fleet, ended};
use crate::real::percent_encode;

const HOSTILE: [&str; 9] = [
    "<script>window.injected = 1</script>",
    "</script><script>window.injected = 1</script>",
    "</style><script>window.injected = 1</script>",
    "\"><img src=x onerror='window.injected = 1'>",
    "' onfocus='window.injected = 1' autofocus='",
    "javascript:window.injected = 1//",
    "--><svg/onload=window.injected=1>",
    "{{ constructor }} ${window.injected = 1} &lt;b&gt; &#60;",
    "a\nb\u{202e}fdp.exe\u{200b}\u{1b}[31m",
];

/// What a script of a label could have left behind.
const TRACES: &str = "({
    injected: typeof window.injected,
    scripts: document.scripts.length,
    images: document.images.length,
    handlers: [...document.querySelectorAll('*')].filter(e =>
        [...e.attributes].some(a => a.name.startsWith('on') || a.name === 'style')).length,
    targets: [...document.links].filter(a => !/^(file|http):/.test(a.href)).length,
})";

#[track_caller]
fn assert_no_traces(browser: &mut Chromium) {
    let traces = browser.evaluate(TRACES);
    let none = serde_json::json!({
        "injected": "undefined", "scripts": 1, "images": 0, "handlers": 0, "targets": 0,
    });
    assert_eq!(traces, none);
    assert!(browser.messages().is_empty(), "{:?}", browser.messages());
}

#[test]
fn hostile_labels_are_text() {
    let fleet = Fleet::empty();
    for (number, text) in HOSTILE.into_iter().enumerate() {
        let body = ended(if number % 2 == 0 { "success" } else { "error" }, 60.0, 3_600.0);
        fleet.push(&[("job", text), ("label", text)], &body);
    }
    let mut browser = Chromium::start();
    let server = fleet.serve();
    for url in [fleet.file(), server.url()] {
        browser.open(&url);
        assert_no_traces(&mut browser);
        let names = browser
            .evaluate("[...document.querySelectorAll('.jobs tbody th')].map(e => e.textContent)");
        for text in &HOSTILE[..8] {
            let is_shown =
                names.as_array().unwrap().iter().any(|name| name.as_str().unwrap().contains(text));
            assert!(is_shown, "{text:?} is not in {names:#}");
        }
        let visible = r"a\nb\u{202e}fdp.exe\u{200b}\u{1b}[31m";
        assert!(names.to_string().replace(r"\\", r"\").contains(visible), "{names:#}");
        let ids = browser.evaluate("[...document.querySelectorAll('.jobs [id]')].map(e => e.id)");
        for id in ids.as_array().unwrap() {
            let id = id.as_str().unwrap();
            let is_hash = id.len() == 17 && id[1..].bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(is_hash, "{id}");
        }
    }
}

#[test]
fn hostile_queries_are_text() {
    let fleet = Fleet::start();
    let server = fleet.serve();
    let mut browser = Chromium::start();
    for text in HOSTILE {
        browser.open(&format!("{}?q={}&state={0}", server.url(), percent_encode(text)));
        assert_no_traces(&mut browser);
    }
}
