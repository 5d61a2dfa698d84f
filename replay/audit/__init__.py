"""Audit: statements proved from the events that they stand on, in the store or from one file, without trusting who made them."""
