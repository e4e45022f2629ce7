//! One page of a server, as text: `/metrics` and `/readyz`, whose bodies no client of ours reads.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The value of a metric with these words in its line, all such lines together.
pub(crate) async fn metric(server: SocketAddr, words: &[&str]) -> f64 {
    let page = get(server, "/metrics").await.unwrap_or_default();
    let lines = page.lines().filter(|line| words.iter().all(|word| line.contains(word)));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// The answer to a GET, head and body.
pub(crate) async fn get(server: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(server).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {server}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
