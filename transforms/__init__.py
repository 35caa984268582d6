"""The pure core: frames and bytes in, frames out; no clock, no network, no environment."""
