//! Does callboard keep what other brokers' own suites ask of them?
//!
//! Each check of theirs has a line here: the test that asks the same of callboard, in its own words and as strictly as
//! `docs/guarantees.md` puts it, or why there is none. A test is named by its file and its name; the file lies beside
//! this one, or in the folder above where the question was asked there already. Unless a line says otherwise, a test
//! runs on tokio with many threads and with one, on smol and on many seeds of the simulator. `table.rs` checks that
//! each test that is named is there and runs where it is said to, and that none beside it is missing here.
//!
//! # What Watermill asks of a broker
//!
//! Its universal suite:
//! - Published, then subscribed: all arrive whole, and the stream ends with the broker:
//!   `pubsub::what_was_published_before_the_first_reader_arrives_once_in_order_and_then_the_stream_ends`. Its metadata:
//!   `headers::headers_arrive_byte_for_byte_at_every_group_beside_messages_that_have_none`.
//! - Fifty publishers, fifty subscribers, and twenty publishers at once:
//!   `pubsub::many_publishers_and_many_subscribers_of_one_group_share_every_message_once`.
//! - Many topics at once, and one message to each of two:
//!   `pubsub::twenty_topics_at_once_each_get_their_own_messages_and_no_others`.
//! - Two are nacked and all arrive: `pubsub::after_two_nacks_all_of_a_hundred_arrive_and_only_those_two_twice`.
//! - Without an ack no second message, with it the second and no third:
//!   `pubsub::who_may_hold_one_message_gets_the_second_once_the_first_is_acked_and_not_before`.
//! - Subscribers open, read a part and close, again and again:
//!   `pubsub::readers_that_come_and_go_have_read_all_of_it_together_and_nothing_twice`.
//! - Ten subscribe and close at once: `pubsub::readers_that_close_at_once_without_reading_take_nothing_with_them`.
//! - Three nack a hundred times each, then one acks all:
//!   `pubsub::three_readers_that_nack_a_hundred_times_each_get_a_next_one_and_a_fourth_gets_all`.
//! - Order for each key: comes with ordering and overflow. For one consumer:
//!   `ordering::one_consumer_without_retries_sees_the_order_of_publishing`, and for each publisher
//!   `ordering::each_publisher_is_seen_in_its_own_order`.
//! - A message's context ends with its ack, or with the broker: does not apply, a handler's future is its context:
//!   past its deadline it is dropped, and so it is at the end:
//!   `deadline::a_handler_past_its_deadline_is_cancelled_within_twice_the_time_and_its_message_tried_again` (seeds),
//!   `ending::dropping_the_last_handle_stops_at_once`.
//! - A subscription that is cancelled loses nothing:
//!   `pull_ends::a_dropped_stream_returns_what_it_had_not_yielded_and_what_it_had_can_still_be_acked`.
//! - New subscribers see old messages: what is unsettled, as
//!   `delivery::messages_wait_for_the_first_group_and_then_for_each_that_comes_while_they_are_kept`; history comes with
//!   the durable log.
//! - Reconnecting while the broker restarts: comes with the durable log.
//! - Groups that were closed before the first message get all of it later:
//!   `pubsub::groups_whose_readers_left_before_the_first_message_get_all_of_it_when_they_return`.
//! - All of that ten times at once: does not apply, the runs above are on many seeds, and `CB_SEEDS` makes them more.
//!   What threads do to each other is asked in `contention.rs`, named below.
//!
//! Its broker in memory:
//! - A publish that waits for the ack, through receipt and nack: with a capacity of 1 the next one does,
//!   `in_process::a_publish_behind_the_only_place_waits_through_receipt_and_nack_and_ends_with_the_ack`; and with many
//!   groups, `backpressure::a_publisher_waits_until_one_message_is_settled_by_every_group`.
//! - Publishing races with the end:
//!   `contention::threads_that_publish_into_a_stopping_broker_on_tokio_agree_with_its_report` (tokio),
//!   `contention::threads_that_publish_into_a_stopping_broker_on_smol_agree_with_its_report` (smol).
//! - Subscribing races with the end, and is given up:
//!   `in_process::readers_that_open_while_the_broker_ends_are_refused_or_counted_and_those_from_before_read_it_all`,
//!   `cancel::a_stream_whose_opening_is_dropped_leaves_no_consumer`.
//! - Subscribing races with publishing: `in_process::readers_that_open_while_messages_come_miss_none_and_see_none_twice`.
//! - One of three subscribers never acks, and the others go on:
//!   `delivery::a_group_that_stands_still_holds_nobody_up_until_it_holds_the_whole_capacity`.
//! - Three hundred are waiting when it closes, and can still be read and acked; new ones are refused:
//!   `in_process::what_is_buffered_when_the_end_begins_is_read_and_acked_while_newcomers_are_refused`,
//!   `drain::a_shutdown_drains_the_backlog_and_refuses_everybody_else_at_once`,
//!   `pull_ends::a_shutdown_waits_for_deliveries_that_are_held_and_then_acked`.
//!
//! Its router:
//! - Acked if and only if the handler and its publishes ended well, nacked on an error, a panic, a refused publish:
//!   `router::an_input_is_acked_once_its_handler_ended_well_and_its_output_was_accepted_and_not_before`,
//!   `redelivery::each_way_to_fail_brings_the_message_again_with_the_next_attempt_number`.
//! - A nack in the handler brings the same id: `router::a_message_keeps_its_id_through_every_attempt_whoever_has_it`.
//!   The other words do what they say: `pull::each_verdict_on_a_delivery_does_what_it_says`,
//!   `dead_letters::each_outcome_does_what_it_says`.
//! - The order of middleware: does not apply, there is none; a handler is a function, and wraps another.
//! - Handlers come and go while it runs: `delivery::consumers_that_are_added_later_take_their_share`,
//!   `delete_group::its_places_are_free_and_other_groups_notice_nothing`.
//! - It ends when all handlers have: does not apply, a broker ends when it is told to or its last handle goes.
//! - Closing is safe from several sides: `ending::every_call_for_a_shutdown_gets_the_one_report`; waits for a running
//!   handler: `drain::handlers_publish_on_until_nothing_is_left_to_do`; and says when that took too long:
//!   `drain::at_the_timeout_the_rest_is_released_and_counted_and_never_acked` (seeds).
//! - A cancelled context logs no error: the events are those that the docs name,
//!   `logs::the_events_have_the_names_that_the_docs_promise` (tokio).
//!
//! Its messages: acking twice, or acking and nacking, does not compile, since both take the delivery by value
//! (the example of `Delivery`); too late is a typed error,
//! `pull::an_old_delivery_that_is_acked_after_another_has_the_message_is_refused` (seeds). A copy carries no ack:
//! `message_shape::a_payload_is_one_object_for_every_group_attempt_and_dead_letter_and_is_dropped_once`.
//!
//! # What Reactive Streams asks, of a `Stream` and a `Sink`
//!
//! - No more than was asked for, at any moment: `pull::a_stream_holds_no_more_than_its_prefetch`,
//!   `streams::whatever_becomes_of_its_deliveries_a_stream_holds_no_more_than_its_prefetch_and_none_twice`,
//!   `delivery::consumers_hold_no_more_than_their_prefetch` (seeds). One item at a time: a stream is polled by `&mut`.
//! - It may end early, and an end is told, not hung on, and is for good:
//!   `pull_ends::a_stream_ends_at_the_shutdown_and_stays_ended`,
//!   `streams::a_stream_that_ended_or_was_dropped_keeps_no_payload_alive_and_stays_ended`. An error there is none: a
//!   delivery that can't be settled says so when it is.
//! - Dropped, it gets nothing more, gives back what it held and is kept by nobody:
//!   `pull_ends::a_dropped_stream_returns_what_it_had_not_yielded_and_what_it_had_can_still_be_acked`, and the one before.
//! - Subscribing to what is closed is an error at once: `ending::after_the_end_every_call_answers_closed`.
//! - All groups see one sequence, one by one or in bulk:
//!   `streams::groups_that_read_one_by_one_and_in_bulk_see_the_same_sequence`.
//! - Publishing from inside a handler, without end or recursion, and giving way, as do streams, publishers and sinks:
//!   `streams::whoever_is_always_ready_lets_other_tasks_run` (tokio and smol, one thread each),
//!   `from_handler::a_ring_of_topics_with_one_place_to_spare_runs_to_its_end`.
//! - Stopping twice, from any thread, is as stopping once: `ending::every_call_for_a_shutdown_gets_the_one_report`,
//!   `actor_stop::a_later_stop_overrides_a_milder_one`.
//! - A capacity or prefetch of zero is refused: `lifecycle::numbers_that_cannot_work_are_refused_all_at_once`.
//! - What was on its way when it stopped is borne:
//!   `pull_ends::a_shutdown_waits_for_deliveries_that_are_held_and_then_acked`,
//!   `pull_ends::what_a_task_held_when_it_was_dropped_comes_to_another` (seeds).
//! - A sink is pending while the topic is full and only then:
//!   `sinks::a_sink_is_pending_while_its_topic_is_full_and_only_then_whatever_is_done` (seeds),
//!   `sinks::a_sink_is_ready_while_there_is_room_and_is_woken_when_there_is_again`;
//!   flushed means accepted, and closing leaves the topic open:
//!   `sinks::what_a_sink_was_fed_is_accepted_once_it_is_flushed_or_closed_and_others_go_on`,
//!   `sinks::a_stream_is_forwarded_through_a_small_topic_which_stays_open`,
//!   `sinks::a_ready_sink_keeps_its_place_until_it_is_filled_closed_or_dropped`.
//! - Each `Pending` has registered the waker it was given, the last one where they change:
//!   `wakers::whoever_waits_for_room_a_message_or_quiet_is_woken_by_the_waker_of_the_last_poll`,
//!   `wakers::whoever_waits_when_the_end_comes_is_woken_by_the_waker_of_the_last_poll`,
//!   `wakers::whoever_asks_the_broker_is_woken_by_the_waker_of_the_last_poll`,
//!   `wakers::whoever_gives_up_waiting_is_woken_by_the_waker_of_the_last_poll` (seeds). Nothing else wakes it:
//!   `pull_ends::a_pending_stream_wakes_its_task_when_a_message_comes_and_not_before` (seeds).
//! - A `next` that is dropped a thousand times: `pull_ends::a_next_that_is_dropped_a_thousand_times_loses_nothing_and_doubles_nothing`;
//!   and every other public future: `cut::whatever_future_is_dropped_after_however_many_polls_the_rest_goes_on` (seeds).
//! - Futures can be sent (`tests/public_api/shape.rs`), and polled by another runtime:
//!   `pull_ends::a_stream_can_be_polled_from_a_runtime_that_the_broker_does_not_run_on` (tokio, polled from smol).
//!
//! # What ruststream asks of a broker
//!
//! Its core suite:
//! - Ten messages arrive in order: `ordering::one_consumer_without_retries_sees_the_order_of_publishing`.
//! - What was published before the first reader arrives first, if that is promised; here it is, and `Start::Latest`
//!   is the other choice:
//!   `delivery::messages_wait_for_the_first_group_and_then_for_each_that_comes_while_they_are_kept`,
//!   `delivery::a_group_begins_where_it_says_whether_that_is_behind_or_ahead`.
//! - After an ack nothing comes: `settlement::after_a_message_is_settled_the_next_thing_to_come_is_the_next_message`.
//! - After a nack that asks for it the same payload comes: `pull::each_verdict_on_a_delivery_does_what_it_says`,
//!   `message_shape::a_payload_is_one_object_for_every_group_attempt_and_dead_letter_and_is_dropped_once`.
//! - After a nack that does not, it never comes: `settlement::what_is_settled_stays_so_past_every_timeout_and_for_whoever_comes_later`
//!   (seeds).
//! - Headers make the round trip, whatever the case of their names:
//!   `headers::headers_arrive_byte_for_byte_at_every_group_beside_messages_that_have_none`.
//! - A log holds each publish in order: `ordering::ids_and_offsets_are_in_the_order_in_which_a_group_sees_them`. There
//!   is no stand-in for the broker, so nothing to inject past it: in tests too it is this broker.
//! - Two subscriptions share or each get all, as promised, and nothing is left counted:
//!   `delivery::every_group_sees_every_message`, `pull::streams_and_handlers_of_one_group_share_its_messages`.
//! - What is in flight is counted from the publish to the settlement, once, and when delayed only when due:
//!   `settlement::a_message_is_counted_in_one_place_at_a_time_and_a_delayed_one_in_flight_only_when_due` (seeds). What
//!   nobody reads yet is counted here, for it is kept; what no group wants is not:
//!   `backpressure::what_no_group_wants_holds_no_place`.
//!
//! The life of a broker and its handles:
//! - It is made without a runtime around it, and ends soon:
//!   `lifecycle::a_broker_is_started_used_and_ended_on_a_thread_that_has_no_runtime` (tokio and smol).
//!   It does no I/O. A runtime that can't serve is refused:
//!   `lifecycle::a_tokio_runtime_without_timers_is_refused_before_anything_is_accepted` (tokio).
//! - Opened, first published and settled from runtimes that end right after, it goes on:
//!   `lifecycle::what_was_opened_and_first_published_on_a_runtime_that_ended_goes_on`,
//!   `lifecycle::each_word_on_a_delivery_counts_though_the_runtime_it_was_said_on_has_ended`,
//!   `lifecycle::a_wait_for_room_has_its_limit_on_whatever_runtime_it_is_waited`. Its own runtime is the one it was
//!   started on; when that goes, everybody is told:
//!   `lifecycle::whoever_waits_elsewhere_when_the_runtime_of_the_broker_goes_is_told` (tokio).
//! - A delayed nack comes no sooner than it asked to: `retry::a_pulled_message_stays_away_for_as_long_as_it_was_asked_to`,
//!   `retry::a_handled_message_stays_away_for_as_long_as_it_was_asked_to`, and to the nanosecond
//!   `pull::nack_after_says_when_it_comes_again` (seeds).
//! - After the end a publish fails through every handle, used or not, from any runtime:
//!   `lifecycle::a_shutdown_through_one_handle_is_the_end_of_every_other`, `ending::after_the_end_every_call_answers_closed`.
//! - A delivery held over the end is refused or comes back: `settlement::a_delivery_held_over_the_end_is_refused_whatever_is_said_of_it`.
//! - An ack and a publish right before the end hold: `lifecycle::an_ack_and_a_publish_made_right_before_the_shutdown_both_hold`.
//!   That they hold for a new connection comes with the durable log.
//! - The end through one handle ends every clone and every subscription, and none stays silent:
//!   `lifecycle::a_shutdown_through_one_handle_is_the_end_of_every_other`.
//!
//! Settlement:
//! - Ack and final nack hold past the timeout and for who comes later:
//!   `settlement::what_is_settled_stays_so_past_every_timeout_and_for_whoever_comes_later` (seeds).
//! - A nack that was accepted is a promise:
//!   `settlement::a_word_at_the_deadline_counts_or_is_refused_and_the_message_comes_again_once_or_never` (seeds),
//!   `settlement::a_nack_right_before_the_shutdown_is_kept_to_as_at_any_time`,
//!   `settlement::a_nack_that_the_shutdown_gives_no_time_for_is_reported_lost_and_never_acked`.
//! - Of three in flight the last is acked, two are not, and those two come back:
//!   `settlement::of_three_in_flight_the_last_is_acked_and_the_two_that_are_not_come_back`.
//! - What is dropped with a runtime that dies comes back: `settlement::what_a_runtime_held_when_it_died_comes_back`,
//!   `settlement::a_task_that_panics_gives_back_what_it_held_and_what_it_acked_stays_acked`.
//! - A stand-in answers as the live broker does: does not apply, the broker in the process is the live one. The server
//!   will run this suite again.
//!
//! Retry:
//! - A retry reaches its group alone, once, and says how often: `redelivery::each_way_to_fail_brings_the_message_again_with_the_next_attempt_number`,
//!   `redelivery::the_attempts_of_one_group_are_no_business_of_another`. Its headers byte for byte:
//!   `headers::headers_stay_through_redelivery_dead_letter_and_redrive`.
//! - Exactly so many attempts, then once among the dead, then nowhere:
//!   `retry::after_its_last_attempt_a_message_is_once_among_the_dead_and_nowhere_else` (seeds),
//!   `dead_letters::a_message_that_always_fails_is_dead_after_max_attempts_with_what_was_said_last`,
//!   `retry::a_dead_letter_that_dies_too_leads_back_to_the_message_it_carries`.
//! - A cap without a place for the dead is refused: does not apply, each group has such a place:
//!   `retry::a_cap_leads_to_dead_letters_though_nobody_named_them_and_they_wait_for_a_reader`,
//!   `dead_letters::messages_park_before_a_full_dead_letter_topic_and_move_on_as_it_is_read`.
//! - A place for the dead without a cap is refused: does not apply, each group has a cap, and one of nought is refused:
//!   `lifecycle::numbers_that_cannot_work_are_refused_all_at_once`. What is only given back does not count:
//!   `retry::what_is_given_back_is_never_given_up`.
//!
//! The shape of a message:
//! - A trace context: `traces::what_a_handler_publishes_continues_the_trace_of_its_message`. 24 headers, a retry count
//!   among them: `headers::headers_arrive_byte_for_byte_at_every_group_beside_messages_that_have_none`;
//!   what can't be one refuses the message: `headers::a_header_that_cannot_be_one_refuses_the_message_and_gives_it_back`.
//! - An empty value and one that is no text: `message_shape::a_payload_of_any_shape_arrives_as_it_was_published`,
//!   `message_shape::a_payload_is_one_object_for_every_group_attempt_and_dead_letter_and_is_dropped_once`,
//!   `message_shape::a_message_that_is_kept_outlives_its_settlement_and_its_broker`.
//! - Messages without a key all arrive: `delivery::every_group_sees_every_message`.
//! - Order for each of several keys: `key_order::each_key_is_in_order_through_errors_and_panics`.
//! - The options of a publish are kept to or refused: `backpressure::a_topic_that_rejects_says_so_at_once_and_gives_the_message_back`,
//!   `backpressure::a_wait_with_a_timeout_ends_on_time_and_leaves_nothing_behind` (seeds),
//!   `lifecycle::numbers_that_cannot_work_are_refused_all_at_once`.
//! - No description shows a secret: `message_shape::no_error_and_no_log_shows_a_payload` (one seed).
//!
//! What a broker may be able to do:
//! - Batches, and seeking in them: a later layer brings batches.
//! - Transactions, owned or not: no layer is planned to have them. A publish is one message, and a publish of many says
//!   how far it came: `backpressure::the_timeout_of_a_publish_of_many_holds_for_each_of_them` (seeds).
//! - Questions and answers: actors have them, topics don't.
//!   `request_reply::questions_answered_in_reverse_get_each_their_own_answer`,
//!   `request_reply::a_question_that_nobody_answers_fails_at_its_limit_and_the_late_answer_reaches_nobody`,
//!   `request_reply::a_question_that_is_dropped_gives_its_answer_to_nobody`,
//!   `request_reply::a_question_is_asked_and_answered_from_a_runtime_that_ends`,
//!   `request_reply::after_the_end_a_question_is_refused_and_one_under_way_is_told`.
//! - Seeking: a group chooses where it begins,
//!   `delivery::a_group_begins_where_it_says_whether_that_is_behind_or_ahead`, `delivery::a_time_is_a_position` (seeds).
//!   A group that moves once it runs needs history, which comes with the durable log.
//! - A position that is unknown is refused and moves nobody: does not apply, each number, id and time is a position,
//!   behind what is kept or ahead of it.
//! - A stand-in whose backlog and refusals match the server's: does not apply, as above.
//!
//! # What Broadway asks of a pipeline
//!
//! Acknowledgement and failure:
//! - What went well and what failed is told apart, with the reason, once:
//!   `dead_letters::each_outcome_does_what_it_says`. What fails never reaches the next stage and is settled:
//!   `pipeline::what_fails_in_one_stage_never_reaches_the_next_and_is_settled_all_the_same`.
//! - Whatever a handler throws fails its message with the reason, is logged, and costs neither neighbours nor process:
//!   `crashes::whatever_ends_a_handler_is_told_by_its_dead_letter_and_its_neighbours_are_acked`,
//!   `redelivery::a_sync_handler_that_panics_or_errs_costs_its_message_one_attempt_and_its_neighbours_none`,
//!   `logs::the_events_have_the_names_that_the_docs_promise` (one seed). For batches: a later layer.
//! - A batch handler that returns fewer than it got: a later layer brings batches.
//! - A broken acknowledger: does not apply, an ack is the broker's own word. What of the user's code runs at the end of
//!   a handling may break: `supervised::a_panic_in_the_drop_of_a_handlers_future_is_a_failed_delivery`.
//! - A linked task that dies fails the message of its handler alone: it is one of the ways in
//!   `crashes::whatever_ends_a_handler_is_told_by_its_dead_letter_and_its_neighbours_are_acked`.
//! - An early ack counts once: `settlement::a_task_that_panics_gives_back_what_it_held_and_what_it_acked_stays_acked`.
//!   A second one does not compile, and a handler's ack is its return.
//! - Options of an ack, refused where unknown: does not apply, an `Outcome` says all there is to say.
//! - A hook for what failed sees it before it is settled, may change it, and may crash itself:
//!   `crashes::a_clerk_who_crashes_over_a_dead_letter_gets_it_again_and_may_send_it_back_mended`.
//! - A worker that is killed is built again and others flow on. Broadway asserts that what the worker held is lost; here
//!   it comes back, marked, and nobody else notices:
//!   `crashes::a_crash_costs_its_message_one_attempt_and_no_other_consumer_notices`,
//!   `crashes::a_group_that_crashes_at_every_message_does_not_disturb_one_that_does_not`,
//!   `deadline::a_handler_past_its_deadline_is_cancelled_within_twice_the_time_and_its_message_tried_again` (seeds),
//!   `settlement::a_deadline_is_never_early_and_what_passed_it_comes_again`.
//! - A crash restarts what is downstream, never upstream; here neither:
//!   `pipeline::a_crash_in_one_stage_restarts_neither_the_one_before_nor_the_one_after_it`.
//! - A source that crashes is restarted alone and its readers go on:
//!   `pipeline::a_source_that_crashes_is_restarted_alone_and_its_readers_go_on_where_they_were`.
//! - Partitions, in order and to the same worker: `key_order::each_key_is_in_order_through_errors_and_panics`,
//!   `key_order::a_slow_key_and_a_failing_key_keep_no_other_waiting`. Which worker does not matter here.
//! - Batches by size, by time, by key, and flushed: a later layer brings batches.
//!
//! Shutdown:
//! - What is queued is handled and acked: `drain::a_shutdown_drains_the_backlog_and_refuses_everybody_else_at_once`.
//! - What a stage emits during it is handled, what comes after is refused:
//!   `drain::handlers_publish_on_until_nothing_is_left_to_do`, `lifecycle::a_shutdown_through_one_handle_is_the_end_of_every_other`.
//! - Incomplete batches are flushed: a later layer brings batches.
//! - A limit ends a handler that sleeps: `ending::after_the_end_nothing_of_the_broker_is_left`,
//!   `drain::at_the_timeout_the_rest_is_released_and_counted_and_never_acked` (seeds).
//! - A rate limit, which may change and be lifted, and drains too: `limits::the_limit_is_changed_while_the_group_runs` (seeds),
//!   `limits::a_limited_group_settles_all_and_no_faster_on_every_runtime`.
//!
//! What is told:
//! - Spans around a message and its failure: `logs::an_event_of_a_handler_lies_in_the_span_of_its_lease_and_of_its_delivery_if_asked_for`
//!   (one seed),
//!   `logs::the_events_have_the_names_that_the_docs_promise` (one seed). Metrics: `metrics::the_metrics_are_the_stats_and_in_the_end_the_report`.
//! - The topology can be read: `pipeline::the_shape_of_a_broker_is_read_from_its_handles_and_from_its_report`.
//!
//! # What a durable queue is asked
//!
//! A memory topic ends with its process, so all of this comes with the durable log:
//! - a last record that is torn is cut off, and one with a bad checksum is found,
//! - a whole record that is damaged, with good ones behind it, is an error that names the place: G21 does not skip it,
//! - a record that was flushed while the book of ids was not, and a book ahead of the data or behind it,
//! - a reader's file that is missing since it was unlinked before a sync,
//! - file numbers that wrap around,
//! - a restart with some messages unread and some acked, and right counters after it,
//! - a record that is too large is refused.
//!
//! One has its test today, since it is not about a disk: a full queue lets a publisher wait and tells one who tries,
//! `backpressure::exactly_the_capacity_fits_however_far_the_messages_have_come`.

mod crashes;
mod in_process;
mod kit;
mod lifecycle;
mod message_shape;
mod pipeline;
mod pubsub;
mod request_reply;
mod retry;
mod router;
mod settlement;
mod sinks;
mod streams;
mod table;
mod wakers;
