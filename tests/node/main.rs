//! The whole node, judged from outside: by the histories that simulator, receivers and nodes write.

mod flow;
mod history;
