"""The explorer: a Streamlit app over the data set, subsets, runs and sweeps.

    app.py       the one entry file: `ot explore` starts it, and so does a host
    views/       a script a page, one line each; what it draws is in the module of the same name
    serve.py     starts the server for `ot explore`
    settings.py  what the app was started with, and the roots that names cannot leave
    state.py     the state in the URL
    text.py      untrusted text, made harmless
    charts.py    charts that are readable in light and dark

There is no logic here: what is read and computed is in the rooms below, and tested there.
"""
