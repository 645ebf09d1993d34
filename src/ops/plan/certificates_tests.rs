//! `pki renew` and `pki rotate-ca`, decision by decision, and their way as a whole with a crash after every step; users
//! and roles.

mod authorize;
mod fixture;
mod renew;
mod rotate_ca;
