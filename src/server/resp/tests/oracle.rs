//! Does another implementation read what is written, and write what is read?
//!
//! It is the crate `redis-protocol`, which is never given deep nesting: it recurses, and would end the process.

use proptest::collection::vec;
use proptest::prelude::*;
use redis_protocol::resp2::types::{OwnedFrame as Frame2, Resp2Frame};
use redis_protocol::resp3::types::{OwnedFrame as Frame3, VerbatimStringFormat};
use redis_protocol::{resp2, resp3};

use super::support::{decoder, read, read_pieces};
use crate::server::resp::{Aggregate, Protocol, Replies, Verbatim};

/// A reply as plain data.
#[derive(Clone, Debug)]
enum Told {
    Status(String),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    Verbatim(String),
    Null,
    NullArray,
    Boolean(bool),
    Double(f64),
    Big(i128),
    Array(Vec<Told>),
    Push(Vec<Told>),
    /// Keys are numbers of their own, as maps and sets have none twice.
    Map(Vec<Told>),
    Set(usize),
}

impl Told {
    /// Writes it, with lengths that are known before or after.
    fn write(&self, reply: &mut Replies<'_>, known: bool) {
        match self {
            Told::Status(text) => reply.status(text),
            Told::Error(text) => reply.error("ERR", text),
            Told::Integer(number) => reply.integer(*number),
            Told::Bulk(bytes) => reply.bulk(bytes),
            Told::Verbatim(text) => reply.verbatim(Verbatim::Text, text.as_bytes()),
            Told::Null => reply.null(),
            Told::NullArray => reply.null_array(),
            Told::Boolean(yes) => reply.boolean(*yes),
            Told::Double(number) => reply.double(*number),
            Told::Big(number) => reply.big_number(&number.to_string()),
            Told::Array(all) => aggregate(reply, known, Aggregate::Array, all),
            Told::Push(all) => aggregate(reply, known, Aggregate::Push, all),
            Told::Map(values) => {
                reply.map(values.len());
                for (key, value) in values.iter().enumerate() {
                    reply.bulk_of(key);
                    value.write(reply, known);
                }
            }
            Told::Set(len) => {
                reply.begin(Aggregate::Set, *len);
                (0..*len).for_each(|member| reply.bulk_of(member));
            }
        }
    }

    fn two(&self) -> Frame2 {
        let bulk = |text: String| Frame2::BulkString(text.into_bytes());
        match self {
            Told::Status(text) => Frame2::SimpleString(text.clone().into_bytes()),
            Told::Error(text) => Frame2::Error(format!("ERR {text}")),
            Told::Integer(number) => Frame2::Integer(*number),
            Told::Bulk(bytes) => Frame2::BulkString(bytes.clone()),
            Told::Verbatim(text) => bulk(text.clone()),
            Told::Null | Told::NullArray => Frame2::Null,
            Told::Boolean(yes) => Frame2::Integer((*yes).into()),
            Told::Double(number) => {
                let mut out = Vec::new();
                Replies::new(&mut out, Protocol::Resp3).double(*number);
                Frame2::BulkString(out[1..out.len() - 2].to_vec())
            }
            Told::Big(number) => bulk(number.to_string()),
            Told::Array(all) | Told::Push(all) => Frame2::Array(all.iter().map(Told::two).collect()),
            Told::Map(values) => {
                let pair = |(key, value): (usize, &Told)| [bulk(key.to_string()), value.two()];
                Frame2::Array(values.iter().enumerate().flat_map(pair).collect())
            }
            Told::Set(len) => Frame2::Array((0..*len).map(|member| bulk(member.to_string())).collect()),
        }
    }

    fn three(&self) -> Frame3 {
        let attributes = None;
        let bulk =
            |number: usize| Frame3::BlobString { data: number.to_string().into_bytes(), attributes: None };
        match self {
            Told::Status(text) => Frame3::SimpleString { data: text.clone().into_bytes(), attributes },
            Told::Error(text) => Frame3::SimpleError { data: format!("ERR {text}"), attributes },
            Told::Integer(number) => Frame3::Number { data: *number, attributes },
            Told::Bulk(bytes) => Frame3::BlobString { data: bytes.clone(), attributes },
            Told::Verbatim(text) => {
                let format = VerbatimStringFormat::Text;
                Frame3::VerbatimString { data: text.clone().into_bytes(), format, attributes }
            }
            Told::Null | Told::NullArray => Frame3::Null,
            Told::Boolean(yes) => Frame3::Boolean { data: *yes, attributes },
            Told::Double(number) => Frame3::Double { data: *number, attributes },
            Told::Big(number) => Frame3::BigNumber { data: number.to_string().into_bytes(), attributes },
            Told::Array(all) => Frame3::Array { data: all.iter().map(Told::three).collect(), attributes },
            Told::Push(all) => Frame3::Push { data: all.iter().map(Told::three).collect(), attributes },
            Told::Map(values) => {
                let pair = |(key, value): (usize, &Told)| (bulk(key), value.three());
                Frame3::Map { data: values.iter().enumerate().map(pair).collect(), attributes }
            }
            Told::Set(len) => Frame3::Set { data: (0..*len).map(bulk).collect(), attributes },
        }
    }
}

