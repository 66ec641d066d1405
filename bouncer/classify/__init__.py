"""What the server said, turned into why.

`category.py` names the reasons, `rules.py` finds one, `rules/*.toml` hold the knowledge.
"""
