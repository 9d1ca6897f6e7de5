//! Changes of the voters and of kraft.version.

use super::script::check;

#[test]
fn voters_are_in_force_once_they_are_in_the_log_and_come_back_when_they_are_cut_off() {
    check(
        "
        follower voters=1,2,3 epoch=5 leader=2 log=0@4 end=10
        answer 2 ok leader=2 records=10-11@5:1,2,3,4
            append 11 and flush
            to 2: fetch epoch=5 at=11@5 hw=0
        answer 2 ok leader=2 records=11-12@5:1,2,4
            append 12 and flush
            to 2: fetch epoch=5 at=12@5 hw=0
        tick 2000
            to 2, 4: pre-vote epoch=5 end=12@5
        answer 4 granted
            persist epoch=6 leader=- voted=1
            to 2, 4: vote epoch=6 end=12@5
            news leader=-@6
        answer 2 granted
            persist epoch=6 leader=1 voted=-
            lead epoch=6 from=12
            write leader 1 of [1, 2, 4] by [1, 2]
            to 2, 4: begin epoch=6
            news leader=1@6
        answer 4 ok 7 leader=2
            persist epoch=7 leader=2 voted=-
            step down epoch=6
            to 2: fetch epoch=7 at=12@6 hw=0
            news leader=2@7
        answer 2 ok leader=2 diverge=11@5
            truncate 11
            to 2: fetch epoch=7 at=11@5 hw=0
        tick 2000
            to 2, 3, 4: pre-vote epoch=7 end=11@5
        ",
    );
}

#[test]
fn a_voter_is_added_after_it_was_probed_and_has_caught_up() {
    check(
        "
        lone-leader
        add 2 late
            reply 1: REQUEST_TIMED_OUT
        append 3 level=1 voters=1
        flush 3
            commit 3
        add 2 late
            to 2: api versions
        answer 2 ok levels=0-1
            reply 2: REQUEST_TIMED_OUT
        fetch 2 1 3@1 wait=0
            reply 3: ok leader=1@1 hw=3
        add 2 late
            to 2: api versions
        remove 1
            reply 5: REQUEST_TIMED_OUT
        answer 2 ok levels=0-1
            write voters [1, 2]
        add 3
            reply 6: REQUEST_TIMED_OUT
        append 4 voters=1,2
        add 3
            reply 7: REQUEST_TIMED_OUT
        flush 4
        fetch 2 1 4@1 wait=0
            commit 4
            reply 4: ok
            reply 8: ok leader=1@1 hw=4
        add 2
            reply 9: DUPLICATE_VOTER
        add 3
            to 3: api versions
        answer 3 ok levels=0-0
            reply 10: INVALID_REQUEST
        add 3
            to 3: api versions
        fail 3 NETWORK_EXCEPTION
            reply 11: REQUEST_TIMED_OUT
        tick 19
        add 3
            reply 12: REQUEST_TIMED_OUT
        tick 1
        add 3
            to 3: api versions
        tick 2000
            reply 13: REQUEST_TIMED_OUT
            to 2: begin epoch=1
        ",
    );
    check(
        "
        lone-leader
        append 3 level=1 voters=1
        flush 3
            commit 3
        fetch 2 1 3@1 wait=0
            reply 1: ok leader=1@1 hw=3
        add 2
            to 2: api versions
        answer 2 ok levels=0-1
            reply 2: ok
            write voters [1, 2]
        append 4 voters=1,2
        flush 4
        tick 2999
            to 2: begin epoch=1
        fetch 2 1 4@1 wait=0
            commit 4
            reply 3: ok leader=1@1 hw=4
        remove 2
            write voters [1]
        append 5 voters=1
        flush 5
            commit 5
            reply 4: ok
        ",
    );
}

