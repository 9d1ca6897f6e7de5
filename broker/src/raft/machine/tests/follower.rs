//! What a follower does: fetches, truncates, downloads, and goes down; and what nobody believes.

use super::script::check;

#[test]
fn a_follower_appends_flushes_and_only_then_fetches_on() {
    check(
        "
        follower voters=1,2,3 epoch=5 leader=2 log=0@4 end=10
        answer 2 ok leader=2 records=10-12@5 hw=8
            append 12 and flush
            commit 8
            to 2: fetch epoch=5 at=12@5 hw=8
        answer 2 ok leader=2 records=12-13@5 hw=20
            append 13 and flush
            commit 13
            to 2: fetch epoch=5 at=13@5 hw=13
        answer 2 ok leader=2 records=14-15@5 hw=20
            to 2: fetch epoch=5 at=13@5 hw=13
        answer 2 ok leader=2 records=13-15@6 hw=20
            to 2: fetch epoch=5 at=13@5 hw=13
        answer 2 ok leader=2 hw=5
            to 2: fetch epoch=5 at=13@5 hw=13
        ",
    );
    check(
        "
        start observer epoch=5 log=0@4 end=10
            persist epoch=5 leader=- voted=-
            to boot: fetch epoch=5 at=10@4 hw=0
            news leader=-@5
        answer boot FENCED_LEADER_EPOCH 6 leader=2
            persist epoch=6 leader=2 voted=-
            to 2: fetch epoch=6 at=10@4 hw=0
            news leader=2@6
        answer 2 ok leader=2 records=10-12@6 hw=11
            append 12
            commit 11
            to 2: fetch epoch=6 at=12@6 hw=11
        tick 499
        fail 2 NETWORK_EXCEPTION
            to boot: fetch epoch=6 at=12@6 hw=11
        answer boot NOT_LEADER_OR_FOLLOWER 6 leader=2
        tick 20
            to 2: fetch epoch=6 at=12@6 hw=11
        tick 2000
            to boot: fetch epoch=6 at=12@6 hw=11
        tick 5000
            to 2: fetch epoch=6 at=12@6 hw=11
        ",
    );
}

#[test]
fn whoever_knows_the_leader_leads_to_it() {
    check(
        "
        start observer
            persist epoch=0 leader=- voted=-
            to boot: fetch epoch=0 at=0@0 hw=0
        answer boot NOT_LEADER_OR_FOLLOWER 0
        tick 19
        tick 1
            to boot: fetch epoch=0 at=0@0 hw=0
        answer boot UNKNOWN_LEADER_EPOCH 0
        tick 20
            to boot: fetch epoch=0 at=0@0 hw=0
        fail boot NETWORK_EXCEPTION
        tick 19
        tick 1
            to boot: fetch epoch=0 at=0@0 hw=0
        answer boot FENCED_LEADER_EPOCH 3
            persist epoch=3 leader=- voted=-
            to boot: fetch epoch=3 at=0@0 hw=0
            news leader=-@3
        answer boot ok 3 leader=2 records=0-4@3 hw=2
            persist epoch=3 leader=2 voted=-
            append 4
            commit 2
            to 2: fetch epoch=3 at=4@3 hw=2
            news leader=2@3
        answer 2 NOT_LEADER_OR_FOLLOWER 4
            persist epoch=4 leader=- voted=-
            to boot: fetch epoch=4 at=4@3 hw=2
            news leader=-@4
        answer boot ok leader=3
            persist epoch=4 leader=3 voted=-
            to 3: fetch epoch=4 at=4@3 hw=2
            news leader=3@4
        ",
    );
}

#[test]
fn a_follower_asks_others_while_its_leader_does_not_answer() {
    check(
        "
        follower voters=1,2,3 epoch=5 leader=2 log=0@4 end=10
        answer 2 BROKER_NOT_AVAILABLE
            to boot: fetch epoch=5 at=10@4 hw=0
        answer boot NOT_LEADER_OR_FOLLOWER 5 leader=2
        tick 20
            to 2: fetch epoch=5 at=10@4 hw=0
        tick 1980
            to 2, 3: pre-vote epoch=5 end=10@4
        ",
    );
}

