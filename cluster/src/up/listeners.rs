//! Where publisher and nodes listen: all bound before anything starts, or none.

use std::net::SocketAddr;

use axum::serve::Listener;
use peal_serve::accept::Tcp;

use super::Fault;
use crate::config::up::Up;

/// A listener for the publisher, and one a node in the order of the nodes.
pub(super) struct Listeners {
    pub(super) publisher: Tcp,
    pub(super) nodes: Vec<Tcp>,
}

impl Listeners {
    pub(super) async fn bind(up: &Up, nodes: u32) -> Result<Self, Fault> {
        let publisher = bind("the publisher".to_owned(), SocketAddr::new(up.listen, up.port)).await?;
        let mut listeners = Vec::new();
        for node in 0..nodes {
            listeners.push(bind_node(up, node).await?);
        }
        Ok(Self { publisher, nodes: listeners })
    }

    /// The URL of the publisher, as clients are told it.
    pub(super) fn publisher_url(&self, up: &Up) -> String {
        format!("http://{}:{}", up.host(), port(&self.publisher))
    }

    /// The URLs of the nodes, as clients are told them.
    pub(super) fn node_urls(&self, up: &Up) -> Vec<String> {
        self.nodes.iter().map(|listener| node_url(up, listener)).collect()
    }
}

/// Where a node listens: its ports follow the publisher's.
pub(super) async fn bind_node(up: &Up, node: u32) -> Result<Tcp, Fault> {
    let index = u16::try_from(node + 1).unwrap_or(u16::MAX);
    bind(format!("node {node}"), SocketAddr::new(up.listen, up.port_of(index))).await
}

/// The URL of a node, as clients are told it.
pub(super) fn node_url(up: &Up, listener: &Tcp) -> String {
    format!("ws://{}:{}", up.host(), port(listener))
}

async fn bind(what: String, address: SocketAddr) -> Result<Tcp, Fault> {
    peal_serve::listen(address).await.map_err(|error| Fault::Listen { what, address, error })
}

/// A bound listener has an address.
fn port(listener: &Tcp) -> u16 {
    listener.local_addr().map(|address| address.port()).unwrap_or_default()
}
