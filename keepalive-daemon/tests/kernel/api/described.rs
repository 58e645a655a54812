//! What is served is what is described.

use super::{ask, curl};
use crate::support::{Host, document, options};

const KEEPALIVE: &str = "keepalive: {idle: 61s, interval: 13s, probes: 5}";

/// A question that a path with these names of parameters can answer here.
fn question(path: &str) -> String {
    match path {
        "/v1/explain" => format!("{path}?cgroup=app"),
        _ => path.to_owned(),
    }
}

pub(super) fn every_described_path_answers_as_it_is_described() {
    let host = Host::new("described");
    let app = host.cgroup("app");
    host.write_policies("p.yaml", &document("app", "app", KEEPALIVE));
    let _daemon = host.start();
    let mut peer = host.peer(&app);
    let pair = peer.pair();
    let description = ask(&mut curl(&host, "/v1/openapi.json")).json();

    let mut asked = 0;
    for (path, item) in description["paths"].as_object().unwrap() {
        assert!(path.starts_with("/v1/"), "{path} has no version");
        for (method, operation) in item.as_object().unwrap() {
            let responses = &operation["responses"];
            let mut command = curl(&host, &question(path));
            let mut mistaken = curl(&host, &format!("{path}?nonsense=1"));
            if method == "post" {
                for command in [&mut command, &mut mistaken] {
                    command.args(["--json", r#"{"dryRun": true}"#]);
                }
            }

            let answer = ask(&mut command);
            let refusal = ask(&mut mistaken);

            let described = &responses[answer.code.to_string()]["content"];
            assert_eq!(answer.code, 200, "{method} {path}: {}", answer.body);
            assert!(described[&answer.kind].is_object(), "{method} {path}: {} is not described", answer.kind);
            assert!(!answer.body.is_empty(), "{method} {path}");
            assert_eq!(refusal.code, 400, "{method} {path}: {}", refusal.body);
            assert!(responses["400"].is_object() && refusal.json()["error"].is_string(), "{}", refusal.body);
            asked += 1;
        }
    }

    assert!(asked >= 7, "{description}");
    // And what they say is so.
    let status = ask(&mut curl(&host, "/v1/status")).json();
    let explained = ask(&mut curl(&host, "/v1/explain?cgroup=app")).json();
    assert_eq!(peer.options(pair.client), options(true, 61, 13, 5, 0));
    assert_eq!(status["cgroups"][0]["inForce"]["idleSeconds"], 61);
    assert_eq!(explained["inForce"]["probes"], 5);
    let nowhere = ask(&mut curl(&host, "/v2/status"));
    assert!(nowhere.code == 404 && nowhere.body.contains("/v1/openapi.json"), "{}", nowhere.body);
}