#[test]
fn a_log_that_diverges_is_cut_off_but_never_below_the_high_watermark() {
    check(
        "
        follower voters=1,2,3 epoch=9 leader=2 log=0@1,5@4,8@6 end=10
        answer 2 ok leader=2 diverge=9@5
            truncate 8
            to 2: fetch epoch=9 at=8@4 hw=0
        answer 2 ok leader=2 diverge=6@4
            truncate 6
            to 2: fetch epoch=9 at=6@4 hw=0
        answer 2 ok leader=2 hw=6
            commit 6
            to 2: fetch epoch=9 at=6@4 hw=6
        answer 2 ok leader=2 diverge=5@4
            fault
            to boot: fetch epoch=9 at=6@4 hw=6
        answer boot ok leader=2
            to boot: fetch epoch=9 at=6@4 hw=6
        tick 20
        ",
    );
    check(
        "
        follower voters=1,2,3 epoch=9 leader=2 log=0@1,5@4,8@6 end=10
        answer 2 ok leader=2 diverge=9@6
            truncate 9
            to 2: fetch epoch=9 at=9@6 hw=0
        answer 2 ok leader=2 diverge=4@1
            truncate 4
            to 2: fetch epoch=9 at=4@1 hw=0
        ",
    );
}

#[test]
fn an_epoch_without_records_does_not_hold_up_a_former_leader() {
    check(
        "
        leader voters=1,2,3 epoch=5 log=0@4 end=10
        begin 2 6
            persist epoch=6 leader=2 voted=-
            step down epoch=5
            reply 1: ok leader=2@6
            to 2: fetch epoch=6 at=10@5 hw=0
            news leader=2@6
        answer 2 ok leader=2 diverge=10@4
            truncate 10
            to 2: fetch epoch=6 at=10@4 hw=0
        answer 2 ok leader=2 records=10-11@6
            append 11 and flush
            to 2: fetch epoch=6 at=11@6 hw=0
        ",
    );
}

#[test]
fn a_snapshot_that_came_damaged_is_fetched_again_after_a_pause() {
    check(
        "
        start voters=1,2 epoch=9 leader=2 log=0@1 end=3
            persist epoch=9 leader=2 voted=-
            to 2: fetch epoch=9 at=3@1 hw=0
            news leader=2@9
        answer 2 ok leader=2 snapshot=8@4
            create snapshot 8@4
            to 2: fetch snapshot 8@4 from 0
        answer 2 ok leader=2 size=50 bytes=50
            append to snapshot
            install snapshot 8@4
        damaged
            fault
            to boot: fetch epoch=9 at=3@1 hw=0
        tick 20
        answer boot ok leader=2 snapshot=8@4
            create snapshot 8@4
            to 2: fetch snapshot 8@4 from 0
        ",
    );
}

