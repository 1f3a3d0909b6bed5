//! `BrokerProxy`: a broker in front of the mock one, which requires a user and a password.
//!
//! It answers the requests of SASL itself, and forwards all others once the client is authenticated. Responses name the
//! address of a broker; it is replaced, so that clients stay with the proxy. The program `openssl` computes what
//! SCRAM compares.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::cluster::{Cluster, TOPIC};
use crate::listener::Listener;
use crate::programs::command;

const API_VERSIONS: i16 = 18;
const SASL_HANDSHAKE: i16 = 17;
const SASL_AUTHENTICATE: i16 = 36;

const UNSUPPORTED_MECHANISM: i16 = 33;
const UNSUPPORTED_VERSION: i16 = 35;
const AUTHENTICATION_FAILED: i16 = 58;

/// The newest version of `ApiVersions` that the proxy answers.
const MAX_API_VERSIONS: i16 = 2;

/// Who may connect, and by which mechanism.
pub(crate) struct Account {
    pub(crate) mechanism: &'static str,
    pub(crate) user: &'static str,
    pub(crate) password: &'static str,
}

/// Accepts connections until it is dropped.
pub(crate) struct BrokerProxy {
    listener: Listener,
    advertised: Arc<Mutex<Option<SocketAddr>>>,
}

impl BrokerProxy {
    /// Starts a proxy for a cluster of one broker. `None` admits all clients.
    pub(crate) fn start(cluster: &Cluster, account: Option<Account>) -> Self {
        let broker: SocketAddr = cluster.mock.bootstrap_servers().parse().unwrap();
        let advertised = Arc::<Mutex<Option<SocketAddr>>>::default();
        let shown = Arc::clone(&advertised);
        let listener = Listener::start(move |client| {
            let advertised = shown.lock().unwrap().unwrap_or(client.local_addr().unwrap());
            // A client that disconnects ends its connection.
            let _ = serve(client, broker, advertised, account.as_ref());
        });
        Self { listener, advertised }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Returns the URL of the topic.
    pub(crate) fn url(&self) -> String {
        format!("kafka://{}/{TOPIC}", self.address())
    }

    /// Sets the address that clients use, if it is not that of the proxy.
    pub(crate) fn advertise(&self, address: SocketAddr) {
        *self.advertised.lock().unwrap() = Some(address);
    }
}

fn serve(
    client: &TcpStream,
    broker: SocketAddr,
    advertised: SocketAddr,
    account: Option<&Account>,
) -> std::io::Result<()> {
    let mut upstream = TcpStream::connect(broker)?;
    if let Some(account) = account {
        authenticate(client, &mut upstream, account)?;
    }
    let (mut from_broker, mut to_client) = (upstream.try_clone()?, client.try_clone()?);
    let forward = thread::spawn(move || {
        while let Ok(mut frame) = read_frame(&mut from_broker) {
            replace(&mut frame, &named(broker), &named(advertised));
            if write_frame(&mut to_client, &frame).is_err() {
                break;
            }
        }
        let _ = to_client.shutdown(std::net::Shutdown::Both);
    });
    let mut client = client;
    let copied = std::io::copy(&mut client, &mut upstream);
    let _ = upstream.shutdown(std::net::Shutdown::Both);
    forward.join().unwrap();
    copied.map(drop)
}

/// Returns an address as responses contain it: a string and a number of four bytes.
fn named(address: SocketAddr) -> Vec<u8> {
    let port = u32::from(address.port()).to_be_bytes();
    [address.ip().to_string().as_bytes(), &port].concat()
}

fn replace(frame: &mut [u8], from: &[u8], to: &[u8]) {
    assert_eq!(from.len(), to.len());
    for start in 0..frame.len().saturating_sub(from.len() - 1) {
        if frame[start..].starts_with(from) {
            frame[start..start + to.len()].copy_from_slice(to);
        }
    }
}

/// Answers requests until the client has proved that it has the password.
fn authenticate(
    mut client: &TcpStream,
    upstream: &mut TcpStream,
    account: &Account,
) -> std::io::Result<()> {
    let mut exchange = Exchange::new(account);
    while !exchange.is_authenticated {
        let frame = read_frame(&mut client)?;
        let number = |at: usize| i16::from_be_bytes([frame[at], frame[at + 1]]);
        let (api, version, id) = (number(0), number(2), &frame[4..8]);
        // The header ends with the id of the client.
        let body = &frame[10 + usize::try_from(number(8)).unwrap()..];
        let response = match api {
            API_VERSIONS if version > MAX_API_VERSIONS => unsupported_version(),
            API_VERSIONS => {
                write_frame(upstream, &frame)?;
                with_sasl(read_frame(upstream)?.split_off(4))
            }
            SASL_HANDSHAKE => exchange.handshake(body),
            SASL_AUTHENTICATE => exchange.step(body, version),
            _ => return Err(std::io::Error::other("the client is not authenticated")),
        };
        write_frame(&mut client, &[id, &response].concat())?;
    }
    Ok(())
}

fn unsupported_version() -> Vec<u8> {
    let numbers = [UNSUPPORTED_VERSION, 0, 1, API_VERSIONS, 0, MAX_API_VERSIONS];
    numbers.into_iter().flat_map(i16::to_be_bytes).collect()
}

/// Adds the requests of SASL to a response with the versions of all requests.
fn with_sasl(mut response: Vec<u8>) -> Vec<u8> {
    let count = i32::from_be_bytes(response[2..6].try_into().unwrap()) + 2;
    response[2..6].copy_from_slice(&count.to_be_bytes());
    let added = [SASL_HANDSHAKE, 0, 1, SASL_AUTHENTICATE, 0, 1];
    response.splice(6..6, added.into_iter().flat_map(i16::to_be_bytes));
    response
}

/// The messages of one client that authenticates.
struct Exchange<'a> {
    account: &'a Account,
    is_authenticated: bool,
    /// What the client and the server have sent so far.
    first: Option<ScramFirst>,
}

