"""The evaluation: the models answer held-out tasks, a browser renders, a judge goes through the checklist."""
