//! An HTTP answer as far as it has come: its body has a length, or comes in chunks (RFC 9112, section 7.1). No IO.

/// What an HTTP request was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    /// Whether nothing of it is still to come.
    pub(super) is_whole: bool,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// What these bytes hold, once its head is among them.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let rest = &bytes[end + 4..];
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let field = |name| head.lines().find_map(|line| line.strip_prefix(name));
        let (body, is_whole) = if field("transfer-encoding: ") == Some("chunked") {
            chunks(rest)
        } else {
            let length: usize = field("content-length: ").and_then(|length| length.parse().ok()).unwrap_or_default();
            (rest.to_vec(), rest.len() >= length)
        };
        Some(Self { status, body: String::from_utf8_lossy(&body).into_owned(), is_whole })
    }
}

/// What the chunks so far hold, and whether the last is among them.
fn chunks(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let size = usize::from_str_radix(String::from_utf8_lossy(&rest[..end]).trim(), 16).unwrap();
        if size == 0 {
            return (body, true);
        }
        rest = &rest[end + 1..];
        body.extend_from_slice(&rest[..size.min(rest.len())]);
        let Some(behind) = rest.get(size + 2..) else { break };
        rest = behind;
    }
    (body, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_in_chunks_is_read_as_far_as_it_has_come() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let text = format!("{head}3\r\none\r\nb\r\n, two, thre\r\n1\r\ne\r\n0\r\n");
        let mut bodies = Vec::new();
        for end in head.len()..text.len() {
            let answer = Answer::read(&text.as_bytes()[..end]).unwrap();
            assert!(!answer.is_whole && "one, two, three".starts_with(&answer.body), "{answer:?}");
            bodies.push(answer.body);
        }
        assert!(bodies.is_sorted() && bodies[0].is_empty(), "{bodies:?}");
        let answer = Answer::read(text.as_bytes()).unwrap();
        assert_eq!((answer.status, &*answer.body, answer.is_whole), (200, "one, two, three", true));
        assert!(Answer::read(&text.as_bytes()[..head.len() - 1]).is_none());
    }
}
