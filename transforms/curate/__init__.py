"""Rules that choose which exchanges become prompts: conversations, caps, earlier training."""
