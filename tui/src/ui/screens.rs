//! The screens. Each is a file: its rows, made from the snapshot when there is news; its columns;
//! its commands.

mod absent;
mod broker;
mod brokers;
mod cells;
mod changes;
mod clusters;
mod configs;
mod connector_forms;
mod connectors;
mod declared;
mod forms;
mod group;
mod groups;
mod local;
mod messages;
mod overview;
mod producers;
mod quorum;
mod reassign;
mod reassignments;
mod reset;
mod security;
mod shares;
mod start;
mod stop;
mod timeline;
mod topic;
mod topics;
mod traffic;
mod transactions;
mod watch;

pub use declared::apply_form;
pub use forms::{connect_form, create_topic_form};
pub use reassign::{ProposeWish, Proposed};
pub use reset::{ResetDialog, ResetWish};

use crate::ui::cx::Cx;
use crate::ui::screen::{Place, Screen};

/// Makes the screen of a place.
pub fn open(place: Place, cx: &Cx<'_>) -> Box<dyn Screen> {
    match place {
        Place::Start => Box::new(start::Start::new()),
        Place::Overview => Box::new(overview::Overview::new()),
        Place::Brokers => Box::new(brokers::Brokers::new(cx)),
        Place::Broker(id) => Box::new(broker::BrokerScreen::new(id)),
        Place::Topics => Box::new(topics::Topics::new(cx)),
        Place::Topic(name) => Box::new(topic::TopicScreen::new(name)),
        Place::Groups => Box::new(groups::GroupsScreen::new()),
        Place::Group(id) => Box::new(group::GroupScreen::new(id)),
        Place::Timeline(id) => Box::new(timeline::TimelineScreen::new(id)),
        Place::Messages(topic) => Box::new(messages::Messages::new(topic)),
        Place::Producers(topic) => Box::new(producers::ProducersScreen::new(topic)),
        Place::Reassign(moving) => Box::new(reassign::Wizard::new(moving)),
        Place::Reassignments => Box::new(reassignments::ReassignmentsScreen::new()),
        Place::Quorum => Box::new(quorum::QuorumScreen::new()),
        Place::Changes => Box::new(changes::Changes::new()),
        Place::Acls => Box::new(security::acls::Acls::new()),
        Place::Users => Box::new(security::users::Users::new()),
        Place::Quotas => Box::new(security::quotas::Quotas::new()),
        Place::Transactions => Box::new(transactions::TransactionsScreen::new()),
        Place::Configs(resource) => Box::new(configs::ConfigsScreen::new(resource)),
        Place::Declared(path) => Box::new(declared::Declared::new(path)),
        Place::Connectors => Box::new(connectors::Connectors::new()),
        Place::Clusters => Box::new(clusters::Clusters::new()),
        Place::Local => Box::new(local::Local::new()),
    }
}
