//! Floating-point numbers as text: what C writes for `%.17g`, which is what Redis 7.0 sends.

/// Digits that tell every number from its neighbours.
const DIGITS: i32 = 17;

/// Returns the text of a number. There is one of those that are none: `nan`.
pub(super) fn text(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let sign = if number.is_sign_negative() { "-" } else { "" };
    let scientific = format!("{:.16e}", number.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..DIGITS).contains(&exponent) {
        let direction = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{}e{direction}{:02}", without_zeros(mantissa), exponent.abs());
    }
    let decimals = usize::try_from(DIGITS - 1 - exponent).unwrap_or(0);
    let plain = format!("{:.decimals$}", number.abs());
    format!("{sign}{}", without_zeros(&plain))
}

/// Cuts off what says nothing behind a point, and the point if nothing is left of it.
fn without_zeros(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}
