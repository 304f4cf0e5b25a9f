//! What `CONFIG GET` and `CONFIG SET` know: the settings that clients and test suites ask for. Pure.
//!
//! Those in [`Config`] do something. A few more have one fixed value, since clients look at them before they begin.

use super::glob::matches;
use super::keep::Fsync;
use super::notify::Events;
use super::resp::{self, parse_i64};
use super::stream::Limits;

/// The settings that change something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) max_clients: usize,
    /// Bytes; 0: no limit.
    pub(super) max_memory: u64,
    /// Keys that are no streams may be evicted to stay below that.
    pub(super) evicts: bool,
    /// A client that is silent for so many seconds is sent away; 0: never.
    pub(super) timeout: u64,
    /// After so many seconds of silence a new connection's system asks whether the other side is there; 0: never.
    pub(super) keep_alive: u64,
    pub(super) events: Events,
    /// The most bytes of one argument.
    pub(super) most_bulk: usize,
    /// The most bytes that wait for a client that listens.
    pub(super) most_pushed: usize,
    pub(super) password: Option<Vec<u8>>,
    /// How large a stream's nodes get.
    pub(super) nodes: Limits,
    /// Streams are written to disk.
    pub(super) keeps: bool,
    pub(super) fsync: Fsync,
    /// The policy's name as it was set: `evicts` is all that is made of it.
    policy: &'static str,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            max_clients: 10_000,
            max_memory: 0,
            evicts: false,
            timeout: 0,
            keep_alive: 300,
            events: Events::default(),
            most_bulk: 512 << 20,
            most_pushed: 32 << 20,
            password: None,
            nodes: Limits { node_entries: 100, node_bytes: 4096 },
            keeps: false,
            fsync: Fsync::default(),
            policy: POLICIES[0],
        }
    }
}

/// As Redis names them.
const FSYNC: [(&str, Fsync); 3] =
    [("always", Fsync::Always), ("everysec", Fsync::EverySecond), ("no", Fsync::Never)];

/// As Redis names them.
const POLICIES: [&str; 8] = [
    "noeviction",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
];

/// What systems take, in seconds.
const MOST_KEEP_ALIVE: u64 = 32_767;

/// What is asked for and never changes: setting it to what it is is allowed.
const FIXED: &[(&str, &str)] = &[
    ("bind", "127.0.0.1"),
    ("cluster-enabled", "no"),
    ("databases", "16"),
    ("maxmemory-samples", "5"),
    ("proto-inline-max-size", "65536"),
    ("save", ""),
];

/// What suites set, and nothing here depends on: any value is taken, and given back.
const REMEMBERED: &[&str] =
    &["aof-use-rdb-preamble", "hz", "latency-tracking", "lua-time-limit", "slowlog-log-slower-than"];

/// Why a setting was not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ConfigError {
    Unknown(String),
    /// It can't be this.
    Invalid(String, &'static str),
    /// It is what it is.
    Immutable(String),
}

/// What was remembered, by name. Limit: the names that there are.
pub(super) type Remembered = std::collections::BTreeMap<&'static str, String>;

impl Config {
    /// What a request may ask for.
    pub(super) fn limits(&self) -> resp::Limits {
        resp::Limits { bulk: self.most_bulk, ..resp::Limits::default() }
    }

    /// All settings that a pattern stands for, with their values.
    pub(super) fn get(&self, remembered: &Remembered, patterns: &[&[u8]]) -> Vec<(&'static str, String)> {
        let mut all: Vec<(&'static str, String)> = vec![
            (
                "appendfsync",
                FSYNC.iter().find(|(_, fsync)| *fsync == self.fsync).map_or("", |found| found.0).into(),
            ),
            ("appendonly", self.appendonly().into()),
            ("maxclients", self.max_clients.to_string()),
            ("maxmemory", self.max_memory.to_string()),
            ("maxmemory-policy", self.policy.to_string()),
            ("stream-node-max-bytes", self.nodes.node_bytes.to_string()),
            ("stream-node-max-entries", self.nodes.node_entries.to_string()),
            ("tcp-keepalive", self.keep_alive.to_string()),
            ("timeout", self.timeout.to_string()),
            ("notify-keyspace-events", self.events.to_string()),
            ("proto-max-bulk-len", self.most_bulk.to_string()),
            (
                "requirepass",
                String::from_utf8_lossy(self.password.as_deref().unwrap_or_default()).into_owned(),
            ),
            (
                "client-output-buffer-limit",
                format!("normal 0 0 0 slave 268435456 67108864 60 pubsub {} 0 0", self.most_pushed),
            ),
        ];
        all.extend(FIXED.iter().map(|(name, value)| (*name, value.to_string())));
        all.extend(REMEMBERED.iter().map(|name| (*name, remembered.get(name).cloned().unwrap_or_default())));
        let lower: Vec<Vec<u8>> = patterns.iter().map(|pattern| pattern.to_ascii_lowercase()).collect();
        all.retain(|(name, _)| lower.iter().any(|pattern| matches(pattern, name.as_bytes())));
        all.sort_unstable();
        all
    }

