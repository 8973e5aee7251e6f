"""The page "Data set"."""

from __future__ import annotations

import streamlit as st

st.title("Data set")
