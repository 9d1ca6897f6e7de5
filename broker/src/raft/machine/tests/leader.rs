//! What a leader does: commits, answers fetches, resigns.

use super::script::check;

#[test]
fn a_leader_tells_its_voters_until_they_fetch() {
    check(
        "
        leader voters=1,2,3 epoch=5 log=0@4 end=10
        answer 3 ok
        fetch 2 5 10@4 wait=0
            reply 1: ok leader=1@5 hw=-1
        tick 1000
            to 3: begin epoch=5
        answer 2 ok leader=1
        fetch 3 5 10@4 wait=0
            reply 2: ok leader=1@5 hw=-1
        tick 999
        tick 1
            to 2: begin epoch=5
        fetch 2 5 10@4 wait=0
            reply 3: ok leader=1@5 hw=-1
        tick 1000
            to 3: begin epoch=5
        fetch 3 5 10@4 wait=0
            reply 4: ok leader=1@5 hw=-1
        ",
    );
}

#[test]
fn a_leader_that_no_majority_fetches_from_resigns() {
    check(
        "
        leader voters=1,2,3 epoch=5 log=0@4 end=10
        fetch 2 5 10@4 wait=0
            reply 1: ok leader=1@5 hw=-1
        tick 2999
            to 2, 3: begin epoch=5
        fetch 9 5 10@4 wait=0
            reply 2: ok leader=1@5 hw=-1
        tick 1
            step down epoch=5
            to 2, 3: end epoch=5 preferred=[2, 3]
            news leader=-@5
        answer 2 ok leader=1
        fail 3 NETWORK_EXCEPTION
        tick 20
            to 3: end epoch=5 preferred=[2, 3]
        tick 2000
            to 3: end epoch=5 preferred=[2, 3]
            persist epoch=6 leader=- voted=-
            to 2, 3: pre-vote epoch=6 end=10@5
            news leader=-@6
        ",
    );
}

#[test]
fn a_leader_that_sees_a_greater_epoch_steps_down() {
    check(
        "
        leader voters=1,2,3 epoch=5 log=0@4 end=10
        append 11
        fetch 3 5 11@5 wait=500
        ask-vote 3 7 11@5 key=1
            persist epoch=7 leader=- voted=-
            step down epoch=5
            reply 1: NOT_LEADER_OR_FOLLOWER leader=-@7 hw=-1
            persist epoch=7 leader=- voted=3
            reply 2: granted leader=-@7
            flush
            to boot: fetch epoch=7 at=11@5 hw=0
            news leader=-@7
        ",
    );
    check(
        "
        leader voters=1,2,3 epoch=5 log=0@4 end=10
        answer 3 FENCED_LEADER_EPOCH 8 leader=2
            persist epoch=8 leader=2 voted=-
            step down epoch=5
            to 2: fetch epoch=8 at=10@5 hw=0
            news leader=2@8
        ",
    );
}

#[test]
fn only_a_record_of_the_leaders_own_epoch_commits_and_only_once_a_majority_has_flushed_it() {
    check(
        "
        leader voters=1,2,3 epoch=5 log=0@4 end=10
        append 12
        fetch 2 5 10@4
            reply 1: ok leader=1@5 hw=-1 records from 10
        fetch 3 5 10@4
            reply 2: ok leader=1@5 hw=-1 records from 10
        fetch 2 5 12@5
        flush 11
            commit 11
            reply 3: ok leader=1@5 hw=11
        flush 12
            commit 12
        fetch 3 5 12@5 hw=12 wait=0
            reply 4: ok leader=1@5 hw=12
        fetch 2 5 11@5 wait=0
            reply 5: ok leader=1@5 hw=12 records from 11
        ",
    );
    check(
        "
        leader voters=1,2,3,4 epoch=5
        append 5
        flush 5
        fetch 2 5 5@5
        fetch 3 5 4@5
            commit 4
            reply 1: ok leader=1@5 hw=4
            reply 2: ok leader=1@5 hw=4 records from 4
        fetch 4 5 5@5
            commit 5
            reply 3: ok leader=1@5 hw=5
        ",
    );
}

