//! Brokers that go away, and what they still get.

use super::*;

#[test]
fn a_broker_that_is_leaving_gets_no_replica_and_counts_as_fenced_once_it_is_gone() {
    check(
        "
        broker 1 2
        create a assign=2,1
            + topic a
            + partition 0 replicas=[2, 1] isr=[2, 1]
            a NONE
        heartbeat 2 offset=20 stop
            ~ broker 2 fenced=0 shutdown=1 dirs=0
            ~ a-0 isr=[1] leader=1
            caught up=true fenced=false stop=false
        create t rf=2
            t INVALID_REPLICATION_FACTOR: Unable to replicate the partition 2 time(s): The target replication factor of 2 cannot be reached because only 1 broker(s) are registered or some brokers have all their log directories cordoned.
        create t rf=1
            + topic t
            + partition 0 replicas=[1] isr=[1]
            t NONE
        heartbeat 1 offset=30
            caught up=true fenced=false stop=false
        heartbeat 2 offset=30 stop
            ~ broker 2 fenced=1 shutdown=0 dirs=0
            caught up=true fenced=true stop=true
        create u rf=2
            + topic u
            + partition 0 replicas=[1, 2] isr=[1]
            u NONE
        ",
    );
}
