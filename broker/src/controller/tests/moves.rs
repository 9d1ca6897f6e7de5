//! Partitions that move to other brokers, and who may lead them then.

use super::script::check;

#[test]
fn who_is_no_replica_any_more_is_not_eligible() {
    check(
        "
        broker 1 2
        create a assign=1,2 min.insync.replicas=2
            + topic a
            + config 2/a min.insync.replicas=Some(\"2\")
            - elr of \"a\"
            + partition 0 replicas=[1, 2] isr=[1, 2]
            a NONE
        isr a-0 by=1 to=1
            ~ a-0 isr=[1] elr=[2]
            isr NONE
        reassign a-0 1
            ~ a-0 replicas=[1] elr=[] leader=1
            a-0 NONE
        ",
    );
}

#[test]
fn a_move_in_the_place_of_another_waits_for_nobody_that_it_removes() {
    check(
        "
        broker 1 2 3 4
        create a assign=1,2
            + topic a
            + partition 0 replicas=[1, 2] isr=[1, 2]
            a NONE
        reassign a-0 3,2
            ~ a-0 replicas=[3, 2, 1] removing=[1] adding=[3]
            a-0 NONE
        reassign a-0 1,2
            ~ a-0 replicas=[1, 2] removing=[] adding=[] leader=1
            a-0 NONE
        reassign a-0 3,4
            ~ a-0 replicas=[3, 4, 1, 2] removing=[1, 2] adding=[3, 4]
            a-0 NONE
        reassign a-0 1,4,2
            ~ a-0 replicas=[1, 4, 2, 3] removing=[3]
            a-0 NONE
        reassign a-0 cancel
            ~ a-0 replicas=[1, 2] removing=[] adding=[] leader=1
            a-0 NONE
        reassign a-0 3,4
            ~ a-0 replicas=[3, 4, 1, 2] removing=[1, 2] adding=[3, 4]
            a-0 NONE
        reassign a-0 1,4,2
            ~ a-0 replicas=[1, 4, 2, 3] removing=[3]
            a-0 NONE
        isr a-0 by=1 to=1,2,4
            ~ a-0 isr=[1, 2, 4] replicas=[1, 4, 2] removing=[] adding=[] leader=1
            isr NONE
        ",
    );
}

/// Seed 69047 of the cluster's simulation: whoever led last became the leader of a partition of
/// which it was no replica any more.
#[test]
fn who_is_no_replica_any_more_is_no_last_known_leader() {
    check(
        "
        broker 1 2
        create a assign=1 unclean.leader.election.enable=true
            + topic a
            + config 2/a unclean.leader.election.enable=Some(\"true\")
            + partition 0 replicas=[1] isr=[1]
            a NONE
        reassign a-0 2
            ~ a-0 replicas=[2, 1] removing=[1] adding=[2]
            a-0 NONE
        pass 5000
        heartbeat 2 offset=99
            caught up=true fenced=false stop=false
        pass 5000
            ~ a-0 isr=[2] leader=2 recovery=1
            ~ broker 1 fenced=1 shutdown=0 dirs=0
        reassign a-0 cancel
            ~ a-0 isr=[1] replicas=[1] removing=[] adding=[] leader=-1
            a-0 NONE
        restart 1
            ~ a-0 isr=[]
            + broker 1
        elect unclean a-0
            a-0 ELIGIBLE_LEADERS_NOT_AVAILABLE
        heartbeat 1 offset=99
            ~ broker 1 fenced=-1 shutdown=0 dirs=0
            ~ a-0 isr=[1] leader=1
            caught up=true fenced=false stop=false
        ",
    );
}

#[test]
fn a_reassignment_ends_when_the_new_replicas_are_in_sync_and_can_be_cancelled() {
    check(
        "
        broker 1 2 3
        create a assign=1,2;1,2
            + topic a
            + partition 0 replicas=[1, 2] isr=[1, 2]
            + partition 1 replicas=[1, 2] isr=[1, 2]
            a NONE
        reassign a-0 3,2
            ~ a-0 replicas=[3, 2, 1] removing=[1] adding=[3]
            a-0 NONE
        reassigning
            a-0 replicas=[3, 2, 1] adding=[3] removing=[1]
        isr a-0 by=1 to=1,2,3
            ~ a-0 isr=[2, 3] replicas=[3, 2] removing=[] adding=[] leader=3
            isr NEW_LEADER_ELECTED
        reassigning
        reassign a-0 cancel
            a-0 NO_REASSIGNMENT_IN_PROGRESS
        reassign a-1 3,1
            ~ a-1 replicas=[3, 1, 2] removing=[2] adding=[3]
            a-1 NONE
        reassign a-1 cancel
            ~ a-1 replicas=[1, 2] removing=[] adding=[] leader=1
            a-1 NONE
        reassign a-1 2,1
            ~ a-1 replicas=[2, 1]
            a-1 NONE
        reassign a-1 2,1,3 same-rf
            a-1 INVALID_REPLICATION_FACTOR: The replication factor is changed from 2 to 3
        reassign a-1 2
            ~ a-1 isr=[2] replicas=[2] leader=2
            a-1 NONE
        reassign a-1 4
            a-1 INVALID_REPLICA_ASSIGNMENT: The manual partition assignment includes broker 4, but no such broker is registered.
        reassign b-0 1
            b-0 UNKNOWN_TOPIC_OR_PARTITION: Unable to find a topic named b.
        ",
    );
}
