"""Chat messages: their types, texts, digests and token estimates."""