    /// Changes a setting.
    ///
    /// # Errors
    /// Nothing was changed.
    pub(super) fn set(
        &mut self,
        remembered: &mut Remembered,
        name: &[u8],
        value: &[u8],
    ) -> Result<(), ConfigError> {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        let value = String::from_utf8_lossy(value);
        let invalid = |why| ConfigError::Invalid(name.clone(), why);
        let number =
            || parse_i64(value.as_bytes()).filter(|number| *number >= 0).and_then(|n| u64::try_from(n).ok());
        let count = || number().ok_or_else(|| invalid("argument couldn't be parsed into an integer"));
        match name.as_str() {
            "maxclients" => {
                let count = usize::try_from(count()?).unwrap_or(usize::MAX);
                if count == 0 {
                    return Err(invalid("argument must be between 1 and 4294967295 inclusive"));
                }
                self.max_clients = count;
            }
            "maxmemory" => {
                self.max_memory = bytes(&value).ok_or_else(|| invalid("argument must be a memory value"))?;
            }
            "maxmemory-policy" => {
                let policy = POLICIES.iter().find(|policy| policy.eq_ignore_ascii_case(&value));
                self.policy = policy.ok_or_else(|| invalid("argument(s) must be one of the policies"))?;
                self.evicts = self.policy.starts_with("allkeys");
            }
            "timeout" => self.timeout = count()?,
            "tcp-keepalive" => {
                let seconds = count()?;
                if seconds > MOST_KEEP_ALIVE {
                    return Err(invalid("argument must be between 0 and 32767 inclusive"));
                }
                self.keep_alive = seconds;
            }
            "appendfsync" => {
                let found = FSYNC.iter().find(|(name, _)| name.eq_ignore_ascii_case(&value));
                let names = "argument(s) must be one of the following: everysec, always, no";
                self.fsync = found.ok_or_else(|| invalid(names))?.1;
            }
            "appendonly" if value == self.appendonly() => {}
            "appendonly" => return Err(ConfigError::Immutable(name)),
            "stream-node-max-entries" => {
                self.nodes.node_entries = usize::try_from(count()?).unwrap_or(usize::MAX);
            }
            "stream-node-max-bytes" => {
                let most = bytes(&value).and_then(|most| usize::try_from(most).ok());
                self.nodes.node_bytes = most.ok_or_else(|| invalid("argument must be a memory value"))?;
            }
            "notify-keyspace-events" => {
                self.events = Events::parse(&value)
                    .ok_or_else(|| invalid("Invalid event class character. Use 'Ag$lshzxeKEtmdn'."))?;
            }
            "proto-max-bulk-len" => {
                let most = bytes(&value).and_then(|most| usize::try_from(most).ok());
                let most = most.filter(|most| *most >= 1 << 20);
                self.most_bulk = most.ok_or_else(|| invalid("argument must be at least 1 MiB"))?;
            }
            "requirepass" => {
                self.password = if value.is_empty() { None } else { Some(value.as_bytes().to_vec()) };
            }
            "client-output-buffer-limit" => self
                .set_output_limits(&value)
                .ok_or_else(|| invalid("Wrong number of arguments in buffer limit configuration."))?,
            other => match (
                FIXED.iter().find(|(fixed, _)| *fixed == other),
                REMEMBERED.iter().find(|n| **n == other),
            ) {
                (Some((_, is)), _) if *is == value => {}
                (Some(_), _) => return Err(ConfigError::Immutable(name)),
                (None, Some(known)) => drop(remembered.insert(known, value.into_owned())),
                (None, None) => return Err(ConfigError::Unknown(name)),
            },
        }
        Ok(())
    }

