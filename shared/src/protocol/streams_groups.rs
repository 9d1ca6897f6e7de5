//! StreamsGroupDescribe (KIP-1071): what the coordinator of a streams group tells of it.
//!
//! Kafka: `StreamsGroupDescribeRequest.json`, `StreamsGroupDescribeResponse.json` (4.3).

use super::own::{OwnRequest, OwnResponse};
use super::shape::OwnLayout;
use crate::schema;

schema! {
    pub struct StreamsGroupDescribeRequest, versions 0..=0, flexible 0 {
        group_ids: Vec<String>;
        include_authorized_operations: bool;
    }

    pub struct StreamsGroupDescribeResponse, versions 0..=0, flexible 0 {
        throttle_time_ms: i32;
        groups: Vec<StreamsDescribedGroup>;
    }

    pub struct StreamsDescribedGroup, versions 0..=0, flexible 0 {
        error_code: i16;
        error_message: Option<String>;
        group_id: String;
        group_state: String;
        group_epoch: i32;
        assignment_epoch: i32;
        /// None beside an error.
        topology: Option<Topology>;
        members: Vec<StreamsMember>;
        authorized_operations: i32 = i32::MIN;
    }

    pub struct Topology, versions 0..=0, flexible 0 {
        epoch: i32;
        subtopologies: Option<Vec<Subtopology>>;
    }

    pub struct Subtopology, versions 0..=0, flexible 0 {
        subtopology_id: String;
        source_topics: Vec<String>;
        repartition_sink_topics: Vec<String>;
        state_changelog_topics: Vec<TopicInfo>;
        repartition_source_topics: Vec<TopicInfo>;
    }

    /// A topic that belongs to the application.
    pub struct TopicInfo, versions 0..=0, flexible 0 {
        name: String;
        /// 0 where no number is asked for, and of changelogs.
        partitions: i32;
        replication_factor: i16;
        topic_configs: Vec<KeyValue>;
    }

    pub struct KeyValue, versions 0..=0, flexible 0 {
        key: String;
        value: String;
    }

    pub struct StreamsMember, versions 0..=0, flexible 0 {
        member_id: String;
        member_epoch: i32;
        instance_id: Option<String>;
        rack_id: Option<String>;
        client_id: String;
        client_host: String;
        topology_epoch: i32;
        process_id: String;
        user_endpoint: Option<Endpoint>;
        client_tags: Vec<KeyValue>;
        task_offsets: Vec<TaskOffset>;
        task_end_offsets: Vec<TaskOffset>;
        assignment: Assignment;
        target_assignment: Assignment;
        is_classic: bool;
    }

    pub struct Endpoint, versions 0..=0, flexible 0 {
        host: String;
        port: u16;
    }

    pub struct TaskOffset, versions 0..=0, flexible 0 {
        subtopology_id: String;
        partition: i32;
        offset: i64;
    }

    pub struct Assignment, versions 0..=0, flexible 0 {
        active_tasks: Vec<TaskIds>;
        standby_tasks: Vec<TaskIds>;
        warmup_tasks: Vec<TaskIds>;
    }

    /// Tasks of one part of the topology.
    pub struct TaskIds, versions 0..=0, flexible 0 {
        subtopology_id: String;
        partitions: Vec<i32>;
    }
}

impl OwnRequest for StreamsGroupDescribeRequest {
    const KEY: i16 = 89;
    type Response = StreamsGroupDescribeResponse;
}

static RESPONSE: OwnLayout = OwnLayout::new(
    "i [(h s? s s i i (i [(s [s] [s] [(s i h [(s s)])] [(s i h [(s s)])])]?)? [(s i s? s? s s i s \
     (s h)? [(s s)] [(s i l)] [(s i l)] ([(s [i])] [(s [i])] [(s [i])]) ([(s [i])] [(s [i])] [(s \
     [i])]) b)] i)]",
);

impl OwnResponse for StreamsGroupDescribeResponse {
    fn layout() -> &'static OwnLayout {
        &RESPONSE
    }
}
