//! TLS and authentication against the real gateway: valid credentials and certificates are accepted, and the errors of
//! invalid ones are explained.

use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use metrics_push::prometheus::Gauge;
use metrics_push::{Acceptance, Config, Error, Gateway, GroupingKey, Pusher};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

use crate::cli::metrics_push_program;
use crate::programs::command;

const PASSWORD: &str = "hunter2-$ecret";
/// The bcrypt hash of the password for the web configuration.
const HASH: &str = "$2b$04$abcdefghijklmnopqrstuuklzhpc6WFcCe5wAo1zwFKXYx3YfBiGC";

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

enum Validity {
    Current,
    Expired,
}

fn params(name: &str, validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    if let Validity::Expired = validity {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    }
    params
}

/// A gateway, and the folder with its PEM files.
struct SecureGateway {
    child: Child,
    address: SocketAddr,
    folder: PathBuf,
}

/// Starts a gateway with these files and this web configuration.
fn start(name: &str, files: &[(&str, String)], web: &str) -> SecureGateway {
    let folder = std::env::temp_dir().join(format!("metrics-push-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    for (name, text) in files {
        fs::write(folder.join(name), text).unwrap();
    }
    fs::write(folder.join("web.yml"), web).unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let binary = "/usr/bin/prometheus-pushgateway";
    let child = command(binary)
        .arg(format!("--web.listen-address={address}"))
        .arg(format!("--web.config.file={}", folder.join("web.yml").display()))
        .arg("--persistence.file=")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|why| panic!("{binary}: install prometheus-pushgateway: {why}"));
    let mut gateway = SecureGateway { child, address, folder };
    let deadline = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(address).is_err() {
        assert!(
            gateway.child.try_wait().unwrap().is_none(),
            "the gateway exited; check the web configuration {web}"
        );
        assert!(Instant::now() < deadline, "the gateway does not listen");
        thread::sleep(Duration::from_millis(20));
    }
    gateway
}

impl SecureGateway {
    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn pusher(&self, scheme: &str) -> Pusher {
        let url = format!("{scheme}://{}", self.address);
        let gauge = Gauge::new("rows", "Rows.").unwrap();
        let timeout = Duration::from_secs(60);
        Pusher::new(url, "secured")
            .unwrap()
            .collector(gauge)
            .unwrap()
            .map_gateway(|it| it.timeout(timeout))
    }
}

impl Drop for SecureGateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

const TLS: &str = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";

/// Starts a gateway with TLS and a certificate that `authority` has signed. `more` is added to its web configuration.
fn tls_gateway(
    name: &str,
    authority: &Authority,
    params: CertificateParams,
    more: &str,
) -> SecureGateway {
    let key = KeyPair::generate().unwrap();
    let server = params.signed_by(&key, authority).unwrap();
    let files = [
        ("ca.pem", authority.pem()),
        ("server.pem", server.pem()),
        ("server.key", key.serialize_pem()),
    ];
    start(name, &files, &format!("{TLS}{more}"))
}

/// Returns the error of a push. It must not be retried, because only a new configuration can fix it.
fn refusal(push: impl FnOnce() -> Result<Acceptance, Error>) -> Error {
    let started = Instant::now();
    let error = push().unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}: {error:?}", started.elapsed());
    error
}

#[test]
fn basic_auth_is_accepted_or_explained() {
    let gateway = start("basic", &[], &format!("basic_auth_users:\n  batch: {HASH}\n"));
    gateway.pusher("http").map_gateway(|it| it.basic_auth("batch", PASSWORD)).push().unwrap();
    let key = GroupingKey::new("secured").unwrap();
    let remote = Gateway::new(format!("http://{}", gateway.address)).unwrap();
    let remote = remote.basic_auth("batch", PASSWORD);
    assert_eq!(remote.metrics().unwrap()[0].labels["job"], key.job());
    for error in [
        refusal(|| gateway.pusher("http").push()),
        refusal(|| gateway.pusher("http").map_gateway(|it| it.basic_auth("batch", "wrong")).push()),
        refusal(|| gateway.pusher("http").map_gateway(|it| it.bearer_token("wrong")).push()),
    ] {
        assert!(error.is_config() && error.status() == Some(401), "{error:?}");
        let remedy = "check METRICS_PUSH_USERNAME and METRICS_PUSH_PASSWORD, or METRICS_PUSH_TOKEN";
        assert!(error.to_string().contains(remedy), "{error}");
    }
}

