//! An answer, read from the bytes that have come so far.

/// No head is longer.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Beside the body, so much may be spent on the sizes of its chunks.
const CHUNK_OVERHEAD_MAX: usize = 1024 * 1024;

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// Names as they came.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| &**value)
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// Where it is none.
    pub fn json(&self) -> Result<serde_json::Value, String> {
        serde_json::from_slice(&self.body).map_err(|error| format!("no JSON: {error}"))
    }

    /// The body as text, without what can't be shown.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    Done(Response),
    More,
}

/// Reads what is there. `is_end`: nothing more will come.
pub(super) fn parse(
    bytes: &[u8],
    is_end: bool,
    is_head: bool,
    body_bytes_max: usize,
) -> Result<Parsed, String> {
    let bounded = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
    let Some(end) = bounded.windows(4).position(|four| four == b"\r\n\r\n") else {
        return match bytes.len() < HEAD_BYTES_MAX {
            true => Ok(Parsed::More),
            false => Err("its head is too long".to_owned()),
        };
    };
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| "its head is no text")?;
    let rest = &bytes[end + 4..];
    let mut response = parse_head(head)?;
    if (100..200).contains(&response.status) && response.status != 101 {
        // The answer itself is still to come.
        return parse(rest, is_end, is_head, body_bytes_max);
    }
    if is_head || response.status == 204 || response.status == 304 {
        return Ok(Parsed::Done(response));
    }
    let too_long = || Err(format!("its body is longer than {body_bytes_max} bytes"));
    let coding = response
        .header("transfer-encoding")
        .map(str::to_ascii_lowercase);
    match coding.as_deref() {
        Some("chunked") => {
            if rest.len() > body_bytes_max.saturating_add(CHUNK_OVERHEAD_MAX) {
                return too_long();
            }
            // A body that comes in many pieces is not put together after each of them.
            if !is_end && !rest.ends_with(b"\r\n") {
                return Ok(Parsed::More);
            }
            let Some(body) = chunks(rest)? else {
                return Ok(Parsed::More);
            };
            response.body = body;
        }
        Some(other) => return Err(format!("its coding {other} is unknown here")),
        None => {
            let length = response.header("content-length");
            let length: Option<usize> = length
                .map(|text| text.trim().parse())
                .transpose()
                .map_err(|_| "its length can't be read")?;
            let wanted = length.unwrap_or(rest.len());
            if wanted > body_bytes_max {
                return too_long();
            }
            if rest.len() < wanted || (length.is_none() && !is_end) {
                return Ok(Parsed::More);
            }
            response.body = rest[..wanted].to_vec();
        }
    }
    if response.body.len() > body_bytes_max {
        return too_long();
    }
    Ok(Parsed::Done(response))
}

fn parse_head(head: &str) -> Result<Response, String> {
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let version = first.strip_prefix("HTTP/1.");
    let status = version.and_then(|rest| rest.get(2..5)?.parse().ok());
    let status = status.ok_or("it is no answer of HTTP/1.1")?;
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_owned(), value.trim().to_owned()))
    };
    let headers = lines.map(header).collect::<Option<Vec<_>>>();
    Ok(Response {
        status,
        headers: headers.ok_or("a header can't be read")?,
        body: Vec::new(),
    })
}

/// The body out of its chunks; None while some are missing.
fn chunks(mut rest: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let mut body = Vec::new();
    loop {
        let Some(end) = rest.windows(2).position(|two| two == b"\r\n") else {
            return Ok(None);
        };
        let line = std::str::from_utf8(&rest[..end]).unwrap_or_default();
        let size = line.split(';').next().unwrap_or_default().trim();
        let size =
            usize::from_str_radix(size, 16).map_err(|_| "the size of a chunk can't be read")?;
        rest = &rest[end + 2..];
        if size == 0 {
            // Trailers would follow; nobody here wants them.
            return Ok(Some(body));
        }
        let Some(chunk) = rest.get(..size) else {
            return Ok(None);
        };
        let Some(after) = rest.get(size..size.saturating_add(2)) else {
            return Ok(None);
        };
        if after != b"\r\n" {
            return Err("a chunk does not end where it should".to_owned());
        }
        body.extend_from_slice(chunk);
        rest = &rest[size + 2..];
    }
}