/// The first messages of SCRAM.
struct ScramFirst {
    client_bare: String,
    server: String,
}

impl<'a> Exchange<'a> {
    fn new(account: &'a Account) -> Self {
        Self { account, is_authenticated: false, first: None }
    }

    fn handshake(&self, body: &[u8]) -> Vec<u8> {
        let mechanism = self.account.mechanism.as_bytes();
        let error = if &body[2..] == mechanism { 0 } else { UNSUPPORTED_MECHANISM };
        [&error.to_be_bytes(), &1_i32.to_be_bytes()[..], &string(mechanism)].concat()
    }

    fn step(&mut self, body: &[u8], version: i16) -> Vec<u8> {
        let message = &body[4..];
        let answer = match self.account.mechanism {
            "PLAIN" => self.check_plain(message),
            _ => self.check_scram(&String::from_utf8_lossy(message)),
        };
        let (error, text, bytes) = match answer {
            Ok(bytes) => (0_i16, (-1_i16).to_be_bytes().to_vec(), bytes),
            Err(text) => (AUTHENTICATION_FAILED, string(text.as_bytes()), Vec::new()),
        };
        let length = i32::try_from(bytes.len()).unwrap().to_be_bytes();
        let lifetime = 0_i64.to_be_bytes();
        let lifetime = if version > 0 { &lifetime[..] } else { &[] };
        [&error.to_be_bytes(), &text[..], &length, &bytes, lifetime].concat()
    }

    fn check_plain(&mut self, message: &[u8]) -> Result<Vec<u8>, String> {
        let Account { user, password, .. } = self.account;
        self.is_authenticated = message == format!("\0{user}\0{password}").as_bytes();
        if self.is_authenticated { Ok(Vec::new()) } else { Err("invalid credentials".into()) }
    }

