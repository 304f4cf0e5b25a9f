//! What can be sent, shared, cloned and boxed, and how the main functions are called. It holds if it compiles.

use std::error::Error;
use std::fmt::{Debug, Display};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use callboard::actor::{AddressSink, AskError, Ending, Recipient, Spawn, SpawnError, TimerId, WeakAddress};
use callboard::base::{Fault, InvalidName, Moment, Name};
use callboard::broker::{AckError, Closed, DeleteError, DeliveryStream, GroupBuilder, OpenError};
use callboard::broker::{Event, Events, ExportError, Topology};
use callboard::broker::{
    PublishAllError, PublishError, RedriveAllError, RedriveError, TopicBuilder, TopicSink,
};
use callboard::prelude::{Actor, Address, Context, Ended, Exit, Reply, System};
use callboard::prelude::{Broker, DeadLetter, Delivery, Group, Topic};
use callboard::prelude::{ChildSpec, Supervisor, SupervisorHandle};
use callboard::runtime::{BoxFuture, NoRuntime, Runtime, Smol, Timer, Tokio};
use callboard::supervise::{AddError, Escalated, RemoveError, StartError, SupervisorEnded};

fn handle<T: Clone + Debug + Send + Sync + Unpin + 'static>() {}
fn value<T: Clone + Ord + Debug + Send + Sync + Unpin + 'static>() {}
fn sent<T: Send + 'static>(_: T) {}
fn error<T: Error + Send + Sync + 'static>() {}

#[test]
fn base_words_are_plain_values() {
    value::<Moment>();
    value::<Name>();
    handle::<Fault>();
    error::<InvalidName>();
    let _: fn(&str) -> Result<Name, InvalidName> = Name::new;
    let _: fn(u64) -> Moment = Moment::from_nanos;
    const _: Moment = Moment::from_nanos(1);
    fn shows<T: Display>() {}
    shows::<Fault>();
    shows::<Name>();
}

#[test]
fn any_error_becomes_a_fault_by_question_mark() {
    fn parse(text: &str) -> Result<u8, Fault> {
        Ok(text.parse()?)
    }
    assert!(parse("x").is_err_and(|fault| fault.source().is_some()));
}

#[test]
fn a_runtime_is_an_object_and_a_handle() {
    handle::<Tokio>();
    handle::<Smol>();
    error::<NoRuntime>();
    let _: fn(&dyn Runtime, &str, BoxFuture) = |runtime, name, task| runtime.spawn(name, task);
    let _: fn(&dyn Runtime, Moment) -> Pin<Box<dyn Timer>> = |runtime, at| runtime.timer(at);
    let _: fn() -> Arc<dyn Runtime> = || Arc::new(Smol::global());
    let _: fn(Pin<Box<dyn Timer>>) = sent;
}

/// Neither `Sync`, `Clone` nor `Debug`: a handle asks nothing of the messages it carries but to be sent.
struct Message(std::cell::Cell<u8>);

struct Silent;

impl Actor for Silent {
    type Message = Message;
    async fn handle(&mut self, message: Message, _: &mut Context<Message>) -> Result<(), Fault> {
        message.0.set(1);
        Ok(())
    }
}

#[test]
fn addresses_are_handles_whatever_the_message_is() {
    handle::<Address<Message>>();
    handle::<WeakAddress<Message>>();
    handle::<Recipient<Message>>();
    handle::<System>();
    handle::<Exit>();
    handle::<Ended>();
    value::<TimerId>();
    error::<SpawnError>();
    error::<AskError<u8>>();
    let _: fn(Reply<Message>) = sent;
    let _: fn(AddressSink<Message>) = sent;
    fn sink<T: futures::Sink<Message>>() {}
    sink::<AddressSink<Message>>();
    fn awaited<T: Future + Send + 'static>() {}
    awaited::<Ending>();
}

#[test]
fn actors_are_started_and_found_as_they_were() {
    let _: fn() -> Result<System, NoRuntime> = System::start;
    let _: fn(&System, Silent) -> Address<Message> = System::spawn;
    let _: for<'a> fn(&'a System, &str) -> Result<Spawn<'a>, InvalidName> = System::actor;
    let _: for<'a> fn(Spawn<'a>, Silent) -> Result<Address<Message>, SpawnError> =
        |spawn, actor| spawn.spawn(actor);
    let _: fn(&System, &str) -> Option<Address<Message>> = System::find;
    let _: fn(&Address<Message>) -> Ending = Address::stop;
    let _: fn(&Address<Message>) -> Ending = Address::kill;
}

