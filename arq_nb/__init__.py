__version__ = "0.3.0"

from .moved import install_old_names

install_old_names()
