//! Starts, votes and elections.

use super::script::check;

#[test]
fn a_lone_voter_elects_itself_at_once_and_commits_only_what_is_flushed() {
    check(
        "
        start voters=1 epoch=3 leader=1 log=0@1,5@3 end=10
            persist epoch=3 leader=1 voted=-
            persist epoch=4 leader=- voted=1
            persist epoch=4 leader=1 voted=-
            lead epoch=4 from=10
            write leader 1 of [1] by [1], level 1, voters [1]
            news leader=1@4
        append 11
        append 15
        flush 11
            commit 11
        flush 15
            commit 15
        flush 15
        tick 100000
        ",
    );
    check(
        "
        start voters=1
            persist epoch=0 leader=- voted=-
            persist epoch=1 leader=- voted=1
            persist epoch=1 leader=1 voted=-
            lead epoch=1 from=0
            write leader 1 of [1] by [1], level 1, voters [1]
            news leader=1@1
        append 3 voters=1 level=1
        flush 3
            commit 3
        shutdown 1000
            step down epoch=1
            done
            news leader=-@1
        ",
    );
}

#[test]
fn an_epoch_in_the_log_beyond_the_file_is_never_used_again() {
    check(
        "
        start voters=1 epoch=2 voted=1 log=0@7 end=10
            persist epoch=7 leader=- voted=-
            persist epoch=8 leader=- voted=1
            persist epoch=8 leader=1 voted=-
            lead epoch=8 from=10
            write leader 1 of [1] by [1], level 1, voters [1]
            news leader=1@8
        ",
    );
    check(
        "
        start voters=1,2,3 epoch=2 leader=1 log=0@7 end=10
            persist epoch=7 leader=- voted=-
            to boot: fetch epoch=7 at=10@7 hw=0
            news leader=-@7
        ",
    );
}

#[test]
fn a_former_leader_neither_votes_nor_leads_again_in_its_epoch() {
    check(
        "
        start voters=1,2,3 epoch=5 leader=1 log=0@4 end=10
            persist epoch=5 leader=1 voted=-
            to 2, 3: end epoch=5 preferred=[]
            news leader=-@5
        ask-vote 2 5 10@4
            reply 1: refused leader=1@5
        ask-vote 2 5 10@4 pre
            reply 2: granted leader=1@5
        fetch 2 5 10@4
            reply 3: NOT_LEADER_OR_FOLLOWER leader=1@5 hw=-1
        answer 2 ok leader=1
        tick 2000
            to 3: end epoch=5 preferred=[]
            persist epoch=6 leader=- voted=-
            to 2, 3: pre-vote epoch=6 end=10@4
            news leader=-@6
        ",
    );
}

#[test]
fn a_former_candidate_stands_in_its_epoch_again_and_a_follower_follows() {
    check(
        "
        start voters=1,2,3 epoch=5 voted=1 log=0@4 end=10
            persist epoch=5 leader=- voted=1
            to 2, 3: vote epoch=5 end=10@4
            news leader=-@5
        ",
    );
    check(
        "
        start voters=1,2,3 epoch=5 leader=2 voted=1 log=0@4 end=10
            persist epoch=5 leader=2 voted=1
            to 2: fetch epoch=5 at=10@4 hw=0
            news leader=2@5
        ",
    );
    check(
        "
        start voters=1,2,3 epoch=5 leader=9 log=0@4 end=10
            persist epoch=5 leader=9 voted=-
            to boot: fetch epoch=5 at=10@4 hw=0
            news leader=9?@5
        answer boot ok leader=9 records=10-12@5 hw=11
            append 12 and flush
            commit 11
            to 9: fetch epoch=5 at=12@5 hw=11
            news leader=9@5
        ",
    );
    check(
        "
        start voters=1,2,3 epoch=5 voted=3 log=0@4 end=10
            persist epoch=5 leader=- voted=3
            to boot: fetch epoch=5 at=10@4 hw=0
            news leader=-@5
        ask-vote 2 5 10@4
            reply 1: refused leader=-@5
        ask-vote 3 5 10@4
            reply 2: granted leader=-@5
        ",
    );
}