    fn check_scram(&mut self, message: &str) -> Result<Vec<u8>, String> {
        match self.first.take() {
            None => self.begin_scram(message),
            Some(first) => self.end_scram(&first, message),
        }
    }

    fn begin_scram(&mut self, message: &str) -> Result<Vec<u8>, String> {
        let client_bare = message.strip_prefix("n,,").unwrap().to_owned();
        let (user, nonce) = client_bare.split_once(",r=").unwrap();
        if user != format!("n={}", self.account.user) {
            return Err("unknown user".into());
        }
        let salt = STANDARD.encode(SALT);
        let server = format!("r={nonce}-of-the-server,s={salt},i={ITERATIONS}");
        self.first = Some(ScramFirst { client_bare, server: server.clone() });
        Ok(server.into())
    }

    fn end_scram(&mut self, first: &ScramFirst, message: &str) -> Result<Vec<u8>, String> {
        let (without_proof, proof) = message.rsplit_once(",p=").unwrap();
        let text = [&*first.client_bare, &first.server, without_proof].join(",");
        let hash = Hash::of(self.account.mechanism);
        let salted = hash.salted(self.account.password);
        let client_key = hash.hmac(&salted, "Client Key");
        let signature = hash.hmac(&hash.digest(&client_key), &text);
        let expected: Vec<_> = client_key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        self.is_authenticated = proof == STANDARD.encode(expected);
        if !self.is_authenticated {
            return Err("invalid credentials".into());
        }
        let server_key = hash.hmac(&salted, "Server Key");
        Ok(format!("v={}", STANDARD.encode(hash.hmac(&server_key, &text))).into())
    }
}

const SALT: &[u8] = b"salt of a test";
const ITERATIONS: u32 = 4_096;

/// A hash function of SCRAM, by its names in `openssl`.
struct Hash {
    name: &'static str,
    length: &'static str,
}

impl Hash {
    fn of(mechanism: &str) -> Self {
        match mechanism {
            "SCRAM-SHA-256" => Self { name: "SHA256", length: "32" },
            "SCRAM-SHA-512" => Self { name: "SHA512", length: "64" },
            _ => panic!("unknown mechanism {mechanism}"),
        }
    }

    fn salted(&self, password: &str) -> Vec<u8> {
        let options = [
            format!("digest:{}", self.name),
            format!("pass:{password}"),
            format!("hexsalt:{}", hex(SALT)),
            format!("iter:{ITERATIONS}"),
        ];
        let options = options.iter().flat_map(|option| ["-kdfopt", option]);
        let arguments = ["kdf", "-binary", "-keylen", self.length].into_iter().chain(options);
        openssl(arguments.chain(["PBKDF2"]), b"")
    }

    fn hmac(&self, key: &[u8], text: &str) -> Vec<u8> {
        let key = format!("hexkey:{}", hex(key));
        let arguments = ["dgst", "-binary", "-mac", "HMAC", "-macopt", &key, "-r"];
        openssl(arguments.into_iter().chain([&*format!("-{}", self.name)]), text.as_bytes())
    }

    fn digest(&self, bytes: &[u8]) -> Vec<u8> {
        openssl(["dgst", "-binary", &format!("-{}", self.name)], bytes)
    }
}

/// Returns what `openssl` writes for this input.
fn openssl<'a>(arguments: impl IntoIterator<Item = &'a str>, input: &[u8]) -> Vec<u8> {
    let mut command = command("openssl");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("install openssl");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&i16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

/// Reads a request or a response without its length.
fn read_frame(stream: &mut impl std::io::Read) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut frame = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
    stream.read_exact(&mut frame)?;
    Ok(frame)
}

fn write_frame(stream: &mut impl std::io::Write, frame: &[u8]) -> std::io::Result<()> {
    let length = u32::try_from(frame.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length, frame].concat())
}
