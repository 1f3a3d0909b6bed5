//! A certificate for a server on this machine, and a list of authorities that trusts it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The certificates of the system, on Debian.
const SYSTEM_CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The files of a certificate for `127.0.0.1`.
pub struct Certificate {
    folder: PathBuf,
}

impl Certificate {
    /// Creates the files in a folder.
    ///
    /// # Panics
    /// If `openssl` is not installed.
    #[must_use]
    pub fn create(folder: &Path) -> Self {
        let created = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(["-nodes", "-days", "2", "-subj", "/CN=bench"])
            .args(["-addext", "subjectAltName=IP:127.0.0.1"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .args(["-keyout", "key.pem", "-out", "cert.pem"])
            .current_dir(folder)
            .stderr(Stdio::null())
            .status();
        assert!(created.is_ok_and(|status| status.success()), "openssl is installed");
        let certificate = Self { folder: folder.to_owned() };
        let config = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n";
        let own = fs::read_to_string(certificate.path("cert.pem")).expect("the file exists");
        // Like a program in production, a program of a bench reads all authorities of the system.
        let system = fs::read_to_string(SYSTEM_CERTIFICATES).unwrap_or_default();
        for (name, text) in [("web.yml", config), ("authorities.pem", &(system + &own))] {
            fs::write(certificate.path(name), text).expect("the folder is writable");
        }
        certificate
    }

    /// Returns a file with the authorities of the system and this certificate.
    #[must_use]
    pub fn authorities(&self) -> PathBuf {
        self.path("authorities.pem")
    }

    /// Returns the configuration of a server of Prometheus.
    pub(crate) fn web_config(&self) -> PathBuf {
        self.path("web.yml")
    }

    /// Sends a GET request with curl and returns the body of the response.
    pub(crate) fn get(&self, url: &str) -> String {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--cacert"]).arg(self.path("cert.pem")).arg(url);
        let output = curl.output().expect("curl is installed");
        String::from_utf8(output.stdout).expect("the response is text")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}