#[test]
fn a_snapshot_is_fetched_piece_by_piece_and_takes_the_place_of_the_log() {
    check(
        "
        follower voters=1,2,3 epoch=9 leader=2 log=0@1 end=3
        answer 2 ok leader=2 snapshot=8@4
            create snapshot 8@4
            to 2: fetch snapshot 8@4 from 0
        answer 2 ok leader=2 size=150 bytes=100
            append to snapshot
            to 2: fetch snapshot 8@4 from 100
        answer 2 ok leader=2 size=150 bytes=50
            append to snapshot
            install snapshot 8@4
        installed voters=2,3
            commit 8
            to 2: fetch epoch=9 at=8@4 hw=8
        answer 2 ok leader=2 records=8-9@9 hw=9
            append 9 and flush
            commit 9
            to 2: fetch epoch=9 at=9@9 hw=9
        ",
    );
    check(
        "
        follower voters=1,2,3 epoch=9 leader=2 log=0@1 end=3
        answer 2 ok leader=2 snapshot=8@4
            create snapshot 8@4
            to 2: fetch snapshot 8@4 from 0
        answer 2 ok leader=2 size=150 bytes=100
            append to snapshot
            to 2: fetch snapshot 8@4 from 100
        answer 2 SNAPSHOT_NOT_FOUND leader=2
            drop snapshot 8@4
            to 2: fetch epoch=9 at=3@1 hw=0
        answer 2 ok leader=2 snapshot=9@4
            create snapshot 9@4
            to 2: fetch snapshot 9@4 from 0
        answer 2 ok leader=2 size=150 bytes=100 position=3
            drop snapshot 9@4
            fault
            to boot: fetch epoch=9 at=3@1 hw=0
        answer boot ok leader=2 snapshot=9@4
            create snapshot 9@4
            to boot: fetch epoch=9 at=3@1 hw=0
        begin 3 10
            persist epoch=10 leader=3 voted=-
            drop snapshot 9@4
            reply 1: ok leader=3@10
            to 3: fetch epoch=10 at=3@1 hw=0
            news leader=3@10
        ",
    );
    check(
        "
        follower voters=1,2,3 epoch=9 leader=2 log=5@4 end=9 snapshot=5@3
        answer 2 ok leader=2 snapshot=4@3
            fault
            to boot: fetch epoch=9 at=9@4 hw=5
        ",
    );
}

#[test]
fn a_node_goes_down_when_nobody_needs_it() {
    check(
        "
        follower voters=1,2,3 epoch=5 leader=2 log=0@4 end=10
        shutdown 1000
            done
        tick 5000
        ",
    );
    check(
        "
        start observer
            persist epoch=0 leader=- voted=-
            to boot: fetch epoch=0 at=0@0 hw=0
        shutdown 1000
            done
        ",
    );
    check(
        "
        leader voters=1,2,3 epoch=5 log=0@4 end=10
        fetch 2 5 10@4 wait=5000
        shutdown 1000
            step down epoch=5
            reply 1: NOT_LEADER_OR_FOLLOWER leader=1@5 hw=-1
            to 2, 3: end epoch=5 preferred=[2, 3]
            news leader=-@5
        fetch 3 5 10@4
            reply 2: NOT_LEADER_OR_FOLLOWER leader=1@5 hw=-1
        answer 3 ok leader=1
        begin 2 6
            persist epoch=6 leader=2 voted=-
            reply 3: ok leader=2@6
            done
            news leader=2@6
        ",
    );
    check(
        "
        unattached voters=1,2,3 epoch=5 log=0@4 end=10
        shutdown 1000
        tick 999
        tick 1
            done
        ",
    );
    check(
        "
        candidate voters=1,2,3 epoch=5 log=0@4 end=10
        shutdown 5000
        tick 3000
            to 2, 3: vote epoch=5 end=10@4
        answer 2 granted
            persist epoch=5 leader=1 voted=-
            lead epoch=5 from=10
            write leader 1 of [1, 2, 3] by [1, 2], level 1, voters [1, 2, 3]
            step down epoch=5
            to 2, 3: end epoch=5 preferred=[2, 3]
        tick 2000
            done
        ",
    );
}

#[test]
fn a_node_goes_down_at_once_when_all_who_are_there_know_it_and_when_nobody_is() {
    check(
        "
        leader voters=1,2,3 epoch=5 log=0@4 end=10
        shutdown 5000
            step down epoch=5
            to 2, 3: end epoch=5 preferred=[2, 3]
            news leader=-@5
        answer 3 ok leader=1
        fail 2 NETWORK_EXCEPTION
            done
        ",
    );
    check(
        "
        unattached voters=1,2,3 epoch=5 log=0@4 end=10
        shutdown 5000
        fail boot NETWORK_EXCEPTION
            done
        ",
    );
    check(
        "
        candidate voters=1,2,3 epoch=5 log=0@4 end=10
        shutdown 5000
        fail 2 NETWORK_EXCEPTION
        fail 3 NETWORK_EXCEPTION
            done
        ",
    );
}

