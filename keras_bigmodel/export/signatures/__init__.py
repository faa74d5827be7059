"""Signatures: what the kinds of models offer when they are served."""
