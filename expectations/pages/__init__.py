"""Pages for reviewers: one HTML file each, which loads nothing and is safe to open."""
