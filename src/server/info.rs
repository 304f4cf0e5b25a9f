//! What `INFO` says, section by section, in the fields that clients and suites read.

use std::fmt::Write as _;

use super::REDIS_VERSION;
use super::keys::DATABASES;
use super::world::World;
use crate::base::Moment;

/// A section's name, whether it is among those that are given unasked, and what writes it.
type Section = (&'static str, bool, fn(&mut String, &World, Moment) -> std::fmt::Result);

const SECTIONS: &[Section] = &[
    ("server", true, server),
    ("clients", true, clients),
    ("memory", true, memory),
    ("persistence", true, persistence),
    ("stats", true, stats),
    ("replication", true, replication),
    ("commandstats", false, commandstats),
    ("errorstats", true, errorstats),
    ("cluster", true, cluster),
    ("keyspace", true, keyspace),
];

/// The sections that are asked for; if none is, those that are given unasked.
pub(super) fn text(world: &World, now: Moment, asked: &[String]) -> String {
    let mut text = String::new();
    for (name, unasked, write) in SECTIONS {
        let default = *unasked && (asked.is_empty() || asked.iter().any(|word| word == "default"));
        let all = asked.iter().any(|word| word == "all" || word == "everything");
        if default || all || asked.iter().any(|word| word == name) {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            let mut title = name.to_string();
            if let Some(first) = title.get_mut(..1) {
                first.make_ascii_uppercase();
            }
            text.push_str(&format!("# {title}\r\n"));
            // Why unheard: a string takes all.
            let _ = write(&mut text, world, now);
        }
    }
    text
}

fn server(text: &mut String, world: &World, now: Moment) -> std::fmt::Result {
    let up = now.since(world.started).as_secs();
    write!(text, "redis_version:{REDIS_VERSION}\r\nredis_mode:standalone\r\n")?;
    write!(text, "callboard_version:{}\r\nos:{}\r\n", env!("CARGO_PKG_VERSION"), std::env::consts::OS)?;
    write!(text, "arch_bits:{}\r\nprocess_id:{}\r\n", usize::BITS, std::process::id())?;
    write!(text, "uptime_in_seconds:{up}\r\nuptime_in_days:{}\r\n", up / 86_400)
}

fn clients(text: &mut String, world: &World, _: Moment) -> std::fmt::Result {
    let listening = world.clients.values().filter(|client| {
        let shown = client.shown();
        shown.listens() > 0
    });
    write!(text, "connected_clients:{}\r\nmaxclients:{}\r\n", world.clients.len(), world.config.max_clients)?;
    write!(text, "blocked_clients:{}\r\npubsub_clients:{}\r\n", world.waiting.len(), listening.count())
}

fn memory(text: &mut String, world: &World, _: Moment) -> std::fmt::Result {
    let used = world.keys.used();
    write!(
        text,
        "used_memory:{used}\r\nused_memory_dataset:{used}\r\nmaxmemory:{}\r\n",
        world.config.max_memory
    )
}

fn persistence(text: &mut String, world: &World, _: Moment) -> std::fmt::Result {
    let (kept, status) =
        (u8::from(world.keeper.is_some()), if world.refuses().is_some() { "err" } else { "ok" });
    write!(text, "loading:0\r\nasync_loading:0\r\nrdb_bgsave_in_progress:0\r\naof_enabled:{kept}\r\n")?;
    write!(text, "aof_rewrite_in_progress:0\r\naof_rewrite_scheduled:0\r\naof_last_write_status:{status}\r\n")
}

fn stats(text: &mut String, world: &World, _: Moment) -> std::fmt::Result {
    let (stats, (channels, patterns)) = (&world.stats, world.pubsub.counts());
    write!(text, "total_connections_received:{}\r\n", stats.connections)?;
    write!(text, "total_commands_processed:{}\r\n", stats.commands)?;
    write!(text, "rejected_connections:{}\r\n", stats.rejected)?;
    write!(text, "expired_keys:{}\r\nevicted_keys:{}\r\n", stats.expired, stats.evicted)?;
    write!(text, "pubsub_channels:{channels}\r\npubsub_patterns:{patterns}\r\n")?;
    write!(text, "total_error_replies:{}\r\n", stats.errors)
}

fn replication(text: &mut String, _: &World, _: Moment) -> std::fmt::Result {
    write!(text, "role:master\r\nconnected_slaves:0\r\n")
}

fn commandstats(text: &mut String, world: &World, _: Moment) -> std::fmt::Result {
    for (name, stats) in &world.stats.by_command {
        let micros = stats.took.as_micros();
        let each = micros as f64 / stats.calls.max(1) as f64;
        write!(text, "cmdstat_{name}:calls={},usec={micros},usec_per_call={each:.2},", stats.calls)?;
        write!(text, "rejected_calls={},failed_calls={}\r\n", stats.rejected, stats.failed)?;
    }
    Ok(())
}

fn errorstats(text: &mut String, world: &World, _: Moment) -> std::fmt::Result {
    world
        .stats
        .by_code
        .iter()
        .try_for_each(|(code, count)| write!(text, "errorstat_{code}:count={count}\r\n"))
}

fn cluster(text: &mut String, _: &World, _: Moment) -> std::fmt::Result {
    write!(text, "cluster_enabled:0\r\n")
}

fn keyspace(text: &mut String, world: &World, _: Moment) -> std::fmt::Result {
    for db in (0..DATABASES).filter(|db| world.keys.len(*db) > 0) {
        write!(text, "db{db}:keys={},expires={},avg_ttl=0\r\n", world.keys.len(db), world.keys.timed(db))?;
    }
    Ok(())
}
