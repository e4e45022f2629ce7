//! `peal floor`: a server that accepts sockets, and writes frames to them when it is told to. The least that any server
//! of as many sockets has to do, to hold the cluster's numbers against.
//!
//! Says its port on stdout; each line on stdin is a number of frames, which one loop then writes to every socket at once.
//! The connection after the last socket is answered a frame for each byte.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::config::bench::Floor;
use crate::output;

/// `peal floor`: until stdin ends.
///
/// # Errors
/// When a socket can't be served.
pub async fn run(floor: &Floor) -> io::Result<()> {
    peal_serve::process::raise_open_files();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    output::line(listener.local_addr()?.port().to_string())?;
    let frame = vec![b'x'; floor.frame_bytes];
    let mut sockets = Vec::with_capacity(floor.sockets);
    while sockets.len() < floor.sockets {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        sockets.push(socket);
    }
    let (echoed, _) = listener.accept().await?;
    tokio::spawn(echo(echoed, frame.clone()));
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    while let Some(order) = orders.next_line().await? {
        let frames = frame.repeat(order.trim().parse().unwrap_or_default());
        for socket in &mut sockets {
            socket.write_all(&frames).await?;
        }
    }
    Ok(())
}

async fn echo(mut socket: TcpStream, frame: Vec<u8>) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut byte = [0];
    while socket.read_exact(&mut byte).await.is_ok() {
        socket.write_all(&frame).await?;
    }
    Ok(())
}