#[test]
fn a_leader_that_is_removed_goes_when_that_is_committed() {
    check(
        "
        leader voters=1,2 epoch=5
        remove 1
            reply 1: REQUEST_TIMED_OUT
        append 3 level=1 voters=1,2
        flush 3
        fetch 2 5 3@5 wait=0
            commit 3
            reply 2: ok leader=1@5 hw=3
        remove 3
            reply 3: VOTER_NOT_FOUND
        remove 1
            write voters [2]
        append 4 voters=2
        flush 4
        fetch 2 5 4@5 wait=0
            commit 4
            reply 4: ok
            reply 5: ok leader=1@5 hw=4
            step down epoch=5
            to 2: end epoch=5 preferred=[2]
            news leader=-@5
        answer 2 ok leader=1
        tick 2000
            persist epoch=6 leader=- voted=-
            to boot: fetch epoch=6 at=4@5 hw=4
            news leader=-@6
        ",
    );
}

#[test]
fn what_waits_for_a_change_hears_of_the_end_of_the_leadership_or_of_its_time() {
    let ends = [
        "
        tick 1999
        tick 1
            reply 2: REQUEST_TIMED_OUT
        append 4 voters=1
        flush 4
            commit 4
        ",
        "
        begin 2 6
            persist epoch=6 leader=2 voted=-
            step down epoch=5
            reply 2: NOT_LEADER_OR_FOLLOWER
            reply 3: ok leader=2@6
            to 2: fetch epoch=6 at=3@5 hw=3
            news leader=2@6
        ",
    ];
    for end in ends {
        check(&format!(
            "
        leader voters=1,2 epoch=5
        append 3 level=1 voters=1,2
        flush 3
        fetch 2 5 3@5 wait=0
            commit 3
            reply 1: ok leader=1@5 hw=3
        remove 2
            write voters [1]
        {end}
        "
        ));
    }
}

#[test]
fn a_former_voter_stands_while_its_removal_may_be_taken_back() {
    check(
        "
        follower voters=1,2 epoch=5 leader=2 log=0@4 end=10
        answer 2 ok leader=2 records=10-11@5:2
            append 11 and flush
            to 2: fetch epoch=5 at=11@5 hw=0
        tick 2000
            to 2: pre-vote epoch=5 end=11@5
        answer 2 granted
            persist epoch=6 leader=- voted=1
            to 2: vote epoch=6 end=11@5
            news leader=-@6
        answer 2 granted
            persist epoch=6 leader=1 voted=-
            lead epoch=6 from=11
            write leader 1 of [2] by [2]
            to 2: begin epoch=6
            news leader=1@6
        append 12
        flush 12
        fetch 2 6 12@6 wait=0
            commit 12
            reply 1: ok leader=1@6 hw=12
            step down epoch=6
            to 2: end epoch=6 preferred=[2]
            news leader=-@6
        ",
    );
    check(
        "
        follower voters=1,2 epoch=5 leader=2 log=0@4 end=10
        answer 2 ok leader=2 records=10-11@5:2 hw=11
            append 11 and flush
            commit 11
            to 2: fetch epoch=5 at=11@5 hw=11
        tick 100000
            to boot: fetch epoch=5 at=11@5 hw=11
        ",
    );
}

#[test]
fn a_voter_tells_the_leader_when_it_has_moved() {
    check(
        "
        lone-leader
        append 3 level=1 voters=1
        flush 3
            commit 3
        fetch 2 1 3@1 wait=0
            reply 1: ok leader=1@1 hw=3
        update 2
            reply 2: VOTER_NOT_FOUND leader=1@1
        update 1
            write voters [1]
            reply 3: ok leader=1@1
        append 4 voters=1
        flush 4
            commit 4
        update 1 epoch=7
            reply 4: UNKNOWN_LEADER_EPOCH leader=1@1
        update 1 max=0
            reply 5: INVALID_REQUEST leader=1@1
        ",
    );
    check(
        "
        start voters=1,2,3 static epoch=5 leader=2 log=0@4 end=10
            persist epoch=5 leader=2 voted=- v0
            to 2: fetch epoch=5 at=10@4 hw=-1
            news leader=2@5
        answer 2 ok leader=2
            to 2: fetch epoch=5 at=10@4 hw=-1
        tick 1000
        answer 2 ok leader=2
            to 2: fetch epoch=5 at=10@4 hw=-1
        tick 1000
        answer 2 ok leader=2
            to 2: update 1
        answer 2 ok leader=2
            to 2: fetch epoch=5 at=10@4 hw=-1
        tick 1999
        answer 2 ok leader=2
            to 2: fetch epoch=5 at=10@4 hw=-1
        tick 1
        ",
    );
}

