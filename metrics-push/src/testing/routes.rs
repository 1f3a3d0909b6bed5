//! What each URL answers: the routes of Pushgateway 1.5.1, with its redirects and refusals.
//!
//! A path is first cleaned (a 301 if that changes it), then looked up; what is not found may be
//! one slash or some capitals away from a route (a 301 or 307), known under another method (405), or
//! nothing at all (404).

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::body::read;
use super::http::{Request, Response};
use super::json;
use super::path::{clean, grouping_key, percent_decode, percent_encode};
use super::store::{Checks, Mode, Store};

/// Whether the wiping of everything is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AdminApi {
    On,
    Off,
}

/// The flags the gateway was started with.
#[derive(Clone, Debug)]
pub(super) struct Flags {
    /// Empty, or with a slash at its start and none at its end.
    pub(super) prefix: String,
    pub(super) admin_api: AdminApi,
    pub(super) checks: Checks,
}

/// Where a request went.
enum Endpoint<'a> {
    Exposition,
    Alive,
    Page,
    Group { is_base64: bool, job: &'a [u8], labels: &'a [u8] },
    Quit,
    QuitByGet,
}

const METHODS: [&str; 4] = ["DELETE", "GET", "POST", "PUT"];

/// Answers a request.
pub(super) fn answer(
    request: &Request,
    store: &mut Store,
    flags: &Flags,
    started: SystemTime,
) -> Response {
    let (target, query) = split_query(&request.path);
    let Some(path) = percent_decode(target.as_bytes()) else {
        return Response { status: 400, ..text("400 Bad Request") };
    };
    let cleaned = clean(&path);
    let api = format!("{}/api/v1", flags.prefix);
    if cleaned == api.as_bytes() {
        return redirect(request, 301, &[&cleaned, &b"/"[..]].concat(), query);
    }
    if cleaned != path {
        return redirect(request, 301, &cleaned, query);
    }
    match path.strip_prefix(api.as_bytes()) {
        Some(rest) if rest.starts_with(b"/") => api_answer(request, rest, store, flags, started),
        _ => routed(request, &path, query, store, flags),
    }
}

fn split_query(target: &str) -> (&str, &str) {
    // A proxy's form of the target has the host in front.
    let path = target
        .strip_prefix("http://")
        .map_or(target, |rest| rest.find('/').map_or("/", |slash| &rest[slash..]));
    path.find('?').map_or((path, ""), |mark| path.split_at(mark))
}

fn routed(
    request: &Request,
    path: &[u8],
    query: &str,
    store: &mut Store,
    flags: &Flags,
) -> Response {
    if let Some(endpoint) = find(&flags.prefix, &request.method, path) {
        return respond(request, &endpoint, store, flags);
    }
    if let Some(near) = near_miss(&flags.prefix, &request.method, path) {
        return redirect(request, redirect_status(request), &near, query);
    }
    let others = METHODS.into_iter().filter(|method| find(&flags.prefix, method, path).is_some());
    refuse_method(request, others.collect())
}

fn find<'a>(prefix: &str, method: &str, path: &'a [u8]) -> Option<Endpoint<'a>> {
    if method == "GET" && path == b"/-/quit" {
        return Some(Endpoint::QuitByGet);
    }
    let path = path.strip_prefix(prefix.as_bytes())?;
    match (method, path) {
        ("GET", b"/metrics") => Some(Endpoint::Exposition),
        ("GET", b"/-/healthy" | b"/-/ready") => Some(Endpoint::Alive),
        ("GET", b"/" | b"/status") => Some(Endpoint::Page),
        ("PUT" | "POST", b"/-/quit") => Some(Endpoint::Quit),
        ("PUT" | "POST" | "DELETE", _) => find_group(path),
        _ => None,
    }
}

fn find_group(path: &[u8]) -> Option<Endpoint<'_>> {
    let rest = path.strip_prefix(b"/metrics/job")?;
    let (is_base64, rest) = match rest.strip_prefix(b"@base64") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let rest = rest.strip_prefix(b"/")?;
    let end = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
    let (job, labels) = rest.split_at(end);
    (!job.is_empty()).then_some(Endpoint::Group { is_base64, job, labels })
}

/// The path that was probably meant.
fn near_miss(prefix: &str, method: &str, path: &[u8]) -> Option<Vec<u8>> {
    let group = format!("{prefix}/metrics/job");
    let takes_groups = matches!(method, "PUT" | "POST" | "DELETE");
    // The redirect leads nowhere, but that is what an empty job gets.
    if takes_groups && path == format!("{group}/").as_bytes() {
        return Some(group.into_bytes());
    }
    let trimmed = path.strip_suffix(b"/").unwrap_or(path);
    let slashed = [trimmed, b"/"].concat();
    if let Some(found) =
        [trimmed, &slashed].into_iter().find(|near| find(prefix, method, near).is_some())
    {
        return Some(found.to_vec());
    }
    let routes = ["/", "/status", "/metrics", "/-/healthy", "/-/ready", "/-/quit"];
    let routes = routes.map(|route| format!("{prefix}{route}").into_bytes());
    let literal = routes
        .into_iter()
        .find(|route| route.eq_ignore_ascii_case(trimmed) && find(prefix, method, route).is_some());
    literal.or_else(|| {
        let groups = [format!("{group}@base64/"), format!("{group}/")].map(String::into_bytes);
        let group = groups.into_iter().find(|group| {
            path.get(..group.len()).is_some_and(|start| start.eq_ignore_ascii_case(group))
        })?;
        let fixed = [&group, &path[group.len()..]].concat();
        (takes_groups && find(prefix, method, &fixed).is_some()).then_some(fixed)
    })
}

