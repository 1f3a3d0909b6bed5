//! `TlsProxy`: a port with TLS in front of a broker, by the program `socat`, and the certificates of a test.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::broker_proxy::BrokerProxy;
use crate::programs::command;
use crate::state_dir::StateDir;
use crate::wait::wait_until;

/// A certification authority, and a folder for its files.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: StateDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // OpenSSL takes a certificate for its own issuer if both have the same name.
        params.distinguished_name.push(DnType::CommonName, "Authority of a test");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer, folder: StateDir::new() }
    }

    /// Returns the file with the certificate of the authority.
    pub(crate) fn certificate(&self) -> PathBuf {
        let path = self.folder.path().join("ca.pem");
        fs::write(&path, self.issuer.pem()).unwrap();
        path
    }

    /// Returns the files with a new certificate for this name and its key.
    pub(crate) fn issue(&self, name: &str) -> [PathBuf; 2] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = [("cert", certificate.pem()), ("key", key.serialize_pem())];
        files.map(|(kind, text)| {
            let path = self.folder.path().join(format!("{name}-{kind}.pem"));
            fs::write(&path, text).unwrap();
            path
        })
    }
}

/// Whether a client needs a certificate of the same authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientCertificate {
    Required,
    NotRequired,
}

/// Killed on drop.
pub(crate) struct TlsProxy {
    child: Child,
    address: SocketAddr,
}

impl TlsProxy {
    /// Starts the proxy with a certificate for `name`. The broker advertises the address of the proxy.
    pub(crate) fn start(
        broker: &BrokerProxy,
        authority: &Authority,
        name: &str,
        client: ClientCertificate,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let [certificate, key] = authority.issue(name).map(|path| path.display().to_string());
        let verify = u8::from(client == ClientCertificate::Required);
        let listen = format!(
            "OPENSSL-LISTEN:{},bind=127.0.0.1,reuseaddr,fork,cert={certificate},key={key},cafile={},verify={verify}",
            address.port(),
            authority.certificate().display(),
        );
        let mut command = command("socat");
        command.args([listen, format!("TCP:{}", broker.address())]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| panic!("install socat: {error}"));
        broker.advertise(address);
        wait_until(|| TcpStream::connect(address));
        Self { child, address }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for TlsProxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
