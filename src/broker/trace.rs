//! Trace contexts, as the W3C defines them: which distributed trace a message belongs to.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use super::Headers;

/// Names a span of a distributed trace: what the header `traceparent` says, by the [W3C's
/// recommendation](https://www.w3.org/TR/trace-context/).
///
/// Messages carry it as a header, so that a trace goes on from topic to topic:
/// - A message that is published with a `traceparent` keeps it through every attempt, into the dead letters and back.
/// - What a handler publishes while its future is polled continues the trace of the message that it handles: it gets
///   the same trace id, the id of the handling's own span, and the `tracestate` as it came. A `traceparent` that the
///   handler gives goes before that. A task that the handler spawned is outside, and so is whoever pulls deliveries:
///   there [`MessageBuilder::follow`](super::MessageBuilder::follow) does the same.
/// - Where nobody starts a trace, none is made, and no message pays for it.
///
/// The span `delivery` in the log has the ids as fields, see [the module](crate::broker#logs).
///
/// # Examples
/// ```
/// use callboard::broker::TraceContext;
///
/// let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// let context: TraceContext = text.parse()?;
/// assert_eq!(context.span_id(), 0xb7ad_6b71_6920_3331);
/// assert!(context.is_sampled());
/// assert_eq!(context.to_string(), text);
/// # Ok::<(), callboard::broker::InvalidTraceContext>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// Neither is zero.
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

/// Says that a text is no `traceparent`, or that an id is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTraceContext;

/// "The caller may have recorded the trace."
const SAMPLED: u8 = 0x01;
/// The flags that have a meaning: `SAMPLED`, and that the trace id is random. Others are not passed on.
const KNOWN: u8 = 0x03;

/// The header that has the vendors' own data, which goes with the trace.
const STATE: &str = "tracestate";

impl TraceContext {
    /// The name of the header.
    pub const HEADER: &str = "traceparent";

    /// Makes the context of a span, to begin a trace or to go on with one.
    ///
    /// # Errors
    /// [`InvalidTraceContext`]: an id is zero.
    pub fn new(trace_id: u128, span_id: u64, sampled: bool) -> Result<TraceContext, InvalidTraceContext> {
        match trace_id == 0 || span_id == 0 {
            true => Err(InvalidTraceContext),
            false => Ok(TraceContext { trace_id, span_id, flags: if sampled { SAMPLED } else { 0 } }),
        }
    }

    /// Returns the id that all spans of the trace share.
    pub fn trace_id(self) -> u128 {
        self.trace_id
    }

    /// Returns the id of the span; in a message, of the one that published it.
    pub fn span_id(self) -> u64 {
        self.span_id
    }

    /// Tells whether the trace is, or may be, recorded.
    pub fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The context of a span within this one; `random` is its id, unless that is zero.
    pub(super) fn child(self, random: u64) -> TraceContext {
        TraceContext { span_id: random.max(1), ..self }
    }

    /// What headers say; `None` if there is no `traceparent`, more than one, or one that can't be read.
    pub(super) fn of(headers: &Headers) -> Option<TraceContext> {
        let mut found = headers.get_all(TraceContext::HEADER);
        let context = std::str::from_utf8(found.next()?).ok()?.parse().ok()?;
        found.next().is_none().then_some(context)
    }

    /// Adds a context to headers, with the `tracestate`s of `from`, unless they have one. What finds no room is left out.
    pub(super) fn add_to(self, headers: &mut Headers, from: &Headers) {
        if headers.get(TraceContext::HEADER).is_some()
            || headers.append(TraceContext::HEADER, self.to_string()).is_err()
        {
            return;
        }
        // A state without its context means nothing.
        headers.remove(STATE);
        for state in from.get_all(STATE) {
            let _ = headers.append(STATE, state);
        }
    }
}

impl FromStr for TraceContext {
    type Err = InvalidTraceContext;

    /// Reads version 00, and of a higher one what is defined here.
    fn from_str(text: &str) -> Result<TraceContext, InvalidTraceContext> {
        let mut fields = text.splitn(5, '-');
        let mut field =
            |digits| fields.next().and_then(|field| hex(field, digits)).ok_or(InvalidTraceContext);
        let version = field(2)?;
        let (trace_id, span_id, flags) = (field(32)?, field(16)? as u64, field(2)? as u8);
        let has_more = fields.next().is_some();
        if version == 0xff || (version == 0 && has_more) || trace_id == 0 || span_id == 0 {
            return Err(InvalidTraceContext);
        }
        Ok(TraceContext { trace_id, span_id, flags: flags & KNOWN })
    }
}

/// Exactly so many hexadecimal digits, in lower case.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let good = text.len() == digits && text.bytes().all(is_digit);
    if good { u128::from_str_radix(text, 16).ok() } else { None }
}