fn respond(
    request: &Request,
    endpoint: &Endpoint<'_>,
    store: &mut Store,
    flags: &Flags,
) -> Response {
    match endpoint {
        Endpoint::Exposition => exposition(store),
        Endpoint::Alive => text("OK"),
        Endpoint::Page => page(store),
        Endpoint::Quit => Response { status: 403, ..text("Lifecycle API is not enabled.") },
        Endpoint::QuitByGet => {
            Response { status: 405, ..text("Only POST or PUT requests allowed.") }
        }
        Endpoint::Group { is_base64, job, labels } => {
            let key = match grouping_key(job, *is_base64, labels) {
                Ok(key) => key,
                Err(why) => return Response::error(400, &why),
            };
            if request.method == "DELETE" {
                store.delete(&key);
                return Response::new(202);
            }
            let mode = if request.method == "PUT" { Mode::Replace } else { Mode::Merge };
            push(request, mode, &key, store, flags.checks)
        }
    }
}

fn push(
    request: &Request,
    mode: Mode,
    key: &super::path::Key,
    store: &mut Store,
    checks: Checks,
) -> Response {
    let body = match read(request) {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    match (store.push(mode, checks, key, body, SystemTime::now()), checks) {
        (Ok(()), Checks::On) => Response::new(200),
        (_, Checks::Off) => Response::new(202),
        (Err(why), Checks::On) => {
            let start = "pushed metrics are invalid or inconsistent with existing metrics";
            Response::error(400, &format!("{start}: {why}"))
        }
    }
}

fn exposition(store: &Store) -> Response {
    match store.exposition() {
        Ok(text) => Response::new(200)
            .header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            .body(text),
        Err(why) => {
            let text = format!("An error has occurred while serving metrics:\n\n{why}");
            Response::error(500, &text)
        }
    }
}

fn text(text: &str) -> Response {
    Response::new(200).header("Content-Type", "text/plain; charset=utf-8").body(text)
}

/// What a browser sees; also where a push ends that follows a redirect as a GET.
fn page(store: &Store) -> Response {
    let text = store.print().replace('&', "&amp;").replace('<', "&lt;");
    let page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<title>Fake Pushgateway</title>\n<pre>\n{text}</pre>\n</html>\n"
    );
    Response::new(200).header("Content-Type", "text/html; charset=utf-8").body(page)
}

fn api_answer(
    request: &Request,
    path: &[u8],
    store: &mut Store,
    flags: &Flags,
    started: SystemTime,
) -> Response {
    let mut routes = vec![("GET", "/metrics"), ("GET", "/status")];
    if flags.admin_api == AdminApi::On {
        routes.push(("PUT", "/admin/wipe"));
    }
    let method = request.method.as_str();
    if method == "OPTIONS" {
        return cross_origin(Response::new(200));
    }
    let same_path = |near: &[u8]| routes.iter().find(|(_, path)| path.as_bytes() == near);
    let trimmed = path.strip_suffix(b"/").unwrap_or(path);
    match (same_path(path), same_path(trimmed)) {
        (Some((owner, _)), _) if *owner != method => refuse_method(request, vec![owner]),
        (Some((_, "/admin/wipe")), _) => {
            store.clear();
            Response::new(202)
        }
        (Some((_, "/status")), _) => json_answer(json::status(started, &flags.to_map())),
        (Some(_), _) => json_answer(json::metrics(store)),
        (None, Some((owner, _))) if *owner == method => {
            // The route does not know where it is mounted, and so its redirect leads astray.
            redirect(request, redirect_status(request), trimmed, "")
        }
        _ => refuse_method(request, Vec::new()),
    }
}

fn json_answer(body: String) -> Response {
    cross_origin(Response::new(200)).header("Content-Type", "application/json").body(body)
}

fn cross_origin(response: Response) -> Response {
    response
        .header("Access-Control-Allow-Origin", "*")
        .header("Cache-Control", "no-cache, no-store, must-revalidate")
}

/// Answers a request whose path is known under other methods, or not at all.
fn refuse_method(request: &Request, mut others: Vec<&str>) -> Response {
    if others.is_empty() {
        return Response::error(404, "404 page not found");
    }
    others.push("OPTIONS");
    others.sort_unstable();
    let allow = others.join(", ");
    if request.method == "OPTIONS" {
        return Response::new(200).header("Allow", allow);
    }
    Response::error(405, "Method Not Allowed").header("Allow", allow)
}

/// The router's redirects keep the method where there is a body to keep.
fn redirect_status(request: &Request) -> u16 {
    if request.method == "GET" { 301 } else { 307 }
}

fn redirect(request: &Request, status: u16, path: &[u8], query: &str) -> Response {
    let location = format!("{}{query}", percent_encode(path));
    let response = Response::new(status);
    if request.method != "GET" {
        return response.header("Location", location);
    }
    let reason = if status == 301 { "Moved Permanently" } else { "Temporary Redirect" };
    let body = format!("<a href=\"{location}\">{reason}</a>.\n\n");
    response
        .header("Content-Type", "text/html; charset=utf-8")
        .header("Location", location)
        .body(body)
}

impl Flags {
    fn to_map(&self) -> BTreeMap<String, String> {
        let entry = |name: &str, value: String| (name.to_owned(), value);
        BTreeMap::from([
            entry("persistence.file", String::new()),
            entry("push.disable-consistency-check", (self.checks == Checks::Off).to_string()),
            entry("web.enable-admin-api", (self.admin_api == AdminApi::On).to_string()),
            entry("web.enable-lifecycle", false.to_string()),
            entry("web.route-prefix", self.prefix.clone()),
            entry("web.telemetry-path", "/metrics".to_owned()),
        ])
    }
}
