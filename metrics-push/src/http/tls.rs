//! TLS: reads certificates, configures the client and explains failed handshakes.
//!
//! For an `http://` URL, no certificates are loaded. This file never installs a crypto provider for the process, so
//! that the program can install one.

use std::sync::Arc;

use reqwest::{ClientBuilder, Url};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore,
    SignatureScheme,
};
use rustls_platform_verifier::Verifier;

use super::config_file::ConfigFile;
use super::transport::Transport;
use crate::error::{Error, Kind};

/// Checks the TLS settings without reading files.
pub(super) fn check(_base: &Url, transport: &Transport) -> Result<(), Error> {
    if let Some(name) = &transport.server_name {
        check_server_name(name)?;
    }
    if transport.cert_file.is_some() == transport.key_file.is_some() {
        return Ok(());
    }
    Err(Error::config("a client certificate and its key must be set together")
        .remedy("set METRICS_PUSH_CERT_FILE and METRICS_PUSH_KEY_FILE, or neither"))
}

/// Adds the TLS configuration to a client.
pub(super) fn configure(
    builder: ClientBuilder,
    base: &Url,
    transport: &Transport,
) -> Result<ClientBuilder, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(invalid)?;
    let config = if base.scheme() == "https" {
        let roots = certificates(transport.ca_file.as_ref())?;
        let verifier = Verifier::new_with_extra_roots(roots, provider).map_err(invalid)?;
        let verifier: Arc<dyn ServerCertVerifier> = match &transport.server_name {
            Some(name) => Arc::new(NamedVerifier { verifier, name: parse_name(name)? }),
            None => Arc::new(verifier),
        };
        let verified = versions.dangerous().with_custom_certificate_verifier(verifier);
        match (&transport.cert_file, &transport.key_file) {
            (Some(cert), Some(key)) => {
                let (chain, key_der) = identity(cert, key)?;
                verified
                    .with_client_auth_cert(chain, key_der)
                    .map_err(|error| key.locate(cert.locate(invalid(error))))?
            }
            _ => verified.with_no_client_auth(),
        }
    } else {
        // Without a configuration, the client would load the certificates of this machine.
        versions.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
    };
    Ok(builder.tls_backend_preconfigured(config))
}

/// Checks the name that a certificate must have.
///
/// # Errors
/// `is_config` if it is not a host name or an IP address.
pub(crate) fn check_server_name(name: &str) -> Result<(), Error> {
    parse_name(name).map(drop)
}

fn parse_name(name: &str) -> Result<ServerName<'static>, Error> {
    ServerName::try_from(name.to_owned()).map_err(|error| {
        Error::config(format!("invalid server name {name:?}"))
            .caused_by(error)
            .remedy("set a host name or an IP address, without scheme and port")
    })
}

/// Verifies a certificate like the platform's verifier, but for `name` instead of the host of the URL.
#[derive(Debug)]
struct NamedVerifier {
    verifier: Verifier,
    name: ServerName<'static>,
}

impl ServerCertVerifier for NamedVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _url_host: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Self { verifier, name } = self;
        verifier.verify_server_cert(end_entity, intermediates, name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

fn identity(
    cert: &ConfigFile,
    key: &ConfigFile,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
    let pem = key.read().map_err(|error| unreadable(error, key))?;
    let key_der = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| match error {
        pem::Error::NoItemsFound => key
            .locate(Error::config("the file contains no private key"))
            .remedy("set a file in PEM format, with a key that is not encrypted"),
        error => unreadable(error, key),
    })?;
    Ok((certificates(Some(cert))?, key_der))
}

fn certificates(file: Option<&ConfigFile>) -> Result<Vec<CertificateDer<'static>>, Error> {
    let Some(file) = file else { return Ok(Vec::new()) };
    let pem = file.read().map_err(|error| unreadable(error, file))?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| unreadable(error, file))?;
    if certificates.is_empty() {
        return Err(file
            .locate(Error::config("the file contains no certificate"))
            .remedy("set a file in PEM format"));
    }
    Ok(certificates)
}