#[test]
fn a_controller_that_cannot_go_on_resigns() {
    check(
        "
        leader voters=1,2,3 epoch=5 log=0@4 end=10
        fetch 3 5 10@4 wait=0
            reply 1: ok leader=1@5 hw=-1
        resign
            step down epoch=5
            to 2, 3: end epoch=5 preferred=[3, 2]
            news leader=-@5
        ",
    );
}

#[test]
fn what_contradicts_this_node_is_not_believed() {
    check(
        "
        follower voters=1,2,3 epoch=5 leader=2 log=0@4 end=10
        answer 2 NOT_LEADER_OR_FOLLOWER 5 leader=3
            fault
            to boot: fetch epoch=5 at=10@4 hw=0
        answer boot NOT_LEADER_OR_FOLLOWER 5 leader=1
            fault
        tick 20
            to 2: fetch epoch=5 at=10@4 hw=0
        answer 2 NOT_LEADER_OR_FOLLOWER 9 leader=1
            fault
            to boot: fetch epoch=5 at=10@4 hw=0
        begin 1 5
            fault
            reply 1: UNKNOWN_SERVER_ERROR leader=2@5
        begin 1 9
            fault
            reply 2: UNKNOWN_SERVER_ERROR leader=2@5
        ",
    );
}

#[test]
fn the_last_epoch_is_no_reason_to_break() {
    check(
        "
        follower voters=1,2,3 epoch=5 leader=2 log=0@4 end=10
        ask-vote 4 2147483647 10@4
            persist epoch=2147483647 leader=- voted=-
            persist epoch=2147483647 leader=- voted=4
            reply 1: granted leader=-@2147483647
            to boot: fetch epoch=2147483647 at=10@4 hw=0
            news leader=-@2147483647
        tick 3000
            to 2, 3: pre-vote epoch=2147483647 end=10@4
        answer 2 granted
            fault
            to boot: fetch epoch=2147483647 at=10@4 hw=0
        tick 3000
            to 2, 3: pre-vote epoch=2147483647 end=10@4
        ",
    );
}

#[test]
fn late_answers_are_not_heard() {
    check(
        "
        unattached voters=1,2,3 epoch=5 log=0@4 end=10
        tick 2000
            to 2, 3: pre-vote epoch=5 end=10@4
        begin 2 5
            persist epoch=5 leader=2 voted=-
            reply 1: ok leader=2@5
            to 2: fetch epoch=5 at=10@4 hw=0
            news leader=2@5
        answer 3 granted
        answer 3 granted
        ",
    );
}

#[test]
fn a_leader_that_cannot_be_reached_is_given_a_part_of_the_time_only() {
    check(
        "
        follower voters=1,2,3 epoch=5 leader=2 log=0@4 end=10
        answer 2 ok leader=2
            to 2: fetch epoch=5 at=10@4 hw=0
        fail 2 NETWORK_EXCEPTION
            to boot: fetch epoch=5 at=10@4 hw=0
        fail boot NETWORK_EXCEPTION
        tick 400
            to 2: fetch epoch=5 at=10@4 hw=0
        tick 350
            to 2, 3: pre-vote epoch=5 end=10@4
        ",
    );
    check(
        "
        follower voters=1,2,3 epoch=5 leader=2 log=0@4 end=10
        fail 2 NETWORK_EXCEPTION
            to boot: fetch epoch=5 at=10@4 hw=0
        fail boot NETWORK_EXCEPTION
        tick 400
            to 2: fetch epoch=5 at=10@4 hw=0
        answer 2 ok leader=2
            to 2: fetch epoch=5 at=10@4 hw=0
        tick 999
        tick 500
            to 2, 3: pre-vote epoch=5 end=10@4
        ",
    );
}