#[test]
fn what_an_actor_is_sent_and_asked_can_be_awaited_in_any_task() {
    let _: fn(&'static Address<Message>, Message) = |address, message| sent(address.send(message));
    let _: fn(&'static Address<Message>) = |address| sent(address.stop_now());
    type Make = fn(Reply<u8>) -> Message;
    let _: fn(&'static Address<Message>, Make) = |address, make| sent(address.ask(make));
}

#[test]
fn a_tree_is_described_in_one_task_and_started_in_another() {
    handle::<SupervisorHandle>();
    handle::<SupervisorEnded>();
    error::<StartError>();
    error::<AddError>();
    error::<RemoveError>();
    error::<Escalated>();
    let _: fn(ChildSpec<Silent>) = sent;
    let _: fn(Supervisor) = sent;
    let _: fn(Supervisor) = |tree| sent(tree.start());
    let _: fn(&'static SupervisorHandle, ChildSpec<Silent>) = |running, spec| sent(running.add(spec));
    let _: fn(&SupervisorHandle) = |running| sent((running.stop(), running.ended()));
    let _: fn(&mut Supervisor, ChildSpec<Silent>) -> Result<Address<Message>, AddError> = Supervisor::child;
    let _: fn(&mut Supervisor, Supervisor) -> Result<SupervisorHandle, AddError> = Supervisor::supervisor;
}

/// Neither `Clone` nor `Debug`: a topic asks nothing of its payloads but to be sent and shared.
struct Payload;

#[test]
fn what_a_broker_hands_out_can_be_sent_and_its_handles_shared_whatever_the_payload_is() {
    handle::<Broker>();
    handle::<Topic<Payload>>();
    handle::<Group>();
    handle::<callboard::prelude::Message<u8>>();
    error::<AckError>();
    error::<Closed>();
    error::<DeleteError>();
    error::<OpenError>();
    error::<PublishError<u8>>();
    error::<PublishAllError<u8>>();
    error::<RedriveError>();
    error::<RedriveAllError>();
    let _: fn(TopicBuilder<Payload>) = sent;
    let _: fn(GroupBuilder<Payload>) = sent;
    fn shared<T: Send + Sync + Unpin + 'static>() {}
    shared::<DeliveryStream<Payload>>();
    shared::<Delivery<Payload>>();
    shared::<DeadLetter>();
    // One task's, as is whatever waits with a timer of its own.
    let _: fn(TopicSink<Payload>) = sent;
    fn stream<T: futures::stream::FusedStream<Item = Delivery<Payload>>>() {}
    stream::<DeliveryStream<Payload>>();
    shared::<Events>();
    handle::<Event>();
    handle::<Topology>();
    error::<ExportError>();
    fn events<T: futures::stream::FusedStream<Item = Event>>() {}
    events::<Events>();
    fn sink<T: futures::Sink<Payload, Error = PublishError<Option<Payload>>>>() {}
    sink::<TopicSink<Payload>>();
}

#[test]
fn what_a_broker_is_asked_can_be_awaited_in_any_task() {
    let _: fn(TopicBuilder<Payload>) = |topic| sent(topic.open());
    let _: fn(GroupBuilder<Payload>) = |group| sent(group.stream());
    let _: fn(GroupBuilder<Payload>) = |group| sent(group.run_fn(|_| Ok(())));
    let _: fn(GroupBuilder<Payload>) = |group| sent(group.run(async |_| Ok(())));
    let _: fn(&'static Topic<Payload>) = |topic| sent((topic.publish(Payload), topic.publish_all([Payload])));
    let _: fn(&'static Topic<Payload>) = |topic| sent((topic.settled(), topic.stats(), topic.delete()));
    let _: fn(&'static Group) = |group| sent((group.stats(), group.consumer_stats()));
    let _: fn(&'static Group) = |group| sent((group.redrive(), group.delete()));
    let _: fn(&'static DeadLetter) = |letter| sent(letter.redrive());
    let _: fn(&'static Broker) = |broker| sent((broker.idle(), broker.topology(), broker.shutdown()));
    let _: fn(&'static mut DeliveryStream<Payload>) = |stream| sent(futures::StreamExt::next(stream));
}
