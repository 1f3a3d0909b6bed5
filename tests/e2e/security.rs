//! TLS and authentication against a real gateway with its own web configuration: who gets in, and what those who do
//! not are told.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use metrics_push::prometheus::Gauge;
use metrics_push::{Acceptance, Config, Error, Gateway, GroupingKey, Pusher};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

use crate::programs::command;

const PASSWORD: &str = "hunter2-$ecret";
/// The password's bcrypt hash, as the web configuration has it.
const HASH: &str = "$2b$04$abcdefghijklmnopqrstuuklzhpc6WFcCe5wAo1zwFKXYx3YfBiGC";

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate's lifetime.
enum Life {
    Now,
    Over,
}

fn params(name: &str, life: Life) -> CertificateParams {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    if let Life::Over = life {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    }
    params
}

/// A folder with files in PEM format, and a gateway that uses them.
struct Guarded {
    child: Child,
    address: SocketAddr,
    folder: PathBuf,
}

/// Files, and the text of the web configuration that names them.
fn start(name: &str, files: &[(&str, String)], web: &str) -> Guarded {
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
    let mut guarded = Guarded { child, address, folder };
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(address).is_err() {
        assert!(guarded.child.try_wait().unwrap().is_none(), "the gateway ended: is {web} right?");
        assert!(Instant::now() < deadline, "the gateway does not listen");
        thread::sleep(Duration::from_millis(20));
    }
    guarded
}

