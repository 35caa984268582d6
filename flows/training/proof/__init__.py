"""Proof that training gained something: answers of models, scored and compared."""