#[test]
fn certificate_of_the_ca_file_is_trusted() {
    let authority = authority();
    let gateway = tls_gateway("ca", &authority, params("127.0.0.1", Validity::Current), "");
    gateway.pusher("https").map_gateway(|it| it.ca_file(gateway.file("ca.pem"))).push().unwrap();
}

#[test]
fn certificate_of_unknown_authority_is_refused() {
    let gateway = tls_gateway("unknown", &authority(), params("127.0.0.1", Validity::Current), "");
    let error = refusal(|| gateway.pusher("https").push());
    assert!(error.is_config(), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("is not trusted") && text.contains("METRICS_PUSH_CA_FILE"), "{text}");
}

#[test]
fn self_signed_certificate_is_refused() {
    let key = KeyPair::generate().unwrap();
    let own = params("127.0.0.1", Validity::Current).self_signed(&key).unwrap();
    let files = [("server.pem", own.pem()), ("server.key", key.serialize_pem())];
    let gateway = start("self-signed", &files, TLS);
    let error = refusal(|| gateway.pusher("https").push());
    assert!(error.is_config() && error.to_string().contains("is not trusted"), "{error:?}");
}

#[test]
fn expired_certificate_is_refused() {
    let gateway = tls_gateway("expired", &authority(), params("127.0.0.1", Validity::Expired), "");
    let push =
        || gateway.pusher("https").map_gateway(|it| it.ca_file(gateway.file("ca.pem"))).push();
    let error = refusal(push);
    assert!(error.is_config() && error.to_string().contains("has expired"), "{error:?}");
}

#[test]
fn certificate_for_another_name_is_refused() {
    let gateway =
        tls_gateway("other", &authority(), params("gateway.example", Validity::Current), "");
    let error = refusal(|| {
        gateway.pusher("https").map_gateway(|it| it.ca_file(gateway.file("ca.pem"))).push()
    });
    assert!(error.is_config() && error.to_string().contains("is for another name"), "{error:?}");
}

/// Issues a certificate for this machine with `openssl req -x509` and these options, and starts a gateway with it.
fn openssl_gateway(name: &str, options: &[&str]) -> SecureGateway {
    let folder = std::env::temp_dir().join(format!("metrics-push-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let status = command("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=gateway",
        ])
        .args(["-keyout", "server.key", "-out", "server.pem"])
        .args(options)
        .current_dir(&folder)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let file = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let files = [("server.pem", file("server.pem")), ("server.key", file("server.key"))];
    start(name, &files, TLS)
}

#[test]
fn certificate_of_openssl_is_refused_with_the_option_that_helps() {
    let name = ["-addext", "subjectAltName=IP:127.0.0.1"];
    let gateway = openssl_gateway("openssl", &name);
    let trusting = |gateway: &SecureGateway| {
        gateway.pusher("https").map_gateway(|it| it.ca_file(gateway.file("server.pem"))).push()
    };
    let error = refusal(|| trusting(&gateway));
    let text = error.to_string();
    assert!(error.is_config() && text.contains("is that of an authority"), "{error:?}");
    let option = "-addext basicConstraints=critical,CA:FALSE";
    assert!(text.contains(option) && text.contains("METRICS_PUSH_CA_FILE"), "{text}");

    let (flag, constraint) = option.split_once(' ').unwrap();
    let gateway = openssl_gateway("openssl-server", &[name[0], name[1], flag, constraint]);
    trusting(&gateway).unwrap();
}

#[test]
fn certificate_without_names_or_for_clients_is_explained() {
    let leaf = ["-addext", "basicConstraints=critical,CA:FALSE"];
    let named = ["-addext", "subjectAltName=IP:127.0.0.1"];
    let client = ["-addext", "extendedKeyUsage=clientAuth"];
    for (options, message, remedy) in [
        (leaf.to_vec(), "is for another name", "subjectAltName"),
        ([leaf, named, client].concat(), "is not for servers", "extendedKeyUsage=serverAuth"),
    ] {
        let gateway = openssl_gateway("openssl-unusual", &options);
        let error = refusal(|| {
            gateway.pusher("https").map_gateway(|it| it.ca_file(gateway.file("server.pem"))).push()
        });
        let text = error.to_string();
        assert!(error.is_config() && text.contains(message) && text.contains(remedy), "{error:?}");
    }
}

#[test]
fn certificate_of_an_authority_outside_the_ca_file_names_the_file() {
    let gateway = tls_gateway("outside", &authority(), params("127.0.0.1", Validity::Current), "");
    fs::write(gateway.file("other.pem"), authority().pem()).unwrap();
    let error = refusal(|| {
        gateway.pusher("https").map_gateway(|it| it.ca_file(gateway.file("other.pem"))).push()
    });
    let text = error.to_string();
    assert!(text.contains("is not trusted") && text.contains("other.pem"), "{error:?}");
    assert!(!text.contains("set METRICS_PUSH_CA_FILE"), "{text}");
}