#[test]
fn a_fetch_that_is_not_the_leaders_business_gets_an_error() {
    check(
        "
        follower voters=1,2,3 epoch=5 leader=2 log=0@4 end=10
        fetch 3 5 10@4
            reply 1: NOT_LEADER_OR_FOLLOWER leader=2@5 hw=-1
        fetch 3 4 10@4
            reply 2: FENCED_LEADER_EPOCH leader=2@5 hw=-1
        fetch 3 6 10@4
            reply 3: UNKNOWN_LEADER_EPOCH leader=2@5 hw=-1
        fetch-snapshot 3 5 10@4 0
            reply 4: NOT_LEADER_OR_FOLLOWER 0 bytes from 0
        ",
    );
    check(
        "
        candidate voters=1,2,3 epoch=5 log=0@4 end=10
        fetch 3 5 10@4
            reply 1: NOT_LEADER_OR_FOLLOWER leader=-@5 hw=-1
        answer 2 granted
            persist epoch=5 leader=1 voted=-
            lead epoch=5 from=10
            write leader 1 of [1, 2, 3] by [1, 2], level 1, voters [1, 2, 3]
            to 2, 3: begin epoch=5
            news leader=1@5
        fetch 3 4 10@4
            reply 2: FENCED_LEADER_EPOCH leader=1@5 hw=-1
        fetch 3 5 10@6
            reply 3: INVALID_REQUEST leader=1@5 hw=-1
        fetch 3 5 -1@4
            reply 4: INVALID_REQUEST leader=1@5 hw=-1
        fetch 3 5 10@4 wait=-1
            reply 5: INVALID_REQUEST leader=1@5 hw=-1
        fetch 1 5 10@4
            reply 6: UNKNOWN_SERVER_ERROR leader=1@5 hw=-1
        ",
    );
}

#[test]
fn a_fetch_waits_for_records_for_the_high_watermark_or_for_its_time() {
    check(
        "
        leader voters=1,2,3 epoch=5 log=0@4 end=10
        append 11
        fetch 2 5 11@5
        fetch 9 5 11@5
        tick 499
        tick 1
            reply 1: ok leader=1@5 hw=-1
            reply 2: ok leader=1@5 hw=-1
        fetch 2 5 11@5
        fetch 9 5 11@5
        flush 11
            commit 11
            reply 3: ok leader=1@5 hw=11
            reply 4: ok leader=1@5 hw=11
        fetch 2 5 11@5 hw=11
        append 12
            reply 5: ok leader=1@5 hw=11 records from 11
        fetch 9 5 12@5 hw=10
            reply 6: ok leader=1@5 hw=11
        fetch 9 5 12@5 hw=11 wait=0
            reply 7: ok leader=1@5 hw=11
        ",
    );
}

#[test]
fn a_log_that_diverges_is_told_where() {
    check(
        "
        leader voters=1,2,3 epoch=9 log=0@1,5@4,8@6 end=10
        append 12
        fetch 2 9 4@1 wait=0
            reply 1: ok leader=1@9 hw=-1 records from 4
        fetch 2 9 6@1 wait=0
            reply 2: ok leader=1@9 hw=-1 diverge=5@1
        fetch 2 9 6@3 wait=0
            reply 3: ok leader=1@9 hw=-1 diverge=5@1
        fetch 2 9 7@4 wait=0
            reply 4: ok leader=1@9 hw=-1 records from 7
        fetch 2 9 9@4 wait=0
            reply 5: ok leader=1@9 hw=-1 diverge=8@4
        fetch 2 9 9@5 wait=0
            reply 6: ok leader=1@9 hw=-1 diverge=8@4
        fetch 2 9 11@6 wait=0
            reply 7: ok leader=1@9 hw=-1 diverge=10@6
        fetch 2 9 13@9 wait=0
            reply 8: ok leader=1@9 hw=-1 diverge=12@9
        fetch 2 9 10@8 wait=0
            reply 9: ok leader=1@9 hw=-1 diverge=10@6
        fetch 2 9 0@0 wait=0
            reply 10: ok leader=1@9 hw=-1 records from 0
        ",
    );
}

