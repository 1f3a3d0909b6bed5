//! The filter, the keyboard and the names of elements.

use super::chromium::{Chromium, Theme};
use super::fleet::{Fleet, LONG_NAME};

const SHOWN: &str =
    "[...document.querySelectorAll('.jobs tbody tr')].filter(row => row.checkVisibility()).length";

#[test]
fn filter_shows_the_jobs_with_each_word_and_the_state() {
    let fleet = Fleet::start();
    let mut browser = Chromium::start();
    browser.open(&fleet.file());
    assert_eq!(browser.evaluate(SHOWN), 12);
    browser.evaluate("document.querySelector('#filter').q.focus()");
    browser.insert("EU orders");
    assert_eq!(browser.evaluate(SHOWN), 1);
    let seen = "document.querySelector('#seen').textContent";
    assert_eq!(browser.evaluate(seen), "1 of 12 jobs shown");
    browser.press("Escape");
    assert_eq!(browser.evaluate(SHOWN), 12);
    assert_eq!(browser.evaluate(seen), "");
    for (state, count) in [("attention", 4), ("flapping", 1), ("running", 1), ("fine", 6), ("", 12)]
    {
        browser.evaluate(&format!(
            "document.querySelector('#filter [name=state][value=\"{state}\"]').click()"
        ));
        assert_eq!(browser.evaluate(SHOWN), count, "{state}");
    }
    assert!(browser.messages().is_empty(), "{:?}", browser.messages());
}

#[test]
fn filter_works_without_scripts_on_a_server() {
    let fleet = Fleet::start();
    let server = fleet.serve();
    let mut browser = Chromium::start();
    browser.disable_scripts();
    browser.open(&server.url());
    assert_eq!(browser.evaluate("document.querySelector('#filter').checkVisibility()"), true);
    browser.open(&format!("{}?q=region%3Deu+orders&state=attention", server.url()));
    assert_eq!(browser.evaluate(SHOWN), 1);
    let query = browser.evaluate("document.querySelector('#filter').q.value");
    assert_eq!(query, "region=eu orders");
    browser.open(&format!("{}?q=nothing", server.url()));
    assert_eq!(browser.evaluate(SHOWN), 0);
}

#[test]
fn runs_are_described_by_the_arrow_keys() {
    let fleet = Fleet::with_history();
    let mut browser = Chromium::start();
    browser.open(&fleet.file());
    browser.evaluate("document.querySelector('.strip[data-runs]').focus()");
    let tip = "document.querySelector('#tip').checkVisibility() && document.querySelector('#tip').textContent";
    let newest = browser.evaluate(tip);
    assert!(newest.as_str().unwrap().ends_with("success"), "{newest}");
    for (key, end) in [
        ("ArrowLeft", "success"),
        ("ArrowLeft", "exit code 1"),
        ("ArrowRight", "success"),
        ("Home", "success"),
        ("ArrowRight", "success"),
        ("End", "success"),
    ] {
        browser.press(key);
        let text = browser.evaluate(tip);
        assert!(text.as_str().unwrap().ends_with(end), "{key}: {text}");
    }
    assert_eq!(browser.evaluate(tip), newest);
    browser.press("Escape");
    assert_eq!(browser.evaluate(tip), false);
}

#[test]
fn tab_key_reaches_the_elements_in_reading_order() {
    let fleet = Fleet::start();
    let mut browser = Chromium::start();
    browser.show(1400, Theme::Light);
    browser.open(&fleet.file());
    let mut tops = Vec::new();
    for _ in 0..20 {
        browser.press("Tab");
        let place = browser.evaluate(
            "(() => { const box = document.activeElement.getBoundingClientRect();
                return [box.top + scrollY, getComputedStyle(document.activeElement).outlineStyle]; })()",
        );
        // The input of a state is invisible; its label has the outline.
        tops.push(place[0].as_f64().unwrap());
    }
    let first = browser.evaluate("document.querySelector('.skip').href.endsWith('#main')");
    assert_eq!(first, true);
    // The link that skips the head is above the page until it has the focus.
    let is_ordered = tops[1..].windows(2).all(|pair| pair[1] > pair[0] - 40.0);
    assert!(is_ordered, "{tops:?}");
}

#[test]
fn tables_have_their_roles_in_every_layout() {
    let fleet = Fleet::start();
    let mut browser = Chromium::start();
    browser.open(&fleet.file());
    let mut counts = Vec::new();
    for width in [360, 800, 1400] {
        browser.show(width, Theme::Light);
        let tree = browser.call("Accessibility.getFullAXTree", serde_json::json!({}));
        let nodes = tree["nodes"].as_array().unwrap();
        let count = |role: &str| {
            nodes
                .iter()
                .filter(|node| node["ignored"] == false && node["role"]["value"] == role)
                .count()
        };
        counts.push(["table", "row", "cell", "rowheader", "columnheader"].map(count));
    }
    assert!(counts[0][3] >= 12 && counts[0][0] >= 3, "{counts:?}");
    assert_eq!(counts[0], counts[1]);
    assert_eq!(counts[0], counts[2]);
}

#[test]
fn long_names_break_after_separators() {
    let fleet = Fleet::start();
    let mut browser = Chromium::start();
    browser.show(360, Theme::Light);
    browser.open(&fleet.file());
    let breaks = format!(
        "[...document.querySelectorAll('.jobs th')].find(e => e.textContent.includes('{LONG_NAME}')).querySelectorAll('wbr').length"
    );
    assert_eq!(browser.evaluate(&breaks), LONG_NAME.matches('_').count());
}
