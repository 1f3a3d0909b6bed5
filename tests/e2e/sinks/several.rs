//! Several sinks at once: each has its own receipt, its own stored requests and its own credentials.

use crate::child::ending;
use crate::state_dir::StateDir;

use super::influx_db::InfluxDb;
use super::otlp_receiver::OtlpReceiver;
use super::recorder::{Recorder, response};
use super::{Receiver as _, outcomes};

#[test]
fn dead_and_refusing_sinks_do_not_affect_the_others() {
    let influx = InfluxDb::start();
    let receiver = OtlpReceiver::start();
    let dead = "influx+http://127.0.0.1:9/write?db=batch".to_owned();
    let refusing = influx.database("unknown");
    let urls = [influx.url(), dead.clone(), refusing.clone(), receiver.url()].join(",");
    let state = StateDir::new();
    let ended = ending("several", &urls, &["err"])
        .variable("METRICS_PUSH_STATE_DIR", state.path())
        .run_to_end();
    assert_eq!(outcomes(&influx.values("several")), ["error"], "{ended:?}");
    assert_eq!(outcomes(&receiver.values("several")), ["error"], "{ended:?}");
    let log = ended.log_lines.join("\n");
    assert!(log.contains(&dead) && log.contains("refused"), "{log}");
    assert!(log.contains("the database or bucket does not exist"), "{log}");
    assert!(!log.contains(&receiver.url()), "{log}");
    let spool = std::fs::read_dir(state.path().join("spool")).unwrap();
    let records = spool.filter(|entry| {
        entry.as_ref().unwrap().path().extension().is_some_and(|it| it == "request")
    });
    assert_eq!(records.count(), 2, "{log}");
}

#[test]
fn credentials_reach_only_their_own_sink() {
    let accept = |_| response("204 No Content", "", b"");
    let sinks: [Recorder; 3] = std::array::from_fn(|_| Recorder::start(accept));
    let [influx, second, gateway] = sinks.each_ref().map(Recorder::address);
    let urls =
        format!("influx+http://{influx}?db=a,influx+http://{second}?bucket=b,http://{gateway}");
    let secrets = ["secret-of-the-first", "secret-of-the-second", "secret-of-the-gateway"];
    ending("secrets", &urls, &["ok"])
        .variable("METRICS_PUSH_TOKEN_1", secrets[0])
        .variable("METRICS_PUSH_TOKEN_2", secrets[1])
        .variable("METRICS_PUSH_TOKEN", secrets[2])
        .variable("METRICS_PUSH_HEADERS_2", "X-Tenant=tenant-of-the-second")
        .run_to_end();
    for (sink, own) in sinks.iter().zip(secrets) {
        let received: Vec<u8> = sink
            .requests()
            .into_iter()
            .flat_map(|request| [request.head.into_bytes(), request.body].concat())
            .collect();
        let received = String::from_utf8_lossy(&received);
        for secret in secrets {
            assert_eq!(received.contains(secret), secret == own, "{received}");
        }
        assert_eq!(received.contains("tenant-of-the-second"), own == secrets[1], "{received}");
    }
    let head = |number: usize| sinks[number].requests().remove(0).head;
    assert!(head(0).starts_with("POST /write?db=a&precision=ms HTTP/1.1"), "{}", head(0));
    assert!(
        head(1).starts_with("POST /api/v2/write?bucket=b&precision=ms HTTP/1.1"),
        "{}",
        head(1)
    );
    assert!(head(1).contains("Token secret-of-the-second"), "{}", head(1));
    assert!(head(2).contains("Bearer secret-of-the-gateway"), "{}", head(2));
}
