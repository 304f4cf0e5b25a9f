//! How numbers, times, bytes and tables look.

use std::fmt::Write as _;
use std::io::{self, Write};

/// Bytes, in the largest unit of which there is one.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut value, mut unit) = (bytes as f64, "B");
    for larger in UNITS {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, larger);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

/// Milliseconds since 1970, as a date and a time of day in UTC.
pub(crate) fn time(millis: u64) -> String {
    let (days, rest) = (millis / 86_400_000, millis % 86_400_000);
    // Howard Hinnant, "chrono-compatible low-level date algorithms": years begin in March.
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let (day, month) =
        (day_of_year - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", rest % 1000)
}

/// Text, if it is some that can be shown on one line; else its bytes.
pub(crate) fn text_or_hex(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => format!("{text:?}"),
        _ => format!("0x{}", hex(bytes)),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A text has always room.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Names come from disks: what would move a terminal's cursor is shown as what it is.
pub(crate) fn plain(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// Rows of cells. They stand to the right; those of a column whose first row ends in ` <`, to the left.
pub(crate) fn table(out: &mut dyn Write, rows: &[Vec<String>]) -> io::Result<()> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let left: Vec<bool> = (0..columns)
        .map(|column| rows.first().and_then(|row| row.get(column)).is_some_and(|cell| cell.ends_with(" <")))
        .collect();
    let cell = |row: &Vec<String>, column: usize| {
        row.get(column).map_or("", |cell| cell.trim_end_matches(" <")).to_string()
    };
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().map(|row| cell(row, column).chars().count()).max().unwrap_or(0))
        .collect();
    for row in rows {
        let mut line = String::new();
        for (column, (width, left)) in widths.iter().zip(&left).enumerate() {
            let cell = cell(row, column);
            let gap = " ".repeat(width - cell.chars().count());
            let (before, behind) = if *left { ("", gap.as_str()) } else { (gap.as_str(), "") };
            let _ = write!(line, "  {before}{cell}{behind}");
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_times_and_bytes_are_shown_for_people() {
        assert_eq!(
            [size(0), size(1023), size(1536), size(64 << 20)],
            ["0 B", "1023 B", "1.5 KiB", "64.0 MiB"]
        );
        assert_eq!(time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(time(951_782_400_123), "2000-02-29T00:00:00.123Z");
        assert_eq!(time(1_767_225_599_999), "2025-12-31T23:59:59.999Z");
        assert!(time(u64::MAX).ends_with('Z'));
        assert_eq!(text_or_hex(b"an \"anvil\""), r#""an \"anvil\"""#);
        assert_eq!(text_or_hex(b"\x1b[2J"), "0x1b5b324a");
        assert_eq!(plain("a\x1bb"), "a\\u{1b}b");
    }

    #[test]
    fn a_table_stands_in_columns() {
        let row = |cells: [&str; 2]| cells.map(String::from).to_vec();
        let mut out = Vec::new();
        table(&mut out, &[row(["TOPIC <", "LAG"]), row(["orders", "7"]), row(["a", "12"])]).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "  TOPIC   LAG\n  orders    7\n  a        12\n");
    }
}
