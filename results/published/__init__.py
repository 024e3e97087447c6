"""The published result tables, as package data."""
