"Everything about the package is read from settings.ini, which nbdev reads too."
import re
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
settings = ConfigParser(delimiters=["="])
settings.read(ROOT / "settings.ini", encoding="utf-8")
cfg = settings["DEFAULT"]
STATUS = {"1": "1 - Planning", "2": "2 - Pre-Alpha", "3": "3 - Alpha", "4": "4 - Beta", "5": "5 - Production/Stable"}
PYTHONS = ["3.10", "3.11", "3.12", "3.13"]
docs = cfg["doc_host"] + cfg["doc_baseurl"]


def readme() -> str:
    "README.md with links that also lead somewhere from a page of PyPI."
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for before, kind in (("!", "raw"), ("", "blob")):
        target = f"{cfg['git_url']}/{kind}/{cfg['branch']}/"
        bang = re.escape(before) if before else "(?<!!)"
        text = re.sub(rf"({bang}\[[^\]]*\]\()(?!https?://|#)", rf"\g<1>{target}", text)
    return text


setup(
    name=cfg["lib_name"], version=cfg["version"], description=cfg["description"], keywords=cfg["keywords"].split(),
    long_description=readme(), long_description_content_type="text/markdown",
    author=cfg["author"], author_email=cfg["author_email"], url=cfg["git_url"],
    project_urls={"Documentation": docs, "Source": cfg["git_url"],
                  "Changelog": f"{cfg['git_url']}/blob/{cfg['branch']}/CHANGELOG.md"},
    classifiers=[
        f"Development Status :: {STATUS[cfg['status']]}",
        f"Intended Audience :: {cfg['audience']}",
        f"Natural Language :: {cfg['language']}",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
        *(f"Programming Language :: Python :: {v}" for v in ["3", *PYTHONS])],
    packages=[*find_packages(include=[f"{cfg['lib_name']}*"]), f"{cfg['lib_name']}.pretrained"],
    package_data={cfg["lib_name"]: ["py.typed", "*.pyi", "*/*.pyi"], f"{cfg['lib_name']}.pretrained": ["*"]},
    python_requires=f">={cfg['min_python']}", install_requires=cfg["requirements"].split(),
    extras_require={"dev": cfg["dev_requirements"].split(), "int8": cfg["int8_requirements"].split(),
                    "export": cfg["export_requirements"].split(),
                    "distributed": cfg["distributed_requirements"].split(),
                    "dask": cfg["dask_requirements"].split()},
    entry_points={
        "console_scripts": cfg["console_scripts"].split("\n"),
        "nbdev": [f"{cfg['lib_name']}={cfg['lib_path']}._modidx:d"]},  # how nbdev's doc links find this library
)
