//! The rows of the table: the programs, how each is started, and the gateway that it pushes to.

use std::path::{Path, PathBuf};
use std::process::Command;

use metrics_push_benches::certificate::Certificate;
use metrics_push_benches::median;
use metrics_push_benches::pushgateway::Pushgateway;
use metrics_push_benches::usage::{Usage, measure};

use crate::{packages, recording};

pub(crate) const BARE: &str = "bare, no push";
pub(crate) const RAW_ONE: &str = "raw socket, completion";
pub(crate) const RAW_TWO: &str = "raw socket, start and completion";
pub(crate) const RAW_WORK: &str = "raw socket, start, 5 ms of work, completion";
pub(crate) const JOB: &str = "job";
pub(crate) const JOB_PLAIN: &str = "job, built without TLS";
pub(crate) const JOB_STATE: &str = "job, state directory";
pub(crate) const JOB_UNSET: &str = "job, no URL";
pub(crate) const JOB_WORK: &str = "job, 5 ms of work";
pub(crate) const JOB_TLS: &str = "job, `https`";
pub(crate) const LEAN: &str = "`reqwest` by hand, minimal features";
pub(crate) const LEAN_UNUSED_TLS: &str = "`reqwest` by hand, with TLS, `http`";
pub(crate) const LEAN_TLS: &str = "`reqwest` by hand, `https`";
pub(crate) const GO: &str = "Go client";
pub(crate) const GO_TLS: &str = "Go client, `https`";
pub(crate) const EXEC: &str = "`metrics-push exec -- true`";
pub(crate) const EXEC_LEAN: &str = "`reqwest` by hand around `true`";
const CURL: &str = "curl";
const CURL_TLS: &str = "curl, `https`";
const PYTHON: &str = "Python client";

/// How long the working job works, in milliseconds.
const WORK: &str = "5";

/// A row of the table: a program and its measured runs.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// Builds the command. `None` if the program is not installed.
    pub(crate) start: Option<Box<dyn Fn() -> Command>>,
    scheme: Scheme,
    pub(crate) runs: Vec<Usage>,
}

/// Whether a program pushes to the gateway with TLS.
#[derive(Clone, Copy, PartialEq)]
enum Scheme {
    Http,
    Https,
}

impl Row {
    fn new(name: &'static str, start: impl Fn() -> Command + 'static) -> Self {
        Self::optional(name, Some(start))
    }

    /// Returns a row of a program that may not be installed.
    fn optional(name: &'static str, start: Option<impl Fn() -> Command + 'static>) -> Self {
        let start = start.map(|start| Box::new(start) as Box<dyn Fn() -> Command>);
        Self { name, start, scheme: Scheme::Http, runs: Vec::new() }
    }

    fn with_tls(self) -> Self {
        Self { scheme: Scheme::Https, ..self }
    }

    pub(crate) fn run(&self, gateways: &Gateways) -> Option<Usage> {
        let start = self.start.as_ref()?;
        let gateway = match self.scheme {
            Scheme::Http => &gateways.plain,
            Scheme::Https => &gateways.with_tls,
        };
        let before = gateway.pushes();
        let mut usage = measure(start());
        usage.pushes = gateway.pushes() - before;
        Some(usage)
    }

    pub(crate) fn values(&self, value: fn(&Usage) -> f64) -> Vec<f64> {
        self.runs.iter().map(value).collect()
    }

    pub(crate) fn pushes_per_run(&self) -> f64 {
        let pushes: u32 = self.runs.iter().map(|usage| usage.pushes).sum();
        f64::from(pushes) / self.runs.len() as f64
    }

    pub(crate) fn median(&self, value: fn(&Usage) -> f64) -> f64 {
        median(&self.values(value))
    }
}

/// The gateways that the programs push to.
pub(crate) struct Gateways {
    plain: Pushgateway,
    with_tls: Pushgateway,
    /// The authorities that the programs with TLS trust.
    authorities: PathBuf,
}

impl Gateways {
    pub(crate) fn start(folder: &Path) -> Self {
        let certificate = Certificate::create(folder);
        let authorities = certificate.authorities();
        let (plain, with_tls) = (Pushgateway::start(), Pushgateway::start_with_tls(certificate));
        Self { plain, with_tls, authorities }
    }

    /// Returns the URL of the gateway without TLS.
    pub(crate) fn url(&self) -> String {
        self.plain.url()
    }
}