fn unreadable(
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    file: &ConfigFile,
) -> Error {
    file.locate(Error::config("cannot read the PEM file"))
        .caused_by(error)
        .remedy("make it readable for the job's user, or set another file in PEM format")
}

fn invalid(error: rustls::Error) -> Error {
    Error::config("cannot set up TLS").caused_by(error)
}

/// Returns the error for a failed TLS handshake; `None` if the request failed for another reason.
pub(super) fn handshake_failure(error: &reqwest::Error, transport: &Transport) -> Option<Error> {
    let cause = handshake_error(error)?;
    let error = match &cause {
        rustls::Error::InvalidMessage(_) => {
            Error::config("the gateway does not use TLS on this port")
                .remedy("use http:// in the URL, or the port with TLS")
        }
        rustls::Error::InvalidCertificate(reason) => certificate_error(reason, transport),
        rustls::Error::AlertReceived(AlertDescription::ProtocolVersion) => {
            Error::config("the gateway supports only old versions of TLS")
                .remedy("enable TLS 1.2 or 1.3 in the gateway or the proxy in front of it")
        }
        rustls::Error::AlertReceived(_) => refused_handshake(transport),
        _ => Error::new(Kind::Unreachable, "the TLS handshake failed"),
    };
    Some(error.caused_by(cause))
}

fn refused_handshake(transport: &Transport) -> Error {
    let kind = Kind::Credentials { status: None };
    let error = Error::new(kind, "the gateway refused the TLS handshake");
    match &transport.cert_file {
        None => error.remedy(
            "if it requires a client certificate, set METRICS_PUSH_CERT_FILE and METRICS_PUSH_KEY_FILE",
        ),
        Some(file) => file.locate(error).remedy(
            "check that the gateway trusts the authority of the client certificate, and that the certificate is not \
             expired",
        ),
    }
}

fn certificate_error(reason: &CertificateError, transport: &Transport) -> Error {
    // The reasons of the library that verifies certificates are not public types.
    let verifier_reason = match reason {
        CertificateError::Other(other) => format!("{other:?}"),
        _ => String::new(),
    };
    let is = |name: &str| verifier_reason.contains(name);
    match reason {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            Error::config("the gateway's certificate has expired")
                .remedy("renew the certificate, or check the clock of this machine")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Error::config("the gateway's certificate is not valid yet")
                .remedy("check the clock of this machine, and the dates of the certificate")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Error::config("the gateway's certificate is for another name").remedy(
                "use the certificate's name in the URL, or set METRICS_PUSH_SERVER_NAME to it; a name must be in the \
                 certificate's subjectAltName",
            )
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. } => {
            Error::config("the signature of the gateway's certificate is not supported").remedy(
                "issue one with SHA-256 and a key of at least 2048 bits (RSA) or 256 bits (ECDSA)",
            )
        }
        _ if is("CaUsedAsEndEntity") => {
            Error::config("the gateway's certificate is that of an authority").remedy(
                "issue one for a server, for example with: openssl req -x509 -addext basicConstraints=critical,CA:FALSE, \
                 and set METRICS_PUSH_CA_FILE to it",
            )
        }
        _ if is("UnsupportedCertVersion") => {
            Error::config("the gateway's certificate has an old version").remedy(
                "issue a certificate of version 3, which has extensions such as subjectAltName",
            )
        }
        _ if is("EkuError") => Error::config("the gateway's certificate is not for servers")
            .remedy("issue a certificate with extendedKeyUsage=serverAuth"),
        _ => untrusted(transport),
    }
}

fn untrusted(transport: &Transport) -> Error {
    let error = Error::config("the gateway's certificate is not trusted");
    match &transport.ca_file {
        None => error.remedy("set METRICS_PUSH_CA_FILE to the certificate of its authority"),
        Some(file) => file.locate(error).remedy(
            "add the certificate of the authority that issued it to the file, and let the gateway send the certificates \
             between them",
        ),
    }
}

/// Searches the chain of causes for an error of `rustls`. The method `source` of an I/O error skips the error that it
/// wraps, so `get_ref` is used there.
fn handshake_error(error: &reqwest::Error) -> Option<rustls::Error> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found.clone());
        }
        cause = match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}