#[test]
fn a_majority_that_would_vote_makes_a_candidate_and_one_that_votes_a_leader() {
    check(
        "
        start voters=1,2,3 epoch=5 log=0@4 end=10
            persist epoch=5 leader=- voted=-
            to boot: fetch epoch=5 at=10@4 hw=0
            news leader=-@5
        tick 2000
            to 2, 3: pre-vote epoch=5 end=10@4
        answer 2 granted
            persist epoch=6 leader=- voted=1
            to 2, 3: vote epoch=6 end=10@4
            news leader=-@6
        answer 3 granted
            persist epoch=6 leader=1 voted=-
            lead epoch=6 from=10
            write leader 1 of [1, 2, 3] by [1, 3], level 1, voters [1, 2, 3]
            to 2, 3: begin epoch=6
            news leader=1@6
        append 11
        fetch 2 6 10@4
            reply 1: ok leader=1@6 hw=-1 records from 10
        fetch 2 6 11@6
        flush 11
            commit 11
            reply 2: ok leader=1@6 hw=11
        ",
    );
    check(
        "
        start voters=1,2,3,4,5 epoch=5 log=0@4 end=10
            persist epoch=5 leader=- voted=-
            to boot: fetch epoch=5 at=10@4 hw=0
            news leader=-@5
        tick 2000
            to 2, 3, 4, 5: pre-vote epoch=5 end=10@4
        answer 2 granted
        answer 3 refused
        answer 4 refused
        answer 5 refused
            to boot: fetch epoch=5 at=10@4 hw=0
        ",
    );
}

#[test]
fn a_candidate_that_loses_asks_again_before_it_stands_again() {
    check(
        "
        candidate voters=1,2,3 epoch=5 log=0@4 end=10
        answer 2 refused
        answer 3 refused
        tick 1000
            to 2, 3: pre-vote epoch=5 end=10@4
        ",
    );
}

#[test]
fn a_voter_without_pre_votes_makes_a_candidate_at_once() {
    check(
        "
        unattached voters=1,2,3 epoch=5 log=0@4 end=10
        tick 2000
            to 2, 3: pre-vote epoch=5 end=10@4
        fail 2 UNSUPPORTED_VERSION
            persist epoch=6 leader=- voted=1
            to 2, 3: vote epoch=6 end=10@4
            news leader=-@6
        fail 3 UNSUPPORTED_VERSION
        tick 19
        tick 1
            to 3: vote epoch=6 end=10@4
        ",
    );
}

#[test]
fn a_follower_that_hears_nothing_asks_for_votes_and_goes_back_when_it_loses() {
    check(
        "
        follower voters=1,2,3 epoch=5 leader=2 log=0@4 end=10
        answer 2 ok leader=2 hw=10
            commit 10
            to 2: fetch epoch=5 at=10@4 hw=10
        tick 999
        tick 500
            to 2, 3: pre-vote epoch=5 end=10@4
        answer 2 refused leader=2
        answer 3 refused leader=2
            to 2: fetch epoch=5 at=10@4 hw=10
        ",
    );
}

#[test]
fn a_follower_that_is_behind_waits_longer_for_the_leader() {
    check(
        "
        follower voters=1,2,3 epoch=5 leader=2 log=0@4 end=10
        answer 2 ok leader=2 records=10-12@5 hw=20
            append 12 and flush
            commit 12
            to 2: fetch epoch=5 at=12@5 hw=12
        tick 1999
        tick 1
            to 2, 3: pre-vote epoch=5 end=12@5
        ",
    );
}

#[test]
fn who_has_refused_is_asked_again_when_it_looks_for_a_leader_itself() {
    check(
        "
        follower voters=1,2,3 epoch=5 leader=2 log=0@4 end=10
        answer 2 ok leader=2 hw=10
            commit 10
            to 2: fetch epoch=5 at=10@4 hw=10
        tick 1500
            to 2, 3: pre-vote epoch=5 end=10@4
        answer 3 refused leader=2
        ask-vote 3 5 9@4 pre
            reply 1: refused leader=2@5
            to 3: pre-vote epoch=5 end=10@4
        answer 3 granted leader=2
            persist epoch=6 leader=- voted=1
            to 2, 3: vote epoch=6 end=10@4
            news leader=-@6
        ",
    );
}

#[test]
fn one_vote_per_epoch_and_only_for_a_log_that_holds_all_that_can_be_committed() {
    check(
        "
        unattached voters=1,2,3 epoch=5 log=0@4 end=10
        ask-vote 2 5 9@4
            reply 1: refused leader=-@5
        ask-vote 2 5 20@3
            reply 2: refused leader=-@5
        ask-vote 2 5 10@4 key=7
            reply 3: INVALID_VOTER_KEY leader=-@5
        ask-vote 2 5 10@4 key=1
            persist epoch=5 leader=- voted=2
            reply 4: granted leader=-@5
        ask-vote 3 5 99@4
            reply 5: refused leader=-@5
        ask-vote 2 5 10@4
            reply 6: granted leader=-@5
        ask-vote 2 5 10@5
            reply 7: INVALID_REQUEST leader=-@5
        ask-vote 2 5 -1@4
            reply 8: INVALID_REQUEST leader=-@5
        ask-vote -3 6 10@4
            reply 9: INVALID_REQUEST leader=-@5
        ask-vote 3 4 10@3
            reply 10: FENCED_LEADER_EPOCH leader=-@5
        ask-vote 3 6 10@4
            persist epoch=6 leader=- voted=-
            persist epoch=6 leader=- voted=3
            reply 11: granted leader=-@6
            to boot: fetch epoch=6 at=10@4 hw=0
            news leader=-@6
        ",
    );
}

