//! SASL and TLS: what the variables send to a broker, and the messages if the broker refuses it.

use std::path::Path;
use std::time::Duration;
use std::{fs, thread};

use crate::broker_proxy::{Account, BrokerProxy};
use crate::child::{FinishedJob, JobCommand, ending};
use crate::cluster::{Cluster, TOPIC};
use crate::state_dir::StateDir;
use crate::tls_proxy::{Authority, ClientCertificate, TlsProxy};

const USER: &str = "batch";
const PASSWORD: &str = "hunter2, \"$ecret\"=1";

/// Starts a broker that requires the user with this mechanism and password.
fn with_account(cluster: &Cluster, mechanism: &'static str, password: &'static str) -> BrokerProxy {
    BrokerProxy::start(cluster, Some(Account { mechanism, user: USER, password }))
}

/// Returns a job that sends the user and the password with this mechanism.
fn with_sasl(command: JobCommand, mechanism: &str, password: &str) -> JobCommand {
    command
        .variable("METRICS_PUSH_USERNAME", USER)
        .variable("METRICS_PUSH_PASSWORD", password)
        .variable("METRICS_PUSH_KAFKA_SASL", mechanism)
        .variable("METRICS_PUSH_TIMEOUT", "30s")
}

/// Returns the last log line of a job whose outcome was not delivered. No line contains the password.
#[track_caller]
fn last_line(finished: &FinishedJob) -> &str {
    let Some(line) = finished.log_lines.last() else { panic!("{finished:#?}") };
    let has_password = finished.log_lines.iter().any(|line| line.contains(PASSWORD));
    assert!(!has_password && finished.status.success(), "{finished:#?}");
    line
}

#[test]
fn each_mechanism_authenticates_a_job() {
    for (variable, mechanism) in
        [("plain", "PLAIN"), ("scram-sha-256", "SCRAM-SHA-256"), ("scram-sha-512", "SCRAM-SHA-512")]
    {
        let cluster = Cluster::start(1);
        let broker = with_account(&cluster, mechanism, PASSWORD);
        let finished =
            with_sasl(ending("nightly", &broker.url(), &["ok"]), variable, PASSWORD).run_to_end();
        assert!(finished.log_lines.is_empty(), "{mechanism}: {finished:?}");
        assert_eq!(cluster.outcomes().len(), 1, "{mechanism}");
    }
}

#[test]
fn wrong_password_is_reported() {
    for (variable, mechanism) in [("plain", "PLAIN"), ("scram-sha-512", "SCRAM-SHA-512")] {
        let cluster = Cluster::start(1);
        let broker = with_account(&cluster, mechanism, "another password");
        let finished =
            with_sasl(ending("nightly", &broker.url(), &["ok"]), variable, PASSWORD).run_to_end();
        let line = last_line(&finished);
        assert!(line.contains("the Kafka brokers rejected the credentials"), "{line}");
        assert!(line.contains("check METRICS_PUSH_USERNAME"), "{line}");
        assert!(cluster.outcomes().is_empty(), "{mechanism}");
    }
}

#[test]
fn mechanism_that_the_brokers_do_not_support_is_reported() {
    let cluster = Cluster::start(1);
    let broker = with_account(&cluster, "SCRAM-SHA-256", PASSWORD);
    let finished =
        with_sasl(ending("nightly", &broker.url(), &["ok"]), "plain", PASSWORD).run_to_end();
    let line = last_line(&finished);
    assert!(line.contains("SCRAM-SHA-256") && line.contains("METRICS_PUSH_KAFKA_SASL"), "{line}");
}

