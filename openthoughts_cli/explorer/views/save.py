"""The page "Save as subset"."""

from __future__ import annotations

import streamlit as st

st.title("Save as subset")
