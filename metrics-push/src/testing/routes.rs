//! The routes of Pushgateway 1.5.1, with its redirects and error responses.
//!
//! A path is cleaned first. If that changes it, the response is a 301. A path without a route gets a 301 or 307 if a route
//! differs only by a slash or by case, a 405 if it has a route for another method, and else a 404.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::body::decode;
use super::http::{HttpResponse, Request};
use super::json;
use super::path::{JobEncoding, clean, grouping_key, percent_decode, percent_encode};
use super::service::Service;
use super::store::{ConsistencyCheck, GroupStore, PushMode};

/// Whether a request may delete all groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AdminApi {
    Enabled,
    Disabled,
}

/// The flags with which the gateway is started.
#[derive(Clone, Debug)]
pub(super) struct Flags {
    /// Empty, or a path with a leading slash and without a trailing one.
    pub(super) prefix: String,
    pub(super) admin_api: AdminApi,
    pub(super) check: ConsistencyCheck,
}

/// The routes, with the groups that they change.
pub(super) struct GatewayService {
    pub(super) store: GroupStore,
    pub(super) flags: Flags,
    started: SystemTime,
}

impl GatewayService {
    pub(super) fn new(flags: Flags) -> Self {
        Self { store: GroupStore::default(), flags, started: SystemTime::now() }
    }
}

impl Service for GatewayService {
    fn handle(&mut self, request: &Request) -> HttpResponse {
        route(request, &mut self.store, &self.flags, self.started)
    }
}

/// The endpoint of a route.
enum Endpoint<'a> {
    Exposition,
    Health,
    StatusPage,
    Group { encoding: JobEncoding, job: &'a [u8], labels: &'a [u8] },
    Quit,
    QuitByGet,
}

const METHODS: [&str; 4] = ["DELETE", "GET", "POST", "PUT"];

fn route(
    request: &Request,
    store: &mut GroupStore,
    flags: &Flags,
    started: SystemTime,
) -> HttpResponse {
    let (target, query) = split_query(&request.path);
    let Some(path) = percent_decode(target.as_bytes()) else {
        return HttpResponse { status: 400, ..text("400 Bad Request") };
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
        Some(rest) if rest.starts_with(b"/") => handle_api(request, rest, store, flags, started),
        _ => handle(request, &path, query, store, flags),
    }
}

fn split_query(target: &str) -> (&str, &str) {
    // In a request to a proxy, the target starts with the scheme and the host.
    let path = target
        .strip_prefix("http://")
        .map_or(target, |rest| rest.find('/').map_or("/", |slash| &rest[slash..]));
    path.find('?').map_or((path, ""), |mark| path.split_at(mark))
}

fn handle(
    request: &Request,
    path: &[u8],
    query: &str,
    store: &mut GroupStore,
    flags: &Flags,
) -> HttpResponse {
    if let Some(endpoint) = find(&flags.prefix, &request.method, path) {
        return respond(request, &endpoint, store, flags);
    }
    if let Some(similar) = similar_route(&flags.prefix, &request.method, path) {
        return redirect(request, redirect_status(request), &similar, query);
    }
    let others = METHODS.into_iter().filter(|method| find(&flags.prefix, method, path).is_some());
    reject_method(request, others.collect())
}

fn find<'a>(prefix: &str, method: &str, path: &'a [u8]) -> Option<Endpoint<'a>> {
    if method == "GET" && path == b"/-/quit" {
        return Some(Endpoint::QuitByGet);
    }
    let path = path.strip_prefix(prefix.as_bytes())?;
    match (method, path) {
        ("GET", b"/metrics") => Some(Endpoint::Exposition),
        ("GET", b"/-/healthy" | b"/-/ready") => Some(Endpoint::Health),
        ("GET", b"/" | b"/status") => Some(Endpoint::StatusPage),
        ("PUT" | "POST", b"/-/quit") => Some(Endpoint::Quit),
        ("PUT" | "POST" | "DELETE", _) => find_group(path),
        _ => None,
    }
}

fn find_group(path: &[u8]) -> Option<Endpoint<'_>> {
    let rest = path.strip_prefix(b"/metrics/job")?;
    let (encoding, rest) = match rest.strip_prefix(b"@base64") {
        Some(rest) => (JobEncoding::Base64, rest),
        None => (JobEncoding::Plain, rest),
    };
    let rest = rest.strip_prefix(b"/")?;
    let end = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
    let (job, labels) = rest.split_at(end);
    (!job.is_empty()).then_some(Endpoint::Group { encoding, job, labels })
}

/// Returns the path of a route that differs only by a slash or by case.
fn similar_route(prefix: &str, method: &str, path: &[u8]) -> Option<Vec<u8>> {
    let group = format!("{prefix}/metrics/job");
    let takes_groups = matches!(method, "PUT" | "POST" | "DELETE");
    // The target has no route, but that is how the real gateway redirects an empty job.
    if takes_groups && path == format!("{group}/").as_bytes() {
        return Some(group.into_bytes());
    }
    let trimmed = path.strip_suffix(b"/").unwrap_or(path);
    let slashed = [trimmed, b"/"].concat();
    if let Some(found) =
        [trimmed, &slashed].into_iter().find(|path| find(prefix, method, path).is_some())
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
    store: &mut GroupStore,
    flags: &Flags,
) -> HttpResponse {
    match endpoint {
        Endpoint::Exposition => exposition(store),
        Endpoint::Health => text("OK"),
        Endpoint::StatusPage => status_page(store),
        Endpoint::Quit => HttpResponse { status: 403, ..text("Lifecycle API is not enabled.") },
        Endpoint::QuitByGet => {
            HttpResponse { status: 405, ..text("Only POST or PUT requests allowed.") }
        }
        Endpoint::Group { encoding, job, labels } => {
            let key = match grouping_key(job, *encoding, labels) {
                Ok(key) => key,
                Err(why) => return HttpResponse::error(400, &why),
            };
            if request.method == "DELETE" {
                store.delete(&key);
                return HttpResponse::new(202);
            }
            let mode = if request.method == "PUT" { PushMode::Replace } else { PushMode::Merge };
            push(request, mode, &key, store, flags.check)
        }
    }
}

