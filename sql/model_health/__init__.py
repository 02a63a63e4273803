"""Verdicts on models, alerts and who is told of them, requests to train anew."""