#[test]
fn a_replica_that_is_behind_the_log_gets_a_snapshot() {
    check(
        "
        leader voters=1,2,3 epoch=9 log=8@6 end=10 snapshot=8@4
        fetch 2 9 0@0
            reply 1: ok leader=1@9 hw=-1 snapshot=8@4
        fetch 2 9 7@4
            reply 2: ok leader=1@9 hw=-1 snapshot=8@4
        fetch 2 9 8@3
            reply 3: ok leader=1@9 hw=-1 snapshot=8@4
        fetch 2 9 8@4 wait=0
            reply 4: ok leader=1@9 hw=-1 records from 8
        fetch 2 9 9@3
            reply 5: ok leader=1@9 hw=-1 snapshot=8@4
        fetch 2 9 9@5
            reply 6: ok leader=1@9 hw=-1 diverge=8@4
        fetch-snapshot 2 9 8@4 0
            reply 7: ok 100 bytes from 0
        fetch-snapshot 2 9 8@4 -1
            reply 8: POSITION_OUT_OF_RANGE 0 bytes from -1
        fetch-snapshot 2 9 7@4 0
            reply 9: SNAPSHOT_NOT_FOUND 0 bytes from 0
        fetch-snapshot 2 9 0@0 0
            reply 10: SNAPSHOT_NOT_FOUND 0 bytes from 0
        fetch-snapshot 2 8 8@4 0
            reply 11: FENCED_LEADER_EPOCH 0 bytes from 0
        snapshot 10@6
        fetch 2 9 0@0
            reply 12: ok leader=1@9 hw=-1 snapshot=10@6
        clean 10
        fetch 2 9 9@6
            reply 13: ok leader=1@9 hw=-1 snapshot=10@6
        fetch 2 9 10@6 wait=0
            reply 14: ok leader=1@9 hw=-1
        fetch-snapshot 2 9 8@4 0
            reply 15: SNAPSHOT_NOT_FOUND 0 bytes from 0
        ",
    );
    check(
        "
        leader voters=1,2,3 epoch=9 log=0@4 end=10
        fetch 2 9 0@0 wait=0
            reply 1: ok leader=1@9 hw=-1 records from 0
        snapshot 5@4
        fetch 2 9 0@0 wait=0
            reply 2: ok leader=1@9 hw=-1 snapshot=5@4
        fetch 2 9 4@4 wait=0
            reply 3: ok leader=1@9 hw=-1 records from 4
        fetch 2 9 4@3 wait=0
            reply 4: ok leader=1@9 hw=-1 diverge=0@0
        ",
    );
}

#[test]
fn a_download_counts_as_a_sign_of_life() {
    check(
        "
        leader voters=1,2,3 epoch=9 log=8@6 end=10 snapshot=8@4
        tick 2999
            to 2, 3: begin epoch=9
        fetch-snapshot 3 9 8@4 0
            reply 1: ok 100 bytes from 0
        tick 2
        tick 2998
            step down epoch=9
            to 2, 3: end epoch=9 preferred=[2, 3]
            news leader=-@9
        ",
    );
}

#[test]
fn a_leader_makes_room_for_the_greater_epoch_of_a_replica() {
    check(
        "
        leader voters=1,2,3 epoch=5 log=0@4 end=10
        fetch 9 8 10@4
            reply 1: UNKNOWN_LEADER_EPOCH leader=1@5 hw=-1
            persist epoch=8 leader=- voted=-
            step down epoch=5
            to boot: fetch epoch=8 at=10@5 hw=0
            news leader=-@8
        ",
    );
}
