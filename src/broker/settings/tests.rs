//! Is every number that makes no sense refused at the door, and are all of them told together?

use super::*;

const TOO_LONG: Duration = Duration::from_secs(366 * 24 * 3600);

fn faults(result: Result<(), OpenError>) -> Vec<String> {
    match result {
        Ok(()) => Vec::new(),
        Err(OpenError::Settings { name, faults }) => {
            assert_eq!(name, "t");
            faults
        }
        Err(other) => panic!("{other:?}"),
    }
}

fn of_topic(change: impl Fn(&mut TopicSettings)) -> Vec<String> {
    let mut settings = TopicSettings::default();
    change(&mut settings);
    faults(settings.check(&Name::new("t").unwrap()))
}

fn of_group(change: impl Fn(&mut GroupSettings)) -> Vec<String> {
    let mut settings = GroupSettings::default();
    change(&mut settings);
    faults(settings.check("t".to_string(), false))
}

/// One fault, whose text names what is wrong.
#[track_caller]
fn one(faults: &[String], word: &str) {
    assert!(matches!(faults, [fault] if fault.contains(word)), "{word}: {faults:?}");
}

#[test]
fn the_defaults_and_the_outermost_values_are_fine() {
    assert_eq!(of_topic(|_| ()), [""; 0]);
    assert_eq!(of_group(|_| ()), [""; 0]);
    for messages in [1, MOST_MESSAGES] {
        assert_eq!(of_topic(|topic| topic.capacity = messages), [""; 0]);
        assert_eq!(of_group(|group| group.prefetch = messages as u32), [""; 0]);
        assert_eq!(of_group(|group| group.dead_letter_capacity = messages), [""; 0]);
    }
    for time in [Duration::from_millis(1), LONGEST] {
        assert_eq!(of_topic(|topic| topic.publish_timeout = time), [""; 0]);
        assert_eq!(of_topic(|topic| topic.overflow = Overflow::Wait { timeout: Some(time) }), [""; 0]);
        assert_eq!(of_group(|group| group.ack_timeout = time), [""; 0]);
        assert_eq!(of_group(|group| group.retry = Retry::fixed(time)), [""; 0]);
    }
    for consumers in [1, MOST_CONSUMERS] {
        assert_eq!(of_group(|group| group.consumers = consumers), [""; 0]);
    }
    assert_eq!(of_group(|group| group.retry = Retry::none()), [""; 0]);
    assert_eq!(of_group(|group| group.retry = Retry::immediately().max_attempts(u32::MAX)), [""; 0]);
}

#[test]
fn a_number_of_messages_that_is_zero_or_absurd_is_refused() {
    for messages in [0, MOST_MESSAGES + 1, usize::MAX] {
        one(&of_topic(|topic| topic.capacity = messages), "the capacity");
        one(&of_group(|group| group.dead_letter_capacity = messages), "the dead-letter capacity");
        one(&of_group(|group| group.prefetch = messages.min(u32::MAX as usize) as u32), "the prefetch");
    }
}

#[test]
fn a_number_of_consumers_that_is_zero_or_absurd_is_refused() {
    for consumers in [0, MOST_CONSUMERS + 1, u32::MAX] {
        one(&of_group(|group| group.consumers = consumers), "consumers");
    }
}

#[test]
fn a_time_that_is_zero_or_overflows_is_refused() {
    for time in [Duration::ZERO, TOO_LONG, Duration::MAX] {
        one(&of_topic(|topic| topic.publish_timeout = time), "the publish timeout");
        one(&of_topic(|topic| topic.overflow = Overflow::Wait { timeout: Some(time) }), "the wait");
        one(&of_group(|group| group.ack_timeout = time), "the ack timeout");
        one(&of_group(|group| group.retry = Retry::fixed(time)), "retry");
        one(&of_group(|group| group.backoff = Backoff::fixed(time)), "restart");
    }
}

#[test]
fn no_attempts_at_all_are_refused() {
    one(&of_group(|group| group.retry = Retry::default().max_attempts(0)), "max_attempts");
}

#[test]
fn all_faults_are_told_together_and_each_says_whose_it_is() {
    let faults = of_group(|group| {
        group.consumers = 0;
        group.prefetch = 0;
        group.dead_letter_capacity = 0;
        group.ack_timeout = Duration::ZERO;
        group.retry =
            Retry::new(Backoff::exponential(Duration::ZERO, TOO_LONG).jitter(f64::NAN)).max_attempts(0);
        group.intensity = Intensity::new(u32::MAX, Duration::ZERO);
        group.backoff = Backoff::fixed(Duration::ZERO);
    });
    for word in ["consumers", "the prefetch", "dead-letter", "the ack timeout", "max_attempts"] {
        assert_eq!(faults.iter().filter(|fault| fault.contains(word)).count(), 1, "{word}: {faults:?}");
    }
    let begin = |with: &str| faults.iter().filter(|fault| fault.starts_with(with)).count();
    assert_eq!((begin("retry: "), begin("restart: "), begin("the intensity")), (3, 1, 2), "{faults:?}");
    let topic = of_topic(|topic| {
        topic.capacity = 0;
        topic.publish_timeout = Duration::ZERO;
        topic.overflow = Overflow::Wait { timeout: Some(Duration::MAX) };
    });
    assert_eq!(topic.len(), 3, "{topic:?}");
    let shown = OpenError::Settings { name: "t".to_string(), faults: topic.clone() }.to_string();
    assert!(topic.iter().all(|fault| shown.contains(fault)), "{shown}");
}
