"""Trainings through the real SDK against a server that commits faults."""
