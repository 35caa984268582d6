"""The services behind `support.control_plane`, one a file."""
