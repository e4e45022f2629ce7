//! A request whose body is still being sent while its answer is read, line by line: both are streams.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};
use turmoil::net::TcpStream;

use super::{Answer, PORT};

/// A body as it is sent: with a pause behind each piece.
pub(crate) struct Pieces<'a> {
    pub(crate) content_type: &'static str,
    pub(crate) body: &'a str,
    /// So many in each piece.
    pub(crate) bytes: usize,
    pub(crate) pause: Duration,
}

/// Posts on a connection of its own. Every line of an answer of `200` is handed over as soon as it is there, also if the rest
/// never comes; what is given back is the whole answer.
pub(crate) async fn exchange(
    host: &str,
    path: &str,
    pieces: Pieces<'_>,
    patience: Duration,
    hear: impl FnMut(&str),
) -> Result<Answer, String> {
    let both = async {
        let (mut answers, mut asks) = TcpStream::connect((host, PORT)).await?.into_split();
        let send = async {
            let content_type = pieces.content_type;
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n"
            );
            // Where no more can be sent, there may still be something to hear.
            send(&mut asks, head, &pieces).await.unwrap_or_default();
            pending::<Infallible>().await
        };
        tokio::select! {
            biased;
            answer = listen(&mut answers, hear) => answer,
            never = send => match never {},
        }
    };
    let answer = timeout(patience, both).await.map_err(|_| "no answer in time".to_owned())?;
    answer.map_err(|error| error.to_string())
}

async fn send(to: &mut (impl AsyncWriteExt + Unpin), head: String, pieces: &Pieces<'_>) -> io::Result<()> {
    to.write_all(head.as_bytes()).await?;
    for piece in pieces.body.as_bytes().chunks(pieces.bytes) {
        let size = format!("{:x}\r\n", piece.len());
        to.write_all(&[size.as_bytes(), piece, b"\r\n"].concat()).await?;
        sleep(pieces.pause).await;
    }
    to.write_all(b"0\r\n\r\n").await
}

async fn listen(from: &mut (impl AsyncReadExt + Unpin), mut hear: impl FnMut(&str)) -> io::Result<Answer> {
    let (mut bytes, mut heard) = (Vec::new(), 0);
    loop {
        let ended = from.read_buf(&mut bytes).await? == 0;
        if let Some(answer) = Answer::read(&bytes) {
            let lines = answer.body.split_inclusive('\n').filter(|line| line.ends_with('\n') && answer.status == 200);
            for line in lines.skip(heard) {
                hear(line);
                heard += 1;
            }
            if answer.is_whole {
                return Ok(answer);
            }
        }
        if ended {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the answer broke off"));
        }
    }
}
