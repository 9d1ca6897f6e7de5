//! A terminal screen as a PNG: a font for letters, drawn shapes for blocks and braille, so that
//! they join without gaps.

use std::path::Path;

use ab_glyph::{Font, FontRef, PxScale, ScaleFont, point};
use anyhow::Context;

const CELL: (u32, u32) = (11, 22);
const MARGIN: u32 = 14;
const FONT_PX: f32 = 18.3;
const BACKGROUND: [u8; 3] = [0x16, 0x18, 0x1d];
const FOREGROUND: [u8; 3] = [0xd4, 0xd7, 0xdd];

/// The sixteen colours of a common dark terminal.
const ANSI: [[u8; 3]; 16] = [
    [0x2a, 0x2e, 0x37],
    [0xe0, 0x5f, 0x65],
    [0x87, 0xc0, 0x6f],
    [0xe3, 0xb6, 0x5c],
    [0x5f, 0x9e, 0xe0],
    [0xc3, 0x7f, 0xd6],
    [0x56, 0xb6, 0xc2],
    [0xb9, 0xbf, 0xca],
    [0x6b, 0x72, 0x80],
    [0xf2, 0x7d, 0x83],
    [0xa5, 0xd9, 0x8f],
    [0xf5, 0xcd, 0x7e],
    [0x82, 0xb8, 0xf5],
    [0xd9, 0x9c, 0xea],
    [0x7a, 0xd0, 0xdb],
    [0xf4, 0xf5, 0xf7],
];

struct Canvas {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

impl Canvas {
    fn new(width: u32, height: u32) -> Self {
        let pixels = BACKGROUND.repeat((width * height) as usize);
        Self {
            width,
            height,
            pixels,
        }
    }

    fn blend(&mut self, x: u32, y: u32, colour: [u8; 3], share: f32) {
        if x >= self.width || y >= self.height {
            return;
        }
        let at = ((y * self.width + x) * 3) as usize;
        for (pixel, colour) in self.pixels[at..at + 3].iter_mut().zip(colour) {
            let mixed = f32::from(*pixel) * (1.0 - share) + f32::from(colour) * share;
            *pixel = mixed.round() as u8;
        }
    }

