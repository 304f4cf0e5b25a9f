//! Does each message come back, is what is not one refused, and does a panic of a codec end where it is called?

use serde::{Deserialize, Serialize};

use super::caught::{codec_name, decode, encode};
use super::*;
use crate::broker::InvalidMessage;

/// A message that goes to its bytes and back.
#[track_caller]
fn comes_back<T: PartialEq + std::fmt::Debug + 'static>(codec: &dyn Codec<T>, message: T) -> Vec<u8> {
    let mut bytes = b"of another message".to_vec();
    let version = encode(codec, &message, &mut bytes).unwrap();
    assert_eq!(decode(codec, &bytes, version), Ok(message));
    bytes
}

#[track_caller]
fn refused<T: std::fmt::Debug + 'static>(codec: &dyn Codec<T>, bytes: &[u8], version: u32, why: &str) {
    let text = decode(codec, bytes, version).unwrap_err();
    assert!(text.contains(why), "{text}");
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Order {
    Anvil { count: u8 },
    Rope(f64, Option<String>),
}

fn orders() -> [Order; 3] {
    [Order::Anvil { count: 7 }, Order::Rope(0.1, None), Order::Rope(-1e300, Some("€".to_string()))]
}

#[test]
fn raw_takes_bytes_and_texts_as_they_are() {
    assert_eq!(comes_back(&Raw, vec![0xff_u8, 0]), [0xff, 0]);
    assert_eq!(comes_back::<Box<[u8]>>(&Raw, [0xff_u8].into()), [0xff]);
    assert_eq!(comes_back::<Arc<[u8]>>(&Raw, [].into()), [0_u8; 0]);
    assert_eq!(comes_back(&Raw, "€".to_string()), "€".as_bytes());
    assert_eq!(comes_back::<Box<str>>(&Raw, "".into()), b"");
    assert_eq!(comes_back::<Arc<str>>(&Raw, "rope".into()), b"rope");
    refused::<String>(&Raw, &[0xff], 0, "utf-8");
    refused::<Vec<u8>>(&Raw, b"", 1, "version 1");
}

/// G21.
#[test]
fn formats_with_types_read_back_what_they_wrote_and_nothing_else() {
    for order in orders() {
        let json = comes_back(&Json::new(), order.clone());
        let postcard = comes_back(&Postcard::new(), order);
        for end in 0..json.len() {
            refused::<Order>(&Json::new(), &json[..end], 0, "EOF");
        }
        for end in 0..postcard.len() {
            refused::<Order>(&Postcard::new(), &postcard[..end], 0, "");
        }
        refused::<Order>(&Json::new(), &[&json[..], b"1"].concat(), 0, "trailing");
        refused::<Order>(&Postcard::new(), &[&postcard[..], b"1"].concat(), 0, "1 bytes are left");
    }
    refused::<Order>(&Json::new(), b"", 0, "EOF");
    refused::<Vec<Order>>(&Json::new(), "[".repeat(100_000).as_bytes(), 0, "");
    // A length that isn't there allocates nothing.
    refused::<Vec<Order>>(
        &Postcard::new(),
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        0,
        "",
    );
}

/// G21. They are written next to messages on disk: another one would make those unreadable.
#[test]
fn the_bytes_and_the_names_are_what_they_always_were() {
    let [anvil, rope, _] = orders();
    assert_eq!(comes_back(&Json::new(), anvil.clone()), br#"{"Anvil":{"count":7}}"#);
    assert_eq!(comes_back(&Postcard::new(), anvil), [0, 7]);
    assert_eq!(comes_back(&Postcard::new(), rope), [1, 0x9a, 0x99, 0x99, 0x99, 0x99, 0x99, 0xb9, 0x3f, 0]);
    let table: [(&dyn Codec<String>, &str, u32); 5] = [
        (&Json::new(), "json/1", 0),
        (&Json::new().typed("order", 2), "json/1:order", 2),
        (&Postcard::new(), "postcard/1", 0),
        (&Arc::new(Postcard::new().typed("order", 3)), "postcard/1:order", 3),
        (&Raw, "raw/1", 0),
    ];
    for (codec, name, version) in table {
        assert_eq!((codec_name(codec).unwrap().as_str(), codec.version()), (name, version));
    }
}

#[test]
fn another_version_is_read_only_by_a_format_that_names_its_fields() {
    let json = Json::new().typed("order", 2);
    assert_eq!(decode::<u8>(&json, b"7", 1), Ok(7));
    refused::<u8>(&json, b"7", 3, "json/1:order of version 3, and this reads up to version 2");
    for version in [0, 1, 3] {
        refused::<u8>(&Postcard::new().typed("order", 2), &[7], version, "and this reads version 2");
    }
}

struct Broken;

impl Codec<u8> for Broken {
    fn name(&self) -> &str {
        panic!("no name")
    }

    fn encode(&self, message: &u8, into: &mut Vec<u8>) -> Result<(), Fault> {
        into.push(*message);
        if *message == 1 {
            panic!("no bytes")
        }
        Err(Fault::new("e".repeat(5000)))
    }

    fn decode(&self, _: &[u8], _: u32) -> Result<u8, Fault> {
        panic!("no message")
    }
}

/// G15.
#[test]
fn a_codec_that_panics_refuses_the_message_and_leaves_nothing_behind() {
    let mut bytes = vec![9];
    let refused = encode(&Broken, &1, &mut bytes).unwrap_err();
    assert_eq!(refused, InvalidMessage::NotEncoded { error: "the codec panicked: no bytes".into() });
    assert_eq!(refused.to_string(), "the topic's codec could not write it: the codec panicked: no bytes");
    assert!(bytes.is_empty());
    // G2: a text is kept up to its limit.
    let InvalidMessage::NotEncoded { error } = encode(&Broken, &2, &mut bytes).unwrap_err() else { panic!() };
    assert_eq!((error.len(), bytes.len()), (4096, 0));
    assert_eq!(&*decode(&Broken, b"", 0).unwrap_err(), "the codec panicked: no message");
    let fault = codec_name(&Broken).unwrap_err();
    assert_eq!(fault, "the codec panicked when it was asked for its name: no name");
    let unnamed = Json::new().typed("two words", 1);
    assert!(codec_name::<u8>(&unnamed).unwrap_err().contains("white space"));
}