#[test]
fn password_in_a_file_is_read_again_after_it_was_rejected() {
    let (cluster, folder) = (Cluster::start(1), StateDir::new());
    let broker = with_account(&cluster, "PLAIN", PASSWORD);
    let file = folder.path().join("password");
    fs::write(&file, "an old password").unwrap();
    let mut job = ending("nightly", &broker.url(), &["wait-for-input"])
        .variable("METRICS_PUSH_USERNAME", USER)
        .variable("METRICS_PUSH_PASSWORD_FILE", &file)
        .with_input()
        .start()
        .ready();
    // The producer of the start of the run has the old one.
    thread::sleep(Duration::from_millis(700));
    fs::write(&file, PASSWORD).unwrap();
    job.close_input();
    let finished = job.wait();
    assert_eq!(cluster.outcomes().len(), 1, "{finished:?}");
}

/// Returns a job for a topic behind TLS, with this file of certificates.
fn with_tls(proxy: &TlsProxy, ca: Option<&Path>) -> JobCommand {
    let url = format!("kafka+tls://{}/{TOPIC}", proxy.address());
    let command = ending("nightly", &url, &["ok"]).variable("METRICS_PUSH_TIMEOUT", "5s");
    match ca {
        Some(ca) => command.variable("METRICS_PUSH_CA_FILE", ca),
        None => command,
    }
}

#[test]
fn outcome_is_encrypted_and_the_user_authenticated() {
    let (cluster, authority) = (Cluster::start(1), Authority::new());
    let broker = with_account(&cluster, "SCRAM-SHA-512", PASSWORD);
    let proxy = TlsProxy::start(&broker, &authority, "127.0.0.1", ClientCertificate::NotRequired);
    let command = with_tls(&proxy, Some(&authority.certificate()));
    let finished = with_sasl(command, "scram-sha-512", PASSWORD).run_to_end();
    assert!(finished.log_lines.is_empty(), "{finished:?}");
    assert_eq!(cluster.outcomes().len(), 1);
}

#[test]
fn certificate_of_another_authority_or_name_is_refused() {
    let authority = Authority::new();
    let (own, other) = (authority.certificate(), Authority::new());
    for (name, ca) in
        [("127.0.0.1", None), ("127.0.0.1", Some(other.certificate())), ("broker", Some(own))]
    {
        let cluster = Cluster::start(1);
        let broker = BrokerProxy::start(&cluster, None);
        let proxy = TlsProxy::start(&broker, &authority, name, ClientCertificate::NotRequired);
        let finished = with_tls(&proxy, ca.as_deref()).run_to_end();
        let line = last_line(&finished);
        assert!(line.contains("the TLS connection to a Kafka broker failed"), "{line}");
        assert!(line.contains("METRICS_PUSH_CA_FILE"), "{line}");
        assert!(cluster.outcomes().is_empty());
    }
}

#[test]
fn client_certificate_is_sent() {
    let authority = Authority::new();
    let [certificate, key] = authority.issue("client");
    for has_certificate in [true, false] {
        let cluster = Cluster::start(1);
        let broker = BrokerProxy::start(&cluster, None);
        let proxy = TlsProxy::start(&broker, &authority, "127.0.0.1", ClientCertificate::Required);
        let mut command = with_tls(&proxy, Some(&authority.certificate()));
        if has_certificate {
            command = command
                .variable("METRICS_PUSH_TIMEOUT", "30s")
                .variable("METRICS_PUSH_CERT_FILE", &certificate)
                .variable("METRICS_PUSH_KEY_FILE", &key);
        }
        let finished = command.run_to_end();
        assert_eq!(finished.log_lines.is_empty(), has_certificate, "{finished:?}");
        assert_eq!(cluster.outcomes().len(), usize::from(has_certificate), "{finished:?}");
    }
}

#[test]
fn port_without_tls_is_reported() {
    let cluster = Cluster::start(1);
    let url = format!("kafka+tls://{}/{TOPIC}", cluster.mock.bootstrap_servers());
    let finished =
        ending("nightly", &url, &["ok"]).variable("METRICS_PUSH_TIMEOUT", "5s").run_to_end();
    let line = last_line(&finished);
    assert!(line.contains("that the port of the broker uses TLS"), "{line}");
}
