"""Trained weights as files that others load: a PEFT adapter or a whole model, with a model card.

weights.py   which checkpoint of which run a name means
export.py    the folder: written aside, recorded in export.json, reused when it is the same
card.py      README.md: config, data, scores with intervals, cost, lineage
push.py      that folder onto the Hugging Face hub
"""
