//! The service over a real socket, used by another library's client.

mod access;
mod client;
mod faults;
mod reading;
mod sending;
