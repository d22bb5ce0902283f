"""The control app in the browser: /monitoring, /config, /runs. Reads the store, asks through `vsrpp.control`, no torch.

Loaded from the checkout's `ui/` or, installed, from `vsrpp/ui`: inside, imports are relative or of `vsrpp.*`.
"""
