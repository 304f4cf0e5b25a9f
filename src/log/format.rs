#![doc = include_str!("../../docs/log-format.md")]
