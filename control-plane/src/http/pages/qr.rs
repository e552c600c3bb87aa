//! A QR code as an image in the page's own text: nothing is fetched for it, and no script draws it.

use qrcode::{Color, EcLevel, QrCode};

use crate::domain::error::Error;

/// Modules of white around it (ISO/IEC 18004).
const QUIET: usize = 4;

/// The code for a text, as SVG: dark on white whatever the page's colours are, because not every camera reads it the other way round.
pub(super) fn svg(text: &str, label: &str) -> Result<String, Error> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).map_err(Error::internal)?;
    let (width, whole) = (code.width(), code.width() + 2 * QUIET);
    let dark = code.to_colors().into_iter().enumerate().filter(|(_, color)| *color == Color::Dark);
    let path: String =
        dark.map(|(at, _)| format!("M{},{}h1v1h-1z", at % width + QUIET, at / width + QUIET)).collect();
    Ok(format!(
        r##"<svg class="qr" role="img" aria-label="{label}" viewBox="0 0 {whole} {whole}" shape-rendering="crispEdges"><rect width="{whole}" height="{whole}" fill="#fff"/><path d="{path}" fill="#000"/></svg>"##
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_one_image_without_anything_from_elsewhere() {
        let image = svg("otpauth://totp/x:y?secret=ABC&issuer=x", "QR code").unwrap();
        assert!(image.starts_with("<svg class=\"qr\" role=\"img\" aria-label=\"QR code\" viewBox=\"0 0 "));
        // The three finders: a module at each of three corners, and none at the fourth.
        let size: usize = image.split("0 0 ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        let last = size - QUIET - 1;
        for (x, y, is_dark) in [(QUIET, QUIET, true), (last, QUIET, true), (QUIET, last, true)] {
            assert_eq!(image.contains(&format!("M{x},{y}h1v1h-1z")), is_dark, "{x} {y}");
        }
        assert!(!image.contains("href") && !image.contains("style") && image.matches("<svg").count() == 1);
    }
}
