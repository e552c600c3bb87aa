//! HTTP/2 frames by hand (RFC 9113), with header blocks of literals that no table remembers (RFC 7541 section 6.2.2), so
//! that a test can send what no library would.

/// What a client says first, with empty settings.
pub fn preface() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &frame(4, 0, 0, &[])].concat()
}

/// Any frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A whole request without a body.
pub fn request(stream: u32, headers: &[(&str, &str)]) -> Vec<u8> {
    frame(1, END_STREAM | END_HEADERS, stream, &block(headers))
}

/// HEADERS and DATA: no more comes.
pub const END_STREAM: u8 = 1;
/// HEADERS and CONTINUATION: the block is complete.
pub const END_HEADERS: u8 = 4;

/// A header block.
pub fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    headers.iter().flat_map(|(name, value)| literal(name.as_bytes(), value.as_bytes())).collect()
}

/// One header, not indexed.
pub fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[0][..], &text(name), &text(value)].concat()
}

/// One header that goes into the dynamic table.
pub fn remembered(name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[0x40][..], &text(name), &text(value)].concat()
}

/// A length in seven bits (RFC 7541 section 5.1), and the bytes.
fn text(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match u8::try_from(bytes.len()) {
        Ok(length) if length < 127 => out.push(length),
        _ => {
            out.push(127);
            let mut rest = bytes.len() - 127;
            while rest >= 128 {
                out.push(u8::try_from(rest % 128).expect("seven bits") | 128);
                rest /= 128;
            }
            out.push(u8::try_from(rest).expect("seven bits"));
        }
    }
    out.extend_from_slice(bytes);
    out
}
