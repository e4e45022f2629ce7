//! What the document of the interface says of each operation beyond its types.

use peal_proto::ProblemKind;
use peal_proto::name::SUBPROTOCOL;
use peal_serve::openapi::Operation;

use super::SocketQuery;

/// Of the document as a whole.
pub(super) const TITLE: &str = "Peal, a node";
/// The same.
pub(super) const DESCRIPTION: &str = "Delivers notifications to the sockets of its users. What is said on a socket is in \
    `/asyncapi.json`. What is wrong with a request is told as `application/problem+json` (RFC 9457), and so are paths (404) and \
    methods (405) that are not here.";

pub(super) fn socket(operation: Operation<'_>) -> Operation<'_> {
    operation
        .summary("Opens a socket of a user: a WebSocket (RFC 6455)")
        .description(
            "At the owner of the user alone (`GET /v1/locate`). A query that is wrong closes the socket with 4400 and the reason, as \
             browsers can't read the status of a refused upgrade.",
        )
        .takes_query::<SocketQuery>()
        .takes_header("Sec-WebSocket-Protocol", &format!("`{SUBPROTOCOL}`."))
        .answers_empty(101, "The socket is open.")
        .refuses(ProblemKind::InvalidRequest, "It is no handshake of a WebSocket.")
        .refuses(ProblemKind::WrongNode, "The user belongs to another node; `url` says which.")
        .refuses(
            ProblemKind::Unavailable,
            "The node is leaving, or has more handshakes than it takes at a time, or no memory for more sockets; or, where nodes \
             relay, the owner can't be reached.",
        )
}

pub(super) fn readyz(operation: Operation<'_>) -> Operation<'_> {
    operation
        .summary("Whether the node reads all its partitions, hears them, and none of them stalls")
        .answers(200, "It does.")
        .answers(503, "It does not.")
}
