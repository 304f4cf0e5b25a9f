//! Which bytes are which requests, or which error, to Redis 7.0?

use super::support::{Read, decoder, read, read_pieces, request};
use crate::server::resp::{Decoder, Limits, ProtocolError};

#[track_caller]
fn reads(bytes: &[u8], requests: &[&[&[u8]]]) {
    let (found, error) = read_both_ways(bytes);
    assert_eq!(error, None, "{}", bytes.escape_ascii());
    assert_eq!(found, requests, "{}", bytes.escape_ascii());
}

#[track_caller]
fn refuses(bytes: &[u8], text: &str) {
    let (requests, error) = read_both_ways(bytes);
    assert_eq!(requests.len(), 0, "{}", bytes.escape_ascii());
    let shown = error.map(|error| error.to_string());
    assert_eq!(shown, Some(format!("Protocol error: {text}")), "{}", bytes.escape_ascii());
}

/// At once, and byte by byte.
#[track_caller]
fn read_both_ways(bytes: &[u8]) -> Read {
    let read = read(bytes);
    assert_eq!(read_pieces(&mut decoder(), bytes.chunks(1)), read, "{}", bytes.escape_ascii());
    read
}

#[test]
fn a_request_is_an_array_of_bulks() {
    reads(b"*1\r\n$4\r\nPING\r\n", &[&[b"PING"]]);
    reads(b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", &[&[b"ECHO", b""]]);
    reads(b"*2\r\n$4\r\nECHO\r\n$4\r\n\r\n\0*\r\n", &[&[b"ECHO", b"\r\n\0*"]]);
    reads(b"*1\r\n$0\r\n\r\n", &[&[b""]]);
}

#[test]
fn requests_follow_each_other_without_a_wait() {
    let mut bytes = b"PING\r\n*1\r\n$4\r\nPING\r\n\r\n*0\r\nset a b\n".to_vec();
    reads(&bytes, &[&[b"PING"], &[b"PING"], &[b"set", b"a", b"b"]]);
    bytes.extend(b"*1\r\n$4\r\nPI");
    let mut decoder = decoder();
    let (requests, error) = read_pieces(&mut decoder, [&bytes[..]]);
    assert_eq!((requests.len(), error), (3, None));
    assert!(!decoder.is_between_requests());
    let (requests, _) = read_pieces(&mut decoder, [&b"NG\r\n"[..]]);
    assert_eq!(requests, [[b"PING"]]);
    assert!(decoder.is_between_requests());
}

#[test]
fn what_asks_for_nothing_is_skipped() {
    for nothing in ["", "\n", "\r\n", "   \r\n", "*0\r\n", "*-1\r\n", "*-10\r\n", "*-9223372036854775808\r\n"]
    {
        reads(&[nothing.as_bytes(), b"PING\r\n"].concat(), &[&[b"PING"]]);
        let mut decoder = decoder();
        assert_eq!(read_pieces(&mut decoder, [nothing.as_bytes()]), (vec![], None));
        assert!(decoder.is_between_requests(), "{nothing:?}");
    }
}

#[test]
fn a_line_is_a_request_of_its_words() {
    let table: [(&[u8], &[&[u8]]); 24] = [
        (b"PING\r\n", &[b"PING"]),
        (b"PING\n", &[b"PING"]),
        (b"  set \t a   b  \r\n", &[b"set", b"a", b"b"]),
        (b"\x0b\x0cset a\x0bb\r\n", &[b"set", b"a\x0bb"]),
        (b"a\rb\r\r\n", &[b"a", b"b"]),
        (b"set a *1\r\n", &[b"set", b"a", b"*1"]),
        (b"$4\r\n", &[b"$4"]),
        (b"set \"\" ''\r\n", &[b"set", b"", b""]),
        (b"\"a b\" 'c d'\r\n", &[b"a b", b"c d"]),
        (b"\"\\n\\r\\t\\b\\a\"\n", &[b"\n\r\t\x08\x07"]),
        (b"\"\\\\ \\\" \\q \\'\"\n", &[b"\\ \" q '"]),
        (b"\"\\x41\\xfF\\x0a\"\n", &[b"A\xff\n"]),
        (b"\"\\x4\\xg1\\X41\"\n", &[b"x4xg1X41"]),
        (b"'it\\'s \\n \\\\ \"'\n", &[b"it's \\n \\\\ \""]),
        (b"ab\"c d\"\n", &[b"abc d"]),
        (b"ab'c d'\n", &[b"abc d"]),
        (b"a\\nb \\\"x\"\n", &[b"a\\nb", b"\\x"]),
        (b"\"a\"\x0b\"b\"\n", &[b"a", b"b"]),
        (b"\"a\"\r\n", &[b"a"]),
        (b"\"a\r\"\n", &[b"a\r"]),
        (b"a\0b \"c\0d\"\n", &[b"a\0b", b"c\0d"]),
        (b"\xff\xfe \x80\n", &[b"\xff\xfe", b"\x80"]),
        (b"GET / HTTP/1.1\r\n", &[b"GET", b"/", b"HTTP/1.1"]),
        (b"' '\"\n\"\n", &[]),
    ];
    for (line, words) in table {
        if words.is_empty() {
            refuses(line, "unbalanced quotes in request");
        } else {
            reads(line, &[words]);
        }
    }
}

#[test]
fn quotes_that_do_not_close_or_that_a_letter_follows_are_refused() {
    for line in [
        "\"",
        "'",
        "set \"a",
        "set 'a",
        "\"a\"b",
        "'a'b",
        "\"a\"\"b\"",
        "\"a\\\"",
        "'a\\'",
        "\"\"\"k\"\"\" v",
        "\"\\",
    ] {
        refuses(format!("{line}\r\n").as_bytes(), "unbalanced quotes in request");
    }
}

#[test]
fn a_number_of_arguments_that_is_none_is_refused() {
    for number in [
        "",
        "x",
        "+1",
        "01",
        "-0",
        " 1",
        "1 ",
        "3000000000",
        "20000000000000000000",
        "-9223372036854775809",
        "1\0",
        "--1",
    ] {
        refuses(format!("*{number}\r\n").as_bytes(), "invalid multibulk length");
    }
    refuses(b"*1\rx", "invalid multibulk length");
    refuses(b"*1048577\r\n", "invalid multibulk length");
    assert_eq!(read(b"*1048576\r\n"), (vec![], None));
}

#[test]
fn a_length_that_is_none_is_refused() {
    for number in [
        "",
        "x",
        "+1",
        "01",
        "-0",
        "-1",
        "-10",
        " 1",
        "536870913",
        "2147483648",
        "4294967295",
        "18446744073709551617",
    ] {
        refuses(format!("*1\r\n${number}\r\n").as_bytes(), "invalid bulk length");
    }
    assert_eq!(read(b"*1\r\n$536870912\r\n"), (vec![], None));
    refuses(b"*1\r\n$1\rx", "invalid bulk length");
}

#[test]
fn a_bulk_is_as_long_as_it_says() {
    for wrong in
        ["*1\r\n$3\r\nPING\r\n", "*1\r\n$5\r\nPING\r\n\r\n", "*1\r\n$4\r\nPING\n", "*1\r\n$4\r\nPING\rx"]
    {
        refuses(wrong.as_bytes(), "invalid bulk length");
    }
}

#[test]
fn something_else_than_a_bulk_is_refused() {
    refuses(b"*1\r\nfoo\r\n", "expected '$', got 'f'");
    refuses(b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n", "expected '$', got 'f'");
    refuses(b"*1\r\n*1\r\n$4\r\nPING\r\n", "expected '$', got '*'");
    refuses(b"*1\r\n:1\r\n", "expected '$', got ':'");
    refuses(b"*1\r\n\r\n", "expected '$', got '\\x0d'");
    refuses(b"*1\r\n\xff", "expected '$', got '\\xff'");
}

#[test]
fn a_line_that_does_not_end_is_refused() {
    let long = vec![b'1'; 64 * 1024];
    let (fits, over) = (&long[1..], &long[..]);
    assert_eq!(read(&[b"*", &fits[1..]].concat()), (vec![], None));
    refuses(&[b"*", fits, b"1"].concat(), "too big mbulk count string");
    refuses(&[b"*", over, b"\r\n"].concat(), "too big mbulk count string");
    refuses(&[b"*", &fits[1..], b"\r\n"].concat(), "invalid multibulk length");
    refuses(&[b"*1\r\n$", over].concat(), "too big bulk count string");
    refuses(&[b"*1\r\n$", &fits[1..], b"\r\n"].concat(), "invalid bulk length");
    reads(&[over, b"\n"].concat(), &[&[over]]);
    refuses(&[over, b"1"].concat(), "too big inline request");
    for desync in ["\0", "*\0", "*3\r\n$3\r\nSET\r\n$1\r\nX\r\n$\0"] {
        let (_, error) = read(&[desync.as_bytes(), &vec![b'A'; 100_000]].concat());
        assert!(error.unwrap().to_string().contains("too big"), "{desync:?}");
    }
}

#[test]
fn who_has_not_authenticated_may_ask_for_less() {
    fn as_guest(bytes: &[u8]) -> Read {
        read_pieces(&mut Decoder::new(Limits::default()), [bytes])
    }
    let shown = |bytes: &[u8]| as_guest(bytes).1.unwrap().to_string();
    assert_eq!(as_guest(&request(&[""; 10])).0.len(), 1);
    assert_eq!(shown(b"*11\r\n"), "Protocol error: unauthenticated multibulk length");
    assert_eq!(shown(b"*1048577\r\n"), "Protocol error: invalid multibulk length");
    assert_eq!(as_guest(&request(&[vec![0; 16384]])).0.len(), 1);
    assert_eq!(shown(b"*1\r\n$16385\r\n"), "Protocol error: unauthenticated bulk length");
    assert_eq!(shown(b"*1\r\n$536870913\r\n"), "Protocol error: invalid bulk length");
}

#[test]
fn what_a_client_may_ask_for_follows_its_authentication_at_once() {
    let bytes = [request(&["AUTH", "secret"]), request(&["x"; 11]), request(&["RESET"]), request(&["x"; 11])]
        .concat();
    let (mut decoder, mut input) = (Decoder::new(Limits::default()), &bytes[..]);
    assert_eq!(decoder.decode(&mut input).unwrap().unwrap().name(), b"AUTH");
    decoder.set_authenticated(true);
    assert_eq!(decoder.decode(&mut input).unwrap().unwrap().len(), 11);
    assert_eq!(decoder.decode(&mut input).unwrap().unwrap().name(), b"RESET");
    decoder.set_authenticated(false);
    assert_eq!(decoder.decode(&mut input), Err(ProtocolError::GuestCount));
}

#[test]
fn limits_are_what_the_server_says() {
    let limits = Limits { args: 12, bulk: 100, request: 12 * 16 + 150 };
    let mut narrow = decoder();
    narrow.set_limits(limits);
    let refusal = |bytes: &[u8]| {
        let mut one = decoder();
        one.set_limits(limits);
        read_pieces(&mut one, [bytes]).1
    };
    assert_eq!(refusal(b"*13\r\n"), Some(ProtocolError::InvalidCount));
    assert_eq!(refusal(b"*1\r\n$101\r\n"), Some(ProtocolError::InvalidLength));
    let whole = request(&[vec![1; 100], vec![2; 50], vec![3; 16 * 9]]);
    assert_eq!(refusal(&whole), Some(ProtocolError::InvalidLength));
    assert_eq!(
        refusal(&request(&[vec![1; 100], vec![2; 100], vec![3; 100]])),
        Some(ProtocolError::TooBigRequest)
    );
    for _ in 0..5 {
        let (requests, error) = read_pieces(&mut narrow, [&request(&[vec![1; 100], vec![2; 100]])[..]]);
        assert_eq!((requests.len(), error), (1, None), "the sum is that of one request");
    }
}

#[test]
fn nothing_is_read_behind_an_error() {
    let (mut decoder, mut input) = (decoder(), &b"PING\r\n*x\r\nPING\r\n"[..]);
    assert_eq!(decoder.decode(&mut input).unwrap().unwrap().name(), b"PING");
    let error = decoder.decode(&mut input).unwrap_err();
    let mut more = &b"PING\r\n"[..];
    assert_eq!(decoder.decode(&mut more), Err(error));
    assert_eq!(decoder.decode(&mut &[][..]), Err(error));
    assert_eq!(more.len(), 6);
    assert!(!decoder.is_between_requests());
}

#[test]
fn a_request_does_not_show_its_contents() {
    let bytes = request(&["AUTH", "secret"]);
    let shown = format!("{:?}", decoder().decode(&mut &bytes[..]).unwrap().unwrap());
    assert_eq!(shown, "Request { args: 2, bytes: 10 }");
}
