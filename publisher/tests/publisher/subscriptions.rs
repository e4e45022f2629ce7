//! Registering where a user is pushed to.

use serde_json::{Value, json};

use crate::bench::{Bench, simulation};

/// The keys of RFC 8291 §5.
fn subscription(endpoint: &str) -> String {
    let p256dh = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    let keys = json!({ "p256dh": p256dh, "auth": "BTBZMqHH6r4Tts7J_aSIgg" });
    json!({ "endpoint": endpoint, "expirationTime": null, "keys": keys }).to_string()
}

async fn put(bench: &Bench, id: &str, body: String) -> (u16, Value) {
    bench.send("PUT", &format!("/v1/users/42/subscriptions/{id}"), body).await
}

#[tokio::test(start_paused = true)]
async fn a_user_registers_lists_and_forgets_its_subscriptions() {
    let bench = Bench::start(simulation().stores());
    for id in ["phone", "laptop", "phone"] {
        assert_eq!(put(&bench, id, subscription("https://push.example/secret")).await.0, 204);
    }
    let service = |id: &str| json!({ "id": id, "service": "push.example" });
    let listed = bench.get("/v1/users/42/subscriptions").await;
    assert_eq!(listed, (200, json!({ "user": 42, "subscriptions": [service("laptop"), service("phone")] })));
    for _ in 0..2 {
        assert_eq!(bench.send("DELETE", "/v1/users/42/subscriptions/phone", "").await.0, 204);
    }
    let listed = bench.get("/v1/users/42/subscriptions").await.1;
    assert_eq!(listed["subscriptions"], json!([service("laptop")]));
    assert_eq!(bench.get("/v1/users/43/subscriptions").await.1["subscriptions"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_pushed_to_is_refused_and_says_why() {
    let bench = Bench::start(simulation().stores());
    for (body, why) in [
        (subscription("http://push.example/a"), "its endpoint is no URL of a push service"),
        (subscription("https://169.254.169.254/latest"), "169.254.169.254 is no public address"),
        (subscription("https://push.example/a").replace("BCV", "BCW"), "keys.p256dh is not 65 bytes"),
        (subscription(&format!("https://{}/", "a".repeat(3_000))), "at most 2048 bytes"),
        (r#"{"endpoint":"https://push.example/a"}"#.to_owned(), "keys"),
    ] {
        let (status, problem) = put(&bench, "phone", body).await;
        assert!(status == 400 && problem["detail"].as_str().unwrap().contains(why), "{status} {problem}, not {why}");
    }
    assert_eq!(put(&bench, "a%20b", subscription("https://push.example/a")).await.0, 400);
    for number in 0..8 {
        assert_eq!(put(&bench, &format!("s{number}"), subscription("https://push.example/a")).await.0, 204);
    }
    let (status, problem) = put(&bench, "more", subscription("https://push.example/a")).await;
    assert!(status == 400 && problem["detail"].as_str().unwrap().contains("has 8 subscriptions"), "{status} {problem}");
    assert_eq!(bench.get("/v1/push/key").await.0, 404);
}
