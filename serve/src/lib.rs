//! How both servers listen.