/// Returns the command of a program with only these variables set.
fn program(
    path: &Path,
    arguments: &[&str],
    variables: &[(&'static str, &str)],
) -> impl Fn() -> Command + use<> {
    let path = path.to_owned();
    let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let variables: Vec<_> =
        variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    move || {
        let mut command = Command::new(&path);
        command.env_clear().args(&arguments);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// Returns the command of a job with only these variables set.
pub(crate) fn job(
    path: &Path,
    arguments: &[&str],
    variables: &[(&'static str, &str)],
) -> impl Fn() -> Command + use<> {
    program(path, arguments, &[&[("METRICS_PUSH_STATE_DIR", "off")], variables].concat())
}

/// Returns the rows, with copies of all programs in a folder.
pub(crate) fn rows(gateways: &Gateways, folder: &Path) -> Vec<Row> {
    let installed = |name: &str, path: PathBuf| {
        let copy = folder.join(name);
        std::fs::copy(&path, &copy).expect("the program has been built");
        copy
    };
    let [raw, with_tls, without_tls, lean, lean_tls, prometheus_push, command] = [
        "raw",
        "job",
        "job_without_tls",
        "reqwest_lean",
        "reqwest_lean_tls",
        "prometheus_push",
        "command",
    ]
    .map(|name| installed(name, packages::program(name)));
    let exec_lean = installed("exec_lean", packages::program_of("reqwest_lean", "exec_lean"));
    let go = packages::go_client().map(|path| installed("go_client", path));

    let requests = recording::record(&with_tls, WORK, folder);
    let [start, completion] = requests.each_ref().map(|path| path.to_str().unwrap());
    let bodies = ["start_body", "body"].map(|name| folder.join(name));
    for (request, body) in requests.iter().zip(&bodies) {
        std::fs::write(body, recording::body_of(request)).unwrap();
    }
    let [start_body, body] = bodies.each_ref().map(|path| path.to_str().unwrap());

    let address = &*gateways.plain.address().to_string();
    let (url, tls_url) = (&*gateways.plain.url(), &*gateways.with_tls.url());
    let target = ("METRICS_PUSH_URL", url);
    let tls_target = ("METRICS_PUSH_URL", tls_url);
    // All programs with TLS read this variable, except curl.
    let trust = ("SSL_CERT_FILE", gateways.authorities.to_str().unwrap());
    let state = folder.join("state");
    let state = ("METRICS_PUSH_STATE_DIR", state.to_str().unwrap());

    let curl = |url: &str| {
        let url = format!("{url}/metrics/job/curl");
        let body = format!("@{body}");
        let arguments = ["-sS", "--fail", "--cacert", trust.1, "-X", "PUT", "--data-binary"];
        let arguments = [&arguments[..], &[&body, &url]].concat();
        packages::is_installed("curl").then(|| program(Path::new("curl"), &arguments, &[]))
    };
    let go = |url: &str| go.as_deref().map(|path| program(path, &[url], &[trust]));
    let python = packages::python()
        .map(|path| program(Path::new(path), &[packages::PYTHON_CLIENT, url], &[]));
    vec![
        Row::new(BARE, program(&raw, &[], &[])),
        Row::new(RAW_ONE, program(&raw, &[address, "0", completion], &[])),
        Row::new(RAW_TWO, program(&raw, &[address, "0", start, completion], &[])),
        Row::new(JOB, job(&with_tls, &[], &[target])),
        Row::new(JOB_PLAIN, job(&without_tls, &[], &[target])),
        Row::new(JOB_STATE, job(&with_tls, &[], &[target, state])),
        Row::new(JOB_UNSET, job(&with_tls, &[], &[])),
        Row::new(RAW_WORK, program(&raw, &[address, WORK, start, completion], &[])),
        Row::new(JOB_WORK, job(&with_tls, &[WORK], &[target])),
        Row::new(LEAN, program(&lean, &[url, body], &[])),
        Row::new(LEAN_UNUSED_TLS, program(&lean_tls, &[url, body], &[trust])),
        Row::new("`prometheus` crate's push", program(&prometheus_push, &[url], &[])),
        Row::optional(CURL, curl(url)),
        Row::optional(GO, go(url)),
        Row::optional(PYTHON, python),
        Row::new(JOB_TLS, job(&with_tls, &[], &[tls_target, trust])).with_tls(),
        Row::new(LEAN_TLS, program(&lean_tls, &[tls_url, body], &[trust])).with_tls(),
        Row::optional(CURL_TLS, curl(tls_url)).with_tls(),
        Row::optional(GO_TLS, go(tls_url)).with_tls(),
        Row::new(EXEC, job(&command, &["exec", "--", "/bin/true"], &[target])),
        Row::new(EXEC_LEAN, program(&exec_lean, &[url, start_body, body, "/bin/true"], &[])),
    ]
}
