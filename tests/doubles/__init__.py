"""Doubles of what lies outside the product: engines, servers, clocks. Tests reach them from outside."""
