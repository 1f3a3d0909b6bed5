//! Pushes with `reqwest` by hand, without its default features, on a current-thread runtime.
//!
//! `reqwest_lean URL FILE`

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [url, file] = &arguments[..] else { return };
    let body = std::fs::read_to_string(file).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let response = client.put(format!("{url}/metrics/job/lean")).body(body).send().await;
        assert!(response.unwrap().status().is_success());
    });
}