fn push(
    request: &Request,
    mode: PushMode,
    key: &super::path::GroupKey,
    store: &mut GroupStore,
    check: ConsistencyCheck,
) -> HttpResponse {
    let body = match decode(request) {
        Ok(body) => body,
        Err(response) => return response,
    };
    match (store.push(mode, check, key, body, SystemTime::now()), check) {
        (Ok(()), ConsistencyCheck::Enabled) => HttpResponse::new(200),
        (_, ConsistencyCheck::Disabled) => HttpResponse::new(202),
        (Err(why), ConsistencyCheck::Enabled) => {
            let start = "pushed metrics are invalid or inconsistent with existing metrics";
            HttpResponse::error(400, &format!("{start}: {why}"))
        }
    }
}

fn exposition(store: &GroupStore) -> HttpResponse {
    match store.exposition() {
        Ok(text) => HttpResponse::new(200)
            .header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            .body(text),
        Err(why) => {
            let text = format!("An error has occurred while serving metrics:\n\n{why}");
            HttpResponse::error(500, &text)
        }
    }
}

fn text(text: &str) -> HttpResponse {
    HttpResponse::new(200).header("Content-Type", "text/plain; charset=utf-8").body(text)
}

/// The page for browsers. A client that follows a redirect as a GET gets it too.
fn status_page(store: &GroupStore) -> HttpResponse {
    let text = store.print().replace('&', "&amp;").replace('<', "&lt;");
    let page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<title>Fake Pushgateway</title>\n<pre>\n{text}</pre>\n</html>\n"
    );
    HttpResponse::new(200).header("Content-Type", "text/html; charset=utf-8").body(page)
}

fn handle_api(
    request: &Request,
    path: &[u8],
    store: &mut GroupStore,
    flags: &Flags,
    started: SystemTime,
) -> HttpResponse {
    let mut routes = vec![("GET", "/metrics"), ("GET", "/status")];
    if flags.admin_api == AdminApi::Enabled {
        routes.push(("PUT", "/admin/wipe"));
    }
    let method = request.method.as_str();
    if method == "OPTIONS" {
        return cross_origin(HttpResponse::new(200));
    }
    let find = |path: &[u8]| routes.iter().find(|(_, route)| route.as_bytes() == path);
    let trimmed = path.strip_suffix(b"/").unwrap_or(path);
    match (find(path), find(trimmed)) {
        (Some((other, _)), _) if *other != method => reject_method(request, vec![other]),
        (Some((_, "/admin/wipe")), _) => {
            store.clear();
            HttpResponse::new(202)
        }
        (Some((_, "/status")), _) => json_response(json::status(started, &flags.to_map())),
        (Some(_), _) => json_response(json::metrics(store)),
        (None, Some((route_method, _))) if *route_method == method => {
            // As in the real gateway, the redirect lacks the prefix `/api/v1` and so leads to a wrong path.
            redirect(request, redirect_status(request), trimmed, "")
        }
        _ => reject_method(request, Vec::new()),
    }
}

fn json_response(body: String) -> HttpResponse {
    cross_origin(HttpResponse::new(200)).header("Content-Type", "application/json").body(body)
}

fn cross_origin(response: HttpResponse) -> HttpResponse {
    response
        .header("Access-Control-Allow-Origin", "*")
        .header("Cache-Control", "no-cache, no-store, must-revalidate")
}

/// Responds to a request whose path has routes for these other methods only.
fn reject_method(request: &Request, mut others: Vec<&str>) -> HttpResponse {
    if others.is_empty() {
        return HttpResponse::error(404, "404 page not found");
    }
    others.push("OPTIONS");
    others.sort_unstable();
    let allow = others.join(", ");
    if request.method == "OPTIONS" {
        return HttpResponse::new(200).header("Allow", allow);
    }
    HttpResponse::error(405, "Method Not Allowed").header("Allow", allow)
}

/// The status of a redirect. A 307 makes the client repeat the method and the body.
fn redirect_status(request: &Request) -> u16 {
    if request.method == "GET" { 301 } else { 307 }
}

fn redirect(request: &Request, status: u16, path: &[u8], query: &str) -> HttpResponse {
    let location = format!("{}{query}", percent_encode(path));
    let response = HttpResponse::new(status);
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
            entry(
                "push.disable-consistency-check",
                (self.check == ConsistencyCheck::Disabled).to_string(),
            ),
            entry("web.enable-admin-api", (self.admin_api == AdminApi::Enabled).to_string()),
            entry("web.enable-lifecycle", false.to_string()),
            entry("web.route-prefix", self.prefix.clone()),
            entry("web.telemetry-path", "/metrics".to_owned()),
        ])
    }
}
