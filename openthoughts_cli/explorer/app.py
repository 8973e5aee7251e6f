"""The entry file of the explorer: `ot explore` runs it, and so does a host.

streamlit run openthoughts_cli/explorer/app.py      # OT_EXPLORE_PUBLIC=1 for a public host
"""

from __future__ import annotations

import streamlit as st

from openthoughts_cli.explorer.frame import navigation

st.set_page_config(page_title="ot explore", page_icon="🔎", layout="wide")
# Streamlit leaves a hand's breadth above the first line of a page.
st.html("<style>.stMainBlockContainer { padding-top: 4rem }</style>")
navigation().run()
