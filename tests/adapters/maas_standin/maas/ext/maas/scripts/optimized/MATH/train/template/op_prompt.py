"""The prompts, which `operator.py` copies."""

GENERATE_COT_PROMPT = "Reason step by step.\n{instruction}\n{input}"
SC_ENSEMBLE_PROMPT = "Vote: which is most frequent?\n{solutions}\nWrite only the letter."
PROGRAMMER_PROMPT = "Write a Python expression for the sum times ten.\n{analysis}\n{problem}"
