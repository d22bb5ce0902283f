"""Trained networks as files for other programs: ONNX, TorchScript, torch.export and safetensors, each compared with the network.

`forms` imports no torch, so that commands can check a request before anything is loaded.
"""
