//! The page a person has to open, as a picture for the camera of a phone.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use qrcode::{Color, EcLevel, QrCode};

/// Pixels of one module of the code's.
const SCALE: usize = 6;
/// Light modules around it, without which a camera does not find it (ISO/IEC 18004).
const QUIET: usize = 4;

/// A QR code of a text as a `data:` URL of a PNG; `None` if it is too long for one.
pub(super) fn data_url(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let modules = code.width();
    let side = (modules + 2 * QUIET) * SCALE;
    let colors = code.into_colors();
    let is_dark = |x: usize, y: usize| {
        let (column, row) = ((x / SCALE).checked_sub(QUIET), (y / SCALE).checked_sub(QUIET));
        let inside = column.zip(row).filter(|(column, row)| *column < modules && *row < modules);
        inside.is_some_and(|(column, row)| colors[row * modules + column] == Color::Dark)
    };
    // One bit a pixel, each row filled up to whole bytes.
    let row_bytes = side.div_ceil(8);
    let mut pixels = vec![0xff_u8; row_bytes * side];
    for (x, y) in (0..side).flat_map(|y| (0..side).map(move |x| (x, y))).filter(|(x, y)| is_dark(*x, *y)) {
        pixels[y * row_bytes + x / 8] &= !(0x80 >> (x % 8));
    }
    Some(format!("data:image/png;base64,{}", STANDARD.encode(png(u32::try_from(side).ok()?, &pixels)?)))
}

fn png(side: u32, pixels: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(pixels).ok()?;
    writer.finish().ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_is_the_code() {
        let url = data_url("https://auth.acme.example/activate?user_code=WDJB-MJHT").expect("short enough");
        let bytes = STANDARD.decode(url.strip_prefix("data:image/png;base64,").expect("a PNG")).expect("base64");
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().expect("a PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("small")];
        let info = reader.next_frame(&mut pixels).expect("one picture");
        let modules = info.width as usize / SCALE - 2 * QUIET;
        assert_eq!((info.width, info.bit_depth), (info.height, png::BitDepth::One));
        assert!((21..=177).contains(&modules) && modules % 4 == 1, "{modules} is no size of a code");
        let is_dark = |column: usize, row: usize| {
            let (x, y) = ((column + QUIET) * SCALE + SCALE / 2, (row + QUIET) * SCALE + SCALE / 2);
            pixels[y * info.line_size + x / 8] & (0x80 >> (x % 8)) == 0
        };
        // The three finders: a dark ring, a light ring, a dark middle.
        for (left, top) in [(0, 0), (modules - 7, 0), (0, modules - 7)] {
            for (step, dark) in [(0, true), (1, false), (2, true), (3, true), (4, true), (5, false), (6, true)] {
                assert_eq!((is_dark(left + step, top + 3), is_dark(left + 3, top + step)), (dark, dark));
            }
        }
        assert_eq!(pixels[0], 0xff, "the quiet zone is light");
    }

    #[test]
    fn a_text_that_is_too_long_has_no_picture() {
        assert_eq!(data_url(&"x".repeat(3000)), None);
        assert!(data_url(&"x".repeat(1024)).is_some(), "the longest URL that is shown");
    }
}