#[test]
fn a_static_quorum_gets_dynamic_once_all_voters_have_told_of_themselves() {
    check(
        "
        start voters=1,2,3 static epoch=5 voted=1
            persist epoch=5 leader=- voted=1 v0
            to 2, 3: vote epoch=5 end=0@0
            news leader=-@5
        answer 2 granted
            persist epoch=5 leader=1 voted=- v0
            lead epoch=5 from=0
            write leader 1 of [1, 2, 3] by [1, 2]
            to 2, 3: begin epoch=5
            news leader=1@5
        append 1
        flush 1
        update 2 epoch=5
            reply 1: REQUEST_TIMED_OUT leader=1@5
        fetch 2 5 1@5 wait=0
            commit 1
            reply 2: ok leader=1@5 hw=1
        add 4
            reply 3: UNSUPPORTED_VERSION
        remove 2
            reply 4: UNSUPPORTED_VERSION
        upgrade 1
            upgrade: INVALID_UPDATE_VERSION
        update 2 epoch=5
            reply 5: ok leader=1@5
        update 3 epoch=5
            reply 6: ok leader=1@5
        update 4 epoch=5
            reply 7: VOTER_NOT_FOUND leader=1@5
        upgrade 1 check
            upgrade: ok
        upgrade 2
            upgrade: INVALID_UPDATE_VERSION
        upgrade 1
            write level 1, voters [1, 2, 3]
            upgrade: ok
        upgrade 1
            upgrade: ok
        upgrade 0
            upgrade: INVALID_UPDATE_VERSION
        update 3 epoch=5
            reply 8: REQUEST_TIMED_OUT leader=1@5
        append 2 level=1 voters=1,2,3
        flush 2
        fetch 2 5 2@5 wait=0
            commit 2
            reply 9: ok leader=1@5 hw=2
        upgrade 0
            upgrade: INVALID_UPDATE_VERSION
        ask-vote 2 6 2@5
            persist epoch=6 leader=- voted=-
            step down epoch=5
            persist epoch=6 leader=- voted=2
            reply 10: granted leader=-@6
            to 3: fetch epoch=6 at=2@5 hw=2
            news leader=-@6
        ",
    );
}

#[test]
fn a_controller_joins_by_itself_if_it_may() {
    check(
        "
        start epoch=3 join
            persist epoch=3 leader=- voted=-
            to boot: fetch epoch=3 at=0@0 hw=0
            news leader=-@3
        answer boot ok leader=2 records=0-3@3:2,3 hw=3
            persist epoch=3 leader=2 voted=-
            append 3 and flush
            commit 3
            to 2: fetch epoch=3 at=3@3 hw=3
            news leader=2@3
        tick 1999
        answer 2 ok leader=2
            to 2: fetch epoch=3 at=3@3 hw=3
        tick 1
        answer 2 ok leader=2
            to 2: add 1
        answer 2 DUPLICATE_VOTER
            to 2: fetch epoch=3 at=3@3 hw=3
        answer 2 ok leader=2 records=3-4@3:1,2,3
            append 4 and flush
            to 2: fetch epoch=3 at=4@3 hw=3
        tick 2000
            to 2, 3: pre-vote epoch=3 end=4@3
        ",
    );
}

#[test]
fn voters_right_at_the_end_of_a_snapshot_are_cut_off_and_those_of_before_are_back() {
    check(
        "
        follower voters=1,2,3 epoch=5 leader=2 log=0@4 end=10
        answer 2 ok leader=2 records=10-11@5:1,2,3,4 hw=10
            append 11 and flush
            commit 10
            to 2: fetch epoch=5 at=11@5 hw=10
        snapshot 10@4
        answer 2 ok leader=2 diverge=10@4
            truncate 10
            to 2: fetch epoch=5 at=10@4 hw=10
        tick 2000
            to 2, 3: pre-vote epoch=5 end=10@4
        ",
    );
}