    fn appendonly(&self) -> &'static str {
        if self.keeps { "yes" } else { "no" }
    }

    /// Of the classes only `pubsub` has something to limit: what others push. What a client asks for it waits for.
    fn set_output_limits(&mut self, value: &str) -> Option<()> {
        let words: Vec<&str> = value.split_ascii_whitespace().collect();
        for class in words.chunks(4) {
            let [name, hard, soft, seconds] = class else { return None };
            let (hard, _, _) = (bytes(hard)?, bytes(soft)?, seconds.parse::<u64>().ok()?);
            match *name {
                "pubsub" if hard == 0 => self.most_pushed = usize::MAX,
                "pubsub" => self.most_pushed = usize::try_from(hard).unwrap_or(usize::MAX),
                "normal" | "slave" | "replica" => {}
                _ => return None,
            }
        }
        Some(())
    }
}

/// A number of bytes, with a unit or not: `100`, `1k`, `1kb`, `2GB`.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let text = text.to_ascii_lowercase();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at_checked(digits)?;
    let times: u64 = match unit {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_what_is_got() {
        let (mut config, mut remembered) = (Config::default(), Remembered::new());
        let table = [
            ("maxclients", "12", "12"),
            ("MAXMEMORY", "1kb", "1024"),
            ("maxmemory-policy", "AllKeys-LRU", "allkeys-lru"),
            ("timeout", "3", "3"),
            ("tcp-keepalive", "60", "60"),
            ("stream-node-max-entries", "10", "10"),
            ("stream-node-max-bytes", "1kb", "1024"),
            ("notify-keyspace-events", "KA", "AK"),
            ("proto-max-bulk-len", "2mb", "2097152"),
            ("appendonly", "no", "no"),
            ("appendfsync", "everysec", "everysec"),
        ];
        for (name, value, wanted) in table {
            config.set(&mut remembered, name.as_bytes(), value.as_bytes()).unwrap();
            let got = config.get(&remembered, &[name.as_bytes()]);
            assert_eq!(got, [(got[0].0, wanted.to_string())], "{name}");
        }
        assert!(config.evicts);
        config.set(&mut remembered, b"client-output-buffer-limit", b"normal 0 0 0 pubsub 1mb 0 0").unwrap();
        assert_eq!(config.most_pushed, 1 << 20);
        assert!(config.get(&remembered, &[b"max*", b"nothing"]).len() >= 4);
    }

    #[test]
    fn what_cannot_be_is_refused_and_changes_nothing() {
        let (mut config, mut remembered) = (Config::default(), Remembered::new());
        let table = [
            ("maxclients", "0"),
            ("maxmemory", "much"),
            ("maxmemory-policy", "none"),
            ("timeout", "-1"),
            ("tcp-keepalive", "32768"),
            ("notify-keyspace-events", "Q"),
            ("proto-max-bulk-len", "1"),
            ("client-output-buffer-limit", "pubsub 1"),
            ("databases", "17"),
            ("appendonly", "yes"),
            ("appendfsync", "now and then"),
            ("no-such-thing", "1"),
        ];
        for (name, value) in table {
            assert!(config.set(&mut remembered, name.as_bytes(), value.as_bytes()).is_err(), "{name}");
        }
        assert_eq!((config, remembered), (Config::default(), Remembered::new()));
    }

    /// It is shown, as Redis shows it: whoever saves all settings and sets them again must not change it.
    #[test]
    fn a_password_is_set_shown_and_taken_away() {
        let (mut config, mut remembered) = (Config::default(), Remembered::new());
        config.set(&mut remembered, b"requirepass", b"secret").unwrap();
        assert_eq!(config.password.as_deref(), Some(&b"secret"[..]));
        assert_eq!(config.get(&remembered, &[b"requirepass"]), [("requirepass", "secret".to_string())]);
        config.set(&mut remembered, b"requirepass", b"").unwrap();
        assert_eq!(config.password, None);
    }
}