    fn fill(&mut self, left: u32, top: u32, width: u32, height: u32, colour: [u8; 3], share: f32) {
        for y in top..top + height {
            for x in left..left + width {
                self.blend(x, y, colour, share);
            }
        }
    }
}

/// Writes what the terminal shows.
pub fn paint(screen: &vt100::Screen, path: &Path) -> anyhow::Result<()> {
    let regular = FontRef::try_from_slice(dejavu::sans_mono::regular())?;
    let bold = FontRef::try_from_slice(dejavu::sans_mono::bold())?;
    let (rows, columns) = screen.size();
    let (rows, columns) = (rows.get(), columns.get());
    let width = u32::from(columns) * CELL.0 + 2 * MARGIN;
    let height = u32::from(rows) * CELL.1 + 2 * MARGIN;
    let mut canvas = Canvas::new(width, height);
    for row in 0..rows {
        for column in 0..columns {
            let Some(cell) = screen.cell(row, column) else {
                continue;
            };
            let left = MARGIN + u32::from(column) * CELL.0;
            let top = MARGIN + u32::from(row) * CELL.1;
            let mut front = colour(cell.fgcolor(), FOREGROUND);
            let mut back = colour(cell.bgcolor(), BACKGROUND);
            if cell.dim() {
                front = ANSI[8];
            }
            if cell.inverse() {
                std::mem::swap(&mut front, &mut back);
            }
            if back != BACKGROUND {
                canvas.fill(left, top, CELL.0, CELL.1, back, 1.0);
            }
            let font = if cell.bold() { &bold } else { &regular };
            for c in cell.contents().chars() {
                if !draw_shape(&mut canvas, c, left, top, front) {
                    draw_glyph(&mut canvas, font, c, left, top, front);
                }
            }
            if cell.underline() {
                canvas.fill(left, top + CELL.1 - 3, CELL.0, 1, front, 1.0);
            }
        }
    }
    write_png(&canvas, path).with_context(|| format!("write {}", path.display()))
}

fn colour(colour: vt100::Color, default: [u8; 3]) -> [u8; 3] {
    match colour {
        vt100::Color::Default => default,
        vt100::Color::Rgb(r, g, b) => [r, g, b],
        vt100::Color::Idx(n @ 0..16) => ANSI[usize::from(n)],
        vt100::Color::Idx(n @ 16..232) => {
            let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
            let n = n - 16;
            [level(n / 36), level(n / 6 % 6), level(n % 6)]
        }
        vt100::Color::Idx(n) => [8 + 10 * (n - 232); 3],
    }
}

fn draw_glyph(
    canvas: &mut Canvas,
    font: &FontRef<'_>,
    c: char,
    left: u32,
    top: u32,
    front: [u8; 3],
) {
    let scale = PxScale::from(FONT_PX);
    let scaled = font.as_scaled(scale);
    let baseline = (CELL.1 as f32 - scaled.height()) / 2.0 + scaled.ascent();
    let glyph = font
        .glyph_id(c)
        .with_scale_and_position(scale, point(0.0, baseline));
    let Some(outline) = font.outline_glyph(glyph) else {
        return;
    };
    let bounds = outline.px_bounds();
    outline.draw(|x, y, share| {
        let x = left as f32 + bounds.min.x + x as f32;
        let y = top as f32 + bounds.min.y + y as f32;
        if x >= 0.0 && y >= 0.0 {
            canvas.blend(x as u32, y as u32, front, share);
        }
    });
}

/// Blocks, shades, braille and lines; false for everything else.
fn draw_shape(canvas: &mut Canvas, c: char, left: u32, top: u32, front: [u8; 3]) -> bool {
    let (w, h) = CELL;
    let eighths = |n: u32, of: u32| (of * n).div_ceil(8);
    let code = u32::from(c);
    match code {
        0x2581..=0x2588 => {
            let height = eighths(code - 0x2580, h);
            canvas.fill(left, top + h - height, w, height, front, 1.0);
        }
        0x2589..=0x258f => canvas.fill(left, top, eighths(0x2590 - code, w), h, front, 1.0),
        0x2590 => canvas.fill(left + w / 2, top, w - w / 2, h, front, 1.0),
        0x2591..=0x2593 => canvas.fill(left, top, w, h, front, 0.25 * (code - 0x2590) as f32),
        0x2800..=0x28ff => {
            const DOTS: [(u32, u32); 8] = [
                (0, 0),
                (0, 1),
                (0, 2),
                (1, 0),
                (1, 1),
                (1, 2),
                (0, 3),
                (1, 3),
            ];
            for (bit, (x, y)) in DOTS.iter().enumerate() {
                if code & (1 << bit) != 0 {
                    canvas.fill(left + 2 + x * 5, top + 3 + y * 5, 3, 3, front, 1.0);
                }
            }
        }
        0x2500..=0x257f => return draw_line(canvas, c, left, top, front),
        _ => return false,
    }
    true
}

/// Box drawing by the arms that reach the cell's edges.
fn draw_line(canvas: &mut Canvas, c: char, left: u32, top: u32, front: [u8; 3]) -> bool {
    let (up, right, down, back) = match c {
        '─' | '━' => (false, true, false, true),
        '│' | '┃' => (true, false, true, false),
        '┌' | '╭' => (false, true, true, false),
        '┐' | '╮' => (false, false, true, true),
        '└' | '╰' => (true, true, false, false),
        '┘' | '╯' => (true, false, false, true),
        '├' => (true, true, true, false),
        '┤' => (true, false, true, true),
        '┬' => (false, true, true, true),
        '┴' => (true, true, false, true),
        '┼' => (true, true, true, true),
        _ => return false,
    };
    let (w, h) = CELL;
    let (x, y) = (left + w / 2, top + h / 2);
    let mut arm = |draw: bool, left, top, width, height| {
        if draw {
            canvas.fill(left, top, width, height, front, 1.0);
        }
    };
    arm(up, x, top, 1, h / 2 + 1);
    arm(down, x, y, 1, h - h / 2);
    arm(right, x, y, w - w / 2, 1);
    arm(back, left, y, w / 2 + 1, 1);
    true
}

fn write_png(canvas: &Canvas, path: &Path) -> anyhow::Result<()> {
    let file = std::io::BufWriter::new(std::fs::File::create(path)?);
    let mut encoder = png::Encoder::new(file, canvas.width, canvas.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    encoder.write_header()?.write_image_data(&canvas.pixels)?;
    Ok(())
}