/// Prints the `traceparent` of version 00.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

impl fmt::Display for InvalidTraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a traceparent reads 00-<32 hexadecimal digits>-<16>-<2>, with ids that are not zero")
    }
}

impl Error for InvalidTraceContext {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn what_the_recommendation_allows_is_read() {
        // The text, and the flags that are passed on.
        let table = [
            (format!("00-{TRACE}-{SPAN}-00"), 0),
            (format!("00-{TRACE}-{SPAN}-01"), 1),
            (format!("00-{TRACE}-{SPAN}-03"), 3),
            (format!("00-{TRACE}-{SPAN}-ff"), 3),
            (format!("00-{TRACE}-{SPAN}-09"), 1),
            // A version to come, which may have more.
            (format!("cc-{TRACE}-{SPAN}-01"), 1),
            (format!("01-{TRACE}-{SPAN}-01-what the-future"), 1),
            (format!("fe-{TRACE}-{SPAN}-00-"), 0),
        ];
        for (text, flags) in table {
            let context: TraceContext = text.parse().unwrap_or_else(|_| panic!("{text}"));
            assert_eq!(context.trace_id(), 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
            assert_eq!((context.span_id(), context.is_sampled()), (0x00f0_67aa_0ba9_02b7, flags & 1 == 1));
            assert_eq!(context.to_string(), format!("00-{TRACE}-{SPAN}-{flags:02x}"), "{text}");
        }
    }

    #[test]
    fn what_it_does_not_allow_is_not() {
        let zeros = "0".repeat(32);
        let table = [
            String::new(),
            "00".to_owned(),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{TRACE}-{SPAN}-01 "),
            format!(" 00-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-0x"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("000-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
            format!("0A-{TRACE}-{SPAN}-01"),
            format!("00-{zeros}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE}0-{SPAN}-01"),
            format!("00-+{}-{SPAN}-01", "1".repeat(31)),
            format!("00_{TRACE}_{SPAN}_01"),
            format!("01-{TRACE}-{SPAN}-01.more"),
            format!("00-{TRACE}-00f067aa0ba902bä-01"),
        ];
        for text in table {
            assert_eq!(text.parse::<TraceContext>(), Err(InvalidTraceContext), "{text:?}");
        }
    }

    #[test]
    fn ids_are_not_zero() {
        assert!(TraceContext::new(0, 1, true).is_err() && TraceContext::new(1, 0, true).is_err());
        let context = TraceContext::new(1, 2, false).unwrap();
        assert_eq!((context.child(0).span_id(), context.child(7).span_id()), (1, 7));
        assert_eq!(context.child(7).trace_id(), 1);
    }

    #[test]
    fn of_headers_one_context_counts_and_its_state_goes_with_it() {
        let context = TraceContext::new(1, 2, true).unwrap();
        let mut from = Headers::new();
        assert_eq!(TraceContext::of(&from), None);
        from.append("TraceParent", context.to_string()).unwrap();
        assert_eq!(TraceContext::of(&from), Some(context));
        from.append("tracestate", "a=1").unwrap();
        from.append("Tracestate", "b=2").unwrap();
        let mut to = Headers::new();
        to.append("tracestate", "stray=1").unwrap();
        context.child(9).add_to(&mut to, &from);
        assert_eq!(TraceContext::of(&to), Some(context.child(9)));
        assert_eq!(to.get_all("tracestate").collect::<Vec<_>>(), [b"a=1", b"b=2"]);
        let own = to.clone();
        context.child(10).add_to(&mut to, &from);
        assert_eq!(to, own, "there was one");
        to.append("traceparent", context.to_string()).unwrap();
        assert_eq!(TraceContext::of(&to), None, "two are none");
        let mut full = Headers::new();
        full.append("large", vec![0; Headers::MOST_BYTES - 10]).unwrap();
        context.add_to(&mut full, &from);
        assert_eq!(full.len(), 1, "what has no room is left out");
    }

    proptest! {
        #[test]
        fn a_context_reads_back_as_it_is_written(trace in 1_u128.., span in 1_u64.., sampled: bool) {
            let context = TraceContext::new(trace, span, sampled).unwrap();
            prop_assert_eq!(context.to_string().parse(), Ok(context));
            prop_assert_eq!(context.to_string().len(), 55);
        }

        #[test]
        fn no_text_makes_it_panic_and_none_but_a_traceparent_is_read(text in "(00|01|ff)?[-0-9a-fé]{0,60}") {
            if let Ok(context) = text.parse::<TraceContext>() {
                prop_assert!(text.len() >= 55 && context.trace_id() != 0 && context.span_id() != 0);
            }
        }
    }
}
