//! A simulator of the Qualys platform.
pub mod clock;
pub mod detections;
pub mod dpkg;
pub mod hosts;
pub mod judge;
pub mod knowledge;
pub mod options;
pub mod os;
pub mod roll;
pub mod scans;
pub mod sshd;
pub mod state;
pub mod subscription;
pub mod version;
pub mod weakness;
pub mod world;
