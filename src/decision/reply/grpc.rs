//! The public code for gRPC clients, who see no JSON: `google.rpc.Status` with one `google.rpc.ErrorInfo`, in the header that
//! gRPC libraries read it from (<https://google.aip.dev/193>; as binary headers are, in base64 without padding).

/// The header.
pub const STATUS_DETAILS: &str = "grpc-status-details-bin";

const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";

/// Its value: status (1), message (2), and a detail (3) of `Any` with type (1) and value (2), which has reason (1) and domain (2).
pub fn status_details(status: i32, message: &str, reason: &str, domain: &str) -> String {
    let info = [field(1, reason.as_bytes()), field(2, domain.as_bytes())].concat();
    let detail = [field(1, ERROR_INFO.as_bytes()), field(2, &info)].concat();
    let status = u8::try_from(status).unwrap_or_default();
    base64(&[&[0x08, status], &field(2, message.as_bytes())[..], &field(3, &detail)].concat())
}

/// A length-delimited field of a protobuf message. The number is below 16.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut len = value.len();
    while len >= 0x80 {
        out.push(len.to_le_bytes()[0] | 0x80);
        len >>= 7;
    }
    out.push(len.to_le_bytes()[0]);
    out.extend_from_slice(value);
    out
}

/// RFC 4648 section 4, without padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        // Three bytes are four digits, two are three, one is two.
        for shift in [18, 12, 6, 0].into_iter().take(chunk.len().saturating_add(1)) {
            let digit = DIGITS.get((bits >> shift & 0x3f) as usize).copied().unwrap_or(b'A');
            out.push(char::from(digit));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (plain, encoded) in
            [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
        assert_eq!(base64(&[0xff, 0xef, 0xbe]), "/+++");
    }

    #[test]
    fn lengths_of_more_than_seven_bits_have_two_bytes() {
        assert_eq!(field(3, &[7; 300])[..3], [0x1a, 0xac, 0x02]);
        assert_eq!(field(2, b"ab"), [0x12, 2, b'a', b'b']);
    }
}