fn aggregate(reply: &mut Replies<'_>, known: bool, kind: Aggregate, all: &[Told]) {
    let children = |reply: &mut Replies<'_>| all.iter().for_each(|child| child.write(reply, known));
    if known {
        reply.begin(kind, all.len());
        children(reply);
    } else {
        reply.counted(kind, |reply| {
            children(reply);
            all.len()
        });
    }
}

fn told() -> impl Strategy<Value = Told> {
    let leaf = prop_oneof![
        "[a-zA-Z ]{0,9}".prop_map(Told::Status),
        "[a-zA-Z' ]{1,9}".prop_map(Told::Error),
        any::<i64>().prop_map(Told::Integer),
        vec(any::<u8>(), 0..20).prop_map(Told::Bulk),
        "\\PC{0,9}".prop_map(Told::Verbatim),
        Just(Told::Null),
        Just(Told::NullArray),
        any::<bool>().prop_map(Told::Boolean),
        any::<f64>().prop_filter("not equal to itself", |number| !number.is_nan()).prop_map(Told::Double),
        any::<i128>().prop_map(Told::Big),
        (0..5_usize).prop_map(Told::Set),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let some = || vec(inner.clone(), 0..6);
        prop_oneof![some().prop_map(Told::Array), some().prop_map(Told::Map)]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_reply_is_read_as_what_was_told(told in told(), known: bool) {
        let mut out = Vec::new();
        told.write(&mut Replies::new(&mut out, Protocol::Resp2), known);
        prop_assert_eq!(resp2::decode::decode(&out).unwrap(), Some((told.two(), out.len())));
        out.clear();
        told.write(&mut Replies::new(&mut out, Protocol::Resp3), known);
        prop_assert_eq!(resp3::decode::complete::decode(&out).unwrap(), Some((told.three(), out.len())));
    }

    #[test]
    fn a_push_is_read_as_what_was_told(all in vec(told(), 1..4)) {
        let (push, mut out) = (Told::Push(all), Vec::new());
        push.write(&mut Replies::new(&mut out, Protocol::Resp3), true);
        prop_assert_eq!(resp3::decode::complete::decode(&out).unwrap(), Some((push.three(), out.len())));
    }

    #[test]
    fn a_request_that_another_writes_is_read(words in vec(vec(any::<u8>(), 0..60), 1..12)) {
        let frame = Frame2::Array(words.iter().cloned().map(Frame2::BulkString).collect());
        let mut bytes = vec![0; frame.encode_len(false)];
        resp2::encode::encode(&mut bytes, &frame, false).unwrap();
        prop_assert_eq!(read(&bytes), (vec![words], None));
    }

    #[test]
    fn what_is_taken_in_spite_of_a_wrong_byte_is_taken_by_another(words in vec(vec(any::<u8>(), 0..9), 1..5), at: usize, byte: u8) {
        let mut bytes = super::support::request(&words);
        let at = 1 + at % (bytes.len() - 1);
        bytes[at] = byte;
        let (requests, error) = read_pieces(&mut decoder(), [&bytes[..]]);
        // Nothing is asked for then, and what follows is a line.
        prop_assume!(bytes[1] != b'0');
        // Why not the other way round: it takes values of all types, nested, and numbers in more forms than one.
        if let (Some(first), None) = (requests.first(), error) {
            let Ok(Some((Frame2::Array(all), _))) = resp2::decode::decode(&bytes) else {
                return Err(TestCaseError::fail("only one of two takes it"));
            };
            let bulks: Vec<Vec<u8>> = all.into_iter().map(|bulk| match bulk {
                Frame2::BulkString(bytes) => bytes,
                other => panic!("{other:?}"),
            }).collect();
            prop_assert_eq!(first, &bulks);
        }
    }
}