#[test]
fn server_name_is_set_by_a_variable_and_an_argument() {
    let gateway =
        tls_gateway("variable", &authority(), params("gateway.example", Validity::Current), "");
    let status = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = command(metrics_push_program());
        command.args(["push", "--job", "named"]).args(arguments);
        command.env("METRICS_PUSH_URL", format!("https://{}", gateway.address));
        command.env("METRICS_PUSH_CA_FILE", gateway.file("ca.pem")).envs(variables.iter().copied());
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"x 1\n").unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, message) = status(&[], &[]);
    assert!(message.contains("set METRICS_PUSH_SERVER_NAME"), "{message}");
    assert_eq!(code, Some(2));
    let variable = [("METRICS_PUSH_SERVER_NAME", "gateway.example")];
    assert_eq!(status(&[], &variable), (Some(0), String::new()));
    let other = [("METRICS_PUSH_SERVER_NAME", "other.example")];
    let argument = ["--server-name", "gateway.example"];
    assert_eq!(status(&argument, &other), (Some(0), String::new()));
}

#[test]
fn server_name_replaces_the_host_of_the_url() {
    let gateway =
        tls_gateway("named", &authority(), params("gateway.example", Validity::Current), "");
    let trusting = || gateway.pusher("https").map_gateway(|it| it.ca_file(gateway.file("ca.pem")));
    trusting().map_gateway(|it| it.server_name("gateway.example")).push().unwrap();
    let error = refusal(|| trusting().map_gateway(|it| it.server_name("other.example")).push());
    assert!(error.is_config() && error.to_string().contains("is for another name"), "{error:?}");
    // The authority must be trusted in any case.
    let error = refusal(|| {
        gateway.pusher("https").map_gateway(|it| it.server_name("gateway.example")).push()
    });
    assert!(error.is_config() && error.to_string().contains("is not trusted"), "{error:?}");
    let error = refusal(|| {
        trusting().map_gateway(|it| it.server_name("https://gateway.example:9091")).push()
    });
    assert!(error.is_config() && error.to_string().contains("server name"), "{error:?}");

    let url = format!("https://{}", gateway.address);
    let config = Config::default().url(url).unwrap().ca_file(gateway.file("ca.pem"));
    let remote = Gateway::from_config(&config.server_name("gateway.example")).unwrap().remove(0);
    assert_eq!(remote.metrics().unwrap().len(), 1);
}

#[test]
fn wrong_scheme_for_the_port_is_explained() {
    let gateway = tls_gateway("mixed", &authority(), params("127.0.0.1", Validity::Current), "");
    let error = refusal(|| gateway.pusher("http").push());
    assert!(error.to_string().contains("write https:// in the URL"), "{error:?}");
    let plain = start("plain", &[], "");
    let error = refusal(|| plain.pusher("https").push());
    assert!(error.is_config() && error.to_string().contains("does not use TLS"), "{error:?}");
}

/// Writes a client certificate and its key.
fn write_client(folder: &Path, authority: &Authority) {
    let key = KeyPair::generate().unwrap();
    let cert = params("job", Validity::Current).signed_by(&key, authority).unwrap();
    fs::write(folder.join("client.pem"), cert.pem()).unwrap();
    fs::write(folder.join("client.key"), key.serialize_pem()).unwrap();
}

#[test]
fn client_certificate_is_read_again_after_a_refusal() {
    let [ours, other] = [authority(), authority()];
    let more = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n";
    let gateway = tls_gateway("mtls", &ours, params("127.0.0.1", Validity::Current), more);
    let trusting = || gateway.pusher("https").map_gateway(|it| it.ca_file(gateway.file("ca.pem")));
    let error = refusal(|| trusting().push());
    assert!(error.is_config() && error.to_string().contains("METRICS_PUSH_CERT_FILE"), "{error:?}");

    write_client(&gateway.folder, &other);
    let pusher = trusting().map_gateway(|it| {
        it.client_certificate(gateway.file("client.pem"), gateway.file("client.key"))
    });
    let error = refusal(|| pusher.push());
    assert!(error.is_config(), "{error:?}");

    // The same pusher succeeds after the files were replaced.
    write_client(&gateway.folder, &ours);
    pusher.push().unwrap();
}
