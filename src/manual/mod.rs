//! The manual: read it with `cargo doc --open`.

#[doc = include_str!("glossary.md")]
pub mod glossary {}

#[doc = include_str!("delivery.md")]
pub mod delivery {}

#[doc = include_str!("figures.md")]
pub mod figures {}

#[doc = include_str!("formats.md")]
pub mod formats {}

#[doc = include_str!("hec.md")]
pub mod hec {}
#[doc = include_str!("operations.md")]
pub mod operations {}
#[doc = include_str!("replay.md")]
pub mod replay {}
#[doc = include_str!("subscriptions.md")]
pub mod subscriptions {}
#[doc = include_str!("syslog.md")]
pub mod syslog {}

#[doc = include_str!("seeded_bugs.md")]
pub mod seeded_bugs {}

/// Why things are as they are. Records are superseded, never edited.
pub mod decisions {
    #[doc = include_str!("decisions/0001-one-voter-is-the-default.md")]
    pub mod one_voter_is_the_default {}
    #[doc = include_str!("decisions/0002-where-the-log-lives.md")]
    pub mod where_the_log_lives {}
    #[doc = include_str!("decisions/0003-which-amqp-crate.md")]
    pub mod which_amqp_crate {}
    #[doc = include_str!("decisions/0004-a-drain-barrier-for-plain-tcp.md")]
    pub mod a_drain_barrier_for_plain_tcp {}
    #[doc = include_str!("decisions/0005-secrets-are-references-for-now.md")]
    pub mod secrets_are_references_for_now {}
    #[doc = include_str!("decisions/0006-bad-records-never-stop-a-feed.md")]
    pub mod bad_records_never_stop_a_feed {}
    #[doc = include_str!("decisions/0007-a-scanner-of-our-own-for-records.md")]
    pub mod a_scanner_of_our_own_for_records {}
    #[doc = include_str!("decisions/0008-rest-collections-are-read-in-windows.md")]
    pub mod rest_collections_are_read_in_windows {}
    #[doc = include_str!("decisions/0009-an-incidents-version-counts-its-alerts.md")]
    pub mod an_incidents_version_counts_its_alerts {}
    #[doc = include_str!("decisions/0010-one-level-for-log-and-state.md")]
    pub mod one_level_for_log_and_state {}
    #[doc = include_str!("decisions/0011-what-openraft-is-not-left-to-do.md")]
    pub mod what_openraft_is_not_left_to_do {}
    #[doc = include_str!("decisions/0012-a-leader-syncs-beside-its-followers.md")]
    pub mod a_leader_syncs_beside_its_followers {}
    #[doc = include_str!("decisions/0013-secrets-are-sealed-where-they-are-applied.md")]
    pub mod secrets_are_sealed_where_they_are_applied {}
    #[doc = include_str!("decisions/0014-joining-by-a-token-that-pins-the-authority.md")]
    pub mod joining_by_a_token_that_pins_the_authority {}
    #[doc = include_str!("decisions/0015-leases-and-leaderships.md")]
    pub mod leases_and_leaderships {}
    #[doc = include_str!("decisions/0016-beginning-anew-with-one-node.md")]
    pub mod beginning_anew_with_one_node {}
    #[doc = include_str!("decisions/0017-certificates-of-ones-own-and-copies-of-a-node.md")]
    pub mod certificates_of_ones_own_and_copies_of_a_node {}
    #[doc = include_str!("decisions/0018-a-code-for-the-first-administrator.md")]
    pub mod a_code_for_the_first_administrator {}
    #[doc = include_str!("decisions/0019-raft-on-one-thread.md")]
    pub mod raft_on_one_thread {}
    #[doc = include_str!("decisions/0020-an-event-says-what-was-done.md")]
    pub mod an_event_says_what_was_done {}
    #[doc = include_str!("decisions/0021-untouched-records-are-passed-on.md")]
    pub mod untouched_records_are_passed_on {}
    #[doc = include_str!("decisions/0022-pure-modules-under-the-fuzzer.md")]
    pub mod pure_modules_under_the_fuzzer {}
    #[doc = include_str!("decisions/0023-a-subscription-is-a-sink-that-is-fetched.md")]
    pub mod a_subscription_is_a_sink_that_is_fetched {}
    #[doc = include_str!("decisions/0024-no-sink-waits-for-another.md")]
    pub mod no_sink_waits_for_another {}
    #[doc = include_str!("decisions/0025-a-sink-that-falls-behind-catches-up-beside-its-feed.md")]
    pub mod a_sink_that_falls_behind_catches_up_beside_its_feed {}
    #[doc = include_str!("decisions/0026-a-sink-is-passed-over-only-where-it-says-so.md")]
    pub mod a_sink_is_passed_over_only_where_it_says_so {}
    #[doc = include_str!("decisions/0027-where-a-subscription-begins-and-what-it-carries.md")]
    pub mod where_a_subscription_begins_and_what_it_carries {}
    #[doc = include_str!("decisions/0028-what-may-be-lost-is-counted.md")]
    pub mod what_may_be_lost_is_counted {}
    #[doc = include_str!("decisions/0029-every-scenario-has-a-sink-of-each-kind.md")]
    pub mod every_scenario_has_a_sink_of_each_kind {}
    #[doc = include_str!("decisions/0030-what-sinks-are-reached-with-is-sealed.md")]
    pub mod what_sinks_are_reached_with_is_sealed {}
    #[doc = include_str!("decisions/0031-a-quarantine-that-is-sealed-and-seen-from-everywhere.md")]
    pub mod a_quarantine_that_is_sealed_and_seen_from_everywhere {}
    #[doc = include_str!("decisions/0032-what-is-done-by-hand-is-in-the-audit.md")]
    pub mod what_is_done_by_hand_is_in_the_audit {}
    #[doc = include_str!("decisions/0033-a-silent-member-holds-up-nobody.md")]
    pub mod a_silent_member_holds_up_nobody {}
    #[doc = include_str!("decisions/0034-a-channel-in-doubt.md")]
    pub mod a_channel_in_doubt {}
    #[doc = include_str!("decisions/0035-what-ends-a-sinks-failure.md")]
    pub mod what_ends_a_sinks_failure {}
    #[doc = include_str!("decisions/0036-who-is-not-served-loses-nothing.md")]
    pub mod who_is_not_served_loses_nothing {}
    #[doc = include_str!("decisions/0037-sinks-that-catch-up-take-turns.md")]
    pub mod sinks_that_catch_up_take_turns {}
}
