//! The Event Hubs source against the simulated service, over real AMQP on loopback.

mod faults;
mod moved;
mod ownership;
mod reading;
mod second;
mod tokens;
mod world;
