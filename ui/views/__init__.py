"""The pieces of the pages as HTML text, from plain data: what stands where in which state. No Gradio, no file."""
