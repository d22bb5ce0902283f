"""System metrics, sampled by a thread and stored like all other rows."""

from __future__ import annotations

import threading
from typing import Any

import psutil
import torch

INTERVAL_S = 2.0
_MIB = 1024 * 1024


class SystemSampler:
    """Keeps the newest sample, which the trainer writes with its next row."""

    def __init__(self, device: torch.device) -> None:
        """GPU metrics are those of `device`, if it is one."""
        self._stop = threading.Event()
        self._process = psutil.Process()
        self._gpu = _gpu_handle(device)
        self._process.cpu_percent()
        self.latest = self._sample()
        self._thread = threading.Thread(target=self._run, name="system", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            self.latest = self._sample()

    def _sample(self) -> dict[str, float]:
        memory = psutil.virtual_memory()
        values = {
            "system/cpu_percent": psutil.cpu_percent(),
            "system/process_cpu_percent": self._process.cpu_percent(),
            "system/memory_used_percent": memory.percent,
            "system/process_memory_mib": self._process.memory_info().rss / _MIB,
        }
        return {**values, **_gpu_sample(self._gpu)}


def _gpu_handle(device: torch.device) -> Any:
    """NVML's handle of the training GPU, by UUID: CUDA and NVML may number GPUs differently. None without one."""
    if device.type != "cuda":
        return None
    try:
        import pynvml

        pynvml.nvmlInit()
        return pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
    except Exception:  # noqa: BLE001 - no library, driver or device: no GPU metrics
        return None


def _gpu_sample(handle: Any) -> dict[str, float]:
    if handle is None:
        return {}
    import pynvml

    try:
        rates, memory = pynvml.nvmlDeviceGetUtilizationRates(handle), pynvml.nvmlDeviceGetMemoryInfo(handle)
        return {
            "system/gpu_percent": float(rates.gpu),
            "system/gpu_memory_mib": memory.used / _MIB,
            "system/gpu_memory_total_mib": memory.total / _MIB,
            "system/gpu_power_w": pynvml.nvmlDeviceGetPowerUsage(handle) / 1000.0,
        }
    except pynvml.NVMLError:
        return {}
