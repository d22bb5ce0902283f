"""The three pages, each a separate Gradio Blocks."""

from .config import config_page
from .monitoring import monitoring_page
from .runs import runs_page
from .theme import THEME, head

__all__ = ["THEME", "config_page", "head", "monitoring_page", "runs_page"]
