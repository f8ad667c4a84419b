//! The anti-forgery token of a form with files: its first part. Only that part is read; the rest of the body stays a
//! stream, however long it is.

use super::csrf::FIELD;
use axum::body::Body;
use futures_util::{StreamExt as _, stream};

/// The first part has to end within this many bytes.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// The token in the first part, if that is the token's field, and the body as it was. `kind` is the content type.
pub async fn first(kind: &str, body: Body) -> (Body, Option<String>) {
    let mut rest = body.into_data_stream();
    let mut head = Vec::new();
    let mut chunks = Vec::new();
    let token = loop {
        if let Some(token) = token_in(kind, &head) {
            break token;
        }
        match rest.next().await {
            Some(Ok(bytes)) if head.len() < HEAD_BYTES_MAX => {
                head.extend_from_slice(bytes.get(..HEAD_BYTES_MAX).unwrap_or(&bytes));
                chunks.push(Ok(bytes));
            }
            Some(other) => {
                chunks.push(other);
                break None;
            }
            None => break None,
        }
    };
    (Body::from_stream(stream::iter(chunks).chain(rest)), token)
}

/// `None`: more bytes are needed. Otherwise the token, if the first part is its field.
fn token_in(kind: &str, head: &[u8]) -> Option<Option<String>> {
    let boundary = kind
        .split(';')
        .filter_map(|part| part.trim().split_once('='))
        .find(|(name, _)| name.eq_ignore_ascii_case("boundary"));
    let Some((_, boundary)) = boundary else { return Some(None) };
    let boundary = format!("--{}", boundary.trim_matches('"'));
    let text = String::from_utf8_lossy(head);
    let mut parts = text.splitn(3, boundary.as_str());
    let (_, part, end) = (parts.next(), parts.next()?, parts.next());
    end?;
    let (headers, value) = part.split_once("\r\n\r\n")?;
    let named = format!("name=\"{FIELD}\"");
    let fits = headers.lines().any(|line| {
        let line = line.trim().to_ascii_lowercase();
        line.starts_with("content-disposition:") && line.split(';').any(|item| item.trim() == named)
    });
    Some(fits.then(|| value.trim_end_matches("\r\n").to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Bytes, to_bytes};

    async fn read(chunks: &[&'static str]) -> (String, Option<String>) {
        let chunks: Vec<Result<Bytes, std::io::Error>> = chunks.iter().map(|chunk| Ok(Bytes::from(*chunk))).collect();
        let (body, token) = first("multipart/form-data; boundary=XX", Body::from_stream(stream::iter(chunks))).await;
        (String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap(), token)
    }

    #[tokio::test]
    async fn the_first_part_is_read_however_it_is_cut_and_the_body_stays_whole() {
        let whole = "--XX\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\nTOKEN\r\n--XX\r\nrest";
        assert_eq!(read(&[whole]).await, (whole.to_owned(), Some("TOKEN".to_owned())));
        let (a, b) = whole.split_at(30);
        assert_eq!(read(&[a, b]).await, (whole.to_owned(), Some("TOKEN".to_owned())));
        for other in [
            "--XX\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nname=\"csrf\"\r\n--XX\r\nrest",
            "--XX\r\nX: name=\"csrf\"\r\n\r\nTOKEN\r\n--XX\r\nrest",
            "no boundary at all",
            "",
        ] {
            assert_eq!(read(&[other]).await, (other.to_owned(), None), "{other}");
        }
        let long = "x".repeat(3 * HEAD_BYTES_MAX).leak();
        assert_eq!(read(&[long]).await, (long.to_owned(), None));
    }
}
