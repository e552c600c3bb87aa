//! What every engine of the store is held to. Each case is written once, against the store's seam, and knows no engine; the last lines
//! run all of them on each. A new engine is one line there, and a function in `fixtures.rs` that opens it.

#[path = "../common/server.rs"]
mod server;

mod audit;
mod credentials;
mod filters;
mod fixtures;
mod gateways;
mod idempotency;
mod key_plans;
mod keys;
mod log;
mod model;
mod operators;
mod pairs;
mod receipts;
mod replicas;
mod sessions;
mod shadow;
mod transactions;
mod usage;
mod users;
mod workspaces;

/// A test for each case, on databases that `$open` opens.
macro_rules! cases {
    ($open:path; $($area:ident: $($case:ident)+;)+) => {
        $(mod $area {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                crate::$area::$case($open().await).await;
            })+
        })+
    };
}

macro_rules! engine {
    ($name:ident) => {
        mod $name {
            cases! { crate::fixtures::$name;
                transactions:
                    ok_commits_and_every_reader_sees_it
                    an_error_leaves_nothing_and_no_gap
                    a_panic_leaves_nothing_and_the_next_writer_goes_on
                    whoever_asked_may_go_and_the_write_is_done_all_the_same
                    one_writes_at_a_time
                    what_is_read_to_be_written_is_still_so_when_it_is_written
                    nobody_sees_what_is_not_committed
                    what_is_published_can_be_read
                    the_head_goes_forward_without_a_gap_however_many_write
                    a_closed_store_comes_back_as_it_was
                    a_database_can_be_written_while_it_is_open;
                log:
                    revisions_are_in_order_of_commits_and_each_key_is_there_once
                    a_commit_has_one_tag_and_another_tag_is_another_history
                    a_page_that_is_cut_says_how_far_it_goes
                    only_what_gateways_see_takes_a_revision
                    the_whole_table_comes_in_order_of_hashes
                    compaction_keeps_the_newest_removals_and_lifts_the_floor
                    tags_are_pruned_from_the_oldest;
                keys:
                    a_key_is_found_as_it_was_stored
                    a_key_that_is_not_there_is_none
                    a_hash_is_stored_once_and_a_second_one_leaves_nothing
                    many_keys_are_stored_in_their_order
                    a_key_follows_its_workspace_until_it_has_limits_of_its_own
                    a_revoked_key_is_gone_from_the_table_and_stays_in_the_list
                    an_end_may_be_as_far_as_the_calendar_goes
                    the_clock_takes_keys_off_the_table_and_puts_them_back
                    a_successor_is_noted_on_both_sides
                    keys_are_counted_by_state
                    known_hashes_are_found_with_their_keys
                    a_key_is_in_shadow_until_it_is_taken_out;
                key_plans:
                    a_change_of_a_plan_is_one_revision_for_all_who_have_it
                    a_plan_that_somebody_has_stays;
                filters:
                    lists_are_newest_first_and_go_on_behind_a_key
                    a_filter_takes_what_it_says_and_no_more
                    a_search_takes_text_as_it_is
                    a_search_knows_no_case_and_no_spelling
                    nobody_counts_beyond_what_anybody_pages_through;
                workspaces:
                    a_workspace_is_found_by_id_and_by_slug
                    a_slug_is_given_once
                    lists_are_oldest_first_and_go_on_behind_a_workspace
                    bounds_and_defaults_are_what_was_set_last
                    followers_get_a_revision_each_and_the_others_none
                    active_keys_are_those_that_gateways_accept
                    each_set_of_own_limits_is_told_once
                    names_are_told_all_or_those_beyond_ascii;
                users:
                    a_user_is_found_by_id_and_by_address
                    an_address_is_given_once
                    a_role_is_given_changed_and_taken
                    a_subject_is_one_users_alone
                    what_is_set_is_read
                    a_second_factor_is_one_users_and_its_codes_are_used_up
                    lists_are_of_a_workspace_or_of_all
                    addresses_are_told_all_or_those_beyond_ascii;
                audit:
                    entries_come_back_newest_first_as_they_were_written
                    a_filter_takes_one_workspace_or_one_action
                    the_log_only_grows;
                sessions:
                    a_session_is_there_until_it_is_over
                    an_id_is_given_once_and_an_ended_session_stays_ended
                    the_sessions_of_a_user_are_theirs_and_not_over
                    sessions_are_forgotten_when_they_are_long_over;
                operators:
                    a_token_is_found_as_it_was_stored
                    a_token_is_good_until_it_ends
                    a_use_never_goes_back
                    a_signing_key_is_made_once;
                idempotency:
                    a_request_is_remembered_for_a_day
                    of_two_at_once_one_is_the_first
                    a_write_that_fails_remembers_nothing;
                credentials:
                    a_credential_is_found_by_its_name_and_never_with_its_token
                    a_name_is_given_once_for_good
                    an_ended_credential_is_listed_and_good_no_more;
                gateways:
                    gateways_come_back_as_they_were_saved_last_seen_first
                    a_gateway_is_saved_again_in_its_place
                    a_forgotten_gateway_is_gone;
                usage:
                    counts_add_up_in_every_step_of_key_and_workspace
                    many_rows_come_in_one_go
                    a_number_of_a_process_is_taken_once_and_only_forward
                    numbers_of_processes_that_are_long_gone_or_too_many_are_forgotten
                    a_last_use_never_goes_back
                    what_is_old_is_forgotten_in_parts
                    keys_are_found_by_their_use
                    days_of_several_keys_come_in_one_answer
                    unused_keys_follow_the_log
                    a_few_gateways_are_kept_for_each_key;
                shadow:
                    what_has_passed_is_summed_by_day_and_the_latest_comes_first
                    reasons_are_summed_by_gateway
                    names_without_end_are_one_and_hide_no_other_credential
                    old_days_are_forgotten_in_parts;
                receipts:
                    a_key_has_one_receipt_the_first
                    the_newest_of_a_workspace_are_found;
                replicas:
                    what_a_replica_says_the_others_find
                    only_the_next_count_of_a_replica_is_written
                    what_rests_on_another_history_is_not_written
                    a_gateway_is_kept_by_who_took_it_last
                    an_id_is_one_session_until_it_is_forgotten
                    who_is_forgotten_and_back_in_one_write_is_there
                    a_look_finds_what_is_new_and_what_it_asks_for
                    a_look_from_the_beginning_finds_a_bounded_number_and_those_with_a_table
                    who_was_forgotten_is_no_news_from_the_beginning
                    who_was_pushed_out_has_no_row_unless_somebody_else_keeps_it
                    who_ends_is_there_no_more_and_its_rows_are
                    attempts_at_several_replicas_add_up
                    attempts_are_noted_in_one_order_whatever_is_forgiven;
            }
        }
    };
}

engine!(sqlite);
engine!(postgres);
