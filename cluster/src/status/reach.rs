//! Whether the URLs of nodes lead to them, as seen from here.

use futures_util::future::join_all;
use hyper::Method;
use peal_proto::NodeId;
use serde::Deserialize;
use tokio::time::timeout;

use crate::api::{Api, ClusterNode};
use crate::limits::REACH_TIMEOUT;

/// What a node says of itself.
#[derive(Deserialize)]
struct Readiness {
    node: NodeId,
}

/// Names each URL at which another node answers than the one whose it is. One that does not answer says nothing: clients may reach
/// it where this process can't.
pub(super) async fn misleading(members: &[ClusterNode]) -> Vec<String> {
    let asked = members.iter().filter(|member| member.is_there).map(async |ClusterNode { node, url, .. }| {
        let there = who_answers(url).await.filter(|there| there != node)?;
        Some(format!("node {node} says to be at {url}, where node {there} answers; give each its own with --url"))
    });
    join_all(asked).await.into_iter().flatten().collect()
}

async fn who_answers(url: &str) -> Option<NodeId> {
    let api = Api::new(format!("http://{}", url.strip_prefix("ws://")?).parse().ok()?);
    let answered = timeout(REACH_TIMEOUT, api.exchange(Method::GET, "/readyz", None)).await;
    let (_, _, body) = answered.ok()?.ok()?;
    serde_json::from_slice::<Readiness>(&body).ok().map(|readiness| readiness.node)
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use tokio::net::TcpListener;

    use super::*;

    /// A node that says to be at this URL.
    fn node(node: u32, url: &str) -> ClusterNode {
        let (node, url) = (NodeId::new(node), url.to_owned());
        ClusterNode { node, url, is_there: true, leaving: false, process: None, owns: 0, reads: 0 }
    }

    #[tokio::test]
    async fn a_url_at_which_another_node_answers_is_named_and_one_that_does_not_answer_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let answers = Router::new().route("/readyz", get(async || r#"{"ready":false,"node":1}"#));
        tokio::spawn(async move { axum::serve(listener, answers).await });
        let members = [node(0, &url), node(1, &url), node(2, "ws://127.0.0.1:9"), node(3, "wss://peal.example")];
        let named = misleading(&members).await;
        let [warning] = &named[..] else { panic!("{named:?}") };
        assert!(
            warning.contains("node 0 says to be at ws://127.0.0.1") && warning.contains("node 1 answers"),
            "{warning}"
        );
    }
}
