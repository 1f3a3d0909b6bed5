//! Drives Debian's headless Chromium by the `DevTools` protocol, over a pair of pipes.
//!
//! Each message is JSON and ends with a NUL character.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::real::Directory;

const CHROMIUM: &str = "/usr/bin/chromium";

/// The maximum time until a response or an event.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(120);

/// The colours that a page prefers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Theme {
    Light,
    Dark,
}

impl Theme {
    pub(super) const ALL: [Self; 2] = [Self::Light, Self::Dark];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

/// A browser with one tab. It is killed when it is dropped.
pub(super) struct Chromium {
    child: Child,
    requests: ChildStdin,
    messages: Receiver<Value>,
    session: Option<String>,
    last_id: u64,
    /// The events since the last navigation.
    events: Vec<Value>,
    _profile: Directory,
}

impl Chromium {
    pub(super) fn start() -> Self {
        assert!(
            Path::new(CHROMIUM).exists(),
            "{CHROMIUM} is missing: install the Debian package `chromium` (apt-get install chromium)"
        );
        let profile = Directory::new("chromium");
        // The shell connects the pipes to the file descriptors of the protocol.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 0</dev/null 1>&2", CHROMIUM])
            .args(["--headless", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu"])
            // Without a sandbox, because tests run as root in containers.
            .args(["--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"])
            .args(["--disable-background-networking", "--disable-component-update"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let requests = child.stdin.take().unwrap();
        let mut responses = BufReader::new(child.stdout.take().unwrap());
        let (sender, messages) = channel();
        thread::spawn(move || {
            let mut message = Vec::new();
            while responses.read_until(0, &mut message).is_ok_and(|length| length > 0) {
                message.pop();
                let parsed = serde_json::from_slice(&message).unwrap();
                if sender.send(parsed).is_err() {
                    return;
                }
                message.clear();
            }
        });
        let mut browser = Self {
            child,
            requests,
            messages,
            session: None,
            last_id: 0,
            events: Vec::new(),
            _profile: profile,
        };
        browser.open_tab();
        browser
    }

    fn open_tab(&mut self) {
        let target = self.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = self.call("Target.attachToTarget", attach);
        self.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.call(&format!("{domain}.enable"), json!({}));
        }
    }

    /// Calls a method and returns its result.
    #[track_caller]
    pub(super) fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.last_id += 1;
        let mut request = json!({ "id": self.last_id, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            request["sessionId"] = session.as_str().into();
        }
        self.requests.write_all(format!("{request}\0").as_bytes()).unwrap();
        loop {
            let mut message = self.receive();
            if message["id"] == self.last_id {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].take();
            }
            self.events.push(message);
        }
    }

    #[track_caller]
    fn receive(&mut self) -> Value {
        self.messages.recv_timeout(RESPONSE_TIMEOUT).expect("Chromium does not respond")
    }

    /// Sets the size of the window and the preferred colours.
    pub(super) fn show(&mut self, width: u32, theme: Theme) {
        let size =
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size);
        let scheme = json!({ "name": "prefers-color-scheme", "value": theme.as_str() });
        self.call("Emulation.setEmulatedMedia", json!({ "features": [scheme] }));
    }

    /// Disables the scripts of pages. [`evaluate`](Self::evaluate) still works.
    pub(super) fn disable_scripts(&mut self) {
        self.call("Emulation.setScriptExecutionDisabled", json!({ "value": true }));
    }

    /// Loads a page and waits until it is complete.
    #[track_caller]
    pub(super) fn open(&mut self, url: &str) {
        self.events.clear();
        let opened = self.call("Page.navigate", json!({ "url": url }));
        assert!(opened["errorText"].is_null(), "{url}: {opened}");
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.receive();
            self.events.push(event);
        }
    }

    /// Returns the value of an expression, or of its promise.
    #[track_caller]
    pub(super) fn evaluate(&mut self, expression: &str) -> Value {
        let call = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut result = self.call("Runtime.evaluate", call);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].take()
    }

    /// Repeats an expression until it is true.
    #[track_caller]
    pub(super) fn wait_for(&mut self, expression: &str) {
        let poll = format!(
            "new Promise((found, failed) => {{
                const started = Date.now();
                const poll = () => {{
                    if ({expression}) found(true);
                    else if (Date.now() - started > 60000) failed(new Error('timeout'));
                    else setTimeout(poll, 50);
                }};
                poll();
            }})"
        );
        self.evaluate(&poll);
    }

    /// Types a key such as `ArrowLeft` or `Tab`.
    pub(super) fn press(&mut self, key: &str) {
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            "Escape" => 27,
            "End" => 35,
            "Home" => 36,
            "ArrowLeft" => 37,
            "ArrowRight" => 39,
            _ => panic!("the code of {key} is not in this table"),
        };
        for kind in ["rawKeyDown", "keyUp"] {
            let event =
                json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code });
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Types text into the focused field.
    pub(super) fn insert(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// Returns a picture of the whole page as base64.
    pub(super) fn picture(&mut self) -> String {
        let options = json!({ "format": "png", "captureBeyondViewport": true });
        let mut picture = self.call("Page.captureScreenshot", options);
        picture["data"].take().as_str().unwrap().to_owned()
    }

    /// The messages of the console, among them violations of the policy, since the last navigation.
    pub(super) fn messages(&self) -> Vec<&Value> {
        let is_message = |event: &&Value| {
            let method = event["method"].as_str().unwrap_or_default();
            ["Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"]
                .contains(&method)
        };
        self.events.iter().filter(is_message).collect()
    }

    /// The URLs that the page has requested since the last navigation, without data URLs.
    pub(super) fn requested(&self) -> Vec<&str> {
        let requests =
            self.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        let urls = requests.filter_map(|event| event["params"]["request"]["url"].as_str());
        urls.filter(|url| !url.starts_with("data:")).collect()
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // Fails if the browser has already exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
