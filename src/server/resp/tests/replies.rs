//! What is on the wire for each reply, in both versions of the protocol?

use proptest::prelude::*;

use crate::server::resp::{Aggregate, Protocol, Replies, Verbatim};

fn written(protocol: Protocol, write: impl FnOnce(&mut Replies<'_>)) -> String {
    let mut out = b"before".to_vec();
    let mut reply = Replies::new(&mut out, protocol);
    assert_eq!(reply.protocol(), protocol);
    write(&mut reply);
    String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned()
}

#[track_caller]
fn is(write: impl Fn(&mut Replies<'_>), two: &str, three: &str) {
    assert_eq!(written(Protocol::Resp2, &write), two, "RESP2");
    assert_eq!(written(Protocol::Resp3, &write), three, "RESP3");
}

#[test]
fn each_reply_has_its_form() {
    is(|reply| reply.ok(), "+OK\r\n", "+OK\r\n");
    is(|reply| reply.status("PONG"), "+PONG\r\n", "+PONG\r\n");
    is(|reply| reply.integer(-42), ":-42\r\n", ":-42\r\n");
    is(|reply| reply.integer(i64::MIN), ":-9223372036854775808\r\n", ":-9223372036854775808\r\n");
    is(|reply| reply.bulk(b"a\r\nb"), "$4\r\na\r\nb\r\n", "$4\r\na\r\nb\r\n");
    is(|reply| reply.bulk(b""), "$0\r\n\r\n", "$0\r\n\r\n");
    is(|reply| reply.bulk_of(format_args!("{}-{}", 15, 0)), "$4\r\n15-0\r\n", "$4\r\n15-0\r\n");
    is(|reply| reply.bulk_of(""), "$0\r\n\r\n", "$0\r\n\r\n");
    is(|reply| reply.null(), "$-1\r\n", "_\r\n");
    is(|reply| reply.null_array(), "*-1\r\n", "_\r\n");
    is(|reply| reply.boolean(true), ":1\r\n", "#t\r\n");
    is(|reply| reply.boolean(false), ":0\r\n", "#f\r\n");
    is(|reply| reply.double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n");
    is(|reply| reply.big_number("-123"), "$4\r\n-123\r\n", "(-123\r\n");
    is(|reply| reply.verbatim(Verbatim::Text, b"hi"), "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n");
    is(|reply| reply.verbatim(Verbatim::Markdown, b""), "$0\r\n\r\n", "=4\r\nmkd:\r\n");
    is(|reply| reply.written(b"+OK\r\n"), "+OK\r\n", "+OK\r\n");
}

#[test]
fn an_aggregate_says_how_much_follows() {
    is(|reply| reply.array(0), "*0\r\n", "*0\r\n");
    is(|reply| reply.array(3), "*3\r\n", "*3\r\n");
    is(|reply| reply.map(3), "*6\r\n", "%3\r\n");
    is(|reply| reply.begin(Aggregate::Set, 3), "*3\r\n", "~3\r\n");
    is(|reply| reply.begin(Aggregate::Push, 3), "*3\r\n", ">3\r\n");
}

#[test]
fn an_error_is_one_line_whatever_its_text() {
    let table = [
        ("no such key", "-ERR no such key\r\n"),
        ("unknown command 'a\r\nb'", "-ERR unknown command 'a  b'\r\n"),
        ("ends\r\n\r\n", "-ERR ends\r\n"),
        ("+OK\r\n+OK\n", "-ERR +OK  +OK\r\n"),
        ("", "-ERR \r\n"),
    ];
    for (text, line) in table {
        is(|reply| reply.error("ERR", text), line, line);
    }
    is(|reply| reply.error("\r\nNOGROUP", "x"), "-NOGROUP x\r\n", "-NOGROUP x\r\n");
    is(|reply| reply.status("a\r\nb\n"), "+a  b\r\n", "+a  b\r\n");
    is(|reply| reply.status("\r\n"), "+\r\n", "+\r\n");
}

#[test]
fn a_number_with_a_fraction_is_what_c_writes_for_it() {
    // The right side is from C's printf("%.17g").
    let table = [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (-1.5, "-1.5"),
        (3.0, "3"),
        (100.0, "100"),
        (0.1, "0.10000000000000001"),
        (0.2 + 0.1, "0.30000000000000004"),
        (1.0 / 3.0, "0.33333333333333331"),
        (12_345_678.9, "12345678.9"),
        (0.0001, "0.0001"),
        (0.00001, "1.0000000000000001e-05"),
        (1e16, "10000000000000000"),
        (1e17, "1e+17"),
        (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
        (1e22, "1e+22"),
        (1e-7, "9.9999999999999995e-08"),
        (1.5e300, "1.5000000000000001e+300"),
        (f64::MAX, "1.7976931348623157e+308"),
        (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
        (5e-324, "4.9406564584124654e-324"),
        (9.999_999_999_999_999e-5, "9.9999999999999991e-05"),
        (99_999_999_999_999_999.0, "1e+17"),
        (9_007_199_254_740_993.0, "9007199254740992"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
        (f64::NAN, "nan"),
        (-f64::NAN, "nan"),
    ];
    for (number, text) in table {
        is(|reply| reply.double(number), &format!("${}\r\n{text}\r\n", text.len()), &format!(",{text}\r\n"));
    }
}

#[test]
fn a_length_can_be_known_last() {
    let nested = |reply: &mut Replies<'_>| {
        reply.counted(Aggregate::Array, |reply| {
            for id in 0..12 {
                reply.counted(Aggregate::Map, |reply| {
                    reply.bulk(b"k");
                    reply.integer(id);
                    1
                });
            }
            12
        });
        reply.ok();
    };
    let children =
        |header: &str| (0..12).map(|id| format!("{header}\r\n$1\r\nk\r\n:{id}\r\n")).collect::<String>();
    is(nested, &format!("*12\r\n{}+OK\r\n", children("*2")), &format!("*12\r\n{}+OK\r\n", children("%1")));
    is(|reply| reply.counted(Aggregate::Set, |_| 0), "*0\r\n", "~0\r\n");
}

#[test]
fn what_fails_halfway_is_taken_back() {
    let halfway = |reply: &mut Replies<'_>| {
        reply.ok();
        let failed = reply.attempt(|reply| {
            reply.array(2);
            reply.integer(1);
            Err("gone")
        });
        reply.error("ERR", failed.unwrap_err());
        let done: Result<(), ()> = reply.attempt(|reply| {
            reply.integer(5);
            Ok(())
        });
        assert_eq!(done, Ok(()));
    };
    is(halfway, "+OK\r\n-ERR gone\r\n:5\r\n", "+OK\r\n-ERR gone\r\n:5\r\n");
}

proptest! {
    #[test]
    fn a_number_with_a_fraction_is_read_as_itself(bits: u64) {
        let number = f64::from_bits(bits);
        prop_assume!(number.is_finite());
        let text = written(Protocol::Resp3, |reply| reply.double(number));
        let read: f64 = text.trim_matches([',', '\r', '\n']).parse().unwrap();
        prop_assert_eq!(read.to_bits(), bits);
    }

    #[test]
    fn no_text_can_end_an_errors_line(text in "[a\r\n]{0,8}") {
        let line = written(Protocol::Resp2, |reply| reply.error("ERR", &text));
        prop_assert_eq!(line.matches(['\r', '\n']).count(), 2);
        prop_assert!(line.ends_with("\r\n"));
    }
}