#[test]
fn a_pre_vote_costs_nothing_and_changes_nothing() {
    check(
        "
        unattached voters=1,2,3 epoch=5 voted=3 log=0@4 end=10
        ask-vote 2 5 10@4 pre
            reply 1: granted leader=-@5
        ask-vote 2 5 9@4 pre
            reply 2: refused leader=-@5
        ask-vote 2 5 10@5 pre
            reply 3: granted leader=-@5
        ask-vote 2 5 10@6 pre
            reply 4: INVALID_REQUEST leader=-@5
        ask-vote 2 4 10@4 pre
            reply 5: FENCED_LEADER_EPOCH leader=-@5
        ask-vote 2 7 10@4 pre
            persist epoch=7 leader=- voted=-
            reply 6: granted leader=-@7
            to boot: fetch epoch=7 at=10@4 hw=0
            news leader=-@7
        ",
    );
}

#[test]
fn a_follower_refuses_as_long_as_it_hears_of_its_leader() {
    check(
        "
        follower voters=1,2,3 epoch=5 leader=2 log=0@4 end=10
        ask-vote 3 5 10@4 pre
            reply 1: granted leader=2@5
        ask-vote 3 5 10@4
            reply 2: refused leader=2@5
        answer 2 ok leader=2
            to 2: fetch epoch=5 at=10@4 hw=0
        ask-vote 3 5 10@4 pre
            reply 3: refused leader=2@5
        ask-vote 3 6 10@4
            persist epoch=6 leader=- voted=-
            persist epoch=6 leader=- voted=3
            reply 4: granted leader=-@6
            to boot: fetch epoch=6 at=10@4 hw=0
            news leader=-@6
        ",
    );
    check(
        "
        candidate voters=1,2,3 epoch=5 log=0@4 end=10
        ask-vote 3 5 10@4
            reply 1: refused leader=-@5
        ask-vote 3 5 10@4 pre
            reply 2: granted leader=-@5
        answer 2 granted
            persist epoch=5 leader=1 voted=-
            lead epoch=5 from=10
            write leader 1 of [1, 2, 3] by [1, 2], level 1, voters [1, 2, 3]
            to 2, 3: begin epoch=5
            news leader=1@5
        ask-vote 3 5 10@4 pre
            reply 3: refused leader=1@5
        ask-vote 3 5 10@4
            reply 4: refused leader=1@5
        ",
    );
}

#[test]
fn a_leader_is_followed_from_the_epoch_on_that_it_begins() {
    check(
        "
        unattached voters=1,2,3 epoch=5 log=0@4 end=10
        begin 2 4
            reply 1: FENCED_LEADER_EPOCH leader=-@5
        begin -1 5
            reply 2: INVALID_REQUEST leader=-@5
        begin 2 5 key=7
            persist epoch=5 leader=2 voted=-
            reply 3: INVALID_VOTER_KEY leader=2@5
            to 2: fetch epoch=5 at=10@4 hw=0
            news leader=2@5
        begin 2 5 key=1
            reply 4: ok leader=2@5
        begin 3 5
            fault
            reply 5: UNKNOWN_SERVER_ERROR leader=2@5
        begin 3 6
            persist epoch=6 leader=3 voted=-
            reply 6: ok leader=3@6
            to 3: fetch epoch=6 at=10@4 hw=0
            news leader=3@6
        begin 1 6
            fault
            reply 7: UNKNOWN_SERVER_ERROR leader=3@6
        ",
    );
}

#[test]
fn the_preferred_successor_stands_at_once_and_the_others_later() {
    let cases = [
        ("1,3,4", None),
        ("3,1,4", Some(250)),
        ("3,4,1", Some(500)),
        ("3,4", Some(1_000)),
        ("", None),
    ];
    for (preferred, wait_ms) in cases {
        let wait = wait_ms.map(|ms| format!("tick {}\n        tick 1", ms - 1));
        let wait = wait.unwrap_or_default();
        check(&format!(
            "
        follower voters=1,2,3,4 epoch=5 leader=2 log=0@4 end=10
        end 2 4 1
            reply 1: FENCED_LEADER_EPOCH leader=2@5
        end 2 5 {preferred}
            reply 2: ok leader=2@5
        {wait}
            to 2, 3, 4: pre-vote epoch=5 end=10@4
        "
        ));
    }
}
