//! The refresh of a served page.

use super::chromium::Chromium;
use super::fleet::{Fleet, ended};

/// Starts the refresh now, and not after its interval: the page refreshes itself when it becomes visible.
const REFRESH: &str = "document.dispatchEvent(new Event('visibilitychange'))";

#[test]
fn refresh_keeps_filter_focus_and_open_details() {
    let fleet = Fleet::start();
    let server = fleet.serve();
    let mut browser = Chromium::start();
    browser.open(&server.url());
    browser.evaluate("document.querySelector('#filter [name=q]').focus()");
    browser.insert("job");
    browser.evaluate("document.querySelector('#details details').open = false");
    fleet.push(&[("job", "new_job")], &ended("success", 5.0, 3_600.0));
    browser.wait_for(&format!(
        "({REFRESH}, document.querySelector('#main').textContent.includes('new_job'))"
    ));
    let state = browser.evaluate(
        "({ query: document.querySelector('#filter').q.value,
             focus: document.activeElement.name,
             shown: [...document.querySelectorAll('.jobs tbody tr')].filter(row => !row.hidden).length,
             open: document.querySelector('#details details').open })",
    );
    let expected = serde_json::json!({ "query": "job", "focus": "q", "shown": 1, "open": false });
    assert_eq!(state, expected);
    assert!(browser.messages().is_empty(), "{:?}", browser.messages());
}

#[test]
fn page_shows_its_age_when_the_server_is_gone() {
    let fleet = Fleet::start();
    let server = fleet.serve();
    let mut browser = Chromium::start();
    browser.open(&server.url());
    assert_eq!(browser.evaluate("document.querySelector('#old').hidden"), true);
    server.stop();
    // Three minutes later.
    browser.evaluate("{ const now = Date.now; Date.now = () => now() + 180000; }");
    browser.evaluate(REFRESH);
    browser.wait_for("!document.querySelector('#old').hidden");
    let text = browser.evaluate("document.querySelector('#old').textContent");
    assert!(text.as_str().unwrap().starts_with("This page is 3 minutes old"), "{text}");
}