impl Guarded {
    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn pusher(&self, scheme: &str) -> Pusher {
        let url = format!("{scheme}://{}", self.address);
        let gauge = Gauge::new("rows", "Rows.").unwrap();
        let timeout = Duration::from_secs(10);
        Pusher::new(url, "secured")
            .unwrap()
            .collector(gauge)
            .unwrap()
            .map_gateway(|gateway| gateway.timeout(timeout))
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

const TLS: &str = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";

/// A gateway with TLS and a certificate of `params`, signed by `authority`.
fn tls_gateway(
    name: &str,
    authority: &Authority,
    params: CertificateParams,
    more: &str,
) -> Guarded {
    let key = KeyPair::generate().unwrap();
    let server = params.signed_by(&key, authority).unwrap();
    let files = [
        ("ca.pem", authority.pem()),
        ("server.pem", server.pem()),
        ("server.key", key.serialize_pem()),
    ];
    start(name, &files, &format!("{TLS}{more}"))
}

/// The error, which came at once: nothing is tried again that only a person can mend.
fn refusal(push: impl FnOnce() -> Result<Acceptance, Error>) -> Error {
    let started = Instant::now();
    let error = push().unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}: {error:?}", started.elapsed());
    error
}

#[test]
fn a_password_opens_the_gateway_and_a_wrong_one_is_told() {
    let gateway = start("basic", &[], &format!("basic_auth_users:\n  batch: {HASH}\n"));
    gateway
        .pusher("http")
        .map_gateway(|gateway| gateway.basic_auth("batch", PASSWORD))
        .push()
        .unwrap();
    let key = GroupingKey::new("secured").unwrap();
    let remote = Gateway::new(format!("http://{}", gateway.address)).unwrap();
    let remote = remote.basic_auth("batch", PASSWORD);
    assert_eq!(remote.metrics().unwrap()[0].labels["job"], key.job());
    for error in [
        refusal(|| gateway.pusher("http").push()),
        refusal(|| {
            gateway
                .pusher("http")
                .map_gateway(|gateway| gateway.basic_auth("batch", "wrong"))
                .push()
        }),
        refusal(|| {
            gateway.pusher("http").map_gateway(|gateway| gateway.bearer_token("wrong")).push()
        }),
    ] {
        assert!(error.is_config() && error.status() == Some(401), "{error:?}");
        assert!(error.to_string().contains("check the user and password"), "{error}");
    }
}

#[test]
fn a_certificate_of_an_extra_authority_is_trusted() {
    let authority = authority();
    let gateway = tls_gateway("ca", &authority, params("127.0.0.1", Life::Now), "");
    gateway.pusher("https").map_gateway(|it| it.ca_file(gateway.file("ca.pem"))).push().unwrap();
}

#[test]
fn a_certificate_of_nobody_known_is_refused_with_the_remedy() {
    let gateway = tls_gateway("unknown", &authority(), params("127.0.0.1", Life::Now), "");
    let error = refusal(|| gateway.pusher("https").push());
    assert!(error.is_config(), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("is not trusted") && text.contains("METRICS_PUSH_CA_FILE"), "{text}");
}

#[test]
fn a_self_signed_certificate_is_refused() {
    let key = KeyPair::generate().unwrap();
    let own = params("127.0.0.1", Life::Now).self_signed(&key).unwrap();
    let files = [("server.pem", own.pem()), ("server.key", key.serialize_pem())];
    let gateway = start("self-signed", &files, TLS);
    let error = refusal(|| gateway.pusher("https").push());
    assert!(error.is_config() && error.to_string().contains("is not trusted"), "{error:?}");
}

#[test]
fn an_expired_certificate_is_refused() {
    let gateway = tls_gateway("expired", &authority(), params("127.0.0.1", Life::Over), "");
    let push =
        || gateway.pusher("https").map_gateway(|it| it.ca_file(gateway.file("ca.pem"))).push();
    let error = refusal(push);
    assert!(error.is_config() && error.to_string().contains("has expired"), "{error:?}");
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let gateway = tls_gateway("other", &authority(), params("gateway.example", Life::Now), "");
    let error = refusal(|| {
        gateway.pusher("https").map_gateway(|it| it.ca_file(gateway.file("ca.pem"))).push()
    });
    assert!(error.is_config() && error.to_string().contains("is for another name"), "{error:?}");
}

#[test]
fn a_certificate_is_checked_against_the_server_name_that_was_given() {
    let gateway = tls_gateway("named", &authority(), params("gateway.example", Life::Now), "");
    let trusting = || gateway.pusher("https").map_gateway(|it| it.ca_file(gateway.file("ca.pem")));
    trusting().map_gateway(|it| it.server_name("gateway.example")).push().unwrap();
    let error = refusal(|| trusting().map_gateway(|it| it.server_name("other.example")).push());
    assert!(error.is_config() && error.to_string().contains("is for another name"), "{error:?}");
    // The name alone is no reason to trust whoever signed it.
    let error = refusal(|| {
        gateway.pusher("https").map_gateway(|gateway| gateway.server_name("gateway.example")).push()
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
fn each_protocol_on_the_others_port_is_told() {
    let gateway = tls_gateway("mixed", &authority(), params("127.0.0.1", Life::Now), "");
    let error = refusal(|| gateway.pusher("http").push());
    assert!(error.to_string().contains("use https://"), "{error:?}");
    let plain = start("plain", &[], "");
    let error = refusal(|| plain.pusher("https").push());
    assert!(error.is_config() && error.to_string().contains("does not speak TLS"), "{error:?}");
}

/// Writes a client's certificate and its key.
fn write_client(folder: &Path, authority: &Authority) {
    let key = KeyPair::generate().unwrap();
    let cert = params("job", Life::Now).signed_by(&key, authority).unwrap();
    fs::write(folder.join("client.pem"), cert.pem()).unwrap();
    fs::write(folder.join("client.key"), key.serialize_pem()).unwrap();
}

#[test]
fn a_client_certificate_opens_the_gateway_and_a_renewed_one_is_found() {
    let [ours, stranger] = [authority(), authority()];
    let more = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n";
    let gateway = tls_gateway("mtls", &ours, params("127.0.0.1", Life::Now), more);
    let trusting = || gateway.pusher("https").map_gateway(|it| it.ca_file(gateway.file("ca.pem")));
    let error = refusal(|| trusting().push());
    assert!(error.is_config() && error.to_string().contains("METRICS_PUSH_CERT_FILE"), "{error:?}");

    write_client(&gateway.folder, &stranger);
    let known = trusting().map_gateway(|it| {
        it.client_certificate(gateway.file("client.pem"), gateway.file("client.key"))
    });
    let error = refusal(|| known.push());
    assert!(error.is_config(), "{error:?}");

    // The same pusher, once the files are mended.
    write_client(&gateway.folder, &ours);
    known.push().unwrap();
}
