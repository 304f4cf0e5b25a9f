//! Channels: `PUBLISH` and those who listen.

use crate::server::command::{Command, Context, Failure, Flag};
use crate::server::pubsub::{By, Interests};
use crate::server::resp::Aggregate;

const LISTENS: &[Flag] = &[Flag::PubSub, Flag::WhileListening, Flag::Pushes];

pub(super) const COMMANDS: &[Command] = &[
    Command { name: "subscribe", arity: -2, flags: LISTENS, keys: (0, 0, 0), run: subscribe },
    Command { name: "psubscribe", arity: -2, flags: LISTENS, keys: (0, 0, 0), run: psubscribe },
    Command { name: "unsubscribe", arity: -1, flags: LISTENS, keys: (0, 0, 0), run: unsubscribe },
    Command { name: "punsubscribe", arity: -1, flags: LISTENS, keys: (0, 0, 0), run: punsubscribe },
    Command { name: "ssubscribe", arity: -2, flags: LISTENS, keys: (1, -1, 1), run: ssubscribe },
    Command { name: "sunsubscribe", arity: -1, flags: LISTENS, keys: (1, -1, 1), run: sunsubscribe },
    Command {
        name: "spublish",
        arity: 3,
        flags: &[Flag::PubSub, Flag::Fast],
        keys: (1, 1, 1),
        run: spublish,
    },
    Command { name: "publish", arity: 3, flags: &[Flag::PubSub, Flag::Fast], keys: (0, 0, 0), run: publish },
    Command { name: "pubsub|channels", arity: -2, flags: &[Flag::PubSub], keys: (0, 0, 0), run: channels },
    Command { name: "pubsub|numsub", arity: -2, flags: &[Flag::PubSub], keys: (0, 0, 0), run: numsub },
    Command { name: "pubsub|numpat", arity: 2, flags: &[Flag::PubSub], keys: (0, 0, 0), run: numpat },
    Command {
        name: "pubsub|shardchannels",
        arity: -2,
        flags: &[Flag::PubSub],
        keys: (0, 0, 0),
        run: shardchannels,
    },
    Command {
        name: "pubsub|shardnumsub",
        arity: -2,
        flags: &[Flag::PubSub],
        keys: (0, 0, 0),
        run: shardnumsub,
    },
    Command { name: "pubsub|help", arity: 2, flags: &[Flag::PubSub], keys: (0, 0, 0), run: help },
];

fn subscribe(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    listen(cx, By::Name, "subscribe")
}

fn psubscribe(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    listen(cx, By::Pattern, "psubscribe")
}

/// This is no cluster: all shards are here.
fn ssubscribe(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    if cx.state.executing {
        return Err(Failure::err("SSUBSCRIBE isn't allowed for a DENY BLOCKING client"));
    }
    listen(cx, By::Shard, "ssubscribe")
}

fn listen(cx: &mut Context<'_, '_>, by: By, verb: &str) -> Result<(), Failure> {
    if cx.state.interests.len() + cx.request.len() - 1 > Interests::MOST {
        return Err(Failure::say(format!("a client can't listen to more than {} channels", Interests::MOST)));
    }
    for channel in cx.request.args().skip(1) {
        cx.world.pubsub.listen(by, channel, cx.client, &mut cx.state.interests);
        tell(cx, (by, verb), Some(channel));
    }
    Ok(())
}

fn unsubscribe(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    leave(cx, By::Name, "unsubscribe")
}

fn punsubscribe(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    leave(cx, By::Pattern, "punsubscribe")
}

fn sunsubscribe(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    leave(cx, By::Shard, "sunsubscribe")
}

/// From those that are named, or from all.
fn leave(cx: &mut Context<'_, '_>, by: By, verb: &str) -> Result<(), Failure> {
    let named: Vec<Vec<u8>> = cx.request.args().skip(1).map(<[u8]>::to_vec).collect();
    let channels = if named.is_empty() { cx.state.interests.all(by) } else { named };
    if channels.is_empty() {
        tell(cx, (by, verb), None);
    }
    for channel in channels {
        cx.world.pubsub.leave(by, &channel, cx.client, &mut cx.state.interests);
        tell(cx, (by, verb), Some(&channel));
    }
    Ok(())
}

fn tell(cx: &mut Context<'_, '_>, (by, verb): (By, &str), channel: Option<&[u8]>) {
    cx.out.begin(Aggregate::Push, 3);
    cx.out.bulk(verb.as_bytes());
    match channel {
        Some(channel) => cx.out.bulk(channel),
        None => cx.out.null(),
    }
    cx.out.integer(i64::try_from(cx.state.interests.count(by)).unwrap_or(i64::MAX));
}

fn publish(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let sent = cx.world.pubsub.publish(cx.arg(1), cx.arg(2));
    cx.out.integer(i64::try_from(sent).unwrap_or(i64::MAX));
    Ok(())
}

fn spublish(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let sent = cx.world.pubsub.publish_in_shard(cx.arg(1), cx.arg(2));
    cx.out.integer(i64::try_from(sent).unwrap_or(i64::MAX));
    Ok(())
}

fn channels(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    put_channels(cx, By::Name)
}

fn shardchannels(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    put_channels(cx, By::Shard)
}

fn put_channels(cx: &mut Context<'_, '_>, by: By) -> Result<(), Failure> {
    if cx.request.len() > 3 {
        let name = String::from_utf8_lossy(cx.arg(1)).into_owned();
        return Err(Failure::say(format!(
            "unknown subcommand or wrong number of arguments for '{name}'. Try PUBSUB HELP."
        )));
    }
    let (pubsub, pattern) = (&cx.world.pubsub, cx.request.get(2));
    cx.out.counted(Aggregate::Array, |out| {
        pubsub.channels(by, pattern).map(|channel| out.bulk(channel)).count()
    });
    Ok(())
}

fn numsub(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    put_listeners(cx, By::Name)
}

fn shardnumsub(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    put_listeners(cx, By::Shard)
}

fn put_listeners(cx: &mut Context<'_, '_>, by: By) -> Result<(), Failure> {
    cx.out.array(2 * (cx.request.len() - 2));
    for channel in cx.request.args().skip(2) {
        cx.out.bulk(channel);
        cx.out.integer(i64::try_from(cx.world.pubsub.listeners(by, channel)).unwrap_or(i64::MAX));
    }
    Ok(())
}

fn numpat(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let (_, patterns) = cx.world.pubsub.counts();
    cx.out.integer(i64::try_from(patterns).unwrap_or(i64::MAX));
    Ok(())
}

fn help(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    super::table::help(
        cx,
        &[
            "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
            "CHANNELS [<pattern>]",
            "    Channels that somebody listens to by name.",
            "NUMPAT",
            "    How many patterns somebody listens to.",
            "NUMSUB [<channel> ...]",
            "    How many listen to each of these channels.",
            "SHARDCHANNELS [<pattern>]",
            "    As CHANNELS, of what SSUBSCRIBE listens to.",
            "SHARDNUMSUB [<channel> ...]",
            "    As NUMSUB, of what SSUBSCRIBE listens to.",
        ],
    );
    Ok(())
}
