"""The pieces of the pages: which template shows a state, filled in with what. Plain data, no markup, no Gradio, no file."""
